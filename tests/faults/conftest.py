"""Processes that tests of faults start, and that are gone when a test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.people import FIELDS, ROWS, people
from tests.faults.worker import Worker
from tests.project import Project


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
