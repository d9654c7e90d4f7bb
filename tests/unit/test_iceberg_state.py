"""What a table remembers of the jobs that load it, and that it wins over every file beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dativo import Receipt
from dativo.errors import CommitConflict, ContractError, StateError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.saved import LARGEST
from tests.lake import Lake, commit, write
from tests.project import Project

RUN = "dativo.run.acme.job.people"
STATE = "dativo.state.acme.job.people"


@pytest.fixture
def people(project: Project) -> Project:
    """A job that appends the people of a file, in quarantine."""
    project.asset([{"name": "id", "type": "integer", "required": True, "primary_key": True}, {"name": "name"}])
    project.job(schema_validation_mode="quarantine", target={"write_mode": "append"})
    project.write("data/people.csv", "id,name\n1,a\n2,b\nx,c\n")
    return project


def state_of(project: Project) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(project.table().properties[STATE])
    return state


def ok(receipt: Receipt, status: str = "loaded") -> Receipt:
    assert receipt.status == status, receipt.streams[0].error
    return receipt


def set_properties(project: Project, **properties: str) -> None:
    with project.table().transaction() as transaction:
        transaction.set_properties(properties)


def test_token_cursor_contract_and_receipt_are_in_the_commit(people: Project) -> None:
    receipt = ok(people.sync())
    table = people.table()
    assert table.properties[RUN] == receipt.run_id
    snapshot = table.current_snapshot()
    assert snapshot.summary["dativo.run"] == receipt.run_id and snapshot.summary["dativo.job"] == "acme.job"
    state = state_of(people)
    assert (state["version"], state["token"]) == (1, receipt.run_id)
    assert state["contract"]["name"] == "people 1.0"
    kept = state["receipt"]
    assert kept["extracted"] == kept["loaded"] + kept["rejected"] + kept.get("deduplicated", 0) == 3
    assert (kept["loaded"], kept["rejected"]) == (2, 1)
    assert state["cursor"]["fingerprint"]
    assert int(snapshot.summary["added-records"]) == kept["loaded"]


def test_the_last_eight_tokens_are_kept_the_newest_first(people: Project) -> None:
    runs = []
    for number in range(10):
        people.write("data/people.csv", f"id,name\n{number},x\n")
        runs.append(ok(people.sync()).run_id)
    assert people.table().properties[RUN].split(",") == runs[::-1][:8]
    assert people.rows().height == 10


def test_a_second_run_without_new_input_changes_nothing(people: Project) -> None:
    ok(people.sync())
    before = people.table()
    receipt = ok(people.sync(), "unchanged")
    assert (receipt.exit_code, receipt.extracted) == (0, 0)
    assert people.table().metadata_location == before.metadata_location
    assert people.snapshots() == 1


def test_a_run_whose_rows_are_all_there_commits_its_state_without_a_snapshot(people: Project) -> None:
    ok(people.sync())
    people.write("data/people.csv", "id,name\n2,b\n1,a\n")
    receipt = ok(people.sync())
    assert (receipt.loaded, receipt.streams[0].deduplicated, receipt.streams[0].snapshot_id) == (0, 2, None)
    assert people.snapshots() == 1
    assert people.table().properties[RUN].startswith(receipt.run_id)
    ok(people.sync(), "unchanged")


def test_a_long_state_is_a_file_named_and_hashed_in_the_property(project: Project) -> None:
    lake = Lake(project)
    entries = {f"file_{n}": {"last_modified": "2026-01-01T00:00:00+00:00", "path": "x" * 100} for n in range(1000)}
    columns = lake.columns
    lake.load(columns, {"id": [1]}, cursor=Cursor(entries=entries))
    named = json.loads(lake.table().properties[STATE])
    assert len(lake.table().properties[STATE]) < 1000
    content = Path(named["file"].removeprefix("file://")).read_bytes()
    assert len(content) > LARGEST
    assert hashlib.sha256(content).hexdigest() == named["sha256"]
    saved = lake.open(columns).saved
    assert saved is not None and saved.cursor.entries == entries


@pytest.mark.parametrize("damage", ["changed", "gone", "other", "not JSON", "no cursor", "no map"])
def test_a_damaged_state_is_told_and_a_full_refresh_mends_it(people: Project, damage: str) -> None:
    ok(people.sync())
    path = people.write(".local/state.json", "{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    if damage == "gone":
        path.unlink()
    if damage == "changed":
        path.write_text("[]")
    broken = {
        "not JSON": "{",
        "no cursor": '{"version": 1}',
        "no map": "[1]",
        "other": json.dumps({"version": 1, "file": str(people.root), "sha256": digest}),
    }.get(damage, json.dumps({"version": 1, "file": str(path), "sha256": digest}))
    set_properties(people, **{STATE: broken})
    people.write("data/people.csv", "id,name\n7,z\n")
    before = people.table().metadata_location
    receipt = ok(people.sync(), "failed")
    assert receipt.exit_code == 2
    assert "the table's state of job 'job' cannot be read" in receipt.streams[0].error
    assert "--full-refresh" in receipt.streams[0].error
    assert people.table().metadata_location == before
    ok(people.sync(full_refresh=True))
    assert people.rows().rows() == [(7, "z")]
    ok(people.sync(), "unchanged")


def test_a_state_of_a_newer_version_is_refused_even_by_a_full_refresh(people: Project) -> None:
    ok(people.sync())
    set_properties(people, **{STATE: json.dumps({**state_of(people), "version": 2})})
    for options in ({}, {"full_refresh": True}):
        receipt = ok(people.sync(**options), "failed")
        assert "has version 2, this program knows 1" in receipt.streams[0].error
        assert "use a newer dativo" in receipt.streams[0].error
    assert people.snapshots() == 1


def state_file(project: Project) -> Path:
    return project.root / ".local/state/acme/job.json"


def test_a_lost_state_file_changes_nothing(people: Project) -> None:
    people.job(
        schema_validation_mode="quarantine",
        source={"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}},
    )
    ok(people.sync())
    content = json.loads(state_file(people).read_text())
    state_file(people).unlink()
    ok(people.sync(), "unchanged")
    people.write("data/people.csv", "id,name\n1,a\n3,c\n")
    assert ok(people.sync()).loaded == 1
    assert json.loads(state_file(people).read_text()).keys() == content.keys()


@pytest.mark.parametrize("year", ["1999", "2999"], ids=["older", "newer"])
def test_an_older_or_newer_state_file_loses_against_the_table(people: Project, year: str) -> None:
    people.job(
        schema_validation_mode="quarantine",
        source={"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}},
    )
    ok(people.sync())
    entry = {"file_data/people.csv": {"last_modified": f"{year}-01-01T00:00:00+00:00", "file_id": "data/people.csv"}}
    state_file(people).write_text(json.dumps(entry))
    ok(people.sync(), "unchanged")
    people.write("data/people.csv", "id,name\n1,a\n3,c\n")
    receipt = ok(people.sync())
    assert (receipt.loaded, receipt.streams[0].deduplicated) == (1, 1)
    assert sorted(people.rows()["id"].to_list()) == [1, 2, 3]


def test_a_damaged_state_file_is_kept_and_told(people: Project) -> None:
    ok(people.sync())
    state_file(people).parent.mkdir(parents=True, exist_ok=True)
    state_file(people).write_text("{ not json")
    receipt = ok(people.sync(), "unchanged")
    assert "damaged and is kept as job.json.corrupt" in " ".join(receipt.streams[0].warnings)
    assert state_file(people).with_name("job.json.corrupt").read_text() == "{ not json"


def test_another_jobs_memory_and_foreign_properties_are_kept(people: Project) -> None:
    ok(people.sync())
    set_properties(people, **{"owner": "spark", "dativo.run.acme.other.people": "t1"})
    people.write("data/people.csv", "id,name\n5,e\n")
    ok(people.sync())
    properties = people.table().properties
    assert (properties["owner"], properties["dativo.run.acme.other.people"]) == ("spark", "t1")


def test_a_rival_commit_between_open_and_commit_is_a_conflict_and_changes_nothing(project: Project) -> None:
    lake = Lake(project)
    lake.load(lake.columns, {"id": [1]})
    slow = lake.target()
    slow.open(lake.shape(lake.columns))
    written = write(slow, lake.frame([2]))
    lake.load(lake.columns, {"id": [3]})
    before = lake.table().metadata_location
    with pytest.raises(CommitConflict, match="another run of this job committed"):
        commit(slow, written)
    slow.abort()
    assert lake.table().metadata_location == before
    assert sorted(lake.rows()["id"].to_list()) == [1, 3]
    assert len(lake.files_on_disk()) == 2


def test_a_rival_commit_of_state_alone_is_a_conflict_too(project: Project) -> None:
    lake = Lake(project)
    lake.load(lake.columns, {"id": [1]})
    slow = lake.target()
    slow.open(lake.shape(lake.columns))
    written = write(slow, lake.frame([2]))
    lake.load(lake.columns, lake.frame([]))
    with pytest.raises(CommitConflict):
        commit(slow, written)
    assert lake.rows()["id"].to_list() == [1]


def test_a_commit_repeated_after_a_lost_reply_is_not_done_twice(project: Project) -> None:
    lake = Lake(project)
    target = lake.target()
    target.open(lake.shape(lake.columns))
    written = write(target, lake.frame([1, 2]))
    first = commit(target, written)
    second = commit(target, written)
    assert second.snapshot_id == first.snapshot_id
    assert lake.rows()["id"].to_list() == [1, 2]
    assert len(lake.table().metadata.snapshots) == 1


def test_a_token_without_a_state_is_no_conflict(project: Project) -> None:
    lake = Lake(project)
    lake.load(lake.columns, {"id": [1]})
    with lake.table().transaction() as transaction:
        transaction.remove_properties(STATE)
    assert lake.open(lake.columns).saved is None
    lake.load(lake.columns, {"id": [2]})
    assert sorted(lake.rows()["id"].to_list()) == [1, 2]


def test_a_receipt_that_does_not_balance_is_never_committed(project: Project) -> None:
    receipt = StreamReceipt(stream="people", table="t", status="loaded", extracted=3, loaded=1, rejected=1)
    with pytest.raises(ContractError, match="do not balance: 3 rows extracted, but 1 loaded"):
        receipt.check_balance()


def test_the_state_of_a_newer_version_names_itself(project: Project) -> None:
    lake = Lake(project)
    lake.load(lake.columns, {"id": [1]})
    with lake.table().transaction() as transaction:
        transaction.set_properties({STATE: '{"version": 9}'})
    with pytest.raises(StateError, match="version 9"):
        lake.open(lake.columns)
