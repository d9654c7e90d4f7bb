"""Rows of the binary protocol as columns, each decoded for all rows of a block at once.

A row is a zero byte, a bit for each column that tells whether it is null, and the values that are not. Numbers have a fixed
width, times a length byte and up to eleven or twelve bytes, everything else is preceded by its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.lib as pa

from dativo.mysql.types import Column, Form
from dativo.mysql.wire import PADDING, Block

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_WIDTHS = {Form.INT8: 1, Form.UINT8: 1, Form.INT16: 2, Form.UINT16: 2, Form.INT32: 4, Form.UINT32: 4, Form.INT64: 8,
           Form.UINT64: 8, Form.FLOAT: 4, Form.DOUBLE: 8}  # fmt: skip
_CODES = {Form.INT8: "i1", Form.UINT8: "u1", Form.INT16: "<i2", Form.UINT16: "<u2", Form.INT32: "<i4", Form.UINT32: "<u4",
          Form.INT64: "<i8", Form.UINT64: "<u8", Form.FLOAT: "<f4", Form.DOUBLE: "<f8"}  # fmt: skip
# A value of 0 to 12 bytes lies in the view of it: these cut off what follows it in the block.
_FOUR = np.array([(1 << 8 * n) - 1 for n in range(5)], dtype=np.uint64)
_EIGHT = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)
_INLINE = 12


def _months() -> tuple[Ints, Ints]:
    """For 16 * year + month: the days from 1970 to the day before its first; and its days, 0 without such a month."""
    months = np.arange("0001-01", "10000-01", dtype="datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    days = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    before, length = np.zeros((65536, 16), np.int64), np.zeros((65536, 16), np.int64)
    before[1:10000, 1:13] = first.reshape(-1, 12) - 1
    length[1:10000, 1:13] = days.reshape(-1, 12)
    return before.reshape(-1), length.reshape(-1)


_BEFORE, _DAYS = _months()


@dataclass(slots=True)
class Decoded:
    """Columns of a block, and of rows that hold what no column can: which, and why."""

    columns: dict[str, pl.Series] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)


def decoded(block: Block, columns: Sequence[Column], width: int | None = None) -> Decoded:
    """The first columns of the block, whose rows have `width` columns: all of them without it."""
    return _Decoder(block, columns, width or len(columns)).run()


class _Decoder:
    """Walks through the columns of all rows together: `at` is the offset of each row's next value."""

    def __init__(self, block: Block, columns: Sequence[Column], width: int) -> None:
        data = block.data
        self.data, self.rows, self.columns = data, block.rows, columns
        self.buffer = pa.py_buffer(data)
        self.at: Ints = block.rows + 1 + (width + 9) // 8
        self.found = Decoded()

    def seen(self, code: str) -> npt.NDArray[Any]:
        """The block as numbers that begin at each of its bytes."""
        return np.ndarray((len(self.data) - 8,), code, self.data, strides=(1,))

    def run(self) -> Decoded:
        for position, column in enumerate(self.columns):
            bits = self.data[self.rows + 1 + (position + 2) // 8]
            null: Flags | None = (bits & (1 << (position + 2) % 8)).astype(bool)
            if null is not None and not null.any():
                null = None
            self.found.columns[column.name] = self.value(column, null)
        return self.found

    def value(self, column: Column, null: Flags | None) -> pl.Series:
        form = column.form
        if form in _WIDTHS:
            values = self.seen(_CODES[form])[self.at]
            self.step(_WIDTHS[form], null)
            return _series(column.name, values, column.dtype, null)
        if form in (Form.DATE, Form.DATETIME, Form.DATE_TEXT, Form.DATETIME_TEXT):
            return self.moment(column, null)
        if form == Form.TIME_TEXT:
            return self.clock(column, null)
        return self.sized(column, null)

    def step(self, width: int | Ints, null: Flags | None) -> None:
        self.at = self.at + (width if null is None else np.where(null, 0, width))

    def lengths(self, null: Flags | None) -> Ints:
        """The length byte of times; 0 where there is none."""
        length = self.data[self.at].astype(np.int64)
        return length if null is None else np.where(null, 0, length)

    def moment(self, column: Column, null: Flags | None) -> pl.Series:
        length = self.lengths(null)
        date = self.seen("<i8")[self.at + 1]
        micros: Any = 0
        if not (length == 11).all():
            date = np.where(length == 0, 0, np.where(length == 4, date & 0xFFFFFFFF, date))
            if (length == 11).any():
                micros = np.where(length == 11, self.seen("<u4")[self.at + 8], 0).astype(np.int64)
        else:
            micros = self.seen("<u4")[self.at + 8].astype(np.int64)
        self.step(length + 1, null)
        year, month, day = date & 0xFFFF, (date >> 16) & 0xFF, (date >> 24) & 0xFF
        hour, minute, second = (date >> 32) & 0xFF, (date >> 40) & 0xFF, (date >> 48) & 0xFF
        if column.form in (Form.DATE_TEXT, Form.DATETIME_TEXT):
            parts = {"y": year, "m": month, "d": day, "h": hour, "i": minute, "s": second, "f": micros}
            return _moment_text(column, parts, len(self.rows), null)
        index = (year << 4) | (month & 15)
        wrong = ((day - 1).view(np.uint64) >= _DAYS[index].view(np.uint64)) | (month > 12)
        if null is not None:
            wrong &= ~null
        if wrong.any():
            for row in np.flatnonzero(wrong):
                text = f"{year[row]:04}-{month[row]:02}-{day[row]:02}"
                if column.form == Form.DATETIME:
                    text += f" {hour[row]:02}:{minute[row]:02}:{second[row]:02}"
                self.found.faults.setdefault(int(row), f"no_date: {column.name} is {text}")
            null = wrong if null is None else null | wrong
        days = _BEFORE[index] + day
        if column.form == Form.DATE:
            return _series(column.name, days.astype(np.int32), column.dtype, null)
        seconds = days * 86400 + hour * 3600 + minute * 60 + second
        return _series(column.name, seconds * 1_000_000 + micros, column.dtype, null)

    def clock(self, column: Column, null: Flags | None) -> pl.Series:
        length = self.lengths(null)
        given = length > 0
        parts = {
            "minus": np.where(given, self.data[self.at + 1], 0),
            "days": np.where(given, self.seen("<u4")[self.at + 2], 0),
            "h": np.where(given, self.data[self.at + 6], 0),
            "i": np.where(given, self.data[self.at + 7], 0),
            "s": np.where(given, self.data[self.at + 8], 0),
            "f": np.where(length == 12, self.seen("<u4")[self.at + 9], 0),
        }
        self.step(length + 1, null)
        frame = pl.DataFrame({n: v.astype(np.int64) for n, v in parts.items()})
        hours = (pl.col("days") * 24 + pl.col("h")).cast(pl.String).str.zfill(2)
        sign = pl.when(pl.col("minus") == 1).then(pl.lit("-")).otherwise(pl.lit(""))
        text = pl.concat_str(sign, hours, pl.lit(":"), _two("i"), pl.lit(":"), _two("s"), *_fraction(column.decimals))
        return _masked(frame.select(text.alias(column.name)).to_series(), null)

    def sized(self, column: Column, null: Flags | None) -> pl.Series:
        """Values with their length in front: text, bytes, decimals, bits."""
        short = self.data[self.at]
        length, head = short.astype(np.int64), np.ones(len(short), np.int64)
        if (short > 250).any():
            for mark, code, mask, size in ((0xFC, "<u2", 0xFFFF, 3), (0xFD, "<u4", 0xFFFFFF, 4), (0xFE, "<i8", -1, 9)):
                chosen = short == mark
                if chosen.any():
                    length[chosen] = self.seen(code)[self.at[chosen] + 1].astype(np.int64) & mask
                    head[chosen] = size
        if null is not None:
            length, head = np.where(null, 0, length), np.where(null, 0, head)
        start = self.at + head
        self.at = start + length
        if column.form == Form.BITS:
            # The bytes are the number's, the greatest first: eight that end where it ends hold it.
            number = self.seen(">u8")[start + length - 8].astype(np.uint64) & _EIGHT[length]
            return _series(column.name, number, column.dtype, null)
        return self.typed(column, self.views(column.name, start, length, null), null)

    def typed(self, column: Column, raw: pl.Series, null: Flags | None) -> pl.Series:
        if column.form == Form.BYTES:
            return raw
        try:
            text = raw.cast(pl.String)
        except pl.exceptions.ComputeError:
            text = self.mended(column, raw)
        if column.form != Form.DECIMAL:
            return text
        number = text.cast(column.dtype, strict=False)
        if number.null_count() > text.null_count():
            lost = (number.is_null() & text.is_not_null()).arg_true()
            for row in lost:
                self.found.faults.setdefault(int(row), f"no_decimal: {column.name} is {text[int(row)]}")
        return number

    def mended(self, column: Column, raw: pl.Series) -> pl.Series:
        """Text of which some is no UTF-8, though the server says it were."""
        values: list[str | None] = []
        for row, value in enumerate(raw):
            try:
                values.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                values.append(None)
                self.found.faults.setdefault(row, f"no_text: {column.name} is 0x{value[:64].hex()}, which is no UTF-8")
        return pl.Series(column.name, values, dtype=pl.String)

    def views(self, name: str, start: Ints, length: Ints, null: Flags | None) -> pl.Series:
        """Values that stay where they are in the block: Arrow's binary views point to them, short ones lie in the view."""
        views = np.empty((len(start), 2), dtype=np.uint64)
        four = self.seen("<u4")[start].astype(np.uint64) & _FOUR[np.minimum(length, 4)]
        views[:, 0] = length.view(np.uint64) | four << np.uint64(32)
        eight = self.seen("<u8")[start + 4] & _EIGHT[np.clip(length - 4, 0, 8)]
        views[:, 1] = np.where(length <= _INLINE, eight, start.view(np.uint64) << np.uint64(32))
        array = pa.Array.from_buffers(
            pa.binary_view(),
            len(start),
            [_validity(null), pa.py_buffer(views), self.buffer],
            -1 if null is not None else 0,
        )
        return pl.Series(name, pl.from_arrow(array))


assert PADDING >= 24, "a value at the end of a block is looked at with what follows it"


def _validity(null: Flags | None) -> Any:
    return None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))


