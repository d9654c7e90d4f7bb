"""A full load that is killed: the next run goes on where it was, and the table ends right whatever changed in between."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.database import LONGEST, WIDE, Orders, assert_same
from tests.faults.test_database_breaks import begun, others, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROWS = 16_000
# Bytes of a whole reading, of which it has some more.
WHOLE = ROWS * WIDE
# Pieces that are kept when a run dies, of sixteen to eighteen, after so many bytes.
PART, DEATH = 11, WHOLE * 3 // 4
# Pieces are of many megabytes, which tables of tests do not have.
SMALL = "import dativo.sources.{0}.pieces as pieces; pieces.PIECE_{1} = {2}; from dativo.cli.app import main; main()"


def small(orders: Orders) -> tuple[str, str, int]:
    """The database, and the setting of its source that makes pieces small."""
    return ("postgres", "BYTES", 1 << 20) if orders.database.dialect == "postgres" else ("mysql", "ROWS", 1_000)


def program(orders: Orders) -> tuple[str, str]:
    """dativo with small pieces."""
    return "-c", SMALL.format(*small(orders))


def broken(orders: Orders, how: str = "kill", pieces: int = PART, after: int = DEATH) -> None:
    """A run that dies when it has read so many bytes and kept so many pieces."""
    assert orders.way is not None

    def end() -> None:
        wait_until(lambda: kept(orders) >= pieces)
        process.kill() if how == "kill" else others(orders)()

    moment = orders.way.at(end, after=after)
    process = begun(orders, program(orders))
    try:
        out, err = process.communicate(timeout=LONGEST)
    finally:
        process.kill()
    assert moment.met and moment.failure is None, (moment, out, err)
    assert process.returncode == (-signal.SIGKILL if how == "kill" else 2), out + err
    assert orders.found().total() == 0


def kept(orders: Orders) -> int:
    """How many pieces of the reading are kept by now."""
    found = list((orders.root / ".local/resume").rglob("manifest.jsonl"))
    return max((path.read_bytes().count(b"\n") - 1 for path in found), default=0)


def resumed(orders: Orders) -> int:
    """Bytes that the next run reads."""
    assert orders.way is not None
    orders.way.calm()
    dialect, name, size = small(orders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"dativo.sources.{dialect}.pieces.PIECE_{name}", size)
        ended = orders.here()
    assert ended.code == 0, ended
    return orders.way.down


@pytest.mark.parametrize("how", ["kill", "backend"])
@pytest.mark.parametrize("cursor", [None, "updated_at"], ids=["full", "incremental"])
def test_a_first_load_that_died_is_gone_on_with(orders: Orders, cursor: str | None, how: str) -> None:
    """The next run reads less than half of the table, and ends with what the table has by then."""
    orders.fill(0, ROWS, WIDE)
    orders.configure("replace" if cursor is None else "upsert", cursor)
    broken(orders, how)
    orders.change(updated="205, 15010", deleted="210, 211, 15020")
    again = resumed(orders)
    assert again < WHOLE / 2, (again, WHOLE)
    assert_same(orders.found(), orders.truth())
    assert not list(Path(orders.root, ".local/resume").rglob("*.arrow"))
    orders.right()


CHANGES: dict[str, str] = {
    "everywhere": "UPDATE orders SET name = 'changed', updated_at = '2025-01-01 00:00:00' WHERE id % 500 = 0;",
    "emptied": "DELETE FROM orders;",
    "moved": "UPDATE orders SET id = id + 1000000 WHERE id < 2000;",
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_after_a_kill_is_in_the_table_at_the_end(orders: Orders, what: str) -> None:
    orders.fill(0, ROWS, WIDE)
    broken(orders)
    orders.database.execute(CHANGES[what])
    resumed(orders)
    assert_same(orders.found(), orders.truth())


def test_a_table_that_was_made_anew_after_a_kill_is_read_anew(orders: Orders) -> None:
    """The same name, the same columns, other rows: what was kept of the old one is worth nothing."""
    orders.fill(0, ROWS, WIDE)
    broken(orders)
    orders.database.execute("TRUNCATE TABLE orders;")
    orders.fill(0, ROWS, WIDE, "2020-01-01 00:00:00")
    resumed(orders)
    assert_same(orders.found(), orders.truth())


def test_two_kills_go_on_twice(orders: Orders) -> None:
    orders.fill(0, ROWS, WIDE)
    broken(orders, pieces=5, after=WHOLE * 2 // 5)
    broken(orders, after=WHOLE * 2 // 5)
    again = resumed(orders)
    assert_same(orders.found(), orders.truth())
    assert again < WHOLE / 2, (again, WHOLE)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a piece is gone": ("piece-*.arrow", Path.unlink),
    "a piece is cut": ("piece-*.arrow", _cut),
    "the manifest is cut": ("manifest.jsonl", _cut),
    "the manifest is no JSON": ("manifest.jsonl", lambda p: p.write_bytes(b"\x00\xff{]")),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_was_kept_and_is_damaged_is_read_again(orders: Orders, what: str) -> None:
    orders.fill(0, ROWS, WIDE)
    broken(orders)
    pattern, harm = DAMAGES[what]
    found = sorted(Path(orders.root, ".local/resume").rglob(pattern))
    assert found
    harm(found[0])
    resumed(orders)
    assert_same(orders.found(), orders.truth())
