"""One commit, exactly once: files, schema change, state and run token together, or nothing.

The table is loaded fresh, the transaction staged on it and handed to the catalog once. What comes back may be a conflict
or nothing at all, so every round begins by looking whether our own token already stands in the table. pyiceberg's own
retries are not used: they would put an append on top of a rival run of the same job, and delete manifests of a commit
that landed and answered late. The private names of pyiceberg that this needs are used here and nowhere else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CreateTableTransaction, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import AssertCreate, AssertTableUUID, TableRequirement, ValidatableTableRequirement

from dativo.contract.evolve import Change
from dativo.errors import CommitConflict, CommitUnknown, DativoError, TargetError
from dativo.targets.iceberg.catalog import first_line
from dativo.targets.iceberg.schema import iceberg_type

ROUNDS = 8
LONGEST_WAIT = 5.0
FORMAT_VERSION = "2"


@dataclass(slots=True)
class Plan:
    """What a commit is to do.

    `token` stands in the table once it is done, under the property `token_key`, which holds the newest tokens first.
    `expected` is the token that stood there when the run began (None: none); another one means that another run of the
    job was faster. `ids` are the field ids that the data files were written with.
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
    ids: dict[str, int]
    changes: tuple[Change, ...] = ()
    replace: Callable[[DataFile], bool] | None = None
    location: str | None = None
    summary: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Landed:
    """A commit that is in the table."""

    table: Table
    snapshot_id: int | None
    rounds: int


class AssertToken(ValidatableTableRequirement):
    """The newest run token must be the one that was read: what makes a property change a conflict in a SQL catalog.

    Checked by pyiceberg against the metadata that its update then replaces; never sent to a server.
    """

    type: str = "assert-dativo-token"
    token_key: str
    expected: str | None

    def validate(self, base_metadata: TableMetadata | None) -> None:
        found = newest_token(base_metadata.properties if base_metadata is not None else {}, self.token_key)
        if found != self.expected:
            raise CommitFailedException(f"Requirement failed: the newest run is {found}, not {self.expected}")


def tokens(properties: dict[str, str], key: str) -> list[str]:
    """The run tokens in a table's properties, newest first."""
    return [t for t in properties.get(key, "").split(",") if t]


def newest_token(properties: dict[str, str], key: str) -> str | None:
    return next(iter(tokens(properties, key)), None)


def commit(catalog: Catalog, plan: Plan) -> Landed:
    """Carries the plan out, once.

    Raises CommitConflict when another run of the job committed first, CommitUnknown when the catalog cannot be asked
    whether the commit landed, SchemaChangeRefused or TargetError when it cannot be done.
    """
    doubt: Exception | None = None
    for turn in range(ROUNDS):
        if turn:
            time.sleep(min(0.05 * 2**turn, LONGEST_WAIT) * (0.5 + random.random()))  # noqa: S311 - no secret
        try:
            table = load(catalog, plan.identifier)
        except Exception as error:
            doubt = error
            continue
        if table is not None and plan.token in tokens(table.properties, plan.token_key):
            return Landed(table, _snapshot_of(table, plan.token), turn)
        _check_rival(table, plan)
        staged = _stage(catalog, table, plan)
        try:
            _hand_over(catalog, staged, table, plan)
        except (CommitFailedException, TableAlreadyExistsError, ValidationException) as error:
            # Refused for certain, so nothing refers to the manifests of this round.
            doubt = error
            if _landed(catalog, plan) is False:
                _clean(staged)
        except DativoError:
            raise
        except Exception as error:
            doubt = error
        else:
            return Landed(catalog.load_table(plan.identifier), _staged_snapshot(staged), turn + 1)
    landed = _landed(catalog, plan)
    if landed:
        table = catalog.load_table(plan.identifier)
        return Landed(table, _snapshot_of(table, plan.token), ROUNDS)
    name = ".".join(plan.identifier)
    if landed is False:
        raise TargetError(
            f"the commit to {name} was refused {ROUNDS} times: {first_line(doubt) if doubt else 'no reason given'}",
            hint="other writers keep changing the table; run again",
        )
    raise CommitUnknown(
        f"the catalog does not answer whether the commit to {name} landed: {first_line(doubt) if doubt else ''}",
        hint="run again when the catalog is back: a run that landed is recognised and not repeated",
    )


def load(catalog: Catalog, identifier: tuple[str, str]) -> Table | None:
    """The table, or None when there is none."""
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        return None


def ensure_namespace(catalog: Catalog, name: str) -> None:
    """Makes a namespace that does not exist; another writer may make it at the same moment."""
    if catalog.namespace_exists(name):
        return
    try:
        catalog.create_namespace(name)
    except NamespaceAlreadyExistsError:
        return
    except Exception:
        if not catalog.namespace_exists(name):
            raise


