"""Text as values: every cast gives null where the text cannot be read exactly, and that null is the violation.

Each type has a fast way for how the text mostly looks, tried on everything, and a careful one for what the fast way
could not read. The careful way sees null elsewhere, which costs next to nothing. Neither rounds, wraps or guesses:
`12.7` is no integer, `1.239` no decimal(12,2), `24-01-02` no date.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from dativo.config.asset import Field
from dativo.contract import moments, numbers
from dativo.contract.dtypes import polars_type
from dativo.contract.lanes import Lanes
from dativo.contract.nested import decode_json, valid_json
from dativo.contract.text import TextRules

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def lanes(field: Field, raw: pl.Expr, rules: TextRules) -> Lanes:
    """The ways from text that is not one of the null texts to the field's value; null where it is no such value.

    They are apart so that a plan can compute `fast` once, as a column, before `careful` looks at what is left.
    """
    found = _CASTS[field.kind](field, raw, rules)
    return found if isinstance(found, Lanes) else Lanes(found)


def from_text(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    """The field's value from text, as one expression."""
    fast, careful = lanes(field, raw, rules)
    return fast if careful is None else pl.coalesce(fast, careful(pl.when(fast.is_null()).then(raw)))


def is_given(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    """Whether the source gives a value: neither null nor a text that means null."""
    nulls = field.null_values if field.null_values is not None else rules.nulls
    if not nulls:
        return raw.is_not_null()
    return raw.is_not_null() & ~raw.is_in(list(nulls))


def _string(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    return raw


def _boolean(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    text = raw.str.strip_chars().str.to_lowercase()
    yes, no = text.is_in(list(rules.true_values)), text.is_in(list(rules.false_values))
    return pl.when(yes).then(pl.lit(True)).when(no).then(pl.lit(False))


def _binary(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    form = field.formats[0].lower() if field.formats else "utf-8"
    if form in ("base64", "hex"):
        return raw.str.decode(form, strict=False)  # type: ignore[arg-type]
    return raw.cast(pl.Binary)


def _uuid(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    text = raw.str.strip_chars().str.to_lowercase()
    return pl.when(text.str.contains(_UUID)).then(text)


def _json(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    return raw.map_batches(valid_json, return_dtype=pl.String, is_elementwise=True)


def _nested(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    return raw.map_batches(lambda s: decode_json(s, field, rules), return_dtype=polars_type(field), is_elementwise=True)


_CASTS: dict[str, Callable[[Field, pl.Expr, TextRules], pl.Expr | Lanes]] = {
    "string": _string,
    "uuid": _uuid,
    "json": _json,
    "long": numbers.long,
    "double": numbers.double,
    "decimal": numbers.decimal,
    "boolean": _boolean,
    "date": moments.date_of,
    "time": moments.time_of,
    "timestamp": moments.timestamp_of,
    "timestamptz": moments.timestamptz_of,
    "binary": _binary,
    "list": _nested,
    "struct": _nested,
}
