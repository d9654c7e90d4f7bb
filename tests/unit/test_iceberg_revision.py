"""Rows of an Iceberg table changed by key: every row as a plain program would have it, files without a hit left alone."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.errors import ConfigError
from tests.lake import Lake
from tests.merging import Merger, frame
from tests.project import Project

MODES = ["copy-on-write", "merge-on-read"]
ID = Field(name="id", kind="long")
NAME = Field(name="name", kind="string")
DAY = Field(name="day", kind="date")
VALUE = Field(name="value", kind="double")
OPEN = Field(name="open", kind="boolean")
COLUMNS = (ID, NAME, DAY, VALUE, OPEN)


def lake_of(project: Project, mode: str = "copy-on-write", **more: Any) -> Lake:
    return Lake(project, {"write_mode": "append", "engine": {"options": {"merge_mode": mode}}, **more})


def row(number: int, version: int = 0) -> dict[str, Any]:
    name = None if number % 7 == 0 else f"né {number % 5}"
    day = dt.date(2024, 1, 1) + dt.timedelta(days=number % 90)
    return {"id": number, "name": name, "day": day, "value": number + version / 1000, "open": number % 3 == 0}


def some(numbers: Any, version: int = 0) -> pl.DataFrame:
    return frame(COLUMNS, [row(n, version) for n in numbers])


def contents(table: Merger) -> list[tuple[Any, ...]]:
    """The rows as pyiceberg reads them; what Polars reads is the same."""
    rows = table.lake.rows().select(f.name for f in COLUMNS).sort(pl.all(), nulls_last=True)
    scan = table.opened().existing(COLUMNS)
    found = scan.collect() if scan is not None else None
    assert found is not None and found.sort(pl.all(), nulls_last=True).equals(rows)
    return rows.rows()


def sums(lake: Lake) -> dict[str, bytes]:
    return {f.file_path: Path(f.file_path.removeprefix("file://")).read_bytes() for f in lake.data_files()}


@pytest.mark.parametrize("mode", MODES)
def test_rows_with_a_key_leave_and_new_ones_come_in_one_snapshot(project: Project, mode: str) -> None:
    lake = lake_of(project, mode)
    table = Merger(lake, COLUMNS, ["id"])
    table.load(some(range(100)))
    done = table.upsert(some(range(90, 110), 1))
    assert contents(table) == some([*range(90)]).vstack(some(range(90, 110), 1)).sort("id").rows()
    assert (done.updated, done.deleted) == (0, 10)
    snapshots = lake.table().metadata.snapshots
    assert len(snapshots) == 2
    summary = snapshots[-1].summary
    assert summary is not None and summary["total-records" if mode == MODES[0] else "total-position-deletes"] == (
        "110" if mode == MODES[0] else "10"
    )
    assert summary["dativo.run"] and summary.operation.value == "overwrite"


@pytest.mark.parametrize("mode", MODES)
def test_files_without_a_hit_are_left_byte_for_byte(project: Project, mode: str) -> None:
    lake = lake_of(project, mode)
    table = Merger(lake, COLUMNS, ["id"])
    for start in (0, 100, 200):
        table.load(some(range(start, start + 100)))
    before = sums(lake)
    # Keys on both sides of a file, and inside its bounds but not in it.
    done = table.merge(gone=some([5, 205, 1_000, -3]).select("id"))
    assert done.deleted == 2
    after = sums(lake)
    kept = before.keys() & after.keys()
    assert len(kept) == (1 if mode == MODES[0] else 3) and all(before[p] == after[p] for p in kept)
    assert [r[0] for r in contents(table)] == [n for n in range(300) if n not in (5, 205)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("key", "partitioning"),
    [
        (["id"], []),
        (["name", "day"], []),
        (["id"], [Partition("day", "month")]),
        (["id"], [Partition("id", "bucket", 4), Partition("open", "identity")]),
        (["name", "id"], [Partition("name", "truncate", 2)]),
    ],
    ids=["plain", "nulls", "month", "bucket", "truncate"],
)
def test_any_sequence_of_merges_leaves_what_a_plain_program_would(
    project: Project, mode: str, key: list[str], partitioning: list[Partition]
) -> None:
    lake = lake_of(project, mode)
    table = Merger(lake, COLUMNS, key, partitioning)
    chance = random.Random(f"{mode}{key}{partitioning}")
    model: list[dict[str, Any]] = []

    def of(one: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(one[name] for name in key)

    for step in range(8):
        rows = {of(r): r for r in (row(chance.randrange(200), step) for _ in range(chance.randrange(1, 80)))}
        doomed = {of(r): r for r in (row(chance.randrange(220)) for _ in range(chance.randrange(30)))}
        changed = {of(r): r for r in (row(chance.randrange(220)) for _ in range(chance.randrange(30)))}
        leaving = rows.keys() | doomed.keys()
        changed = {k: r for k, r in changed.items() if k not in leaving}
        news = {k: {"value": -float(step), "day": dt.date(2030, step + 1, 1)} for k in changed}
        only = "open" if chance.random() < 0.4 else None
        hit = [r for r in model if only is None or r["open"]]
        updated, deleted = sum(of(r) in changed for r in hit), sum(of(r) in leaving for r in hit)
        stay = [r for r in model if of(r) not in leaving or not (only is None or r["open"])]
        model = [{**r, **news[of(r)]} if of(r) in news and (only is None or r["open"]) else r for r in stay]
        model += rows.values()
        amended = None
        if changed and "day" not in key:
            fields = (*(f for f in COLUMNS if f.name in key), VALUE, DAY)
            amended = frame(fields, [{**r, **news[k]} for k, r in changed.items()])
        elif changed:
            model = [*stay, *rows.values()]
            updated = 0
        gone = frame(table.key, [*rows.values(), *(r for k, r in doomed.items() if k not in rows)])
        done = table.merge(frame(COLUMNS, list(rows.values())), gone=gone, amended=amended, only=only)
        assert (done.updated, done.deleted) == (updated, deleted)
        wanted = frame(COLUMNS, model).sort(pl.all(), nulls_last=True)
        assert contents(table) == wanted.rows(), step
        assert lake.table().current_snapshot() is not None and len(lake.table().metadata.snapshots) == step + 1


def test_rows_keep_their_order_and_their_partition(project: Project) -> None:
    lake = lake_of(project)
    table = Merger(lake, COLUMNS, ["id"], [Partition("day", "month")])
    table.load(some(range(500)))
    table.merge(gone=some(range(0, 500, 3)).select("id"))
    assert len(lake.data_files()) == 3
    for file in lake.data_files():
        rows = pl.read_parquet(file.file_path.removeprefix("file://"), hive_partitioning=False)
        assert rows["id"].is_sorted() and rows["day"].dt.month().n_unique() == 1
        assert f"day_month=2024-{rows['day'].dt.month()[0]:02d}" in file.file_path
        assert file.partition[0] == (2024 - 1970) * 12 + rows["day"].dt.month()[0] - 1


def test_a_column_that_is_younger_than_a_file_is_null_in_its_rows(project: Project) -> None:
    lake = lake_of(project)
    Merger(lake, (ID, NAME), ["id"]).load(frame((ID, NAME), [row(n) for n in range(20)]))
    table = Merger(lake, (ID, NAME, VALUE), ["id"])
    new = frame((ID, NAME, VALUE), [row(n) for n in (3, 30)])
    table.merge(new, gone=new.select("id"), amended=pl.DataFrame({"id": [5], "value": [0.5]}))
    found = {r["id"]: r["value"] for r in lake.rows().to_dicts()}
    assert found == {**dict.fromkeys(range(20)), 3: 3.0, 30: 30.0, 5: 0.5}


KINDS: list[tuple[Field, list[Any]]] = [
    (Field(name="k", kind="uuid"), [str(uuid.UUID(int=n * 2**121 + n)) for n in range(60)]),
    (Field(name="k", kind="decimal", precision=20, scale=3), [Decimal(n - 30) / 8 * 1000 for n in range(60)]),
    (Field(name="k", kind="timestamptz"), [dt.datetime(1960 + n, 1, 1, tzinfo=dt.UTC) for n in range(60)]),
    (Field(name="k", kind="binary"), [bytes([255 - n]) * 40 for n in range(60)]),
    (Field(name="k", kind="string"), ["ÿ" * 40 + chr(0xFFFF - n) for n in range(60)]),
    (Field(name="k", kind="string"), ["\U0010ffff" * 20 + str(n) for n in range(60)]),
    (Field(name="k", kind="time"), [dt.time(n % 24, n, microsecond=n) for n in range(60)]),
    (Field(name="k", kind="boolean"), [True, False]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "values"), KINDS, ids=[f"{f.kind}-{n}" for n, (f, _) in enumerate(KINDS)])
def test_keys_of_every_kind_are_found_whatever_their_bounds_say(
    project: Project, field: Field, values: list[Any]
) -> None:
    lake = lake_of(project)
    columns = (field, ID)
    table = Merger(lake, columns, ["k"])
    half = len(values) // 2
    for part in (values[:half], values[half:]):
        table.load(frame(columns, [{"k": v, "id": 0} for v in part]))
    chosen = values[::3] or values
    new = frame(columns, [{"k": v, "id": 1} for v in chosen])
    done = table.merge(new, gone=new.select("k"))
    assert done.deleted == len(chosen)
    found = lake.existing(columns)
    assert found is not None and found.height == len(values) and found["k"].n_unique() == len(values)
    assert found["id"].sum() == len(chosen)


@pytest.mark.parametrize("mode", MODES)
def test_many_keys_are_compared_within_the_memory_limit(
    project: Project, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above a number of keys the comparison is DuckDB's, and bounds are told by the least and greatest key alone."""
    from dativo.targets.iceberg import matching, merge, pruning

    monkeypatch.setattr(matching, "MOST_IN_MEMORY", 10)
    monkeypatch.setattr(pruning, "MANY", 10)
    monkeypatch.setattr(merge, "BATCH_ROWS", 150)
    lake = lake_of(project, mode)
    table = Merger(lake, COLUMNS, ["id"])
    for start in (0, 100, 200, 300, 400):
        table.load(some(range(start, start + 100)))
    before = sums(lake)
    amended = some(range(150, 180)).select("id", value=pl.lit(-1.0))
    done = table.merge(some(range(120, 140), 1), gone=some(range(120, 140)).select("id"), amended=amended)
    assert (done.updated, done.deleted) == (30, 20)
    wanted = [r for n in range(500) for r in some([n], 120 <= n < 140).rows()]
    wanted = [(*r[:3], -1.0, r[4]) if 150 <= r[0] < 180 else r for r in wanted]
    assert contents(table) == wanted
    assert len(before.keys() & sums(lake).keys()) == (4 if mode == MODES[0] else 5)


