"""Prepared statements whose rows come as they are on the wire, in blocks of memory.

PyMySQL connects: it does the handshake, TLS and the accounts' plugins. It has no binary protocol, in which a server sends
numbers and times as they are, and makes an object of every value. So statements are prepared and run here, and rows are
taken from its socket. This is the one module that uses private names of PyMySQL; a test pins them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pymysql.connections import Connection, MysqlPacket
from pymysql.err import OperationalError
from pymysql.protocol import FieldDescriptorPacket

BLOCK = 4 << 20
PADDING = 32
"""Bytes behind a block that may be read, and mean nothing."""

_PREPARE, _EXECUTE, _CLOSE = 0x16, 0x17, 0x19
_LARGEST = 0xFFFFFF
_TEXT = struct.pack("<H", 253)
_header = struct.Struct("<I").unpack_from


@dataclass(slots=True, frozen=True)
class WireColumn:
    """What the server says of a column of a result: type, flags, number of its character set, length and decimals."""

    name: str
    type: int
    flags: int
    charset: int
    length: int
    decimals: int


@dataclass(slots=True, frozen=True)
class Block:
    """Rows as they came: bytes, PADDING of them behind the last, and the offset of each row's first byte."""

    data: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]


class Statement:
    """A prepared statement. Text stands for each of its parameters; None is null."""

    def __init__(self, connection: Connection[Any], sql: str) -> None:
        self.connection = connection
        connection._execute_command(_PREPARE, sql)
        answer = connection._read_packet().get_all_data()
        self._id, columns, parameters = struct.unpack_from("<xIHH", answer)
        if parameters:
            self._definitions(parameters)
        self.columns = self._definitions(columns) if columns else []

    def _definitions(self, count: int) -> list[WireColumn]:
        found = [self._definition(self.connection._read_packet(FieldDescriptorPacket)) for _ in range(count)]
        self.connection._read_packet()
        return found

    @staticmethod
    def _definition(packet: Any) -> WireColumn:
        # The number of decimals follows the flags, and PyMySQL calls it scale.
        return WireColumn(packet.name, packet.type_code, packet.flags, packet.charsetnr, packet.length, packet.scale)

    def execute(self, parameters: Sequence[str | None] = ()) -> list[WireColumn]:
        """Runs the statement; its columns, after which its rows are to be taken."""
        self.connection._execute_command(_EXECUTE, struct.pack("<IBI", self._id, 0, 1) + _bound(parameters))
        count = self.connection._read_packet().read_length_encoded_integer()
        self.columns = self._definitions(count)
        return self.columns

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """The rows of a statement that was executed. Errors that the server sends amid them are raised."""
        yield from _blocks(self.connection, size)

    def close(self) -> None:
        self.connection._execute_command(_CLOSE, struct.pack("<I", self._id))


def _bound(parameters: Sequence[str | None]) -> bytes:
    if not parameters:
        return b""
    nulls = bytearray((len(parameters) + 7) // 8)
    values = b""
    for position, value in enumerate(parameters):
        if value is None:
            nulls[position // 8] |= 1 << position % 8
        else:
            values += _sized(value.encode())
    return bytes(nulls) + b"\1" + _TEXT * len(parameters) + values


def _sized(value: bytes) -> bytes:
    """Bytes with their length in front of them."""
    if len(value) < 251:
        return bytes([len(value)]) + value
    return b"\xfd" + len(value).to_bytes(3, "little") + value


def _blocks(connection: Connection[Any], size: int) -> Iterator[Block]:
    read = _reading(connection._rfile)
    data = np.empty(size + PADDING, dtype=np.uint8)
    filled = 0
    while True:
        at = 0
        starts: list[int] = []
        ended: bytes | None = None
        while ended is None:
            # What is there already may be all there is: nothing more comes until the next statement.
            at = _starts(data, at, filled, starts)
            ended = _ends(data, starts, at) if starts else None
            if filled == len(data) - PADDING:
                break
            if ended is None:
                got = read(data.data[filled : len(data) - PADDING])
                if not got:
                    raise OperationalError(2013, "the connection was lost while rows were read")
                filled += got
        if ended is not None:
            starts.pop()
            if starts:
                yield Block(data, np.array(starts, dtype=np.int64))
            MysqlPacket(ended, "utf8").check_error()
            return
        if starts:
            yield Block(data, np.array(starts, dtype=np.int64))
        rest = filled - at
        if rest >= 4 and _length(data, at) == _LARGEST:
            row, after = _joined(data[at:filled].tobytes(), read)
            yield Block(row, np.zeros(1, dtype=np.int64))
            held: npt.NDArray[np.uint8] = np.frombuffer(after, dtype=np.uint8)
        else:
            held = data[at:filled]
        need = 4 + _length(data, at) if rest >= 4 else 0
        data = np.empty(max(size, min(need, _LARGEST + 4), len(held)) + PADDING, dtype=np.uint8)
        filled = len(held)
        data[:filled] = held


def _reading(file: Any) -> Callable[[memoryview], int]:
    """Reads what has come, at least a byte, into a buffer.

    What PyMySQL's reader holds already comes first. Its own `readinto1` waits for more where it holds less than fits.
    """
    held = len(file.peek())

    def read(into: memoryview) -> int:
        nonlocal held
        if not held:
            return int(file.raw.readinto(into))
        got = int(file.readinto(into[:held]))
        held -= got
        return got

    return read


def _length(data: npt.NDArray[np.uint8], at: int) -> int:
    return int(_header(data.data, at)[0]) & _LARGEST


def _starts(data: npt.NDArray[np.uint8], at: int, end: int, starts: list[int]) -> int:
    """Adds the offset of each whole packet's first byte; where the first that is not whole begins."""
    bytes_ = data.data
    add = starts.append
    last = end - 4
    while at <= last:
        length = _header(bytes_, at)[0] & _LARGEST
        after = at + 4 + length
        if after > end or length == _LARGEST:
            break
        add(at + 4)
        at = after
    return at


def _ends(data: npt.NDArray[np.uint8], starts: list[int], at: int) -> bytes | None:
    """The last packet if it is no row: the end of the result, or an error. Nothing follows either."""
    start = starts[-1]
    first = int(data[start])
    if first == 0xFF or (first == 0xFE and at - start < 9):
        return data[start:at].tobytes()
    return None


def _joined(begun: bytes, read: Any) -> tuple[npt.NDArray[np.uint8], bytes]:
    """A row of 16 MiB or more, which comes in several packets: its bytes, and what was read after it."""
    held, row, at = bytearray(begun), bytearray(), 0
    piece = memoryview(bytearray(BLOCK))
    while True:
        while len(held) < at + 4 or len(held) < at + 4 + (_header(held, at)[0] & _LARGEST):
            got = read(piece)
            if not got:
                raise OperationalError(2013, "the connection was lost while rows were read")
            held += piece[:got]
        length = _header(held, at)[0] & _LARGEST
        row += held[at + 4 : at + 4 + length]
        at += 4 + length
        if length < _LARGEST:
            row += bytes(PADDING)
            return np.frombuffer(row, dtype=np.uint8), bytes(held[at:])


def hang_up(connection: Connection[Any]) -> None:
    """Ends a connection at once, also while another thread waits for what it sends."""
    with suppress(OSError, AttributeError):
        connection._sock.shutdown(socket.SHUT_RDWR)
    connection._force_close()
