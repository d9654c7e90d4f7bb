"""Ctrl-C and SIGTERM: the first one ends a run cleanly, the second one kills; a commit on its way is never undone."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import BIN, environment, people
from tests.cli.conftest import ROWS as TABLE
from tests.project import Project

LONGEST = 60
FILES = 400
ROWS = 40_000


@pytest.fixture
def slow(project: Project) -> Project:
    """A project whose job `slow` reads for many seconds: hundreds of names of one small packed file."""
    project.asset([{"name": "id", "type": "integer"}, {"name": "text", "type": "string"}], "slow")
    text = "id,text\n" + "".join(f"{i},{'x' * 30}\n" for i in range(ROWS))
    first = project.write("data/slow/000.csv.gz", gzip.compress(text.encode(), 1))
    for number in range(1, FILES):
        os.link(first, first.with_name(f"{number:03d}.csv.gz"))
    project.job("slow", asset_path="assets/slow.yaml", source={"files": [{"path": "data/slow/*.csv.gz"}]})
    return project


@contextmanager
def running(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`dativo …` as a process that is certainly gone afterwards."""
    process = subprocess.Popen(
        [str(BIN / "dativo"), *arguments], cwd=project.root, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    watchdog = threading.Timer(LONGEST, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], phase: str) -> None:
    """Reads the progress until a phase begins."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["phase"] == phase:
            return
    raise AssertionError(f"the run ended, or hung for {LONGEST} s, before it was {phase}: {process.wait()}")


def waits_for_its_commit(process: subprocess.Popen[str]) -> None:
    """Waits until a commit has begun, which somebody keeps from landing."""
    wait_for(process, "committing")
    time.sleep(0.5)


def files(project: Project, pattern: str) -> list[Path]:
    return [p for p in (project.root / ".local").rglob(pattern) if p.is_file()]


def staged(project: Project) -> list[Path]:
    return list((project.root / ".local/staging").iterdir())


# -- while rows are loaded ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_a_run_cleanly(slow: Project, number: signal.Signals) -> None:
    with running(slow, "sync", "slow", "--progress", "json") as process:
        wait_for(process, "loading")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "interrupted; nothing of this stream was committed" in err and "Traceback" not in err
    assert staged(slow) == [] and files(slow, "*.parquet") == []
    assert not slow.catalog().table_exists("default.slow")
    assert "slow" in out


def test_jobs_after_an_interrupted_one_do_not_run(slow: Project) -> None:
    people(slow, "people")
    with running(slow, "sync", "slow", "people", "--progress", "json", "--json") as process:
        wait_for(process, "loading")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    found = json.loads(out)
    assert found["exit_code"] == 2 and [(j["job"], j["status"]) for j in found["jobs"]] == [("slow", "interrupted")]


def test_streams_after_an_interrupted_one_are_told_as_not_run(slow: Project) -> None:
    slow.asset([{"name": "id", "type": "integer"}], "first", object="first")
    slow.asset([{"name": "id", "type": "integer"}], "second", object="second")
    slow.write("data/second.csv", "id\n1\n")
    sources = [{"path": "data/slow/*.csv.gz", "object": "first"}, {"path": "data/second.csv", "object": "second"}]
    slow.job("both", asset_path=None, assets=["assets/first.yaml", "assets/second.yaml"], source={"files": sources},
             schema_validation_mode="warn")  # fmt: skip
    with running(slow, "sync", "both", "--progress", "json", "--json") as process:
        wait_for(process, "loading")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    streams = json.loads(out)["jobs"][0]["streams"]
    assert [s["status"] for s in streams] == ["interrupted", "interrupted"]
    assert "not run" in streams[1]["error"]


def test_a_run_after_an_interrupted_one_loads_everything(slow: Project) -> None:
    slow.job("slow", asset_path="assets/slow.yaml", source={"files": [{"path": "data/slow/00*.csv.gz"}]})
    with running(slow, "sync", "slow", "--progress", "json") as process:
        wait_for(process, "loading")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    if process.returncode == 2:  # ten files may have been read before the signal came
        assert slow.sync("slow").loaded == 10 * ROWS
    assert slow.rows("default.slow").height == 10 * ROWS


def test_an_interrupted_export_leaves_no_file(slow: Project) -> None:
    (slow.root / "out").mkdir()
    with running(slow, "export", "slow", "--from", "source", "--out", "out/rows.jsonl") as process:
        while not any(p.stat().st_size for p in (slow.root / "out").iterdir()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.strip() == "interrupted"
    assert list((slow.root / "out").iterdir()) == []


# -- while the commit is on its way ------------------------------------------------------------------------------------


@contextmanager
def held(project: Project) -> Iterator[None]:
    """Nobody can write to the catalog meanwhile, everybody can read it: a commit waits."""
    connection = sqlite3.connect(project.root / ".local/state/acme/catalog.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.fixture
def again(project: Project) -> Project:
    """A project whose job `people` has run once and replaces its rows by as many in its next run."""
    project.write("data/people.csv", "".join(TABLE.splitlines(keepends=True)[:4]))
    people(project)
    project.sync("people")
    return project


def sync(project: Project, *names: str) -> Any:
    return running(project, "sync", *names, "--full-refresh", "--progress", "json", "--json")


def test_a_commit_on_its_way_is_waited_for_and_stands(again: Project) -> None:
    with sync(again, "people") as process:
        with held(again):
            waits_for_its_commit(process)
            process.send_signal(signal.SIGINT)
            wait_for(process, "stopping")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["jobs"][0]["status"] == "loaded"
    assert again.snapshots() > 1 and sorted(again.rows()["id"]) == [1, 2, 3]


def test_jobs_after_a_commit_that_was_waited_for_do_not_run(again: Project) -> None:
    again.job("other", schema_validation_mode="quarantine", target={"write_mode": "append"})
    with sync(again, "people", "other") as process:
        with held(again):
            waits_for_its_commit(process)
            process.send_signal(signal.SIGINT)
            wait_for(process, "stopping")
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert [j["job"] for j in json.loads(out)["jobs"]] == ["people"]
    assert sorted(again.rows()["id"]) == [1, 2, 3]


def test_a_second_signal_kills_and_the_table_stays_whole(again: Project) -> None:
    with sync(again, "people") as process:
        with held(again):
            waits_for_its_commit(process)
            process.send_signal(signal.SIGINT)
            wait_for(process, "stopping")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGINT
    assert sorted(again.rows()["id"]) == [1, 2, 3]
    assert len(staged(again)) == 1
    assert again.sync("people", full_refresh=True).loaded == 3
    assert sorted(again.rows()["id"]) == [1, 2, 3]
    assert staged(again) == []


def test_an_interrupt_in_the_library_during_a_commit_removes_no_file(again: Project) -> None:
    """Without the command line's handlers the second interrupt is raised while the commit is still being tried."""
    program = """
import signal, sys
from dativo import load_job, sync
from dativo.observe.listener import Silence

class Impatient(Silence):
    phase_name = ""
    def phase(self, stream, phase, meter):
        self.phase_name = phase
    def tick(self):
        if self.phase_name == "committing":
            raise KeyboardInterrupt

receipt = sync(load_job("jobs/acme/people.yaml"), full_refresh=True, listener=Impatient())
print(receipt.status, receipt.exit_code, receipt.streams[0].error)
print("ready", flush=True)
sys.stdin.readline()
"""
    before = set(files(again, "*.parquet"))
    process = subprocess.Popen(
        [str(BIN / "python"), "-c", program], cwd=again.root, env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        with held(again):
            assert process.stdout is not None
            told = process.stdout.readline() + process.stdout.readline()
        _, err = process.communicate("\n", timeout=60)
    finally:
        process.kill()
    assert told.startswith("interrupted 2 interrupted during the commit"), told + err
    assert set(files(again, "*.parquet")) - before, "the files of a commit that may still land were removed"
    assert sorted(again.rows()["id"]) == [1, 2, 3]
