"""A block of CSV text read line by line: clean lines in bulk, the others one by one, each with its fault."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import polars as pl

from dativo.sources.csv_bulk import BlockFormat, Parsed, bulk, clean_lines, text_lines
from dativo.sources.csv_record import UNCLOSED, Record, read_record, resume_record
from dativo.sources.protocol import FAULT, ROW, TEXT

MAX_RECORD = 64 << 20
SHOWN_TEXT = 1 << 16


@dataclass(slots=True, frozen=True)
class _Odd:
    """A record that was read by itself: the line it starts in, its fields, its fault and its text."""

    line: int
    fields: list[str | None]
    fault: str
    text: str


class Careful:
    """Reads one block that ends with a line break.

    A record that does not end in it is left for the next block; at the file's end, or when it is longer than
    MAX_RECORD, its first line is a fault and reading goes on after it.
    """

    def __init__(self, data: bytes, form: BlockFormat) -> None:
        self.data = data
        self.form = form
        self.lines, self.valid = _lines(data)
        self.count = len(self.lines)
        self.offsets = _offsets(data, self.lines, valid=self.valid)
        quote = form.dialect.quote
        quoted = self.lines.str.contains(quote, literal=True).fill_null(True) if quote else None
        self.with_quote: list[int] = quoted.arg_true().to_list() if quoted is not None else []
        self.inside: list[int] = []
        self.left_out: list[int] = []
        self.odd: list[_Odd] = []
        # Up to which line an open record was followed in vain, and whether it came to a fault there.
        self.followed, self.in_vain = 0, False

    def read(self, *, at_end: bool) -> Parsed:
        clean = clean_lines(self.lines, self.form)
        stop = self.sort((~clean).arg_true().to_list(), at_end=at_end)
        clean, starts = clean.head(stop), pl.repeat(True, stop, dtype=pl.Boolean, eager=True)
        if self.inside:
            # A line inside a quoted field may look like a record, and is none.
            clean = clean.scatter(self.inside, False)
            starts = starts.scatter(self.inside, False)
        if self.left_out:
            starts = starts.scatter(self.left_out, False)
        numbers = starts.cast(pl.Int64).cum_sum() - 1
        pieces = [self.clean_piece(clean, numbers)] if clean.any() else []
        if self.odd:
            pieces.append(self.odd_piece(numbers))
        frame = pl.concat(pieces) if pieces else empty(self.form)
        rest = self.data[self.offsets[stop] :] if stop < self.count else b""
        return Parsed(frame.sort(ROW) if len(pieces) > 1 else frame, int(starts.sum() or 0), rest)

    def sort(self, suspects: list[int], *, at_end: bool) -> int:
        """Reads the lines that are not clean one by one; the line where the next block begins."""
        resume = 0
        for position in suspects:
            if position < resume:
                continue
            text = self.text(position)
            if self.is_left_out(text):
                self.left_out.append(position)
                continue
            record, end = self.record_from(position, text)
            if record.open and not record.fault:
                if not at_end and len(self.data) - self.offsets[position] < MAX_RECORD:
                    return position
                end = position + 1
            if record.open or (record.fault and end > position + 1):
                # No sense comes of the lines that follow, so the first one alone is the bad record.
                record, end = read_record(text, self.form.dialect), position + 1
                record.fault = UNCLOSED
            self.inside += range(position + 1, end)
            resume = end
            self.keep(position, end, record)
        return self.count

    def text(self, position: int) -> str:
        """A line without its break; bytes that are no UTF-8 are lone surrogates in it."""
        found: str | None = self.lines[position]
        return found if found is not None else _decoded(self.raw(position, position + 1)).removesuffix("\r")

    def raw(self, first: int, end: int) -> bytes:
        """The bytes of some lines, without the last one's break."""
        return self.data[self.offsets[first] : self.offsets[end]].removesuffix(b"\n").removesuffix(b"\r")

    def is_left_out(self, text: str) -> bool:
        """Blank lines of a table with several columns, and comments, are no records."""
        if self.form.comment is not None and text.startswith(self.form.comment):
            return True
        return not text and len(self.form.columns) > 1

    def record_from(self, position: int, text: str) -> tuple[Record, int]:
        """The record that starts in a line, and the line after it.

        While a quote is open it goes on in further lines, until it ends, has a fault, or the block ends.
        """
        dialect = self.form.dialect
        record = read_record(text, dialect)
        if record.open and position < self.followed:
            # Each of the lines that follow was read from inside of quotes before, and would be so again.
            record.fault = UNCLOSED if self.in_vain else record.fault
            return record, self.count
        line, further = position, bisect_right(self.with_quote, position)
        while record.open and not record.fault:
            start = self.offsets[line] + _width(text) - _width(record.fields[-1] or "")
            number, closed = len(record.fields) - 1, None
            # Only a line with a quote in it can end the field.
            while closed is None:
                if further >= len(self.with_quote):
                    self.followed, self.in_vain = self.count, False
                    return record, self.count
                line, further = self.with_quote[further], further + 1
                text = self.text(line)
                closed = resume_record(record, text, dialect)
            value = _decoded(self.data[start : self.offsets[line] + _width(text[:closed])])
            record.fields[number] = value.replace((dialect.quote or "") * 2, dialect.quote or "")
        if record.fault and line > position:
            self.followed, self.in_vain = line, True
        return record, line + 1

    def keep(self, position: int, end: int, record: Record) -> None:
        """Notes a record that was read by itself, with what is wrong about it."""
        raw = self.raw(position, end)
        fields, fault = record.fields, record.fault
        if not self.valid and not _is_utf8(raw):
            fields = [None if f is None else _shown(f.encode(errors="surrogateescape")) for f in fields]
            fault = "encoding: bytes that are not UTF-8"
        wanted, have = len(self.form.columns), len(fields)
        if not fault and have != wanted:
            fault = f"ragged: {have} field{'s' if have != 1 else ''}, expected {wanted}"
        if not fault and any(f is not None and "\0" in f for f in fields):
            fault = "nul_byte: a NUL character in the text"
        self.odd.append(_Odd(position, fields, fault, _shown(raw[:SHOWN_TEXT]) if fault else ""))

    def clean_piece(self, clean: pl.Series, numbers: pl.Series) -> pl.DataFrame:
        """The clean lines, cut out of the block and read in bulk."""
        runs = clean.rle().struct.unnest()
        ends = runs.get_column("len").cum_sum()
        cuts = zip(
            (ends - runs.get_column("len")).to_list(), ends.to_list(), runs.get_column("value").to_list(), strict=True
        )
        data = b"".join(self.data[self.offsets[a] : self.offsets[b]] for a, b, chosen in cuts if chosen)
        frame = bulk(data, self.form)
        own = numbers.filter(clean)
        if frame is None or frame.height != len(own):
            records = [read_record(t, self.form.dialect).fields for t in self.lines.filter(clean)]
            frame = pl.DataFrame(records, schema=dict.fromkeys(self.form.columns, pl.String), orient="row")
        nothing = pl.lit(None, dtype=pl.String)
        return frame.select(*self.form.columns, own.alias(ROW), nothing.alias(FAULT), nothing.alias(TEXT))

    def odd_piece(self, numbers: pl.Series) -> pl.DataFrame:
        width = len(self.form.columns)
        columns = zip(*([*o.fields[:width], *[None] * (width - len(o.fields))] for o in self.odd), strict=True)
        return pl.DataFrame(
            [
                *(pl.Series(n, v, dtype=pl.String) for n, v in zip(self.form.columns, columns, strict=True)),
                numbers.gather([o.line for o in self.odd]).alias(ROW),
                pl.Series(FAULT, [o.fault or None for o in self.odd], dtype=pl.String),
                pl.Series(TEXT, [o.text if o.fault else None for o in self.odd], dtype=pl.String),
            ]
        )


