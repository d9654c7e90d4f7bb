"""Incremental loads of tables whose cursors are as databases have them: equal, late, null, unsorted, precise."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.database import UNKEYED, Orders, assert_same
from tests.samples.model import text

pytestmark = [pytest.mark.slow, pytest.mark.server]

MODES = ("upsert", "append")
NO_LOOKBACK = {"lookback_days": 0}


def insert(orders: Orders, number: int, moment: str | None, name: str = "n") -> None:
    when = "NULL" if moment is None else text(moment, orders.database.dialect)
    orders.database.execute(f"INSERT INTO orders VALUES ({number}, '{name}', 1.50, {when}, '');")


def run(orders: Orders) -> dict[str, Any]:
    ended = orders.here()
    assert ended.code == 0, ended
    return ended.stream


@pytest.mark.parametrize("mode", MODES)
def test_rows_with_the_cursor_at_the_boundary_are_all_loaded_once(orders: Orders, mode: str) -> None:
    orders.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    for number in range(3):
        insert(orders, number, "2024-05-01 12:00:00.123456")
    run(orders)
    insert(orders, 3, "2024-05-01 12:00:00.123456")
    insert(orders, 4, "2024-05-01 12:00:00.123457")
    run(orders)
    assert_same(orders.found(), orders.truth())
    run(orders)
    assert_same(orders.found(), orders.truth())


@pytest.mark.parametrize("mode", MODES)
def test_rows_with_the_cursor_at_the_boundary_are_loaded_once_without_a_key(orders: Orders, mode: str) -> None:
    if mode == "upsert":
        orders.asset(UNKEYED, "orders")
        orders.configure(mode, "updated_at", incremental=NO_LOOKBACK)
        insert(orders, 1, "2024-05-01 12:00:00")
        orders.here().refused("key")
        return
    orders.database.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey;" if orders.database.dialect == "postgres"
                            else "ALTER TABLE orders DROP PRIMARY KEY;")  # fmt: skip
    orders.asset(UNKEYED, "orders")
    orders.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    # Rows that are equal in every column are rows of their own.
    for number in (1, 1, 2):
        insert(orders, number, "2024-05-01 12:00:00")
    run(orders)
    assert_same(orders.found(), orders.truth())
    for number in (2, 3, 3):
        insert(orders, number, "2024-05-01 12:00:00")
    run(orders)
    assert_same(orders.found(), orders.truth())


@pytest.mark.parametrize("mode", MODES)
def test_rows_without_a_cursor_are_loaded_once(orders: Orders, mode: str) -> None:
    orders.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    insert(orders, 1, None)
    insert(orders, 2, "2024-05-01 12:00:00")
    run(orders)
    insert(orders, 3, None)
    run(orders)
    assert_same(orders.found(), orders.truth())
    run(orders)
    assert_same(orders.found(), orders.truth())


def test_a_table_whose_cursors_are_all_null_is_loaded_and_loaded_on(orders: Orders) -> None:
    orders.configure("upsert", "updated_at")
    for number in range(5):
        insert(orders, number, None)
    run(orders)
    insert(orders, 5, None)
    run(orders)
    assert_same(orders.found(), orders.truth())


@pytest.mark.parametrize("mode", MODES)
def test_a_cursor_that_follows_no_order_loses_nothing(orders: Orders, mode: str) -> None:
    orders.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    for number, day in enumerate((9, 2, 7, 1, 9, 3)):
        insert(orders, number, f"2024-05-0{day} 00:00:00")
    run(orders)
    for number, day in enumerate((9, 12, 10, 11), 6):
        insert(orders, number, f"2024-05-{day:02d} 00:00:00")
    run(orders)
    assert_same(orders.found(), orders.truth())


@pytest.mark.parametrize("mode", MODES)
def test_a_transaction_that_is_committed_after_a_run_is_found_by_the_lookback(orders: Orders, mode: str) -> None:
    """Its rows have the time of its beginning, which lies before the saved cursor."""
    orders.configure(mode, "updated_at", incremental={"lookback_days": 1})
    late = orders.database._connect()
    try:
        with late.cursor() as cursor:
            cursor.execute("INSERT INTO orders VALUES (100, 'late', 1, '2024-05-01 11:00:00', '')")
            insert(orders, 1, "2024-05-01 12:00:00")
            run(orders)
            assert orders.ids() == [1]
            late.commit()
    finally:
        late.close()
    insert(orders, 2, "2024-05-01 12:30:00")
    run(orders)
    assert_same(orders.found(), orders.truth())


def test_an_older_version_that_arrives_late_changes_nothing(orders: Orders) -> None:
    """The lookback reads it, the table has a newer one."""
    orders.configure("upsert", "updated_at", incremental={"lookback_days": 30})
    insert(orders, 1, "2024-05-10 00:00:00", "newest")
    run(orders)
    orders.database.execute("UPDATE orders SET name = 'older', updated_at = '2024-05-09 00:00:00' WHERE id = 1;")
    run(orders)
    assert [row[1] for row in orders.found()] == ["newest"]


def test_append_keeps_every_version_of_a_key_once(orders: Orders) -> None:
    orders.configure("append", "updated_at", incremental={"lookback_days": 3})
    insert(orders, 1, "2024-05-01 00:00:00", "first")
    versions = orders.truth()
    run(orders)
    for day, name in ((2, "second"), (3, "third")):
        orders.database.execute(
            f"UPDATE orders SET name = '{name}', updated_at = '2024-05-0{day} 00:00:00' WHERE id = 1;"
        )
        versions += orders.truth()
        run(orders)
        run(orders)
    assert_same(orders.found(), versions)


def test_a_key_that_is_not_unique_in_the_database_loses_no_row_unseen(orders: Orders) -> None:
    """The contract says key, the database has it twice with different values: they are versions, or the run says no."""
    orders.database.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey;" if orders.database.dialect == "postgres"
                            else "ALTER TABLE orders DROP PRIMARY KEY;")  # fmt: skip
    orders.configure("append", "updated_at", incremental=NO_LOOKBACK)
    insert(orders, 1, "2024-05-01 00:00:00", "one")
    insert(orders, 1, "2024-05-02 00:00:00", "other")
    insert(orders, 2, "2024-05-01 00:00:00", "two")
    stream = run(orders)
    assert_same(orders.found(), orders.truth())
    assert stream["loaded"] == 3
    # The same key with the same cursor counts as loaded, and the receipt counts what was left out.
    insert(orders, 2, "2024-05-02 00:00:00", "once")
    insert(orders, 2, "2024-05-02 00:00:00", "again")
    stream = run(orders)
    assert stream["loaded"] == 1 and stream["deduplicated"] >= 1, stream


@pytest.mark.parametrize("what", ["missing", "of a type without an order"])
def test_a_cursor_column_that_cannot_serve_is_refused(orders: Orders, what: str) -> None:
    orders.fill(0, 10)
    orders.configure("append", "changed_at" if what == "missing" else "note")
    if what == "missing":
        ended = orders.here()
        ended.refused("changed_at")
        assert orders.found().total() == 0
    else:
        # Text is compared as the database compares text.
        orders.database.execute("UPDATE orders SET note = id;")
        run(orders)
        assert_same(orders.found(), orders.truth())
        run(orders)
        assert_same(orders.found(), orders.truth())


def test_integers_beyond_doubles_are_cursors_to_the_last_digit(orders: Orders) -> None:
    orders.configure("append", "id", incremental=NO_LOOKBACK)
    big = 2**62
    for number in range(3):
        insert(orders, big + number, None)
    run(orders)
    insert(orders, big + 3, None)
    stream = run(orders)
    assert stream["loaded"] == 1, stream
    assert_same(orders.found(), orders.truth())


def test_since_and_until_read_their_part_and_leave_the_cursor_right(orders: Orders) -> None:
    orders.configure("upsert", "updated_at", incremental=NO_LOOKBACK)
    for day in range(1, 10):
        insert(orders, day, f"2024-05-0{day} 00:00:00")
    assert orders.here("--until", "2024-05-04").code == 0
    assert orders.ids() == [1, 2, 3]
    # A gap is left: the cursor stays.
    assert orders.here("--since", "2024-05-08").code == 0
    assert orders.ids() == [1, 2, 3, 8, 9]
    run(orders)
    assert_same(orders.found(), orders.truth())
