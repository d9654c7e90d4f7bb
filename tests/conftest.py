"""Fixtures of every test. Nothing of the person's own environment reaches a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.project import Project

pytest_plugins = ["tests.services.fixtures"]

settings.register_profile(
    "dativo", deadline=None, max_examples=int(os.environ.get("DATIVO_EXAMPLES", "60")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.load_profile("dativo")

_FOREIGN = (
    "DATIVO_", "STATE_DIR", "NESSIE_", "S3_", "AWS_", "MINIO_", "PG", "POSTGRES_", "MYSQL_", "SQLITE_", "NO_COLOR",
    "FORCE_COLOR", "COLUMNS",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_FOREIGN) and name != "DATIVO_EXAMPLES":
            monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)
