"""Deletes that other programs keep in files of their own, as far as they cannot be read."""

from __future__ import annotations

from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table

from dativo.errors import TargetError
from dativo.targets.iceberg.contents import Contents


def refuse_equality_deletes(table: Table) -> None:
    """Raises TargetError for a table whose rows cannot be told without comparing each with deleted values.

    Deletes by position are read like everything else.
    """
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot is not None else []
    deletes = [m for m in manifests if m.content == ManifestContent.DELETES]
    equality_deletes_refused(table, Contents([(m, m.fetch_manifest_entry(table.io)) for m in deletes]))


def equality_deletes_refused(table: Table, found: Contents) -> None:
    """The same for a table whose manifests were read already."""
    if found.equality_deletes:
        raise TargetError(
            f"rows of the table {'.'.join(table.name())} were deleted by value (equality deletes, as Flink writes them), "
            "which this version cannot read",
            hint="rewrite its data files with the program that wrote them (in Spark: CALL system.rewrite_data_files), "
            "then run again",
        )
