"""MySQL's binary rows, decoded without a server, against values that are written by the protocol's own rules."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.connections import Connection, MysqlPacket
from pymysql.err import OperationalError
from pymysql.protocol import FieldDescriptorPacket

from dativo.mysql import wire
from dativo.mysql.decode import decoded
from dativo.mysql.types import column_of
from dativo.mysql.wire import PADDING, Block, WireColumn
from dativo.sources.mysql.values import Order, later, lower_bound, upper_bound

COLUMNS = [
    WireColumn("n", 8, 0, 63, 20, 0), WireColumn("u", 2, 32, 63, 5, 0), WireColumn("d", 5, 0, 63, 22, 31),
    WireColumn("t", 253, 0, 45, 400, 0), WireColumn("b", 252, 0, 63, 65535, 0), WireColumn("day", 10, 0, 63, 10, 0),
    WireColumn("at", 7, 0, 63, 26, 6), WireColumn("bits", 16, 32, 63, 40, 0), WireColumn("last", 1, 0, 63, 4, 0),
]  # fmt: skip


def sized(value: bytes) -> bytes:
    if len(value) < 251:
        return bytes([len(value)]) + value
    return (
        b"\xfc" + struct.pack("<H", len(value)) + value
        if len(value) < 65536
        else b"\xfd" + len(value).to_bytes(3, "little") + value
    )


def moment(value: datetime) -> bytes:
    head = struct.pack("<HBBBBB", value.year, value.month, value.day, value.hour, value.minute, value.second)
    if value.microsecond:
        return b"\x0b" + head + struct.pack("<I", value.microsecond)
    return b"\x07" + head if value.time() != datetime.min.time() else b"\x04" + head[:4]


def row(values: tuple[Any, ...]) -> bytes:
    """A row as a server sends it."""
    nulls, data = bytearray((len(values) + 9) // 8), b""
    writers = [lambda v: struct.pack("<q", v), lambda v: struct.pack("<H", v), lambda v: struct.pack("<d", v),
               lambda v: sized(v.encode()), sized, lambda v: moment(datetime(v.year, v.month, v.day)), moment,
               lambda v: sized(v.to_bytes(5, "big")), lambda v: struct.pack("<b", v)]  # fmt: skip
    for i, (value, write) in enumerate(zip(values, writers, strict=True)):
        if value is None:
            nulls[(i + 2) // 8] |= 1 << (i + 2) % 8
        else:
            data += write(value)
    return b"\0" + bytes(nulls) + data


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(0, 70000).map("x".__mul__)
)
rows = st.tuples(
    *(st.none() | s for s in (
        st.integers(-(2**63), 2**63 - 1), st.integers(0, 65535), st.floats(allow_nan=False), texts,
        st.binary(max_size=300), st.dates(), st.datetimes(), st.integers(0, 2**40 - 1), st.integers(-128, 127),
    ))
)  # fmt: skip


@given(st.lists(rows, min_size=1, max_size=30))
def test_every_row_is_decoded_as_it_was_written(given_rows: list[tuple[Any, ...]]) -> None:
    data, starts = b"", []
    for values in given_rows:
        packet = row(values)
        starts.append(len(data) + 4)
        data += len(packet).to_bytes(3, "little") + b"\0" + packet
    block = Block(np.frombuffer(data + bytes(PADDING), dtype=np.uint8), np.array(starts, dtype=np.int64))
    found = decoded(block, [column_of(c, "timestamp") for c in COLUMNS])
    assert not found.faults
    expected = [(*v[:6], v[6].replace(tzinfo=UTC) if v[6] is not None else None, *v[7:]) for v in given_rows]
    assert list(zip(*(s.to_list() for s in found.columns.values()), strict=True)) == expected


def test_text_that_is_none_is_a_fault() -> None:
    packet = b"\0\0" + sized(b"good") + b"\0\0" + sized(b"\xff\xfe")
    block = Block(np.frombuffer(packet + bytes(PADDING), dtype=np.uint8), np.array([0, 7], dtype=np.int64))
    found = decoded(block, [column_of(WireColumn("t", 253, 0, 45, 40, 0), "string")])
    assert found.columns["t"].to_list() == ["good", None]
    assert found.faults == {1: "no_text: t is 0xfffe, which is no UTF-8"}


class Answers:
    """A connection that has received some bytes."""

    class Raw:
        def __init__(self, data: bytes, at_once: int) -> None:
            self.data, self.at_once = data, at_once

        def readinto(self, into: memoryview) -> int:
            size = min(len(into), self.at_once, len(self.data))
            into[:size], self.data = self.data[:size], self.data[size:]
            return size

    def __init__(self, data: bytes, at_once: int) -> None:
        self.raw = self.Raw(data, at_once)
        self._rfile = self

    def peek(self) -> bytes:
        return b""


@given(st.lists(st.integers(1, 3000), max_size=40), st.integers(1, 5000), st.integers(64, 4000))
def test_rows_are_found_wherever_reads_and_blocks_end(sizes: list[int], at_once: int, block: int) -> None:
    packets = [b"\0" + bytes([i % 251]) * (size - 1) for i, size in enumerate(sizes)]
    data = b"".join(len(p).to_bytes(3, "little") + b"\0" + p for p in [*packets, b"\xfe\0\0\2\0"])
    found = []
    for one in wire._blocks(Answers(data, at_once), block):
        for start in one.rows:
            length = int.from_bytes(one.data[start - 4 : start - 1].tobytes(), "little")
            found.append(one.data[start : start + length].tobytes())
    assert found == packets


def test_a_connection_that_ends_amid_rows_is_told() -> None:
    with pytest.raises(OperationalError, match="lost while rows"):
        list(wire._blocks(Answers(b"\5\0\0\0\0", 10), 100))


def test_an_error_amid_rows_is_raised_after_them() -> None:
    error = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    data = b"\2\0\0\0\0x" + len(error).to_bytes(3, "little") + b"\1" + error
    blocks = wire._blocks(Answers(data, 1000), 100)
    assert len(next(blocks).rows) == 1
    with pytest.raises(OperationalError, match="interrupted"):
        next(blocks)


def test_pymysql_has_what_is_used_of_it() -> None:
    for name in ("_execute_command", "_read_packet", "_force_close", "_sock", "_rfile"):
        assert hasattr(Connection, name), name
    assert hasattr(MysqlPacket, "check_error")
    assert FieldDescriptorPacket.__mro__[1] is MysqlPacket


@pytest.mark.parametrize(
    ("order", "text", "days", "expected"),
    [
        (Order.DATE, "2024-03-01", 1, "2024-02-29"), (Order.DATE, "2024-03-01T05:00:00", 0, "2024-03-01"),
        (Order.DATE, "0001-01-02", 5, "0001-01-01"), (Order.MOMENT, "2024-01-01T02:00:00+02:00", 0, "2024-01-01 00:00:00"),
        (Order.MOMENT, "2024-01-01 00:00:00.000001", 1, "2023-12-31 00:00:00.000001"), (Order.INTEGER, " 42.0", 3, "42"),
        (Order.DECIMAL, "1E+2", 0, "100"), (Order.TEXT, "'; DROP", 0, "'; DROP"),
    ],
)  # fmt: skip
def test_lower_bounds(order: Order, text: str, days: int, expected: str) -> None:
    assert lower_bound(order, text, days) == expected


@pytest.mark.parametrize(
    ("order", "text"), [(Order.INTEGER, "x"), (Order.DATE, "0000-00-00"), (Order.DECIMAL, "NaN"), (Order.MOMENT, "")]
)
def test_what_is_no_value_is_refused(order: Order, text: str) -> None:
    with pytest.raises(ValueError):
        lower_bound(order, text, 0)


def test_upper_bounds_of_dates_take_in_the_day_that_has_begun() -> None:
    assert upper_bound(Order.DATE, "2024-01-01") == "2024-01-01"
    assert upper_bound(Order.DATE, "2024-01-01 00:00:01") == "2024-01-02"


def test_values_are_compared_as_the_database_does() -> None:
    assert later(Order.INTEGER, "10", "9")
    assert later(Order.MOMENT, "2024-01-01 00:00:00.1", "2024-01-01")
    assert not later(Order.DATE, date(2024, 1, 1).isoformat(), "2024-01-01")
