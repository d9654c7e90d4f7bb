"""Whether a table was put back to a snapshot before a job's last commit.

What a table remembers of a job stands in its properties, which stay when somebody sets the table back to an older snapshot:
the cursor would then be that of rows that are no longer there.
"""

from __future__ import annotations

from pyiceberg.table import Table

from dativo.targets.iceberg.lookup import snapshot_of
from dativo.targets.iceberg.plan import tokens


def rolled_back(table: Table, token_key: str) -> bool:
    """Whether the newest snapshot of the job's runs is kept, but the table's rows do not come from it.

    A snapshot that is not kept any more tells nothing: false. So does a catalog that keeps the current one only.
    """
    found = (snapshot_of(table, token) for token in tokens(table.properties, token_key))
    newest = next((number for number in found if number is not None), None)
    return newest is not None and newest not in _ancestors(table)


def _ancestors(table: Table) -> set[int]:
    """The current snapshot and those that it was made on, as far as they are kept."""
    by_id = {s.snapshot_id: s for s in table.metadata.snapshots}
    found: set[int] = set()
    snapshot = table.current_snapshot()
    while snapshot is not None and snapshot.snapshot_id not in found:
        found.add(snapshot.snapshot_id)
        parent = snapshot.parent_snapshot_id
        snapshot = by_id.get(parent) if parent is not None else None
    return found
