"""What the conformance suites run against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.lakes import LAKES
from tests.lake import Lake
from tests.project import Project
from tests.services.rest_catalog import rest_catalog


@pytest.fixture(scope="session")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Apache Iceberg's REST catalog: its URI, and the folder of its warehouse."""
    folder = tmp_path_factory.mktemp("rest")
    with rest_catalog(folder) as uri:
        yield uri, folder / "warehouse"


@pytest.fixture(params=LAKES)
def lake(project: Project, request: pytest.FixtureRequest) -> Lake:
    make: Callable[[Project, pytest.FixtureRequest], Lake] = request.param
    return make(project, request)
