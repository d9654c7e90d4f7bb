"""The rules of a contract as boolean expressions over a value: true where the rule is broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl

from dativo.config.asset import Field
from dativo.config.literals import literal
from dativo.contract.dtypes import polars_type
from dativo.errors import ConfigError, Problem

MISSING = "missing_required"
MISMATCH = "type_mismatch"
UNIQUE = "unique"


def value_rules(field: Field, value: pl.Expr) -> Iterator[tuple[str, pl.Expr]]:
    """The name of each rule on the field's value, and where it is broken; null breaks none of them."""
    if field.enum is not None:
        allowed = [e for e in (_literal(field, v, "enum") for v in field.enum) if e is not None]
        yield "enum", ~value.is_in(pl.lit(pl.Series(allowed, dtype=polars_type(field))).implode())
    if field.pattern is not None:
        _check_pattern(field, field.pattern)
        yield "pattern", ~value.str.contains(field.pattern)
    if field.minimum is not None:
        low = pl.lit(_literal(field, field.minimum, "minimum"), dtype=polars_type(field))
        below = (value <= low) if field.minimum_exclusive else (value < low)
        # Polars sorts what is no number above all numbers.
        yield "minimum", below | value.is_nan() if field.kind == "double" else below
    if field.maximum is not None:
        high = pl.lit(_literal(field, field.maximum, "maximum"), dtype=polars_type(field))
        yield "maximum", (value >= high) if field.maximum_exclusive else (value > high)
    if field.min_length is not None:
        yield "min_length", _length(field, value) < field.min_length
    if field.max_length is not None:
        yield "max_length", _length(field, value) > field.max_length


def _check_pattern(field: Field, pattern: str) -> None:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.startswith("error: ")), "")
        raise ConfigError(
            [
                Problem(
                    f"'{pattern}' is no regular expression: {reason.removeprefix('error: ') or 'it cannot be used'}",
                    field.mark,
                    f"schema.{field.name}.pattern",
                    "patterns are RE2: no look-around, no backreferences",
                )
            ]
        ) from None


def _length(field: Field, value: pl.Expr) -> pl.Expr:
    if field.kind == "list":
        return value.list.len()
    return value.bin.size() if field.kind == "binary" else value.str.len_chars()


def _literal(field: Field, value: Any, rule: str) -> Any:
    """A bound or an allowed value of the contract as a value of the field's type; times are UTC without a zone."""
    try:
        found = literal(field, value)
    except ValueError as error:
        raise ConfigError(
            [
                Problem(
                    str(error),
                    field.mark,
                    f"schema.{field.name}.{rule}",
                    f"write a value of the column's type ({field.type_text()})",
                )
            ]
        ) from None
    if isinstance(found, datetime) and found.tzinfo is not None:
        return found.astimezone(UTC).replace(tzinfo=None)
    return found


def default_literal(field: Field) -> pl.Expr:
    """The field's default as an expression of its type; ConfigError when it is none."""
    return pl.lit(_literal(field, field.default, "default"), dtype=polars_type(field))
