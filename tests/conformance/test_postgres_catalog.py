"""A SQL catalog on a real Postgres: loads, rivals, and what wrong settings are told."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from dativo import Receipt
from tests.project import Project
from tests.services.postgres import Postgres

pytestmark = pytest.mark.server


@pytest.fixture
def url(postgres_server: Postgres) -> str:
    """The address of an empty database."""
    name = postgres_server.make_database(f"catalog_{uuid.uuid4().hex[:12]}")
    return postgres_server.url.rpartition("/")[0] + f"/{name}"


def prepared(project: Project, uri: str, **more: Any) -> None:
    project.asset([{"name": "id", "type": "integer", "primary_key": True}, {"name": "note", "type": "string"}])
    project.job(target={"catalog": {"type": "sql", "uri": uri}, **more})
    project.write("data/people.csv", "id,note\n1,a\n2,b\n")


def rows(project: Project, uri: str) -> list[tuple[Any, ...]]:
    """The table's rows as pyiceberg reads them through the same database."""
    driver = uri.replace("postgresql://", "postgresql+psycopg2://")
    catalog = SqlCatalog("dativo", uri=driver, warehouse=f"file://{project.root}/.local/warehouse/acme")
    found = catalog.load_table("default.people").scan().to_arrow().to_pylist()
    catalog.engine.dispose()
    return sorted((r["id"], r["note"]) for r in found)


def test_runs_load_once_and_are_read_by_others(project: Project, url: str) -> None:
    prepared(project, url)
    assert project.sync().loaded == 2
    assert project.sync().status == "unchanged"
    project.write("data/people.csv", "id,note\n1,a\n3,c\n")
    assert project.sync().loaded == 2
    assert rows(project, url) == [(1, "a"), (3, "c")]


def test_of_two_runs_at_once_none_loses_or_doubles_a_row(project: Project, url: str) -> None:
    prepared(project, url, write_mode="append")
    program = "import sys; from dativo import load_job, sync; sys.exit(sync(load_job(sys.argv[1])).exit_code)"
    job = str(project.root / "jobs/acme/job.yaml")
    # With a state folder each they do not see each other's lock, as runs on two machines.
    folders = [{**os.environ, "STATE_DIR": str(project.root / f"state-{n}")} for n in range(2)]
    command = [sys.executable, "-c", program, job]
    runs = [subprocess.Popen(command, cwd=project.root, env=folder) for folder in folders]
    codes = [run.wait(timeout=120) for run in runs]
    assert 0 in codes and set(codes) <= {0, 2}
    project.sync()
    assert rows(project, url) == [(1, "a"), (2, "b")]


def failed(receipt: Receipt) -> str:
    assert (receipt.status, receipt.exit_code, receipt.loaded) == ("failed", 2, 0)
    return receipt.streams[0].error


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url.replace("dativo:dativo@", "dativo:not-the-password@"), "password authentication failed"),
        (lambda url: url + "_not_there", "does not exist"),
        (lambda url: "postgresql://dativo:dativo@127.0.0.1:1/x", "Connection refused"),
    ],
    ids=["password", "database", "port"],
)
def test_wrong_settings_are_told_without_the_password(project: Project, url: str, change: Any, told: str) -> None:
    prepared(project, change(url))
    error = failed(project.sync())
    assert told in error and "sql catalog" in error
    assert "not-the-password" not in error and "dativo:dativo" not in error
    assert not list((project.root / ".local").rglob("*.parquet"))
