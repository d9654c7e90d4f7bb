"""What fails on the machine itself: disks that are full or read-only, fsync, memory, the clock, state files, log readers."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.lakehouse import People, told
from tests.faults.program import Program
from tests.project import Project

pytestmark = pytest.mark.slow

Start = Callable[[], Program]
SYNC = ("sync", "jobs/acme/job.yaml", "--json")
FIRST, SECOND, THIRD = range(100), range(300), range(400)
STATE = "/acme/.job.json."
UNSHARED = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]


def dativo(job: Project, *arguments: str, mounted: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """`dativo …` as a process; with `mounted`, shell commands that mount something that only it sees."""
    command = [sys.executable, "-m", "dativo", *arguments]
    if mounted:
        command = [*UNSHARED, "sh", "-ec", f'{mounted}\nexec "$@"', "sh", *command]
    options = {"capture_output": True, "text": True, **options}
    return subprocess.run(command, cwd=job.root, timeout=120, check=False, **options)


# -- disks ---------------------------------------------------------------------------------------------------------------


def test_a_full_disk_under_the_staging_folder_is_a_clear_error(place: People) -> None:
    """Thousands of bad rows have no room there; the good ones do not come in without them."""
    job = place
    job.asset([{"name": "id", "type": "integer", "required": True, "primary_key": True}, {"name": "name"}])
    job.job(target=job.target(), schema_validation_mode="quarantine")
    job.loaded(FIRST)
    chance = random.Random(1)
    bad = "".join(f"x{n},{chance.randbytes(60).hex()}\n" for n in range(8_000))
    job.write("data/people.csv", "id,name\n" + "".join(f"{n},name {n}\n" for n in SECOND) + bad)
    staging = job.root / ".local/staging"
    staging.mkdir(parents=True, exist_ok=True)
    done = dativo(job, *SYNC, mounted=f"mount -t tmpfs -o size=200k none {staging}")
    assert done.returncode == 2, done
    assert "no space" in done.stdout and "free space" in done.stdout, done
    assert job.ids() == list(FIRST)
    job.deliver(SECOND)
    job.right(SECOND)


@pytest.mark.server
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_state_folder_that_cannot_be_written_is_told_and_no_failure(nessie_job: People, how: str) -> None:
    """The table holds the state; the file is its cache."""
    job = nessie_job
    job.loaded(FIRST)
    job.deliver(SECOND)
    state = job.root / ".local/state"
    before = (state / "acme/job.json").read_bytes()
    mount = {
        "full": f"mount -t tmpfs -o size=4k none {state}; mkdir {state}/acme; cat /dev/zero > {state}/acme/fill || true",
        "read-only": f"mount --bind {state} {state}; mount -o remount,ro,bind {state}",
    }
    done = dativo(job, *SYNC, "--log-format", "json", mounted=mount[how])
    assert done.returncode == 0, done
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    warnings = [e["message"] for e in events if e["event_type"] == "state_warning"]
    assert any("cannot be written" in w for w in warnings), events
    assert job.ids() == list(SECOND)
    assert (state / "acme/job.json").read_bytes() == before
    job.right(SECOND)


@pytest.mark.parametrize("error", [5, 28], ids=["EIO", "ENOSPC"])
def test_an_fsync_of_the_state_file_that_fails_is_told_and_no_failure(
    place: People, program: Start, error: int
) -> None:
    job = place
    job.loaded(FIRST)
    job.deliver(SECOND)
    before = (job.root / ".local/state/acme/job.json").read_bytes()
    run = program()
    run.go(job.root, *SYNC, "--log-format", "json", FAULT=f"sync:{STATE}:1+:{error}")
    ended = run.ended()
    assert ended.code == 0 and '"event_type": "state_warning"' in ended.err and "cannot be written" in ended.err, ended
    assert job.ids() == list(SECOND)
    assert (job.root / ".local/state/acme/job.json").read_bytes() == before
    job.right(SECOND)


@pytest.mark.parametrize("call", ["sync", "write"])
@pytest.mark.parametrize("file", ["catalog.db", "catalog.db-journal"])
def test_a_catalog_whose_disk_fails_at_the_commit_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Start, call: str, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    job = People(tmp_path, None)
    job.loaded(FIRST)
    job.deliver(SECOND)
    run = program()
    run.go(job.root, *SYNC, FAULT=f"{call}:{file}:1+:5")
    ended = run.ended()
    assert ended.code == 2 and "Traceback" not in ended.err, ended
    assert "disk I/O error" in ended.out or "nothing was committed" in ended.out, ended
    assert job.ids() == list(FIRST)
    job.right(SECOND)


# -- memory --------------------------------------------------------------------------------------------------------------


@contextmanager
def watched(folder: Path) -> Iterator[set[str]]:
    """The names of files that are seen below a folder meanwhile."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            seen.update(p.name for p in folder.rglob("*") if p.is_file())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_keys_that_do_not_fit_into_memory_are_spilled_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = People(tmp_path, None)
    # So many that DuckDB keeps dozens of MB on disk for a quarter of a second: it always does, and it is always seen.
    rows = 1_000_000
    job.job(target=job.target(), engine={"memory_limit": "40MB", "threads": 2})
    numbers = list(range(rows))
    random.Random(7).shuffle(numbers)
    lines = [f"{n},name {n}\n" for n in numbers]
    job.write("data/people.csv", "id,name\n" + "".join(lines + lines[: rows // 3]))
    with watched(job.root / ".local/staging") as seen:
        receipt = job.sync()
    assert told(receipt)[:2] == ("loaded", 0), told(receipt)
    assert (receipt.streams[0].loaded, receipt.streams[0].deduplicated) == (rows, rows // 3)
    assert any(name.startswith("duckdb_temp") and "storage" in name for name in seen), seen
    assert job.rows()["id"].n_unique() == rows == job.rows().height


# -- the clock -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-400 * 86_400, -3_600, 400 * 86_400])
def test_a_clock_that_jumps_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Start, seconds: int
) -> None:
    monkeypatch.chdir(tmp_path)
    job = People(tmp_path, None)
    job.loaded(FIRST)
    job.deliver(SECOND)
    run = program()
    run.go(job.root, *SYNC, FAULT_CLOCK=str(seconds))
    ended = run.ended()
    assert ended.code == 0, ended
    assert job.ids() == list(SECOND)
    assert job.sync().status == "unchanged"
    job.deliver(THIRD)
    job.right(THIRD)


@pytest.mark.server
def test_a_clock_that_goes_back_a_little_on_nessie_loses_and_doubles_nothing(
    nessie_job: People, program: Start
) -> None:
    job = nessie_job
    job.loaded(FIRST)
    job.deliver(SECOND)
    run = program()
    run.go(job.root, *SYNC, FAULT_CLOCK="-600")
    ended = run.ended()
    assert ended.code == 0, ended
    assert job.ids() == list(SECOND)
    job.deliver(THIRD)
    job.right(THIRD)


# -- state files ---------------------------------------------------------------------------------------------------------

WRONG: dict[str, Callable[[Path, bytes], object]] = {
    "deleted": lambda path, older: path.unlink(),
    "cut in the middle": lambda path, older: path.write_bytes(path.read_bytes()[:40]),
    "of zeros": lambda path, older: path.write_bytes(bytes(300)),
    "no object": lambda path, older: path.write_text("[1, 2]"),
    "an older one": lambda path, older: path.write_bytes(older),
    "of another job": lambda path, older: path.write_text(
        json.dumps({"file_data/people.csv": {"last_modified": "2999-01-01T00:00:00+00:00"}, "x.y": {"last_value": 9}})
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_state_file_that_is_wrong_changes_nothing_for_the_table_wins(place: People, what: str) -> None:
    job = place
    path = job.root / ".local/state/acme/job.json"
    job.loaded(FIRST)
    older = path.read_bytes()
    job.loaded(SECOND)
    WRONG[what](path, older)
    assert job.sync().status == "unchanged"
    job.deliver(THIRD)
    job.right(THIRD)


def test_a_source_that_begins_anew_is_read_as_what_it_is(place: People) -> None:
    """Files come back from a backup, older than what was read last: rows that are not there yet are loaded all the same."""
    job = place
    source = {"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}}
    job.job(source=source, target=job.target(), engine={"lock": 0})
    job.loaded(SECOND)
    job.deliver(range(350, 380))
    os.utime(job.root / "data/people.csv", (1_000_000_000, 1_000_000_000))
    job.right([*SECOND, *range(350, 380)])


# -- readers of the log --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("--log-format", "json"), ("--progress", "json"), ()], ids=str)
def test_messages_that_nobody_reads_do_not_hold_up_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """The pipe of stderr is full and stays full."""
    monkeypatch.chdir(tmp_path)
    job = People(tmp_path, None)
    job.deliver(FIRST)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    begun = time.monotonic()
    done = dativo(job, *SYNC, *arguments, capture_output=False, stdout=subprocess.PIPE, stderr=writer)
    assert done.returncode == 0 and time.monotonic() - begun < 60
    os.close(reader)
    os.close(writer)
    job.right(FIRST)


def test_messages_are_dropped_with_a_warning_and_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dativo.cli import streams

    monkeypatch.setattr(streams, "PATIENCE", 0.05)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    raw = streams._Unhurried(writer)
    assert raw.write(b"lost, too\n") == 10
    assert len(os.read(reader, 4096)) == 4096
    assert raw.write(b"taken\n") == 6
    assert os.read(reader, 4096) == b"warning: 10 bytes of messages were dropped: nobody took them\ntaken\n"
    os.close(reader)
    assert raw.write(b"nobody\n") == 7
    os.close(writer)


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- 2>&-", "2>/dev/full"])
def test_a_run_whose_streams_are_closed_or_broken_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    job = People(tmp_path, None)
    job.deliver(FIRST)
    command = [sys.executable, "-m", "dativo", "sync", "jobs/acme/job.yaml", "--log-format", "json"]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
    done = subprocess.run(shell, cwd=job.root, timeout=120, check=False, stdout=subprocess.DEVNULL)
    assert done.returncode == 0
    job.right(FIRST)
