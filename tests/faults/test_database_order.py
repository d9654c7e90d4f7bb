"""Cursors that a database orders in another way than a table does: no newer version is taken for a late one."""

from __future__ import annotations

import pytest

from tests.faults.database import FIELDS, Orders, assert_same
from tests.samples.model import quoted

pytestmark = [pytest.mark.slow, pytest.mark.server]

COLLATED = {"postgres": 'ALTER TABLE orders ALTER name TYPE text COLLATE "en-x-icu";',
            "mysql": "ALTER TABLE orders MODIFY name varchar(100) COLLATE utf8mb4_general_ci;"}  # fmt: skip
BYTES = {"postgres": 'ALTER TABLE orders ALTER name TYPE text COLLATE "C";',
         "mysql": "ALTER TABLE orders MODIFY name varchar(100) COLLATE utf8mb4_bin;"}  # fmt: skip


def load(orders: Orders) -> None:
    ended = orders.here()
    assert ended.code == 0, ended


def put(orders: Orders, number: int, name: str, amount: str = "1.50") -> None:
    orders.database.execute(
        f"DELETE FROM orders WHERE id = {number};"
        f"INSERT INTO orders VALUES ({number}, '{name}', {amount}, '2024-05-01 00:00:00', '');"
    )


@pytest.mark.parametrize("mode", ["upsert", "scd2"])
def test_a_text_that_a_collation_puts_behind_another_is_newer(orders: Orders, mode: str) -> None:
    orders.database.execute(COLLATED[orders.database.dialect])
    orders.configure(mode, "name")
    put(orders, 1, "a")
    put(orders, 2, "b")
    load(orders)
    # By their bytes capitals come first.
    put(orders, 1, "C")
    put(orders, 3, "D")
    load(orders)
    if mode == "upsert":
        assert_same(orders.found(), orders.truth())
        return
    table = orders.rows("default.orders")
    assert sorted(table.filter("is_current")["name"]) == ["C", "D", "b"]


def test_a_number_that_the_contract_calls_a_text_is_newer_when_it_is_greater(orders: Orders) -> None:
    orders.asset([{**f, "type": "string"} if f["name"] == "amount" else f for f in FIELDS], "orders")
    orders.configure("upsert", "amount")
    put(orders, 1, "first", "9")
    load(orders)
    put(orders, 1, "second", "10")
    load(orders)
    assert [(row[1], row[2]) for row in orders.found()] == [("second", "10.00")]


def test_texts_that_are_ordered_by_bytes_are_told_apart_as_times_are(orders: Orders) -> None:
    """A version that was read late stays out where the order is one."""
    orders.database.execute(BYTES[orders.database.dialect])
    orders.configure("upsert", "name")
    put(orders, 1, "2024-05-02")
    load(orders)
    put(orders, 1, "2024-05-01")
    ended = orders.dativo("--since", "2024-01-01")
    assert ended.code == 0, ended
    assert [row[1] for row in orders.found()] == ["2024-05-02"]


def test_the_order_of_a_query_is_asked_for(orders: Orders) -> None:
    dialect = orders.database.dialect
    orders.database.execute(COLLATED[dialect])
    orders.configure(
        "upsert", "name", tables=[], queries=[{"name": "orders", "sql": f"SELECT * FROM {quoted('orders', dialect)}"}]
    )
    put(orders, 1, "a")
    load(orders)
    put(orders, 1, "B")
    load(orders)
    assert_same(orders.found(), orders.truth())
