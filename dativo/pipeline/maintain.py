"""Upkeep of the tables that jobs load: what would be done, and doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ConfigError, DativoError, Problem, TargetError
from dativo.pipeline.run import run_token
from dativo.pipeline.staging import alive, staging_folder, staging_root
from dativo.pipeline.tables import find_table
from dativo.state.lock import running
from dativo.state.store import state_root
from dativo.targets.upkeep import (
    SAFE_DAYS,
    STEPS,
    Branches,
    Compaction,
    Expiry,
    NotHere,
    Orphans,
    Step,
    TableKeeper,
    Wanted,
)

T = TypeVar("T")


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was not done, and why. `failed` is false where the table or its catalog does not allow the step."""

    table: str
    step: Step | None
    reason: str
    hint: str
    failed: bool


class TableUpkeep(msgspec.Struct, frozen=True, kw_only=True):
    """One table: what each step did or would do. A step that was not asked for or not done is None."""

    table: str
    compaction: Compaction | None = None
    snapshots: Expiry | None = None
    orphans: Orphans | None = None


class CatalogUpkeep(msgspec.Struct, frozen=True, kw_only=True):
    """The branches of dead runs in one catalog."""

    catalog: str
    branches: Branches


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was done, or with `done` false would be. `exit_code` is 0, 1 (done in part) or 2 (nothing done)."""

    done: bool
    tables: tuple[TableUpkeep, ...]
    catalogs: tuple[CatalogUpkeep, ...]
    left: tuple[Left, ...]
    exit_code: int


def maintain(
    names: Sequence[str],
    *,
    steps: Sequence[str] = (),
    keep_snapshots: int | None = None,
    keep_days: float | None = None,
    older_than_days: float = SAFE_DAYS,
    file_megabytes: int | None = None,
    allow_recent: bool = False,
    act: bool = False,
) -> Maintenance:
    """Merges small files, expires snapshots, removes orphans and branches of dead runs; only tells so without `act`.

    `names` are tables or jobs, whose tables with rejects are taken too. An age below SAFE_DAYS is refused without
    `allow_recent`. Raises ConfigError for unknown names and steps and ages that are not safe. What goes wrong with a step
    stands in `left`, and the others are done; a table that does not exist and a catalog that cannot be opened are errors
    where there is nothing else to do.
    """
    asked = _steps(steps)
    _check_ages({"older_than_days": older_than_days, "keep_days": keep_days}, allow_recent)
    _check_sizes(keep_snapshots, file_megabytes)
    work = _Work(asked, named=bool(steps))
    for job, stream in _streams(names):
        token = run_token(datetime.now(UTC))
        wanted = Wanted(
            steps=asked,
            keep_snapshots=keep_snapshots,
            keep_days=keep_days,
            older_than_days=older_than_days,
            file_bytes=(file_megabytes or job.target.parquet_target_size_mb or 150) << 20,
            live=partial(_others, job, token),
            token=token,
            act=act,
        )
        # Another maintenance takes this one for a run, and leaves its files alone.
        with staging_folder(staging_root(job), f"{token}-maintain") if act else nullcontext():
            work.stream(job, stream, wanted)
    return work.result(act)


def _others(job: ResolvedJob, token: str) -> frozenset[str]:
    """The runs that go on, but for this one: on this machine, and on others that have the same state folder."""
    return (alive(staging_root(job)) | running(state_root(job), SAFE_DAYS * 86_400)) - {token}


def _steps(names: Sequence[str]) -> tuple[Step, ...]:
    unknown = [n for n in names if n not in STEPS]
    if unknown:
        raise ConfigError([Problem(f"there is no step '{unknown[0]}'", hint=f"steps: {', '.join(STEPS)}")])
    return tuple(s for s in STEPS if not names or s in names)


def _check_sizes(keep_snapshots: int | None, file_megabytes: int | None) -> None:
    if keep_snapshots is not None and keep_snapshots < 1:
        raise ConfigError([Problem("the snapshot that readers see always stays", hint="keep at least 1 snapshot")])
    if file_megabytes is not None and file_megabytes < 1:
        raise ConfigError([Problem("files of no size cannot be made", hint="take at least 1 MiB")])


def _check_ages(ages: dict[str, float | None], allow_recent: bool) -> None:
    for name, days in ages.items():
        shown = f"--{name.removesuffix('_days').replace('_', '-')}" if name == "older_than_days" else "--keep-days"
        if days is None:
            continue
        if not 0 <= days < 1e5:
            raise ConfigError([Problem(f"{days:g} days are no age", field=shown, hint="as 3, or 0.5 for 12 hours")])
        if days < SAFE_DAYS and not allow_recent:
            raise ConfigError(
                [
                    Problem(
                        f"{days:g} days are less than the safe age of {SAFE_DAYS:g} days: a run that goes on elsewhere may "
                        "still need what is that young",
                        field=shown,
                        hint="add --allow-recent if you know that none goes on but those of this project on this machine",
                    )
                ]
            )


def _streams(names: Sequence[str]) -> Iterator[tuple[ResolvedJob, StreamConfig]]:
    """The streams that names stand for, each table once: that of a table's name, all of a job's."""
    seen = set()
    for name in names:
        job, chosen = find_table(name)
        exact = name in (chosen.table, f"{chosen.namespace}.{chosen.table}")
        for stream in (chosen,) if exact else job.streams:
            key = (job.tenant_id, stream.namespace, stream.table)
            if key not in seen:
                seen.add(key)
                yield job, stream


class _Work:
    """Goes through tables step by step and notes what came of it."""

    def __init__(self, asked: tuple[Step, ...], *, named: bool) -> None:
        self.asked = asked
        self.named = named
        self.tables: list[TableUpkeep] = []
        self.catalogs: list[CatalogUpkeep] = []
        self.left: list[Left] = []
        self.errors: list[DativoError] = []

    def stream(self, job: ResolvedJob, stream: StreamConfig, wanted: Wanted) -> None:
        name = f"{stream.namespace}.{stream.table}"
        try:
            keeper = connectors.keeper(job, stream)
            tables = keeper.tables()
            if not tables:
                raise TargetError(f"the table {name} does not exist yet", hint=f"load it with `dativo sync {job.name}`")
        except DativoError as error:
            self._note(name, None, error)
            return
        if "branches" in self.asked:
            self._branches(keeper, wanted)
        for table in tables:
            self.tables.append(self._table(keeper, table, wanted))

    def _branches(self, keeper: TableKeeper, wanted: Wanted) -> None:
        if any(c.catalog == keeper.catalog_name for c in self.catalogs):
            return
        found = self._step(keeper.catalog_name, "branches", lambda: keeper.branches(wanted))
        if found is not None:
            self.catalogs.append(CatalogUpkeep(catalog=keeper.catalog_name, branches=found))

    def _table(self, keeper: TableKeeper, table: str, wanted: Wanted) -> TableUpkeep:
        return TableUpkeep(
            table=table,
            compaction=self._step(table, "compact", lambda: keeper.compact(table, wanted)),
            snapshots=self._step(table, "snapshots", lambda: keeper.expire(table, wanted)),
            orphans=self._step(table, "orphans", lambda: keeper.orphans(table, wanted)),
        )

    def _step(self, table: str, step: Step, work: Callable[[], T]) -> T | None:
        if step not in self.asked:
            return None
        try:
            return work()
        except DativoError as error:
            self._note(table, step, error)
            return None

    def _note(self, table: str, step: Step | None, error: DativoError) -> None:
        failed = self.named or not isinstance(error, NotHere)
        if failed:
            self.errors.append(error)
        problem = error.problems()[0]
        self.left.append(Left(table=table, step=step, reason=problem.message, hint=problem.hint, failed=failed))

    def result(self, act: bool) -> Maintenance:
        worked = any(u.compaction or u.snapshots or u.orphans for u in self.tables) or bool(self.catalogs)
        if self.errors and not worked and len(self.errors) == 1:
            raise self.errors[0]
        return Maintenance(
            done=act,
            tables=tuple(self.tables),
            catalogs=tuple(self.catalogs),
            left=tuple(self.left),
            exit_code=0 if not self.errors else 1 if worked else 2,
        )
