"""Values of any dtype as exact text: what a reject shows of a typed source, and what a column outside the contract becomes.

Numbers are as short as they can be without losing a digit, times are ISO 8601, bytes are their text where they are UTF-8
and hexadecimal elsewhere, lists and structs are JSON.
"""

from __future__ import annotations

import polars as pl

_NESTED = (pl.List, pl.Array, pl.Struct, pl.Map)


def as_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A value as text, null where it is null."""
    if isinstance(dtype, pl.String):
        return value
    if isinstance(dtype, _NESTED):
        boxed = pl.struct(plain(value, dtype).alias("v")).struct.json_encode()
        return pl.when(value.is_not_null()).then(boxed.str.strip_prefix('{"v":').str.strip_suffix("}"))
    if isinstance(dtype, pl.Binary):
        return value.map_batches(_bytes_as_text, return_dtype=pl.String, is_elementwise=True)
    if isinstance(dtype, pl.Duration):
        return value.dt.to_string("iso")
    return value.cast(pl.String)


def plain(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A value as Polars can write it into JSON, which it does not do for bytes; nesting is kept."""
    if not _holds_bytes(dtype):
        return value
    if isinstance(dtype, pl.List | pl.Array):
        items = value if isinstance(dtype, pl.List) else value.arr.to_list()
        return items.list.eval(plain(pl.element(), dtype.inner))  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        parts = [plain(value.struct.field(f.name), f.dtype).alias(f.name) for f in dtype.fields]  # type: ignore[arg-type]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return as_text(value, dtype)


def _holds_bytes(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_bytes(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return any(_holds_bytes(f.dtype) for f in dtype.fields)  # type: ignore[arg-type]
    return isinstance(dtype, pl.Binary)


def _bytes_as_text(values: pl.Series) -> pl.Series:
    def text(value: bytes | None) -> str | None:
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            return value.hex() if value is not None else None

    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(values.name, [text(v) for v in values], dtype=pl.String)
