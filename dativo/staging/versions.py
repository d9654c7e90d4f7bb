"""Which versions of a key are written, and what becomes of those in the table: upserts and histories, by hashes alone.

The rows of an extraction are a Parquet file with file, row, LOW and HIGH (the key), `r1` and `r2` (the whole row's hashes),
`cur` (the cursor, null where there is none) and `since` (when the version begins). What the table has is the known keys: one
row a key in Parquet files, the later of which count for more, with the columns of KNOWN.
"""

# Only names of our own and paths of our own files are put into queries.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dativo.staging.duck import parquet
from dativo.staging.identity import HIGH, LOW

# `cur`, `r1` and `r2` are those of the key's live version, null where any other is to replace it. `since` is when that
# version began, or when a key that is not live ended. `state` is one of the three below.
KNOWN = ("h1", "h2", "cur", "r1", "r2", "since", "state")
GONE, LIVE, ENDED = 0, 1, 2


def newest_of(table: Path) -> str:
    """The known keys of a table's rows: LOW, HIGH, r1, r2, cur, since, and `live`, false for rows marked as deleted.

    A key with several rows equals no row; its newest cursor counts.
    """
    return (
        f'SELECT "{LOW}" AS h1, "{HIGH}" AS h2, max(cur) FILTER (live) AS cur, '
        "CASE WHEN count(*) = 1 AND bool_and(live) THEN any_value(r1) END AS r1, "
        "CASE WHEN count(*) = 1 AND bool_and(live) THEN any_value(r2) END AS r2, "
        f"max(since) AS since, CASE WHEN bool_or(live) THEN {LIVE} ELSE {ENDED} END AS state "
        f'FROM {parquet(table)} GROUP BY "{LOW}", "{HIGH}"'
    )


def open_of(table: Path) -> str:
    """The known keys of a history: LOW, HIGH, r1, r2, cur, since, until, and `live`, which is true for open rows."""
    return (
        f'SELECT "{LOW}" AS h1, "{HIGH}" AS h2, max(cur) FILTER (live) AS cur, '
        "any_value(r1) FILTER (live) AS r1, any_value(r2) FILTER (live) AS r2, "
        "CASE WHEN bool_or(live) THEN max(since) FILTER (live) ELSE max(until) END AS since, "
        f"CASE WHEN bool_or(live) THEN {LIVE} ELSE {ENDED} END AS state "
        f'FROM {parquet(table)} GROUP BY "{LOW}", "{HIGH}"'
    )


def known(files: Sequence[Path]) -> str:
    """The known keys in several files, oldest first; without those that are gone."""
    return f"SELECT {', '.join(KNOWN)} FROM ({_latest(files)}) WHERE state <> {GONE}"


def _latest(files: Sequence[Path]) -> str:
    columns = ", ".join(KNOWN)
    base, *later = files
    if not later:
        return f"SELECT {columns} FROM {parquet(base)}"
    each = " UNION ALL ".join(f"SELECT {columns}, {i} AS turn FROM {parquet(p)}" for i, p in enumerate(later))
    newest = f"SELECT * FROM ({each}) QUALIFY row_number() OVER (PARTITION BY h1, h2 ORDER BY turn DESC) = 1"
    keys = f"SELECT h1, h2 FROM {parquet(*later)}"
    return (
        f"SELECT {columns} FROM ({newest}) UNION ALL "
        f"SELECT {columns} FROM {parquet(base)} ANTI JOIN ({keys}) USING (h1, h2)"
    )


def written(rows: Path, files: Sequence[Path], latest: str = "") -> str:
    """The rows that an upsert writes: file, row, and `known`, which tells whether the key is in the table.

    The newest of each key by cursor, then by place, unless it is older than the table's or equals it. `latest` is SQL for
    the latest cursor that can be true: a version of the table that has a later one is older than any.
    """
    order = "PARTITION BY h1, h2 ORDER BY cur DESC NULLS LAST, file DESC, row DESC"
    newest = f"SELECT * FROM ({_rows(rows)}) QUALIFY row_number() OVER ({order}) = 1"
    if not files:
        return f"SELECT file, row, false AS known FROM ({newest})"
    return (
        f"SELECT b.file, b.row, s.state IS NOT NULL AS known FROM ({newest}) b "
        f"LEFT JOIN ({known(files)}) s USING (h1, h2) "
        f"WHERE s.state IS NULL OR (({_newer(latest)}) "
        "AND (b.r1 IS DISTINCT FROM s.r1 OR b.r2 IS DISTINCT FROM s.r2))"
    )


