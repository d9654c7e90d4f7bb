"""Several runs at once: of one job one wins, of several jobs all do, and nobody's rows are lost or doubled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.faults.people import FIELDS, ROWS, data_files, ids, people
from tests.faults.worker import Worker
from tests.project import Project

Start = Callable[..., Worker]


def race(project: Project, worker: Start, jobs: Sequence[str]) -> list[dict[str, Any]]:
    """Lets processes run jobs at the same moment; their receipts."""
    runs = [worker() for _ in jobs]
    for run in runs:
        run.wait_ready()
    for run, name in zip(runs, jobs, strict=True):
        run.go(project.root, name)
    return [run.receipt() for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("before", ["no table", "a table"])
@pytest.mark.parametrize("lock", ["locked", "not locked"])
def test_of_many_runs_of_one_job_one_wins_and_no_row_is_doubled(
    job: Project, worker: Start, count: int, before: str, lock: str
) -> None:
    if lock == "not locked":  # whatever the lock does, the commit decides
        job.job(target={"write_mode": "append"}, engine={"lock": 0})
    first = range(0)
    if before == "a table":
        first = range(ROWS, ROWS + 10)
        people(job, first)
        assert job.sync().status == "loaded"
        people(job, range(ROWS))
    receipts = race(job, worker, ["job"] * count)
    statuses = [r["status"] for r in receipts]
    assert statuses.count("loaded") >= 1 and set(statuses) <= {"loaded", "failed", "unchanged"}
    for receipt in receipts:
        error = receipt["streams"][0]["error"]
        if receipt["status"] == "failed":
            lost = "another run of this job committed" in error and "run again" in error
            refused = "another run of the job 'job' goes on: run " in error and lock == "locked"
            assert (lost or refused) and receipt["exit_code"] == 2, error
    assert sum(r["streams"][0]["loaded"] for r in receipts if r["status"] == "loaded") == ROWS
    assert ids(job) == sorted([*range(ROWS), *first])
    assert job.sync().status == "unchanged"
    # The losers took their files away: what is on the disk is what the table has.
    assert len(data_files(job)) == len(list(job.table().scan().plan_files()))


@pytest.mark.slow
def test_two_jobs_that_append_to_one_table_at_once_both_land(project: Project, worker: Start) -> None:
    project.asset(FIELDS)
    jobs = ["north", "south", "west"]
    for number, name in enumerate(jobs):
        project.job(name, source={"files": [{"path": f"data/{name}.csv"}]}, target={"write_mode": "append"})
        people(project, range(number * ROWS, (number + 1) * ROWS), name)
    receipts = race(project, worker, jobs)
    assert [r["status"] for r in receipts] == ["loaded"] * 3, receipts
    assert ids(project) == list(range(3 * ROWS))
    assert project.snapshots() == 3
    for name in jobs:
        assert project.sync(name).status == "unchanged"


@pytest.mark.slow
def test_two_jobs_with_rejects_at_once_both_keep_theirs(project: Project, worker: Start) -> None:
    project.asset(FIELDS, data_quality={"max_rejects": 10})
    jobs = ["north", "south"]
    for number, name in enumerate(jobs):
        source = {"files": [{"path": f"data/{name}.csv"}]}
        project.job(name, source=source, target={"write_mode": "append"}, schema_validation_mode="quarantine")
        people(project, range(number * 10, number * 10 + 10), name)
        with (project.root / f"data/{name}.csv").open("a") as file:
            file.write("x,bad\n" * (number + 1))
    receipts = race(project, worker, jobs)
    assert [r["status"] for r in receipts] == ["loaded"] * 2, receipts
    assert sorted(project.rejects()["job"].to_list()) == ["acme.north", "acme.south", "acme.south"]
