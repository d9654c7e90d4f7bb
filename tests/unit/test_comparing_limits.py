"""Comparing keys within a memory limit: what does not fit is spilled, and the answer is the same."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from dativo.errors import TargetError
from dativo.staging import versions
from dativo.staging.duck import connect, connected
from dativo.staging.identity import HIGH, LOW

ROWS = 1_000_000


def keys(folder: Path, name: str, seed: int) -> Path:
    """Rows with random keys, of which a fifth come twice; a row's number is its cursor."""
    numbers = pl.select(pl.int_range(ROWS * 4 // 5).hash(seed)).to_series()
    numbers = pl.concat([numbers, numbers[: ROWS // 5]])
    frame = pl.DataFrame({LOW: numbers}).with_row_index("row").with_columns(
        pl.lit(0, dtype=pl.UInt32).alias("file"),
        (pl.col("row").cast(pl.Int64) + 1).alias("row"),
        pl.col(LOW).reverse().alias(HIGH) * 0,
        pl.col("row").cast(pl.Int64).alias("cur"),
        pl.col("row").cast(pl.UInt64).alias("r1"),
        pl.col("row").cast(pl.UInt64).alias("r2"),
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("since"),
    )  # fmt: skip
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return path


@pytest.mark.slow
def test_a_small_memory_limit_gives_the_same_answer(tmp_path: Path) -> None:
    rows = keys(tmp_path, "rows", 1)
    base = tmp_path / "known.parquet"
    found: list[tuple[int, int]] = []
    for limit in ("1GB", "80MB"):
        with connected(tmp_path, memory_limit=limit, threads=2) as con:
            source = pl.scan_parquet(rows).with_columns(pl.lit(True).alias("live"))
            source.sink_parquet(tmp_path / "table.parquet")
            assert versions.copied(con, versions.newest_of(tmp_path / "table.parquet"), base) == ROWS * 4 // 5
            (tmp_path / "out.parquet").unlink(missing_ok=True)
            count = versions.copied(con, versions.written(rows, []), tmp_path / "out.parquet")
            again = versions.copied(con, versions.written(rows, [base]), tmp_path / "again.parquet")
            found.append((count, again))
    # Keys that the table has twice equal no row: their newest version is written again.
    assert found == [(ROWS * 4 // 5, ROWS // 5)] * 2


def test_a_limit_that_nothing_fits_into_is_told_with_its_setting(tmp_path: Path) -> None:
    rows = keys(tmp_path, "rows", 2)
    with (
        pytest.raises(TargetError) as found,
        connected(tmp_path, memory_limit="1MB", threads=1) as con,
    ):
        versions.copied(con, versions.written(rows, []), tmp_path / "out.parquet")
    assert "engine.memory_limit" in found.value.hint


def test_limit_and_threads_are_those_of_the_job_and_nothing_else_can_be_touched(tmp_path: Path) -> None:
    import duckdb

    folder, other = tmp_path / "folder", tmp_path / "other.parquet"
    folder.mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(other)
    with connect(folder, memory_limit="123MB", threads=1) as con:
        limit, threads = con.execute("SELECT current_setting('memory_limit'), current_setting('threads')").fetchone()
        assert (limit, threads) == ("117.3 MiB", 1)
        for statement in (
            f"SELECT * FROM read_parquet('{other}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'x.parquet'}'",
            "SET memory_limit = '1GB'",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(statement)
