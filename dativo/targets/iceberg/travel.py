"""A table as it was: its snapshots, and what two of them do not have in common.

What two snapshots share is found by the names of data files alone; only the files that one of them has and the other
has not are ever read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask, Table
from pyiceberg.table.snapshots import Snapshot

from dativo.errors import DativoError, TargetError
from dativo.targets.iceberg.failure import first_line
from dativo.targets.iceberg.schema import contract_fields, readable, table_columns
from dativo.targets.reading import FileCount, TableColumn, TableSnapshot, Version


@dataclass(slots=True, frozen=True)
class Moment:
    """A snapshot in a table's metadata as it can be read.

    `newest` where it is that metadata's own newest one, `current` where it is what readers of the table see today.
    """

    table: Table
    snapshot: Snapshot
    newest: bool
    current: bool

    @property
    def schema(self) -> Schema:
        """The columns at the time; of the newest snapshot those of now, which may have changed without a snapshot."""
        number = self.snapshot.schema_id
        return self.table.schema() if self.newest or number is None else self.table.schemas()[number]

    def tasks(self) -> dict[tuple[str, ...], FileScanTask]:
        """The data files by their path and those of the deletes that apply to them."""
        found = self.table.scan(snapshot_id=self.snapshot.snapshot_id).plan_files()
        return {(t.file.file_path, *sorted(d.file_path for d in t.delete_files)): t for t in found}


def moments(table: Table) -> list[Moment]:
    """The snapshots that the table's metadata lists, the newest first."""
    newest = table.metadata.current_snapshot_id
    listed = sorted(table.metadata.snapshots, key=lambda s: (s.sequence_number or 0, s.timestamp_ms), reverse=True)
    return [Moment(table, s, s.snapshot_id == newest, s.snapshot_id == newest) for s in listed]


def versions(
    before: Moment, after: Moment, storage: Callable[[Table], dict[str, str] | None], name: str
) -> tuple[Version, Version]:
    """Both moments with what each has that the other lacks. Raises TargetError when files of one of them are gone."""
    try:
        old, new = before.tasks(), after.tasks()
    except DativoError:
        raise
    except Exception as error:
        raise TargetError(
            f"a snapshot of {name} cannot be read any more: {first_line(error)}",
            hint="its files were removed; compare snapshots that are still there",
        ) from error
    return (
        _version(before, [t for key, t in old.items() if key not in new], storage),
        _version(after, [t for key, t in new.items() if key not in old], storage),
    )


def _version(moment: Moment, tasks: list[FileScanTask], storage: Callable[[Table], dict[str, str] | None]) -> Version:
    tasks = sorted(tasks, key=lambda t: t.file.file_path)
    schema = moment.schema
    rows = None
    if tasks:
        part = _part(moment, tasks)
        options = storage(moment.table)
        scan = pl.scan_iceberg(part, storage_options=options, use_metadata_statistics=False, use_pyiceberg_filter=False)
        rows = scan.select(map(readable, table_columns(schema)))
    return Version(
        snapshot=described(moment.snapshot, current=moment.current),
        columns=columns(schema),
        fields=contract_fields(schema),
        own=FileCount(
            files=len(tasks),
            rows=sum(t.file.record_count for t in tasks),
            bytes=sum(t.file.file_size_in_bytes for t in tasks),
        ),
        rows=rows,
        exact=not any(t.delete_files for t in tasks),
    )


def _part(moment: Moment, tasks: Collection[FileScanTask]) -> Table:
    """The table as if it had some data files only and always had the moment's columns."""
    chosen = list(tasks)
    schema = moment.schema

    class Files(DataScan):
        def plan_files(self) -> list[FileScanTask]:
            return chosen

    class Part(Table):
        def schema(self) -> Schema:
            return schema

        def scan(self, *_: Any, selected_fields: tuple[str, ...] = ("*",), limit: int | None = None, **__: Any) -> Any:
            metadata = self.metadata
            return Files(table_metadata=metadata, io=self.io, selected_fields=selected_fields, limit=limit)

    whole = moment.table
    metadata = whole.metadata.model_copy(update={"current_schema_id": schema.schema_id})
    return Part(whole.name(), metadata, whole.metadata_location, whole.io, whole.catalog)


def columns(schema: Schema) -> tuple[TableColumn, ...]:
    """The columns as people read them."""
    return tuple(
        TableColumn(id=f.field_id, name=f.name, type=str(f.field_type), required=f.required, comment=f.doc)
        for f in schema.fields
    )


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """What a snapshot tells of itself."""
    return dict(snapshot.summary.additional_properties) if snapshot.summary is not None else {}


def described(snapshot: Snapshot, *, current: bool) -> TableSnapshot:
    """A snapshot in the terms of every target."""
    found = summary(snapshot)
    moment = datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
    # Rows of files that stay are removed by telling their positions, and no more removed once their files are written anew.
    marked = int(found.get("added-position-deletes", 0)) - int(found.get("removed-position-deletes", 0))
    return TableSnapshot(
        id=snapshot.snapshot_id,
        parent=snapshot.parent_snapshot_id,
        at=moment.isoformat(timespec="milliseconds"),
        operation=snapshot.summary.operation.value if snapshot.summary is not None else "",
        run=found.get("dativo.run"),
        job=found.get("dativo.job"),
        upkeep=found.get("dativo.maintain"),
        rows_added=int(found.get("added-records", 0)),
        rows_removed=int(found.get("deleted-records", 0)) + marked,
        files_added=int(found.get("added-data-files", 0)),
        files_removed=int(found.get("deleted-data-files", 0)),
        current=current,
    )
