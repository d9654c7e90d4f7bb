"""Catalogs and disks that fail under a run: exit code 2 and a clear error, nothing visible, nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dativo.errors import TargetError
from tests.faults.people import ROWS, data_files, ids, people
from tests.faults.worker import Worker
from tests.lake import Lake, commit, write
from tests.project import Project

Start = Callable[..., Worker]


def database(project: Project) -> Path:
    return project.root / ".local/state/acme/catalog.db"


def failed(receipt: Any, *texts: str) -> None:
    """The run ended with exit code 2 and a clear error."""
    assert (receipt.status, receipt.exit_code) == ("failed", 2)
    for text in texts:
        assert text in receipt.streams[0].error, receipt.streams[0].error


def test_a_locked_catalog_is_waited_for(job: Project, worker: Start) -> None:
    assert job.sync().status == "loaded"
    people(job, range(ROWS, ROWS + 5))
    run = worker()
    run.wait_ready()
    with locked(database(job), "IMMEDIATE"):
        run.go(job.root)
        assert run.wait_phase("committing")
    assert run.receipt()["status"] == "loaded"
    assert len(ids(job)) == ROWS + 5


def test_a_catalog_that_is_locked_from_the_start_is_a_clear_error(job: Project) -> None:
    job.job(target={"write_mode": "append", "catalog": {"type": "sql", "uri": "sqlite:///catalog.db?timeout=0.05"}})
    assert job.sync().status == "loaded"
    people(job, range(ROWS, ROWS + 5))
    with locked(job.root / "catalog.db"):
        failed(job.sync(), "database is locked", "another program holds the catalog; run again")
    assert job.sync().status == "loaded"


def test_a_catalog_that_stays_locked_at_the_commit_is_a_clear_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dativo.targets.iceberg.commit.LONGEST_WAIT", 0.01)
    lake = Lake(project, {"catalog": {"type": "sql", "uri": "sqlite:///catalog.db?timeout=0.05"}})
    lake.load(lake.columns, lake.frame([1]))
    target, _ = lake.opened()
    written = write(target, lake.frame([2]))
    with locked(project.root / "catalog.db", "IMMEDIATE"), pytest.raises(TargetError) as caught:
        commit(target, written)
    assert "was refused 8 times; nothing was committed: database is locked" in caught.value.render()
    assert "run again" in caught.value.hint
    target.abort()
    assert lake.ids == [1] and len(lake.files_on_disk()) == 1
    manifests = [p for p in (project.root / ".local/warehouse").rglob("*.avro") if p.stat().st_size]
    assert len(manifests) == 2


@contextmanager
def locked(database: Path, how: str = "EXCLUSIVE") -> Iterator[None]:
    """The database, held by another program: EXCLUSIVE keeps readers out too."""
    with closing(sqlite3.connect(database, isolation_level=None)) as lock:
        lock.execute(f"BEGIN {how}")
        yield
        lock.execute("ROLLBACK")


def test_a_read_only_catalog_is_told_at_once_and_nothing_is_left(job: Project) -> None:
    job.job(target={"write_mode": "append", "catalog": {"type": "sql", "uri": "sqlite:///catalog.db"}})
    assert job.sync().status == "loaded"
    people(job, range(ROWS, ROWS + 5))
    before = len(data_files(job))
    uri = f"sqlite:///file:{job.root}/catalog.db?mode=ro&uri=true"
    job.job(target={"write_mode": "append", "catalog": {"type": "sql", "uri": uri}})
    failed(job.sync(), "the catalog's database is read-only; nothing was committed", "check its permissions")
    assert len(data_files(job)) == before
    job.job(target={"write_mode": "append", "catalog": {"type": "sql", "uri": "sqlite:///catalog.db"}})
    assert job.sync().loaded == 5


def test_a_catalog_that_is_deleted_while_a_run_reads_is_a_clear_error(job: Project, worker: Start) -> None:
    people(job, range(200_000))
    run = worker()
    run.wait_ready()
    run.go(job.root)
    assert run.wait_phase("loading")
    database(job).unlink()
    receipt = run.receipt()
    assert (receipt["status"], receipt["exit_code"]) == ("failed", 2)
    assert "was removed while this run was reading; nothing was committed" in receipt["streams"][0]["error"]
    assert not database(job).exists() and data_files(job) == []
    assert job.sync().status == "loaded"
    assert job.rows().height == 200_000


def test_a_catalog_deleted_between_runs_is_made_anew_and_loaded_in_full(job: Project) -> None:
    assert job.sync().status == "loaded"
    database(job).unlink()
    people(job, range(10))
    assert job.sync().loaded == 10
    assert ids(job) == list(range(10))


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 20, b""])
def test_a_damaged_or_empty_catalog(job: Project, content: bytes) -> None:
    assert job.sync().status == "loaded"
    database(job).write_bytes(content)
    if content:
        failed(job.sync(), "the catalog's database is damaged", "restore it from a backup")
        assert database(job).read_bytes() == content
    else:
        assert job.sync().status == "loaded"
        assert len(ids(job)) == ROWS


def test_a_table_whose_metadata_is_gone_is_a_clear_error(job: Project) -> None:
    assert job.sync().status == "loaded"
    people(job, range(3))
    shutil.rmtree(job.root / ".local/warehouse")
    failed(job.sync(), "opening the table default.people failed", "metadata.json")


# -- disks that fail ------------------------------------------------------------------------------------------------

# Root may write everywhere; without these two capabilities it is bound by permissions as anyone else is.
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []


@pytest.mark.parametrize("place", ["warehouse", "data", "metadata"])
def test_a_folder_that_may_not_be_written_is_a_clear_error(job: Project, worker: Start, place: str) -> None:
    assert job.sync().status == "loaded"
    people(job, range(ROWS, ROWS + 5))
    folder = {
        "warehouse": job.root / ".local/warehouse/acme",
        "data": job.root / ".local/warehouse/acme/default/people/data",
        "metadata": job.root / ".local/warehouse/acme/default/people/metadata",
    }[place]
    if place == "warehouse":
        shutil.rmtree(folder / "default")
        database(job).unlink()
    location = None if place == "warehouse" else job.table().metadata_location
    folder.chmod(0o555)
    try:
        run = worker(BOUND)
        run.wait_ready()
        run.go(job.root)
        receipt = run.receipt()
    finally:
        folder.chmod(0o755)
    assert (receipt["status"], receipt["exit_code"]) == ("failed", 2), receipt
    error = receipt["streams"][0]["error"]
    assert "Permission denied" in error and "check" in error, error
    if location is not None:
        assert job.table().metadata_location == location
        assert len(data_files(job)) == 1
    assert job.sync().status == "loaded"


# A small file system of its own, seen by the process that is started in it only.
MOUNTED = """
mount -t tmpfs -o size={size} none "$1" && cd "$1" && shift && exec "$@"
"""


@pytest.mark.parametrize("size", ["200k", "400k", "900k"])
def test_a_full_disk_is_a_clear_error_and_nothing_is_visible(job: Project, tmp_path: Path, size: str) -> None:
    """The warehouse is on a disk that is too small: for the data, for the manifests, or only for the second run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    job.job(
        target={
            "write_mode": "append",
            "warehouse": f"file://{disk}/w",
            "catalog": {"type": "sql", "uri": "sqlite:///c.db"},
        }
    )
    code = FULL.format(
        repository=str(Path(__file__).resolve().parent.parent.parent), root=str(job.root), disk=str(disk)
    )
    command = [
        *UNSHARED,
        "sh",
        "-c",
        MOUNTED.format(size=size),
        "sh",
        str(disk),
        sys.executable,
        "-W",
        "error",
        "-c",
        code,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FULL" in done.stdout, done.stdout


UNSHARED = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]

