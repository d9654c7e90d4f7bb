"""Two 64-bit hashes that stand for a row's identity: what DuckDB compares instead of the rows.

The text that is hashed names each column and leaves null out, so that a row keeps its identity when a column is added to
the contract. Text is prefixed with its length, so that no two rows share a text.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import polars_hash as plh

from dativo.config.asset import Field
from dativo.contract.written import json_text

LOW = "__dativo_h1"
HIGH = "__dativo_h2"
_SECOND_SEED = 0x9E3779B9
# Another number wherever equal values get another hash: what was kept by the earlier one means nothing any more.
SCHEME = 1


def identity(fields: Sequence[Field]) -> list[pl.Expr]:
    """The hash columns LOW and HIGH (UInt64) of the fields' values; the columns are taken by the fields' names."""
    parts = [pl.concat_str(pl.lit(f"\x1e{f.name}\x1f"), value_text(f, pl.col(f.name))) for f in fields]
    text = pl.concat_str(parts, ignore_nulls=True).alias("text")
    return [hashed.alias(name) for hashed, name in zip(hashes(text), (LOW, HIGH), strict=True)]


def content(fields: Sequence[Field], names: tuple[str, str]) -> list[pl.Expr]:
    """Two hash columns (UInt64) of the fields' values, to compare rows that have the very same fields.

    Faster than `identity`, because the text does not name the columns.
    """
    parts: list[pl.Expr] = []
    for field in fields:
        value = pl.col(field.name)
        if field.kind in _TEXT:
            # The length of a text stands before it, so that no text reads as the end of one and the next value.
            parts += [value.str.len_bytes().cast(pl.String).fill_null(_NOTHING), value.fill_null("")]
        else:
            parts.append(value_text(field, value).fill_null(_NOTHING))
    text = pl.concat_str(parts, separator="\x1f")
    return [hashed.alias(name) for hashed, name in zip(hashes(text), names, strict=True)]


def hashes(text: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """XXH3 of a text with two seeds (UInt64 each); the algorithm's output is fixed by its specification (v0.8)."""
    found = plh.concat_str(text)
    return found.nchash.xxh3_64(), found.nchash.xxh3_64(seed=_SECOND_SEED)


_TEXT = ("string", "uuid", "json")
# No value's text and no length of one.
_NOTHING = "n"


def value_text(field: Field, value: pl.Expr) -> pl.Expr:
    """A text that equal values share and no others, null where the value is."""
    if field.kind in _TEXT:
        return pl.concat_str(value.str.len_bytes().cast(pl.String), pl.lit(":"), value)
    if field.kind in ("date", "time", "timestamp", "timestamptz"):
        return value.to_physical().cast(pl.String)
    if field.kind == "double":
        # -0.0 and 0.0 are one value.
        return pl.when(value == 0).then(pl.lit(0.0)).otherwise(value).cast(pl.String)
    if field.kind == "binary":
        return value.bin.encode("hex")
    if field.kind in ("list", "struct"):
        return pl.when(value.is_not_null()).then(json_text(field, value))
    return value.cast(pl.String)