def test_more_partitions_than_may_be_open_at_once_are_rewritten_too(project: Project) -> None:
    lake = lake_of(project)
    table = Merger(lake, COLUMNS, ["id"], [Partition("day", "day")])
    target = table.opened()
    from tests.lake import commit, write

    commit(target, write(target, some(range(900)), spill=project.root / "spill"))
    table.upsert(some(range(0, 900, 2), 1))
    wanted = some(range(0, 900, 2), 1).vstack(some(range(1, 900, 2))).sort("id")
    assert contents(table) == wanted.rows() and len({f.partition for f in lake.data_files()}) == 90


def test_rows_of_the_same_key_leave_together_and_a_missing_key_is_no_mistake(project: Project) -> None:
    lake = lake_of(project)
    table = Merger(lake, COLUMNS, ["id"])
    table.load(some([1, 2, 2, 2, 3]))
    done = table.merge(gone=pl.DataFrame({"id": [2, 77]}))
    assert done.deleted == 3 and [r[0] for r in contents(table)] == [1, 3]
    done = table.merge(gone=pl.DataFrame({"id": [2, 77]}))
    assert done.deleted == 0 and [r[0] for r in contents(table)] == [1, 3]


def test_a_merge_into_a_table_that_is_not_there_yet_only_adds(project: Project) -> None:
    lake = lake_of(project)
    table = Merger(lake, COLUMNS, ["id"])
    done = table.upsert(some(range(5)))
    assert (done.updated, done.deleted) == (0, 0) and [r[0] for r in contents(table)] == [*range(5)]


def test_a_way_to_merge_that_there_is_not_is_refused(project: Project) -> None:
    lake = lake_of(project, "sideways")
    with pytest.raises(ConfigError, match="'sideways' is no way to change rows") as found:
        lake.target()
    [problem] = found.value.problems()
    assert "copy-on-write" in problem.hint and "job.yaml" in str(problem.mark)
