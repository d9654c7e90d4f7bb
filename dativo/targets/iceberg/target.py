"""Iceberg tables as a target: any catalog, any warehouse that Polars and pyiceberg reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from dativo.config.asset import Field
from dativo.config.partition import INGEST_DATE
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.evolve import Change, changes
from dativo.errors import TargetError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.iceberg.audit import added, audit
from dativo.targets.iceberg.catalog import CatalogSettings, open_catalog, settings
from dativo.targets.iceberg.commit import commit
from dativo.targets.iceberg.deletes import refuse_equality_deletes
from dativo.targets.iceberg.failure import failures
from dativo.targets.iceberg.files import FileWriter, check_there
from dativo.targets.iceberg.lookup import ensure_namespace, follows, load, looked_at, version_of
from dativo.targets.iceberg.memory import decode_state, encode_state, other_loaders, run_key, state_key
from dativo.targets.iceberg.options import file_megabytes, merge_mode
from dativo.targets.iceberg.overwrite import counted
from dativo.targets.iceberg.partitions import check_partitioning, partition_spec, replaces_day
from dativo.targets.iceberg.plan import Plan, field_ids, newest_token
from dativo.targets.iceberg.rejects import Rejects
from dativo.targets.iceberg.rollback import rolled_back
from dativo.targets.iceberg.schema import check_identifiers, iceberg_schema, restored, table_columns
from dativo.targets.iceberg.staged import Staged, stage_schema
from dativo.targets.iceberg.storage import storage_options
from dativo.targets.protocol import APPEND, Audit, Committed, Opened, Output, Revision, TableShape, Written
from dativo.targets.saved import DamagedState

if TYPE_CHECKING:
    from dativo.targets.iceberg.merge import Merge

# A run that has gone on for longer looks whether its files are still there.
LONG = timedelta(days=1)
ROLLED_BACK = "somebody put the table back to a snapshot before this job's last commit: everything is read again"


class Branch(Protocol):
    """Where a run that is published later works: the catalog at its branch, at what was sealed of it, at what is seen."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def sealed(self) -> Catalog: ...

    @property
    def visible(self) -> Catalog: ...


