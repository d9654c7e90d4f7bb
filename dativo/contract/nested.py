"""JSON text as lists and structs of exact types.

Nested values are read one by one: numbers keep their text until the contract's type takes them, so that a decimal in a
JSON object loses nothing. A value that does not fit makes the whole cell null, which is its violation.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import polars as pl

from dativo.config.asset import Field
from dativo.contract.dtypes import polars_type
from dativo.contract.text import TextRules


class _Number(str):
    """A JSON number with a fraction or exponent, as it was written."""

    __slots__ = ()


_DECODER = msgspec.json.Decoder(float_hook=_Number)


def valid_json(texts: pl.Series) -> pl.Series:
    """The texts that are JSON, null for the others."""
    return pl.Series(texts.name, [t if t is not None and _loads(t) is not _BAD else None for t in texts], dtype=pl.String)


def decode_json(texts: pl.Series, field: Field, rules: TextRules) -> pl.Series:
    """The values of JSON texts by the field's type, null where one does not fit."""
    convert = _converter(field)
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
    except (ValueError, TypeError, KeyError, InvalidOperation, OverflowError):
        return None


@cache
def _converter(field: Field) -> Callable[[Any], Any]:
    """A function that gives the field's value from a JSON value, or raises where it does not fit."""
    if field.kind == "list":
        assert field.item is not None
        inner = _converter(field.item)
        return lambda v: [None if e is None else inner(e) for e in _of(v, list)]
    if field.kind == "struct":
        parts = [(f, _converter(f)) for f in field.fields]
        return lambda v: {f.name: _member(f, convert, _of(v, dict)) for f, convert in parts}
    if field.kind == "decimal":
        return lambda v: _decimal(v, field.precision, field.scale)
    return _SCALARS[field.kind]


def _member(field: Field, convert: Callable[[Any], Any], value: dict[str, Any]) -> Any:
    given = value.get(field.source_name or field.name)
    if given is None:
        if field.required:
            raise ValueError(f"{field.name} is required")
        return field.default
    return convert(given)


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return msgspec.json.encode(value).decode()


def _long(value: Any) -> int:
    number = Decimal(value) if isinstance(value, str) else value
    if isinstance(number, bool) or number != int(number) or not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return int(number)


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    number = Decimal(value)
    if not number.is_finite() or number != number.quantize(Decimal(1).scaleb(-scale)):
        raise ValueError(value)
    if abs(number) >= Decimal(10) ** (precision - scale):
        raise ValueError(value)
    return number


def _double(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}[
        str(value).lower()
    ]


def _timestamp(value: Any) -> datetime:
    found = datetime.fromisoformat(_of(value, str))
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "uuid": lambda v: str(UUID(_of(v, str))),
    "json": lambda v: msgspec.json.encode(v).decode(),
    "long": _long,
    "double": _double,
    "boolean": _boolean,
    "date": lambda v: date.fromisoformat(_of(v, str)),
    "time": lambda v: time.fromisoformat(_of(v, str)),
    "timestamp": _timestamp,
    "timestamptz": lambda v: _timestamp(v).replace(tzinfo=UTC),
    "binary": lambda v: base64.b64decode(_of(v, str), validate=True),
}
