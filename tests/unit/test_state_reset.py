"""Resetting a job's state: the cursor is gone from the table and from the file, and no row is lost or doubled by it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dativo import DativoError, list_runs, plan_reset, rebuild_state, reset_state, show_state
from dativo.observe.listener import Silence
from dativo.pipeline.kept import Kept, open_folder
from dativo.pipeline.staging import key_index
from tests.project import Project

FIELDS = [{"name": "id", "type": "integer", "primary_key": True}, {"name": "name"}]


@pytest.fixture
def incremental(project: Project) -> Project:
    """A job that reads a file when it is newer, and has read it."""
    project.asset(FIELDS)
    project.job(source={"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}})
    put(project, "id,name\n1,a\n2,b\n", 100)
    assert project.sync().loaded == 2
    return project


def put(project: Project, text: str, moment: int) -> None:
    path = project.write("data/people.csv", text)
    os.utime(path, ns=(moment * 10**9, moment * 10**9))


def reset(project: Project, **options: Any) -> Any:
    job = project.load()
    return reset_state(job, plan_reset(job, **options))


def state_file(project: Project) -> Path:
    return project.root / ".local/state/acme/job.json"


def test_what_will_be_forgotten_is_told_before(incremental: Project) -> None:
    told = plan_reset(incremental.load())
    assert told.path == str(state_file(incremental)) and told.older is None and not told.empty
    assert list(told.streams[0].cursor) == ["file_data/people.csv"] and told.streams[0].exists
    assert "recognised and not loaded again" in told.next_run
    assert show_state(incremental.load()).streams[0].cursor, "nothing was changed yet"


def test_the_next_run_reads_everything_and_adds_nothing_that_is_there(incremental: Project) -> None:
    assert incremental.sync().status == "unchanged"
    found = reset(incremental)
    assert (found.streams[0].cursor, found.streams[0].reset, found.file) == ({}, True, "current")
    receipt = incremental.sync().streams[0]
    assert (receipt.extracted, receipt.loaded, receipt.deduplicated) == (2, 0, 2)
    assert incremental.rows()["id"].sort().to_list() == [1, 2]
    assert incremental.sync().status == "unchanged", "and then the job goes on as ever"


def test_a_full_load_is_read_again_too(project: Project) -> None:
    project.asset(FIELDS)
    project.job()
    put(project, "id,name\n1,a\n", 100)
    project.sync()
    assert project.sync().status == "unchanged"
    reset(project)
    assert project.sync().streams[0].loaded == 1
    assert project.rows()["id"].to_list() == [1]


def test_the_file_alone_does_not_bring_it_back(incremental: Project) -> None:
    before = state_file(incremental).read_bytes()
    reset(incremental)
    assert "file_data/people.csv" not in json.loads(state_file(incremental).read_text())
    state_file(incremental).write_bytes(before)
    assert show_state(incremental.load()).file == "stale"
    assert incremental.sync().streams[0].extracted == 2


def test_rebuilding_the_file_after_a_reset_leaves_it_empty(incremental: Project) -> None:
    reset(incremental)
    state_file(incremental).unlink()
    assert rebuild_state(incremental.load()).streams[0].cursor == {}
    assert list(json.loads(state_file(incremental).read_text())) == ["_dativo"]


def test_an_older_tools_state_file_is_not_taken_up_after_a_reset(incremental: Project) -> None:
    old = incremental.root / ".local/state/acme/csv.default.state.json"
    old.write_text('{"file_data/people.csv": {"last_modified": "2100-01-01T00:00:00+00:00", "file_id": "x"}}')
    told = plan_reset(incremental.load())
    assert told.older == str(old)
    reset(incremental)
    state_file(incremental).unlink()
    assert incremental.sync().streams[0].extracted == 2
    assert old.exists()


class During(Silence):
    """Does something while a run reads, once."""

    def __init__(self, work: Any) -> None:
        self.work = work

    def phase(self, stream: str, name: str, meter: Any) -> None:
        if name == "loading" and self.work is not None:
            work, self.work = self.work, None
            work()


def test_a_run_that_is_going_on_loses_at_its_commit(incremental: Project) -> None:
    put(incremental, "id,name\n1,a\n2,b\n3,c\n", 200)
    receipt = incremental.sync(listener=During(lambda: reset(incremental)))
    assert (receipt.exit_code, receipt.status) == (2, "failed")
    assert "another run of this job committed" in receipt.streams[0].error
    assert incremental.rows()["id"].sort().to_list() == [1, 2]
    assert incremental.sync().streams[0].loaded == 1
    assert incremental.rows()["id"].sort().to_list() == [1, 2, 3]


def test_a_run_that_committed_after_the_question_is_not_forgotten(incremental: Project) -> None:
    job = incremental.load()
    told = plan_reset(job)
    put(incremental, "id,name\n1,a\n2,b\n3,c\n", 200)
    incremental.sync()
    before = show_state(job)
    with pytest.raises(DativoError, match="another run of this job committed"):
        reset_state(job, told)
    assert show_state(job) == before


def test_a_reset_is_in_the_list_of_runs_and_makes_no_snapshot(incremental: Project) -> None:
    snapshots = incremental.snapshots()
    reset(incremental)
    assert incremental.snapshots() == snapshots
    assert [r.what for r in list_runs(incremental.load())] == ["reset", "loaded"]


def test_nothing_is_remembered_of_a_job_that_never_ran(project: Project) -> None:
    project.asset(FIELDS)
    project.job()
    assert plan_reset(project.load()).empty
    assert not (project.root / ".local").exists()


@pytest.mark.parametrize("loaded", [True, False])
def test_what_a_dead_run_kept_and_what_is_known_of_keys_goes_too(project: Project, loaded: bool) -> None:
    project.asset(FIELDS)
    project.write("data/people.csv", "id,name\n1,a\n")
    project.job()
    if loaded:
        project.sync()
    job = project.load()
    stream = job.streams[0]
    living = open_folder(job, stream, "of-a-living-run", "reading", fresh=True)
    dead = open_folder(job, stream, "of-a-dead-run", "reading", fresh=True)
    dead.kept["piece"] = Kept("piece", "piece-000001.arrow", 0, 0, {})
    dead.leave()
    index = key_index(job, stream, "keys").folder
    index.mkdir(parents=True)
    told = plan_reset(job)
    assert told.streams[0].kept and not told.empty
    assert dead.path.parent.exists() and index.exists(), "nothing was changed yet"
    reset(project)
    assert list(dead.path.parent.iterdir()) == [living.path]
    assert not index.exists() and not plan_reset(job).streams[0].kept


def test_a_memory_that_cannot_be_read_is_reset_and_a_newer_versions_is_not(incremental: Project) -> None:
    table = incremental.table()
    key = next(k for k in table.properties if k.startswith("dativo.state.acme.job."))
    with table.transaction() as change:
        change.set_properties({key: "{damaged"})
    assert incremental.sync().exit_code == 2
    assert "cannot be read" in plan_reset(incremental.load()).streams[0].damaged
    reset(incremental)
    assert incremental.sync().streams[0].deduplicated == 2
    table = incremental.table()
    with table.transaction() as change:
        change.set_properties({key: table.properties[key].replace('"version":1', '"version":99', 1)})
    with pytest.raises(DativoError, match="has version 99"):
        reset(incremental)


def test_one_stream_is_forgotten_and_the_other_is_not(project: Project) -> None:
    for name in ("one", "two"):
        project.asset(FIELDS, name, object=name)
        project.write(f"data/{name}.csv", "id,name\n1,a\n")
    files = [{"path": "data/one.csv", "object": "one"}, {"path": "data/two.csv", "object": "two"}]
    source = {"files": files, "incremental": {"strategy": "file_modified_time"}}
    project.job(asset_path=None, assets=["assets/one.yaml", "assets/two.yaml"], source=source)
    project.sync()
    found = reset(project, stream="two")
    assert [(s.stream, bool(s.cursor), s.reset) for s in found.streams] == [("one", True, False), ("two", False, True)]
    assert set(json.loads(state_file(project).read_text())) == {"file_data/one.csv", "_dativo"}
    assert [s.status for s in project.sync().streams] == ["unchanged", "loaded"]
    with pytest.raises(DativoError, match="the job has no stream 'three'"):
        plan_reset(project.load(), stream="three")


def test_missing_variables_are_told_at_once(project: Project) -> None:
    project.asset(FIELDS)
    project.job(target={"catalog": {"type": "rest", "uri": "${NO_SUCH_CATALOG}"}})
    for ask in (show_state, rebuild_state, plan_reset, list_runs):
        with pytest.raises(DativoError) as caught:
            ask(project.load())
        assert "Missing required environment variable: NO_SUCH_CATALOG" in caught.value.render()
        assert "target.catalog.uri" in caught.value.render()
    project.job(source={"files": [{"path": "${NO_SUCH_FOLDER}/x.csv"}]})
    assert show_state(project.load()).file == "missing", "what only a run needs is not needed to look"
