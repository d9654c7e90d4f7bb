"""A frame's columns as Arrow types that many programs read."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow

_arrow: Any = pyarrow


def arrow_schema(rows: pl.LazyFrame) -> Any:
    """The columns as Arrow has them, times in microseconds: few programs read nanoseconds."""
    found = pl.DataFrame(schema=rows.collect_schema()).to_arrow().schema
    return _arrow.schema([f.with_type(_in_microseconds(f.type)) for f in found])


def _in_microseconds(found: Any) -> Any:
    if _arrow.types.is_time64(found):
        return _arrow.time64("us")
    if _arrow.types.is_large_list(found):
        return _arrow.large_list(found.value_field.with_type(_in_microseconds(found.value_type)))
    if _arrow.types.is_struct(found):
        return _arrow.struct([f.with_type(_in_microseconds(f.type)) for f in found])
    return found
