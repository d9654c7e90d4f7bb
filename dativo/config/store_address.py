"""Addresses of objects, as `s3://bucket/key` and `az://container/key`."""

from __future__ import annotations

import re
from typing import NamedTuple

# Hadoop writes `s3a` for the same place.
SCHEMES = {"s3": "s3", "s3a": "s3", "az": "az"}
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]*)/?(.*)", re.IGNORECASE | re.DOTALL)


class Address(NamedTuple):
    """A place in an object store. `scheme` is `s3` or `az`, or another one as it stands there."""

    scheme: str
    bucket: str
    key: str


def address(text: str) -> Address | None:
    """The place that a path names with its scheme, or None for a path without one."""
    found = _ADDRESS.match(text)
    if found is None:
        return None
    scheme = found[1].lower()
    return Address(SCHEMES.get(scheme, scheme), found[2], found[3])
