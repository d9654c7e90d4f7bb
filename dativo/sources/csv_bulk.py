"""A block of CSV text read by Polars, and the proof that the answer is exact.

Polars reads a block in parallel and very fast, but it pads short records, drops what long ones have too much, and takes
a carriage return for nothing. So its answer counts only when it is proven: no record's last field is missing, none has a
surplus one, and the lengths of all values plus the delimiters, line breaks and quotes that such records must have add up
to the block's length. Nothing was dropped then but what is not part of a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from dativo.sources.csv_record import Dialect
from dativo.sources.protocol import FAULT, ROW, TEXT

_EXTRA = "__dativo_extra"
# What Polars would decompress, or take for a byte order mark, where a block begins so.
_MAGIC = (b"\x1f\x8b", b"x\x01", b"x^", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf")


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


def exact(data: bytes, form: BlockFormat) -> pl.DataFrame | None:
    """The block's records with their provenance, or None where the fast way cannot prove them.

    The block ends with a line break.
    """
    frame = bulk(data, form)
    if frame is None or not (_adds_up(frame, data, form) or _all_clean(frame, data, form)):
        return None
    # The surplus column is all null, and cut into the same chunks as the others.
    surplus = pl.col(_EXTRA)
    return frame.select(*form.columns, pl.col(ROW).cast(pl.Int64), surplus.alias(FAULT), surplus.alias(TEXT))


def bulk(data: bytes, form: BlockFormat) -> pl.DataFrame | None:
    """What Polars makes of the bytes, with one column more to catch what is too much; None when it gives up."""
    schema = {**dict.fromkeys(form.columns, pl.String), _EXTRA: pl.String}
    hidden = data.startswith(_MAGIC)
    try:
        frame = pl.read_csv(
            b"\n" + data if hidden else data,
            has_header=False,
            separator=form.dialect.delimiter,
            quote_char=form.dialect.quote,
            schema=schema,
            missing_columns="insert",
            extra_columns="ignore",
            truncate_ragged_lines=True,
            row_index_name=ROW,
        )
    except (pl.exceptions.ComputeError, pl.exceptions.NoDataError):
        return None
    return frame.slice(1).with_columns(pl.col(ROW) - 1) if hidden else frame


def text_lines(data: bytes) -> pl.Series | None:
    """The block's lines without their breaks, or None when it is not UTF-8."""
    hidden = data.startswith(_MAGIC)
    try:
        lines = pl.scan_lines(b"\n" + data if hidden else data, name="line").collect().to_series()
    except pl.exceptions.ComputeError:
        return None
    return lines.slice(1) if hidden else lines


def clean_lines(lines: pl.Series, form: BlockFormat) -> pl.Series:
    """Which lines are records by themselves that everyone reads alike, Polars included."""
    delimiter, quote = form.dialect.delimiter, form.dialect.quote
    good = lines.str.count_matches(delimiter, literal=True) == len(form.columns) - 1
    if quote is not None:
        quoted = lines.str.contains(quote, literal=True).fill_null(False)
        if quoted.any():
            good = good.scatter(quoted.arg_true(), _quoted_well(lines.filter(quoted), form))
    for character in ("\r", "\0"):
        good = good & ~lines.str.contains(character, literal=True)
    if form.comment is not None:
        good = good & ~lines.str.starts_with(form.comment)
    return good.fill_null(False)


def _quoted_well(lines: pl.Series, form: BlockFormat) -> pl.Series:
    """Whether lines with quotes have them around whole fields only, doubled inside, and as many fields as columns."""
    canonical, quoted = form.dialect.canonical()
    bare = lines.str.replace_all(quoted, "")
    return lines.str.contains(canonical) & (
        bare.str.count_matches(form.dialect.delimiter, literal=True) == len(form.columns) - 1
    )


def _adds_up(frame: pl.DataFrame, data: bytes, form: BlockFormat) -> bool:
    """Whether every byte of the block is accounted for, so that no record was padded, cut, split or joined."""
    names, rows = form.columns, frame.height
    if frame[names[-1]].null_count() or frame[_EXTRA].null_count() != rows:
        return False
    # As UInt32: no block comes near 4 GiB.
    lengths = frame.select(pl.sum_horizontal(pl.col(n).str.len_bytes().sum() for n in names)).item()
    # Of what is no value, a record has at least its delimiters and its line break.
    expected = lengths + rows * len(names)
    if expected == len(data):
        return True
    # Looked for only now: most blocks have neither quotes nor carriage returns, and looking costs a pass over the text.
    returns = data.count(b"\r")
    quotes = data.count(form.dialect.quote.encode()) if form.dialect.quote else 0
    if quotes:
        return _quotes_add_up(frame, data, form, quotes, returns, expected)
    return returns == rows == data.count(b"\r\n") and expected + returns == len(data)


def _quotes_add_up(
    frame: pl.DataFrame, data: bytes, form: BlockFormat, quotes: int, returns: int, expected: int
) -> bool:
    """Whether a block that has quotes adds up: every one begins or ends a whole field, or is doubled inside one.

    Polars drops the inner quotes of `"a "b" c"` too, so the text itself is looked at.
    """
    text = pl.Series([data], dtype=pl.Binary).cast(pl.String, strict=False)
    end, ended = (r"\r\n", frame.height) if data.endswith(b"\r\n") else (r"\n", 0)
    doubled = not text.str.contains(form.dialect.canonical_text(end, doubled=False)).fill_null(False).item()
    if doubled and not text.str.contains(form.dialect.canonical_text(end, doubled=True)).fill_null(False).item():
        return False
    columns = [pl.col(n).str for n in form.columns]
    # Of two quotes inside a quoted field one is part of the value, and so is a carriage return there.
    kept_quotes = kept_returns = pl.lit(0)
    if doubled:
        kept_quotes = pl.sum_horizontal(c.count_matches(form.dialect.quote or "", literal=True).sum() for c in columns)
    if returns != ended:
        kept_returns = pl.sum_horizontal(c.count_matches("\r", literal=True).sum() for c in columns)
    inside, kept = frame.select(kept_quotes.alias("quotes"), kept_returns.alias("returns")).row(0)
    return bool(returns - kept == ended and expected + ended + quotes - inside == len(data))


def _all_clean(frame: pl.DataFrame, data: bytes, form: BlockFormat) -> bool:
    """Whether every line is by itself a record that all readers read alike, and Polars found as many."""
    lines = text_lines(data)
    return lines is not None and len(lines) == frame.height and bool(clean_lines(lines, form).all())
