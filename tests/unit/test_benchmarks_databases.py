"""The benchmark on databases: its goals, its page, and the reading back of tables whose rows were changed."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl

from benchmarks.check import _totals
from benchmarks.databases import data, page
from benchmarks.databases.scenarios import AS, SCALES, SCENARIOS, SIZES, TABLES
from benchmarks.environments import Environment
from benchmarks.scenarios import HERE

AMOUNT = pl.Decimal(12, 2)


def rows(path: Path, ids: range) -> Path:
    frame = pl.DataFrame(
        {"order_id": list(ids), "amount": [Decimal(i) / 4 for i in ids], "status": ["open"] * len(ids)}
    )
    moment = pl.datetime(2024, 1, 1) + pl.duration(seconds="order_id")
    frame.with_columns(pl.col("amount").cast(AMOUNT), updated_at=moment).write_parquet(path)
    return path


def test_every_size_has_its_tables() -> None:
    assert set(SIZES) == set(SCALES) == set(TABLES) == set(AS)


def test_every_goal_is_of_something_that_is_measured() -> None:
    for goal in page.GOALS:
        contenders = SCENARIOS[goal.scenario].contenders
        for name in filter(None, (goal.contender, goal.against)):
            assert name in contenders
            assert all(AS[size] in contenders[name].sizes for size in goal.sizes), (goal, name)


def test_dativo_comes_first_in_every_scenario() -> None:
    assert {next(iter(s.contenders)) for s in SCENARIOS.values()} == {"dativo"}


def test_the_page_in_the_repository_is_made_of_the_figures_in_it() -> None:
    assert page.PAGE.read_text() == page.text(page.kept()), "make it anew: python -m benchmarks.databases.page"


def test_changes_are_of_known_and_new_keys_and_their_sum_is_that_of_an_upsert(tmp_path: Path) -> None:
    own = Environment(Path(sys.executable), {}, "the test")
    whole = rows(tmp_path / "rows.parquet", range(100))
    path, facts = data.changes(own, whole, 20)
    changed, before = pl.read_parquet(path), pl.read_parquet(whole)
    assert sorted(changed["order_id"]) == [0, 20, 40, 60, 80, 101, 121, 141, 161, 181]
    assert changed.schema["amount"] == AMOUNT
    merged = pl.concat([before.join(changed, on="order_id", how="anti"), changed])
    assert facts == {"rows": merged.height, "cents": int(merged["amount"].sum() * 100)}
    script = [sys.executable, "-P", str(HERE / "databases/rivals/pyiceberg_upsert.py")]
    for what, file in (("build", whole), ("upsert", path)):
        subprocess.run([*script, what, str(tmp_path / "rival"), str(file)], check=True, capture_output=True)
    request = f'[{{"kind": "pyiceberg", "warehouse": "{tmp_path}/rival", "name": "default.orders"}}]'
    check = [sys.executable, "-P", str(HERE / "check.py")]
    told = subprocess.run(check, input=request, capture_output=True, text=True, check=True).stdout
    assert told.strip() == f'[{{"rows": {facts["rows"]}, "cents": {facts["cents"]}}}]'


def test_rows_that_position_deletes_take_out_are_not_counted(tmp_path: Path) -> None:
    whole = rows(tmp_path / "rows.parquet", range(10))
    gone = pl.DataFrame({"file_path": [f"file://{whole}"] * 2, "pos": [0, 3]})
    gone.write_parquet(tmp_path / "deletes.parquet")
    found = _totals([str(whole)], {}, [str(tmp_path / "deletes.parquet")])
    assert found == {"rows": 8, "cents": (45 - 0 - 3) * 25}
