"""The benchmark's generator, its jobs and rivals, and the page that is made of the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from benchmarks import chart, goals, measure, page
from benchmarks.environments import Environment
from benchmarks.generate import COLUMNS, Facts, Recipe, kept, write
from benchmarks.measure import Failed, Measured, Run
from benchmarks.run import check_outputs
from benchmarks.scenarios import HERE, SCENARIOS, Bench, Check
from tests.project import Project

MIXED = Recipe(rows=3_000, bad=0.05, duplicates=0.2)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def test_a_seed_gives_the_same_bytes_whatever_the_size_of_the_chunks(tmp_path: Path) -> None:
    first = write(MIXED, tmp_path / "a.csv")
    second = write(MIXED, tmp_path / "b.csv", chunk=700)
    assert first == second
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    # Known bytes: figures of different days and machines are of the same file.
    assert first.sha256 == "c929236ba62854f42b3e8e5abb9c826359d47e8578fb4f1ce6d20fa568773920"


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    first = write(Recipe(rows=100, seed=1), tmp_path / "a.csv")
    second = write(Recipe(rows=100, seed=2), tmp_path / "b.csv")
    assert first.sha256 != second.sha256


def test_the_file_has_the_rows_and_columns_that_were_asked_for(tmp_path: Path) -> None:
    facts = write(Recipe(rows=1_234), tmp_path / "a.csv")
    frame = pl.read_csv(tmp_path / "a.csv", infer_schema=False)
    assert frame.columns == list(COLUMNS)
    assert frame.height == facts.rows == facts.good == facts.distinct == 1_234
    assert (
        frame.select(pl.col("amount").str.replace(".", "", literal=True).cast(pl.Int64).sum()).item()
        == facts.good_cents
    )
    assert (tmp_path / "a.csv").stat().st_size == facts.bytes


def test_repeated_rows_are_copies_of_earlier_ones(tmp_path: Path) -> None:
    facts = write(Recipe(rows=2_000, duplicates=0.2), tmp_path / "a.csv")
    assert len(set(lines(tmp_path / "a.csv"))) == facts.distinct == 1_600


def test_fresh_rows_are_those_that_the_first_file_has_not(tmp_path: Path) -> None:
    write(Recipe(rows=1_000), tmp_path / "first.csv")
    facts = write(Recipe(rows=1_000, duplicates=0.2, start=600, known=1_000), tmp_path / "second.csv")
    fresh = set(lines(tmp_path / "second.csv")) - set(lines(tmp_path / "first.csv"))
    assert len(fresh) == facts.fresh == 400


def test_a_file_is_known_again_by_its_recipe_and_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert kept(MIXED, path) is None
    facts = write(MIXED, path)
    assert kept(MIXED, path) == facts
    assert kept(Recipe(rows=3_000), path) is None
    path.write_text("cut short")
    assert kept(MIXED, path) is None


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with the benchmark's contracts and jobs."""
    for kind, folder in (("contracts", "assets"), ("jobs", "jobs/acme")):
        for path in (HERE / kind).glob("*.yaml"):
            project.write(f"{folder}/{path.name}", path.read_text())
    return project


def orders(bench: Project, recipe: Recipe) -> Facts:
    return write(recipe, bench.root / "data" / "orders.csv")


def loaded(bench: Project) -> tuple[int, int]:
    """Rows of the table and the sum of their amounts in cents."""
    rows = bench.rows("default.orders", "bench")
    return rows.height, int(rows["amount"].sum() * 100)


