"""Which rows of an extraction are loaded already, or stand in it twice: found by keys, told as places.

Only hashes and positions come here. The answer is a mask over the extraction's rows; the rows themselves are filtered
where they are read the second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from dativo.staging.duck import connect, translated
from dativo.staging.identity import HIGH, LOW


@dataclass(slots=True, frozen=True)
class Group:
    """Rows that are compared among themselves, in Parquet files of the working folder.

    `keys` has columns file (UInt32), row (Int64), the identity LOW and HIGH, and two hash columns for each unique column.
    `existing` has LOW and HIGH of the rows that are in the table. `counted`: the n-th equal row is a duplicate when n
    copies are there; otherwise any equal row is, and so are all but the first inside the extraction.
    """

    keys: Path
    existing: Path | None
    counted: bool


@dataclass(slots=True, frozen=True)
class Masks:
    """Marked rows, found by file and row number.

    `first` has for each file the position of its first row in the masks; `duplicate` and `repeated` (one mask for each
    unique column) are true for the rows that are not to be loaded, or that repeat a value.
    """

    first: pl.Series
    duplicate: pl.Series
    repeated: dict[str, pl.Series]

    def duplicates(self, file: pl.Expr, row: pl.Expr) -> pl.Expr | None:
        return self._marked(self.duplicate, file, row) if self.duplicate.any() else None

    def repeats(self, file: pl.Expr, row: pl.Expr) -> dict[str, pl.Expr]:
        return {column: self._marked(mask, file, row) for column, mask in self.repeated.items()}

    def _marked(self, mask: pl.Series, file: pl.Expr, row: pl.Expr) -> pl.Expr:
        def lookup(place: pl.Series) -> pl.Series:
            # A file that has grown since has more rows than the mask; its change is told when the reading is over.
            index = self.first.gather(place.struct.field("file")) + place.struct.field("row") - 1
            return mask.gather(index, null_on_oob=True).fill_null(False)

        place = pl.struct(file=file, row=row)
        return place.map_batches(lookup, return_dtype=pl.Boolean, is_elementwise=True)


def find(
    folder: Path,
    groups: Sequence[Group],
    *,
    rows_per_file: Sequence[int],
    unique: Sequence[tuple[str, str, str]],
    memory_limit: str | None = None,
    threads: int | None = None,
) -> Masks:
    """The masks of an extraction, whose rows are all in one of the groups or are none of this matter.

    `unique` names the columns whose values may not come twice, each with its two hash columns.
    """
    first = pl.Series("first", [0, *rows_per_file[:-1]] if rows_per_file else [0], dtype=pl.Int64).cum_sum()
    total = sum(rows_per_file)
    duplicate = _none(total)
    try:
        with connect(folder, memory_limit=memory_limit, threads=threads) as con:
            for group in groups:
                query = _counted(group) if group.counted else _any(group)
                duplicate = _marked(con, query, first, duplicate) if query else duplicate
            repeated = {c: _marked(con, _repeats(groups, low, high), first, _none(total)) for c, low, high in unique}
    except duckdb.Error as error:
        raise translated(error) from None
    return Masks(first, duplicate, {c: m for c, m in repeated.items() if m.any()})


def repeats(folder: Path, hashes: Path, *, memory_limit: str | None = None, threads: int | None = None) -> int:
    """The rows of a Parquet file with the columns LOW and HIGH that are not the first of their identity.

    The file lies in `folder`, where DuckDB may spill. Rows without an identity (null) are left out.
    """
    groups = f'SELECT count(*) AS n FROM {_source(hashes)} WHERE "{LOW}" IS NOT NULL GROUP BY "{LOW}", "{HIGH}"'
    try:
        with connect(folder, memory_limit=memory_limit, threads=threads) as con:
            found = con.execute(f"SELECT coalesce(sum(n - 1), 0) FROM ({groups})").fetchone()
    except duckdb.Error as error:
        raise translated(error) from None
    assert found is not None
    return int(found[0])


def _source(path: Path) -> str:
    return "read_parquet('" + str(path).replace("'", "''") + "')"


def _any(group: Group) -> str:
    order = "row_number() OVER (PARTITION BY h1, h2 ORDER BY file, row)"
    rows = f'SELECT file, row, "{LOW}" AS h1, "{HIGH}" AS h2 FROM {_source(group.keys)}'
    if group.existing is None:
        return f"SELECT file, row FROM ({rows}) QUALIFY {order} > 1"
    seen = f'SELECT DISTINCT "{LOW}" AS h1, "{HIGH}" AS h2, true AS there FROM {_source(group.existing)}'
    return f"SELECT file, row FROM ({rows}) LEFT JOIN ({seen}) USING (h1, h2) QUALIFY there IS NOT NULL OR {order} > 1"


def _counted(group: Group) -> str | None:
    if group.existing is None:
        return None
    order = "row_number() OVER (PARTITION BY h1, h2 ORDER BY file, row)"
    rows = f'SELECT file, row, "{LOW}" AS h1, "{HIGH}" AS h2 FROM {_source(group.keys)}'
    seen = f'SELECT "{LOW}" AS h1, "{HIGH}" AS h2, count(*) AS copies FROM {_source(group.existing)} GROUP BY ALL'
    # Rows that are not there at all need no window.
    return f"SELECT file, row FROM ({rows}) JOIN ({seen}) USING (h1, h2) QUALIFY {order} <= copies"


def _repeats(groups: Sequence[Group], low: str, high: str) -> str:
    """Rows whose value another row has before them; a row that is that row again, and is left out, repeats nothing."""
    rows = " UNION ALL ".join(
        f'SELECT file, row, "{low}" AS u1, "{high}" AS u2, "{LOW}" AS h1, "{HIGH}" AS h2, {not group.counted} AS once '
        f'FROM {_source(group.keys)} WHERE "{low}" IS NOT NULL'
        for group in groups
    )
    return (
        f"SELECT file, row FROM ({rows}) WINDOW w AS (PARTITION BY u1, u2 ORDER BY file, row) "
        "QUALIFY row_number() OVER w > 1 AND "
        "(NOT once OR h1 <> first_value(h1) OVER w OR h2 <> first_value(h2) OVER w)"
    )


def _none(total: int) -> pl.Series:
    return pl.repeat(False, total, dtype=pl.Boolean, eager=True)


def _marked(con: duckdb.DuckDBPyConnection, query: str, first: pl.Series, mask: pl.Series) -> pl.Series:
    """The mask, in which the places that a query gives are marked too."""
    for batch in con.sql(query).to_arrow_reader(1_000_000):
        found = pl.from_arrow(batch)
        assert isinstance(found, pl.DataFrame)
        mask = mask.scatter(first.gather(found["file"]) + found["row"].cast(pl.Int64) - 1, True)
    return mask
