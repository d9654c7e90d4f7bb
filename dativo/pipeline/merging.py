"""Upserts and histories: which rows of an extraction are written, and which keys of the table they concern.

One pass over the source gives hashes of key and row, cursor and key of each row; the rest is found from these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.asset import Field
from dativo.contract.enforce import BAD
from dativo.errors import SourceError
from dativo.pipeline import history
from dativo.pipeline.keys import (
    MOST_FILES,
    PLACE,
    Compared,
    Comparing,
    Unique,
    last_rows,
    places,
    sunk,
    with_repeats,
    without_duplicates,
)
from dativo.pipeline.listing import Listing, list_keys
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import StreamPlan
from dativo.sources.protocol import FILE, ROW
from dativo.staging import dedup, versions
from dativo.staging.duck import connected
from dativo.staging.identity import HIGH, LOW, identity
from dativo.staging.index import KeyIndex
from dativo.staging.places import Places, Values
from dativo.targets.protocol import APPEND, Revision, Target

_ROW = ("r1", "r2")
_CURSOR = "__dativo_cursor"
_AT = "__dativo_at"
_TIME = pl.Datetime("us", "UTC")


def merge(plan: StreamPlan, target: Target, how: Comparing) -> Compared:
    """The plan with the rows marked that are not written, and what the commit does to the table's."""
    merging = _Merging(plan, target, how, Unique(tuple(f for f in plan.stream.asset.fields if f.unique)))
    merging.read()
    flagged = with_repeats(plan, merging.repeats())
    if flagged is not None:
        # A row that is rejected is no version of its key: what it stood for is to be found again.
        merging = _Merging(flagged, target, how, Unique(()))
        merging.read()
    return merging.compared()


@dataclass(slots=True, frozen=True)
class _Verdict:
    """The rows that are written: masks and values of rows by place. `opens` marks the first version of each key.

    `moved` has the times at which versions begin that follow an open one which began later than their own.
    """

    kept: pl.Series
    opens: pl.Series
    moved: Values
    until: Values
    updated: int


