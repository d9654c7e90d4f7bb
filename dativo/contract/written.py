"""Values as exact text, the same wherever text is written: exports, documents, previews."""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from dativo.config.asset import Field

_AS_TEXT = ("string", "json", "uuid")
_BARE = ("long", "boolean")


def written(field: Field, value: pl.Expr) -> pl.Expr:
    """A value as text, null where it is null.

    Times are ISO 8601 with `T`, a fraction only where there is one, and `+00:00` where the column has a zone; bytes are
    hexadecimal; lists and structs are JSON; what is no finite number is `NaN`, `Infinity` or `-Infinity`.
    """
    if field.kind == "timestamp":
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S%.f")
    if field.kind == "timestamptz":
        return value.dt.to_string("%Y-%m-%dT%H:%M:%S%.f%:z")
    if field.kind == "time":
        return value.dt.to_string("%H:%M:%S%.f")
    if field.kind == "binary":
        return value.bin.encode("hex")
    if field.kind == "double":
        infinite = pl.when(value > 0).then(pl.lit("Infinity")).otherwise(pl.lit("-Infinity"))
        return pl.when(value.is_infinite()).then(infinite).otherwise(value.cast(pl.String))
    if field.kind in ("list", "struct"):
        return pl.when(value.is_not_null()).then(json_text(field, value))
    return value.cast(pl.String)


def json_text(field: Field, value: pl.Expr) -> pl.Expr:
    """A value as JSON text, `null` where it is null.

    Numbers and booleans stay what they are, nesting is kept; decimals, times, bytes and what is no finite number are text,
    because JSON's readers would change them.
    """
    if field.kind in _AS_TEXT:
        return as_json(value)
    if field.kind == "list" and field.item is not None:
        inner = value.list.eval(json_text(field.item, pl.element())).list.join(",")
        text = pl.concat_str(pl.lit("["), inner, pl.lit("]"))
    elif field.kind == "struct":
        text = pl.when(value.is_not_null()).then(json_object([(f, value.struct.field(f.name)) for f in field.fields]))
    elif field.kind in _BARE:
        text = value.cast(pl.String)
    else:
        quoted = pl.concat_str(pl.lit('"'), written(field, value), pl.lit('"'))
        text = quoted
        if field.kind == "double":
            text = pl.when(value.is_finite()).then(value.cast(pl.String)).otherwise(quoted)
    return text.fill_null("null")


def json_object(entries: Sequence[tuple[Field, pl.Expr]]) -> pl.Expr:
    """Values as one JSON object, in the order of the entries."""
    parts: list[pl.Expr] = []
    for position, (field, value) in enumerate(entries):
        name = json.dumps(field.name, ensure_ascii=False)
        parts += [pl.lit(f"{',' if position else ''}{name}:"), json_text(field, value)]
    return pl.concat_str(pl.lit("{"), *parts, pl.lit("}"))


def as_json(value: pl.Expr) -> pl.Expr:
    """A text as a JSON string, `null` where it is null."""
    wrapped = pl.struct(value.alias("v")).struct.json_encode()
    return wrapped.str.slice(5, wrapped.str.len_chars() - 6)