@pytest.mark.parametrize("job", ["load", "hash", "rules"])
def test_dativo_loads_every_good_row(job: str, bench: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATIVO_SECRET__BENCH__PRIVACY_KEY", "0123456789abcdef0123456789abcdef")
    facts = orders(bench, Recipe(rows=500))
    assert bench.sync(job).exit_code == 0
    assert loaded(bench) == (facts.good, facts.good_cents)


def test_dativo_keeps_every_bad_row(bench: Project) -> None:
    facts = orders(bench, Recipe(rows=2_000, bad=0.02))
    receipt = bench.sync("rejects")
    assert (receipt.exit_code, receipt.rejected) == (0, facts.rows - facts.good)
    assert loaded(bench) == (facts.good, facts.good_cents)
    assert len({r.rule for r in receipt.streams[0].rules}) > 2


def test_dativo_loads_repeated_and_known_keys_once(bench: Project) -> None:
    before = orders(bench, Recipe(rows=1_000, duplicates=0.2))
    assert bench.sync("dedup").loaded == before.distinct
    facts = orders(bench, Recipe(rows=1_000, start=500, known=before.distinct))
    assert bench.sync("dedup").loaded == facts.fresh
    assert loaded(bench)[1] == before.distinct_cents + facts.fresh_cents


@pytest.mark.parametrize(
    ("script", "what", "recipe"),
    [
        ("duckdb_load.py", "load", Recipe(rows=500)),
        ("polars_load.py", "load", Recipe(rows=500)),
        ("duckdb_load.py", "dedup", Recipe(rows=500, duplicates=0.2)),
        ("duckdb_load.py", "rejects", Recipe(rows=500, bad=0.1)),
    ],
)
def test_rivals_write_the_rows_that_dativo_would(script: str, what: str, recipe: Recipe, tmp_path: Path) -> None:
    facts = write(recipe, tmp_path / "a.csv")
    command = [
        sys.executable,
        "-P",
        str(HERE / "rivals" / script),
        str(tmp_path / "a.csv"),
        str(tmp_path / "out"),
        what,
    ]
    subprocess.run(command, check=True)
    rows = pl.read_parquet(tmp_path / "out" / "orders.parquet")
    assert (rows.height, int(rows["amount"].sum() * 100)) == (facts.distinct, facts.distinct_cents)
    if what == "rejects":
        assert pl.read_parquet(tmp_path / "out" / "rejects.parquet")["line"].n_unique() == facts.rows - facts.good


def test_a_wrong_output_fails_the_benchmark(tmp_path: Path) -> None:
    pl.DataFrame({"amount": [1.5, 2.0]}).write_parquet(tmp_path / "a.parquet")
    own = Bench(tmp_path, Environment(Path(sys.executable), {}, "the test"), None)
    request = {"kind": "parquet", "files": str(tmp_path / "a.parquet")}
    check_outputs(own, "load", [("right", Check(request, {"rows": 2, "cents": 350}))])
    with pytest.raises(Failed, match=r"load, short: .*'rows': \(2, 3\)"):
        check_outputs(own, "load", [("short", Check(request, {"rows": 3, "cents": 350}))])


def test_a_process_is_measured_with_its_own_memory(tmp_path: Path) -> None:
    held, text = measure.run([sys.executable, "-c", "b = bytearray(200 << 20); print(len(b))"], cwd=tmp_path)
    assert held.memory > 200 << 20
    assert held.wall > 0
    assert text == f"{200 << 20}\n"


def test_a_process_that_fails_is_shown_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"exit code 3(.|\n)*why"):
        measure.run([sys.executable, "-c", "import sys; sys.exit(print('why', file=sys.stderr) or 3)"], cwd=tmp_path)


