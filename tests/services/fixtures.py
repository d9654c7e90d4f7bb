"""Fixtures for tests that need servers. One set of servers serves all workers of a run: each test has to use a bucket,
a branch, a namespace or a tenant of its own. A test that kills or pauses a server starts its own (`with minio(…)`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.azurite import Azurite
from tests.services.mariadb import MariaDb
from tests.services.minio import Minio
from tests.services.nessie import Nessie
from tests.services.postgres import Postgres
from tests.services.shared import shared

BUCKET = "lake"


@dataclass(frozen=True)
class Lakehouse:
    """A catalog and the store of its warehouse."""

    nessie: Nessie
    store: Minio

    @property
    def bucket(self) -> str:
        return self.nessie.bucket

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job finds both."""
        return self.nessie.environment


@pytest.fixture(scope="session")
def services_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this run, and only they, have in common."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "services"


@pytest.fixture(scope="session")
def minio_server(services_folder: Path) -> Iterator[Minio]:
    """MinIO; make a bucket of your own in it."""
    with shared(services_folder / "minio", "minio") as told:
        yield Minio(told["port"])


@pytest.fixture(scope="session")
def nessie_server(services_folder: Path, minio_server: Minio) -> Iterator[Nessie]:
    """Nessie over `minio_server`, with its warehouse in the bucket `lake`; use a branch or a namespace of your own."""
    with shared(services_folder / "nessie", "nessie", port=minio_server.port) as told:
        yield Nessie(told["port"], minio_server, BUCKET)


@pytest.fixture(scope="session")
def lakehouse(nessie_server: Nessie, minio_server: Minio) -> Lakehouse:
    """Nessie and its MinIO."""
    return Lakehouse(nessie_server, minio_server)


@pytest.fixture(scope="session")
def postgres_server(services_folder: Path) -> Iterator[Postgres]:
    """Postgres; make a database of your own in it."""
    with shared(services_folder / "postgres", "postgres") as told:
        yield Postgres(told["port"])


@pytest.fixture(scope="session")
def mariadb_server(services_folder: Path) -> Iterator[MariaDb]:
    """MariaDB; make a database of your own in it."""
    with shared(services_folder / "mariadb", "mariadb") as told:
        yield MariaDb(told["port"])


@pytest.fixture(scope="session")
def azurite_server(services_folder: Path) -> Iterator[Azurite]:
    """Azurite; make a container of your own in it."""
    with shared(services_folder / "azurite", "azurite") as told:
        yield Azurite(told["port"])
