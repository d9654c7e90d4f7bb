"""What a run's commit stored, read back: from the manifests of its snapshot, and from the data files that it added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.table import Table

from dativo.config.asset import Field
from dativo.targets.iceberg.catalog import is_local, local_path
from dativo.targets.iceberg.files import KEPT
from dativo.targets.iceberg.schema import restored, table_columns
from dativo.targets.iceberg.storage import storage_options
from dativo.targets.protocol import Audit


def audit(table: Table, snapshot_id: int | None) -> Audit:
    """Rows, and nulls of each column, in the files that the run's snapshot added; nothing if it made none."""
    names = {f.field_id: f.name for f in table.schema().fields}
    rows = 0
    nulls = dict.fromkeys(names.values(), 0)
    for file in _added(table, snapshot_id):
        rows += file.record_count
        for number, count in (file.null_value_counts or {}).items():
            if number in names:
                nulls[names[number]] += count
    return Audit(rows, nulls)


def added(table: Table, snapshot_id: int | None, columns: Sequence[Field]) -> pl.LazyFrame | None:
    """Columns of the rows that the run's snapshot added; None when there is no row."""
    paths = [f.file_path for f in _added(table, snapshot_id)]
    if not paths:
        return None
    storage = storage_options(table.location(), table.io.properties)
    scan = pl.scan_parquet([local_path(p) if is_local(p) else p for p in paths], storage_options=storage, glob=False)
    have = {c.name: c for c in table_columns(table.schema())}
    return scan.select(restored(f, have.get(f.name)) for f in columns)


def _added(table: Table, snapshot_id: int | None) -> Iterator[DataFile]:
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot_id is None:
        return
    # Another run's snapshot may stand on ours already; it keeps our entries, in manifests of its own perhaps.
    newest = snapshot.snapshot_id == snapshot_id
    for manifest in snapshot.manifests(table.io):
        if manifest.content != ManifestContent.DATA or (newest and manifest.added_snapshot_id != snapshot_id):
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            file = entry.data_file
            # A file with rows of older ones, written anew by a merge, is no news.
            older = KEPT in file.file_path.rpartition("/")[2]
            if entry.snapshot_id == snapshot_id and file.content == DataFileContent.DATA and not older:
                yield entry.data_file
