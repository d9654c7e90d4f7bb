"""A snapshot that takes files out of a table and puts others in: data files, and files with deleted positions.

Each manifest was read once, by whoever says what is to leave. Manifests that name nothing of it are kept as they are, the
others are written anew, where entries that stay keep their sequence numbers. pyiceberg's own overwrite reads every manifest
three times, and cannot write delete files at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.table import TableProperties
from pyiceberg.table.snapshots import Operation, SnapshotSummaryCollector, Summary, update_snapshot_summaries
from pyiceberg.typedef import EMPTY_DICT

from dativo.targets.iceberg.contents import Contents
from dativo.targets.iceberg.manifests import Tiered

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction

# What the summary of a snapshot tells of rows.
UPDATED, DELETED = "dativo.updated", "dativo.deleted"


@dataclass(slots=True)
class Edit:
    """What leaves a table (paths of data files and delete files) and what comes in."""

    gone: set[str] = field(default_factory=set)
    added: Sequence[DataFile] = ()
    deletes: Sequence[DataFile] = ()
    summary: dict[str, str] = field(default_factory=dict)

    @property
    def appends_only(self) -> bool:
        return not (self.gone or self.deletes)


def counted(table: Table, snapshot_id: int | None) -> dict[str, int]:
    """How many rows a commit gave new values where they stand (`updated`) and took out (`deleted`)."""
    snapshot = table.metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
    told = snapshot.summary.additional_properties if snapshot is not None and snapshot.summary is not None else {}
    return {"updated": int(told.get(UPDATED, 0)), "deleted": int(told.get(DELETED, 0))}


class Overwrite(Tiered):
    """Carries an edit out on the contents of the current snapshot; `keeps_rows` tells that no row changes by it."""

    def __init__(
        self,
        transaction: Transaction,
        found: Contents,
        edit: Edit,
        summary: dict[str, str],
        *,
        keeps_rows: bool = False,
    ) -> None:
        super().__init__(
            Operation.OVERWRITE, transaction, transaction._table.io, snapshot_properties={**summary, **edit.summary}
        )
        self._found = found
        self._edit = edit
        self._keeps_rows = keeps_rows
        self._added_data_files = list(edit.added)

    def _validate_concurrency(self) -> None:
        """Nothing to do: the commit is refused by the catalog when the snapshot is not the one that was read."""

    def _manifests(self) -> list[ManifestFile]:
        added = [ManifestEntryStatus.ADDED] * len(self._edit.added)
        made = self._written(ManifestContent.DATA, zip(added, map(_new, self._edit.added), strict=True))
        added = [ManifestEntryStatus.ADDED] * len(self._edit.deletes)
        made += self._written(ManifestContent.DELETES, zip(added, map(_new, self._edit.deletes), strict=True))
        for manifest, entries in self._found.manifests:
            marked = [(self._status(entry), entry) for entry in entries]
            if any(status == ManifestEntryStatus.DELETED for status, _ in marked):
                self._deleted_data_files.update(e.data_file for s, e in marked if s == ManifestEntryStatus.DELETED)
                made += self._written(manifest.content, marked)
            elif entries:
                made.append(manifest)
        return self._process_manifests(made)

    def _status(self, entry: ManifestEntry) -> ManifestEntryStatus:
        gone = entry.data_file.file_path in self._edit.gone
        return ManifestEntryStatus.DELETED if gone else ManifestEntryStatus.EXISTING

    def _written(
        self, content: ManifestContent, marked: Iterable[tuple[ManifestEntryStatus, ManifestEntry]]
    ) -> list[ManifestFile]:
        """Manifests of entries, one for each partition spec."""
        by_spec: dict[int, list[tuple[ManifestEntryStatus, ManifestEntry]]] = defaultdict(list)
        for status, entry in marked:
            by_spec[entry.data_file.spec_id].append((status, entry))
        made = []
        for number, entries in by_spec.items():
            with self.writer_of(content, self.spec(number)) as writer:
                for status, entry in entries:
                    if status == ManifestEntryStatus.ADDED:
                        writer.add(entry)
                    elif status == ManifestEntryStatus.DELETED:
                        writer.delete(entry)
                    else:
                        writer.existing(entry)
            made.append(writer.to_manifest_file())
        return made

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        metadata = self._transaction.table_metadata
        schema, specs = metadata.schema(), metadata.specs()
        limit = metadata.properties.get(TableProperties.WRITE_PARTITION_SUMMARY_LIMIT)
        counts = SnapshotSummaryCollector(int(limit or TableProperties.WRITE_PARTITION_SUMMARY_LIMIT_DEFAULT))
        for file in (*self._edit.added, *self._edit.deletes):
            counts.add_file(file, schema, specs[file.spec_id])
        for file in self._deleted_data_files:
            counts.remove_file(file, schema, specs[file.spec_id])
        before = metadata.current_snapshot()
        found = update_snapshot_summaries(
            Summary(Operation.OVERWRITE, **counts.build(), **snapshot_properties),
            before.summary if before is not None else None,
        )
        return Summary(Operation.REPLACE, **found.additional_properties) if self._keeps_rows else found


def _new(file: DataFile) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED, snapshot_id=None, sequence_number=None, data_file=file
    )
