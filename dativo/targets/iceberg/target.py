"""Iceberg tables as a target: any catalog, any warehouse that Polars and pyiceberg reach."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from dativo.config.asset import Field
from dativo.config.partition import INGEST_DATE, Partition
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.dtypes import polars_type
from dativo.contract.evolve import Change, changes
from dativo.errors import SchemaChangeRefused, TargetError, UnsupportedError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.iceberg.catalog import CatalogSettings, first_line, open_catalog, settings
from dativo.targets.iceberg.commit import Plan, commit, ensure_namespace, field_ids, load, stage_schema, staged_io
from dativo.targets.iceberg.files import FileWriter
from dativo.targets.iceberg.memory import decode_state, encode_state, other_jobs, run_key, state_key
from dativo.targets.iceberg.schema import contract_fields, iceberg_schema, partition_spec, restored, transform
from dativo.targets.protocol import Committed, Opened, Output, TableShape, Written

REJECTS_SUFFIX = "__rejects"

REJECT_COLUMNS = (
    Field(name="run", kind="string", description="token of the run that found it"),
    Field(name="job", kind="string", description="tenant.job"),
    Field(name="action", kind="string", description="rejected, nulled (loaded with null) or refused (nothing loaded)"),
    Field(name="file", kind="string", description="source file"),
    Field(name="row", kind="long", description="number of the record in its file, from 1"),
    Field(name="column", kind="string", description="column of the contract; null when the whole record is bad"),
    Field(name="rule", kind="string", description="rule that was broken"),
    Field(name="value", kind="string", description="original value"),
    Field(name="record", kind="string", description="the whole row as JSON, or the record's text if it cannot be read"),
    Field(name="found_at", kind="timestamptz", description="when the run began"),
)


class IcebergTarget:
    """Loads one stream of a job into one table."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig, token: str, started: datetime) -> None:
        self.job = job
        self.stream = stream
        self.token = token
        self.started = started
        self.identifier = (stream.namespace, stream.table)
        self.run_key = run_key(job.tenant_id, job.name, stream.name)
        self.state_key = state_key(job.tenant_id, job.name, stream.name)
        self.settings: CatalogSettings = settings(job)
        self._catalog: Catalog | None = None
        self.table: Table | None = None
        self.opened: Opened | None = None
        self.shape: TableShape | None = None
        self.changes: tuple[Change, ...] = ()
        self.schema: Schema | None = None
        self.writer: FileWriter | None = None
        self.writers: list[FileWriter] = []

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None:
            self._catalog = open_catalog(self.settings)
        return self._catalog

    @property
    def name(self) -> str:
        return ".".join(self.identifier)

    # -- opening ----------------------------------------------------------------------------------------------------

    def open(self, shape: TableShape) -> Opened:
        self.shape = shape
        try:
            self.table = load(self.catalog, self.identifier)
            ensure_namespace(self.catalog, self.stream.namespace)
        except Exception as error:
            raise TargetError(f"the table {self.name} cannot be opened: {first_line(error)}") from error
        properties = self.table.properties if self.table is not None else {}
        if self.table is not None:
            self.changes = changes(
                contract_fields(self.table.schema()), shape.columns, self.job.schema_mode, self.name
            )
            self._check_partitioning(self.table, shape)
        plan = self._plan([], {}, None)
        staged = stage_schema(self.catalog, self.table, plan)
        metadata = staged.table_metadata
        self.schema = metadata.schema()
        self.writer = self._file_writer(metadata.location, metadata.schema(), shape, metadata.spec(), staged_io(staged))
        saved = None
        if self.table is not None:
            saved = decode_state(properties, self.job.tenant_id, self.job.name, self.stream.name, self.table.io)
        self.opened = Opened(
            name=self.name,
            exists=self.table is not None,
            saved=saved,
            shared=other_jobs(properties, self.run_key),
            changes=tuple(map(str, self.changes)),
            location=metadata.location,
        )
        return self.opened

    def _check_partitioning(self, table: Table, shape: TableShape) -> None:
        have = [
            (table.schema().find_column_name(f.source_id), str(f.transform)) for f in table.spec().fields
        ]
        wanted = [(p.column, str(transform(p))) for p in shape.partitioning]
        if have != wanted:
            raise SchemaChangeRefused(
                f"the table {self.name} is partitioned by {_shown(have)}, the job wants {_shown(wanted)}",
                hint="set target.partitioning to what the table has, or load into another table",
                mark=self.job.mark("target.partitioning"),
                field="target.partitioning",
            )

    def _file_writer(self, location: str, schema: Schema, shape: TableShape, spec: Any, io: FileIO) -> FileWriter:
        options = _engine_options(self.job)
        megabytes = self.job.target.parquet_target_size_mb or options.get("max_file_size_mb") or 150
        columns = {f.name: f for f in shape.columns}
        ordered = tuple(columns[n] for n in (f.name for f in schema.fields) if n in columns)
        constant: dict[str, Any] = {}
        if any(p.column == INGEST_DATE for p in shape.partitioning) and self.stream.asset.field(INGEST_DATE) is None:
            constant[INGEST_DATE] = self.started.date()
        writer = FileWriter(
            location=location,
            token=self.token,
            schema=schema.select(*(f.name for f in ordered)),
            columns=ordered,
            parts=shape.partitioning,
            spec=spec,
            target_bytes=int(megabytes) << 20,
            storage=storage_options(location, self.settings.properties),
            constant=constant,
            io=io,
        )
        self.writers.append(writer)
        return writer

    # -- writing ----------------------------------------------------------------------------------------------------

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        assert self.writer is not None
        return self.writer.output(frame, spill=spill)

    def existing(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        if self.table is None or self.table.current_snapshot() is None:
            return None
        scan = pl.scan_iceberg(self.table, storage_options=storage_options(self.table.location(), self.settings.properties))
        have = {f.name for f in self.table.schema().fields}
        return scan.select(
            restored(f) if f.name in have else pl.lit(None, dtype=polars_type(f)).alias(f.name) for f in columns
        )

    def commit(self, written: Written, cursor: Cursor, plan_hash: str, receipt: StreamReceipt, *, replace: bool) -> Committed:
        assert self.opened is not None and self.shape is not None and self.writer is not None
        state = encode_state(
            cursor, plan_hash, receipt, self.opened.location, self.token, self.writer.io
        )
        properties = {**self.shape.properties, self.state_key: state}
        plan = self._plan(written.files, properties, self._replaces() if replace else None)
        plan.ids = field_ids(self.writer.schema)
        plan.location = self.opened.location
        landed = commit(self.catalog, plan)
        self.table = landed.table
        return Committed(landed.snapshot_id if (written.files or replace) else None)

    def _plan(self, files: list[DataFile], properties: dict[str, str], replace: Any) -> Plan:
        assert self.shape is not None
        schema = iceberg_schema(self.shape.columns)
        return Plan(
            identifier=self.identifier,
            token=self.token,
            token_key=self.run_key,
            expected=self.opened.saved.token if self.opened is not None and self.opened.saved is not None else None,
            check_expected=True,
            properties=properties,
            files=files,
            schema=schema,
            spec=partition_spec(self.shape.partitioning, schema),
            ids={},
            changes=self.changes,
            replace=replace,
            summary={"dativo.run": self.token, "dativo.job": f"{self.job.tenant_id}.{self.job.name}"},
        )

    def _replaces(self) -> Any:
        """Which data files a replacing run takes out: all, or those of the run's own ingest date."""
        assert self.writer is not None
        today = self.writer.constant.get(INGEST_DATE)
        position = next((i for i, p in enumerate(self.writer.parts) if p == Partition(INGEST_DATE)), None)
        if today is None or position is None:
            return lambda _: True
        days = (today - date(1970, 1, 1)).days
        return lambda file: file.partition[position] == days

    def keep_rejects(self, violations: pl.LazyFrame, action: str) -> int:
        """Appends violations to the table's rejects table; how many there were."""
        identifier = (self.stream.namespace, self.stream.table + REJECTS_SUFFIX)
        shape = TableShape(REJECT_COLUMNS, (), {})
        schema = iceberg_schema(REJECT_COLUMNS)
        table = load(self.catalog, identifier)
        plan = Plan(
            identifier=identifier,
            token=self.token,
            token_key=self.run_key,
            expected=None,
            check_expected=False,
            properties={"dativo.rejects-of": self.name},
            files=[],
            schema=schema,
            spec=partition_spec((), schema),
            ids={},
            summary={"dativo.run": self.token},
        )
        staged = stage_schema(self.catalog, table, plan)
        metadata = staged.table_metadata
        plan.location = metadata.location
        writer = self._file_writer(metadata.location, metadata.schema(), shape, metadata.spec(), staged_io(staged))
        rows = violations.with_columns(
            run=pl.lit(self.token),
            job=pl.lit(f"{self.job.tenant_id}.{self.job.name}"),
            action=pl.lit(action),
            found_at=pl.lit(self.started).cast(pl.Datetime("us", "UTC")),
        )
        output = writer.output(rows)
        pl.collect_all([output.sink], engine="streaming")
        written = output.finish()
        plan.files = written.files
        plan.ids = field_ids(writer.schema)
        commit(self.catalog, plan)
        self.writers.remove(writer)
        return written.rows

    def abort(self) -> None:
        for writer in self.writers:
            writer.remove_all()


def _shown(parts: list[tuple[str, str]]) -> str:
    return ", ".join(c if t == "identity" else f"{t}({c})" for c, t in parts) or "nothing"


def _engine_options(job: ResolvedJob) -> dict[str, Any]:
    engine = job.target.engine
    return dict(engine.options) if engine is not None and not isinstance(engine, str) else {}


def storage_options(location: str, properties: dict[str, str]) -> dict[str, str] | None:
    """What Polars needs to reach a location; None for local files."""
    if location.startswith(("file:", "/")):
        return None
    if location.startswith(("s3:", "s3a:")):
        names = {
            "s3.access-key-id": "aws_access_key_id",
            "s3.secret-access-key": "aws_secret_access_key",
            "s3.session-token": "aws_session_token",
            "s3.region": "aws_region",
            "s3.endpoint": "aws_endpoint_url",
        }
        options = {ours: properties[theirs] for theirs, ours in names.items() if theirs in properties}
        if options.get("aws_endpoint_url", "").startswith("http://"):
            options["aws_allow_http"] = "true"
        return options
    raise UnsupportedError(f"warehouses at {location.split(':')[0]}: are not built yet", hint="use file:// or s3://")
