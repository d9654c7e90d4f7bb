"""Which rows of an extraction are loaded already, or stand in it twice: found by keys, told as places.

Only hashes and positions come here. The answer is a mask over the extraction's rows; the rows themselves are filtered
where they are read the second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dativo.staging.duck import connected, parquet
from dativo.staging.identity import HIGH, LOW
from dativo.staging.places import Places


@dataclass(slots=True, frozen=True)
class Group:
    """Rows that are compared among themselves, in Parquet files of the working folder.

    `keys` has columns file (UInt32), row (Int64), the identity LOW and HIGH, and two hash columns for each unique column.
    `existing` has LOW and HIGH of the rows that are in the table. `counted`: the n-th equal row is a duplicate when n
    copies are there; otherwise any equal row is, and so are all but the first inside the extraction.
    """

    keys: Path
    existing: tuple[Path, ...]
    counted: bool


@dataclass(slots=True, frozen=True)
class Masks:
    """Marked rows: those that are not to be loaded, and for each unique column those that repeat a value."""

    places: Places
    duplicate: pl.Series
    repeated: dict[str, pl.Series]

    def duplicates(self, file: pl.Expr, row: pl.Expr) -> pl.Expr | None:
        return self.places.marked(self.duplicate, file, row) if self.duplicate.any() else None

    def repeats(self, file: pl.Expr, row: pl.Expr) -> dict[str, pl.Expr]:
        return {column: self.places.marked(mask, file, row) for column, mask in self.repeated.items()}

    def left_out(self, file: pl.Expr, row: pl.Expr) -> list[pl.Expr]:
        """Marks of the rows that are not loaded, for whatever reason that is told here."""
        duplicate = self.duplicates(file, row)
        return [*self.repeats(file, row).values(), *([] if duplicate is None else [duplicate])]


def find(con: Any, groups: Sequence[Group], places: Places, unique: Sequence[tuple[str, str, str]]) -> Masks:
    """The masks of an extraction, whose rows are all in one of the groups or are none of this matter.

    `unique` names the columns whose values may not come twice, each with its two hash columns.
    """
    duplicate = places.nowhere()
    for group in groups:
        query = _counted(group) if group.counted else _any(group)
        duplicate = marked(con, query, places, duplicate) if query else duplicate
    return Masks(places, duplicate, repeated(con, groups, places, unique))


def repeated(
    con: Any, groups: Sequence[Group], places: Places, unique: Sequence[tuple[str, str, str]]
) -> dict[str, pl.Series]:
    """For each unique column that has any, a mask of the rows that repeat a value."""
    masks = {c: marked(con, _repeats(groups, low, high), places, places.nowhere()) for c, low, high in unique}
    return {c: m for c, m in masks.items() if m.any()}


def repeats(folder: Path, hashes: Path, *, memory_limit: str | None = None, threads: int | None = None) -> int:
    """The rows of a Parquet file with the columns LOW and HIGH that are not the first of their identity.

    The file lies in `folder`, where DuckDB may spill. Rows without an identity (null) are left out.
    """
    groups = f'SELECT count(*) AS n FROM {parquet(hashes)} WHERE "{LOW}" IS NOT NULL GROUP BY "{LOW}", "{HIGH}"'
    with connected(folder, memory_limit=memory_limit, threads=threads) as con:
        found = con.execute(f"SELECT coalesce(sum(n - 1), 0) FROM ({groups})").fetchone()
    return int(found[0])


def _any(group: Group) -> str:
    order = "row_number() OVER (PARTITION BY h1, h2 ORDER BY file, row)"
    rows = f'SELECT file, row, "{LOW}" AS h1, "{HIGH}" AS h2 FROM {parquet(group.keys)}'
    if not group.existing:
        return f"SELECT file, row FROM ({rows}) QUALIFY {order} > 1"
    seen = f'SELECT "{LOW}" AS h1, "{HIGH}" AS h2 FROM {parquet(*group.existing)}'
    # Two joins that keep nothing of the table's side cost less than one that does, and only new rows go into the window.
    new = f"SELECT * FROM ({rows}) ANTI JOIN ({seen}) USING (h1, h2)"
    return (
        f"SELECT file, row FROM ({rows}) SEMI JOIN ({seen}) USING (h1, h2) "
        f"UNION ALL SELECT file, row FROM ({new}) QUALIFY {order} > 1"
    )


def _counted(group: Group) -> str | None:
    if not group.existing:
        return None
    order = "row_number() OVER (PARTITION BY h1, h2 ORDER BY file, row)"
    rows = f'SELECT file, row, "{LOW}" AS h1, "{HIGH}" AS h2 FROM {parquet(group.keys)}'
    seen = f'SELECT "{LOW}" AS h1, "{HIGH}" AS h2, count(*) AS copies FROM {parquet(*group.existing)} GROUP BY ALL'
    # Rows that are not there at all need no window.
    return f"SELECT file, row FROM ({rows}) JOIN ({seen}) USING (h1, h2) QUALIFY {order} <= copies"


def _repeats(groups: Sequence[Group], low: str, high: str) -> str:
    """Rows whose value another row has before them; a row that is that row again, and is left out, repeats nothing."""
    rows = " UNION ALL ".join(
        f'SELECT file, row, "{low}" AS u1, "{high}" AS u2, "{LOW}" AS h1, "{HIGH}" AS h2, {not group.counted} AS once '
        f'FROM {parquet(group.keys)} WHERE "{low}" IS NOT NULL'
        for group in groups
    )
    return (
        f"SELECT file, row FROM ({rows}) WINDOW w AS (PARTITION BY u1, u2 ORDER BY file, row) "
        "QUALIFY row_number() OVER w > 1 AND "
        "(NOT once OR h1 <> first_value(h1) OVER w OR h2 <> first_value(h2) OVER w)"
    )


def marked(con: Any, query: str, places: Places, mask: pl.Series) -> pl.Series:
    """The mask, in which the rows that a query gives (file, row) are marked too."""
    for batch in con.sql(query).to_arrow_reader(1_000_000):
        found = pl.from_arrow(batch)
        assert isinstance(found, pl.DataFrame)
        mask = mask.scatter(places.numbers(found["file"], found["row"]), True)
    return mask
