"""Processes that tests of faults start, and that are gone when a test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.database import Orders
from tests.faults.lakehouse import Lakehouse, People, lakehouse
from tests.faults.people import FIELDS, ROWS, people
from tests.faults.program import Pool, Program
from tests.faults.strait import strait
from tests.faults.worker import Worker
from tests.project import Project
from tests.samples.databases import new_database

SERVERS = {"postgres": "postgres_server", "mysql": "mariadb_server"}


@pytest.fixture
def worker() -> Iterator[Callable[..., Worker]]:
    """Starts a worker; every one that a test started is killed at its end."""
    started: list[Worker] = []

    def start(*args: object, **options: object) -> Worker:
        started.append(Worker(*args, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def job(project: Project) -> Project:
    """A project whose job appends people."""
    project.asset(FIELDS)
    project.job(target={"write_mode": "append"})
    people(project, range(ROWS))
    return project


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Nessie on MinIO, started once for all tests of a process, each behind a proxy."""
    with lakehouse(tmp_path_factory.mktemp("lakehouse")) as found:
        yield found


@pytest.fixture
def lake(servers: Lakehouse) -> Iterator[Lakehouse]:
    """The servers with nothing in their way, before a test and after it."""
    servers.calm()
    yield servers
    servers.calm()


@pytest.fixture(scope="session")
def programs() -> Iterator[Pool]:
    """Processes that wait to become `dativo`."""
    pool = Pool(1)
    yield pool
    pool.close()


@pytest.fixture
def program(programs: Pool) -> Iterator[Callable[[], Program]]:
    """Gives such a process; every one that a test took is gone at its end."""
    yield programs.take
    programs.settle()


@pytest.fixture(params=[pytest.param("nessie", marks=pytest.mark.server), "embedded"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """A job on Nessie and in the embedded catalog; its table is not there yet."""
    monkeypatch.chdir(tmp_path)
    return People(tmp_path, request.getfixturevalue("lake") if request.param == "nessie" else None)


@pytest.fixture
def nessie_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lake: Lakehouse) -> People:
    """A job on Nessie; its table is not there yet."""
    monkeypatch.chdir(tmp_path)
    return People(tmp_path, lake)


@pytest.fixture(params=[pytest.param(d, marks=pytest.mark.server) for d in SERVERS])
def orders(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orders]:
    """A job that loads a table of a database of its own on a server that all share, through a proxy; no row is there yet."""
    monkeypatch.chdir(tmp_path)
    server = request.getfixturevalue(SERVERS[request.param])
    database = new_database(request.param, tmp_path, server)
    with strait(server.port) as way:
        made = Orders(tmp_path, database, way)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made
