"""The catalogs and warehouses that the target's conformance suite runs against: one line in `LAKES` for each."""

from __future__ import annotations

import itertools
import secrets
from functools import partial
from typing import Any

import pytest

from tests.database_lake import DatabaseLake
from tests.lake import Lake, nessie_lake
from tests.object_lake import ObjectLake
from tests.project import Project
from tests.services.azurite import Azurite
from tests.services.mariadb import MariaDb
from tests.services.minio import Minio
from tests.services.nessie import Nessie
from tests.services.postgres import Postgres

_numbers = itertools.count(1)


def _embedded(project: Project, _: pytest.FixtureRequest) -> Lake:
    return Lake(project)


def _sql(project: Project, _: pytest.FixtureRequest) -> Lake:
    block = {"catalog": {"type": "sql", "uri": "sqlite:///own/catalog.db"}, "warehouse": "own/warehouse"}
    return Lake(project, block, warehouse=project.root / "own" / "warehouse")


def _rest(project: Project, request: pytest.FixtureRequest) -> Lake:
    uri, warehouse = request.getfixturevalue("rest")
    block = {"catalog": {"type": "rest", "uri": uri}}
    return Lake(project, block, namespace=f"space_{next(_numbers)}", warehouse=warehouse)


def _nessie(project: Project, request: pytest.FixtureRequest) -> Lake:
    server: Nessie = request.getfixturevalue("nessie_server")
    # The server may be shared with other processes.
    return nessie_lake(project, server, f"space_{secrets.token_hex(6)}")


def _minio(project: Project, request: pytest.FixtureRequest, connector: str, **target: Any) -> Lake:
    server: Minio = request.getfixturevalue("minio_server")
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "region": server.region}
    bucket = server.make_bucket(f"objects-{secrets.token_hex(6)}")
    return ObjectLake(project, connector, {"endpoint": server.endpoint, "bucket": bucket, **keys}, **target)


def _azure(project: Project, request: pytest.FixtureRequest) -> Lake:
    server: Azurite = request.getfixturevalue("azurite_server")
    container = server.make_container(f"objects-{secrets.token_hex(6)}")
    keys = {"account_name": server.account, "account_key": server.key}
    return ObjectLake(project, "azure_blob", {"endpoint": server.endpoint, "container": container, **keys})


def _folder(project: Project, _: pytest.FixtureRequest) -> Lake:
    return ObjectLake(project, "csv", {"path": "out"})


def _postgres(project: Project, request: pytest.FixtureRequest) -> Lake:
    server: Postgres = request.getfixturevalue("postgres_server")
    return DatabaseLake(project, "postgres", server, server.make_database(f"tables_{secrets.token_hex(6)}"), "public")


def _mysql(project: Project, request: pytest.FixtureRequest) -> Lake:
    server: MariaDb = request.getfixturevalue("mariadb_server")
    database = server.make_database(f"tables_{secrets.token_hex(6)}")
    return DatabaseLake(project, "mysql", server, database, database)


_csv: dict[str, Any] = {"file_format": "csv", "engine": {"options": {"compression": "gzip"}}}
LAKES = [
    pytest.param(_embedded, id="embedded"),
    pytest.param(_sql, id="sql"),
    pytest.param(_rest, id="rest", marks=pytest.mark.server),
    pytest.param(_nessie, id="nessie", marks=pytest.mark.server),
    pytest.param(partial(_minio, connector="s3"), id="s3", marks=pytest.mark.server),
    pytest.param(partial(_minio, connector="minio", **_csv), id="minio-csv", marks=pytest.mark.server),
    pytest.param(partial(_minio, connector="minio", file_format="json"), id="minio-json", marks=pytest.mark.server),
    pytest.param(_azure, id="azure", marks=pytest.mark.server),
    pytest.param(_folder, id="csv"),
    pytest.param(_postgres, id="postgres", marks=pytest.mark.server),
    pytest.param(_mysql, id="mysql", marks=pytest.mark.server),
]