def stage_schema(catalog: Catalog, table: Table | None, plan: Plan) -> Transaction:
    """A transaction with the table's creation or its schema changes; `table_metadata` has the resulting schema."""
    if table is None:
        return catalog.create_table_transaction(
            plan.identifier,
            plan.schema,
            location=plan.location,
            partition_spec=plan.spec,
            properties={"format-version": FORMAT_VERSION, "write.parquet.compression-codec": "zstd"},
        )
    transaction = Transaction(table, autocommit=False)
    if plan.changes:
        with transaction.update_schema(allow_incompatible_changes=True) as update:
            for change in plan.changes:
                inner = iter(range(100_000, 200_000))
                if change.action == "add":
                    update.add_column(
                        change.path, iceberg_type(change.field, inner), doc=change.field.description, required=False
                    )
                elif change.action == "relax":
                    update.make_column_optional(change.path)
                else:
                    update.update_column(change.path, field_type=iceberg_type(change.field, inner))
    return transaction


def staged_io(staged: Transaction) -> FileIO:
    """The file access of the table that a transaction is staged on, or will create."""
    return staged._table.io


def field_ids(schema: Schema) -> dict[str, int]:
    """Every field's id by its dotted name."""
    return {name: schema.find_field(name).field_id for name in schema.column_names}


def _check_rival(table: Table | None, plan: Plan) -> None:
    found = newest_token(table.properties, plan.token_key) if table is not None else None
    if plan.check_expected and found != plan.expected:
        raise CommitConflict(
            f"another run of this job committed to {'.'.join(plan.identifier)} while this one was reading; "
            "this one changed nothing",
            hint="run again: it goes on from what the other run committed",
        )


def _stage(catalog: Catalog, table: Table | None, plan: Plan) -> Transaction:
    transaction = stage_schema(catalog, table, plan)
    metadata = transaction.table_metadata
    have = field_ids(metadata.schema())
    moved = [name for name, number in plan.ids.items() if have.get(name) != number]
    if moved:
        raise CommitConflict(
            f"the columns of {'.'.join(plan.identifier)} changed while this run was reading ({', '.join(moved)}); "
            "it changed nothing",
            hint="run again",
        )
    kept = tokens(metadata.properties, plan.token_key)[:7]
    wanted = {**plan.properties, plan.token_key: ",".join([plan.token, *kept])}
    transaction.set_properties({k: v for k, v in wanted.items() if metadata.properties.get(k) != v})
    gone = _replaced(table, plan) if plan.replace is not None and table is not None else []
    if gone:
        with transaction.update_snapshot(snapshot_properties=plan.summary).overwrite() as overwrite:
            for file in gone:
                overwrite.delete_data_file(file)
            for file in plan.files:
                overwrite.append_data_file(file)
    elif plan.files:
        with transaction.update_snapshot(snapshot_properties=plan.summary).fast_append() as append:
            for file in plan.files:
                append.append_data_file(file)
    return transaction


def _replaced(table: Table, plan: Plan) -> list[DataFile]:
    """The data files that a replacing run takes out of the table."""
    snapshot = table.current_snapshot()
    if snapshot is None or plan.replace is None:
        return []
    files = []
    for manifest in snapshot.manifests(table.io):
        if manifest.content != ManifestContent.DATA:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.content == DataFileContent.DATA and plan.replace(entry.data_file):
                files.append(entry.data_file)
    return files


def _hand_over(catalog: Catalog, staged: Transaction, table: Table | None, plan: Plan) -> None:
    if isinstance(staged, CreateTableTransaction):
        catalog.commit_table(staged._table, (AssertCreate(),), staged._updates)
        return
    assert table is not None
    requirements: tuple[TableRequirement, ...] = (*staged._requirements, AssertTableUUID(uuid=table.metadata.table_uuid))
    if plan.check_expected and isinstance(catalog, SqlCatalog):
        requirements += (AssertToken(token_key=plan.token_key, expected=plan.expected),)
    catalog.commit_table(table, requirements, staged._updates)


def _landed(catalog: Catalog, plan: Plan) -> bool | None:
    """Whether our token stands in the table; None when the catalog cannot be asked."""
    try:
        table = load(catalog, plan.identifier)
    except Exception:  # noqa: BLE001 - whatever it is, the answer is "unknown"
        return None
    return table is not None and plan.token in tokens(table.properties, plan.token_key)


def _snapshot_of(table: Table, token: str) -> int | None:
    for snapshot in reversed(table.metadata.snapshots):
        if snapshot.summary is not None and snapshot.summary.get("dativo.run") == token:
            return snapshot.snapshot_id
    return None


def _staged_snapshot(staged: Transaction) -> int | None:
    producers = staged._snapshot_producers
    return producers[0].snapshot_id if producers else None


def _clean(staged: Transaction) -> None:
    for producer in staged._snapshot_producers:
        producer._clean_all_uncommitted()
