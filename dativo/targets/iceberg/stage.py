"""A table's change, staged: schema, properties, files. Nothing of it is visible before it is handed to the catalog.

The private names of pyiceberg that this needs are used here and nowhere else: its own way to commit would rebase an
append over a rival run of the same job, and delete manifests of a commit that landed and answered late.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CreateTableTransaction, StagedTable, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import AssertCreate, AssertTableUUID, SetPropertiesUpdate, TableUpdate
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.typedef import EMPTY_DICT

from dativo.contract.evolve import Change
from dativo.errors import CommitConflict
from dativo.targets.iceberg.manifests import tiered_append
from dativo.targets.iceberg.schema import iceberg_type

FORMAT_VERSION = "2"
TOKENS = 8


@dataclass(slots=True)
class Plan:
    """What a commit is to do.

    `token` stands in the table once it is done, under the property `token_key`, which holds the newest tokens first.
    `expected` is the token that stood there when the run began (None: none); another one means that another run of the
    job was faster. `schema` and `spec` are those of a new table; `ids` and `written_spec` are the field ids and the
    partitioning that the data files were written with. `rewrites` are the paths of files whose rows `files` hold anew, no
    row changed: all of them must still be in the table, and no delete file may be. `location` is where a new table's files
    were written, with `io`.
    """

    identifier: tuple[str, str]
    token: str
    token_key: str
    expected: str | None
    check_expected: bool
    properties: dict[str, str]
    files: list[DataFile]
    schema: Schema
    spec: PartitionSpec
    ids: dict[str, int] = field(default_factory=dict)
    written_spec: PartitionSpec | None = None
    changes: tuple[Change, ...] = ()
    replace: Callable[[DataFile], bool] | None = None
    rewrites: frozenset[str] = frozenset()
    location: str | None = None
    io: FileIO | None = None
    summary: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ".".join(self.identifier)


class _Rewrite(_OverwriteFiles):
    """pyiceberg's overwrite as a snapshot of the operation `replace`: readers of changes find none in it."""

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        return Summary(Operation.REPLACE, **super()._summary(snapshot_properties).additional_properties)


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


def tokens(properties: dict[str, str], key: str) -> list[str]:
    """The run tokens in a table's properties, newest first."""
    return [t for t in properties.get(key, "").split(",") if t]


def newest_token(properties: dict[str, str], key: str) -> str | None:
    return next(iter(tokens(properties, key)), None)


def field_ids(schema: Schema) -> dict[str, int]:
    """Every field's id by its dotted name."""
    return {name: schema.find_field(name).field_id for name in schema.column_names}


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


def stage(catalog: Catalog, table: Table | None, plan: Plan, *, snapshot: bool) -> Staged:
    """All of the plan, staged on the table as it is now; with `snapshot` it makes one even if no file comes or goes.

    Raises CommitConflict when the table's columns or partitioning are no longer those that the data files have.
    """
    gone = _replaced(table, plan)
    try:
        staged = stage_schema(catalog, table, plan)
    except ValueError as error:
        raise _moved(plan, str(error)) from error
    _check_shape(staged.metadata, plan)
    properties = staged.metadata.properties
    kept = tokens(properties, plan.token_key)[: TOKENS - 1]
    wanted = {**plan.properties, plan.token_key: ",".join([plan.token, *kept])}
    staged.transaction.set_properties({k: v for k, v in wanted.items() if properties.get(k) != v})
    if not (gone or plan.files or snapshot):
        return staged
    producer = _producer(staged, plan, bool(gone))
    for file in gone:
        producer.delete_data_file(file)
    for file in plan.files:
        producer.append_data_file(file)
    try:
        producer.commit()
    except Exception:
        staged.clean()
        raise
    return staged


def _producer(staged: Staged, plan: Plan, overwrites: bool) -> Any:
    if plan.rewrites:
        return _Rewrite(Operation.OVERWRITE, staged.transaction, staged.io, snapshot_properties=plan.summary)
    update = staged.transaction.update_snapshot(snapshot_properties=plan.summary)
    return update.overwrite() if overwrites else tiered_append(staged.transaction, plan.summary)


def _check_shape(metadata: TableMetadata, plan: Plan) -> None:
    have = field_ids(metadata.schema())
    moved = [name for name, number in plan.ids.items() if have.get(name) != number]
    if moved:
        raise _moved(plan, ", ".join(moved))
    if plan.written_spec is not None and metadata.spec() != plan.written_spec:
        raise _moved(plan, "its partitioning")


def _moved(plan: Plan, what: str) -> CommitConflict:
    return CommitConflict(
        f"the shape of {plan.name} changed while this run was reading ({what}); this run changed nothing",
        hint="run again",
    )


def _replaced(table: Table | None, plan: Plan) -> list[DataFile]:
    """The data files that a replacing or rewriting run takes out of the table."""
    snapshot = table.current_snapshot() if table is not None else None
    if table is None or snapshot is None:
        if plan.rewrites:
            raise _overtaken(plan)
        return []
    if not (plan.replace or plan.rewrites):
        return []
    files = []
    for manifest in snapshot.manifests(table.io):
        if manifest.content != ManifestContent.DATA:
            if plan.rewrites:
                raise _overtaken(plan)
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            known = entry.data_file.file_path in plan.rewrites or (plan.replace and plan.replace(entry.data_file))
            if entry.data_file.content == DataFileContent.DATA and known:
                files.append(entry.data_file)
    if {f.file_path for f in files} < plan.rewrites:
        raise _overtaken(plan)
    return files


def _overtaken(plan: Plan) -> CommitConflict:
    return CommitConflict(
        f"another run replaced rows of {plan.name} while its files were being rewritten; nothing was changed",
        hint="run it again when no other run is loading the table",
    )
