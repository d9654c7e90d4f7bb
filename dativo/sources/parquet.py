"""Parquet files: their columns with the types that they have, one frame of all files.

Files are read one after the other, each by Polars' streaming reader, and only the columns that are needed. A column that
a file lacks is null in its rows; where files differ in a column's type, `parquet_schema` says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from dativo.config.asset import Field
from dativo.config.column_names import left_out
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.text import TextRules
from dativo.errors import SourceError
from dativo.sources.files import list_files
from dativo.sources.input import Listing, each, enough
from dativo.sources.options import parquet_options
from dativo.sources.parquet_file import Footer, read_footer
from dativo.sources.parquet_schema import united
from dativo.sources.protocol import PROVENANCE, Extract, Meter, SourceColumn
from dativo.sources.selection import select, settled, without_rows
from dativo.state.cursor import Cursor


class ParquetSource:
    """Reads Parquet files as they are typed; the contract casts where it wants another type."""

    def __init__(self, job: ResolvedJob, listing: Listing = list_files) -> None:
        self.job = job
        self.listing = listing
        self.options = parquet_options(job)

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        footers = each(self.listing(self.job, stream), read_footer)
        _schema(footers, stream)
        return [
            {"name": f.file.name, "ok": True, "message": f"{len(f.dtypes)} columns, {f.rows()} rows", "hint": ""}
            for f in footers
        ]

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
        footers = each(enough(selection.files, limit), read_footer)
        schema = _schema(footers, stream)
        columns = [n for n in schema if n not in PROVENANCE]
        meter.total_bytes = sum(f.file.size for f in footers)
        options = self.options
        extract = Extract(
            frame=_frame(footers, schema, meter, limit),
            encoding="typed",
            columns=tuple(SourceColumn(c, sum(c in f.dtypes for f in footers)) for c in columns),
            files=tuple(f.file.name for f in footers),
            rules=TextRules(
                nulls=tuple(options.null_values or ()),
                date_formats=tuple(options.date_formats or ()),
                timezone=options.timezone,
                dst=options.dst,
            ),
            cursor=partial(settled, selection.files, selection.cursor),
            skipped=selection.skipped,
            unchanged=not selection.files,
            notes=[*selection.notes, *_notes(footers, schema)],
        )
        return without_rows(extract) if selection.rowless else extract


def _schema(footers: Sequence[Footer], stream: StreamConfig) -> dict[str, pl.DataType]:
    """The frame's columns and dtypes; SourceError where the files' dtypes of a column cannot be one."""
    wanted: dict[str, Field] = {f.source_name.strip(): f for f in stream.asset.fields}
    schema: dict[str, pl.DataType] = {}
    for name in dict.fromkeys(n for f in footers for n in f.dtypes):
        holders = [f for f in footers if name in f.dtypes]
        dtypes = [pl.String() if name in f.uuids else f.dtypes[name] for f in holders]
        shared = united(dtypes, wanted.get(name.strip()))
        if shared is None:
            first = holders[0]
            other = next(f for f in holders if f.dtypes[name] != first.dtypes[name])
            raise SourceError(
                f"the column '{name}' is {first.dtypes[name]} in '{first.file.name}' and {other.dtypes[name]} in "
                f"'{other.file.name}', and no type holds both",
                hint="write the files with one type, or load them by two jobs",
            )
        schema[name] = shared
    return {**schema, **dict(zip(PROVENANCE, (pl.UInt32(), pl.Int64(), pl.String(), pl.String()), strict=True))}


def _notes(footers: Sequence[Footer], schema: dict[str, pl.DataType]) -> Iterator[str]:
    if note := left_out(n for f in footers for n in f.unusable):
        yield note
    for name, dtype in schema.items():
        present = [f.dtypes[name] for f in footers if name in f.dtypes]
        found = list(dict.fromkeys(str(d) for d in present if not isinstance(d, pl.Null)))
        if len(found) > 1:
            yield f"the files differ in the type of '{name}' ({', '.join(found)}): it is read as {dtype}"


def _frame(footers: Sequence[Footer], schema: dict[str, pl.DataType], meter: Meter, limit: int | None) -> pl.LazyFrame:
    """All rows of the files; with `limit` no more files are opened than that many rows need."""

    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = min((n for n in (n_rows, limit) if n is not None), default=None)
        for index, footer in enumerate(footers):
            if left is not None and left <= 0:
                return
            for frame in footer.batches(index, schema, with_columns, left, meter):
                if left is not None:
                    left -= frame.height
                yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(generate, schema=schema, is_pure=True)
