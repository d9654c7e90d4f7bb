"""Commits that keep a table's list of manifests short, so that a commit costs the same however old the table is.

A plain append adds a manifest for each commit, and each commit reads and writes the list of all of them: after ten
thousand commits that list alone takes seconds. Here small manifests are merged in tiers, as log-structured stores do it:
32 of the smallest become one of the next size, and none grows so large that rewriting it would be felt in a commit.
"""

from __future__ import annotations

from collections import defaultdict

from pyiceberg.manifest import (
    ManifestContent,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import MetadataLogEntry, Operation, Snapshot, SnapshotLogEntry
from pyiceberg.table.update.snapshot import _FastAppendFiles

# pyiceberg copies a table's whole history twice for each commit. Entries of the history are values that nothing changes
# once they are made, so a copy may share them: with ten thousand snapshots that is three seconds of a commit.
for _value in (Snapshot, SnapshotLogEntry, MetadataLogEntry):
    _value.__deepcopy__ = lambda self, memo=None: self  # type: ignore[method-assign]

FAN = 32
# A manifest with as many entries is left as it is: writing a thousand takes about a tenth of a second.
LARGEST = 1_000


class _DeleteManifestWriter(ManifestWriterV2):
    """A manifest of delete files, which pyiceberg reads but does not write."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class Tiered(_FastAppendFiles):
    """A commit that merges small manifests of earlier ones. Entries keep their sequence numbers."""

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        tiers: dict[tuple[ManifestContent, int, int], list[ManifestFile]] = defaultdict(list)
        kept: list[ManifestFile] = []
        for manifest in manifests:
            own = manifest.added_snapshot_id in (None, self._snapshot_id)
            if own or entries(manifest) >= LARGEST:
                kept.append(manifest)
            else:
                tiers[manifest.content, manifest.partition_spec_id, tier(entries(manifest))].append(manifest)
        # From the smallest tier up: what is merged may fill the next one.
        for content, spec_id, level in sorted(tiers):
            group = tiers[content, spec_id, level]
            if len(group) >= FAN:
                merged = self._merged(content, spec_id, group)
                size = entries(merged)
                above = kept if size >= LARGEST else tiers.get((content, spec_id, tier(size)), kept)
                above.append(merged)
            else:
                kept += group
        return kept

    def _merged(self, content: ManifestContent, spec_id: int, group: list[ManifestFile]) -> ManifestFile:
        with self.writer_of(content, self.spec(spec_id)) as writer:
            for manifest in group:
                for entry in self.fetch_manifest_entry(manifest, discard_deleted=True):
                    if entry.status != ManifestEntryStatus.DELETED:
                        writer.existing(entry)
        return writer.to_manifest_file()

    def writer_of(self, content: ManifestContent, spec: PartitionSpec) -> ManifestWriter:
        """A manifest that is to be written."""
        if content == ManifestContent.DATA:
            return self.new_manifest_writer(spec)
        return _DeleteManifestWriter(
            spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression
        )


def entries(manifest: ManifestFile) -> int:
    """How many files a manifest names."""
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def tier(count: int) -> int:
    """The size class of a manifest: 0 below 32 entries, else 1."""
    return 0 if count < FAN else 1


def tiered_append(transaction: Transaction, summary: dict[str, str]) -> Tiered:
    """The append of a transaction; files are added to it, `commit` stages it."""
    return Tiered(Operation.APPEND, transaction, transaction._table.io, snapshot_properties=summary)
