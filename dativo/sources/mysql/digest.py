"""A digest of rows that the server makes of a table, and we of rows that were read of it: a count, and a sum of hashes.

The hash of a row is that of a text which no other row has: the lengths of its texts, then all of its values, each as the
server writes it and null as `n`. A value that the server writes otherwise than we believe makes digests differ, so that
rows are read again; it never makes them the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dativo.mysql.types import Column, Form
from dativo.mysql.wire import WireColumn
from dativo.sources.mysql.sql import quoted
from dativo.sources.protocol import FAULT

_NOT_NULL, _ZEROFILL = 1, 64
_YEAR, _BIT, _JSON = 13, 16, 245
# What a float has for its decimals that was declared without them.
_FREE = 31
_NULL = "n"
_UTF8 = ("utf8mb4", "utf8mb3", "utf8", "ascii")
_FLOATS = (Form.FLOAT, Form.DOUBLE)
# A server writes floats with fifteen digits before the point or fourteen zeros after it, and others with an exponent.
_MOST_DIGITS, _MOST_ZEROS = 15, 14


@dataclass(slots=True, frozen=True)
class Digest:
    """Of how many rows, and the sum of their hashes, each a number of 64 bits."""

    rows: int
    total: int


def comparable(columns: Sequence[Column], wire: Mapping[str, WireColumn], schema: Mapping[str, pl.DataType]) -> bool:
    """Whether a digest can be made of rows that were kept with some dtypes, which may be wider than the columns'."""
    return bool(columns) and all(_value(c, wire[c.name]) and _kept(c, schema[c.name]) for c in columns)


def _kept(column: Column, dtype: pl.DataType) -> bool:
    return dtype == column.dtype or (dtype.is_integer() and column.dtype.is_integer())


def charsets(columns: Sequence[Column]) -> str:
    """What a SELECT asks for the character set of each column."""
    return ", ".join(f"CHARSET(MAX({quoted(c.name)}))" for c in columns)


def selected(columns: Sequence[Column], wire: Mapping[str, WireColumn], charset: Mapping[str, str | None]) -> str:
    """What a SELECT asks for the digest of its rows: two columns, the count and the sum.

    `charset` are those that the columns have: one that is UTF-8 already is not converted, which takes a while.
    """
    lengths, values = [], []
    for column in columns:
        nullable = not wire[column.name].flags & _NOT_NULL
        value = _value(column, wire[column.name]) or ""
        if column.form == Form.TEXT:
            if charset[column.name] in _UTF8 and wire[column.name].type != _JSON:
                value = quoted(column.name)
            length = f"LENGTH({value})"
            lengths.append(f"IFNULL({length}, '{_NULL}')" if nullable else length)
            values.append(f"IFNULL({value}, '')" if nullable else value)
        else:
            values.append(f"IFNULL({value}, '{_NULL}')" if nullable else value)
    row = f"CONCAT_WS(',', {', '.join([*lengths, *values])})"
    # CRC32 would not do: its sums over rows that are all changed alike are often the same.
    number = f"CAST(CONV(LEFT(SHA2({row}, 256), 16), 16, 10) AS UNSIGNED)"
    return f"COUNT(*), CAST(IFNULL(SUM({number}), 0) AS CHAR)"


def _value(column: Column, wire: WireColumn) -> str | None:
    """A value as the server is asked for it; None where it has no text that tells all of it."""
    name, form = quoted(column.name), column.form
    if form == Form.TEXT:
        return f"CAST({name} AS CHAR)" if wire.type == _JSON else f"CONVERT({name} USING utf8mb4)"
    if form == Form.BYTES:
        return f"HEX({name})" if wire.type != _BIT else None
    if form in _FLOATS:
        return f"({name} + 0e0)" if wire.decimals == _FREE else None
    plain = wire.type not in (_YEAR, _BIT) and not wire.flags & _ZEROFILL
    return name if plain else f"({name} + 0)"


def digested(columns: Sequence[Column], frames: Iterable[pl.DataFrame]) -> Digest | None:
    """The digest of rows that were read; None where one has a fault: it holds what no column can."""
    rows = total = 0
    lengths = [pl.col(c.name).str.len_bytes().cast(pl.String).fill_null(_NULL) for c in columns if c.form == Form.TEXT]
    for frame in frames:
        if frame[FAULT].null_count() < frame.height:
            return None
        written = frame.with_columns(_floats(frame[c.name]) for c in columns if c.form in _FLOATS)
        texts = written.select(pl.concat_str(*lengths, *map(_text, columns), separator=",").cast(pl.Binary)).to_series()
        hashes = b"".join([hashlib.sha256(text).digest()[:8] for text in texts.to_list()])
        numbers = np.frombuffer(hashes, dtype=">u8")
        total += (int((numbers >> 32).sum()) << 32) + int((numbers & 0xFFFFFFFF).sum())
        rows += frame.height
    return Digest(rows, total)


def _text(column: Column) -> pl.Expr:
    """A column's values as the server writes them; a float is a text already."""
    value, form = pl.col(column.name), column.form
    if form == Form.TEXT:
        return value.fill_null("")
    if form == Form.BYTES:
        value = value.bin.encode("hex").str.to_uppercase()
    elif form == Form.DATE:
        value = value.dt.to_string("%Y-%m-%d")
    elif form == Form.DATETIME:
        width = 20 + column.decimals if column.decimals else 19
        value = value.dt.replace_time_zone(None).dt.to_string("%Y-%m-%d %H:%M:%S%.6f").str.slice(0, width)
    return value.cast(pl.String).fill_null(_NULL)


def _floats(values: pl.Series) -> pl.Series:
    texts = [None if v is None else float_text(v) for v in values.to_list()]
    return pl.Series(values.name, texts, dtype=pl.String)


def float_text(value: float) -> str:
    """A float as the server writes it: the fewest digits that tell it from all others."""
    number, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = number.partition(".")
    written = whole + fraction
    digits = written.lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(written) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not digits:
        return f"{sign}0"
    if (point > _MOST_DIGITS and len(digits) <= point) or point < -_MOST_ZEROS:
        rest = f".{digits[1:]}" if digits[1:] else ""
        return f"{sign}{digits[0]}{rest}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point:
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"
