"""What two sets of rows do not have in common: found by hashes, counted by DuckDB, told with a few rows of each kind.

Rows are compared as multisets. What is left on both sides under one key is a changed row; what is left on one side only
was added or removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from dativo.errors import TargetError
from dativo.staging.duck import connect

KEY = ("k1", "k2")
ROW = ("h1", "h2")

Hash = tuple[int, int]


@dataclass(slots=True, frozen=True)
class Difference:
    """Counts of rows, and the hashes of a few of them: added, removed, and changed as (before, after)."""

    added: int
    removed: int
    changed: int
    added_rows: tuple[Hash, ...]
    removed_rows: tuple[Hash, ...]
    changed_rows: tuple[tuple[Hash, Hash], ...]


def compare(folder: Path, before: Path | None, after: Path | None, *, examples: int) -> Difference:
    """The difference of two Parquet files in the folder, None standing for no row.

    Their columns are UInt64: the two hashes of a row (ROW) and of its key (KEY), null where it has none. `examples` is
    how many rows of each kind are named.
    """
    try:
        with connect(folder) as con:
            for name, path in (("before", before), ("after", after)):
                if path is not None:
                    con.read_parquet(str(path)).create_view(name)
                else:
                    con.execute(_NONE[name])
            con.execute(_NET)
            con.execute(_KEYS)
            added, removed, changed = con.execute(_COUNTS).fetchone()
            return Difference(
                added,
                removed,
                changed,
                tuple(con.execute(_ADDED, [examples]).fetchall()),
                tuple(con.execute(_REMOVED, [examples]).fetchall()),
                tuple(((a, b), (c, d)) for a, b, c, d in con.execute(_CHANGED, [examples]).fetchall()),
            )
    except duckdb.Error as error:
        raise _translated(error) from None


_NONE = {
    "before": "CREATE TABLE before (k1 UBIGINT, k2 UBIGINT, h1 UBIGINT, h2 UBIGINT)",
    "after": "CREATE TABLE after (k1 UBIGINT, k2 UBIGINT, h1 UBIGINT, h2 UBIGINT)",
}

# Each row that is more often on one side, with how often: positive where it is after. A row without a key is its own.
_NET = """
CREATE TABLE net AS
SELECT coalesce(k1, h1) AS k1, coalesce(k2, h2) AS k2, h1, h2, sum(side)::BIGINT AS n
FROM (SELECT k1, k2, h1, h2, 1 AS side FROM after UNION ALL SELECT k1, k2, h1, h2, -1 AS side FROM before)
GROUP BY ALL
HAVING sum(side) <> 0
"""
_KEYS = """
CREATE TABLE keys AS
SELECT k1, k2, coalesce(sum(n) FILTER (n > 0), 0)::BIGINT AS plus, coalesce(-sum(n) FILTER (n < 0), 0)::BIGINT AS minus
FROM net
GROUP BY k1, k2
"""
_COUNTS = """
SELECT
    coalesce(sum(plus - least(plus, minus)), 0)::BIGINT,
    coalesce(sum(minus - least(plus, minus)), 0)::BIGINT,
    coalesce(sum(least(plus, minus)), 0)::BIGINT
FROM keys
"""

# One row of each of a few keys. Where a key has both kinds, a change is told by the first rows, the rest by the last.
_ADDED = """
SELECT h1, h2
FROM net JOIN (SELECT k1, k2 FROM keys WHERE plus > minus ORDER BY k1, k2 LIMIT ?) USING (k1, k2)
WHERE n > 0
QUALIFY row_number() OVER (PARTITION BY k1, k2 ORDER BY h1 DESC, h2 DESC) = 1
ORDER BY k1, k2
"""
_REMOVED = """
SELECT h1, h2
FROM net JOIN (SELECT k1, k2 FROM keys WHERE minus > plus ORDER BY k1, k2 LIMIT ?) USING (k1, k2)
WHERE n < 0
QUALIFY row_number() OVER (PARTITION BY k1, k2 ORDER BY h1 DESC, h2 DESC) = 1
ORDER BY k1, k2
"""
_CHANGED = """
WITH few AS (SELECT k1, k2 FROM keys WHERE plus > 0 AND minus > 0 ORDER BY k1, k2 LIMIT ?),
rows AS (
    SELECT k1, k2, h1, h2, n > 0 AS after
    FROM net JOIN few USING (k1, k2)
    QUALIFY row_number() OVER (PARTITION BY k1, k2, n > 0 ORDER BY h1, h2) = 1
)
SELECT b.h1, b.h2, a.h1, a.h2
FROM rows b JOIN rows a USING (k1, k2)
WHERE a.after AND NOT b.after
ORDER BY k1, k2
"""


def _translated(error: duckdb.Error) -> TargetError:
    text = str(error).splitlines()[0]
    if "No space left" in text:
        return TargetError("no space left on the disk while rows were compared", hint="free space below .local/")
    return TargetError(f"comparing rows failed: {text}")
