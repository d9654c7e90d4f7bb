"""The run lock: one run of a job at a time, taken over from the dead and the silent, and never a reason to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dativo.pipeline.run import run_token
from dativo.state.lock import JobIsRunning, RunLock, lock_path
from dativo.state.process import identity
from tests.project import Project

STARTED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def job(project: Project) -> Project:
    project.asset([{"name": "id", "type": "integer"}])
    project.job()
    project.write("data/people.csv", "id\n1\n")
    return project


def lock(job: Project, token: str = "t-1") -> RunLock:
    return RunLock(job.load(), token, STARTED)


def patient(job: Project, seconds: float) -> None:
    job.job(engine={"lock": seconds})


def owner(job: Project, **changes: Any) -> None:
    """Changes what the lock file says."""
    path = lock_path(job.load())
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def dead_process() -> dict[str, Any]:
    done = subprocess.Popen([sys.executable, "-c", "pass"])
    told = {"pid": done.pid, "process": identity(done.pid)}
    done.wait()
    return told


def test_a_second_run_is_told_who_holds_the_lock(job: Project) -> None:
    first = lock(job)
    assert first.take() == ""
    with pytest.raises(JobIsRunning) as caught:
        lock(job, "t-2").take()
    text = caught.value.render()
    assert f"run t-1, process {os.getpid()} on " in text and "since 2026-03-01T12:30:00+00:00" in text
    assert "engine.lock" in text and str(lock_path(job.load())) in text and caught.value.exit_code == 2
    first.release()
    assert not lock_path(job.load()).exists()
    second = lock(job, "t-2")
    assert second.take() == ""
    second.release()


def test_a_run_refuses_while_another_goes_on_and_runs_after_it(job: Project) -> None:
    held = lock(job)
    held.take()
    with pytest.raises(JobIsRunning):
        job.sync()
    held.release()
    assert job.sync().status == "loaded"
    assert not lock_path(job.load()).exists()
    assert list(lock_path(job.load()).parent.glob(".*lock*")) == []


def test_the_lock_is_given_back_after_a_run_that_failed(job: Project) -> None:
    job.write("data/people.csv", "other\n1\n")
    assert job.sync().exit_code == 2
    assert not lock_path(job.load()).exists()


def test_the_lock_of_a_dead_process_is_taken_over_at_once(job: Project) -> None:
    lock(job).take()
    owner(job, **dead_process())
    assert lock(job, "t-2").take() == ""
    assert json.loads(lock_path(job.load()).read_text())["run"] == "t-2"


def test_a_process_with_the_number_of_a_dead_one_does_not_hold_its_lock(job: Project) -> None:
    lock(job).take()
    owner(job, process=f"{os.getpid()}-1")
    assert lock(job, "t-2").take() == ""


def test_the_lock_of_another_machine_counts_until_it_is_silent(job: Project) -> None:
    first = lock(job)
    first.take()
    first.done.set()
    owner(job, host="elsewhere/1", **dead_process())
    with pytest.raises(JobIsRunning, match="on elsewhere"):
        lock(job, "t-2").take()
    old = time.time() - 61
    os.utime(lock_path(job.load()), (old, old))
    assert lock(job, "t-2").take() == ""


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_lock_from_a_clock_that_was_set_is_stale(job: Project, seconds: float) -> None:
    first = lock(job)
    first.take()
    first.done.set()
    moved = time.time() + seconds
    os.utime(lock_path(job.load()), (moved, moved))
    assert lock(job, "t-2").take() == ""


def test_a_heartbeat_keeps_the_lock(job: Project) -> None:
    patient(job, 1.5)
    first = lock(job)
    first.take()
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        with pytest.raises(JobIsRunning):
            lock(job, "t-2").take()
        time.sleep(0.1)
    first.release()


def test_a_stale_owner_that_wakes_up_leaves_the_new_owners_lock_alone(job: Project) -> None:
    patient(job, 0.2)
    first = lock(job)
    first.take()
    first.done.set()  # it stops giving signs of life
    time.sleep(0.4)
    second = lock(job, "t-2")
    assert second.take() == ""
    first.release()
    assert json.loads(lock_path(job.load()).read_text())["run"] == "t-2"
    with pytest.raises(JobIsRunning, match="t-2"):
        lock(job, "t-3").take()
    second.release()


def test_with_a_time_out_of_no_seconds_any_lock_is_stale(job: Project) -> None:
    patient(job, 0)
    first, second = lock(job), lock(job, "t-2")
    assert (first.take(), second.take()) == ("", "")
    first.release()
    second.release()
    assert not lock_path(job.load()).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "{}"])
def test_a_damaged_lock_counts_until_it_is_silent(job: Project, content: str) -> None:
    path = lock_path(job.load())
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(JobIsRunning, match="run \\?"):
        lock(job).take()
    os.utime(path, (1, 1))
    assert lock(job).take() == ""


def test_of_many_at_once_one_gets_the_stale_lock(job: Project) -> None:
    lock(job).take()
    owner(job, **dead_process())
    got: list[str] = []

    def take(number: int) -> None:
        try:
            lock(job, f"n-{number}").take()
        except JobIsRunning:
            return
        got.append(f"n-{number}")

    threads = [threading.Thread(target=take, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and json.loads(lock_path(job.load()).read_text())["run"] == got[0]


def test_a_lock_that_cannot_be_written_is_told_and_the_run_goes_on(job: Project) -> None:
    path = lock_path(job.load())
    path.mkdir(parents=True)
    os.utime(path, (1, 1))
    told = RunLock(job.load(), run_token(STARTED), STARTED).take()
    assert str(path) in told and "cannot be written" in told
    assert job.sync().status == "loaded"


def test_locks_are_private(job: Project) -> None:
    held = lock(job)
    held.take()
    assert Path(lock_path(job.load())).stat().st_mode & 0o077 == 0
    held.release()
