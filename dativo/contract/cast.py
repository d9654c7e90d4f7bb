"""Text as values: every cast gives null where the text cannot be read exactly, and that null is the violation.

Each type has a fast way for how the text mostly looks, tried on everything, and a careful one for what the fast way
could not read. The careful way sees null elsewhere, which costs next to nothing. Neither rounds, wraps or guesses:
`12.7` is no integer, `1.239` no decimal(12,2), `24-01-02` no date.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from dativo.config.asset import Field
from dativo.contract.dtypes import polars_type
from dativo.contract.nested import decode_json, valid_json
from dativo.contract.text import TextRules

_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_CLOCK = r"\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?"
_OFFSET = r"(?:Z|z|[+-]\d{2}(?::?\d{2})?)"
_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


class Lanes(NamedTuple):
    """The two ways to a value: `careful` is given the text where `fast` found nothing, and null elsewhere."""

    fast: pl.Expr
    careful: Callable[[pl.Expr], pl.Expr] | None = None


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


def _long(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    def careful(text: pl.Expr) -> pl.Expr:
        plain = _plain_number(text, rules)
        whole = plain.str.extract(r"^([+-]?\d+)(?:\.0*)?$", 1)
        return whole.cast(pl.Int64, strict=False)

    if _odd_numbers(rules):
        return careful(raw)
    return Lanes(raw.cast(pl.Int64, strict=False), careful)


def _double(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    def careful(text: pl.Expr) -> pl.Expr:
        return _plain_number(text, rules).cast(pl.Float64, strict=False)

    if _odd_numbers(rules):
        return careful(raw)
    return Lanes(raw.cast(pl.Float64, strict=False), careful)


def _decimal(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    dtype = polars_type(field)
    scale = field.scale

    def exact(text: pl.Expr) -> pl.Expr:
        return text.str.to_decimal(scale=scale).cast(dtype, strict=False)

    def careful(text: pl.Expr) -> pl.Expr:
        plain = _plain_number(text, rules)
        # Zeros behind the last place that counts say nothing; any other digit there would be lost.
        kept = plain.str.extract(rf"^([+-]?(?:\d+(?:\.\d{{0,{scale}}})?|\.\d{{1,{max(scale, 1)}}}))0*$", 1)
        shifted = _scientific(plain, scale, dtype)
        return pl.coalesce(exact(kept), shifted)

    if _odd_numbers(rules):
        return careful(raw)
    if scale == 0:
        fast = raw.cast(pl.Int64, strict=False).cast(dtype, strict=False)
    else:
        # The fast way rounds, so it may only see text with exactly as many places as the type has.
        fast = pl.when(raw.str.slice(-(scale + 1), 1) == ".").then(exact(raw))
    return Lanes(fast, careful)


def _scientific(plain: pl.Expr, scale: int, dtype: pl.DataType) -> pl.Expr:
    """`1.5e3` as a decimal, where nothing is lost by it: through a scale wide enough to see what would be."""
    text = pl.when(plain.str.contains(r"^[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d{1,2}$")).then(plain)
    wide = min(scale + 9, 38)
    value = text.str.to_decimal(scale=wide)
    narrow = value.cast(dtype, strict=False)
    digits = text.str.extract(r"^[+-]?(\d*\.?\d*)", 1).str.replace(".", "", literal=True).str.strip_chars("0")
    places = text.str.extract(r"^[+-]?\d*\.?(\d*)", 1).str.strip_chars_end("0").str.len_bytes().cast(pl.Int32)
    exponent = text.str.extract(r"[eE]([+-]?\d+)$", 1).cast(pl.Int32, strict=False)
    fits = (digits.str.len_bytes() == 0) | ((places - exponent) <= scale)
    return pl.when(fits & (narrow.cast(pl.Decimal(38, wide), strict=False) == value)).then(narrow)


def _boolean(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr:
    text = raw.str.strip_chars().str.to_lowercase()
    yes, no = text.is_in(list(rules.true_values)), text.is_in(list(rules.false_values))
    return pl.when(yes).then(pl.lit(True)).when(no).then(pl.lit(False))


def _date(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    if field.formats:
        return pl.coalesce(*(_by_format_date(raw, f) for f in field.formats))
    own = [_by_format_date(raw, f) for f in rules.date_formats]

    def careful(text: pl.Expr) -> pl.Expr:
        clean = text.str.strip_chars()
        only = pl.when(clean.str.contains(f"^{_DATE}$")).then(clean).str.to_date("%Y-%m-%d", strict=False)
        moment = _iso_moment(text, rules)
        midnight = moment.dt.time() == pl.time(0, 0, 0)
        return pl.coalesce(only, pl.when(midnight).then(moment.dt.date()))

    fast = pl.when(raw.str.len_bytes() == 10).then(raw.str.to_date("%Y-%m-%d", strict=False))
    return Lanes(pl.coalesce(*own, fast) if own else fast, careful)


def _by_format_date(raw: pl.Expr, form: str) -> pl.Expr:
    return _four_digit_year(raw, form).str.to_date(form, strict=False)


def _time(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    if field.formats:
        return pl.coalesce(*(raw.str.to_time(f, strict=False) for f in field.formats))

    def careful(text: pl.Expr) -> pl.Expr:
        clean = text.str.strip_chars()
        clean = pl.when(clean.str.contains(f"^{_CLOCK}$")).then(clean)
        short = clean.str.to_time("%H:%M", strict=False)
        return pl.coalesce(clean.str.to_time("%H:%M:%S%.f", strict=False), short)

    return Lanes(raw.str.to_time("%H:%M:%S%.f", strict=False), careful)


def _timestamp(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    """UTC without a zone; a value with an offset is converted, one without is read in the source's zone."""
    if field.formats:
        return pl.coalesce(*(_by_format(raw, f, rules) for f in field.formats))
    own = [_by_format(raw, f, rules) for f in rules.date_formats]
    # Times rarely repeat: remembering them costs more than reading them again.
    fast = raw.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False, cache=False)
    fast = in_utc(pl.when(raw.str.len_bytes() == 19).then(fast), rules)
    return Lanes(pl.coalesce(*own, fast) if own else fast, lambda text: _iso_moment(text, rules))


