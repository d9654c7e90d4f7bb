"""The plug point for looking at what is in a target: facts about a table, its rows, its rejects. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from dativo.config.asset import Field
from dativo.targets.protocol import Saved, TableShape

if TYPE_CHECKING:
    import polars as pl


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column as the table has it."""

    id: int
    name: str
    type: str
    required: bool
    comment: str | None = None


class TableSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: when, by which run, and what it changed. `at` is ISO 8601 in UTC, `parent` the one before it.

    `upkeep` is what `dativo maintain` did, which changes files and no row.
    """

    id: int
    parent: int | None
    at: str
    operation: str
    run: str | None
    job: str | None
    upkeep: str | None
    rows_added: int
    rows_removed: int
    files_added: int
    files_removed: int
    current: bool


class TableFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A table as it is: where, what columns, how much, which snapshots (the newest first), which tags.

    `bytes` is the size of the data files of the current snapshot.
    """

    name: str
    catalog: str
    location: str
    rows: int
    files: int
    bytes: int
    columns: tuple[TableColumn, ...]
    partitioning: tuple[str, ...]
    snapshots: tuple[TableSnapshot, ...]
    tags: dict[str, str]
    jobs: tuple[str, ...]


class FileCount(msgspec.Struct, frozen=True, kw_only=True):
    """Data files with the rows and bytes that they hold."""

    files: int
    rows: int
    bytes: int


@dataclass(slots=True, frozen=True)
class Version:
    """One of two versions of a table: its columns, and what it has that the other one lacks.

    `fields` are the columns whose type a contract can have. `own` are the data files that only this version has, `rows`
    the rows in them (None: no file). `exact` tells that `own.rows` is the number of `rows`: no deletes apply to them.
    """

    snapshot: TableSnapshot
    columns: tuple[TableColumn, ...]
    fields: tuple[Field, ...]
    own: FileCount
    rows: pl.LazyFrame | None
    exact: bool


class TableReader(Protocol):
    """Looks at one table of a job. A table that does not exist is None everywhere."""

    def facts(self) -> TableFacts | None:
        """What the table is."""
        ...

    def fields(self) -> tuple[Field, ...] | None:
        """The table's columns in the contract's terms."""
        ...

    def saved(self) -> Saved | None:
        """What the table remembers of the job's last commit."""
        ...

    def tokens(self) -> tuple[str, ...]:
        """The tokens of the job's last runs that committed, the newest first."""
        ...

    def changes(self, shape: TableShape) -> tuple[str, ...]:
        """What a run would change of the table's schema, in words; SchemaChangeRefused as the run would."""
        ...

    def rows(self) -> pl.LazyFrame | None:
        """The table's rows with the contract's dtypes."""
        ...

    def rejects(self) -> pl.LazyFrame | None:
        """The stored violations of the table's jobs: run, job, action, file, row, column, rule, value, record, found_at."""
        ...

    def snapshots(self) -> tuple[TableSnapshot, ...]:
        """Every snapshot that can still be read, the newest first."""
        ...

    def versions(self, before: int, after: int) -> tuple[Version, Version]:
        """Two snapshots held against each other; TargetError when one of them cannot be read any more."""
        ...
