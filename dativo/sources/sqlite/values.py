"""SQLite's values, of which each has a type of its own, as columns that have one.

The type that a column was declared with decides, and what the contract wants of it:

| declared as | read as | what does not fit |
|---|---|---|
| `…INT…` | 64-bit integer; text where the contract wants text, a date or a time | a fault |
| `…REAL…`, `…FLOA…`, `…DOUB…` | 64-bit float; text where the contract wants text, a date or a time | a fault |
| `…BLOB…` | bytes, those of a text in UTF-8 | a fault |
| everything else | text: of numbers all of their digits | bytes are a fault, unless the contract says `binary` |

A date or time is what the contract makes of the text: ISO 8601, or by `formats`, `%s` for seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import polars as pl

from dativo.config.types import Kind

_TEXTUAL = ("string", "json", "uuid", "date", "time", "timestamp", "timestamptz", None)


class Form(Enum):
    """What values of a column are read as."""

    INTEGER = "integer"
    FLOAT = "float"
    BYTES = "bytes"
    TEXT = "text"


DTYPES: dict[Form, pl.DataType] = {
    Form.INTEGER: pl.Int64(), Form.FLOAT: pl.Float64(), Form.BYTES: pl.Binary(), Form.TEXT: pl.String(),
}  # fmt: skip
_WHAT = {Form.INTEGER: "no_integer", Form.FLOAT: "no_number", Form.BYTES: "no_bytes", Form.TEXT: "no_text"}


@dataclass(slots=True, frozen=True)
class Column:
    """A column as it is read; `declared` is its type in the database, empty where it has none."""

    name: str
    declared: str
    form: Form

    @property
    def dtype(self) -> pl.DataType:
        return DTYPES[self.form]

    @property
    def told_apart(self) -> bool:
        """Whether values that SQLite tells apart are read as different ones.

        A column without an affinity may have the number 1 and the text '1', and a text and its bytes.
        """
        if self.form == Form.TEXT:
            return _textual(self.declared.upper())
        return self.form == Form.INTEGER


def column_of(name: str, declared: str, wanted: Kind | None) -> Column:
    """How a column is read. `wanted` is the contract's type for it, None where text is wanted."""
    return Column(name, declared, _form(declared.upper(), wanted))


def _form(declared: str, wanted: Kind | None) -> Form:
    """By SQLite's own rules of affinity, in their order."""
    if wanted == "binary":
        return Form.BYTES
    number = Form.TEXT if wanted in _TEXTUAL else None
    if "INT" in declared:
        return number or Form.INTEGER
    if _textual(declared):
        return Form.TEXT
    if "BLOB" in declared:
        return Form.BYTES
    if any(part in declared for part in ("REAL", "FLOA", "DOUB")):
        return number or Form.FLOAT
    return Form.TEXT


def _textual(declared: str) -> bool:
    """Whether SQLite makes every number a text in a column of this type."""
    return "INT" not in declared and any(part in declared for part in ("CHAR", "CLOB", "TEXT"))


def series(column: Column, values: Sequence[Any], faults: dict[int, str]) -> pl.Series:
    """The values as a column; for those that do not fit, null and a fault."""
    try:
        return _usual(column, values)
    except (TypeError, UnicodeEncodeError, OverflowError, pl.exceptions.PolarsError):
        pass
    made: list[Any] = []
    for row, value in enumerate(values):
        found = _made(column.form, value)
        if found is None and value is not None:
            faults.setdefault(row, f"{_WHAT[column.form]}: {column.name} is {_shown(value)}")
        made.append(found)
    return pl.Series(column.name, made, dtype=column.dtype)


def _usual(column: Column, values: Sequence[Any]) -> pl.Series:
    """The column where its values are of one type, as they mostly are; an error where they are not."""
    if column.form == Form.FLOAT and int in set(map(type, values)):
        # Polars would take an integer that no float is.
        raise TypeError
    try:
        return pl.Series(column.name, values, dtype=column.dtype, strict=True)
    except TypeError:
        types = set(map(type, values)) - {type(None)}
        if column.form == Form.TEXT and types <= {int, float}:
            return _numbers(values).alias(column.name)
        raise


def _numbers(values: Sequence[Any]) -> pl.Series:
    """Integers and floats as text, as Python writes them; Polars writes great and small floats otherwise."""
    whole = pl.Series([v if type(v) is int else None for v in values], dtype=pl.Int64, strict=True)
    floats = pl.Series([v if type(v) is float else None for v in values], dtype=pl.Float64, strict=True)
    sizes = floats.abs()
    sizes = sizes.filter(sizes > 0)
    plain = not len(sizes) or (sizes.min() >= 1e-4 and sizes.max() < 1e16)  # type: ignore[operator]
    if not plain:
        return pl.Series([None if v is None else repr(v) for v in values], dtype=pl.String, strict=True)
    return floats.cast(pl.String).zip_with(floats.is_not_null(), whole.cast(pl.String))


def _made(form: Form, value: Any) -> Any:
    """The value in a column's form, None where it has none in it."""
    if form == Form.INTEGER:
        return value if isinstance(value, int) else None
    if form == Form.FLOAT:
        exact = isinstance(value, int) and abs(value) <= 2**53
        return float(value) if exact or isinstance(value, float) else None
    if form == Form.BYTES:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        return value if isinstance(value, bytes) else None
    return text_of(value)


def text_of(value: Any) -> str | None:
    """A value as text with all that it says; None for bytes, and for text that is no UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value) else None
    return repr(value) if isinstance(value, int | float) else None


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"0x{value[:32].hex()}{'…' if len(value) > 32 else ''}"
    if isinstance(value, str):
        return "'" + value[:80].encode("utf-8", "backslashreplace").decode() + "'"
    return repr(value)
