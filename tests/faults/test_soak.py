"""A short soak: random mishaps on the embedded catalog and on Nessie; `just soak N` runs a long one."""

from __future__ import annotations

import os

import pytest

from tests.faults.soak import soak

ROUNDS = int(os.environ.get("DATIVO_SOAK", "30"))


@pytest.mark.server
@pytest.mark.slow
def test_random_mishaps_lose_double_or_break_nothing() -> None:
    tally = soak(ROUNDS, seed=20261122)
    assert tally.good, tally.summary()