class _Merging:
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
        begins = history.begins(plan, how.started) if self.scd2 else pl.lit(None, dtype=_TIME)
        also = (cursor.alias(_CURSOR), begins.alias(_AT), *self.unique.texts(plan))
        loaded = good.select(FILE, ROW, *plan.expressions(how.key), *also)
        rows = loaded.select(
            *PLACE,
            *identity(self.key),
            *identity(plan.columns, _ROW),
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
        return connected(how.folder, memory_limit=how.memory_limit, threads=how.threads, also=[self.index.folder])

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
            known = self.known(con)
            verdict = self.verdict(con, known)
            gone, notes = self.gone(con, known)
        plan = without_duplicates(self.plan, self.places.marked(~verdict.kept, pl.col(FILE), pl.col(ROW)))
        plan = replace(plan, added=self.added(verdict))
        revision = self.revision(verdict, gone) if known else APPEND
        count = 0 if gone is None else int(pl.scan_parquet(gone).select(pl.len()).collect().item())
        return Compared(plan, revision, verdict.updated, count, notes, self.remember(verdict, gone, anew=not known))

    def known(self, con: Any) -> list[Path]:
        """What is known of the table's keys: from the index where it is of this version, else read anew and kept."""
        if not self.how.table:
            return []
        files = self.index.files(self.how.version)
        if files and len(files) <= MOST_FILES:
            return files
        one = self.how.folder / "known.parquet"
        if files:
            versions.copied(con, versions.known(files), one)
        else:
            table = self.existing()
            if table is None:
                return []
            versions.copied(con, versions.open_of(table) if self.scd2 else versions.newest_of(table), one)
            table.unlink()
        self.index.begin(self.how.version, one)
        return [one]

    def existing(self) -> Path | None:
        """Hashes, cursor and times of the table's rows that have a key, read from it; None where it has no row."""
        how, added = self.how, history.added_fields(self.plan.job)
        existing = self.target.existing([*self.plan.columns, *added])
        if existing is None:
            return None
        nothing = pl.lit(None, dtype=_TIME)
        live, at, until = pl.lit(True), nothing, nothing
        if self.scd2:
            self.check_history(existing)
            live = pl.col(history.IS_CURRENT.name)
            at, until = pl.col(history.VALID_FROM.name), pl.col(history.VALID_TO.name)
        elif added:
            live = pl.col(history.DELETED_AT.name).is_null()
        cursor = pl.col(how.cursor.name) if how.cursor is not None else pl.lit(None, dtype=pl.Boolean)
        hashed = existing.filter(self.complete()).select(
            *identity(self.key),
            *identity(self.plan.columns, _ROW),
            cursor.alias("cur"),
            at.alias("since"),
            until.alias("until"),
            live.alias("live"),
        )
        path = how.folder / "existing.parquet"
        collect([sunk(hashed, path)])
        return path

    def check_history(self, existing: pl.LazyFrame) -> None:
        """Raises SourceError where the table's rows have no history yet."""
        (found,) = collect([existing.select(pl.col(history.IS_CURRENT.name).is_null().any())])
        if found.item():
            raise SourceError(
                f"the table {self.plan.stream.namespace}.{self.plan.stream.table} has rows without a history: they were "
                "loaded by another write mode",
                hint="run once with --full-refresh, which begins their history anew, or load into a new table",
                field="target.write_mode",
                mark=self.plan.job.mark("target.write_mode"),
            )

    def verdict(self, con: Any, known: list[Path]) -> _Verdict:
        outcome = self.how.folder / "outcome.parquet"
        query = versions.chained if self.scd2 else versions.written
        versions.copied(con, query(self.keyed, known), outcome)
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
        return _Verdict(kept, opens, *self.times(outcome), updated)

    def times(self, outcome: Path) -> tuple[Values, Values]:
        """When versions begin later than they would by themselves, and when those end that another one follows."""
        if not self.scd2:
            nothing = Values(pl.Series([], dtype=pl.Int64), pl.Series([], dtype=_TIME))
            return nothing, nothing
        rows = pl.scan_parquet(outcome).with_columns(pl.col("since", "until").cast(_TIME))
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
            collect([sunk(existing.filter(~self.complete()).select(identity(self.plan.columns)), path)])
            there = (path,)
        for batch in _batches(self.keyless):
            kept = kept.scatter(self.places.numbers(batch["file"], batch["row"]), True)
        found = dedup.find(con, [dedup.Group(self.keyless, there, True)], self.places, [])
        return kept & ~found.duplicate

    # -- keys that left the source --------------------------------------------------------------------------------------

    def gone(self, con: Any, known: list[Path]) -> tuple[Path | None, tuple[str, ...]]:
        """The keys of the table that the source has no more (h1, h2, since), or None where that is not looked for."""
        how = self.how
        if not how.deletes or not known:
            return None, ()
        listed = self.listed()
        if listed.unreadable:
            note = f"the source has {listed.unreadable} rows whose key cannot be read: no row was taken for deleted"
            return None, (note,)
        present = [self.keyed, listed.keys]
        if not any(pl.scan_parquet(p).select(pl.len()).collect().item() for p in present) and versions.live(con, known):
            raise SourceError(
                f"the source has no row of {self.plan.stream.namespace}.{self.plan.stream.table} any more: "
                "nothing was deleted",
                hint="check the source; if all its rows are gone indeed, run once with --full-refresh",
            )
        path = how.folder / "gone.parquet"
        return (path, ()) if versions.copied(con, versions.vanished(known, present), path) else (None, ())

    def listed(self) -> Listing:
        how = self.how
        if how.listing is not None:
            return list_keys(self.plan, self.key, how.listing, how.key, how.folder / "listed.parquet")
        bad = how.folder / "bad.parquet"
        unreadable = int(pl.scan_parquet(bad).select(pl.col("unreadable").sum()).collect().item())
        if any(f.name in self.plan.enforced.absent for f in self.key):
            unreadable = int(pl.scan_parquet(self.keyless or self.keyed).select(pl.len()).collect().item()) or 1
        return Listing(bad, unreadable)

    # -- what is done ---------------------------------------------------------------------------------------------------

    def added(self, verdict: _Verdict) -> tuple[pl.Expr, ...]:
        """The columns of history or deletion of the rows that are written."""
        if not self.scd2:
            return history.first_values(self.plan, self.how.started)
        place = pl.col(FILE), pl.col(ROW)
        since = pl.coalesce(self.places.valued(verdict.moved, *place), history.begins(self.plan, self.how.started))
        return history.history(since, self.places.valued(verdict.until, *place))

    def rows(self, mask: pl.Series, moved: Values | None = None) -> pl.LazyFrame:
        """The keyed rows that a mask marks, `since` being when their versions begin."""
        file, row = pl.col("file"), pl.col("row")
        found = pl.scan_parquet(self.keyed).filter(self.places.marked(mask, file, row))
        if moved is None or moved.numbers.is_empty():
            return found
        return found.with_columns(pl.coalesce(self.places.valued(moved, file, row), pl.col("since")).alias("since"))

    def revision(self, verdict: _Verdict, gone: Path | None) -> Revision:
        """What the commit does to rows that are in the table: those that are written anew, and those that left."""
        keys = [pl.col(f"__dativo_key_{i}").alias(f.name) for i, f in enumerate(self.key)]
        left = self.keys_of(gone) if gone is not None else None
        now = pl.lit(self.how.started, dtype=_TIME)
        if self.scd2:
            closed = [self.rows(verdict.opens, verdict.moved).select(LOW, HIGH, *keys, "since")]
            closed += [left.with_columns(pl.max_horizontal(pl.col("since").cast(_TIME), now))] if left is not None else []
            until, current = history.VALID_TO.name, history.IS_CURRENT.name
            amended = self.kept_file(
                [
                    f.select(LOW, HIGH, *_names(self.key), pl.col("since").alias(until), pl.lit(False).alias(current))
                    for f in closed
                ],
                "amended.parquet",
            )
            return Revision("merge", self.key, amended=amended, only=current) if amended else APPEND
        replaced = [self.rows(verdict.opens).select(LOW, HIGH, *keys)]
        soft = self.plan.job.target.detect_deletes == "soft"
        if left is not None and not soft:
            replaced.append(left.drop("since"))
        amended = None
        if left is not None and soft:
            marked = left.drop("since").with_columns(now.alias(history.DELETED_AT.name))
            amended = self.kept_file([marked], "amended.parquet")
        out = self.kept_file(replaced, "replaced.parquet")
        return Revision("merge", self.key, gone=out, amended=amended) if out or amended else APPEND

    def keys_of(self, gone: Path) -> pl.LazyFrame:
        """LOW, HIGH, the key's columns and `since` of the keys in a file of hashes, their values taken from the table."""
        existing = self.target.existing(list(self.key))
        assert existing is not None
        hashes = pl.scan_parquet(gone).select(pl.col("h1").alias(LOW), pl.col("h2").alias(HIGH), "since")
        keys = existing.filter(self.complete()).select(*identity(self.key), *_names(self.key))
        return keys.join(hashes, on=[LOW, HIGH], how="inner").unique([LOW, HIGH])

    def kept_file(self, parts: list[pl.LazyFrame], name: str) -> Path | None:
        """Frames in one file of the run's folder; None where they have no row."""
        path = self.how.folder / name
        collect([sunk(pl.concat(parts), path)])
        return path if pl.scan_parquet(path).select(pl.len()).collect().item() else None

    def remember(self, verdict: _Verdict, gone: Path | None, *, anew: bool) -> Callable[[str | None], None]:
        def remember(version: str | None) -> None:
            if version is None:
                self.index.forget()
                return
            path = self.how.folder / "learnt.parquet"
            collect([sunk(pl.concat(self.learnt(verdict, gone)), path)])
            if anew:
                self.index.begin(version, path)
            else:
                self.index.add(self.how.version, version, path)

        return remember

    def learnt(self, verdict: _Verdict, gone: Path | None) -> list[pl.LazyFrame]:
        """What is known of the keys that the commit concerned."""
        names = list(versions.KNOWN)
        kept = verdict.kept
        if self.scd2:
            # Of a chain the last version is the open one.
            kept = kept & ~self.ended(verdict)
        state = pl.lit(versions.LIVE, dtype=pl.Int8).alias("state")
        rows = self.rows(kept, verdict.moved).select(
            pl.col(LOW).alias("h1"), pl.col(HIGH).alias("h2"), "cur", *_ROW, "since", state
        )
        found = [rows.select(names)]
        if gone is not None:
            schema = rows.collect_schema()
            hard = not self.scd2 and self.plan.job.target.detect_deletes != "soft"
            now = pl.lit(self.how.started, dtype=_TIME)
            ended = pl.scan_parquet(gone).select(
                "h1",
                "h2",
                *(pl.lit(None, dtype=schema[n]).alias(n) for n in ("cur", *_ROW)),
                (pl.max_horizontal(pl.col("since").cast(_TIME), now) if self.scd2 else pl.lit(None, dtype=_TIME)).alias(
                    "since"
                ),
                pl.lit(versions.GONE if hard else versions.ENDED, dtype=pl.Int8).alias("state"),
            )
            found.append(ended)
        return found

    def ended(self, verdict: _Verdict) -> pl.Series:
        return self.places.nowhere().scatter(verdict.until.numbers, True)


def _names(key: tuple[Field, ...]) -> list[pl.Expr]:
    return [pl.col(f.name) for f in key]


def _batches(path: Path) -> Any:
    """A file's rows, in frames that are small beside what they are made into."""
    return pl.scan_parquet(path).collect_batches(chunk_size=1_000_000)
