"""Rows on their way: a Parquet file in a private folder, written by the pass and sent to the database by the commit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pyarrow.parquet as pq

from dativo.config.field import Field
from dativo.config.resolve import ResolvedJob
from dativo.errors import TargetError
from dativo.state.process import identity
from dativo.targets.objects.arrow import arrow_schema
from dativo.targets.protocol import Output, Written

_arrow: Any = pyarrow
_parquet: Any = pq
ROWS_A_GROUP = 64 * 1024


class Staging:
    """The private folder of one stream of a run; sweeping staging folders of dead runs removes it, too."""

    def __init__(self, job: ResolvedJob, name: str) -> None:
        self.folder = Path(job.root) / ".local" / "staging" / f"{name}~{identity(os.getpid())}"
        self.files = 0

    def path(self) -> Path:
        """A file of the folder that is not there yet."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise TargetError(
                f"the staging folder '{self.folder}' cannot be made: {error.strerror}",
                hint="check the disk and its permissions",
            ) from None
        self.files += 1
        return self.folder / f"{self.files:04d}.parquet"

    def output(self, rows: pl.LazyFrame) -> Output:
        """The lazy writing of rows into a new file."""
        path = self.path()
        sink = _sink(rows, path)

        def finish() -> Written:
            count = int(_parquet.read_metadata(path).num_rows)
            return Written(rows=count, bytes=path.stat().st_size, files=[path] if count else [])

        return Output(sink, finish)

    def write(self, rows: pl.LazyFrame) -> Path:
        """Writes rows into a new file."""
        path = self.path()
        pl.collect_all([_sink(rows, path)], engine="streaming")
        return path

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _sink(rows: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    sink = rows.sink_parquet(
        path,
        compression="lz4",
        row_group_size=ROWS_A_GROUP,
        statistics=False,
        maintain_order=True,
        arrow_schema=arrow_schema(rows),
        lazy=True,
    )
    assert sink is not None
    return sink


def encoded(fields: Sequence[Field], sent: Callable[[Field], pl.Expr]) -> list[pl.Expr]:
    """Columns as a database takes them."""
    return [sent(f).alias(f.name) for f in fields]


def reader(path: Path, columns: Sequence[str]) -> Any:
    """The rows of a staged file as a stream of Arrow's batches."""
    file = _parquet.ParquetFile(path)
    batches = file.iter_batches(batch_size=ROWS_A_GROUP, columns=list(columns))
    schema = _arrow.schema([file.schema_arrow.field(n) for n in columns])
    return _arrow.RecordBatchReader.from_batches(schema, batches)
