"""The plug point for the upkeep of tables: small files merged, old snapshots let go, files that nothing needs removed.

Every step can be asked what it would do before it does it. None of them changes a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from dativo.errors import TargetError

Step = Literal["compact", "snapshots", "orphans", "branches"]
STEPS: tuple[Step, ...] = ("compact", "snapshots", "orphans", "branches")

# A run that is over within this time is safe whatever it does, and wherever it runs.
SAFE_DAYS = 3.0
KEPT_SNAPSHOTS = 10
KEPT_DAYS = 7.0


class NotHere(TargetError):
    """A step that this catalog or this table does not allow, whatever state it is in."""

    code = "not_here"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How far upkeep is to go; nothing happens unless `act` is set.

    The newest `keep_snapshots` stay, and whatever the table was within the last `keep_days`; None takes what the table
    says, else KEPT_SNAPSHOTS and KEPT_DAYS. Unreferenced files and branches of runs go when they are older than
    `older_than_days`, but never those of the runs whose tokens `live` gives, which is asked when the files are known.
    `file_bytes` is the size that merged files are to have; their names begin with `token`.
    """

    steps: tuple[Step, ...] = STEPS
    keep_snapshots: int | None = None
    keep_days: float | None = None
    older_than_days: float = SAFE_DAYS
    file_bytes: int = 150 << 20
    live: Callable[[], frozenset[str]] = frozenset
    token: str = ""
    act: bool = False


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """Small files merged: `merged` files become `made` files. The bytes afterwards are known when it is done.

    `riddled` files are among them for their many deleted rows, of which more than a tenth of a file makes readers slow.
    """

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int | None
    merged: int = 0
    made: int = 0
    rows: int = 0
    riddled: int = 0


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """Snapshots let go, and the files that only they needed. `elsewhere` files lie outside the table's folder and stay."""

    snapshots_before: int
    snapshots_after: int
    files: int = 0
    bytes: int = 0
    elsewhere: int = 0


class Orphans(msgspec.Struct, frozen=True, kw_only=True):
    """Files in the table's folder that nothing needs.

    `recent` and `in_use` files are as yet unreferenced too, but too young or of a run that goes on; `unknown` files are
    none that a writer of Iceberg tables makes. All of these stay.
    """

    files: int = 0
    bytes: int = 0
    recent: int = 0
    in_use: int = 0
    unknown: int = 0
    listed: int = 0
    paths: tuple[str, ...] = ()


class Branches(msgspec.Struct, frozen=True, kw_only=True):
    """Branches of runs that are over: those to remove, and how many others there are."""

    names: tuple[str, ...] = ()
    kept: int = 0


class TableKeeper(Protocol):
    """Keeps the tables of one stream of a job: its own, and the one with its rejects."""

    @property
    def catalog_name(self) -> str:
        """The catalog, and on a versioned one the branch, in words."""
        ...

    def tables(self) -> tuple[str, ...]:
        """The tables that there are; TargetError when the catalog cannot be asked."""
        ...

    def compact(self, table: str, wanted: Wanted) -> Compaction:
        """Merges small files; NotHere for tables whose files it must not rewrite, CommitConflict when a rival did."""
        ...

    def expire(self, table: str, wanted: Wanted) -> Expiry:
        """Lets old snapshots go; NotHere where the catalog keeps history itself."""
        ...

    def orphans(self, table: str, wanted: Wanted) -> Orphans:
        """Removes files that nothing needs; TargetError where it cannot be known what is needed."""
        ...

    def branches(self, wanted: Wanted) -> Branches | None:
        """Removes the branches of runs that are over; None where the catalog has no branches."""
        ...
