"""Tables in databases looked at: facts, rows, rejects. Nothing is made or written."""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

from functools import cached_property

import polars as pl

from dativo.config.field import Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError
from dativo.targets.databases.columns import adopted, fields_of, wanted_changes
from dativo.targets.databases.commit import session
from dativo.targets.databases.dialect import Dialect, Present
from dativo.targets.databases.dialects import dialect_of
from dativo.targets.databases.memory import Memory, Run, remembered
from dativo.targets.databases.place import Place, place
from dativo.targets.databases.scan import scanned
from dativo.targets.protocol import Saved, TableShape
from dativo.targets.reading import TableColumn, TableFacts, TableSnapshot, Version
from dativo.targets.violations import REJECT_COLUMNS

_TAGS = ("asset.", "classification.", "finops.", "governance.", "source.", "lineage.")


class DatabaseReader:
    """Looks at the table of one stream of a job."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig) -> None:
        self.job = job
        self.stream = stream
        self.key = f"{job.tenant_id}.{job.name}.{stream.name}"
        self.connection = job.connections["target"]
        self.dialect: Dialect = dialect_of(job)
        self.place: Place = place(job, stream, self.dialect)

    @cached_property
    def _looked(self) -> tuple[tuple[Present, ...] | None, Memory, tuple[Present, ...] | None]:
        """The table's columns, what is remembered of it, the columns of its rejects."""
        with session(self.dialect, self.connection) as opened:
            present = self.dialect.columns(opened, self.place)
            memory = remembered(self.dialect, opened, self.place)
            return present, memory, self.dialect.columns(opened, self.place.rejects())

    def facts(self) -> TableFacts | None:
        present, memory, _ = self._looked
        fields = self.fields()
        if present is None or fields is None:
            return None
        with session(self.dialect, self.connection) as opened:
            rows = int(opened.rows(f"SELECT count(*) FROM {self.place.sql}")[0][0])
            size = self.dialect.size(opened, self.place)
        return TableFacts(
            name=self.place.name,
            catalog=self.dialect.kind,
            location=f"{self.connection.get('host')}:{self.connection.get('port')}/{self.connection.get('database')}",
            rows=rows,
            files=0,
            bytes=size,
            columns=tuple(
                TableColumn(id=i, name=f.name, type=f.type_text(), required=f.required, comment=f.description)
                for i, f in enumerate(fields, 1)
            ),
            partitioning=(),
            snapshots=tuple(self._described(job, run) for job, run in self._runs()),
            tags={k: v for k, v in sorted(memory.known.properties.items()) if k.startswith(_TAGS)},
            jobs=tuple(sorted(memory.runs)),
        )

    def fields(self) -> tuple[Field, ...] | None:
        present, memory, _ = self._looked
        return None if present is None else fields_of(self.dialect, present, memory.known.columns)

    def saved(self) -> Saved | None:
        present, memory, _ = self._looked
        return memory.saved(self.key, self.job.name) if present is not None else None

    def tokens(self) -> tuple[str, ...]:
        present, memory, _ = self._looked
        return tuple(r.token for r in memory.runs.get(self.key, ())) if present is not None else ()

    def changes(self, shape: TableShape) -> tuple[str, ...]:
        present, memory, _ = self._looked
        if present is None:
            return ()
        with session(self.dialect, self.connection) as opened:
            kept = adopted(opened, self.dialect, self.place, present, memory.known.columns, shape.columns)
        found = wanted_changes(self.dialect, present, kept, shape.columns, self.job.schema_mode, self.place)
        return tuple(str(c) for c in found if c.action != "describe")

    def rows(self) -> pl.LazyFrame | None:
        present, fields = self._looked[0], self.fields()
        if present is None or fields is None:
            return None
        return scanned(self.dialect, self.connection, self.place, present, fields)

    def rejects(self) -> pl.LazyFrame | None:
        present = self._looked[2]
        if present is None:
            return None
        return scanned(self.dialect, self.connection, self.place.rejects(), present, REJECT_COLUMNS)

    def snapshots(self) -> tuple[TableSnapshot, ...]:
        """The newest one: rows that a commit takes out are gone, so nothing before it can be read."""
        return tuple(self._described(job, run) for job, run in self._runs()[:1])

    def versions(self, before: int, after: int) -> tuple[Version, Version]:
        raise TargetError(
            f"the table {self.place.name} keeps no earlier versions",
            hint="Iceberg tables do: use the target iceberg to compare runs",
        )

    def _runs(self) -> list[tuple[str, Run]]:
        """The commits that are remembered and changed rows, the newest first."""
        known = [(job, run) for job, runs in self._looked[1].runs.items() for run in runs if run.commit is not None]
        return sorted(known, key=lambda found: found[1].commit or 0, reverse=True)

    def _described(self, job: str, run: Run) -> TableSnapshot:
        number = run.commit or 0
        return TableSnapshot(
            id=number,
            parent=number - 1 if number > 1 else None,
            at=run.at,
            operation=run.operation,
            run=run.token,
            job=job.rpartition(".")[0],
            upkeep=None,
            rows_added=run.added,
            rows_removed=run.removed,
            files_added=0,
            files_removed=0,
            current=number == self._looked[1].known.commits,
        )
