"""Fixtures of every test. Nothing of the person's own environment reaches a test."""

from __future__ import annotations

import os
import signal
from collections import Counter
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

# The files that take longest, the longest first: begun at the end of a run, one of them leaves the other workers idle.
_LONGEST = (
    "unit/test_docs.py", "faults/test_soak.py", "conformance/test_merge.py", "conformance/test_upkeep.py",
    "conformance/test_target.py", "conformance/test_target_rivals.py", "faults/test_lost_reply.py",
    "faults/test_lake_servers.py", "faults/test_nessie.py", "unit/test_write_modes.py", "faults/test_kill.py",
    "unit/test_postgres_types.py", "faults/test_fuzz_csv.py", "faults/test_fuzz_config.py", "unit/test_key_index.py",
    "faults/test_database_breaks.py", "faults/test_database_writer.py", "unit/test_maintain.py",
    "faults/test_lake_replies.py", "faults/test_system.py", "faults/test_maintain_race.py",
    "faults/test_object_faults.py", "faults/test_lake_kills.py", "conformance/test_source.py",
    "conformance/test_samples.py",
)  # fmt: skip

_FOREIGN = (
    "DATIVO_", "STATE_DIR", "NESSIE_", "S3_", "AWS_", "MINIO_", "PG", "POSTGRES_", "MYSQL_", "SQLITE_", "NO_COLOR",
    "FORCE_COLOR", "COLUMNS",
)  # fmt: skip


def pytest_configure() -> None:
    """Programs that tests start heed Ctrl-C, even where a shell has begun the tests in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files that take longest, and ends with those of few tests; each file stays together."""
    place = {f"tests/{name}": number for number, name in enumerate(_LONGEST)}
    tests = Counter(item.location[0] for item in items)
    items.sort(key=lambda item: (place.get(item.location[0], len(place)), -tests[item.location[0]], item.location[0]))


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
