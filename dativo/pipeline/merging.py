"""Upserts and histories: which rows of an extraction are written, and which keys of the table they concern.

One pass over the source gives hashes of key and row, cursor and key of each row; the rest is found from these.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.relations import DATABASES
from dativo.contract.enforce import BAD
from dativo.pipeline import history
from dativo.pipeline.comparing import Compared, Comparing
from dativo.pipeline.keys import (
    PLACE,
    Unique,
    count,
    last_rows,
    places,
    sunk,
    with_repeats,
    without_duplicates,
)
from dativo.pipeline.known import ROW_HASH, TIME, gone_keys, known_keys
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import StreamPlan
from dativo.pipeline.revising import Revising, Verdict
from dativo.sources.protocol import FILE, ROW
from dativo.staging import dedup, versions
from dativo.staging.duck import connected
from dativo.staging.identity import HIGH, LOW, content, identity
from dativo.staging.index import KeyIndex
from dativo.staging.places import Places, Values
from dativo.targets.protocol import FILL, Target

_CURSOR = "__dativo_cursor"
_AT = "__dativo_at"
# DuckDB's types of cursors that a clock can be held against, and how far behind another's ours may be, zones included.
_SQL_TIMES = {"date": "TIMESTAMP", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ"}
_LATEST = timedelta(days=1)


def merge(plan: StreamPlan, target: Target, how: Comparing) -> Compared:
    """The plan with the rows marked that are not written, and what the commit does to the table's."""
    if not plan.extract.ordered:
        # By an order that is not the source's a newer version would be taken for a late one.
        how = replace(how, cursor=None)
    merging = Merging(plan, target, how, Unique(tuple(f for f in plan.stream.asset.fields if f.unique)))
    merging.read()
    flagged = with_repeats(plan, merging.repeats())
    if flagged is not None:
        # A row that is rejected is no version of its key: what it stood for is to be found again.
        merging = Merging(flagged, target, how, Unique(()))
        merging.read()
    return merging.compared()


