"""Text as numbers: exactly, or null."""

from __future__ import annotations

import re
from decimal import Decimal

import polars as pl

from dativo.config.asset import Field
from dativo.contract.dtypes import polars_type
from dativo.contract.lanes import Lanes
from dativo.contract.text import TextRules

_NUMBER = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?\Z")


def long(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    def careful(text: pl.Expr) -> pl.Expr:
        plain = _plain_number(text, rules)
        whole = plain.str.extract(r"^([+-]?\d+)(?:\.0*)?$", 1)
        return whole.cast(pl.Int64, strict=False)

    if _odd_numbers(rules):
        return careful(raw)
    return Lanes(raw.cast(pl.Int64, strict=False), careful)


def double(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    """The nearest double; digits that are too large for any are no infinity."""

    def read(text: pl.Expr) -> pl.Expr:
        value = text.cast(pl.Float64, strict=False)
        digits = pl.when(value.is_infinite()).then(text).str.contains(r"\d")
        return pl.when(digits).then(pl.lit(None, dtype=pl.Float64)).otherwise(value)

    def careful(text: pl.Expr) -> pl.Expr:
        return read(_plain_number(text, rules))

    if _odd_numbers(rules):
        return careful(raw)
    return Lanes(read(raw), careful)


def decimal(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    dtype = polars_type(field)
    scale = field.scale
    # Zeros behind the last place that counts say nothing; any other digit there would be lost.
    places = rf"(?:\d+(?:\.\d{{0,{scale}}})?|\.\d{{1,{scale}}})" if scale else r"(?:\d+\.?|\.0)"

    def exact(text: pl.Expr) -> pl.Expr:
        return text.str.to_decimal(scale=scale).cast(dtype, strict=False)

    def careful(text: pl.Expr) -> pl.Expr:
        plain = _plain_number(text, rules)
        kept = plain.str.extract(rf"^([+-]?{places})0*$", 1)
        shifted = pl.when(plain.str.contains(r"[eE]")).then(plain)
        with_exponent = shifted.map_batches(
            lambda texts: _with_exponents(texts, field), return_dtype=dtype, is_elementwise=True
        )
        return pl.coalesce(exact(kept), with_exponent)

    if _odd_numbers(rules):
        return careful(raw)
    if scale == 0:
        fast = raw.cast(pl.Int64, strict=False).cast(dtype, strict=False)
    else:
        # The fast way rounds, so it may only see text with exactly as many places as the type has.
        fast = pl.when(raw.str.contains(rf"^[+-]?[0-9]*\.[0-9]{{{scale}}}$")).then(exact(raw))
    return Lanes(fast, careful)


def _with_exponents(texts: pl.Series, field: Field) -> pl.Series:
    """Texts like `1.5e3` as decimals, null where one would lose digits."""
    dtype = polars_type(field)
    if texts.null_count() == len(texts):
        return pl.Series(texts.name, [], dtype=dtype).extend_constant(None, len(texts))
    values = [None if text is None else exact_decimal(text, field.precision, field.scale) for text in texts]
    return pl.Series(texts.name, values, dtype=dtype)


def exact_decimal(text: str, precision: int, scale: int) -> Decimal | None:
    """A number, with or without an exponent, as a decimal of so many digits; None where it is none or would lose one."""
    match = _NUMBER.match(text)
    if match is None or not match[2] + match[3]:
        return None
    sign, whole, fraction, shift = match.groups(default="0")
    digits = (whole + fraction).lstrip("0")
    bare = digits.rstrip("0")
    if not bare:
        return Decimal((0, (0,), -scale))
    if len(shift.lstrip("+-0")) > 6:
        return None
    # The last digit that counts stands so many places before the last one that the type has.
    places = int(shift) - len(fraction) + len(digits) - len(bare) + scale
    if places < 0 or len(bare) + places > precision:
        return None
    return Decimal((int(sign == "-"), tuple(map(int, bare + "0" * places)), -scale))


def _odd_numbers(rules: TextRules) -> bool:
    """Whether text that the fast way could read might mean another number here."""
    return rules.decimal_separator != "." or rules.thousands == "."


def _plain_number(text: pl.Expr, rules: TextRules) -> pl.Expr:
    """A number without spaces around, thousands separators and with a point; null where groups are not of three."""
    clean = text.str.strip_chars()
    point = re.escape(rules.decimal_separator)
    if rules.thousands:
        mark = re.escape(rules.thousands)
        grouped = clean.str.contains(rf"^[+-]?\d{{1,3}}(?:{mark}\d{{3}})*(?:{point}\d*)?$")
        ungrouped = ~clean.str.contains(rules.thousands, literal=True)
        clean = pl.when(grouped | ungrouped).then(clean).str.replace_all(rules.thousands, "", literal=True)
    if rules.decimal_separator != ".":
        clean = pl.when(~clean.str.contains(".", literal=True)).then(clean)
        clean = clean.str.replace(rules.decimal_separator, ".", literal=True)
    return clean
