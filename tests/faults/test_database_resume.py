"""A full load that is killed: the next run goes on where it was, and the table ends right whatever changed in between."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dativo import load_job, sync
from tests.faults.database import WIDE, Orders, assert_same
from tests.faults.test_database_breaks import begun, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROWS = 30_000
# Of about sixteen.
PART = 10
# Pieces are of many megabytes, which tables of tests do not have.
SMALL = (
    "-c",
    "import dativo.sources.{0}.pieces as pieces; pieces.PIECE_{1} = {2}; from dativo.cli.app import main; main()",
)


def program(orders: Orders) -> tuple[str, str]:
    """dativo with small pieces."""
    small = ("postgres", "BYTES", 2 << 20) if orders.database.dialect == "postgres" else ("mysql", "ROWS", 2_000)
    return SMALL[0], SMALL[1].format(*small)


def size(orders: Orders) -> int:
    """Bytes of a whole reading, measured by one of another tenant."""
    assert orders.way is not None
    job = Path(orders.root, "jobs/acme/orders.yaml").read_text()
    orders.write("jobs/other/orders.yaml", job.replace("tenant_id: acme", "tenant_id: other"))
    orders.way.calm()
    assert sync(load_job(orders.root / "jobs/other/orders.yaml")).exit_code == 0
    return orders.way.down


def killed(orders: Orders, pieces: int) -> None:
    """A run that is killed once so many pieces are kept."""
    process = begun(orders, program(orders))
    try:
        wait_until(lambda: kept(orders) >= pieces or process.poll() is not None)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert orders.found().total() == 0


def by_cursor(orders: Orders) -> None:
    """The job as both databases can go on with it; without a cursor only Postgres can."""
    if orders.database.dialect == "mysql":
        orders.configure("upsert", "updated_at")


def cut(orders: Orders, whole: int) -> None:
    """A run that is killed when it has read most of what there is."""
    assert orders.way is not None
    process = begun(orders, program(orders))
    moment = orders.way.at(lambda: process.send_signal(signal.SIGKILL), after=whole * 6 // 10)
    process.communicate(timeout=120)
    assert moment.met and process.returncode == -signal.SIGKILL


def kept(orders: Orders) -> int:
    """How many pieces of the reading are kept by now."""
    found = list((orders.root / ".local/resume").rglob("manifest.jsonl"))
    return max((path.read_bytes().count(b"\n") - 1 for path in found), default=0)


def resumed(orders: Orders) -> int:
    """Bytes that the next run reads."""
    assert orders.way is not None
    orders.way.calm()
    process = begun(orders, program(orders))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    return orders.way.down


@pytest.mark.parametrize("cursor", [None, "updated_at"], ids=["full", "incremental"])
def test_a_killed_first_load_is_gone_on_with(orders: Orders, cursor: str | None) -> None:
    orders.fill(0, ROWS, WIDE)
    orders.configure("replace" if cursor is None else "upsert", cursor)
    whole = size(orders)
    if cursor is None and orders.database.dialect == "mysql":
        # Nothing tells whether its rows are still the same: all is read again.
        cut(orders, whole)
        assert resumed(orders) > whole / 2
    else:
        killed(orders, PART)
        again = resumed(orders)
        assert again < whole / 2, (again, whole)
    assert_same(orders.found(), orders.truth())
    assert not list(Path(orders.root, ".local/resume").rglob("*.parquet"))
    orders.right()


CHANGES: dict[str, str] = {
    "updated": "UPDATE orders SET name = 'changed', updated_at = '2025-01-01 00:00:00' WHERE id % 1000 = 0;",
    "deleted": "DELETE FROM orders WHERE id < 500;",
    "inserted": "INSERT INTO orders VALUES (-1, 'new', 1, '2025-01-01 00:00:00', '');",
    "emptied": "DELETE FROM orders;",
    "moved": "UPDATE orders SET id = id + 1000000 WHERE id < 2000;",
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_after_a_kill_is_in_the_table_at_the_end(orders: Orders, what: str) -> None:
    by_cursor(orders)
    orders.fill(0, ROWS, WIDE)
    killed(orders, PART)
    orders.database.execute(CHANGES[what])
    resumed(orders)
    assert_same(orders.found(), orders.truth())


def test_a_table_that_was_made_anew_after_a_kill_is_read_anew(orders: Orders) -> None:
    """The same name, the same columns, other rows: what was kept of the old one is worth nothing."""
    by_cursor(orders)
    orders.fill(0, ROWS, WIDE)
    killed(orders, PART)
    orders.database.execute("TRUNCATE TABLE orders;")
    orders.fill(0, ROWS, WIDE, "2020-01-01 00:00:00")
    resumed(orders)
    assert_same(orders.found(), orders.truth())


def test_two_kills_go_on_twice(orders: Orders) -> None:
    by_cursor(orders)
    orders.fill(0, ROWS, WIDE)
    whole = size(orders)
    killed(orders, 5)
    killed(orders, 11)
    again = resumed(orders)
    assert_same(orders.found(), orders.truth())
    assert again < whole / 2, (again, whole)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a piece is gone": ("*.parquet", Path.unlink),
    "a piece is cut": ("*.parquet", _cut),
    "the manifest is cut": ("manifest.jsonl", _cut),
    "the manifest is empty": ("manifest.jsonl", lambda p: p.write_bytes(b"")),
    "the manifest is no JSON": ("manifest.jsonl", lambda p: p.write_bytes(b"\x00\xff{]")),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_was_kept_and_is_damaged_is_read_again(orders: Orders, what: str) -> None:
    by_cursor(orders)
    orders.fill(0, ROWS, WIDE)
    killed(orders, PART)
    pattern, harm = DAMAGES[what]
    found = sorted(Path(orders.root, ".local/resume").rglob(pattern))
    assert found
    harm(found[0])
    resumed(orders)
    assert_same(orders.found(), orders.truth())
