"""The first record of a CSV file: which columns it names, and where the data begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dativo.config.column_names import usable
from dativo.errors import SourceError
from dativo.sources.csv_record import Dialect, Record, read_record, resume_record

MAX_HEADER = 16 << 20
# How much of a file is looked through for the end of a quote in the header.
MAX_OPEN = 1 << 20
RESERVED = "__dativo_"


@dataclass(slots=True, frozen=True)
class Header:
    """Columns of a file in order, the offset of its first record in its UTF-8 text, and how its lines end.

    `empty` tells that the file has no record at all, not even a header.
    """

    columns: tuple[str, ...]
    start: int
    lone_returns: bool = False
    empty: bool = False


def read_header(
    pieces: Callable[[], Iterator[bytes]],
    dialect: Dialect,
    name: str,
    *,
    has_header: bool,
    skip_rows: int,
    comment: str | None,
    names: tuple[str, ...],
) -> Header:
    """The header of a file.

    Without a header the columns are `names`, the contract's, in order. Raises SourceError for a header that names a
    column twice or cannot be read, and for a first record without a header that has another number of fields.
    """
    head = _Head(pieces(), name)
    for _ in range(skip_rows):
        head.line()
    text = ""
    while not text or (comment is not None and text.startswith(comment)):
        start = head.position
        line = head.line()
        if line is None:
            return Header(names if not has_header else (), head.position, head.lone_returns, empty=True)
        text = head.text(line)
    record = _first_record(head, text, dialect)
    if not has_header:
        _check_width(name, len(record.fields), names)
        return Header(names, start, head.lone_returns)
    return Header(_columns(record.fields, name), head.position, head.lone_returns)


def _first_record(head: _Head, text: str, dialect: Dialect) -> Record:
    """The record that begins with a line, with the further lines that belong to it."""
    record, begun = read_record(text, dialect), head.position
    while record.open and not record.fault:
        number, parts = len(record.fields) - 1, [record.fields[-1] or ""]
        closed = None
        while closed is None:
            more = head.line() if head.position - begun < MAX_OPEN else None
            if more is None:
                raise SourceError(
                    f"the header of '{head.name}' opens a quote that does not end", hint="check the option 'quote_char'"
                )
            text = head.text(more)
            closed = resume_record(record, text, dialect)
            parts.append(text[:closed])
        quote = dialect.quote or ""
        record.fields[number] = head.end_mark.decode().join(parts).replace(quote * 2, quote)
    if record.fault:
        raise SourceError(
            f"the header of '{head.name}' cannot be read: {record.fault}", hint="check the option 'quote_char'"
        )
    return record


def _columns(fields: list[str | None], name: str) -> tuple[str, ...]:
    """The header's names; an empty one is called by its position."""
    columns: list[str] = []
    for position, field in enumerate(fields, 1):
        column = field if field is not None and field.strip() else f"column_{position}"
        if column in columns:
            raise SourceError(
                f"the header of '{name}' names the column '{column}' twice (positions {columns.index(column) + 1} and "
                f"{position})",
                hint="rename one of them in the file, or set `has_header: false` with `skip_rows: 1`",
            )
        if column.startswith(RESERVED):
            raise SourceError(
                f"the header of '{name}' names a column '{column}': names that start so are kept for dativo itself",
                hint="rename it in the file, or set `has_header: false` with `skip_rows: 1`",
            )
        if not usable(column):
            raise SourceError(
                f"the header of '{name}' names a column '{column}', which no column can be called",
                hint="rename it in the file, or set `has_header: false` with `skip_rows: 1`",
            )
        columns.append(column)
    return tuple(columns)


def _check_width(name: str, have: int, names: tuple[str, ...]) -> None:
    if have != len(names):
        raise SourceError(
            f"'{name}' has {have} fields in its first record, the contract has {len(names)} columns",
            hint="without a header, fields are taken in the contract's order: check 'has_header' and 'delimiter'",
            field="source.engine.options.has_header",
        )


class _Head:
    """Lines from the start of a file, with the offset that was reached."""

    def __init__(self, pieces: Iterator[bytes], name: str) -> None:
        self.pieces = pieces
        self.name = name
        self.data = next(pieces, b"")
        self.position = 0
        # The first line break tells how lines end.
        while b"\n" not in self.data and len(self.data) <= MAX_HEADER and (more := next(pieces, None)) is not None:
            self.data += more
        self.lone_returns = b"\r" in self.data and b"\n" not in self.data
        self.end_mark = b"\r" if self.lone_returns else b"\n"

    def line(self) -> bytes | None:
        """The next line without its break, or None at the end."""
        while True:
            end = self.data.find(self.end_mark, self.position)
            if end >= 0:
                line = self.data[self.position : end]
                self.position = end + 1
                return line
            if len(self.data) - self.position > MAX_HEADER:
                raise SourceError(
                    f"the first line of '{self.name}' is longer than {MAX_HEADER >> 20} MiB", hint="is this a CSV file?"
                )
            more = next(self.pieces, None)
            if more is None:
                break
            self.data += more
        if self.position >= len(self.data):
            return None
        line, self.position = self.data[self.position :], len(self.data)
        return line

    def text(self, line: bytes) -> str:
        if b"\0" in line:
            raise SourceError(
                f"the first line of '{self.name}' holds NUL bytes",
                hint="is it UTF-16? Then set the option `encoding: utf-16-le`; otherwise it is no CSV file",
                field="source.engine.options.encoding",
            )
        try:
            return line.decode().removesuffix("\r")
        except UnicodeDecodeError:
            raise SourceError(
                f"the first line of '{self.name}' is not UTF-8",
                hint="set the option `encoding`, as latin-1, cp1252 or utf-16-le",
                field="source.engine.options.encoding",
            ) from None
