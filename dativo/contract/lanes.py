"""The two ways from a text to a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl


class Lanes(NamedTuple):
    """The two ways to a value: `careful` is given the text where `fast` found nothing, and null elsewhere."""

    fast: pl.Expr
    careful: Callable[[pl.Expr], pl.Expr] | None = None
