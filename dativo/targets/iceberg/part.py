"""Some data files of a table, read as if they were the table: by field ids, in their order, with its columns of now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from pyiceberg.table import DataScan, FileScanTask, Table

from dativo.targets.iceberg.contents import LiveFile


class _Part(Table):
    """A table of which only some files are read. Polars asks it for a scan, and gets one of those files."""

    def __init__(self, whole: Table, tasks: list[FileScanTask]) -> None:
        super().__init__(whole._identifier, whole.metadata, whole.metadata_location, whole.io, whole.catalog)
        self.tasks = tasks

    def scan(self, *_: Any, selected_fields: tuple[str, ...] = ("*",), **__: Any) -> DataScan:
        tasks = self.tasks

        class Some(DataScan):
            def plan_files(self) -> Iterable[FileScanTask]:
                return tasks

        return Some(self.metadata, self.io, selected_fields=selected_fields)


def rows_of(table: Table, files: Sequence[LiveFile], storage: dict[str, str] | None) -> pl.LazyFrame:
    """The rows of some files, without those that delete files take out of them."""
    return _scan(table, [FileScanTask(f.file, set(f.deletes)) for f in files], storage)


def places_of(table: Table, files: Sequence[LiveFile], storage: dict[str, str] | None) -> pl.LazyFrame:
    """Every row that the files have a place for, deleted or not, so that the n-th row is the n-th place."""
    return _scan(table, [FileScanTask(f.file) for f in files], storage)


def _scan(table: Table, tasks: list[FileScanTask], storage: dict[str, str] | None) -> pl.LazyFrame:
    # Statistics and filters of the manifests would be those of the whole table.
    part = _Part(table, tasks)
    return pl.scan_iceberg(part, storage_options=storage, use_metadata_statistics=False, use_pyiceberg_filter=False)
