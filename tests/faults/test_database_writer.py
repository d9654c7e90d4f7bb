"""Incremental runs while somebody writes all the time: at the end every row is there once, with its last value.

`DATIVO_RUNS` is the number of runs, 10 without it; `just soak-databases` makes 50.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.database import Orders, assert_same, inherited
from tests.faults.writer import NEW

pytestmark = [pytest.mark.slow, pytest.mark.server]

RUNS = int(os.environ.get("DATIVO_RUNS", "10"))
THREADS = 3


@contextmanager
def writer(orders: Orders, seed: int) -> Iterator[subprocess.Popen[str]]:
    """The process that writes, meanwhile."""
    moment = "timestamp(6)" if orders.database.dialect == "postgres" else "datetime(6)"
    orders.database.execute(f"CREATE TABLE history (id bigint, name varchar(100), updated_at {moment});")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.writer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[2], env=inherited(),
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and orders.database.server is not None
    order = {
        "dialect": orders.database.dialect, "name": orders.database.name, "port": orders.database.server.port,
        "threads": THREADS, "seed": seed,
    }  # fmt: skip
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    try:
        yield process
        process.stdin.close()
        transactions = int(process.stdout.read())
        assert process.wait(60) == 0 and transactions >= RUNS
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def load(orders: Orders) -> int:
    """Runs until the writer stops; how many of them loaded something."""
    loaded = 0
    for _ in range(RUNS):
        receipt = orders.sync("orders")
        assert receipt.exit_code == 0, receipt.streams[0].error
        loaded += receipt.status == "loaded"
    return loaded


@pytest.mark.parametrize("connections", [None, 3], ids=["", "three connections"])
def test_upserts_while_somebody_writes_end_in_every_row_with_its_last_value(
    orders: Orders, connections: int | None
) -> None:
    engine = {} if connections is None else {"engine": {"options": {"connections": connections}}}
    orders.configure("upsert", "updated_at", incremental={"lookback_days": 1}, **engine)
    orders.fill(0, 300)
    with writer(orders, 1):
        assert load(orders) >= RUNS / 2
    assert orders.sync("orders").exit_code == 0
    assert_same(orders.found(), orders.truth())


def test_appends_while_somebody_writes_have_every_version_at_most_once_and_the_last_one_of_every_row(
    orders: Orders,
) -> None:
    orders.configure("append", "updated_at", incremental={"lookback_days": 1})
    orders.fill(0, 300)
    first = versions(orders.truth())
    with writer(orders, 2):
        assert load(orders) >= RUNS / 2
    assert orders.sync("orders").exit_code == 0
    found = versions(orders.found())
    assert max(found.values()) == 1, [v for v, n in found.items() if n > 1][:3]
    committed = first + Counter(orders.database.select("SELECT id, name, updated_at FROM history"))
    assert not found - committed, "versions that were never committed"
    last = versions(orders.truth())
    assert not last - found, "rows whose last version is not there"


def test_full_loads_while_somebody_writes_are_each_a_picture_of_one_moment(orders: Orders) -> None:
    """The new rows of a transaction are all there or none, and nothing is there that came after what is missing."""
    orders.fill(0, 300)
    with writer(orders, 3):
        for _ in range(RUNS):
            assert orders.sync("orders").exit_code == 0
            rows = orders.found()
            assert max(Counter(row[0] for row in rows.elements()).values()) == 1
            for thread in range(THREADS):
                fresh = sorted(row[0] for row in rows if row[0] >= 300 and row[0] % THREADS == thread)
                assert len(fresh) % NEW == 0, (thread, len(fresh))
                assert fresh == list(range(300 + thread, 300 + thread + THREADS * len(fresh), THREADS))
    orders.right()


def versions(rows: Counter[tuple[object, ...]]) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for row, n in rows.items():
        found[(row[0], row[1], row[3])] += n
    return found
