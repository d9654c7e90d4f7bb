"""What a table's metadata needs: every file that any of its snapshots, and the metadata itself, refers to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile, read_manifest_list
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from dativo.errors import TargetError
from dativo.targets.iceberg.failure import first_line
from dativo.targets.iceberg.memory import STATE
from dativo.targets.iceberg.upkeep.objects import THREADS, normal

T = TypeVar("T")
R = TypeVar("R")

# Sizes in bytes by normal path; 0 where metadata does not tell a size.
Files = dict[str, int]


def of_snapshots(snapshots: Iterable[Snapshot], io: FileIO) -> Files:
    """The manifest lists, manifests, data files and delete files of snapshots.

    A file that a snapshot took out is not one of its files. Raises TargetError where a manifest cannot be read: what it
    refers to cannot be known then.
    """
    lists = {s.manifest_list: s for s in snapshots}
    if not all(lists):
        raise TargetError(
            "a snapshot has no manifest list, as those of the first Iceberg tables: its files cannot be known",
            hint="rewrite the table's manifests with the tool that made it",
        )
    found: Files = {normal(path): 0 for path in lists}
    manifests: dict[str, ManifestFile] = {}
    for one in _each(lambda path: list(read_manifest_list(io.new_input(path))), lists):
        manifests.update((m.manifest_path, m) for m in one)
    found.update((normal(path), m.manifest_length) for path, m in manifests.items())
    for files in _each(lambda m: _files(m, io), manifests.values()):
        found.update(files)
    return found


def _files(manifest: ManifestFile, io: FileIO) -> list[tuple[str, int]]:
    entries = manifest.fetch_manifest_entry(io, discard_deleted=True)
    return [(normal(e.data_file.file_path), e.data_file.file_size_in_bytes) for e in entries]


def of_metadata(metadata: TableMetadata, location: str) -> Files:
    """What a metadata file refers to besides snapshots: itself, its predecessors, statistics, state of jobs."""
    paths = [location, *(entry.metadata_file for entry in metadata.metadata_log)]
    paths += [s.statistics_path for s in (*metadata.statistics, *metadata.partition_statistics)]
    for key, text in metadata.properties.items():
        if key.startswith(STATE):
            paths += _state_file(text)
    return {normal(path): 0 for path in paths}


def _state_file(text: str) -> list[str]:
    try:
        state = json.loads(text)
    except ValueError:
        return []
    return [str(state["file"])] if isinstance(state, dict) and "file" in state else []


def read_metadata(locations: Iterable[str], io: FileIO) -> list[tuple[str, TableMetadata]]:
    """Metadata files; TargetError where one cannot be read."""
    locations = list(locations)
    return list(
        zip(
            locations,
            _each(lambda path: FromInputFile.table_metadata(io.new_input(path)), locations),
            strict=True,
        )
    )


def _each(work: Callable[[T], R], things: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return list(pool.map(work, things))
        except Exception as error:
            raise TargetError(
                f"what the table needs cannot be known, because a part of its metadata cannot be read: {first_line(error)}",
                hint="nothing was removed; restore the file, or check the permissions",
            ) from error
