"""A run that is killed at any moment: afterwards the table is whole, and the next run makes it right.

Each round changes the input, kills a run of it with SIGKILL at some moment, looks at the table, and runs the job again
to its end. Two thirds of the moments are spread over the whole run, one third over its last steps, the commit included.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from tests.faults.worker import Worker
from tests.project import Project

ROUNDS = 25
ROWS = 10_000
FRESH = 1_000
BAD = 50
FIELDS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "changed", "type": "timestamp", "required": True},
    {"name": "name", "type": "string"},
    {"name": "amount", "type": "decimal(12,2)"},
]


@dataclass
class Input:
    """What a round delivers, and what the table must hold once it is loaded: number of rows and sum of their ids."""

    text: str
    rows: int
    total: int


def line(number: int, version: int) -> str:
    return f"{number},2026-01-01 00:00:{version:02d},name {number},{number % 1000}.25\n"


def bad(version: int) -> str:
    return "".join(f"x{n},2026-01-01 00:00:{version:02d},bad,1.00\n" for n in range(BAD))


HEAD = "id,changed,name,amount\n"


def full(number: int) -> Input:
    """A full delivery: other rows in each round."""
    ids = range(number * 7, number * 7 + ROWS)
    return Input(HEAD + "".join(line(i, number) for i in ids) + bad(number), ROWS, sum(ids))


def increment(number: int) -> Input:
    """New rows, rows that are there already, and new versions of rows; the table only ever grows."""
    if number == 0:
        return Input(HEAD + "".join(line(i, 0) for i in range(ROWS)) + bad(0), ROWS, sum(range(ROWS)))
    fresh = range(ROWS + (number - 1) * FRESH, ROWS + number * FRESH)
    again, changed = range(FRESH), range(FRESH, 2 * FRESH)
    text = (
        HEAD + "".join(line(i, 0) for i in (*again, *fresh)) + "".join(line(i, number) for i in changed) + bad(number)
    )
    so_far = sum(range(ROWS + number * FRESH)) + number * sum(changed)
    return Input(text, ROWS + 2 * number * FRESH, so_far)


def job(project: Project, incremental: bool) -> None:
    project.asset(FIELDS, data_quality={"max_rejects": BAD})
    files = {"files": [{"path": "data/people.csv"}]}
    if incremental:
        files |= {"incremental": {"strategy": "file_modified_time", "cursor_field": "changed"}}
    project.job(source=files, schema_validation_mode="quarantine")


def totals(project: Project) -> tuple[int, int]:
    """The table's rows and the sum of their ids; nothing for a table that is not there."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        table = project.table()
    except NoSuchTableError:
        return 0, 0
    ids = table.scan(selected_fields=("id",)).to_arrow()["id"].to_pylist()
    return len(ids), sum(ids)


def rejects_of_newest_run(project: Project) -> int:
    token = project.table().properties["dativo.run.acme.job.people"].split(",")[0]
    return project.rejects().filter(pl.col("run") == token).height


def duration(project: Project, worker: Worker) -> float:
    """How long an undisturbed run takes."""
    worker.wait_ready()
    begin = time.perf_counter()
    worker.go(project.root)
    receipt = worker.receipt()
    assert receipt["status"] == "loaded", receipt
    return time.perf_counter() - begin


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_the_table_is_whole_after_every_kill_and_right_after_the_next_run(
    project: Project, worker: Callable[[], Worker], mode: str
) -> None:
    incremental = mode == "incremental"
    delivery: Callable[[int], Input] = increment if incremental else full
    chance = random.Random(f"kill {mode}")
    job(project, incremental)
    before = delivery(0)
    project.write("data/people.csv", before.text)
    waiting = [worker(), worker()]
    whole = duration(project, waiting.pop(0))
    waiting.append(worker())
    assert totals(project) == (before.rows, before.total)
    told: dict[str, int] = {"killed": 0, "landed": 0}
    for number in range(1, ROUNDS + 1):
        now = delivery(number)
        project.write("data/people.csv", now.text)
        run = waiting.pop(0)
        run.wait_ready()
        waiting.append(worker())
        run.go(project.root)
        if number % 3 == 0:
            run.wait_phase("keeping rejects")
            time.sleep(chance.uniform(0, whole / 4))
        else:
            time.sleep(chance.uniform(0, whole * 1.05))
        if run.kill():
            told["killed"] += 1
        else:
            whole *= 0.8  # runs take less than the one that was measured
        found = totals(project)
        assert found in ((before.rows, before.total), (now.rows, now.total)), number
        told["landed"] += found == (now.rows, now.total)
        again = project.sync()
        assert again.status == ("unchanged" if found == (now.rows, now.total) else "loaded"), again.streams[0].error
        assert totals(project) == (now.rows, now.total), number
        assert rejects_of_newest_run(project) == BAD
        assert left_behind(project) == [], number
        before = now
    assert project.sync().status == "unchanged"
    # The moments were spread well: some runs died before they had committed, and few were over before.
    assert told["killed"] >= ROUNDS // 2 and told["landed"] < told["killed"], told
    assert project.rows().height == before.rows


def left_behind(project: Project) -> list[Path]:
    """Staging folders of runs that are dead."""
    return list((project.root / ".local" / "staging").glob("*"))