def _timestamptz(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    found = _timestamp(field, raw, rules)
    if not isinstance(found, Lanes):
        return found.dt.replace_time_zone("UTC")
    fast, careful = found
    assert careful is not None
    return Lanes(fast.dt.replace_time_zone("UTC"), lambda text: careful(text).dt.replace_time_zone("UTC"))


def _iso_moment(text: pl.Expr, rules: TextRules) -> pl.Expr:
    """A time in any spelling of ISO 8601 that the formats allow, in UTC without a zone."""
    clean = text.str.strip_chars()
    clean = pl.when(clean.str.contains(rf"^{_DATE}(?:[ T]{_CLOCK}\s*{_OFFSET}?)?$")).then(clean)
    clean = clean.str.replace("T", " ", literal=True)
    zoned = pl.when(clean.str.contains(rf":\d{{1,2}}(?:\.\d+)?\s*{_OFFSET}$")).then(clean)
    zoned = zoned.str.replace(r"(?:Z|z)$", "+00:00").str.replace(r"\s+([+-])", "${1}")
    local = pl.when(~clean.str.contains(rf":\d{{1,2}}(?:\.\d+)?\s*{_OFFSET}$")).then(clean)
    read_zoned = [
        zoned.str.to_datetime(f"%Y-%m-%d {clock}%#z", time_unit="us", strict=False, time_zone="UTC").dt.replace_time_zone(None)
        for clock in ("%H:%M:%S%.f", "%H:%M")
    ]
    read_local = [
        local.str.to_datetime(f"%Y-%m-%d {clock}", time_unit="us", strict=False) for clock in ("%H:%M:%S%.f", "%H:%M")
    ]
    only_date = local.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return pl.coalesce(*read_zoned, in_utc(pl.coalesce(*read_local, only_date), rules))


def _by_format(raw: pl.Expr, form: str, rules: TextRules) -> pl.Expr:
    text = _four_digit_year(raw, form)
    if "%z" in form or "%:z" in form or "%#z" in form or form == "%+":
        read = text.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC")
        return read.dt.replace_time_zone(None)
    if form == "%s":
        seconds = raw.cast(pl.Int64, strict=False)
        return pl.when(seconds.abs() < 250_000_000_000).then(seconds * 1_000_000).cast(pl.Datetime("us"))
    if not any(part in form for part in ("%H", "%I", "%T", "%R", "%-H", "%-I", "%X")):
        return in_utc(text.str.to_date(form, strict=False).cast(pl.Datetime("us")), rules)
    return in_utc(text.str.to_datetime(form, time_unit="us", strict=False), rules)


def _four_digit_year(raw: pl.Expr, form: str) -> pl.Expr:
    """The text where a `%Y` in the format has four digits to read: Polars takes the year 24 from `24` otherwise."""
    if "%Y" not in form:
        return raw
    if form.startswith("%Y"):
        return pl.when(raw.str.contains(r"^\s*\d{4}")).then(raw)
    return pl.when(raw.str.contains(r"\d{4}")).then(raw)


def in_utc(local: pl.Expr, rules: TextRules) -> pl.Expr:
    """Times without a zone, read in the source's zone, as UTC without a zone.

    A wall time that a clock change skips or doubles is null, unless the rules choose one side.
    """
    if rules.timezone in ("UTC", "Etc/UTC", "Z"):
        return local
    ambiguous = {"earlier": "earliest", "later": "latest"}.get(rules.dst or "", "null")

    def utc(naive: pl.Expr) -> pl.Expr:
        zoned = naive.dt.replace_time_zone(rules.timezone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    read = utc(local)
    if rules.dst is None:
        return read
    # A skipped wall time is read with the offset before the change (earlier) or after it (later).
    shift = pl.duration(hours=-3 if rules.dst == "earlier" else 3)
    return pl.coalesce(read, utc(local + shift) - shift)


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
    "long": _long,
    "double": _double,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "binary": _binary,
    "list": _nested,
    "struct": _nested,
}


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
