"""Data files: Polars writes them, each goes to the store piece by piece, and is described for the manifest."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.errors import DativoError
from dativo.targets.objects.arrow import arrow_schema
from dativo.targets.objects.data_file import DataFile, Failing
from dativo.targets.objects.layout import Describe, Format, Place, file_name, segment_name
from dativo.targets.objects.manifest import STANDARD, CsvStyle
from dativo.targets.objects.partitions import day_text, segment
from dativo.targets.objects.rows import as_text
from dativo.targets.protocol import Output, TooManyPartitions, Written
from dativo.targets.spill import spilled

ROWS_A_GROUP = 128 * 1024
ROWS_A_GROUP_PARTITIONED = 32 * 1024
# More partitions than this are not kept open at once: each holds a row group of every column in memory, and a part.
MAX_OPEN = 64
# Files are about this much smaller than their rows are in memory; measured with Zstandard.
MEMORY_RATIO: dict[Format, float] = {"parquet": 3.3, "csv": 1.0, "json": 0.6}
_ENDINGS = {"gzip": ".gz", "zstd": ".zst"}


@dataclass(slots=True)
class FileWriter:
    """Where and how a run's data files are written. Their names carry the run's token and go on from `number`.

    `constant` are columns that all rows of the run have the same value in, `properties` go into the files' own metadata.
    """

    place: Place
    token: str
    format: Format
    compression: str
    columns: tuple[Field, ...]
    parts: tuple[Partition, ...]
    target_bytes: int
    number: int
    describe: Describe
    tags: Callable[[str], dict[str, str]]
    properties: dict[str, str]
    constant: dict[str, Any] = field(default_factory=dict)
    rows_a_group: int | None = None
    style: CsvStyle = STANDARD
    files: list[DataFile] = field(default_factory=list)
    failure: DativoError | None = None
    numbers: Any = None

    @property
    def varying(self) -> tuple[Partition, ...]:
        """The partitions that rows of one run may differ in."""
        return tuple(p for p in self.parts if p.column not in self.constant)

    @property
    def day(self) -> str | None:
        return next((v.isoformat() for v in self.constant.values()), None)

    @property
    def next_number(self) -> int:
        """The number after the last one that was given to a file."""
        return self.number + len(self.files)

    def failing(self) -> Failing:
        return Failing(self)

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        """The lazy writing of rows that have the contract's columns; with `spill` in two steps, by way of that folder."""
        added = [pl.lit(value).alias(name) for name, value in self.constant.items()]
        rows = frame.with_columns(added).select(f.name for f in self.columns)
        begin = len(self.files)
        if not self.varying:
            sink = self._sink(rows, self._by(None), ROWS_A_GROUP)
        elif spill is not None:
            return self._in_two_steps(rows, spill, begin)
        else:
            sink = self._partitioned(rows, MAX_OPEN)
        return Output(sink, lambda: self._written(begin), lambda: self.failure)

    def _keys(self) -> dict[str, pl.Expr]:
        by_name = {f.name: f for f in self.columns}
        return {f"__dativo_part_{i}": segment(p, by_name[p.column]) for i, p in enumerate(self.varying)}

    def _partitioned(self, rows: pl.LazyFrame, limit: int | None) -> pl.LazyFrame:
        seen: set[tuple[Any, ...]] = set()

        def met(key: tuple[Any, ...]) -> None:
            seen.add(key)
            if limit is not None and len(seen) > limit:
                raise TooManyPartitions

        return self._sink(rows, self._by(met), ROWS_A_GROUP_PARTITIONED)

    def _by(self, met: Callable[[tuple[Any, ...]], None] | None) -> pl.PartitionBy:
        """Which file a row goes to; `met` is told each partition."""
        memory = int(self.target_bytes * MEMORY_RATIO[self.format] * (3 if self._packed() else 1))
        if met is None:
            plain: Any = lambda _: self._begin(())  # noqa: E731
            return pl.PartitionBy("", file_path_provider=plain, approximate_bytes_per_file=memory)

        def begin(args: Any) -> Any:
            key = args.partition_keys.row(0)
            met(key)
            return self._begin(key)

        # The rows of texts have their keys beside them already: they are told by the values, not by the texts.
        keys = {n: e if self.format == "parquet" else pl.col(n) for n, e in self._keys().items()}
        return pl.PartitionBy(
            "", key=keys, include_key=False, file_path_provider=begin, approximate_bytes_per_file=memory
        )

    def _packed(self) -> bool:
        return self.format != "parquet" and self.compression != "none"

    def _begin(self, key: tuple[Any, ...]) -> DataFile:
        """A new file for rows of a partition, whose texts are `key`."""
        values = iter(key)
        found = {
            segment_name(p): day_text(p, self.constant[p.column]) if p.column in self.constant else str(next(values))
            for p in self.parts
        }
        folder = "".join(f"{name}={value}/" for name, value in found.items())
        self.numbers = self.numbers or itertools.count(self.number)
        ending = self.format + (_ENDINGS[self.compression] if self._packed() else "")
        file = DataFile(self, folder + file_name(self.place.table, next(self.numbers), self.token, ending), found)
        self.files.append(file)
        return file

    def _sink(self, rows: pl.LazyFrame, by: pl.PartitionBy, group: int) -> pl.LazyFrame:
        if self.format == "parquet":
            compression: Any = "uncompressed" if self.compression == "none" else self.compression
            sink = rows.sink_parquet(
                by,
                compression=compression,
                compression_level=1 if self.compression == "zstd" else None,
                row_group_size=self.rows_a_group or group,
                maintain_order=True,
                metadata=self.properties,
                arrow_schema=arrow_schema(rows),
                lazy=True,
            )
        else:
            keys = self._keys()
            rows = as_text(
                rows.with_columns(e.alias(n) for n, e in keys.items()), self.columns, self.format, list(keys)
            )
            csv = self.format == "csv"
            own: dict[str, Any] = {"separator": self.style.delimiter, "quote_char": self.style.quote} if csv else {}
            # A row of JSON is one text already: quoting it would change it.
            quoting: Any = "necessary" if csv else "never"
            header = csv and self.style.header
            sink = rows.sink_csv(by, include_header=header, quote_style=quoting, maintain_order=True, lazy=True, **own)
        assert sink is not None
        return sink

    def _in_two_steps(self, rows: pl.LazyFrame, spill: Path, begin: int) -> Output:
        """Rows go to a few spill files by a hash of their partition first, then each spill file to its partitions."""
        first, files = spilled(rows, self._keys(), spill / f"partitions-{begin}")

        def finish() -> Written:
            for path in files():
                pl.collect_all([self._partitioned(pl.scan_parquet(path), None)], engine="streaming")
                Path(path).unlink()
            return self._written(begin)

        return Output(first, finish, lambda: self.failure)

    def _written(self, begin: int) -> Written:
        """What was written since the file of this number; all of it is in the store then."""
        written = Written()
        for file in self.files[begin:]:
            file.flush()
            if file.rows:
                written.rows += file.rows
                written.bytes += file.upload.size
                written.files.append(file.entry())
        return written

    def remove_all(self) -> None:
        """Removes every file of the run, those of a pass that died in the middle too; what cannot be reached stays."""
        for file in self.files:
            try:
                file.upload.give_up()
            except DativoError:
                return
