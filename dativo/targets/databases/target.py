"""Tables in databases as a target: Postgres, MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.field import Field
from dativo.config.logins import address
from dativo.config.partition import INGEST_DATE
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.evolve import Change
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.databases import rejects
from dativo.targets.databases.columns import adopted, wanted_changes
from dativo.targets.databases.commit import Plan, commit, session
from dativo.targets.databases.dialect import Dialect, quoted
from dativo.targets.databases.dialects import dialect_of, partitioned
from dativo.targets.databases.memory import NOTHING, Memory, others, remembered
from dativo.targets.databases.place import Place, check_columns, place
from dativo.targets.databases.scan import has_rows, scanned
from dativo.targets.databases.staged import Staging, encoded
from dativo.targets.protocol import APPEND, Committed, Opened, Output, Revision, TableShape, Written
from dativo.targets.saved import DamagedState, state_of, state_text


class DatabaseTarget:
    """Loads one stream of a job into one table."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig, token: str, started: datetime) -> None:
        self.job = job
        self.stream = stream
        self.token = token
        self.started = started
        self.key = f"{job.tenant_id}.{job.name}.{stream.name}"
        self.connection = job.connections["target"]
        self.dialect: Dialect = dialect_of(job)
        self.place: Place = place(job, stream, self.dialect)
        self.staging = Staging(job, f"{token}-{stream.name}-load")
        self.memory: Memory = NOTHING
        self.shape: TableShape | None = None
        self.existed = False
        self.constant: dict[str, Any] = {}

    def open(self, shape: TableShape) -> Opened:
        self.shape = shape
        for problem in partitioned(self.job, shape.partitioning):
            raise problem
        check_columns(shape.columns, self.dialect, self.stream.asset.mark)
        for column in shape.columns:
            self.dialect.type_of(column, key=column.name in self._key_names())
        if any(p.column == INGEST_DATE for p in shape.partitioning) and self.stream.asset.field(INGEST_DATE) is None:
            self.constant = {INGEST_DATE: self.started.date()}
        with session(self.dialect, self.connection) as opened:
            self.memory = remembered(self.dialect, opened, self.place)
            present = self.dialect.columns(opened, self.place)
            rows = present is not None and has_rows(opened, self.place)
            kept = adopted(opened, self.dialect, self.place, present, self.memory.known.columns, shape.columns)
        self.existed = present is not None
        changing: tuple[Change, ...] = ()
        if present is not None:
            changing = wanted_changes(self.dialect, present, kept, shape.columns, self.job.schema_mode, self.place)
        found = Opened(
            name=self.place.name,
            exists=present is not None,
            saved=None,
            shared=tuple(others(self.memory, self.key, rows=rows)),
            changes=tuple(str(c) for c in changing if c.action != "describe"),
            location=f"{self.dialect.kind} {address(self.connection)}",
        )
        if present is not None:
            try:
                found.saved = self.memory.saved(self.key, self.job.name)
            except DamagedState as error:
                found.damaged = error
        return found

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        assert self.shape is not None
        added = [pl.lit(value).alias(name) for name, value in self.constant.items()]
        return self.staging.output(frame.with_columns(added).select(encoded(self.shape.columns, self.dialect.sent)))

    def existing(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        with session(self.dialect, self.connection) as opened:
            present = self.dialect.columns(opened, self.place)
            if present is None or not has_rows(opened, self.place):
                return None
        return scanned(self.dialect, self.connection, self.place, present, columns)

    def keep_rejects(self, violations: pl.LazyFrame, action: str) -> int:
        """Appends violations to the table's rejects; how many there were."""
        return rejects.keep(
            violations,
            dialect=self.dialect,
            connection=self.connection,
            table=self.place.rejects(),
            token=self.token,
            job=f"{self.job.tenant_id}.{self.job.name}",
            key=self.key,
            action=action,
            found=self.started,
            staging=self.staging,
        )

    def commit(
        self, written: Written, cursor: Cursor, plan_hash: str, receipt: StreamReceipt, revision: Revision = APPEND
    ) -> Committed:
        assert self.shape is not None
        plan = Plan(
            dialect=self.dialect,
            connection=self.connection,
            table=self.place,
            token=self.token,
            job=self.key,
            expected=self.memory.newest(self.key),
            check_expected=True,
            wanted=self.shape.columns,
            mode=self.job.schema_mode,
            files=written.files,
            state=state_text(state_of(cursor, plan_hash, receipt, self.token)),
            staging=self.staging,
            revision=revision,
            replaced=self._replaced(),
            key=self._key() if self.job.write_mode == "upsert" else (),
            properties=self.shape.properties,
            comment=self.stream.asset.description,
            existed=self.existed,
        )
        found = commit(plan)
        self.staging.remove()
        return Committed(found.commit, updated=found.updated, deleted=found.removed)

    def _replaced(self) -> str:
        """Which rows a replacing run takes out: all, or those of the run's own ingest date."""
        day = self.constant.get(INGEST_DATE)
        return f"{quoted(INGEST_DATE)} = DATE '{day.isoformat()}'" if day is not None else ""

    def _key_names(self) -> Sequence[str]:
        return self.stream.asset.key if self.job.write_mode in ("upsert", "scd2") else ()

    def _key(self) -> tuple[Field, ...]:
        assert self.shape is not None
        by_name = {f.name: f for f in self.shape.columns}
        names = self._key_names()
        return tuple(by_name[n] for n in names) if all(n in by_name for n in names) else ()

    def abort(self) -> None:
        self.staging.remove()