def empty(form: BlockFormat) -> pl.DataFrame:
    """The frame of a block without a record."""
    schema = {**dict.fromkeys(form.columns, pl.String), ROW: pl.Int64, FAULT: pl.String, TEXT: pl.String}
    return pl.DataFrame(schema=schema)


def _lines(data: bytes) -> tuple[pl.Series, bool]:
    """The block's lines without their breaks, null where one is not UTF-8; and whether all are."""
    lines = text_lines(data)
    if lines is not None:
        return lines, True
    texts = [line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n")]
    return pl.Series("line", [t.decode() if _is_utf8(t) else None for t in texts], dtype=pl.String), False


def _offsets(data: bytes, lines: pl.Series, *, valid: bool) -> pl.Series:
    """Where each line begins in the block, and the block's end."""
    returns = data.count(b"\r")
    if valid and (returns == 0 or (returns == len(lines) == data.count(b"\r\n"))):
        widths = lines.str.len_bytes().cast(pl.Int64) + (2 if returns else 1)
    else:
        widths = pl.Series([len(line) + 1 for line in data.removesuffix(b"\n").split(b"\n")], dtype=pl.Int64)
    return pl.concat([pl.Series([0], dtype=pl.Int64), widths.cum_sum().rename("")])


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _width(text: str) -> int:
    """The text's length in bytes."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))


def _shown(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")
