"""Which rows of a table have one of the keys of a revision: found by reading the key's columns alone."""

# ruff: noqa: S608 - the names in its queries are its own; paths are escaped
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow
from pyiceberg.schema import Schema

from dativo.staging.duck import connect, translated
from dativo.staging.identity import HIGH, LOW, identity
from dativo.targets.iceberg.schema import restored, table_columns
from dativo.targets.protocol import Revision

_arrow: Any = pyarrow
ROW = "__dativo_row"
SLOT = "__dativo_slot"
# Up to so many keys Polars joins in memory, which is the fastest; of more of them DuckDB, which keeps to its limit.
MOST_IN_MEMORY = 4_000_000
_BATCH = 200_000
# Kinds whose values are compared as they are: small, and equal in one way only.
_PLAIN = ("long", "date", "timestamp", "timestamptz")


@dataclass
class Matching:
    """The keys of a revision. `folder` is where DuckDB may work: the one that the revision's files are in."""

    revision: Revision
    schema: Schema
    memory_limit: str | None = None

    @property
    def folder(self) -> Path:
        given = self.revision.gone or self.revision.amended
        assert given is not None
        return given.parent

    @cached_property
    def count(self) -> int:
        """How many keys there are."""
        return int(self.keys.select(pl.len()).collect(engine="streaming").item())

    @cached_property
    def keys(self) -> pl.LazyFrame:
        """All keys: LOW, HIGH, the key's columns, and SLOT, the row of a key in `amended`, null in `gone`."""
        names = [LOW, HIGH, *(f.name for f in self.revision.key)]
        frames = []
        if self.revision.gone is not None:
            frames.append(pl.scan_parquet(self.revision.gone).select(pl.lit(None, pl.Int64).alias(SLOT), *names))
        if self.revision.amended is not None:
            rows = pl.scan_parquet(self.revision.amended, row_index_name=SLOT)
            frames.append(rows.select(pl.col(SLOT).cast(pl.Int64), *names))
        return pl.concat(frames)

    def rows(self, places: pl.LazyFrame) -> pl.DataFrame:
        """The rows with one of the keys, of those that `places` has: ROW (UInt32, from 0) and SLOT, in no order."""
        have = {c.name: c for c in table_columns(self.schema)}
        numbered = places.with_row_index(ROW)
        if self.revision.only is not None:
            numbered = numbered.filter(pl.col(self.revision.only))
        fields = self.revision.key
        values = numbered.select(ROW, *(restored(f, have.get(f.name)) for f in fields))
        if self.count > MOST_IN_MEMORY:
            return self._by_duckdb(values.select(ROW, *identity(fields)))
        if all(f.kind in _PLAIN for f in fields):
            return self._joined(values, [f.name for f in fields])
        return self._joined(values.select(ROW, *identity(fields)), [LOW, HIGH])

    def _joined(self, rows: pl.LazyFrame, on: list[str]) -> pl.DataFrame:
        found = rows.join(self.keys.select(SLOT, *on), on=on, how="inner", nulls_equal=True, maintain_order="none")
        return found.select(ROW, SLOT).collect(engine="streaming")

    def _by_duckdb(self, rows: pl.LazyFrame) -> pl.DataFrame:
        layout = _arrow.schema([(ROW, _arrow.uint32()), (LOW, _arrow.uint64()), (HIGH, _arrow.uint64())])
        found = [pl.DataFrame(schema={ROW: pl.UInt32, SLOT: pl.Int64})]
        query = (
            f'SELECT r."{ROW}", k.slot AS "{SLOT}" FROM places r JOIN ({self._sources()}) k USING ("{LOW}", "{HIGH}")'
        )
        try:
            with connect(self.folder, memory_limit=self.memory_limit) as con:
                con.register("places", _arrow.RecordBatchReader.from_batches(layout, _batches(rows, layout)))
                for batch in con.sql(query).to_arrow_reader(1_000_000):
                    frame = pl.from_arrow(batch)
                    assert isinstance(frame, pl.DataFrame)
                    found.append(frame)
        except duckdb.Error as error:
            raise translated(error) from None
        return pl.concat(found)

    def _sources(self) -> str:
        parts = []
        for path, slot, option in (
            (self.revision.gone, "NULL::BIGINT", ""),
            (self.revision.amended, "file_row_number", ", file_row_number = true"),
        ):
            if path is not None:
                name = str(path).replace("'", "''")
                parts.append(f'SELECT "{LOW}", "{HIGH}", {slot} AS slot FROM read_parquet(\'{name}\'{option})')
        return " UNION ALL ".join(parts)


def _batches(rows: pl.LazyFrame, layout: Any) -> Iterator[Any]:
    for frame in rows.collect_batches(chunk_size=_BATCH, maintain_order=False, engine="streaming"):
        yield from frame.to_arrow().cast(layout).to_batches()
