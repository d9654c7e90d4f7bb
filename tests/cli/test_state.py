"""`dativo state`: what the tables remember of a job, whatever has become of the state file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROWS, Dativo, people
from tests.project import Project


@pytest.fixture
def incremental(project: Project, dativo: Dativo) -> Project:
    """A job that has loaded one file by its time."""
    project.write("data/people.csv", "".join(ROWS.splitlines(keepends=True)[:4]))
    people(project, source={"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}})
    dativo("sync", "people")
    return project


def path(project: Project) -> Path:
    return project.root / ".local/state/acme/people.json"


def shown(dativo: Dativo) -> dict[str, Any]:
    found = dativo("state", "show", "people", "--json").json()
    assert found["version"] == 1
    return found  # type: ignore[no-any-return]


def test_a_loaded_job_shows_its_cursor_and_last_run(incremental: Project, dativo: Dativo) -> None:
    found = shown(dativo)
    assert found["file"] == "current" and found["tenant_id"] == "acme"
    stream = found["streams"][0]
    assert stream["table"] == "default.people" and stream["loaded"] == 3 and len(stream["run"]) == 36
    assert stream["cursor"]["file_data/people.csv"]["size"] == (incremental.root / "data/people.csv").stat().st_size
    text = dativo("state", "show", "people").out
    assert stream["run"] in text and "current" in text and "file_data/people.csv" in text


def test_a_job_that_never_ran_says_so(project: Project, dativo: Dativo) -> None:
    people(project)
    assert shown(dativo)["streams"][0]["run"] is None and shown(dativo)["file"] == "missing"
    assert "never" in dativo("state", "show", "people").out
    err = dativo("state", "rebuild", "people", code=2).err
    assert "no table remembers the job 'people'" in err and "dativo sync people" in err
    assert not (project.root / ".local").exists()


DAMAGES = {
    "missing": None,
    "stale": b'{"file_data/people.csv": {"last_modified": "2001-01-01T00:00:00+00:00"}, "_dativo": {"version": 1}}',
    "damaged": b"{not json",
}


@pytest.mark.parametrize(
    ("status", "content"),
    [
        *DAMAGES.items(),
        ("damaged", b""),
        ("damaged", b"[1, 2]"),
        ("damaged", b"\xff\xfe\x00"),
        ("damaged", b"[" * 100_000),
        ("stale", b"{}"),
        ("stale", b'{"_dativo": 5}'),
        ("stale", b'{"_dativo": {"version": "x", "run_id": ["y"]}}'),
    ],
)
def test_a_file_that_disagrees_is_told_left_alone_and_rebuilt(
    incremental: Project, dativo: Dativo, status: str, content: bytes | None
) -> None:
    good = json.loads(path(incremental).read_bytes())
    if content is None:
        path(incremental).unlink()
    else:
        path(incremental).write_bytes(content)
    assert shown(dativo)["file"] == status
    assert "dativo state rebuild people" in dativo("state", "show", "people").out
    dativo("plan", "people")
    assert (path(incremental).read_bytes() if path(incremental).exists() else None) == content
    assert dativo("state", "rebuild", "people", "--json").json()["file"] == "current"
    assert json.loads(path(incremental).read_bytes()) == good


@pytest.mark.parametrize("content", [*DAMAGES.values()])
def test_a_run_goes_by_the_table_and_mends_nothing_it_need_not(
    incremental: Project, dativo: Dativo, content: bytes | None
) -> None:
    path(incremental).unlink() if content is None else path(incremental).write_bytes(content)
    assert dativo("sync", "people", "--json").json()["jobs"][0]["status"] == "unchanged"
    assert incremental.rows().height == 3


def test_a_damaged_file_is_kept_by_the_next_run_that_writes_one(incremental: Project, dativo: Dativo) -> None:
    path(incremental).write_bytes(b"{not json")
    answer = dativo("sync", "people", "--full-refresh", "--json")
    assert any("damaged" in w for w in answer.json()["jobs"][0]["streams"][0]["warnings"])
    assert path(incremental).with_name("people.json.corrupt").read_bytes() == b"{not json"
    assert shown(dativo)["file"] == "current"


@pytest.mark.parametrize("command", [("state", "show"), ("state", "rebuild"), ("sync",), ("plan",)])
def test_a_file_of_a_newer_version_is_refused_and_left_alone(
    incremental: Project, dativo: Dativo, command: tuple[str, ...]
) -> None:
    content = b'{"_dativo": {"version": 99}}'
    path(incremental).write_bytes(content)
    answer = dativo(*command, "people", code=2)
    assert "has version 99" in answer.err and "use a newer dativo" in answer.err
    assert path(incremental).read_bytes() == content


def test_entries_that_are_not_ours_survive_a_rebuild(incremental: Project, dativo: Dativo) -> None:
    state = json.loads(path(incremental).read_bytes())
    path(incremental).write_text(json.dumps({**state, "engine": {"cursor": 7}}))
    dativo("state", "rebuild", "people")
    assert json.loads(path(incremental).read_bytes())["engine"] == {"cursor": 7}


def test_a_state_folder_in_the_way_is_told(incremental: Project, dativo: Dativo) -> None:
    path(incremental).unlink()
    path(incremental).mkdir()
    assert "cannot be read" in dativo("state", "show", "people", code=2).err


def test_state_dir_is_honoured(project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", "elsewhere")
    project.write("data/people.csv", "".join(ROWS.splitlines(keepends=True)[:4]))
    people(project)
    dativo("sync", "people")
    assert shown(dativo)["file"] == "current"
    assert (project.root / "elsewhere/acme/people.json").exists() and not (project.root / ".local/state").exists()


@pytest.mark.parametrize("width", [80, 160])
def test_tokens_and_paths_are_never_broken(incremental: Project, dativo: Dativo, width: int) -> None:
    dativo.width = width
    out = dativo("state", "show", "people").out
    assert shown(dativo)["streams"][0]["run"] in out and str(path(incremental)) in out


@pytest.mark.parametrize("arguments", [(), ("reset",), ("show",), ("rebuild", "nobody"), ("show", "people", "--x")])
def test_wrong_arguments_are_refused(project: Project, dativo: Dativo, arguments: tuple[str, ...]) -> None:
    people(project)
    answer = dativo("state", *arguments, code=2)
    assert answer.err or "Usage" in answer.out


def test_a_reset_is_told_before_and_not_done_unasked(incremental: Project, dativo: Dativo) -> None:
    before = path(incremental).read_bytes()
    answer = dativo("state", "reset", "people", code=2)
    assert (
        "default.people: what run" in answer.err and "(1 entry)" in answer.err and str(path(incremental)) in answer.err
    )
    assert "recognised and not loaded again" in answer.err and "--yes does it" in answer.err
    assert path(incremental).read_bytes() == before and shown(dativo)["streams"][0]["cursor"]
    assert "unchanged" in dativo("sync", "people", "--json").out


def test_after_a_reset_everything_is_read_again_and_nothing_doubled(incremental: Project, dativo: Dativo) -> None:
    found = dativo("state", "reset", "people", "--yes", "--json").json()
    assert found["streams"][0]["cursor"] == {} and found["streams"][0]["reset"] and found["file"] == "current"
    assert "nothing is remembered" in dativo("state", "show", "people").out
    stream = dativo("sync", "people", "--json").json()["jobs"][0]["streams"][0]
    assert (stream["extracted"], stream["loaded"], stream["deduplicated"]) == (3, 0, 3)


def test_there_is_nothing_to_reset_of_a_job_that_never_ran(project: Project, dativo: Dativo) -> None:
    people(project)
    assert "nothing is remembered of people" in dativo("state", "reset", "people").err
    assert "no stream 'x'" in dativo("state", "reset", "people", "--stream", "x", code=2).err
    assert not (project.root / ".local").exists()


def test_variables_that_are_not_set_are_told_before_a_table_is_looked_at(project: Project, dativo: Dativo) -> None:
    people(project, target={"catalog": {"type": "rest", "uri": "${NO_SUCH_CATALOG}"}})
    for command in (("state", "show"), ("state", "reset"), ("show",), ("runs", "list")):
        err = dativo(*command, "people", code=2).err
        assert "Missing required environment variable: NO_SUCH_CATALOG" in err and "people.yaml" in err
