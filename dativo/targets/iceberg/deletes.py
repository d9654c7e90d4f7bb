"""Deletes that other programs keep in files of their own, as far as they cannot be read."""

from __future__ import annotations

from pyiceberg.manifest import DataFileContent, ManifestContent
from pyiceberg.table import Table

from dativo.errors import TargetError


def refuse_equality_deletes(table: Table) -> None:
    """Raises TargetError for a table whose rows cannot be told without comparing each with deleted values.

    Deletes by position are read like everything else.
    """
    snapshot = table.current_snapshot()
    for manifest in snapshot.manifests(table.io) if snapshot is not None else ():
        if manifest.content != ManifestContent.DELETES:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.content == DataFileContent.EQUALITY_DELETES:
                raise TargetError(
                    f"rows of the table {'.'.join(table.name())} were deleted by value (equality deletes, as Flink writes "
                    "them), which this version cannot read",
                    hint="rewrite its data files with the program that wrote them (in Spark: CALL "
                    "system.rewrite_data_files), then run again",
                )
