"""CSV files: any delimiter, quoting, encoding and compression, one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.text import FALSE, TRUE, TextRules
from dativo.errors import SourceError
from dativo.sources.blocks import TextFile, scan
from dativo.sources.csv_block import BlockFormat, Parsed, read_block, record_end
from dativo.sources.csv_header import Header, read_header
from dativo.sources.csv_record import Dialect
from dativo.sources.files import list_files
from dativo.sources.input import InputFile, Listing, each, enough
from dativo.sources.options import DEFAULT_NULLS, CsvOptions, csv_options
from dativo.sources.protocol import PROVENANCE, TEXT, Extract, Meter, SourceColumn
from dativo.sources.selection import select, settled, without_rows
from dativo.sources.text import bom_length, is_plain, members, utf8_pieces
from dativo.state.cursor import Cursor

# Characters that text does not hold: they stand for delimiters of several characters while a block is parsed.
_SUBSTITUTES = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
# Where lines end with carriage returns alone, they and line feeds change places until the values are read.
_SWAPPED = bytes.maketrans(b"\r\n", b"\n\r")


@dataclass(slots=True, frozen=True)
class _Opened:
    """A file whose header was read."""

    file: InputFile
    header: Header


class CsvSource:
    """Reads CSV files as text; the contract makes values of it."""

    def __init__(self, job: ResolvedJob, listing: Listing = list_files) -> None:
        self.job = job
        self.listing = listing
        self.options = csv_options(job)

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        opened = self.opened(self.listing(self.job, stream), stream)
        return [{"name": o.file.name, "ok": True, "message": f"{len(o.header.columns)} columns"} for o in opened]

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        selection = select(self.listing(self.job, stream), self.job, since, full=full)
        opened = self.opened(enough(selection.files, limit), stream)
        columns = tuple(dict.fromkeys(c for o in opened for c in o.header.columns))
        meter.total_bytes = sum(o.file.size for o in opened)
        counts = {c: sum(c in o.header.columns for o in opened) for c in columns}
        schema: dict[str, pl.DataType] = {
            **dict.fromkeys(columns, pl.String()),
            **dict(zip(PROVENANCE, (pl.UInt32(), pl.Int64(), pl.String(), pl.String()), strict=True)),
        }
        files = [self.text_file(o, i, columns) for i, o in enumerate(opened)]
        extract = Extract(
            frame=scan(files, schema, meter, limit),
            encoding="text",
            columns=tuple(SourceColumn(c, counts[c]) for c in columns),
            files=tuple(o.file.name for o in opened),
            rules=_rules(self.options),
            cursor=partial(settled, selection.files, selection.cursor),
            skipped=selection.skipped,
            unchanged=not selection.files,
            notes=selection.notes,
        )
        return without_rows(extract) if selection.rowless else extract

    def opened(self, files: Sequence[InputFile], stream: StreamConfig) -> list[_Opened]:
        """The files, those inside archives too, each with its header."""
        found = [m for inside in each(files, lambda f: members(f, self.options.compression)) for m in inside]
        return each(found, lambda f: self.open(f, stream))

    def open(self, file: InputFile, stream: StreamConfig) -> _Opened:
        """The file with its header; SourceError when it is empty or the header cannot be read."""
        header = read_header(
            partial(utf8_pieces, file, self.options.compression, self.options.encoding, 1 << 16),
            Dialect(self.options.delimiter, self.options.quote_char),
            file.name,
            has_header=self.options.has_header,
            skip_rows=self.options.skip_rows,
            comment=self.options.comment,
            names=tuple(f.source_name for f in stream.asset.fields),
        )
        if header.empty and self.options.has_header:
            raise SourceError(
                f"'{file.name}' is empty: not even a header", hint="write the header, or set `has_header: false`"
            )
        return _Opened(file, header)

    def text_file(self, opened: _Opened, index: int, columns: tuple[str, ...]) -> TextFile:
        file, header, options = opened.file, opened.header, self.options
        simple = len(options.delimiter.encode()) == 1 and not header.lone_returns
        plain = simple and is_plain(file, options.compression, options.encoding)
        own = BlockFormat(Dialect(options.delimiter, options.quote_char), header.columns, options.comment)
        missing = [c for c in columns if c not in header.columns]
        order = [*columns, *PROVENANCE]

        def finish(frame: pl.DataFrame) -> pl.DataFrame:
            if header.lone_returns:
                frame = frame.with_columns(pl.col(*header.columns, TEXT).str.replace_many(["\r", "\n"], ["\n", "\r"]))
            return frame.with_columns(pl.lit(None, dtype=pl.String).alias(c) for c in missing).select(order)

        return TextFile(
            file=file,
            index=index,
            plain=plain,
            start=header.start + (bom_length(file) if plain else 0),
            pieces=partial(self.pieces, file, header),
            parse=partial(_parse, form=own),
            finish=finish,
            cut=partial(record_end, dialect=own.dialect),
        )

    def pieces(self, file: InputFile, header: Header) -> Iterator[bytes]:
        for piece in utf8_pieces(file, self.options.compression, self.options.encoding):
            yield piece.translate(_SWAPPED) if header.lone_returns else piece


def _parse(data: bytes, at_end: bool, form: BlockFormat) -> Parsed:
    """A block by its format; a delimiter that is not one byte is replaced by one that the block does not hold."""
    delimiter = form.dialect.delimiter
    if len(delimiter.encode()) == 1:
        return read_block(data, form, at_end=at_end)
    mark = next((s for s in _SUBSTITUTES if s.encode() not in data), None)
    if mark is None:
        raise SourceError("the text holds every character that could stand for the delimiter; use one of one character")
    replaced = BlockFormat(Dialect(mark, form.dialect.quote), form.columns, form.comment, delimiter)
    parsed = read_block(data.replace(delimiter.encode(), mark.encode()), replaced, at_end=at_end)
    return Parsed(parsed.frame, parsed.records, parsed.rest.replace(mark.encode(), delimiter.encode()))


def _rules(options: CsvOptions) -> TextRules:
    return TextRules(
        nulls=tuple(options.null_values) if options.null_values is not None else DEFAULT_NULLS,
        date_formats=tuple(options.date_formats or ()),
        timezone=options.timezone,
        dst=options.dst,
        thousands=options.thousands,
        decimal_separator=options.decimal_separator,
        true_values=tuple(v.lower() for v in options.true_values) if options.true_values is not None else TRUE,
        false_values=tuple(v.lower() for v in options.false_values) if options.false_values is not None else FALSE,
    )
