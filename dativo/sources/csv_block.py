"""A block of CSV text as a frame, exactly: fast where the text proves to be clean, with care where it does not.

Polars reads a block in parallel and very fast, but it pads short records, drops what long ones have too much, and gives
up on a stray quote. So its answer is taken only when it is proven: the lengths of all values plus the delimiters, line
breaks and quotes that a clean block must have add up to the block's length, and no record's last field is missing. A
block that is not proven is looked at line by line: clean lines are read in bulk, the others one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

from dativo.sources.csv_record import Dialect, Record, canonical_pattern, read_record
from dativo.sources.protocol import FAULT, ROW, TEXT

MAX_RECORD = 64 << 20
SHOWN_TEXT = 1 << 16

_EXTRA = "__dativo_extra"


@dataclass(slots=True, frozen=True)
class BlockFormat:
    """What a block of one file looks like: its dialect, its columns in order, and the lines to leave out."""

    dialect: Dialect
    columns: tuple[str, ...]
    comment: str | None = None
    # What a delimiter of several characters was replaced by before the block came here, and must become again.
    substitute_for: str | None = None


@dataclass(slots=True)
class Parsed:
    """A block read: data columns, ROW counted from 0 within the block, FAULT and TEXT; and the bytes left for the next."""

    frame: pl.DataFrame
    records: int
    rest: bytes = b""


@dataclass(slots=True, frozen=True)
class _Odd:
    """A record that was read by itself: the line it starts in, its fields, its fault and its text."""

    line: int
    fields: list[str | None]
    fault: str
    text: str


def read_block(data: bytes, form: BlockFormat, *, at_end: bool) -> Parsed:
    """The records of a block.

    The block begins where a record begins. A record that does not end in it is given back in `rest` for the next block;
    at the file's end, or when it is longer than MAX_RECORD, its first line is a fault and reading goes on after it.
    """
    if not data:
        return Parsed(_empty(form), 0)
    frame = None if form.comment is not None or b"\0" in data else _bulk(data, form, form.dialect.quote)
    if frame is not None and (_adds_up(frame, data, form) or _all_clean(frame, data, form)):
        return Parsed(_restored(_proven(frame, form), form), frame.height)
    return _Careful(data, form).read(at_end=at_end)


def _bulk(data: bytes, form: BlockFormat, quote: str | None) -> pl.DataFrame | None:
    """What Polars makes of the bytes, with one column more to catch what is too much; None when it gives up."""
    schema = {**dict.fromkeys(form.columns, pl.String), _EXTRA: pl.String}
    try:
        return pl.read_csv(
            data,
            has_header=False,
            separator=form.dialect.delimiter,
            quote_char=quote,
            schema=schema,
            missing_columns="insert",
            truncate_ragged_lines=True,
            row_index_name=ROW,
        )
    except (pl.exceptions.ComputeError, pl.exceptions.NoDataError):
        return None


def _adds_up(frame: pl.DataFrame, data: bytes, form: BlockFormat) -> bool:
    """Whether every byte of the block is accounted for, so that no record was padded, cut, split or joined."""
    names, rows = form.columns, frame.height
    if frame[names[-1]].null_count() or frame[_EXTRA].null_count() != rows:
        return False
    lengths = frame.select(pl.sum_horizontal(pl.col(n).str.len_bytes().cast(pl.Int64).sum() for n in names)).item()
    breaks = rows if data.endswith(b"\n") else rows - 1
    expected = lengths + rows * (len(names) - 1) + breaks
    if expected == len(data):
        return True
    # Looked for only now: most blocks have neither quotes nor carriage returns, and looking costs a pass over the text.
    returns = data.count(b"\r\n") if b"\r" in data else 0
    if returns not in (0, breaks):
        return False
    quote = (form.dialect.quote or "").encode()
    quotes = data.count(quote) if quote and quote in data else 0
    expected += returns + quotes
    if expected == len(data):
        return True
    if not quotes:
        return False
    # A doubled quote is two characters in the file and one in the value.
    inside = frame.select(
        pl.sum_horizontal(pl.col(n).str.count_matches(form.dialect.quote or "", literal=True).sum() for n in names)
    ).item()
    return bool(expected - inside == len(data))


def _all_clean(frame: pl.DataFrame, data: bytes, form: BlockFormat) -> bool:
    """Whether every line is by itself a record that all readers read alike, and Polars found as many."""
    lines = _text_lines(data)
    return lines is not None and len(lines) == frame.height and bool(_clean(lines, form).all())


def _text_lines(data: bytes) -> pl.Series | None:
    """The block's lines without their breaks, or None when it is not UTF-8."""
    try:
        return pl.scan_lines(data, name="line").collect().to_series()
    except pl.exceptions.ComputeError:
        return None


