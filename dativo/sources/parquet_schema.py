"""Dtypes of Parquet columns: those a contract can take, and the one that columns of several files share.

Files of one stream need not agree. Where they do not, a column gets a dtype that holds every value of each file exactly,
in view of what the contract wants of it; text is the last resort, and the contract reads it as it reads any text.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from dativo.config.asset import Field
from dativo.contract.shown import as_text

_WIDE = (pl.UInt64, pl.Int128)
_HUGE = (pl.UInt128,)
# Up to here whole floats are also 64-bit integers.
_WHOLE_FLOATS = 2.0**63


def united(dtypes: Sequence[pl.DataType], field: Field | None) -> pl.DataType | None:
    """The dtype for a column that has these dtypes in its files; None when no dtype holds the values of all.

    One dtype stays as it is, unless no contract can take it: a column of nulls, categories, maps and durations are text,
    fixed-size arrays are lists, extension types are what they are stored as.
    """
    found = list(dict.fromkeys(_simple(d) for d in dtypes if not isinstance(d, pl.Null)))
    kind = field.kind if field is not None else None
    if not found:
        return pl.String()
    if all(isinstance(d, pl.List) for d in found) and (len(found) == 1 or kind == "list"):
        inner = united([d.inner for d in found], field.item if field is not None else None)  # type: ignore[attr-defined]
        return None if inner is None else pl.List(inner)
    if all(isinstance(d, pl.Struct) for d in found) and (len(found) == 1 or kind == "struct"):
        return _united_structs(found, field)
    if len(found) == 1:
        return found[0]
    if all(d.is_integer() for d in found):
        if any(isinstance(d, _HUGE) for d in found):
            return pl.String()
        return pl.Int128() if any(isinstance(d, _WIDE) for d in found) else pl.Int64()
    if all(d.is_float() for d in found) and kind == "double":
        return pl.Float64()
    if all(isinstance(d, pl.Binary | pl.String) for d in found):
        return pl.Binary() if kind in ("string", "json", "binary", None) else None
    if any(isinstance(d, pl.Binary) for d in found):
        return None
    if kind in ("date", "timestamp", "timestamptz") and all(isinstance(d, pl.Date | pl.Datetime) for d in found):
        return _united_times(found, kind)
    return pl.String()


def converted(value: pl.Expr, have: pl.DataType, want: pl.DataType) -> pl.Expr:
    """A value of one dtype as the dtype that `united` chose for it."""
    if have == want:
        return value
    if isinstance(have, pl.BaseExtension):
        return converted(value.ext.storage(), have.ext_storage(), want)  # type: ignore[arg-type]
    if isinstance(have, pl.Null):
        return value.cast(want)
    if isinstance(want, pl.String):
        return _number_text(value) if have.is_float() else as_text(value, have)
    if isinstance(want, pl.List):
        items = value.arr.to_list() if isinstance(have, pl.Array) else value
        return items.list.eval(converted(pl.element(), have.inner, want.inner))  # type: ignore[attr-defined, arg-type]
    if isinstance(want, pl.Struct):
        inside = {f.name: f.dtype for f in have.fields}  # type: ignore[attr-defined]
        parts = [
            converted(value.struct.field(f.name), inside[f.name], f.dtype).alias(f.name)  # type: ignore[arg-type]
            if f.name in inside
            else pl.lit(None, dtype=f.dtype).alias(f.name)
            for f in want.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return value.cast(want)


def _simple(dtype: pl.DataType) -> pl.DataType:
    """The dtype without what no contract knows, outermost only."""
    if isinstance(dtype, pl.BaseExtension):
        return _simple(dtype.ext_storage())  # type: ignore[arg-type]
    if isinstance(dtype, pl.Categorical | pl.Enum | pl.Map | pl.Duration):
        return pl.String()
    return pl.List(dtype.inner) if isinstance(dtype, pl.Array) else dtype


def _united_structs(found: Sequence[pl.DataType], field: Field | None) -> pl.DataType | None:
    children = {c.source_name or c.name: c for c in field.fields} if field is not None else {}
    inside: dict[str, list[pl.DataType]] = {}
    for dtype in found:
        for part in dtype.fields:  # type: ignore[attr-defined]
            inside.setdefault(part.name, []).append(part.dtype)
    shared = {name: united(dtypes, children.get(name)) for name, dtypes in inside.items()}
    if any(dtype is None for dtype in shared.values()):
        return None
    return pl.Struct({name: dtype for name, dtype in shared.items() if dtype is not None})


def _united_times(found: Sequence[pl.DataType], kind: str) -> pl.DataType:
    """Dates and times: microseconds are what every contract keeps; with and without a zone is told apart in text only."""
    zones = {getattr(d, "time_zone", None) for d in found}
    if zones == {None}:
        return pl.Datetime("us")
    if None not in zones and kind != "date":
        return pl.Datetime("us", "UTC")
    return pl.String()


def _number_text(value: pl.Expr) -> pl.Expr:
    """A float as its shortest text, without a fraction or exponent where it is a whole number."""
    whole = (value == value.floor()) & (value.abs() < _WHOLE_FLOATS) & (value != 0)
    return pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
