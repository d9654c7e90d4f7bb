"""What a commit does to the rows that are in the table already, and what is known of its keys afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from dativo.config.asset import Field
from dativo.pipeline import history
from dativo.pipeline.keys import count, sunk
from dativo.pipeline.known import ROW_HASH, TIME
from dativo.pipeline.passes import collect
from dativo.staging import versions
from dativo.staging.identity import HIGH, LOW, identity
from dativo.staging.places import Values
from dativo.targets.protocol import APPEND, Revision

if TYPE_CHECKING:
    from dativo.pipeline.merging import Merging


@dataclass(slots=True, frozen=True)
class Verdict:
    """The rows that are written: masks and values of rows by place. `opens` marks the first version of each key.

    `moved` has the times at which versions begin that follow an open one which began later than their own.
    """

    kept: pl.Series
    opens: pl.Series
    moved: Values
    until: Values
    updated: int


@dataclass(slots=True, frozen=True)
class Revising:
    """The end of a comparison. `gone` is a file of the keys that left the source (h1, h2, since), None if none did."""

    m: Merging
    verdict: Verdict
    gone: Path | None

    def rows(self, mask: pl.Series, moved: Values | None = None) -> pl.LazyFrame:
        """The keyed rows that a mask marks, `since` being when their versions begin."""
        file, row = pl.col("file"), pl.col("row")
        found = pl.scan_parquet(self.m.keyed).filter(self.m.places.marked(mask, file, row))
        if moved is None or moved.numbers.is_empty():
            return found
        return found.with_columns(pl.coalesce(self.m.places.valued(moved, file, row), pl.col("since")).alias("since"))

    def revision(self) -> Revision:
        """What the commit does to rows that are in the table: those that are written anew, and those that left."""
        left = self.keys_of(self.gone) if self.gone is not None else None
        return self.closed(left) if self.m.scd2 else self.replaced(left)

    def closed(self, left: pl.LazyFrame | None) -> Revision:
        """Open versions end where the next one begins, those of keys that left with the run."""
        until, current = history.VALID_TO.name, history.IS_CURRENT.name
        parts = [self.rows(self.verdict.opens, self.verdict.moved).select(LOW, HIGH, *self.key_columns(), "since")]
        if left is not None:
            parts.append(left.with_columns(self.not_before_the_run()))
        ended = pl.concat(parts).rename({"since": until}).with_columns(pl.lit(False).alias(current))
        amended = self.kept_file(ended, "amended.parquet")
        return Revision("merge", self.m.key, amended=amended, only=current) if amended else APPEND

    def replaced(self, left: pl.LazyFrame | None) -> Revision:
        """Rows that are written anew go, and so do those of keys that left, or they are marked."""
        parts = [self.rows(self.verdict.opens).select(LOW, HIGH, *self.key_columns())]
        amended = None
        if left is not None and self.m.plan.job.target.detect_deletes == "soft":
            marked = left.drop("since").with_columns(self.now().alias(history.DELETED_AT.name))
            amended = self.kept_file(marked, "amended.parquet")
        elif left is not None:
            parts.append(left.drop("since"))
        gone = self.kept_file(pl.concat(parts), "replaced.parquet")
        return Revision("merge", self.m.key, gone=gone, amended=amended) if gone or amended else APPEND

    def key_columns(self) -> list[pl.Expr]:
        return [pl.col(f"__dativo_key_{i}").alias(f.name) for i, f in enumerate(self.m.key)]

    def now(self) -> pl.Expr:
        return pl.lit(self.m.how.started, dtype=TIME)

    def not_before_the_run(self) -> pl.Expr:
        """When the versions of keys that left end."""
        return pl.max_horizontal(pl.col("since").cast(TIME), self.now()).alias("since")

    def keys_of(self, gone: Path) -> pl.LazyFrame:
        """LOW, HIGH, the key's columns and `since` of the keys in a file of hashes, their values taken from the table."""
        existing = self.m.target.existing(list(self.m.key))
        assert existing is not None
        hashes = pl.scan_parquet(gone).select(pl.col("h1").alias(LOW), pl.col("h2").alias(HIGH), "since")
        keys = existing.filter(self.m.complete()).select(*identity(self.m.key), *_names(self.m.key))
        return keys.join(hashes, on=[LOW, HIGH], how="inner").unique([LOW, HIGH])

    def kept_file(self, frame: pl.LazyFrame, name: str) -> Path | None:
        """A frame in a file of the run's folder; None where it has no row."""
        path = self.m.how.folder / name
        collect([sunk(frame, path)])
        return path if count(path) else None

    def remember(self, version: str | None, *, anew: bool) -> None:
        """Tells the key index what the table knows at a version of it, made by this run's commit."""
        m = self.m
        if version is None:
            m.index.forget()
            return
        path = m.how.folder / "learnt.parquet"
        collect([sunk(pl.concat(self.learnt()), path)])
        if anew:
            m.index.begin(version, path)
        else:
            m.index.add(m.how.version, version, path)

    def learnt(self) -> list[pl.LazyFrame]:
        """What is known of the keys that the commit concerned."""
        m, names = self.m, list(versions.KNOWN)
        # Of a chain the last version is the open one.
        kept = self.verdict.kept & ~self.ended() if m.scd2 else self.verdict.kept
        rows = self.rows(kept, self.verdict.moved).select(
            pl.col(LOW).alias("h1"), pl.col(HIGH).alias("h2"), "cur", *ROW_HASH, "since", _state(versions.LIVE)
        )
        if self.gone is None:
            return [rows.select(names)]
        schema = rows.collect_schema()
        hard = not m.scd2 and m.plan.job.target.detect_deletes != "soft"
        left = pl.scan_parquet(self.gone).select(
            "h1",
            "h2",
            *(pl.lit(None, dtype=schema[n]).alias(n) for n in ("cur", *ROW_HASH)),
            self.not_before_the_run() if m.scd2 else pl.lit(None, dtype=TIME).alias("since"),
            _state(versions.GONE if hard else versions.ENDED),
        )
        return [rows.select(names), left.select(names)]

    def ended(self) -> pl.Series:
        return self.m.places.nowhere().scatter(self.verdict.until.numbers, True)


def _state(state: int) -> pl.Expr:
    return pl.lit(state, dtype=pl.Int8).alias("state")


def _names(key: tuple[Field, ...]) -> list[pl.Expr]:
    return [pl.col(f.name) for f in key]
