"""A table's change in the making: its schema is changed here, and the whole is handed to the catalog once.

pyiceberg's own way to commit would rebase an append over a rival run of the same job, and delete manifests of a commit that
landed and answered late; the private names that this needs instead are used here, in `manifests` and in `overwrite` only.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.table import CreateTableTransaction, StagedTable, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import AssertCreate, AssertTableUUID, SetPropertiesUpdate, TableUpdate
from pyiceberg.table.update.schema import UpdateSchema

from dativo.contract.evolve import Change
from dativo.targets.iceberg.plan import Plan
from dativo.targets.iceberg.schema import iceberg_type

FORMAT_VERSION = "2"


class _Transaction(Transaction):
    """pyiceberg's transaction, which copies the whole history of the table once for each change instead of 18 times."""

    _seen: tuple[TableUpdate, ...] = ()
    _known: TableMetadata | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        if not self._updates:
            return self._table.metadata
        if self._known is None or self._seen is not self._updates:
            self._seen, self._known = self._updates, super().table_metadata
        return self._known


@dataclass(slots=True)
class Staged:
    """A change that a catalog can take or refuse as a whole; `base` is the table it was staged on, None for a new one."""

    transaction: Transaction
    base: Table | None

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata as it will be."""
        return self.transaction.table_metadata

    @property
    def io(self) -> FileIO:
        return self.transaction._table.io

    @property
    def snapshot_id(self) -> int | None:
        producers = self.transaction._snapshot_producers
        return producers[0].snapshot_id if producers else None

    def hand_over(self, catalog: Catalog, *further: Any) -> Table:
        """Commits, once; `further` are requirements that only catalogs which check them here can keep."""
        staged = self.transaction
        if self.base is None:
            response = catalog.commit_table(staged._table, (AssertCreate(),), _properties_once(staged._updates))
        else:
            same = AssertTableUUID(uuid=self.base.metadata.table_uuid)
            response = catalog.commit_table(self.base, (*staged._requirements, same, *further), staged._updates)
        return Table(
            identifier=staged._table.name(),
            metadata=response.metadata,
            metadata_location=response.metadata_location,
            io=staged._table.io,
            catalog=catalog,
        )

    def clean(self) -> None:
        """Removes the manifests of a change that was refused for certain."""
        for producer in self.transaction._snapshot_producers:
            for path in (*producer._written_manifests, *producer._written_manifest_lists):
                with contextlib.suppress(OSError):
                    producer._io.delete(path)


def _properties_once(updates: tuple[TableUpdate, ...]) -> tuple[TableUpdate, ...]:
    """The updates of a new table with its properties in one of them: Nessie takes no more than one."""
    given = [u for u in updates if isinstance(u, SetPropertiesUpdate)]
    merged = SetPropertiesUpdate(updates={k: v for u in given for k, v in u.updates.items()})
    return (*(u for u in updates if not isinstance(u, SetPropertiesUpdate)), merged)


def begin(table: Table) -> Staged:
    """A change of a table with nothing in it yet."""
    return Staged(_Transaction(table, autocommit=False), table)


def stage_schema(catalog: Catalog, table: Table | None, plan: Plan) -> Staged:
    """The table's creation or the changes of its schema, staged."""
    if table is None:
        properties = {"format-version": FORMAT_VERSION, "write.parquet.compression-codec": "zstd"}
        creation = catalog.create_table_transaction(
            plan.identifier, plan.schema, location=plan.location, partition_spec=plan.spec, properties=properties
        )
        staged = creation._table
        if isinstance(staged, StagedTable) and plan.location not in (None, staged.metadata.location):
            # Nessie gives each table that is staged another place; the data files are where it was staged first.
            staged.metadata = staged.metadata.model_copy(update={"location": plan.location})
            staged.io = plan.io or staged.io
            creation = CreateTableTransaction(staged)
        return Staged(creation, None)
    transaction = _Transaction(table, autocommit=False)
    if plan.changes:
        with transaction.update_schema(allow_incompatible_changes=True) as update:
            for change in plan.changes:
                _apply(update, change)
    return Staged(transaction, table)


def _apply(update: UpdateSchema, change: Change) -> None:
    inner = iter(range(100_000, 200_000))
    if change.action == "relax" or change.field is None:
        update.make_column_optional(change.path)
    elif change.action == "add":
        type_ = iceberg_type(change.field, inner, nested=len(change.path) > 1)
        update.add_column(change.path, type_, doc=change.field.description, required=False)
    elif change.action == "widen":
        update.update_column(change.path, field_type=iceberg_type(change.field, inner))
    else:
        update.update_column(change.path, doc=change.field.description)
