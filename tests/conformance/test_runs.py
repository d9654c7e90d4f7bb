"""Runs and the differences between them on every kind of catalog; on Nessie by the commits of the branch."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from dativo import DativoError, diff_runs, list_runs, plan_reset, reset_state, show_run, show_state, show_table
from dativo.observe.listener import Silence
from tests.lake import nessie_block
from tests.project import Project
from tests.services.nessie import Nessie

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "name", "classification": "PII"},
]


@pytest.fixture(
    params=["sql", pytest.param("rest", marks=pytest.mark.server), pytest.param("nessie", marks=pytest.mark.server)]
)
def job(project: Project, request: pytest.FixtureRequest) -> Project:
    """A job that loads a table of its own in a catalog."""
    if request.param == "sql":
        target: dict[str, Any] = {
            "catalog": {"type": "sql", "uri": "sqlite:///own/catalog.db"},
            "warehouse": "own/lake",
        }
    elif request.param == "rest":
        target = {"catalog": {"type": "rest", "uri": request.getfixturevalue("rest")[0]}}
    else:
        server: Nessie = request.getfixturevalue("nessie_server")
        target = nessie_block(server)
    project.asset(FIELDS, domain=f"space_{secrets.token_hex(6)}")
    project.job(target=target)
    return project


def load(project: Project, text: str) -> str:
    project.write("data/people.csv", f"id,name\n{text}")
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    return receipt.run_id


def test_what_two_runs_changed_is_found_by_time_travel(job: Project) -> None:
    tokens = [load(job, "1,Ada\n2,Alan\n"), load(job, "1,Ada\n2,Turing\n3,Grace\n"), load(job, "3,Grace\n")]
    runs = list_runs(job.load())
    assert [r.run for r in runs] == tokens[::-1]
    assert [r.current for r in runs] == [True, False, False] and all(r.readable for r in runs)
    assert [(r.rows_added, r.rows_removed) for r in runs] == [(1, 3), (3, 2), (2, 0)]
    for names, told in (((tokens[0], tokens[1]), (1, 0, 1)), (("previous", "latest"), (0, 2, 0))):
        found = diff_runs(*names, job=job.load())
        assert (found.rows.added, found.rows.removed, found.rows.changed) == told
    far = diff_runs(tokens[0], str(runs[0].snapshot), job=job.load(), show_pii=True)
    assert (far.rows.added, far.rows.removed) == (1, 2)
    assert [r["name"] for r in far.removed.dicts()] == ["Ada", "Alan"]
    assert show_run("previous").tables[0].run == tokens[1]
    assert len(show_table(job.load()).facts.snapshots) == 3


def test_columns_are_those_of_their_time(job: Project) -> None:
    load(job, "1,Ada\n")
    job.asset([*FIELDS, {"name": "team"}], domain=job.load().streams[0].namespace)
    job.write("data/people.csv", "id,name,team\n1,Ada,x\n2,Alan,y\n")
    assert job.sync().exit_code == 0
    found = diff_runs("previous", "latest", job=job.load())
    assert [(c.action, c.name) for c in found.columns] == [("added", "team")]
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (1, 0, 0)


def test_a_reset_is_a_commit_that_changes_no_row(job: Project) -> None:
    load(job, "1,Ada\n2,Alan\n")
    what = plan_reset(job.load())
    assert reset_state(job.load(), what).streams[0].reset
    with pytest.raises(DativoError, match="another run of this job committed"):
        reset_state(job.load(), what)
    assert [r.what for r in list_runs(job.load())] == ["reset", "loaded"]
    assert job.sync().streams[0].loaded == 2
    runs = list_runs(job.load())
    assert [r.what for r in runs] == ["loaded", "reset", "loaded"]
    found = diff_runs(str(runs[-1].run), "latest", job=job.load())
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (0, 0, 0)
    assert found.files_added.files == found.files_removed.files == 1


def test_a_run_that_is_not_there_is_told_with_the_others(job: Project) -> None:
    token = load(job, "1,Ada\n")
    with pytest.raises(DativoError) as caught:
        diff_runs("ffff", "latest", job=job.load())
    assert token[:13] in caught.value.render()


@pytest.mark.server
def test_tables_that_were_published_by_one_merge_have_the_run_in_their_past(
    project: Project, nessie_server: Nessie
) -> None:
    space = f"space_{secrets.token_hex(6)}"
    for name in ("one", "two"):
        project.asset(FIELDS, name, object=name, domain=space)
    files = [{"path": f"data/{name}.csv", "object": name} for name in ("one", "two")]
    assets = ["assets/one.yaml", "assets/two.yaml"]
    project.job(asset_path=None, assets=assets, source={"files": files}, target=nessie_block(nessie_server))
    tokens = []
    for rows in ("1,Ada\n", "1,Ada\n2,Alan\n"):
        for name in ("one", "two"):
            project.write(f"data/{name}.csv", f"id,name\n{rows}")
        receipt = project.sync()
        assert receipt.exit_code == 0, receipt.streams
        tokens.append(receipt.run_id)
    for name in ("one", "two"):
        assert [r.run for r in list_runs(project.load(), stream=name)] == tokens[::-1]
        found = diff_runs(*tokens, job=project.load(), stream=name)
        assert (found.table, found.rows.added, found.rows.removed) == (f"{space}.{name}", 1, 0)
    assert [t.table for t in show_run(tokens[0]).tables] == [f"{space}.one", f"{space}.two"]


class During(Silence):
    """Does something while a run reads its second stream, once."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work: Callable[[], Any] | None = work

    def phase(self, stream: str, name: str, meter: Any) -> None:
        if stream == "two" and name == "loading" and self.work is not None:
            work, self.work = self.work, None
            work()


@pytest.mark.server
def test_a_reset_wins_against_a_run_on_its_own_branch(project: Project, nessie_server: Nessie) -> None:
    space = f"space_{secrets.token_hex(6)}"
    for name in ("one", "two"):
        project.asset(FIELDS, name, object=name, domain=space)
        project.write(f"data/{name}.csv", "id,name\n1,Ada\n")
    files = [{"path": f"data/{name}.csv", "object": name} for name in ("one", "two")]
    source = {"files": files, "incremental": {"strategy": "file_modified_time"}}
    assets = ["assets/one.yaml", "assets/two.yaml"]
    project.job(asset_path=None, assets=assets, source=source, target=nessie_block(nessie_server))
    assert project.sync().exit_code == 0
    for name in ("one", "two"):
        project.write(f"data/{name}.csv", "id,name\n1,Ada\n2,Alan\n")
    job = project.load()
    receipt = project.sync(listener=During(lambda: reset_state(job, plan_reset(job))))
    assert receipt.exit_code == 2
    assert "another run of this job committed" in " ".join(s.error for s in receipt.streams)
    assert [s.reset for s in show_state(job).streams] == [True, True]
    receipt = project.sync()
    assert [(s.extracted, s.loaded, s.deduplicated) for s in receipt.streams] == [(2, 1, 1), (2, 1, 1)]
