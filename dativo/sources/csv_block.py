"""A block of CSV text as a frame, exactly: fast where the text proves to be clean, with care where it does not."""

from __future__ import annotations

import polars as pl

from dativo.sources.csv_bulk import BlockFormat, Parsed, exact
from dativo.sources.csv_careful import Careful, empty
from dativo.sources.csv_record import Dialect
from dativo.sources.protocol import TEXT

__all__ = ["BlockFormat", "Parsed", "read_block", "record_end"]


def read_block(data: bytes, form: BlockFormat, *, at_end: bool) -> Parsed:
    """The records of a block.

    The block begins where a record begins, and ends with a line break unless it is the file's last. A record that does
    not end in it is given back in `rest` for the next block.
    """
    if not data:
        return Parsed(empty(form), 0)
    if not data.endswith(b"\n"):
        data += b"\n"
    parsed = None if form.comment is not None or b"\0" in data else _fast(data, form, at_end=at_end)
    parsed = parsed or Careful(data, form).read(at_end=at_end)
    return Parsed(_restored(parsed.frame, form), parsed.records, parsed.rest)


def _fast(data: bytes, form: BlockFormat, *, at_end: bool) -> Parsed | None:
    """The whole block in bulk, or all of it up to the record that goes on in the next one; None when that is not proven."""
    frame = exact(data, form)
    if frame is not None:
        return Parsed(frame, frame.height)
    end = 0 if at_end else _last_whole(data, form.dialect.quote)
    frame = exact(data[:end], form) if 0 < end < len(data) else None
    return Parsed(frame, frame.height, data[end:]) if frame is not None else None


def _last_whole(data: bytes, quote: str | None) -> int:
    """Where the last record begins if the block ends inside its quotes; the block's end if it does not."""
    mark = (quote or "").encode()
    end = len(data)
    if not mark or data.count(mark) % 2 == 0:
        return end
    odd = True
    while odd and end > 0:
        before = data.rfind(b"\n", 0, end - 1) + 1
        odd ^= data.count(mark, before, end) % 2 == 1
        end = before
    return end


def record_end(text: bytes, dialect: Dialect) -> int:
    """The offset after the last line break in a piece of text that ends a record, by the look of the quotes; 0 for none.

    The piece may begin inside of quotes or outside. Outside, text between quotes begins and ends with a delimiter or a
    line break; of the two ways to see it, the one that breaks this less often is taken. It may be wrong: a block that
    ends inside a record costs time and nothing else.
    """
    last = text.rfind(b"\n") + 1
    mark, limits = (dialect.quote or "").encode(), (dialect.delimiter.encode(), b"\n")
    if not mark or mark not in text:
        return last
    pieces = text.split(mark)

    def strange(first: int) -> int:
        outside = [p for p in pieces[first + 2 * (first == 0) : -1 : 2] if p]
        return sum(not (p.startswith((*limits, b"\r")) and p.endswith(limits)) for p in outside)

    first = 0 if strange(0) <= strange(1) else 1
    end = len(text)
    for number in range(len(pieces) - 1, -1, -1):
        end -= len(pieces[number])
        found = pieces[number].rfind(b"\n")
        if number % 2 == first and found >= 0:
            return end + found + 1
        end -= len(mark)
    return last


def _restored(frame: pl.DataFrame, form: BlockFormat) -> pl.DataFrame:
    """Puts a delimiter of several characters back where it stands inside quoted fields."""
    if form.substitute_for is None:
        return frame
    mark = form.dialect.delimiter
    names = [*form.columns, TEXT]
    return frame.with_columns(pl.col(n).str.replace_all(mark, form.substitute_for, literal=True) for n in names)
