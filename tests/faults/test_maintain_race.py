"""Maintenance while runs go on: what a run has written and not committed yet stays, and its commit lands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import BIN, process
from tests.faults.people import ROWS, data_files, ids, people
from tests.faults.worker import Worker
from tests.project import Project

Start = Callable[..., Worker]
ALL = ["maintain", "job", "--yes"]
# Ages that leave nothing to chance: whatever is not needed goes at once.
AT_ONCE = ["--older-than", "0", "--keep-days", "0", "--keep-snapshots", "1", "--allow-recent"]

pytestmark = pytest.mark.slow


@pytest.fixture
def loaded(job: Project) -> Project:
    """A table of six loads of ten rows each; the file for the next one is ready."""
    for number in range(6):
        people(job, range(number * 10, number * 10 + 10))
        assert job.sync().status == "loaded"
    people(job, range(1000, 1000 + ROWS))
    return job


LOADED = list(range(60))
NEXT = list(range(1000, 1000 + ROWS))


def waiting(project: Project, worker: Start, hold: str = "committing") -> Worker:
    """A real run that has written its files and is about to commit them."""
    run = worker()
    run.wait_ready()
    run.go(project.root, hold=hold)
    assert run.wait_phase(hold)
    return run


def made_old(project: Project, days: float) -> None:
    """Every file of the warehouse as if it had been written so many days ago."""
    then = time.time() - days * 86_400
    for path in (project.root / ".local/warehouse").rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def maintained(project: Project, *more: str) -> str:
    done = process(*ALL, *more, cwd=project.root)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [[], AT_ONCE], ids=["defaults", "at once"])
@pytest.mark.parametrize("age", [0, 100])
@pytest.mark.parametrize("paused", [False, True], ids=["waiting", "stopped"])
def test_a_run_between_writing_and_committing_loses_nothing(
    loaded: Project, worker: Start, options: list[str], age: int, paused: bool
) -> None:
    before = set(data_files(loaded))
    run = waiting(loaded, worker)
    mine = set(data_files(loaded)) - before
    assert mine
    made_old(loaded, age)
    if paused:
        os.kill(run.process.pid, signal.SIGSTOP)
    out = maintained(loaded, *options)
    assert "6 → 1" in out
    assert all(path.exists() for path in mine)
    if paused:
        os.kill(run.process.pid, signal.SIGCONT)
    run.release()
    assert run.receipt()["status"] == "loaded"
    assert ids(loaded) == LOADED + NEXT
    assert maintained(loaded, *AT_ONCE)
    assert ids(loaded) == LOADED + NEXT
    assert loaded.sync().status == "unchanged"


def test_what_a_killed_run_left_goes_when_it_is_old_enough(loaded: Project, worker: Start) -> None:
    before = set(data_files(loaded))
    run = waiting(loaded, worker)
    assert run.kill()
    left = set(data_files(loaded)) - before
    made_old(loaded, 2.9)
    assert "too young to go" in maintained(loaded) and all(path.exists() for path in left)
    made_old(loaded, 3.1)
    maintained(loaded)
    assert not any(path.exists() for path in left)
    assert ids(loaded) == LOADED
    assert loaded.sync().status == "loaded" and ids(loaded) == LOADED + NEXT


def test_a_run_of_another_machine_is_safe_for_the_safe_age(loaded: Project, worker: Start) -> None:
    """Its staging folder is not to be seen from here, only its files."""
    run = waiting(loaded, worker)
    staging = loaded.root / ".local/staging"
    aside = loaded.root / ".local/elsewhere"
    staging.rename(aside)
    made_old(loaded, 2.9)
    maintained(loaded)
    assert not staging.exists() or not list(staging.iterdir())
    shutil.rmtree(staging, ignore_errors=True)
    aside.rename(staging)
    run.release()
    assert run.receipt()["status"] == "loaded"
    assert ids(loaded) == LOADED + NEXT


def test_a_long_run_keeps_its_first_files_while_it_still_writes(loaded: Project, worker: Start) -> None:
    """On another machine: the age of its newest file counts for all of them."""
    before = set(data_files(loaded))
    run = waiting(loaded, worker)
    (staging,) = (loaded.root / ".local/staging").iterdir()
    aside = staging.rename(loaded.root / ".local/elsewhere")
    (mine,) = set(data_files(loaded)) - before
    made_old(loaded, 20)
    fresh = Path(str(mine).replace("00000.parquet", "00001.parquet"))
    shutil.copy(mine, fresh)
    assert "2 unreferenced files too young to go" in maintained(loaded) and mine.exists()
    aside.rename(staging)
    run.release()
    assert run.receipt()["status"] == "loaded"
    assert ids(loaded) == LOADED + NEXT


def test_a_compaction_between_a_replacing_run_s_reading_and_committing_changes_nothing(
    loaded: Project, worker: Start
) -> None:
    loaded.job(target={"write_mode": "replace"})
    run = waiting(loaded, worker)
    maintained(loaded, *AT_ONCE)
    assert ids(loaded) == LOADED
    run.release()
    assert run.receipt()["status"] == "loaded"
    assert ids(loaded) == NEXT
    maintained(loaded, *AT_ONCE)
    assert ids(loaded) == NEXT and len(data_files(loaded)) == 1


def test_maintenance_again_and_again_while_a_job_loads_loses_and_doubles_nothing(job: Project, worker: Start) -> None:
    expected: list[int] = []
    for number in range(6):
        fresh = range(number * 100, number * 100 + 100)
        people(job, fresh)
        expected += fresh
        run = worker()
        run.wait_ready()
        run.go(job.root)
        if number:
            done = process(*ALL, *AT_ONCE, cwd=job.root)
            assert done.returncode in (0, 1), done.stderr
            assert "Traceback" not in done.stderr
        assert run.receipt()["status"] == "loaded"
        assert ids(job) == expected
    maintained(job, *AT_ONCE)
    assert ids(job) == expected
    assert len(data_files(job)) == len(list(job.table().scan().plan_files()))


def test_a_run_of_another_machine_that_holds_its_lock_here_is_safe_at_any_age(loaded: Project, worker: Start) -> None:
    """The state folder is shared: its lock says that it goes on, and not on which machine of ours."""
    before = set(data_files(loaded))
    run = waiting(loaded, worker)
    mine = set(data_files(loaded)) - before
    aside = (loaded.root / ".local/staging").rename(loaded.root / ".local/elsewhere")
    lock = loaded.root / ".local/state/acme/job.lock"
    told = json.loads(lock.read_text())
    lock.write_text(json.dumps({**told, "host": "another/0"}))
    made_old(loaded, 100)
    assert "of runs that go on" in maintained(loaded, *AT_ONCE)
    assert all(path.exists() for path in mine)
    shutil.rmtree(loaded.root / ".local/staging", ignore_errors=True)
    aside.rename(loaded.root / ".local/staging")
    run.release()
    assert run.receipt()["status"] == "loaded"
    assert ids(loaded) == LOADED + NEXT


def test_two_maintenances_at_once_do_not_take_each_other_s_files(loaded: Project) -> None:
    """One merges, the other finds files that nothing refers to yet."""
    command = [BIN / "dativo", *ALL, *AT_ONCE]
    for number in range(4):
        for more in range(6):
            people(loaded, range(10_000 + 100 * number + more, 10_000 + 100 * number + more + 1))
            assert loaded.sync().status == "loaded"
        expected = ids(loaded)
        both = [
            subprocess.Popen(command, cwd=loaded.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for done in both:
            _, err = done.communicate(timeout=120)
            assert done.returncode in (0, 1) and "Traceback" not in err, err
        assert ids(loaded) == expected
