"""Data files written anew: the rows of several in one, by Polars, streamed, with the counts compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table

from dativo.errors import TargetError
from dativo.targets.iceberg.catalog import is_local, local_path
from dativo.targets.iceberg.contents import LiveFile
from dativo.targets.iceberg.failure import first_line, lasting
from dativo.targets.iceberg.files import COMPRESSION_LEVEL, ROWS_A_GROUP
from dativo.targets.iceberg.part import rows_of
from dativo.targets.iceberg.positions import deleted_positions
from dativo.targets.iceberg.storage import storage_options

_read_footer: Any = pq.read_metadata
_PARTITION = re.compile(r"/data((?:/[^/]+=[^/]*)+)/[^/]+$")
_CODECS = ("zstd", "snappy", "gzip", "lz4", "brotli", "uncompressed")


class Rewriter:
    """Writes new files of a table; `written` are the paths of those that are begun."""

    def __init__(self, table: Table, token: str) -> None:
        self.table = table
        self.token = token
        self.schema = table.schema()
        self.storage = storage_options(table.location(), table.io.properties)
        codec = table.properties.get("write.parquet.compression-codec", "zstd").lower()
        self.codec: Any = codec if codec in _CODECS else "zstd"
        self.written: list[str] = []
        self.number = 0

    def rewritten(self, group: Sequence[LiveFile]) -> DataFile:
        """One file with the rows of a group; TargetError when it is not exactly that."""
        like = group[0].file
        location = f"{self._folder(like)}/{self.token}-{self.number:05d}.parquet"
        self.number += 1
        self.written.append(location)
        path = local_path(location) if is_local(location) else location
        try:
            self._rows(group).sink_parquet(
                path,
                arrow_schema=schema_to_pyarrow(self.schema, include_field_ids=True),
                compression=self.codec,
                compression_level=COMPRESSION_LEVEL if self.codec == "zstd" else None,
                row_group_size=ROWS_A_GROUP,
                maintain_order=True,
                storage_options=self.storage,
                mkdir=self.storage is None,
            )
            made = self._described(location, like)
        except (pl.exceptions.PolarsError, OSError, ArrowException, ValueError) as error:
            raise lasting(error) or TargetError(
                f"the files of {'.'.join(self.table.name())} cannot be written anew: {first_line(error)}",
                hint="nothing was changed; leave them as they are with `--only snapshots,orphans`",
            ) from error
        self._check(group, made)
        return made

    def _rows(self, group: Sequence[LiveFile]) -> pl.LazyFrame:
        return rows_of(self.table, group, self.storage)

    def _folder(self, file: DataFile) -> str:
        """The folder of a file's partition in the table's own folder, wherever the file is."""
        match = _PARTITION.search(file.file_path)
        return f"{self.table.location().rstrip('/')}/data{match[1] if match else ''}"

    def _described(self, location: str, like: DataFile) -> DataFile:
        """The manifest's entry for a new file, its statistics from its footer, its partition that of another file."""
        footer, size = self._footer(location)
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=footer,
            stats_columns=compute_statistics_plan(self.schema, self.table.properties),
            parquet_column_mapping=parquet_path_to_id_mapping(self.schema),
        )
        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=location,
            file_format=FileFormat.PARQUET,
            partition=like.partition,
            file_size_in_bytes=size,
            sort_order_id=None,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
        # The number of its partitioning stands in the manifest and not in the entry.
        file.spec_id = like.spec_id
        return file

    def _footer(self, location: str) -> tuple[Any, int]:
        if is_local(location):
            path = Path(local_path(location))
            return _read_footer(path), path.stat().st_size
        file = self.table.io.new_input(location)
        return _read_footer(file.open()), len(file)

    def _check(self, group: Sequence[LiveFile], made: DataFile) -> None:
        deleted = deleted_positions(group, self.storage).height
        rows = sum(live.file.record_count for live in group) - deleted
        if made.record_count != rows:
            raise self._different(f"{made.record_count:,} rows instead of {rows:,}")
        if deleted:
            # Nulls of rows that are deleted are not told apart.
            return
        new, _ = self._footer(made.file_path)
        found = _nulls(new, {})
        names = {number: self.schema.find_column_name(number) for number in found}
        wanted = dict.fromkeys(found, 0)
        for file in (live.file for live in group):
            known = file.null_value_counts or {}
            if not wanted.keys() <= known.keys():
                footer, _ = self._footer(file.file_path)
                known = {**_nulls(footer, {str(name): number for number, name in names.items()}), **known}
            for number in wanted:
                # A column that is younger than the file has no value in it.
                wanted[number] += known.get(number, file.record_count)
        for number, count in wanted.items():
            if found[number] != count:
                raise self._different(f"{found[number]:,} nulls in '{names[number]}' instead of {count:,}")

    def _different(self, what: str) -> TargetError:
        return TargetError(
            f"a rewritten file of {'.'.join(self.table.name())} came out with {what}; nothing was changed",
            hint="leave the files as they are, and report it with the table's schema",
        )


def _nulls(footer: Any, names: dict[str, int]) -> dict[int, int]:
    """The nulls of each top-level column that is not nested, by field id; columns without an id by `names`."""
    schema = footer.schema.to_arrow_schema()
    numbers: dict[str, int] = {}
    for field in schema:
        number = (field.metadata or {}).get(b"PARQUET:field_id")
        found = int(number) if number is not None else names.get(field.name)
        if field.type.num_fields == 0 and found is not None:
            numbers[field.name] = found
    counts = dict.fromkeys(numbers.values(), 0)
    for index in range(footer.num_row_groups):
        group = footer.row_group(index)
        for position in range(group.num_columns):
            column = group.column(position)
            number = numbers.get(column.path_in_schema)
            statistics = column.statistics
            if number is None:
                continue
            if statistics is None or not statistics.has_null_count:
                counts.pop(number, None)
                numbers.pop(column.path_in_schema)
            else:
                counts[number] += statistics.null_count
    return counts
