"""Some data files of a table, read as if they were the table: by field ids, in their order, with its columns of now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
from pyiceberg.table import DataScan, FileScanTask, Table

from dativo.targets.iceberg.contents import LiveFile

_PREFETCH = "POLARS_ROW_GROUP_PREFETCH_SIZE"


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


@contextmanager
def few_ahead(storage: dict[str, str] | None) -> Iterator[None]:
    """Polars reads no more row groups ahead than it has threads while this is going on, unless it was told otherwise.

    By default it holds many of whole rows in memory, which wins no time where files are local. It looks at the variable
    when a scan begins; another scan of this process that begins meanwhile reads as little ahead.
    """
    if storage is not None or _PREFETCH in os.environ:
        yield
        return
    os.environ[_PREFETCH] = str(max(2, pl.thread_pool_size()))
    try:
        yield
    finally:
        os.environ.pop(_PREFETCH, None)