class IcebergTarget:
    """Loads one stream of a job into one table, on a branch where one is given."""

    def __init__(
        self, job: ResolvedJob, stream: StreamConfig, token: str, started: datetime, branch: Branch | None = None
    ) -> None:
        self.branch = branch
        self.committed = False
        self.snapshot_id: int | None = None
        self.job = job
        self.stream = stream
        self.token = token
        self.started = started
        self.identifier = (stream.namespace, stream.table)
        self.run_key = run_key(job.tenant_id, job.name, stream.name)
        self.state_key = state_key(job.tenant_id, job.name, stream.name)
        self.merge_mode = merge_mode(job)
        self.settings: CatalogSettings = settings(job)
        self._catalog: Catalog | None = None
        self.table: Table | None = None
        self.opened: Opened | None = None
        self.shape: TableShape | None = None
        self.expected: str | None = None
        self.changes: tuple[Change, ...] = ()
        self.writer: FileWriter | None = None
        self.rejects: Rejects | None = None

    @property
    def catalog(self) -> Catalog:
        if self.branch is not None:
            return self.branch.catalog
        if self._catalog is None:
            self._catalog = open_catalog(self.settings)
        return self._catalog

    @property
    def name(self) -> str:
        return ".".join(self.identifier)

    # -- opening ----------------------------------------------------------------------------------------------------

    def open(self, shape: TableShape) -> Opened:
        self.shape = shape
        with failures(f"opening the table {self.name}"):
            staged = looked_at(self.catalog, self.identifier, self._staged)
            self.writer = self._file_writer(staged, shape)
            self.opened = self._opened(staged.metadata.location)
        return self.opened

    def _staged(self, table: Table | None) -> Staged:
        """What the run will make of the table's schema; it is known afterwards how the table is."""
        assert self.shape is not None
        self.table = table
        if table is None:
            ensure_namespace(self.catalog, self.stream.namespace)
        else:
            columns = table_columns(table.schema())
            self.changes = changes(columns, self.shape.columns, self.job.schema_mode, self.name)
            check_identifiers(table, self.changes)
            check_partitioning(table, self.shape.partitioning, self.job.mark("target.partitioning"))
            self.expected = newest_token(table.properties, self.run_key)
        return stage_schema(self.catalog, table, self._plan())

    def _opened(self, location: str) -> Opened:
        table = self.table
        opened = Opened(
            name=self.name,
            exists=table is not None,
            saved=None,
            changes=tuple(str(c) for c in self.changes if c.action != "describe"),
            location=location,
        )
        if table is not None:
            opened.shared = other_loaders(table, self.run_key)
            opened.version = version_of(table)
            try:
                job = self.job
                opened.saved = decode_state(table.properties, job.tenant_id, job.name, self.stream.name, table.io)
                if opened.saved is not None and rolled_back(table, self.run_key):
                    opened.saved = None
                    opened.changes = (*opened.changes, ROLLED_BACK)
            except DamagedState as error:
                opened.damaged = error
        return opened

    def _file_writer(self, staged: Staged, shape: TableShape) -> FileWriter:
        metadata = staged.metadata
        columns = {f.name: f for f in shape.columns}
        ordered = tuple(columns[f.name] for f in metadata.schema().fields if f.name in columns)
        constant: dict[str, Any] = {}
        if any(p.column == INGEST_DATE for p in shape.partitioning) and self.stream.asset.field(INGEST_DATE) is None:
            constant[INGEST_DATE] = self.started.date()
        return FileWriter(
            location=metadata.location,
            token=self.token,
            schema=metadata.schema().select(*(f.name for f in ordered)),
            columns=ordered,
            parts=shape.partitioning,
            spec=metadata.spec(),
            target_bytes=file_megabytes(self.job) << 20,
            storage=storage_options(metadata.location, staged.io.properties),
            constant=constant,
            io=staged.io,
        )

    # -- writing ----------------------------------------------------------------------------------------------------

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        assert self.writer is not None
        output = self.writer.output(frame, spill=spill)
        finish = output.finish

        def finished() -> Written:
            with failures("writing the data files"):
                return finish()

        return Output(output.sink, finished)

    def existing(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        table = self.table
        if table is None or table.current_snapshot() is None:
            return None
        with failures(f"reading the table {self.name}"):
            refuse_equality_deletes(table)
        scan = pl.scan_iceberg(table, storage_options=storage_options(table.location(), table.io.properties))
        have = {c.name: c for c in table_columns(table.schema())}
        return scan.select(restored(f, have.get(f.name)) for f in columns)

    def commit(
        self, written: Written, cursor: Cursor, plan_hash: str, receipt: StreamReceipt, revision: Revision = APPEND
    ) -> Committed:
        assert self.opened is not None and self.shape is not None and self.writer is not None
        plan = self._plan()
        with failures(f"the commit to {self.name}"):
            state = encode_state(cursor, plan_hash, receipt, self.opened.location, self.token, self.writer.io)
            plan.properties = {**self.shape.properties, self.state_key: state}
            plan.files = written.files
            plan.replace = self._replaces(revision.whole) if revision.kind == "replace" else None
            plan.fills = revision.kind == "fill"
            plan.merge = merge = self._merge(revision)
            plan.ids = field_ids(self.writer.schema)
            plan.written_spec = self.writer.spec
            plan.location, plan.io = self.opened.location, self.writer.io
            if datetime.now(UTC) - self.started > LONG:
                check_there(self.writer.io, written.files)
            landed = commit(self.catalog, plan)
            if merge is not None:
                merge.settle(landed.table, landed.snapshot_id)
        before, self.table = self.table, landed.table
        self.committed, self.snapshot_id = True, landed.snapshot_id
        version = version_of(landed.table) if follows(landed.table, before) else None
        return Committed(landed.snapshot_id, version, **counted(landed.table, landed.snapshot_id))

    def _merge(self, revision: Revision) -> Merge | None:
        if revision.kind != "merge":
            return None
        from dativo.targets.iceberg.merge import Merge

        assert self.writer is not None
        return Merge(revision, self.writer, self.merge_mode, self.job.budget.memory_limit)

    def _plan(self) -> Plan:
        assert self.shape is not None
        schema = iceberg_schema(self.shape.columns)
        return Plan(
            identifier=self.identifier,
            token=self.token,
            token_key=self.run_key,
            expected=self.expected,
            check_expected=True,
            properties={},
            files=[],
            schema=schema,
            spec=partition_spec(self.shape.partitioning, schema),
            changes=self.changes,
            summary={"dativo.run": self.token, "dativo.job": self._job_name()},
        )

    def _job_name(self) -> str:
        return f"{self.job.tenant_id}.{self.job.name}"

    def _replaces(self, whole: bool = False) -> Callable[[DataFile], bool]:
        """Which data files a replacing run takes out: all, or those of the run's own ingest date."""
        assert self.writer is not None
        day = self.writer.constant.get(INGEST_DATE)
        if whole or day is None:
            return lambda _: True
        return replaces_day(self.writer.schema, day, self.name)

    def keep_rejects(self, violations: pl.LazyFrame, action: str) -> int:
        """Appends violations to the table's rejects table; how many there were."""
        visible = self.catalog if self.branch is None else self.branch.visible
        self.rejects = Rejects(visible, self.settings.properties, self.identifier)
        with failures(f"keeping the rejects of {self.name}"):
            return self.rejects.append(
                violations,
                token=self.token,
                token_key=self.run_key,
                job=self._job_name(),
                action=action,
                found=self.started,
            )

    # -- on a branch ------------------------------------------------------------------------------------------------

    def audit(self) -> Audit:
        with failures(f"checking {self.name}"):
            return audit(self._sealed(), self.snapshot_id)

    def added(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        with failures(f"checking {self.name}"):
            return added(self._sealed(), self.snapshot_id, columns)

    def _sealed(self) -> Table:
        assert self.branch is not None
        table = load(self.branch.sealed, self.identifier)
        if table is None or newest_token(table.properties, self.run_key) != self.token:
            raise TargetError(f"the table {self.name} on the run's branch is not the one that this run left there")
        return table

    def abort(self) -> None:
        if self.writer is not None:
            self.writer.remove_all()
        if self.rejects is not None:
            self.rejects.remove()
