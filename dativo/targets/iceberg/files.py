"""Data files: written by Polars with Iceberg's field ids, described for the manifest from their own footers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record

from dativo.config.asset import Field
from dativo.config.partition import Partition
from dativo.errors import TargetError
from dativo.targets.iceberg.catalog import is_local, local_path
from dativo.targets.iceberg.partitions import day_value, partition_key, partition_record, shown
from dativo.targets.iceberg.schema import stored
from dativo.targets.protocol import Output, TooManyPartitions, Written
from dativo.targets.spill import spilled

# In the names of files that hold rows of older ones: no rows that the run added.
KEPT = "-kept"
_read_footer: Any = pq.read_metadata
COMPRESSION_LEVEL = 1
ROWS_A_GROUP = 128 * 1024
ROWS_A_GROUP_PARTITIONED = 32 * 1024
# More partitions than this are not kept open at once: each holds a row group of every column in memory.
MAX_OPEN = 64
LONGEST_VALUE = 150
LONGEST_TEXT = 12  # characters, each of which is at most 12 bytes once it is quoted
# Zstandard makes columns about this much smaller than they are in memory; measured, corrected by the last file's size.
MEMORY_RATIO = 3.3


@dataclass(slots=True)
class FileWriter:
    """Where and how a run's data files are written. Their names carry the run's token, so that they can be found again."""

    location: str
    token: str
    schema: Schema
    columns: tuple[Field, ...]
    parts: tuple[Partition, ...]
    spec: PartitionSpec
    target_bytes: int
    storage: dict[str, str] | None
    constant: dict[str, Any]
    io: FileIO
    ratio: float = MEMORY_RATIO
    passes: int = 0
    given: list[str] = field(default_factory=list)

    def root(self) -> str:
        base = f"{self.location}/data"
        return local_path(base) if is_local(base) else base

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        """The lazy writing of rows that have the contract's columns; with `spill` in two steps, by way of that folder."""
        added = [pl.lit(value).alias(name) for name, value in self.constant.items()]
        rows = frame.with_columns(added).select(stored(f, self.schema.find_type(f.name)) for f in self.columns)
        return self.stored_output(rows, spill=spill)

    def stored_output(
        self, rows: pl.LazyFrame, *, spill: Path | None = None, apart: Mapping[str, pl.Expr] | None = None
    ) -> Output:
        """The same for rows as data files hold them; those that differ in a value of `apart` go to different files."""
        self.passes += 1
        varying = tuple(p for p in self.parts if p.column not in self.constant)
        if not varying and not apart:
            return self._plain(rows)
        by_name = {f.name: f for f in self.columns}
        keys = {f"__dativo_part_{i}": partition_key(p, by_name[p.column]) for i, p in enumerate(varying)}
        keys |= apart or {}
        if spill is not None:
            return self._in_two_steps(rows, varying, keys, spill)
        return self._partitioned(rows, varying, keys, limit=MAX_OPEN)

    def _plain(self, rows: pl.LazyFrame) -> Output:
        paths: list[Any] = []
        number = self.passes
        values = self._constant_values()
        folder = self._folder(values)

        def name(args: Any) -> str:
            return self._given(f"{folder}{self.token}-{number:03d}-{args.index_in_partition:05d}.parquet")

        by = pl.PartitionBy(self.root(), file_path_provider=name, approximate_bytes_per_file=self._memory())
        sink = self._sink(rows, by, paths, ROWS_A_GROUP)
        return Output(sink, lambda: self._written(_paths(paths), lambda _: values))

    def _partitioned(
        self, rows: pl.LazyFrame, parts: tuple[Partition, ...], keys: dict[str, pl.Expr], *, limit: int | None
    ) -> Output:
        paths: list[Any] = []
        values: dict[str, dict[str, Any]] = {}
        numbers: dict[tuple[Any, ...], int] = {}
        constant = self._constant_values()
        number = self.passes

        def name(args: Any) -> str:
            key = args.partition_keys.row(0)
            ordinal = numbers.setdefault(key, len(numbers))
            if limit is not None and len(numbers) > limit:
                raise TooManyPartitions
            found = {**constant, **dict(zip((p.name for p in parts), key, strict=False))}
            # Different values may share a folder (null and "null", or by letter case), so the ordinal makes the name.
            file = f"{self.token}-{number:03d}-{ordinal:05d}-{args.index_in_partition:05d}.parquet"
            path = self._given(self._folder(found) + file)
            values[path] = found
            return path

        by = pl.PartitionBy(
            self.root(), key=keys, include_key=False, file_path_provider=name, approximate_bytes_per_file=self._memory()
        )
        sink = self._sink(rows, by, paths, ROWS_A_GROUP_PARTITIONED)
        root = self.root()
        return Output(sink, lambda: self._written(_paths(paths), lambda p: values[p.removeprefix(root).lstrip("/")]))

    def _in_two_steps(
        self, rows: pl.LazyFrame, parts: tuple[Partition, ...], keys: dict[str, pl.Expr], spill: Path
    ) -> Output:
        """Rows go to a few spill files by a hash of their partition first, then each spill file to its partitions."""
        first, files = spilled(rows, keys, spill / f"partitions-{self.passes}")

        def finish() -> Written:
            total = Written()
            for path in files():
                self.passes += 1
                output = self._partitioned(pl.scan_parquet(path), parts, keys, limit=None)
                pl.collect_all([output.sink], engine="streaming")
                part = output.finish()
                total.rows += part.rows
                total.bytes += part.bytes
                total.files += part.files
                Path(path).unlink()
            return total

        return Output(first, finish)

    def _sink(self, rows: pl.LazyFrame, by: pl.PartitionBy, paths: list[Any], group: int) -> pl.LazyFrame:
        sink = rows.sink_parquet(
            by,
            arrow_schema=schema_to_pyarrow(self.schema, include_field_ids=True),
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            row_group_size=group,
            maintain_order=True,
            storage_options=self.storage,
            mkdir=self.storage is None,
            lazy=True,
            sinked_paths_callback=paths.append,
        )
        assert sink is not None
        return sink

    def _memory(self) -> int:
        return int(self.target_bytes * self.ratio)

    def _constant_values(self) -> dict[str, Any]:
        """The partition values that all rows of the run have."""
        return {p.name: day_value(p, self.constant[p.column]) for p in self.parts if p.column in self.constant}

    def _folder(self, values: dict[str, Any]) -> str:
        return "".join(f"{quote(p.name, safe='')[:100]}={_short(shown(p, values[p.name]))}/" for p in self.parts)

    def _written(self, paths: Sequence[Any], values: Callable[[str], dict[str, Any]]) -> Written:
        written = Written()
        for path in paths:
            if path.num_rows == 0:
                self._remove(path.path)
                continue
            written.rows += path.num_rows
            written.bytes += path.num_bytes
            written.files.append(self.describe(path.path, path.num_bytes, values(path.path)))
        return written

    def describe(self, path: str, size: int, values: dict[str, Any]) -> DataFile:
        """The manifest's entry for a file, its statistics from the file's own footer."""
        if self.storage is None:
            footer = _read_footer(path)
            location = f"file://{path}"
        else:
            location = path
            footer = _read_footer(self.io.new_input(path).open())
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=footer,
            stats_columns=compute_statistics_plan(self.schema, {}),
            parquet_column_mapping=parquet_path_to_id_mapping(self.schema),
        )
        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=location,
            file_format=FileFormat.PARQUET,
            partition=Record(*partition_record(self.parts, self.columns, values)),
            file_size_in_bytes=size,
            sort_order_id=None,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
        # The number of its partitioning stands in the manifest and not in the entry.
        file.spec_id = self.spec.spec_id
        return file

    def beside(self, location: str, ending: str) -> str:
        """Where a new file goes that is about a data file: in its partition's folder, by a name of the run's."""
        base = f"{self.location}/data/"
        folder = location.removeprefix(base).rpartition("/")[0] if location.startswith(base) else ""
        self.passes += 1
        name = f"{self.token}-{self.passes:05d}-{ending}.parquet"
        return base + self._given(f"{folder}/{name}" if folder else name)

    def remove(self, names: Iterable[str]) -> None:
        """Removes some of the files that are `given`, as far as they can be reached."""
        for name in names:
            self._remove(f"{self.root()}/{name}")

    def _given(self, path: str) -> str:
        self.given.append(path)
        return path

    def _remove(self, path: str) -> None:
        with contextlib.suppress(OSError):
            if self.storage is None:
                Path(path).unlink()
            else:
                self.io.delete(path)

    def remove_all(self) -> None:
        """Removes every file of the run, those of a pass that died in the middle too; what cannot be reached stays."""
        if self.storage is not None:
            # A store shows no file before it is complete, and its listing would be as long as the table is old.
            self.remove(self.given)
            return
        root = Path(self.root())
        for path in root.rglob(f"{self.token}-*") if root.is_dir() else ():
            with contextlib.suppress(OSError):
                path.unlink()


def _paths(callbacks: list[Any]) -> list[Any]:
    return [path for args in callbacks for path in args.paths]


def _short(value: str) -> str:
    """A partition value as a folder name that every file system takes: at most 255 bytes together with the column's."""
    name = quote(value, safe="")
    return name if len(name) <= LONGEST_VALUE else quote(value[:LONGEST_TEXT], safe="") + "..."


def check_there(io: FileIO, files: Sequence[DataFile]) -> None:
    """Raises TargetError when files are gone: maintenance takes those of a run that rests for days for abandoned."""
    gone = [f.file_path for f in files if not io.new_input(f.file_path).exists()]
    if gone:
        raise TargetError(
            f"{len(gone)} of {len(files)} files of this run were removed before it committed them: {gone[0]}; "
            "nothing was committed",
            hint="run again; maintenance removes files of runs that rest for longer than its safe age",
        )