def _newer(latest: str) -> str:
    """Whether a row of the extraction is no older than the table's version of its key."""
    newer = "b.cur IS NULL OR s.cur IS NULL OR b.cur >= s.cur"
    return f"{newer} OR s.cur > {latest}" if latest else newer


def chained(rows: Path, files: Sequence[Path], latest: str = "") -> str:
    """The rows that a history gets: file, row, since, until, `moved`, `opens` and `known`.

    Each version of a key that is newer than the open one and differs from the one before it. `since` is when it begins,
    never before the version that it follows (`moved` tells that it would have); `until` is when the next one does, null
    for the last. `opens` marks the first of a key, `known` those of keys that the table has.
    """
    own = (
        f"SELECT * FROM ({_rows(rows)}) "
        "QUALIFY cur IS NOT NULL OR NOT bool_or(cur IS NOT NULL) OVER (PARTITION BY h1, h2)"
    )
    if files:
        joined = (
            "SELECT b.file, b.row, b.h1, b.h2, b.cur, b.r1, b.r2, b.since AS own, greatest(b.since, s.since) AS since, "
            "s.r1 AS p1, s.r2 AS p2, s.state IS NOT NULL AS known "
            f"FROM ({own}) b LEFT JOIN ({known(files)}) s USING (h1, h2) "
            f"WHERE {_newer(latest)}"
        )
    else:
        joined = f"SELECT *, since AS own, NULL::UBIGINT AS p1, NULL::UBIGINT AS p2, false AS known FROM ({own})"
    # Of the versions that begin at one moment the last stands.
    order = "PARTITION BY h1, h2, since ORDER BY cur DESC NULLS LAST, file DESC, row DESC"
    apart = f"SELECT * FROM ({joined}) QUALIFY row_number() OVER ({order}) = 1"
    changed = (
        f"SELECT * FROM ({apart}) WINDOW w AS (PARTITION BY h1, h2 ORDER BY since) "
        "QUALIFY r1 IS DISTINCT FROM lag(r1, 1, p1) OVER w OR r2 IS DISTINCT FROM lag(r2, 1, p2) OVER w"
    )
    return (
        "SELECT file, row, since, lead(since) OVER w AS until, since <> own AS moved, "
        "lag(since) OVER w IS NULL AS opens, known "
        f"FROM ({changed}) WINDOW w AS (PARTITION BY h1, h2 ORDER BY since)"
    )


def _rows(rows: Path) -> str:
    return f'SELECT file, row, "{LOW}" AS h1, "{HIGH}" AS h2, cur, r1, r2, since FROM {parquet(rows)}'


def live(con: Any, files: Sequence[Path]) -> int:
    """How many keys are live."""
    return int(con.execute(f"SELECT count(*) FROM ({known(files)}) WHERE state = {LIVE}").fetchone()[0])


def vanished(files: Sequence[Path], present: Sequence[Path]) -> str:
    """The live keys that are in none of some files with LOW and HIGH: h1, h2, since."""
    keys = " UNION ALL ".join(f'SELECT "{LOW}" AS h1, "{HIGH}" AS h2 FROM {parquet(p)}' for p in present)
    return f"SELECT h1, h2, since FROM ({known(files)}) ANTI JOIN ({keys}) USING (h1, h2) WHERE state = {LIVE}"


def copied(con: Any, query: str, path: Path) -> int:
    """A query's rows, written to a Parquet file; how many there are."""
    place = str(path).replace("'", "''")
    return int(con.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet, COMPRESSION zstd)").fetchone()[0])