def _clean(lines: pl.Series, form: BlockFormat) -> pl.Series:
    """Which lines are records by themselves that are read alike by everyone."""
    line, dialect = pl.col("line"), form.dialect
    good = line.str.count_matches(dialect.delimiter, literal=True) == len(form.columns) - 1
    if dialect.quote is not None and lines.str.contains(dialect.quote, literal=True).any():
        canonical = line.str.contains(canonical_pattern(dialect, len(form.columns)))
        good = pl.when(line.str.contains(dialect.quote, literal=True)).then(canonical).otherwise(good)
    good = good & ~line.str.contains("\0", literal=True)
    if form.comment is not None:
        good = good & ~line.str.starts_with(form.comment)
    if len(form.columns) > 1:
        good = good & (line.str.len_bytes() > 0)
    return lines.rename("line").to_frame().select(good.fill_null(False)).to_series()


class _Careful:
    """Reads a block line by line: clean lines in bulk, the others one by one."""

    def __init__(self, data: bytes, form: BlockFormat) -> None:
        self.data = data
        self.form = form
        self.quote = form.dialect.quote
        lines = _text_lines(data)
        if lines is None:
            raw = data.split(b"\n")[: data.count(b"\n") + (not data.endswith(b"\n"))]
            texts = [_decoded(line) for line in raw]
            lines = pl.Series("line", [t.removesuffix("\r") if t is not None else None for t in texts], dtype=pl.String)
        self.lines = lines
        self.count = len(lines)
        self.offsets = _offsets(data, self.count)
        quoted = lines.str.contains(self.quote, literal=True).fill_null(True) if self.quote else None
        self.with_quote: list[int] = quoted.arg_true().to_list() if quoted is not None else []
        self.inside: list[int] = []
        self.left_out: list[int] = []
        self.odd: list[_Odd] = []

    def raw(self, first: int, end: int) -> bytes:
        """The bytes of some lines, without the last one's break."""
        return self.data[self.offsets[first] : self.offsets[end]].removesuffix(b"\n")

    def read(self, *, at_end: bool) -> Parsed:
        clean = _clean(self.lines, self.form)
        stop = self.sort((~clean).arg_true().to_list(), at_end=at_end)
        starts = pl.Series([True], dtype=pl.Boolean).new_from_index(0, stop)
        for positions, into in ((self.inside, "both"), (self.left_out, "starts"), ([o.line for o in self.odd], "clean")):
            gone = [p for p in positions if p < stop]
            if gone and into != "clean":
                starts = starts.scatter(gone, False)
            if gone and into != "starts":
                clean = clean.scatter(gone, False)
        numbers = starts.cast(pl.Int64).cum_sum() - 1
        chosen = clean.slice(0, stop).arg_true()
        pieces = [*self.bulk(chosen, numbers)]
        if self.odd:
            pieces.append(self.odd_piece(numbers))
        frame = pl.concat(pieces).sort(ROW) if len(pieces) > 1 else (pieces[0] if pieces else _empty(self.form))
        rest = self.data[self.offsets[stop] :] if stop < self.count else b""
        return Parsed(_restored(frame, self.form), int(starts.sum() or 0), rest)

    def sort(self, suspects: list[int], *, at_end: bool) -> int:
        """Reads the lines that are not clean one by one; the line where the next block begins."""
        resume = 0
        for position in suspects:
            if position < resume:
                continue
            text = self.lines[position]
            if self.is_left_out(text):
                self.left_out.append(position)
                continue
            record, end = self.record_from(position, text)
            if record.open:
                if not at_end and len(self.data) - self.offsets[position] < MAX_RECORD:
                    return position
                record, end = self.bad_line(position, text), position + 1
            self.inside += range(position + 1, end)
            resume = end
            fault = self.fault(record)
            self.odd.append(_Odd(position, record.fields, fault, _shown(self.raw(position, end)) if fault else ""))
        return self.count

    def is_left_out(self, text: str | None) -> bool:
        """Blank lines of a table with several columns, and comments, are no records."""
        if text is None:
            return False
        if self.form.comment is not None and text.startswith(self.form.comment):
            return True
        return not text and len(self.form.columns) > 1

    def record_from(self, position: int, text: str | None) -> tuple[Record, int]:
        """The record that starts in a line and the line after it; joined with further lines while a quote is open."""
        if text is None:
            return self.bad_line(position, None), position + 1
        record = read_record(text, self.form.dialect)
        if not record.open:
            return record, position + 1
        # Only a line with a quote in it can end the field, so the text is joined and read again at those lines only.
        for end in self.with_quote[bisect_right(self.with_quote, position) :]:
            joined = _decoded(self.raw(position, end + 1))
            if joined is None:
                return self.bad_line(position, text), position + 1
            record = read_record(joined.removesuffix("\r"), self.form.dialect)
            if record.fault and not record.open:
                # The quote that was found closes nothing sensible: the first line alone is the bad record.
                return self.bad_line(position, text), position + 1
            if not record.open:
                return record, end + 1
        return record, self.count

    def bad_line(self, position: int, text: str | None) -> Record:
        """A line that is no good record by itself, with its fault."""
        if text is None:
            record = read_record(
                self.raw(position, position + 1).decode(errors="backslashreplace").removesuffix("\r"), self.form.dialect
            )
            return Record(record.fields, "encoding: bytes that are not UTF-8")
        record = read_record(text, self.form.dialect)
        return Record(record.fields, record.fault or "unclosed_quote: a quoted field does not end")

    def fault(self, record: Record) -> str:
        if record.fault:
            return record.fault
        wanted, have = len(self.form.columns), len(record.fields)
        if have != wanted:
            return f"ragged: {have} field{'s' if have != 1 else ''}, expected {wanted}"
        if any(f is not None and "\0" in f for f in record.fields):
            return "nul_byte: a NUL character in the text"
        return ""

    def bulk(self, chosen: pl.Series, numbers: pl.Series) -> Iterator[pl.DataFrame]:
        """The clean lines: those without quotes apart from those with."""
        lines = self.lines.gather(chosen)
        if self.quote is None:
            groups: list[tuple[pl.Series, str | None]] = [(chosen, None)]
        else:
            has = lines.str.contains(self.quote, literal=True)
            groups = [(chosen.filter(~has), None), (chosen.filter(has), self.quote)]
        for positions, quote in groups:
            if len(positions) == 0:
                continue
            texts = self.lines.gather(positions)
            frame = _bulk(("\n".join(texts.to_list()) + "\n").encode(), self.form, quote)
            if frame is None or frame.height != len(positions):  # never seen; the careful way is always there
                frame = self.one_by_one(texts.to_list())
            else:
                frame = frame.drop(_EXTRA, ROW)
            yield _numbered(frame, numbers.gather(positions))

    def one_by_one(self, texts: list[str]) -> pl.DataFrame:
        records = [read_record(t, self.form.dialect).fields for t in texts]
        return pl.DataFrame(records, schema=dict.fromkeys(self.form.columns, pl.String), orient="row")

    def odd_piece(self, numbers: pl.Series) -> pl.DataFrame:
        width = len(self.form.columns)
        rows = [[*o.fields[:width], *[None] * (width - len(o.fields))] for o in self.odd]
        frame = pl.DataFrame(rows, schema=dict.fromkeys(self.form.columns, pl.String), orient="row")
        return frame.with_columns(
            numbers.gather([o.line for o in self.odd]).alias(ROW),
            pl.Series(FAULT, [o.fault or None for o in self.odd], dtype=pl.String),
            pl.Series(TEXT, [o.text if o.fault else None for o in self.odd], dtype=pl.String),
        )


