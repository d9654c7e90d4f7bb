"""A full load of a large table that dies at three fifths, with all settings as users have them."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.database import LONGEST, WIDE, Orders, assert_same
from tests.faults.strait import strait
from tests.faults.test_database_breaks import begun, others
from tests.samples.databases import new_database
from tests.services.postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROWS = 120_000
# Bytes of a whole reading: a row has more than its note.
WHOLE = ROWS * (WIDE + 64)
COLUMNS = ("id", "name", "amount", "updated_at")


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: Postgres) -> Iterator[Orders]:
    """The job before a table of some 120 MB."""
    monkeypatch.chdir(tmp_path)
    database = new_database("postgres", tmp_path, postgres_server)
    with strait(postgres_server.port) as way:
        made = Orders(tmp_path, database, way)
        made.fill(0, ROWS, WIDE)
        yield made
    database.execute("DROP TABLE orders;")


def broken(orders: Orders, how: str) -> int:
    """A run that dies when three fifths of the table have come; how many bytes had."""
    assert orders.way is not None
    moment = orders.way.at(lambda: process.kill() if how == "kill" else others(orders)(), after=WHOLE * 3 // 5)
    process = begun(orders)
    try:
        out, err = process.communicate(timeout=LONGEST)
    finally:
        process.kill()
    assert moment.met and moment.failure is None, (moment, out, err)
    assert process.returncode == (-signal.SIGKILL if how == "kill" else 2), out + err
    return moment.since


def found(orders: Orders) -> Counter[tuple[Any, ...]]:
    return Counter(orders.rows("default.orders").select(COLUMNS).rows())


def truth(orders: Orders) -> Counter[tuple[Any, ...]]:
    return Counter(orders.database.select(f"SELECT {', '.join(COLUMNS)} FROM orders"))


@pytest.mark.parametrize("how", ["kill", "backend"])
@pytest.mark.parametrize("cursor", [None, "updated_at"], ids=["full", "incremental"])
def test_a_first_load_that_died_at_three_fifths_reads_less_than_half_again(
    large: Orders, cursor: str | None, how: str
) -> None:
    large.configure("replace" if cursor is None else "upsert", cursor)
    before = broken(large, how)
    assert WHOLE * 0.58 < before < WHOLE * 0.62, (before, WHOLE)
    large.change(updated="205, 30010, 110010", deleted="210, 211, 115020")
    assert large.way is not None
    large.way.calm()
    ended = large.here()
    assert ended.code == 0, ended
    assert any("were kept from a run that did not end" in w for w in ended.stream["warnings"]), ended
    again = large.way.down
    assert again < WHOLE / 2, (again / WHOLE, before / WHOLE)
    assert_same(found(large), truth(large))
    assert not list(Path(large.root, ".local/resume").rglob("*.arrow"))
    large.way.calm()
    assert large.here("--full-refresh").code == 0
    whole = large.way.down
    assert WHOLE * 0.98 < whole < WHOLE * 1.02, (whole, WHOLE)
