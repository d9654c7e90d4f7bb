"""Tables that dativo wrote into an object store: of their files only those count that the manifest names.

A run that failed, or one that is writing now, may have left files there that belong to no table. The manifest's format is
described in docs/connectors/object-stores.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from dativo.errors import SourceError
from dativo.stores.store import NoSuchObject, ObjectStore, StoredObject

T = TypeVar("T")

VERSION = 1
MANIFEST = "_dativo/manifest.json"
# A table that is written to meanwhile is listed again so often.
_TRIES = 5


class _Part(msgspec.Struct):
    """A data file, or an object with a list of them: its path below the table's folder."""

    path: str


class _Manifest(msgspec.Struct):
    version: int
    entries: list[_Part] = []
    segments: list[_Part] = []


def counted(store: ObjectStore, folder: str, listing: Callable[[], list[StoredObject]]) -> list[StoredObject]:
    """What `listing` gives of the objects below a folder, without those inside of a table that its manifest does not name.

    SourceError when a manifest cannot be read, or the table changes faster than it can be listed.
    """
    found = listing()
    tables = {o.key.removesuffix(MANIFEST) for o in found if f"/{o.key}".endswith(f"/{MANIFEST}")}
    if "=" in folder:
        # A partition's table begins above it.
        tables.add(folder[: folder.rfind("/", 0, folder.index("=")) + 1])
    for _ in range(_TRIES):
        named = {base: names for base in tables if (names := _named(store, base)) is not None}
        if not named:
            return found
        # The files are listed after their names were read: those that are named are there, unless they were replaced.
        found = listing()
        keys = {o.key for o in found}
        if all(key in keys for names in named.values() for key in names if key.startswith(folder)):
            return [o for o in found if _counts(o.key, named)]
    raise SourceError(
        f"files of a table below '{store.uri(folder)}' are missing, or it changes while it is listed",
        hint="run again when nothing is written there; a file that its manifest names must be there",
    )


def _counts(key: str, named: dict[str, set[str]]) -> bool:
    owners = [base for base in named if key.startswith(base)]
    return not owners or key in named[max(owners, key=len)]


def _named(store: ObjectStore, base: str) -> set[str] | None:
    """The keys of a table's files, or None where there is no table."""
    try:
        manifest = _read(store, base + MANIFEST, _Manifest)
        if manifest.version > VERSION:
            raise SourceError(
                f"the manifest '{store.uri(base + MANIFEST)}' has version {manifest.version}, this program knows {VERSION}",
                hint="use a newer dativo",
            )
        parts: Iterable[_Part] = manifest.entries
        for segment in manifest.segments:
            parts = [*parts, *_read(store, base + segment.path, list[_Part])]
    except NoSuchObject:
        return None
    return {base + part.path for part in parts}


def _read(store: ObjectStore, key: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(store.read(key)[0], type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SourceError(
            f"the manifest '{store.uri(key)}' cannot be read: {error}", hint="was it written by a newer dativo?"
        ) from None
