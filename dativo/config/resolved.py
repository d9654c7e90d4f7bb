"""A job with nothing left to look up: what resolving gives, and what every later stage works on."""

from __future__ import annotations

from typing import Literal

import msgspec

from dativo.config.asset import Asset
from dativo.config.connection import Connection
from dativo.config.job import Budget, File, Incremental, JobFile, Source, Target, ValidationMode, WriteMode
from dativo.config.partition import Partition
from dativo.config.privacy import Privacy
from dativo.config.registry import Connector
from dativo.config.secrets import Secrets
from dativo.errors import Mark, Problem

Mode = Literal["self_hosted", "cloud"]


class MaxRejects(msgspec.Struct, frozen=True):
    """How many rejects quarantine allows: rows, or a share of the rows extracted."""

    rows: int | None = None
    share: float | None = None

    def allows(self, rejected: int, extracted: int) -> bool:
        if self.rows is not None:
            return rejected <= self.rows
        # 29% is a little less than 0.29 as a double: 29 of 100 rows must not fail by that.
        return rejected <= (self.share or 0) * extracted * (1 + 1e-12)

    def __str__(self) -> str:
        return str(self.rows) if self.rows is not None else f"{(self.share or 0) * 100:g}%"


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A table, view or query of a database: what a stream reads, or a part of it.

    `object` names it in the state and in messages. `table`, with its `schema` where the job gives one, is a name as the
    database has it, unquoted; a query has `sql` instead. With `full` it is read as a whole in every run, whatever cursor the
    job has. `field` is the path of its entry in the job.
    """

    object: str
    schema: str | None = None
    table: str | None = None
    sql: str | None = None
    columns: tuple[str, ...] | None = None
    where: str | None = None
    cursor_field: str | None = None
    full: bool = False
    field: str = "source.tables"

    @property
    def label(self) -> str:
        """The relation as messages name it: `public.orders`, or `query 'sales'`."""
        if self.sql is not None:
            return f"query '{self.object}'"
        return ".".join(part for part in (self.schema, self.table) if part)


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One contract of the job with the part of the source that it governs and the table it becomes.

    `relations` are those of a database source; several are one table after another.
    """

    name: str
    asset: Asset
    objects: tuple[str, ...]
    files: tuple[File, ...]
    relations: tuple[Relation, ...] = ()
    namespace: str
    table: str
    partitioning: tuple[Partition, ...]
    privacy: Privacy | None
    max_rejects: MaxRejects | None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a source that one run is asked to read, by its cursor: from `since` on, up to but without `until`.

    Both are values as the source's cursor has them, as text; None leaves an end open.
    """

    since: str | None = None
    until: str | None = None

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None


class ResolvedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job with nothing left to look up. `marks` has the place in a file of every setting that came from one.

    `source` and `target` are the job's blocks laid over their recipes, variables put in. `missing` names the variables
    that the run would use and that are set nowhere; `unbuilt` the blocks that do nothing in this version. `connections`
    has what reaches the systems of the job: `source`, `target`, and for an Iceberg target `nessie`. `window` is what one run
    was asked to read.
    """

    name: str
    path: str
    root: str
    tenant_id: str
    environment: str | None
    mode: Mode
    source_type: str
    source: Source
    target_type: str
    target: Target
    registry_source: Connector | None
    registry_target: Connector | None
    streams: tuple[StreamConfig, ...]
    validation_mode: ValidationMode
    incremental: Incremental | None
    write_mode: WriteMode
    schema_mode: Literal["strict", "merge", "relaxed"]
    branch: str | None
    file: JobFile
    budget: Budget
    missing: tuple[str, ...]
    unbuilt: tuple[str, ...]
    warnings: tuple[Problem, ...]
    marks: dict[str, Mark]
    connections: dict[str, Connection] = {}
    secrets: Secrets = Secrets()
    window: Window = Window()

    def cursor_field(self, relation: Relation | None = None) -> str | None:
        """The source's column that tells what is new; None when the job, or this relation of it, is loaded fully."""
        if self.incremental is None or (relation is not None and relation.full):
            return None
        return (relation.cursor_field if relation is not None else None) or self.incremental.cursor_field

    def mark(self, field: str) -> Mark | None:
        """Where a setting stands: the setting itself, else the nearest one around it."""
        while field:
            if field in self.marks:
                return self.marks[field]
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return Mark(self.path)