class Merging:
    """One comparison. `read` sinks what is needed of each row, `compared` does the rest."""

    def __init__(self, plan: StreamPlan, target: Target, how: Comparing, unique: Unique) -> None:
        self.plan = plan
        self.target = target
        self.how = how
        self.unique = unique
        by_name = {c.name: c for c in plan.columns}
        self.key = tuple(by_name[n] for n in plan.stream.asset.key)
        self.keyed = how.folder / "keys.parquet"
        self.keyless: Path | None = None
        self.scd2 = how.mode == "scd2"
        self.places = Places.of([])
        self.index: KeyIndex = how.index(self.held())

    def held(self) -> str:
        """What an index of the table's keys holds."""
        cursor = self.how.cursor
        parts = [f"{f.name} {f.type_text()}" for f in self.plan.columns]
        by = f" by {cursor.name}" if cursor is not None else ""
        soft = " soft" if history.DELETED_AT in history.added_fields(self.plan.job) else ""
        return f"{self.how.mode}{soft} of {', '.join(f.name for f in self.key)}{by}: {', '.join(parts)}"

    # -- reading --------------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """One pass over the source: hashes, cursor and key of each good row, and which keys the bad ones have."""
        plan, how = self.plan, self.how
        good = plan.enforced.frame.filter(plan.enforced.good())
        cursor = plan.enforced.value(how.cursor.name) if how.cursor is not None else pl.lit(None, dtype=pl.Boolean)
        begins = history.begins(plan, how.started) if self.scd2 else pl.lit(None, dtype=TIME)
        also = (cursor.alias(_CURSOR), begins.alias(_AT), *self.unique.texts(plan))
        loaded = good.select(FILE, ROW, *plan.expressions(how.key), *also)
        rows = loaded.select(
            *PLACE,
            *identity(self.key),
            *content(plan.columns, ROW_HASH),
            pl.col(_CURSOR).alias("cur"),
            pl.col(_AT).alias("since"),
            *(pl.col(f.name).alias(f"__dativo_key_{i}") for i, f in enumerate(self.key)),
            self.complete().alias("complete"),
            *self.unique.hashes(),
        )
        last, *_ = reversed(collect([sunk(rows, self.keyed), *self.bad(), last_rows(plan)]))
        self.places = places(plan, last)
        if not all(f.required for f in self.key):
            self.split()

    def complete(self) -> pl.Expr:
        return pl.all_horizontal(pl.col(f.name).is_not_null() for f in self.key)

    def bad(self) -> list[pl.LazyFrame]:
        """The keys of rows that are not loaded: they are in the source all the same."""
        if not (self.how.deletes and self.how.listing is None):
            return []
        plan = self.plan
        names = {f.name for f in self.key}
        found = plan.enforced.frame.filter(BAD)
        values = [e for e in plan.expressions(self.how.key) if e.meta.output_name() in names]
        fault = pl.col(plan.enforced.provenance.fault).is_not_null().alias("__dativo_fault")
        unreadable = ~self.complete() | pl.col("__dativo_fault")
        listed = found.select(*values, fault).select(*identity(self.key), unreadable.alias("unreadable"))
        return [sunk(listed, self.how.folder / "bad.parquet")]

    def split(self) -> None:
        """Rows without a whole key are kept apart: they are compared as they are."""
        all_rows = self.how.folder / "keys-all.parquet"
        incomplete = pl.scan_parquet(self.keyed).select((~pl.col("complete")).any()).collect().item()
        if not incomplete:
            return
        self.keyed.rename(all_rows)
        self.keyless = self.how.folder / "keyless.parquet"
        rows, whole = pl.scan_parquet(all_rows), pl.col("complete")
        as_rows = rows.filter(~whole).with_columns(pl.col("r1").alias(LOW), pl.col("r2").alias(HIGH))
        collect([sunk(rows.filter(whole), self.keyed), sunk(as_rows, self.keyless)])

    def connected(self) -> Any:
        how = self.how
        return connected(how.folder, memory_limit=how.memory_limit, threads=how.threads)

    def repeats(self) -> dict[str, pl.Expr]:
        """Where a unique column repeats a value."""
        groups = [dedup.Group(self.keyed, (), False)]
        if self.keyless is not None:
            groups.append(dedup.Group(self.keyless, (), True))
        with self.connected() as con:
            masks = dedup.repeated(con, groups, self.places, self.unique.names)
        return {c: self.places.marked(mask, pl.col(FILE), pl.col(ROW)) for c, mask in masks.items()}

    # -- comparing ------------------------------------------------------------------------------------------------------

    def compared(self) -> Compared:
        with self.connected() as con:
            known = known_keys(con, self)
            verdict = self.verdict(con, known)
            gone, notes = gone_keys(con, self, known)
        plan = without_duplicates(self.plan, self.places.marked(~verdict.kept, pl.col(FILE), pl.col(ROW)))
        plan = replace(plan, added=self.added(verdict))
        revising = Revising(self, verdict, gone)
        return Compared(
            plan,
            revising.revision() if known else FILL,
            verdict.updated,
            0 if gone is None else count(gone),
            notes,
            partial(revising.remember, anew=not known),
        )

    def verdict(self, con: Any, known: list[Path]) -> Verdict:
        outcome = self.how.folder / "outcome.parquet"
        query = versions.chained if self.scd2 else versions.written
        versions.copied(con, query(self.keyed, known, self.latest()), outcome)
        kept, opens = self.places.nowhere(), self.places.nowhere()
        updated = 0
        for batch in _batches(outcome):
            numbers = self.places.numbers(batch["file"], batch["row"])
            kept = kept.scatter(numbers, True)
            first = batch["opens"] if self.scd2 else pl.repeat(True, len(batch), dtype=pl.Boolean, eager=True)
            opens = opens.scatter(numbers.filter(first), True)
            updated += int((first & batch["known"]).sum())
        if self.keyless is not None:
            kept = self.with_keyless(con, kept)
        return Verdict(kept, opens, *self.times(outcome), updated)

    def latest(self) -> str:
        """SQL for the latest cursor that can be true, empty where cursors are no dates and no times.

        A row that came with a wrong clock's time in the future is not newer than what its database has now. Files tell
        of a row what it was at some time.
        """
        cursor = self.how.cursor
        if cursor is None or cursor.kind not in _SQL_TIMES or self.plan.job.source_type not in DATABASES:
            return ""
        return f"{_SQL_TIMES[cursor.kind]} '{(self.how.started + _LATEST).astimezone(UTC):%Y-%m-%d %H:%M:%S}+00'"

    def times(self, outcome: Path) -> tuple[Values, Values]:
        """When versions begin later than they would by themselves, and when those end that another one follows."""
        if not self.scd2:
            nothing = Values(pl.Series([], dtype=pl.Int64), pl.Series([], dtype=TIME))
            return nothing, nothing
        rows = pl.scan_parquet(outcome).with_columns(pl.col("since", "until").cast(TIME))
        moved = rows.filter("moved").select("file", "row", "since").collect()
        ended = rows.filter(pl.col("until").is_not_null()).select("file", "row", "until").collect()
        numbers = [self.places.numbers(found["file"], found["row"]) for found in (moved, ended)]
        return Values.of(numbers[0], moved["since"]), Values.of(numbers[1], ended["until"])

    def with_keyless(self, con: Any, kept: pl.Series) -> pl.Series:
        """The mask with the rows that have no whole key and are not in the table: each counts for itself."""
        assert self.keyless is not None
        path = self.how.folder / "existing-keyless.parquet"
        existing = self.target.existing(list(self.plan.columns)) if self.how.table else None
        there: tuple[Path, ...] = ()
        if existing is not None:
            collect([sunk(existing.filter(~self.complete()).select(content(self.plan.columns, (LOW, HIGH))), path)])
            there = (path,)
        for batch in _batches(self.keyless):
            kept = kept.scatter(self.places.numbers(batch["file"], batch["row"]), True)
        found = dedup.find(con, [dedup.Group(self.keyless, there, True)], self.places, [])
        return kept & ~found.duplicate

    def added(self, verdict: Verdict) -> tuple[pl.Expr, ...]:
        """The columns of history or deletion of the rows that are written."""
        if not self.scd2:
            return history.first_values(self.plan, self.how.started)
        place = pl.col(FILE), pl.col(ROW)
        since = pl.coalesce(self.places.valued(verdict.moved, *place), history.begins(self.plan, self.how.started))
        return history.history(since, self.places.valued(verdict.until, *place))


def _batches(path: Path) -> Any:
    """A file's rows, in frames that are small beside what they are made into."""
    return pl.scan_parquet(path).collect_batches(chunk_size=1_000_000)