def _series(name: str, values: npt.NDArray[Any], dtype: pl.DataType, null: Flags | None) -> pl.Series:
    series = pl.Series(name, values)
    if series.dtype != dtype:
        series = series.cast(dtype)
    return _masked(series, null)


def _masked(series: pl.Series, null: Flags | None) -> pl.Series:
    if null is None:
        return series
    return series.zip_with(
        pl.Series(~null), pl.Series(series.name, [None], dtype=series.dtype).new_from_index(0, len(series))
    )


def _two(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.zfill(2)


def _fraction(decimals: int) -> list[pl.Expr]:
    if not 0 < decimals <= 6:
        return []
    return [pl.lit("."), pl.col("f").cast(pl.String).str.zfill(6).str.slice(0, decimals)]


def _moment_text(column: Column, parts: dict[str, Any], height: int, null: Flags | None) -> pl.Series:
    frame = pl.DataFrame({n: np.broadcast_to(v, height).astype(np.int64) for n, v in parts.items()})
    text = [pl.col("y").cast(pl.String).str.zfill(4), pl.lit("-"), _two("m"), pl.lit("-"), _two("d")]
    if column.form == Form.DATETIME_TEXT:
        text += [pl.lit(" "), _two("h"), pl.lit(":"), _two("i"), pl.lit(":"), _two("s"), *_fraction(column.decimals)]
    return _masked(frame.select(pl.concat_str(text).alias(column.name)).to_series(), null)
