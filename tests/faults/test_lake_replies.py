"""Replies of Nessie that are lost, false or late, with and without a rival: whatever is said, the rows are there once."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dativo.errors import DativoError
from dativo.state.lock import RunLock
from tests.faults.lakehouse import COMMIT, People, told
from tests.faults.program import Pool

pytestmark = [pytest.mark.server, pytest.mark.slow]

CUT = 0
ANSWERS = [CUT, 500, 502, 503, 504, 409]
FIRST, SECOND = range(100), range(300)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.targets.iceberg.commit.LONGEST_WAIT", 0.05)


@pytest.fixture(params=["a table", "no table"])
def job(nessie_job: People, request: pytest.FixtureRequest) -> People:
    """A job with a delivery to load, into a table that is there already or not."""
    if request.param == "a table":
        nessie_job.loaded(FIRST)
    nessie_job.deliver(SECOND)
    return nessie_job


def meet(job: People, pattern: str = COMMIT, **what: object) -> None:
    assert job.lake is not None
    job.lake.catalog.clear()
    job.lake.catalog.meet(pattern, **what)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("heard", [True, False], ids=["landed", "not landed"])
def test_a_commit_with_a_lost_or_false_reply_is_done_exactly_once(job: People, heard: bool, answer: int) -> None:
    meet(job, heard=heard, answer=answer)
    snapshots = job.number_of_loads()
    assert told(job.sync()) == ("loaded", 0, "")
    assert job.ids() == list(SECOND)
    assert job.number_of_loads() == snapshots + 1
    assert len(job.stored_files()) <= job.visible_files()
    job.right(SECOND)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_rival_after_a_lost_reply_neither_loses_nor_doubles_rows(job: People, answer: int) -> None:
    """Our commit landed and its reply was lost; before we look again, another run of the job commits on top of it."""
    more = range(400)

    def rival() -> None:
        job.deliver(more)
        assert told(job.sync()) == ("loaded", 0, "")

    meet(job, answer=answer, then=rival)
    assert told(job.sync()) == ("loaded", 0, "")
    assert job.ids() == list(more)
    job.right(more)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_rival_before_a_lost_commit_wins(job: People, answer: int) -> None:
    """The rival lands first; ours is refused by the server, and the client is told something else."""
    more = range(400)

    def rival() -> None:
        job.deliver(more)
        assert told(job.sync()) == ("loaded", 0, "")

    meet(job, answer=answer, before=rival)
    status, code, error = told(job.sync())
    assert (status, code) == ("failed", 2)
    assert "another run of this job committed" in error or "does not answer whether the commit" in error
    assert "run again" in error
    assert job.ids() == list(more)
    job.right(more)


@pytest.mark.parametrize("answer", [CUT, 500, 503], ids=str)
def test_a_catalog_that_never_answers_the_commit_leaves_a_clear_doubt(job: People, answer: int) -> None:
    before = job.ids()
    meet(job, heard=False, answer=answer, times=100)
    status, code, error = told(job.sync())
    assert (status, code) == ("failed", 2)
    assert "does not answer whether the commit" in error and "run again when the catalog is back" in error
    assert job.ids() == before
    job.right(SECOND)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_for_good_is_told_at_once_and_nothing_is_left(job: People, status: int) -> None:
    before, files = job.ids(), len(job.stored_files())
    meet(job, heard=False, answer=status, times=100)
    said, code, error = told(job.sync())
    assert (said, code) == ("failed", 2), error
    assert job.lake is not None
    commits = sum(line.startswith("POST") and line.endswith("/tables/people") for line in job.lake.catalog.log)
    # pyiceberg asks once more after a 401, for the case that its token was too old.
    assert commits == (2 if status == 401 else 1)
    assert job.ids() == before and len(job.stored_files()) == files
    job.right(SECOND)


@pytest.mark.parametrize("times", [1, 3])
def test_real_conflicts_several_times_in_a_row_are_overcome(job: People, times: int) -> None:
    """Another job commits to the table just before each of our first commits."""
    job.job("other", source={"files": [{"path": "data/other.csv"}]}, target=job.target())
    left = iter(range(times))
    assert job.lake is not None
    fates = job.lake.catalog.fates

    def rival() -> None:
        number = next(left, None)
        if number is not None:
            mine, fates[:] = list(fates), []
            job.deliver(range(1_000 + number * 10, 1_010 + number * 10), "other")
            assert told(job.sync("other")) == ("loaded", 0, "")
            fates[:] = mine

    meet(job, before=rival, times=100)
    assert told(job.sync()) == ("loaded", 0, "")
    assert job.ids() == [*SECOND, *range(1_000, 1_000 + 10 * times)]
    commits = [line for line in job.lake.catalog.log if line.startswith("POST") and line.endswith("/tables/people")]
    assert len(commits) >= 2 * times + 1
    job.right([*SECOND, *range(1_000, 1_000 + 10 * times)])


# -- processes at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [0, 60], ids=["meeting at the commit", "meeting at the lock"])
@pytest.mark.parametrize("there", [True, False], ids=["a table", "no table"])
def test_of_three_runs_of_one_job_at_once_no_row_is_doubled(
    nessie_job: People, programs: Pool, lock: int, there: bool
) -> None:
    job = nessie_job
    job.configure(lock=lock)
    if there:
        job.loaded(FIRST)
    job.deliver(SECOND)
    runs = [programs.take() for _ in range(3)]
    for run in runs:
        run.wait_ready()
    for run in runs:
        run.go(job.root, "sync", "jobs/acme/job.yaml", "--json")
    endings = [run.ended() for run in runs]
    assert {e.code for e in endings} <= {0, 2} and any(e.code == 0 for e in endings), endings
    for ended in endings:
        if ended.code == 2:
            said = ended.out + ended.err
            assert "another run of this job committed" in said or "another run of the job 'job' goes on" in said, said
    job.right(SECOND)
    programs.settle()


def test_eight_processes_that_append_to_one_table_all_land_exactly_once(nessie_job: People, programs: Pool) -> None:
    job = nessie_job
    names = [f"job_{n}" for n in range(8)]
    for number, name in enumerate(names):
        job.job(name, source={"files": [{"path": f"data/{name}.csv"}]}, target=job.target())
        job.deliver(range(number * 100, number * 100 + 100), name)
    runs = [programs.take() for _ in names]
    for run in runs:
        run.wait_ready()
    for run, name in zip(runs, names, strict=True):
        run.go(job.root, "sync", f"jobs/acme/{name}.yaml", "--json")
    endings = [run.ended() for run in runs]
    assert [e.code for e in endings] == [0] * 8, endings
    assert job.ids() == list(range(800))
    assert all(job.sync(name).status == "unchanged" for name in names)
    programs.settle()


def test_a_lock_of_a_dead_run_is_taken_over_and_one_of_a_live_run_is_not(nessie_job: People) -> None:
    job = nessie_job
    job.configure(lock=60)
    job.loaded(FIRST)
    job.deliver(SECOND)
    lock = job.root / ".local/state/acme/job.lock"
    assert not lock.exists()
    held(job, lock, os.getpid())
    with pytest.raises(DativoError, match="another run of the job 'job' goes on") as caught:
        job.sync()
    assert caught.value.exit_code == 2 and str(os.getpid()) in caught.value.message and "60" in caught.value.hint
    assert job.ids() == list(FIRST)
    owner = json.loads(lock.read_text())
    lock.write_text(json.dumps({**owner, "pid": 2**22 + 1, "process": "4194305-1"}))
    job.right(SECOND)
    assert not lock.exists()


def test_a_lock_whose_owner_gave_no_sign_for_long_is_taken_over(nessie_job: People) -> None:
    job = nessie_job
    job.configure(lock=60)
    job.deliver(SECOND)
    lock = job.root / ".local/state/acme/job.lock"
    held(job, lock, os.getpid())
    old = lock.stat().st_mtime - 61
    os.utime(lock, (old, old))
    job.right(SECOND)


def held(job: People, lock: Path, pid: int) -> None:
    """A lock as a run of another process would hold it."""
    owner = RunLock(job.load(), "01a2-rival", datetime.now(UTC))
    owner.owner["pid"] = pid
    assert owner.take() == ""
    owner.done.set()
    assert lock.exists()


@pytest.mark.parametrize("there", [True, False], ids=["a table", "no table"])
def test_an_owner_that_sleeps_past_its_lock_and_wakes_up_changes_nothing(
    nessie_job: People, programs: Pool, there: bool
) -> None:
    """Stopped before its commit, a run loses its lock to a rival, which commits; then it wakes up and commits, too."""
    job = nessie_job
    job.configure(lock=1)
    if there:
        job.loaded(FIRST)
    job.deliver(SECOND)
    run = programs.take()
    meet(job, before=lambda: run.signal(signal.SIGSTOP), heard=False, answer=CUT)
    run.go(job.root, "sync", "jobs/acme/job.yaml", "--json")
    assert run.wait_stopped()
    time.sleep(1.2)
    assert told(job.sync()) == ("loaded", 0, "")
    run.signal(signal.SIGCONT)
    ended = run.ended()
    assert ended.code == 2 and "run again" in ended.out, ended
    job.right(SECOND)
    assert not (job.root / ".local/state/acme/job.lock").exists()
    programs.settle()