def test_measured_processes_write_bytecode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    _, text = measure.run([sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"], cwd=tmp_path)
    assert text == "False\n"


def took(label: str, *seconds: float, memory: int = 100 << 20) -> Measured:
    return Measured(label, [Run(s, s, 0.0, memory) for s in seconds])


def test_a_ratio_is_of_runs_of_the_same_round() -> None:
    assert took("a", 1, 20, 3).ratio(took("b", 2, 10, 6)) == 0.5


def test_goals_are_judged_as_the_figures_came_out() -> None:
    goal = goals.Goal("load", "dativo", "ratio", 0.95, ("10m",), "duckdb", 1.15)
    assert [goal.verdict(v) for v in (0.9, 1.0, 1.2)] == ["met", "missed, within the least", "missed"]
    times = goals.Goal("load", "dativo", "times", 5, ("1m",), "dlt_iceberg")
    results = {"load": {"dativo": took("dativo", 2), "dlt_iceberg": took("dlt", 8)}}
    assert times.value(results) == 4
    assert times.verdict(4) == "missed"
    assert goal.value(results) is None


def test_figures_that_are_badly_off_are_told() -> None:
    commands = {"imports": took("imports", 0.5)}
    sound = {"commands": commands, "load": {"dativo": took("dativo", 1.5), "duckdb": took("duckdb", 0.3)}}
    assert list(goals.unsound(sound)) == []
    slow = sound | {"load": {"dativo": took("dativo", 3.5, memory=2 << 30), "duckdb": took("duckdb", 0.3)}}
    assert ["2048 MiB" in p or "3.50 s" in p for p in goals.unsound(slow)] == [True, True]


def document(size: str, **scenarios: dict[str, Measured]) -> dict[str, object]:
    return {
        "format": 1, "size": size, "rows": 10_000_000, "bytes": 1_670_000_000, "repeat": 2, "date": "2030-01-01 00:00 UTC",
        "commit": "abc", "machine": {"processor": "A & B <2>", "cores": "2", "memory": "24 GiB", "system": "Linux 6"},
        "load_average_before": 0.1, "environments": {"dativo": {"made_by": "uv", "versions": {"polars": "2.1.0"}}},
        "scenarios": {n: {k: measure.as_plain(m) for k, m in s.items()} for n, s in scenarios.items()},
    }  # fmt: skip


def test_the_page_tells_missed_goals_too() -> None:
    load = {"dativo": took("dativo", 6, 6), "duckdb": took("DuckDB", 5, 5), "polars": took("Polars", 6, 6)}
    text = page.text({"10m": json.loads(json.dumps(document("10m", load=load)))})
    assert "| 10 million rows | dativo, load, against DuckDB | <= 0.95x (at least <= 1.15x) | 1.20x | missed |" in text
    assert "| **dativo** | 6.00 s | 6.00 s to 6.00 s | 6.00 s | 100 MiB |  |" in text
    assert "| DuckDB | 5.00 s | 5.00 s to 5.00 s | 5.00 s | 100 MiB | 1.20x |" in text


def test_the_page_says_what_the_small_size_is_worth() -> None:
    text = page.text({"small": document("small", load={"dativo": took("dativo", 1)})})
    assert "This size is for automated checks" in text
    assert "## Growth" not in text


def test_the_page_says_when_other_work_ran_beside() -> None:
    quiet = document("small", load={"dativo": took("dativo", 1)})
    assert "Other work" not in page.text({"small": quiet})
    assert "Other work" in page.text({"small": quiet | {"load_average_before": 1.5}})


def test_the_page_in_the_repository_is_made_of_the_figures_in_it() -> None:
    assert page.PAGE.read_text() == page.text(page.kept()), "make it anew: python -m benchmarks.page"


def test_the_chart_is_well_formed_and_to_scale() -> None:
    results = {"load": {"dativo": took("dativo", 2), "duckdb": took("DuckDB <3", 4)}}
    drawn = ElementTree.fromstring(chart.draw(document("10m", **results), results, page.TITLES))
    space = "{http://www.w3.org/2000/svg}"
    bars = {b.get("class"): float(str(b.get("width"))) for b in drawn.iter(f"{space}rect") if b.get("class") != "card"}
    assert bars["own"] == pytest.approx(bars["other"] / 2, rel=0.01)
    assert any("DuckDB <3" in (t.text or "") for t in drawn.iter(f"{space}text"))


def test_dativo_comes_first_in_every_scenario_that_compares() -> None:
    for name, scenario in SCENARIOS.items():
        if name != "commands":
            assert next(iter(scenario.contenders)) == "dativo"


def test_every_goal_is_of_something_that_is_measured() -> None:
    for goal in goals.GOALS:
        contenders = SCENARIOS[goal.scenario].contenders
        assert goal.contender in contenders
        assert not goal.against or goal.against in contenders
        for size in goal.sizes:
            assert size in contenders[goal.contender].sizes
