"""What a snapshot holds, read once: its manifests with their live entries, and which deletes apply to which data file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table.delete_file_index import PATH_FIELD_ID, DeleteFileIndex
from pyiceberg.table.snapshots import Snapshot

THREADS = 8


@dataclass(slots=True, frozen=True)
class LiveFile:
    """A data file, the sequence number of the snapshot that added it, and the delete files whose positions it lacks."""

    sequence: int
    file: DataFile
    deletes: tuple[DataFile, ...] = ()


@dataclass
class Contents:
    """The manifests of a snapshot, each with its live entries."""

    manifests: list[tuple[ManifestFile, list[ManifestEntry]]] = field(default_factory=list)

    def entries(self, content: ManifestContent) -> Iterator[ManifestEntry]:
        for manifest, entries in self.manifests:
            if manifest.content == content:
                yield from entries

    @property
    def equality_deletes(self) -> bool:
        """Whether rows are deleted by value."""
        deletes = self.entries(ManifestContent.DELETES)
        return any(e.data_file.content == DataFileContent.EQUALITY_DELETES for e in deletes)

    @cached_property
    def files(self) -> list[LiveFile]:
        """The data files in the order of the manifests."""
        index = DeleteFileIndex()
        for entry in self.entries(ManifestContent.DELETES):
            if entry.data_file.content == DataFileContent.POSITION_DELETES:
                index.add_delete_file(entry, partition_key=entry.data_file.partition)
        return [_live(entry, index) for entry in self.entries(ManifestContent.DATA)]

    def idle_deletes(self, gone: Collection[str]) -> set[str]:
        """The paths of delete files that nothing needs once the data files `gone` are."""
        data = {e.data_file.file_path for e in self.entries(ManifestContent.DATA)}
        none_left = data <= set(gone)
        found = set()
        for entry in self.entries(ManifestContent.DELETES):
            file = entry.data_file
            told = (file.lower_bounds or {}).get(PATH_FIELD_ID), (file.upper_bounds or {}).get(PATH_FIELD_ID)
            # Bounds of other writers may be cut short; a path that is whole is one of a data file.
            path = told[0].decode(errors="replace") if told[0] and told[0] == told[1] else None
            if none_left or (path in data and path in gone):
                found.add(file.file_path)
        return found


def _live(entry: ManifestEntry, index: DeleteFileIndex) -> LiveFile:
    file = entry.data_file
    sequence = entry.sequence_number or 0
    if index.is_empty():
        return LiveFile(sequence, file)
    found = index.for_data_file(sequence, file, partition_key=file.partition)
    return LiveFile(sequence, file, tuple(sorted(found, key=lambda f: f.file_path)))


def deleted_rows(live: LiveFile) -> int:
    """How many rows of a file are deleted, as far as delete files that are about it alone tell."""
    path = live.file.file_path.encode()
    return sum(f.record_count for f in live.deletes if (f.lower_bounds or {}).get(PATH_FIELD_ID) == path)


def contents(snapshot: Snapshot | None, io: FileIO) -> Contents:
    """What a snapshot holds; nothing where there is none."""
    if snapshot is None:
        return Contents()
    manifests = snapshot.manifests(io)
    with ThreadPoolExecutor(min(THREADS, len(manifests) or 1)) as pool:
        read = pool.map(lambda m: m.fetch_manifest_entry(io, discard_deleted=True), manifests)
        return Contents(list(zip(manifests, read, strict=True)))
