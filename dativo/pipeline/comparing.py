"""What a run compares its rows with, and how: the table or nothing, by which column, and whether deletes are looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dativo.config.asset import Field
from dativo.config.job import WriteMode
from dativo.config.resolve import ResolvedJob
from dativo.errors import TargetError, UnsupportedError, listed
from dativo.pipeline.plan import StreamPlan
from dativo.pipeline.staging import key_index
from dativo.sources.protocol import KeyLister, Source
from dativo.staging.index import KeyIndex
from dativo.targets.protocol import APPEND, Opened, Revision, Target

if TYPE_CHECKING:
    import polars as pl

    from dativo.pipeline.stream import StreamRun


@dataclass(slots=True, frozen=True)
class Comparing:
    """How keys are compared.

    `cursor` is the contract's column that orders the versions of a key. With `table` rows are compared with those of the
    table, whose `version` the index may be kept for. `listing` gives the source columns of the keys of all rows that the
    source has now, where deletes are looked for and the reading itself is not that; with `full` it is. `key` is what hashed
    columns are hashed with, `folder` the run's own.
    """

    mode: WriteMode
    cursor: Field | None
    started: datetime
    folder: Path
    key: str | None
    table: bool
    version: str | None
    index: Callable[[str], KeyIndex]
    deletes: bool = False
    listing: Callable[[Sequence[str]], pl.LazyFrame] | None = None
    memory_limit: str | None = None
    threads: int | None = None


@dataclass(slots=True, frozen=True)
class Compared:
    """What came of comparing: the plan with duplicates marked, and what becomes of the table's rows.

    `updated` keys of the table get a new version, `deleted` ones have left the source. `remember` is told the table's
    version once the rows are committed.
    """

    plan: StreamPlan
    revision: Revision = APPEND
    updated: int = 0
    deleted: int = 0
    notes: tuple[str, ...] = ()
    remember: Callable[[str | None], None] = lambda _: None


def check_listing(job: ResolvedJob, source: Source) -> None:
    """Raises UnsupportedError where deletes are to be noticed and the source can never tell them."""
    if wants_deletes(job) and job.incremental is not None and not isinstance(source, KeyLister):
        raise UnsupportedError(
            f"detect_deletes needs all keys of the source, and an incremental load of {job.source_type} does not have them",
            hint="leave source.incremental out, so that each run reads everything, or set target.detect_deletes: none",
            field="target.detect_deletes",
            mark=job.mark("target.detect_deletes"),
        )


def wants_deletes(job: ResolvedJob) -> bool:
    return job.target.detect_deletes in ("soft", "hard")


def check_shared(step: StreamRun, opened: Opened) -> None:
    """A table that another job loads too is not replaced unless the job says so."""
    asked = step.job.target.write_mode is not None or step.order.full_refresh
    if opened.shared and step.receipt.write_mode == "replace" and not asked:
        raise TargetError(
            f"the table {opened.name} is also loaded by {listed(opened.shared)}, and this job would replace its rows",
            hint="set target.write_mode: append, or replace if that is meant",
            field="target.write_mode",
            mark=step.job.mark("target"),
        )


def comparing(step: StreamRun, target: Target, opened: Opened, folder: Path, key: str | None) -> Comparing:
    """How the rows of a stream's run are compared; the cursor is not known yet.

    TargetError where another job's rows would be taken for deleted.
    """
    job, refresh, source = step.job, step.order.full_refresh, step.source
    mode = job.write_mode if job.write_mode in ("upsert", "scd2") or not refresh else "replace"
    table = not refresh and mode != "replace" and opened.exists
    table = table and target.existing(step.stream.asset.fields[:1]) is not None
    deletes = table and _looks_for_deletes(step, opened)
    lister = source if deletes and step.partial and isinstance(source, KeyLister) else None
    return Comparing(
        mode=mode,
        cursor=None,
        started=step.order.started,
        folder=folder,
        key=key,
        table=table,
        version=opened.version,
        index=partial(key_index, job, step.stream),
        deletes=deletes,
        listing=None if lister is None else lambda names: lister.keys(step.stream, names, meter=step.meter),
        memory_limit=job.budget.memory_limit,
        threads=job.budget.threads,
    )


def _looks_for_deletes(step: StreamRun, opened: Opened) -> bool:
    """Whether keys that the table has and the source has not are deletes in this run."""
    job, wanted = step.job, wants_deletes(step.job)
    if step.order.limit is not None or not (wanted or job.write_mode == "scd2"):
        return False
    if step.partial and not (wanted and isinstance(step.source, KeyLister)):
        return False
    if opened.shared:
        raise TargetError(
            f"the table {opened.name} is also loaded by {listed(opened.shared)}, and this job would take their rows "
            "for rows that left its source",
            hint="load into a table of its own" + (", or set target.detect_deletes: none" if wanted else ""),
            field="target.detect_deletes" if wanted else "target.write_mode",
            mark=job.mark("target"),
        )
    return True