def _offsets(data: bytes, count: int) -> list[int]:
    """Where each line begins in the block, and the block's end."""
    starts = [0, *accumulate(len(line) + 1 for line in data.split(b"\n"))]
    return [*starts[:count], len(data)]


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _proven(frame: pl.DataFrame, form: BlockFormat) -> pl.DataFrame:
    """The bulk frame with its provenance: the surplus column is all null, and cut into the same chunks as the others."""
    surplus = pl.col(_EXTRA)
    return frame.select(*form.columns, pl.col(ROW).cast(pl.Int64), surplus.alias(FAULT), surplus.alias(TEXT))


def _numbered(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.String)
    return frame.with_columns(numbers.alias(ROW), nothing.alias(FAULT), nothing.alias(TEXT))


def _restored(frame: pl.DataFrame, form: BlockFormat) -> pl.DataFrame:
    """Puts a delimiter of several characters back where it stands inside quoted fields."""
    if form.substitute_for is None:
        return frame
    mark = form.dialect.delimiter
    names = [*form.columns, TEXT]
    return frame.with_columns(pl.col(n).str.replace_all(mark, form.substitute_for, literal=True) for n in names)


def _shown(raw: bytes) -> str:
    text = raw[:SHOWN_TEXT].decode(errors="backslashreplace")
    return text.removesuffix("\r")


def _empty(form: BlockFormat) -> pl.DataFrame:
    schema = {**dict.fromkeys(form.columns, pl.String), ROW: pl.Int64, FAULT: pl.String, TEXT: pl.String}
    return pl.DataFrame(schema=schema)
