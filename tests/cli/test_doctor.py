"""`dativo doctor` and `dativo connectors`: whether all is well, and what can be connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dativo import doctor
from tests.cli.conftest import Dativo, people
from tests.project import Project


def checks(dativo: Dativo, code: int = 0) -> dict[str, dict[str, Any]]:
    found = dativo("doctor", "--json", code=code).json()
    assert found["version"] == 1
    return {c["name"]: c for c in found["checks"]}


def test_a_good_project_is_well(project: Project, dativo: Dativo) -> None:
    people(project)
    found = checks(dativo)
    assert {"dativo", "python", "polars", "duckdb", "pyiceberg", "disk", "project", "writable", "jobs"} <= set(found)
    assert all(c["ok"] is not False for c in found.values())
    assert "✓" in dativo("doctor").out and not (project.root / ".local").exists()


def test_a_folder_that_is_no_project_is_told_how_to_become_one(
    tmp_path: Path, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = checks(dativo, code=2)["project"]
    assert project["ok"] is False and "dativo init" in project["hint"]
    assert "✗" in dativo("doctor", code=2).out


def test_a_project_without_a_job_is_told(project: Project, dativo: Dativo) -> None:
    assert checks(dativo, code=2)["jobs"]["ok"] is False


def test_a_mistake_in_a_job_is_counted(project: Project, dativo: Dativo) -> None:
    people(project, tarqet={})
    jobs = checks(dativo, code=2)["jobs"]
    assert jobs["ok"] is False and "1 error" in jobs["message"] and "dativo validate" in jobs["hint"]


def test_a_place_that_cannot_be_written_is_told(project: Project, dativo: Dativo) -> None:
    people(project)
    project.write(".local", "a file where a folder must be")
    writable = checks(dativo, code=2)["writable"]
    assert writable["ok"] is False and writable["hint"]
    assert (project.root / ".local").read_text() == "a file where a folder must be"


def test_the_library_gives_the_same_checks(project: Project) -> None:
    people(project)
    assert [c.name for c in doctor(project.root)][:2] == ["dativo", "python"]


def test_connectors_that_are_ready_stand_first(project: Project, dativo: Dativo) -> None:
    found = dativo("connectors", "--json").json()
    assert found["version"] == 1
    names = [c["name"] for c in found["connectors"]]
    ready = [c["name"] for c in found["connectors"] if "ready" in (c["source"], c["target"])]
    assert names[: len(ready)] == ready and {"csv", "iceberg"} <= set(ready) and "postgres" in names
    assert all(c["extra"] == f"dativo[{c['name']}]" for c in found["connectors"] if c["name"] in ready)


@pytest.mark.parametrize("command", ["connectors", "doctor"])
@pytest.mark.parametrize("width", [80, 160])
def test_the_lists_fit_the_terminal(project: Project, dativo: Dativo, command: str, width: int) -> None:
    dativo.width = width
    answer = dativo(command, code=None)
    assert answer.out and max(map(len, answer.lines)) <= width


def test_a_registry_with_a_mistake_is_told(project: Project, dativo: Dativo) -> None:
    project.write("registry/connectors.yaml", "connectors: [csv]\n")
    assert "registry/connectors.yaml" in dativo("connectors", code=2).err
