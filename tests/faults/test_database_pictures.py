"""Databases that change while a run reads them: what is loaded is a picture of one moment, and the next run has the rest."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.database import FIELDS, WIDE, Orders, assert_same

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROWS = 24_000
MIDDLE = 5_000_000


@pytest.mark.parametrize("connections", [1, 3])
def test_rows_that_change_while_they_are_read_are_loaded_as_they_were(orders: Orders, connections: int) -> None:
    """A third changes, a third goes, as many come, and one row moves from the end of the reading to its beginning."""
    orders.configure(engine={"options": {"connections": connections}})
    orders.fill(0, ROWS, WIDE)
    before = orders.truth()

    def change() -> None:
        orders.database.execute("UPDATE orders SET name = 'changed', amount = -1 WHERE id % 3 = 0;")
        orders.database.execute("DELETE FROM orders WHERE id % 3 = 1;")
        orders.fill(ROWS, ROWS + 5_000, WIDE)
        orders.database.execute(f"UPDATE orders SET id = -1 WHERE id = {ROWS - 1};")

    assert orders.way is not None
    moment = orders.way.at(change, after=MIDDLE)
    ended = orders.here()
    assert moment.met and moment.failure is None, moment.failure
    assert ended.code == 0, ended
    assert_same(orders.found(), before)
    orders.right()


def test_rows_that_change_between_the_parts_of_a_reading_are_loaded_as_they_were(orders: Orders) -> None:
    """The change comes when the first connection has barely begun: whatever opens later must not see it."""
    orders.configure(engine={"options": {"connections": 4}})
    orders.fill(0, ROWS, WIDE)
    before = orders.truth()
    assert orders.way is not None
    moment = orders.way.at(lambda: orders.database.execute("DELETE FROM orders WHERE id >= 100;"), after=200_000)
    assert orders.here().code == 0
    assert moment.met and moment.failure is None, moment.failure
    assert_same(orders.found(), before)
    orders.right()


def test_an_incremental_run_loads_what_was_there_at_its_beginning(orders: Orders) -> None:
    orders.configure("upsert", "updated_at", incremental={"lookback_days": 0})
    orders.fill(0, 2_000)
    orders.right()
    orders.fill(2_000, ROWS, WIDE, "2024-02-01 00:00:00")
    before = orders.truth()
    later = "timestamp '2024-03-01 00:00:00'"
    assert orders.way is not None
    moment = orders.way.at(
        lambda: orders.database.execute(f"UPDATE orders SET name = 'later', updated_at = {later} WHERE id % 2 = 0;"),
        after=MIDDLE,
    )
    assert orders.here().code == 0
    assert moment.met and moment.failure is None, moment.failure
    assert_same(orders.found(), before)
    orders.right()


def test_a_table_that_vanishes_before_it_is_read_is_named(orders: Orders) -> None:
    orders.fill(0, 100)
    orders.right()
    before = orders.found()
    orders.database.execute("ALTER TABLE orders RENAME TO moved;")
    ended = orders.here()
    ended.refused("orders")
    assert orders.found() == before
    orders.database.execute("ALTER TABLE moved RENAME TO orders;")
    orders.right()


def test_a_table_that_vanishes_while_it_is_read_does_so_before_or_after_the_run(orders: Orders) -> None:
    """It waits for the reader, or the reader finds it gone; half of it is never loaded."""
    orders.fill(0, ROWS, WIDE)
    whole = orders.truth()
    limit = "SET lock_timeout = '1s'; " if orders.database.dialect == "postgres" else "SET lock_wait_timeout = 1; "

    def drop() -> None:
        try:
            orders.database.execute(f"{limit}ALTER TABLE orders RENAME TO moved;")
        except AssertionError as error:  # the reader holds it
            assert "timeout" in str(error).lower(), error

    assert orders.way is not None
    moment = orders.way.at(drop, after=MIDDLE)
    ended = orders.here()
    assert moment.met and moment.failure is None, moment.failure
    if ended.code == 0:
        assert_same(orders.found(), whole)
    else:
        ended.refused("orders")
        assert orders.found().total() == 0


DRIFT = {
    "dropped": "ALTER TABLE orders DROP COLUMN name;",
    "renamed": "ALTER TABLE orders RENAME COLUMN name TO title;",
    "typed anew": "ALTER TABLE orders DROP COLUMN amount; ALTER TABLE orders ADD COLUMN amount text; "
    "UPDATE orders SET amount = 'many';",
    "cursor typed anew": "ALTER TABLE orders DROP COLUMN updated_at; ALTER TABLE orders ADD COLUMN updated_at bigint; "
    "UPDATE orders SET updated_at = id;",
}  # fmt: skip


@pytest.mark.parametrize("what", DRIFT)
def test_a_schema_that_drifts_between_two_runs_is_told_and_harms_no_row(orders: Orders, what: str) -> None:
    orders.asset([{**f, "required": True} for f in FIELDS], "orders")
    orders.configure("upsert", "updated_at")
    orders.fill(0, 100)
    orders.right()
    before = orders.found()
    orders.database.execute(DRIFT[what])
    ended = orders.here()
    ended.refused("name", "amount", "updated_at")
    assert orders.found() == before


def test_a_schema_that_drifts_while_a_run_reads_ends_in_the_old_rows_or_none(orders: Orders) -> None:
    """The change waits for the reader or comes before it; a column is never filled with another's values."""
    orders.fill(0, ROWS, WIDE)
    whole = orders.truth()
    limit = "SET lock_timeout = '1s'; " if orders.database.dialect == "postgres" else "SET lock_wait_timeout = 1; "

    def drift() -> None:
        try:
            orders.database.execute(
                f"{limit}ALTER TABLE orders DROP COLUMN amount; ALTER TABLE orders ADD COLUMN amount int;"
            )
        except AssertionError as error:
            assert "timeout" in str(error).lower(), error

    assert orders.way is not None
    moment = orders.way.at(drift, after=300_000)
    ended = orders.here()
    assert moment.met and moment.failure is None, moment.failure
    if ended.code == 0:
        assert_same(orders.found(), whole)
    else:
        ended.refused("amount", "definition", "chang")
        assert orders.found() == Counter()
    orders.right()
