"""Which keys a table has, by which versions, and which of them its source has no more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from dativo.errors import SourceError
from dativo.pipeline import history
from dativo.pipeline.keys import MOST_FILES, count, sunk
from dativo.pipeline.listing import Listing, list_keys
from dativo.pipeline.passes import collect
from dativo.staging import versions
from dativo.staging.identity import content, identity

if TYPE_CHECKING:
    from dativo.pipeline.merging import Merging

# The hashes of a whole row, and the type of times.
ROW_HASH = ("r1", "r2")
TIME = pl.Datetime("us", "UTC")


def known_keys(con: Any, m: Merging) -> list[Path]:
    """What is known of the table's keys: from the index where it is of this version, else read anew and kept."""
    if not m.how.table:
        return []
    files = m.index.files(m.how.version, m.how.folder)
    if files and len(files) <= MOST_FILES:
        return files
    one = m.how.folder / "known.parquet"
    if files:
        versions.copied(con, versions.known(files), one)
    else:
        table = _existing(m)
        if table is None:
            return []
        versions.copied(con, versions.open_of(table) if m.scd2 else versions.newest_of(table), one)
        table.unlink()
    m.index.begin(m.how.version, one)
    return [one]


def _existing(m: Merging) -> Path | None:
    """Hashes, cursor and times of the table's rows that have a key, read from it; None where it has no row."""
    how, added = m.how, history.added_fields(m.plan.job)
    existing = m.target.existing([*m.plan.columns, *added])
    if existing is None:
        return None
    nothing = pl.lit(None, dtype=TIME)
    live, at, until = pl.lit(True), nothing, nothing
    if m.scd2:
        _check_history(m, existing)
        live = pl.col(history.IS_CURRENT.name)
        at, until = pl.col(history.VALID_FROM.name), pl.col(history.VALID_TO.name)
    elif added:
        live = pl.col(history.DELETED_AT.name).is_null()
    cursor = pl.col(how.cursor.name) if how.cursor is not None else pl.lit(None, dtype=pl.Boolean)
    hashed = existing.filter(m.complete()).select(
        *identity(m.key),
        *content(m.plan.columns, ROW_HASH),
        cursor.alias("cur"),
        at.alias("since"),
        until.alias("until"),
        live.alias("live"),
    )
    path = how.folder / "existing.parquet"
    collect([sunk(hashed, path)])
    return path


def _check_history(m: Merging, existing: pl.LazyFrame) -> None:
    """Raises SourceError where the table's rows have no history yet."""
    (found,) = collect([existing.select(pl.col(history.IS_CURRENT.name).is_null().any())])
    if found.item():
        raise SourceError(
            f"the table {m.plan.stream.namespace}.{m.plan.stream.table} has rows without a history: they were "
            "loaded by another write mode",
            hint="run once with --full-refresh, which begins their history anew, or load into a new table",
            field="target.write_mode",
            mark=m.plan.job.mark("target.write_mode"),
        )


def gone_keys(con: Any, m: Merging, known: list[Path]) -> tuple[Path | None, tuple[str, ...]]:
    """The keys of the table that the source has no more (h1, h2, since), or None where that is not looked for."""
    how = m.how
    if not how.deletes or not known:
        return None, ()
    listed = _listed(m)
    if listed.unreadable:
        note = f"the source has {listed.unreadable} rows whose key cannot be read: no row was taken for deleted"
        return None, (note,)
    present = [m.keyed, listed.keys]
    if not any(count(p) for p in (present if how.listing is None else present[1:])) and versions.live(con, known):
        raise SourceError(
            f"the source has no row of {m.plan.stream.namespace}.{m.plan.stream.table} any more: nothing was deleted",
            hint="check the source; if all its rows are gone indeed, run once with --full-refresh",
        )
    path = how.folder / "gone.parquet"
    return (path, ()) if versions.copied(con, versions.vanished(known, present), path) else (None, ())


def _listed(m: Merging) -> Listing:
    how = m.how
    if how.listing is not None:
        return list_keys(m.plan, m.key, how.listing, how.key, how.folder / "listed.parquet")
    bad = how.folder / "bad.parquet"
    unreadable = int(pl.scan_parquet(bad).select(pl.col("unreadable").sum()).collect().item())
    if any(f.name in m.plan.enforced.absent for f in m.key):
        unreadable = count(m.keyless or m.keyed) or 1
    return Listing(bad, unreadable)
