"""A block of JSON lines as a frame of text, exactly: in bulk where a line is proven, one by one where it is not.

Values are text as the file has it: strings decoded, numbers with every digit, lists and objects as JSON, `true` and
`false` as words, null for null and for a key that is not there. A line that cannot be read is a row with a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from dativo.sources.csv_block import Parsed
from dativo.sources.csv_bulk import text_lines as utf8_lines
from dativo.sources.jsonl_layout import Layout, LinePattern
from dativo.sources.jsonl_record import JsonRecord, RecordReader
from dativo.sources.protocol import FAULT, ROW, TEXT

# When more than one line in so many is not proven, the layout is taught by some of them.
_TEACH_SHARE = 64
_TEACH_LINES = 256
SHOWN_TEXT = 1 << 16


@dataclass(slots=True, frozen=True)
class LineFormat:
    """What the lines of one file become: the columns of the frame, and the layout that proves lines.

    `meet` is told the keys of each good line that was read one by one, so that no key without a column goes unseen.
    """

    columns: tuple[str, ...]
    layout: Layout
    meet: Callable[[Sequence[str]], None]


def read_lines(data: bytes, form: LineFormat) -> Parsed:
    """The records of a block of whole lines; blank ones are left out and not counted."""
    lines = text_lines(data)
    pattern, proven = _proven_lines(lines, form)
    chosen = lines if proven.all() else lines.filter(proven)
    bulk = None
    if pattern is not None and len(chosen):
        text = data if len(chosen) == len(lines) else "\n".join(chosen.to_list()).encode()
        bulk = _bulk(text, chosen, form.columns, pattern)
    if bulk is None:
        proven = _none_of(lines)
    elif len(chosen) == len(lines):
        return Parsed(_placed(bulk, pl.int_range(len(lines), eager=True, dtype=pl.Int64)), len(lines))
    blank = lines.str.contains(r"^[ \t\r]*$").fill_null(False)
    numbers = (~blank).cast(pl.Int64).cum_sum() - 1
    pieces = [_placed(bulk, numbers.filter(proven))] if bulk is not None else []
    odd = (~proven & ~blank).arg_true()
    if len(odd):
        pieces.append(_one_by_one(data, lines, odd, numbers, form))
    frame = pl.concat(pieces).sort(ROW).rechunk() if pieces else _empty(form)
    return Parsed(frame, int((~blank).sum()))


def text_lines(data: bytes) -> pl.Series:
    """The block's lines without their breaks; null where one is not UTF-8."""
    lines = utf8_lines(data)
    if lines is not None:
        return lines
    return pl.Series("line", [_decoded(line) for line in _raw_lines(data)], dtype=pl.String)


def proven_by(layout: Layout, lines: pl.Series) -> pl.Series:
    """Which lines a layout proves."""
    return _proven(lines, layout.pattern)


def _proven(lines: pl.Series, pattern: LinePattern | None) -> pl.Series:
    if pattern is None:
        return _none_of(lines)
    return lines.str.contains(pattern.line).fill_null(False)


def _none_of(lines: pl.Series) -> pl.Series:
    return pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)


def _proven_lines(lines: pl.Series, form: LineFormat) -> tuple[LinePattern | None, pl.Series]:
    """Which lines are proven and by what; where many are not, the layout is taught by some of them."""
    pattern = form.layout.pattern
    proven = _proven(lines, pattern)
    left = lines.filter(~proven).drop_nulls()
    if len(left) == 0 or len(left) * _TEACH_SHARE < len(lines):
        return pattern, proven
    reader = RecordReader()
    good = [r for r in map(reader.read, left.head(_TEACH_LINES)) if not r.fault]
    for record in good:
        form.meet(tuple(record.fields))
    if form.layout.learn(r.values for r in good):
        pattern = form.layout.pattern
        proven = _proven(lines, pattern)
    return pattern, proven


def _bulk(data: bytes, lines: pl.Series, columns: tuple[str, ...], pattern: LinePattern) -> pl.DataFrame | None:
    """The columns of proven lines, or None when Polars cannot read one of them after all."""
    known = set(pattern.keys)
    try:
        frame = pl.read_ndjson(data, schema={c: pl.String for c in columns if c in known})
        if frame.height != len(lines):
            return None
        found = {s.name: s for s in frame}
        for key, expression in pattern.exact:
            if key in found:
                found[key] = pl.select(pl.coalesce(lines.str.extract(expression), found[key])).to_series()
    except pl.exceptions.ComputeError:
        return None
    nothing = pl.repeat(None, len(lines), dtype=pl.String, eager=True)
    return pl.DataFrame({c: found.get(c, nothing) for c in columns})


def _placed(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    nothing = pl.lit(None, dtype=pl.String)
    return frame.rechunk().with_columns(numbers.alias(ROW), nothing.alias(FAULT), nothing.alias(TEXT))


def _one_by_one(data: bytes, lines: pl.Series, odd: pl.Series, numbers: pl.Series, form: LineFormat) -> pl.DataFrame:
    raw = _raw_lines(data) if lines.null_count() else []
    reader = RecordReader()
    records: list[JsonRecord] = []
    texts: list[str | None] = []
    for place, text in zip(odd.to_list(), lines.gather(odd).to_list(), strict=True):
        line: str | bytes = raw[place] if text is None else text
        record = reader.read(line)
        if not record.fault:
            form.meet(tuple(record.fields))
        records.append(record)
        texts.append(_shown(line) if record.fault else None)
    return pl.DataFrame(
        {
            **{c: pl.Series([r.fields.get(c) for r in records], dtype=pl.String) for c in form.columns},
            ROW: numbers.gather(odd),
            FAULT: pl.Series([r.fault or None for r in records], dtype=pl.String),
            TEXT: pl.Series(texts, dtype=pl.String),
        }
    )


def _raw_lines(data: bytes) -> list[bytes]:
    found = data.split(b"\n")
    if not found[-1]:
        found.pop()
    return [line.removesuffix(b"\r") for line in found]


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _shown(line: str | bytes) -> str:
    if isinstance(line, str):
        return line[:SHOWN_TEXT]
    return line[:SHOWN_TEXT].decode(errors="backslashreplace")


def _empty(form: LineFormat) -> pl.DataFrame:
    schema = {**dict.fromkeys(form.columns, pl.String), ROW: pl.Int64, FAULT: pl.String, TEXT: pl.String}
    return pl.DataFrame(schema=schema)
