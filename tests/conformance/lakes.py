"""The catalogs and warehouses that the target's conformance suite runs against: one line in `LAKES` for each."""

from __future__ import annotations

import itertools
import secrets

import pytest

from tests.lake import Lake, nessie_lake
from tests.project import Project
from tests.services.nessie import Nessie

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


LAKES = [
    pytest.param(_embedded, id="embedded"),
    pytest.param(_sql, id="sql"),
    pytest.param(_rest, id="rest", marks=pytest.mark.server),
    pytest.param(_nessie, id="nessie", marks=pytest.mark.server),
]
