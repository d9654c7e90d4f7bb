"""JSON text as lists and structs of exact types.

Nested values are read one by one: numbers keep their text until the contract's type takes them, so that a decimal in a
JSON object loses nothing. A value that does not fit makes the whole cell null, which is its violation.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from math import isinf
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from dativo.config.asset import Field
from dativo.config.literals import literal
from dativo.contract.dtypes import polars_type
from dativo.contract.moments import CLOCK, DATE
from dativo.contract.numbers import exact_decimal
from dativo.contract.text import TextRules


class _Number:
    """A JSON number with a fraction or exponent, as it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_DECODER = msgspec.json.Decoder(float_hook=_Number)
_ENCODER = msgspec.json.Encoder(enc_hook=lambda number: msgspec.Raw(number.text.encode()))
_DOUBLE = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)\Z", re.ASCII | re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_DATE = re.compile(f"{DATE}\\Z", re.ASCII)
_CLOCK = re.compile(f"{CLOCK}\\Z", re.ASCII)
_MOMENT = re.compile(rf"({DATE})(?:[ T]({CLOCK})\s*(Z|z|[+-]\d{{2}}(?::?[0-5]\d)?)?)?\Z", re.ASCII)


def valid_json(texts: pl.Series) -> pl.Series:
    """The texts that are JSON, null for the others."""
    return pl.Series(
        texts.name, [t if t is not None and _loads(t) is not _BAD else None for t in texts], dtype=pl.String
    )


def decode_json(texts: pl.Series, field: Field, rules: TextRules) -> pl.Series:
    """The values of JSON texts by the field's type, null where one does not fit."""
    convert = _converter(field, rules)
    values = []
    for text in texts:
        value = None if text is None else _loads(text)
        values.append(None if value is None or value is _BAD else _fit(convert, value))
    return pl.Series(texts.name, values, dtype=polars_type(field))


_BAD: Any = object()


def _loads(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _BAD


def _fit(convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None


@cache
def _converter(field: Field, rules: TextRules) -> Callable[[Any], Any]:
    """A function that gives the field's value from a JSON value, or raises where it does not fit."""
    if field.kind == "list":
        assert field.item is not None
        inner = _converter(field.item, rules)
        return lambda v: [None if e is None else inner(e) for e in _of(v, list)]
    if field.kind == "struct":
        parts = [(f, _converter(f, rules), _default(f)) for f in field.fields]
        return lambda v: {f.name: _member(f, convert, default, _of(v, dict)) for f, convert, default in parts}
    if field.kind == "decimal":
        return lambda v: _decimal(v, field.precision, field.scale)
    if field.kind == "boolean":
        return lambda v: _boolean(v, rules)
    if field.kind == "timestamp":
        return lambda v: _timestamp(v, rules)
    if field.kind == "timestamptz":
        return lambda v: _timestamp(v, rules).replace(tzinfo=UTC)
    return _SCALARS[field.kind]


def _default(field: Field) -> Any:
    return None if field.default is None else literal(field, field.default)


def _member(field: Field, convert: Callable[[Any], Any], default: Any, value: dict[str, Any]) -> Any:
    given = value.get(field.source_name or field.name)
    if given is not None:
        return convert(given)
    if default is None and field.required:
        raise ValueError(f"{field.name} is required")
    return default


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _ENCODER.encode(value).decode()


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | _Number):
        raise TypeError(value)
    found = exact_decimal(value.text if isinstance(value, _Number) else str(value), precision, scale)
    if found is None:
        raise ValueError(value)
    return found


def _long(value: Any) -> int:
    number = int(_decimal(value, 19, 0))
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | str | _Number):
        raise TypeError(value)
    text = value.text if isinstance(value, _Number) else str(value)
    if _DOUBLE.match(text) is None:
        raise ValueError(value)
    number = float(text)
    if isinf(number) and "inf" not in text.lower():
        raise OverflowError(value)
    return number


def _uuid(value: str) -> str:
    if _UUID.match(value) is None:
        raise ValueError(value)
    return value


def _boolean(value: Any, rules: TextRules) -> bool:
    if isinstance(value, bool):
        return value
    text = _text(value).strip().lower()
    if text in rules.true_values:
        return True
    if text in rules.false_values:
        return False
    raise ValueError(value)


def _date(value: Any) -> date:
    if _DATE.match(_of(value, str)) is None:
        raise ValueError(value)
    year, month, day = map(int, value.split("-"))
    return date(year, month, day)


def _time(value: Any) -> time:
    if _CLOCK.match(_of(value, str)) is None:
        raise ValueError(value)
    clock, _, fraction = value.partition(".")
    parts = [*map(int, clock.split(":")), 0]
    return time(parts[0], parts[1], parts[2], int(fraction[:6].ljust(6, "0")))


def _timestamp(value: Any, rules: TextRules) -> datetime:
    """A time in UTC without a zone, by the same rules as in a column of its own."""
    match = _MOMENT.match(_of(value, str).strip())
    if match is None:
        raise ValueError(value)
    local = datetime.combine(_date(match[1]), _time(match[2] or "00:00"))
    if match[3] in ("Z", "z"):
        return local
    if match[3]:
        digits = match[3][1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return local + offset if match[3][0] == "-" else local - offset
    earlier, later = (
        local.replace(tzinfo=ZoneInfo(rules.timezone), fold=fold).astimezone(UTC).replace(tzinfo=None)
        for fold in (0, 1)
    )
    if earlier != later and rules.dst is None:
        raise ValueError(value)
    return later if rules.dst == "later" else earlier


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "uuid": lambda v: _uuid(_of(v, str).lower()),
    "json": lambda v: _ENCODER.encode(v).decode(),
    "long": _long,
    "double": _double,
    "date": _date,
    "time": _time,
    "binary": lambda v: base64.b64decode(_of(v, str), validate=True),
}
