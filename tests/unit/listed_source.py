"""Parquet files as a source that can tell all its keys and keeps them unique: an adapter as those of databases are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from dativo.config.resolve import StreamConfig
from dativo.connectors import Adapter
from dativo.sources.parquet import ParquetSource
from dativo.sources.protocol import Extract, Meter
from dativo.state.cursor import Cursor

ADAPTER = Adapter("tests.unit.listed_source:ListedSource", None, "parquet")


class ListedSource(ParquetSource):
    """The rows of all files, of which a reading gives those of files that changed."""

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        extract = super().read(stream, since, meter=meter, limit=limit, full=full)
        if extract.unchanged:
            all_rows = super().read(stream, None, meter=meter, limit=limit, full=True)
            return replace(all_rows, frame=all_rows.frame.limit(0), cursor=extract.cursor, unchanged=True)
        # What this guarantees holds for one file; the tests say so by how many there are.
        return replace(extract, unique=(frozenset({"id"}),) if len(extract.files) == 1 else ())

    def keys(self, stream: StreamConfig, columns: Sequence[str], *, meter: Meter) -> pl.LazyFrame:
        return pl.concat([pl.scan_parquet(f.path).select(columns) for f in self.listing(self.job, stream)])
