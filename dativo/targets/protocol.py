"""The plug point of targets: what a target takes from the plan.

A run opens a stream, writes files that nobody sees, and commits them with its cursor and receipt in one step; or it
aborts, and nothing has happened. Where a target has branches, several streams commit to a branch first, are checked
there, and become visible in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dativo.config.asset import Field
from dativo.config.partition import Partition
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError, StateError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor

if TYPE_CHECKING:
    import polars as pl


class TooManyPartitions(Exception):
    """More partitions than may be open at once; the pass is done again in two steps."""


@dataclass(slots=True, frozen=True)
class Saved:
    """What the target remembers of the last committed run of a job's stream."""

    token: str
    cursor: Cursor
    plan_hash: str
    contract_hash: str
    receipt: StreamReceipt | None = None


@dataclass(slots=True)
class Opened:
    """A stream's place in the target, as it was when the run began.

    `exists` tells whether the table is there, `saved` what it remembers of this job, `damaged` why that cannot be read,
    `shared` who else loads it: other jobs, or another program, `changes` what of its schema will change, in words.
    `version` names the rows that it has: while it is the same, they are; None where the target cannot tell.
    """

    name: str
    exists: bool
    saved: Saved | None
    shared: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    location: str = ""
    damaged: StateError | None = None
    version: str | None = None


@dataclass(slots=True)
class Written:
    """Files that were written and are not visible yet."""

    rows: int = 0
    bytes: int = 0
    files: list[Any] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Committed:
    """What a commit made visible; `snapshot_id` is None when no row was added or removed.

    `updated` rows of the table got new values where they stand, `deleted` rows left it: those whose newer version is among
    the added ones too.

    `version` names the rows that the table has now, if they are those of the opened version with this commit's changes and
    no others; else it is None.
    """

    snapshot_id: int | None
    version: str | None = None
    updated: int = 0
    deleted: int = 0


@dataclass(slots=True)
class Output:
    """One pass's lazy writing: `sink` is part of the pass, `finish` gives what it wrote.

    `failure` tells, better than the pass that failed can, why something could not be written, where the target knows.
    """

    sink: pl.LazyFrame
    finish: Callable[[], Written]
    failure: Callable[[], DativoError | None] = lambda: None


@dataclass(slots=True, frozen=True)
class TableShape:
    """The columns, partitioning and properties that a stream wants its table to have."""

    columns: tuple[Field, ...]
    partitioning: tuple[Partition, ...]
    properties: dict[str, str]


@dataclass(slots=True, frozen=True)
class Revision:
    """What a commit does to the rows that are in the table already, besides adding those that were written.

    `append` does nothing to them; `fill` is an append to a table without rows, and CommitConflict is raised where somebody
    else has put some there meanwhile. `replace` takes all of them out, or those of the run's ingest date where the table
    is partitioned by it; with `whole` all of them in any case. `merge` takes those out whose key stands in `gone`, and
    gives those whose key stands in `amended` the values that stand beside it there; where `only` names a boolean column
    of the table, rows in which it is not true are left alone.

    `gone` and `amended` are Parquet files with one row a key: LOW and HIGH (the identity of the `key` fields), the key's
    columns under their own names, and in `amended` the columns that change. A key that the table does not have is no
    mistake. No key stands in both.
    """

    kind: Literal["append", "fill", "replace", "merge"] = "append"
    key: tuple[Field, ...] = ()
    gone: Path | None = None
    amended: Path | None = None
    only: str | None = None
    whole: bool = False


APPEND = Revision()
FILL = Revision("fill")
REPLACE = Revision("replace")


class Target(Protocol):
    """Writes streams; adapters implement this and inherit nothing."""

    def open(self, shape: TableShape) -> Opened:
        """The stream's place, made ready for writing; SchemaChangeRefused when the table cannot take the columns."""
        ...

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        """The lazy writing of accepted rows into files that carry the run's token; raises as its pass runs.

        A pass that meets more partitions than may be open at once raises TooManyPartitions; done again with `spill`, a
        local folder, it writes in two steps.
        """
        ...

    def existing(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        """Columns of the rows that are in the table, with the contract's dtypes; None when there is no row."""
        ...

    def keep_rejects(self, violations: pl.LazyFrame, action: str) -> int:
        """Stores violations where `rejects` finds them, with what was done about them; how many there were."""
        ...

    def commit(
        self, written: Written, cursor: Cursor, plan_hash: str, receipt: StreamReceipt, revision: Revision = APPEND
    ) -> Committed:
        """Makes the files visible together with cursor, token and receipt, or raises and changes nothing."""
        ...

    def abort(self) -> None:
        """Removes what the run wrote and did not commit, as far as it can be reached."""
        ...


@dataclass(slots=True, frozen=True)
class Audit:
    """What a commit that nobody sees yet added, counted from what the target stored: rows, and nulls of each column."""

    added: int
    nulls: dict[str, int]


class UnseenTarget(Target, Protocol):
    """A target that commits to the branch of a Publisher."""

    def audit(self) -> Audit:
        """What the commit added, read back from the branch; TargetError when it is not there."""
        ...

    def added(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        """Columns of the rows that the commit added, with the contract's dtypes; None when there is no row."""
        ...


class Publisher(Protocol):
    """Publishes the tables of one or several runs at once; violations are visible at once, whatever becomes of the rest.

    `place` names the catalog and the branch that readers see: runs that share it can share a Publisher. `branch` is the
    run's own.
    """

    place: str
    branch: str

    def begin(self, tenant: str, name: str, token: str, namespaces: Iterable[str]) -> None:
        """Makes the run's branch, which tells tenant, name and token, and the namespaces where readers look."""
        ...

    def target(self, job: ResolvedJob, stream: StreamConfig, token: str, started: datetime) -> UnseenTarget:
        """A stream's target, which commits to the run's branch; after `renew` to the new one."""
        ...

    def seal(self) -> None:
        """Fixes what is audited from now on, and published later."""
        ...

    def publish(self) -> bool:
        """Makes all that was sealed visible in one step; False, and nothing is visible, when a rival changed a table.

        Raises TargetError when it cannot be done, CommitUnknown when it cannot be told whether it was.
        """
        ...

    def renew(self) -> None:
        """A new branch from what readers see now, on which every stream is to be committed again."""
        ...

    def discard(self, *, keep: bool) -> bool:
        """Removes the run's branch, or with `keep` leaves it; whether it is gone for certain."""
        ...
