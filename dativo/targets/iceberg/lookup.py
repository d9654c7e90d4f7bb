"""A table looked up in its catalog, and the place for one that is to be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table

T = TypeVar("T")


@runtime_checkable
class Versioned(Protocol):
    """A catalog whose tables can be read and written as they were at one moment: a change since then is a conflict."""

    def pinned(self) -> Catalog: ...

    def ensure_branch(self) -> object: ...


def load(catalog: Catalog, identifier: tuple[str, str]) -> Table | None:
    """The table, or None when there is none."""
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        return None


def looked_at(catalog: Catalog, identifier: tuple[str, str], work: Callable[[Table | None], T]) -> T:
    """What some work gives for the table, or for None; done again when another writer makes the table meanwhile."""
    try:
        return work(load(catalog, identifier))
    except TableAlreadyExistsError:
        return work(load(catalog, identifier))


def ensure_namespace(catalog: Catalog, name: str) -> None:
    """Makes a namespace that does not exist, and its branch; another writer may make them at the same moment."""
    if isinstance(catalog, Versioned):
        catalog.ensure_branch()
    if catalog.namespace_exists(name):
        return
    try:
        catalog.create_namespace(name)
    except NamespaceAlreadyExistsError:
        return
    except Exception:
        if not catalog.namespace_exists(name):
            raise


def snapshot_of(table: Table, token: str) -> int | None:
    """The snapshot that a run made, if it made one and it is still kept."""
    for snapshot in reversed(table.metadata.snapshots):
        if snapshot.summary is not None and snapshot.summary.get("dativo.run") == token:
            return snapshot.snapshot_id
    return None


def version_of(table: Table) -> str:
    """What names the rows that a table has; the table's own name of its snapshot, and the table's."""
    snapshot = table.current_snapshot()
    return f"{table.metadata.table_uuid}:{snapshot.snapshot_id if snapshot is not None else 0}"


def follows(table: Table, before: Table | None) -> bool:
    """Whether a table's snapshot is the one that it had before, or was made on it."""
    snapshot = table.current_snapshot()
    last = before.current_snapshot() if before is not None else None
    known = last.snapshot_id if last is not None else None
    return snapshot is None or known in (snapshot.snapshot_id, snapshot.parent_snapshot_id)
