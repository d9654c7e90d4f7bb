"""How many rows a file has, told by the bytes that went into it."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, Protocol

import pyarrow.parquet as pq

_read_footer: Any = pq.read_metadata
# A footer has about 200 bytes for each column of each row group: this is enough for files of some dozen columns.
_END = 256 * 1024


class Counter(Protocol):
    """Is fed with all bytes of a file in turn; `rows` is right after the last of them, None where it cannot tell."""

    def feed(self, piece: memoryview) -> None: ...

    def rows(self) -> int | None: ...


class LineCounter:
    """Rows of a file with one row on each line."""

    def __init__(self) -> None:
        self._lines = 0

    def feed(self, piece: memoryview) -> None:
        self._lines += bytes(piece).count(b"\n")

    def rows(self) -> int:
        return self._lines


class CsvCounter:
    """Records of a CSV file: lines that do not end inside quotes. A doubled quote leaves and enters again."""

    def __init__(self, quote: str = '"', *, header: bool = True) -> None:
        self._quote = quote.encode()
        self._header = header
        self._records = 0
        self._quoted = False

    def feed(self, piece: memoryview) -> None:
        parts = bytes(piece).split(self._quote)
        self._records += sum(part.count(b"\n") for part in parts[self._quoted :: 2])
        self._quoted ^= len(parts) % 2 == 0

    def rows(self) -> int:
        return max(0, self._records - self._header)


class ParquetCounter:
    """Rows of a Parquet file, which its footer tells: the end of the file is kept."""

    def __init__(self) -> None:
        self._end = bytearray()

    def feed(self, piece: memoryview) -> None:
        if len(piece) >= _END:
            self._end[:] = piece[-_END:]
            return
        self._end += piece
        if len(self._end) > 2 * _END:
            del self._end[:-_END]

    def rows(self) -> int | None:
        footer = int.from_bytes(self._end[-8:-4], "little") + 8
        return footer_rows(io.BytesIO(self._end)) if footer <= len(self._end) else None


def footer_rows(file: BinaryIO) -> int:
    """The rows of a Parquet file by its footer."""
    return int(_read_footer(file).num_rows)