# Loads ever more random rows until the disk is full, then looks at what is there.
FULL = """
import os, random, sys
sys.path.insert(0, {repository!r})
os.chdir({root!r})
from pathlib import Path
from dativo import load_job, sync
from tests.lake import Lake
from tests.project import Project

project, done = Project(Path({root!r})), 0
from dativo.targets.iceberg.catalog import open_catalog, settings
job = load_job(project.root / "jobs/acme/job.yaml")
for turn in range(60):
    rows = "".join(f"{{done + n}},{{random.randbytes(40).hex()}}\\n" for n in range(1500))
    project.write("data/people.csv", "id,name\\n" + rows)
    receipt = sync(job)
    found = 0
    catalog = open_catalog(settings(job))
    if catalog.table_exists("default.people"):
        found = catalog.load_table("default.people").scan().to_arrow().num_rows
    if receipt.status == "loaded":
        done += 1500
    assert found == done, (found, done, receipt)
    if receipt.status != "loaded":
        error = receipt.streams[0].error
        assert receipt.exit_code == 2 and "no space" in error and "free space" in error, error
        tokens = [p for p in Path({disk!r}).rglob("*.parquet") if receipt.run_id in p.name]
        assert tokens == [], tokens
        print("FULL", turn, error)
        break
"""


def test_a_file_size_limit_is_a_clear_error(job: Project) -> None:
    job.write("data/people.csv", "id,name\n" + "".join(f"{n},{os.urandom(40).hex()}\n" for n in range(20_000)))
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from dativo import load_job, sync; import dativo.pipeline.passes, dativo.targets.iceberg.target;"
        f"job = load_job({str(job.root / 'jobs/acme/job.yaml')!r});"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "receipt = sync(job); print(receipt.status, receipt.exit_code, receipt.streams[0].error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=job.root, timeout=120)
    assert done.stdout.startswith("failed 2 "), done.stdout + done.stderr
    assert "a file is larger than the system allows" in done.stdout
    assert data_files(job) == []
