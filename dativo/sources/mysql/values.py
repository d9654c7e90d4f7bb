"""Values of cursors and keys: as text, as typed parameters, and compared as the database compares them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum, auto

from dativo.errors import SourceError
from dativo.mysql.types import BINARY_CHARSET, UNSIGNED, Form, column_of, digits
from dativo.mysql.wire import WireColumn

_ENUM_OR_SET = 256 | 2048


class Order(Enum):
    """How values of a column are ordered."""

    INTEGER = auto()
    DECIMAL = auto()
    DATE = auto()
    MOMENT = auto()
    TEXT = auto()


def order_of(wire: WireColumn) -> Order | None:
    """None for columns that cannot be compared exactly by text: floats, times, bits, bytes, enumerations."""
    column = column_of(wire, "timestamp")
    if column.dtype.is_integer() and column.form != Form.BITS:
        return Order.INTEGER
    if column.form in (Form.DECIMAL, Form.DECIMAL_TEXT):
        return Order.DECIMAL
    if column.form == Form.DATE:
        return Order.DATE
    if column.form == Form.DATETIME:
        return Order.MOMENT
    if column.form == Form.TEXT and not wire.flags & _ENUM_OR_SET and wire.type != 245:
        return Order.TEXT
    return None


def parameter(wire: WireColumn) -> str:
    """A parameter of the column's type."""
    order = order_of(wire)
    if order == Order.INTEGER:
        # A negative number would become a great one: as UNSIGNED it is taken modulo 2^64.
        return "CAST(? AS DECIMAL(20, 0))" if wire.flags & UNSIGNED else "CAST(? AS SIGNED)"
    if order == Order.DECIMAL:
        return f"CAST(? AS DECIMAL(65, {min(30, 65 - digits(wire) + wire.decimals)}))"
    if order == Order.DATE:
        return "CAST(? AS DATE)"
    if order == Order.MOMENT:
        return "CAST(? AS DATETIME(6))"
    return "UNHEX(?)" if is_bytes(wire) else "?"


def is_bytes(wire: WireColumn) -> bool:
    """Whether values are bytes that are compared one by one; hexadecimal digits stand for them."""
    return wire.charset == BINARY_CHARSET and wire.type in (253, 254)


def lower_bound(order: Order, text: str, lookback_days: int) -> str:
    """The least value that is to be read; ValueError for text that is no value of the column."""
    if order == Order.DATE:
        return _shifted(_moment(text), lookback_days).date().isoformat()
    if order == Order.MOMENT:
        return _shifted(_moment(text), lookback_days).isoformat(" ")
    return plain(order, text)


def upper_bound(order: Order, text: str) -> str:
    """The value below which all that are to be read lie; ValueError for text that is no value of the column."""
    if order == Order.DATE:
        moment = _moment(text)
        whole = moment.time() == datetime.min.time()
        return (moment.date() if whole else moment.date() + timedelta(days=1)).isoformat()
    return plain(order, text)


def plain(order: Order, text: str) -> str:
    """A value in the one spelling that the server takes; ValueError for text that is none."""
    if order == Order.INTEGER:
        found = re.fullmatch(r"\s*([+-]?\d{1,20})(?:\.0+)?\s*", text)
        if found is None:
            raise ValueError(text)
        return str(int(found[1]))
    if order == Order.DECIMAL:
        return format(_number(text), "f")
    if order == Order.DATE:
        return _moment(text).date().isoformat()
    return _moment(text).isoformat(" ") if order == Order.MOMENT else text


def later(order: Order, a: str, b: str) -> bool:
    """Whether a comes after b. Texts are compared without the database, by their code points."""
    if order in (Order.INTEGER, Order.DECIMAL):
        return _number(a) > _number(b)
    if order in (Order.DATE, Order.MOMENT):
        return _moment(a) > _moment(b)
    return a > b


def is_value(order: Order, text: str) -> bool:
    """Whether what the database gave as the greatest value is one: zero dates are not."""
    try:
        plain(order, text)
    except ValueError:
        return False
    return True


def bad_value(what: str, text: str, wire: WireColumn) -> SourceError:
    example = {Order.DATE: "2026-01-31", Order.MOMENT: "2026-01-31 12:00:00"}.get(order_of(wire) or Order.TEXT, "42")
    return SourceError(f"{what} '{text}' is no value that the column '{wire.name}' can have", hint=f"as {example}")


def _number(text: str) -> Decimal:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(text) from None
    if not found.is_finite():
        raise ValueError(text)
    return found


def _moment(text: str) -> datetime:
    clean = text.strip()
    found = datetime.fromisoformat(clean)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo is not None else found


def _shifted(moment: datetime, days: int) -> datetime:
    earliest = datetime.combine(date.min, datetime.min.time())
    return moment - timedelta(days=days) if moment - earliest > timedelta(days=days) else earliest
