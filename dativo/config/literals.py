"""Values that a contract writes down (bounds, allowed values, defaults) as values of their column's type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from dativo.config.field import Field
from dativo.config.types import Kind

_TEXT: tuple[Kind, ...] = ("string", "uuid", "json")
_ORDERED: tuple[Kind, ...] = ("string", "long", "double", "decimal", "date", "time", "timestamp", "timestamptz")
# Which kinds of columns a rule is for.
RULES: dict[str, tuple[Kind, ...]] = {
    "pattern": _TEXT,
    "min_length": (*_TEXT, "binary", "list"),
    "max_length": (*_TEXT, "binary", "list"),
    "minimum": _ORDERED,
    "maximum": _ORDERED,
    "enum": (*_ORDERED, "uuid", "json", "boolean", "binary"),
    "default": (*_ORDERED, "uuid", "json", "boolean", "binary"),
}


def literal(field: Field, value: Any) -> Any:
    """A value as the column's type holds it; ValueError when it is none of the type."""
    try:
        return _CONVERT[field.kind](value, field)
    except (ValueError, TypeError, ArithmeticError, KeyError):
        raise ValueError(f"'{value}' is no {field.type_text()}") from None


def written(field: Field) -> Iterator[tuple[str, Any]]:
    """Each value that the contract writes down for a column, with its rule."""
    yield from (("enum", value) for value in field.enum or ())
    for rule in ("minimum", "maximum", "default"):
        if getattr(field, rule) is not None:
            yield rule, getattr(field, rule)


def _whole(value: Any, _field: Field) -> int:
    number = Decimal(str(value))
    if number != int(number) or abs(number) >= 1 << 63:
        raise ValueError(value)
    return int(number)


def _exact(value: Any, field: Field) -> Decimal:
    number = Decimal(str(value))
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or abs(number) >= Decimal(10) ** (field.precision - field.scale):
        raise ValueError(value)
    # More decimal places than the column has, which are not all zero.
    if any(digits[len(digits) + exponent + field.scale :] if exponent < -field.scale else ()):
        raise ValueError(value)
    return number


def _flag(value: Any, _field: Field) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]


_CONVERT: dict[Kind, Callable[[Any, Field], Any]] = {
    "string": lambda v, _: str(v),
    "uuid": lambda v, _: str(v).lower(),
    "json": lambda v, _: str(v),
    "long": _whole,
    "double": lambda v, _: float(v),
    "decimal": _exact,
    "boolean": _flag,
    "date": lambda v, _: date.fromisoformat(str(v)),
    "time": lambda v, _: time.fromisoformat(str(v)),
    "timestamp": lambda v, _: datetime.fromisoformat(str(v)),
    "timestamptz": lambda v, _: datetime.fromisoformat(str(v)),
    "binary": lambda v, _: str(v).encode(),
}
