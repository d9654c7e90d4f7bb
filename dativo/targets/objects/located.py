"""Where the table of a stream is: in the object store of the job's connection, or for the target `csv` in a local folder."""

from __future__ import annotations

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.stores.store import ObjectStore, open_store
from dativo.targets.objects.layout import Place, place


def located(job: ResolvedJob, stream: StreamConfig) -> Place:
    """A stream's table; StoreError when a setting of its store is missing."""
    if job.target_type == "csv":
        from dativo.targets.csv.folder import table_place

        return table_place(job, stream)
    return place(job, stream, open_store(job.connections["target"]))


def store_of(job: ResolvedJob) -> ObjectStore:
    """The store of the job's tables."""
    if job.target_type == "csv":
        from dativo.targets.csv.folder import FolderStore, folder_of

        return FolderStore(folder_of(job))
    return open_store(job.connections["target"])
