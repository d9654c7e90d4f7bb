"""What makes a full load be done again: anything that changes its rows, and nothing else."""

from __future__ import annotations

from typing import Any

from dativo.pipeline.plan import plan_hash
from tests.project import Project

FIELDS = [{"name": "id", "type": "integer"}]


def hashed(project: Project, connection: dict[str, Any], **more: Any) -> str:
    project.asset(FIELDS)
    project.job(source={"files": [{"path": "data/people.csv"}], "connection": connection, **more})
    job = project.load()
    return plan_hash(job, job.streams[0], "2026-03-01")


def test_a_changed_password_changes_nothing(project: Project) -> None:
    one = {"host": "db", "password": "one", "access_key_id": "one", "session_token": "one"}
    other = {name: value.replace("one", "other") for name, value in one.items()}
    assert hashed(project, one, credentials={"from_env": "A"}) == hashed(project, other, credentials={"from_env": "B"})


def test_another_place_to_read_from_does(project: Project) -> None:
    assert hashed(project, {"host": "db", "password": "x"}) != hashed(project, {"host": "other", "password": "x"})
