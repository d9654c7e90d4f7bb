"""`dativo maintain`: one table of what would be or was done, and what was not and why."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import ROWS, Dativo, process
from tests.project import Project

AT_ONCE = ("--keep-days", "0", "--keep-snapshots", "1", "--older-than", "0", "--allow-recent")


@pytest.fixture
def often(loaded: Project, dativo: Dativo) -> Project:
    """The table `default.people` loaded six times over, and its rejects with it."""
    for number in range(1, 6):
        head, *lines = ROWS.splitlines()
        more = [f"{int(line.split(',')[0]) + 10 * number},{line.split(',', 1)[1]}" for line in lines]
        loaded.write("data/people.csv", "\n".join([head, *more]) + "\n")
        loaded.job("people", schema_validation_mode="quarantine", target={"write_mode": "append"})
        dativo("sync", "people", code=1)
    return loaded


def test_without_yes_it_tells_what_would_be_done_and_does_nothing(often: Project, dativo: Dativo) -> None:
    answer = dativo("maintain", "default.people", *AT_ONCE)
    people, *_ = [" ".join(line.split()) for line in answer.lines if "default.people" in line]
    assert people.startswith("default.people 6 → 1 ")
    assert "default.people__rejects" in answer.out and "6 → 1" in answer.out
    assert answer.lines[-1] == "nothing was changed: do it with --yes"
    assert often.snapshots() == 6


def test_with_yes_it_is_done(often: Project, dativo: Dativo) -> None:
    rows = often.rows().sort("id")
    answer = dativo("maintain", "people", "--yes", *AT_ONCE)
    assert "--yes" not in answer.out and "7 → 1" in answer.out and "only for the expired snapshots" in answer.out
    assert often.rows().sort("id").equals(rows) and often.snapshots() == 1
    again = dativo("maintain", "people", "--yes", *AT_ONCE)
    assert "→" not in again.out and again.err == ""


def test_json_has_every_count(often: Project, dativo: Dativo) -> None:
    folder = Path(often.table().location().removeprefix("file://"))
    (folder / "data/lost.parquet").write_bytes(b"123")
    os.utime(folder / "data/lost.parquet", (0, 0))
    found = dativo("maintain", "default.people", "--json").json()
    assert (found["version"], found["done"], found["exit_code"], found["left"], found["catalogs"]) == (
        1,
        False,
        0,
        [],
        [],
    )
    people, rejects = found["tables"]
    assert people["table"] == "default.people" and rejects["table"] == "default.people__rejects"
    assert people["compaction"]["files_before"] == 6 and people["compaction"]["files_after"] == 1
    assert people["compaction"]["bytes_after"] is None and people["compaction"]["bytes_before"] > 0
    assert people["snapshots"]["snapshots_before"] == people["snapshots"]["snapshots_after"] == 6
    assert people["orphans"]["files"] == 1 and people["orphans"]["bytes"] == 3
    assert people["orphans"]["paths"] == [str(folder / "data/lost.parquet")]
    done = dativo("maintain", "default.people", "--json", "--yes").json()
    assert done["done"] and done["tables"][0]["compaction"]["bytes_after"] > 0
    assert not (folder / "data/lost.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nobody",), "no job or table is called 'nobody'"),
        ((), "Missing argument"),
        (("people", "--older-than", "1"), "less than the safe age"),
        (("people", "--keep-days", "0.5", "--yes"), "less than the safe age"),
        (("people", "--older-than", "soon"), "valid number"),
        (("people", "--older-than", "-1", "--allow-recent"), "are no age"),
        (("people", "--keep-snapshots", "0"), "always stays"),
        (("people", "--only", "everything"), "there is no step 'everything'"),
    ],
)
def test_bad_input_is_told_with_its_remedy(
    loaded: Project, dativo: Dativo, arguments: tuple[str, ...], text: str
) -> None:
    before = sorted((loaded.root / ".local").rglob("*"))
    answer = dativo("maintain", *arguments, code=2)
    assert text in answer.err and answer.out == ""
    assert sorted((loaded.root / ".local").rglob("*")) == before


def test_what_is_left_undone_is_told_on_standard_error(often: Project, dativo: Dativo) -> None:
    often.table().transaction().set_properties({"gc.enabled": "false"}).commit_transaction()
    answer = dativo("maintain", "default.people", "--yes", *AT_ONCE)
    assert "note: snapshots of default.people" in answer.err and "gc.enabled=false" in answer.err
    # Asked for by name it is a failure.
    asked = dativo("maintain", "default.people", "--yes", "--only", "snapshots", *AT_ONCE, code=1)
    assert "error: snapshots of default.people" in asked.err


def test_a_catalog_that_is_down_or_damaged_is_told(loaded: Project, dativo: Dativo) -> None:
    loaded.job("down", target={"catalog": {"type": "rest", "uri": "http://127.0.0.1:9"}})
    answer = dativo("maintain", "down", "--yes", code=2)
    assert answer.err.startswith("error: opening") and answer.out == ""
    (loaded.root / "jobs/acme/down.yaml").unlink()
    (loaded.root / ".local/state/acme/catalog.db").write_bytes(b"junk" * 1000)
    answer = dativo("maintain", "people", "--yes", code=2)
    assert "catalog's database is damaged" in answer.err


def test_folders_that_may_not_be_written_are_told(often: Project) -> None:
    folder = Path(often.table().location().removeprefix("file://"))
    rows = often.rows().sort("id")
    for path in (folder / "data", folder / "metadata"):
        path.chmod(0o555)
    try:
        from tests.cli.test_help import _obeys_permissions

        done = process("maintain", "default.people", "--yes", *AT_ONCE, cwd=often.root, preexec_fn=_obeys_permissions)
    finally:
        for path in (folder / "data", folder / "metadata"):
            path.chmod(0o755)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    assert "error: compact of default.people: a file may not be written" in done.stderr
    assert often.rows().sort("id").equals(rows)


def test_output_that_nobody_reads_is_no_failure(often: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = process(
        "maintain", "people", "--yes", cwd=often.root, stdout=writing, stderr=subprocess.PIPE, capture_output=False
    )
    os.close(writing)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len(list(often.table().scan().plan_files())) == 1
