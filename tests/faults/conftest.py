"""Processes that tests of faults start, and that are gone when a test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.worker import Worker


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
