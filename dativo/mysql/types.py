"""The types of MySQL and MariaDB: how each is read, and what contract field holds all of its values.

| column | read as |
|---|---|
| integers, YEAR | the integer of its width and sign |
| FLOAT, DOUBLE | 32 and 64 bits, as they are |
| DECIMAL(p, s) | decimal up to 38 digits, text beyond |
| BIT(n) | an unsigned integer; its bytes where the contract says `binary` |
| DATE, DATETIME, TIMESTAMP | date; microseconds, those of TIMESTAMP in UTC; text where the contract says `string` |
| TIME | text, because it reaches from -838:59:59 to 838:59:59 |
| CHAR, TEXT, ENUM, SET, JSON, UUID, INET | text |
| BINARY, BLOB, GEOMETRY, VECTOR | bytes |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import polars as pl

from dativo.config.asset import Field
from dativo.config.types import Kind
from dativo.mysql.wire import WireColumn

UNSIGNED, BINARY_CHARSET = 32, 63
MOST_DIGITS = 38


class Form(Enum):
    """How values of a column are laid out, and what is made of them."""

    INT8 = auto()
    UINT8 = auto()
    INT16 = auto()
    UINT16 = auto()
    INT32 = auto()
    UINT32 = auto()
    INT64 = auto()
    UINT64 = auto()
    FLOAT = auto()
    DOUBLE = auto()
    DECIMAL = auto()
    DECIMAL_TEXT = auto()
    BITS = auto()
    DATE = auto()
    DATE_TEXT = auto()
    DATETIME = auto()
    DATETIME_TEXT = auto()
    TIME_TEXT = auto()
    TEXT = auto()
    BYTES = auto()


_DTYPES: dict[Form, pl.DataType] = {
    Form.INT8: pl.Int8(), Form.UINT8: pl.UInt8(), Form.INT16: pl.Int16(), Form.UINT16: pl.UInt16(),
    Form.INT32: pl.Int32(), Form.UINT32: pl.UInt32(), Form.INT64: pl.Int64(), Form.UINT64: pl.UInt64(),
    Form.FLOAT: pl.Float32(), Form.DOUBLE: pl.Float64(), Form.BITS: pl.UInt64(), Form.DATE: pl.Date(),
    Form.BYTES: pl.Binary(),
}  # fmt: skip
_INTEGERS = {1: (Form.INT8, Form.UINT8), 2: (Form.INT16, Form.UINT16), 3: (Form.INT32, Form.UINT32),
             8: (Form.INT64, Form.UINT64), 9: (Form.INT32, Form.UINT32), 13: (Form.UINT16, Form.UINT16)}  # fmt: skip
_DECIMAL, _FLOAT, _DOUBLE, _TIMESTAMP, _DATE, _TIME, _DATETIME = (0, 246), 4, 5, 7, (10, 14), 11, 12
_BIT, _JSON, _ENUM, _SET, _VECTOR, _GEOMETRY = 16, 245, 247, 248, 242, 255


@dataclass(slots=True, frozen=True)
class Column:
    """A column as it is read: its name, form and dtype; `decimals` are the digits of a second's fraction."""

    name: str
    form: Form
    dtype: pl.DataType
    decimals: int = 0


def column_of(wire: WireColumn, wanted: Kind | None) -> Column:
    """How a column is read. `wanted` is the contract's type for it, None where the contract has none: text is wanted."""
    form = _form(wire, wanted)
    if form == Form.DECIMAL:
        return Column(wire.name, form, pl.Decimal(digits(wire), wire.decimals))
    if form == Form.DATETIME:
        zone = "UTC" if wire.type == _TIMESTAMP else None
        return Column(wire.name, form, pl.Datetime("us", zone), wire.decimals)
    return Column(wire.name, form, _DTYPES.get(form, pl.String()), wire.decimals)


def digits(wire: WireColumn) -> int:
    """The precision of a decimal: its length without point and sign."""
    return wire.length - (wire.decimals > 0) - (not wire.flags & UNSIGNED)


def _form(wire: WireColumn, wanted: Kind | None) -> Form:
    if wire.type in _INTEGERS:
        return _INTEGERS[wire.type][bool(wire.flags & UNSIGNED)]
    if wire.type in _DECIMAL:
        return Form.DECIMAL if 0 < digits(wire) <= MOST_DIGITS else Form.DECIMAL_TEXT
    as_text = wanted in ("string", None)
    if wire.type in _DATE:
        return Form.DATE_TEXT if as_text else Form.DATE
    if wire.type in (_TIMESTAMP, _DATETIME):
        return Form.DATETIME_TEXT if as_text else Form.DATETIME
    if wire.type == _BIT:
        return Form.BYTES if wanted == "binary" else Form.BITS
    fixed = {_FLOAT: Form.FLOAT, _DOUBLE: Form.DOUBLE, _TIME: Form.TIME_TEXT, _JSON: Form.TEXT, _GEOMETRY: Form.BYTES,
             _VECTOR: Form.BYTES, _ENUM: Form.TEXT, _SET: Form.TEXT}  # fmt: skip
    if wire.type in fixed:
        return fixed[wire.type]
    return Form.BYTES if wire.charset == BINARY_CHARSET else Form.TEXT


_KINDS: dict[Form, Kind] = {
    Form.FLOAT: "double", Form.DOUBLE: "double", Form.DATE: "date", Form.DATETIME: "timestamp", Form.BYTES: "binary",
}  # fmt: skip


def contract_field(wire: WireColumn, native: str = "") -> tuple[Field, bool]:
    """The contract field that holds all values of a column, and whether it does so with a type of its own.

    `native` is the name of the column's type in the catalog, where it is known: it tells TINYINT(1), JSON and UUID.
    """
    native = native.lower()
    column = column_of(wire, "timestamp")
    if native == "tinyint(1)":
        return Field(name=wire.name, kind="boolean"), True
    if native.startswith(("json", "uuid")):
        return Field(name=wire.name, kind="json" if native.startswith("json") else "uuid"), True
    if column.form == Form.UINT64:
        return Field(name=wire.name, kind="decimal", precision=20, scale=0), True
    if column.form == Form.BITS:
        wide = wire.length == 64
        if wide:
            return Field(name=wire.name, kind="decimal", precision=20, scale=0), True
        return Field(name=wire.name, kind="boolean" if wire.length == 1 else "long"), True
    if column.form == Form.DECIMAL:
        return Field(name=wire.name, kind="decimal", precision=digits(wire), scale=wire.decimals), True
    if column.form == Form.DATETIME and wire.type == _TIMESTAMP:
        return Field(name=wire.name, kind="timestamptz"), True
    if column.dtype.is_integer():
        return Field(name=wire.name, kind="long"), True
    lossless = column.form not in (Form.DECIMAL_TEXT, Form.TIME_TEXT)
    return Field(name=wire.name, kind=_KINDS.get(column.form, "string")), lossless
