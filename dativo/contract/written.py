"""Values as exact text, the same wherever text is written: exports, documents, previews."""

from __future__ import annotations

import polars as pl

from dativo.config.asset import Field


def written(field: Field, value: pl.Expr) -> pl.Expr:
    """A value as text, null where it is null.

    Times are ISO 8601 with `T`, a fraction only where there is one, and `+00:00` where the column has a zone; bytes are
    hexadecimal; lists and structs are JSON.
    """
    if field.kind == "timestamp":
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S%.f")
    if field.kind == "timestamptz":
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S%.f%:z")
    if field.kind == "time":
        return value.dt.to_string("%H:%M:%S%.f")
    if field.kind == "binary":
        return value.bin.encode("hex")
    if field.kind in ("list", "struct"):
        return pl.when(value.is_not_null()).then(as_json(plain(field, value)))
    return value.cast(pl.String)


def plain(field: Field, value: pl.Expr) -> pl.Expr:
    """A value as JSON has it: numbers and booleans stay, decimals, times and bytes are text, nesting is kept."""
    if field.kind in ("string", "json", "uuid", "long", "double", "boolean"):
        return value
    if field.kind == "list" and field.item is not None:
        return value.list.eval(plain(field.item, pl.element()))
    if field.kind == "struct" and field.fields:
        inner = [plain(f, value.struct.field(f.name)).alias(f.name) for f in field.fields]
        return pl.when(value.is_not_null()).then(pl.struct(inner))
    return written(field, value)


def as_json(value: pl.Expr) -> pl.Expr:
    """A value as JSON text, `null` where it is null."""
    wrapped = pl.struct(value.alias("v")).struct.json_encode()
    return wrapped.str.slice(5, wrapped.str.len_chars() - 6)
