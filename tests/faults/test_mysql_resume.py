"""A load of MySQL that was killed and has no cursor: what was kept is proven by its values alone."""

from __future__ import annotations

import pytest

from tests.faults.database import WIDE, Orders, assert_same
from tests.faults.test_database_resume import ROWS, WHOLE, broken, resumed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.parametrize("orders", [pytest.param("mysql", marks=pytest.mark.server)], indirect=True),
]

# What somebody does to rows that were kept, and no cursor tells.
UNTOLD = {
    "nothing": "SELECT 1;",
    "a cent": "UPDATE orders SET amount = amount + 0.01 WHERE id = 1205;",
    "a null for an empty text": "UPDATE orders SET name = NULL WHERE id = 2210;",
    "a text that goes from one column to the next": (
        "UPDATE orders SET note = CONCAT(name, ',', note), name = '' WHERE id = 1300;"
    ),
    "two rows that change places": (
        "UPDATE orders AS a, (SELECT * FROM orders) AS b SET a.name = b.name, a.amount = b.amount "
        "WHERE (a.id = 3001 AND b.id = 3002) OR (a.id = 3002 AND b.id = 3001);"
    ),
    "one row goes, another comes": "DELETE FROM orders WHERE id = 1500; INSERT INTO orders VALUES (-5, '', 0, NULL, '');",
}


@pytest.mark.parametrize("what", UNTOLD)
def test_what_no_cursor_tells_is_noticed(orders: Orders, what: str) -> None:
    orders.fill(0, ROWS, WIDE)
    orders.database.execute("UPDATE orders SET name = '' WHERE id = 2210;")
    broken(orders)
    for statement in UNTOLD[what].split("; "):
        orders.database.execute(statement)
    again = resumed(orders)
    assert_same(orders.found(), orders.truth())
    assert again < WHOLE / 2, (again, WHOLE)


def test_what_several_connections_read_is_kept_as_well(orders: Orders) -> None:
    orders.fill(0, ROWS, WIDE)
    orders.configure(engine={"options": {"connections": 2}})
    # A piece ends with what one of them reads at a time, nearly half of the table.
    broken(orders, pieces=1, after=WHOLE * 15 // 16)
    orders.database.execute("UPDATE orders SET name = 'changed' WHERE id = 15500;")
    again = resumed(orders)
    assert_same(orders.found(), orders.truth())
    assert again < WHOLE * 3 / 4, (again, WHOLE)


def test_a_table_without_a_key_is_read_again(orders: Orders) -> None:
    """Nothing divides it: what died is forgotten, and no row is there twice."""
    orders.fill(0, ROWS, WIDE)
    orders.database.execute("ALTER TABLE orders DROP PRIMARY KEY;")
    broken(orders, pieces=0)
    again = resumed(orders)
    assert_same(orders.found(), orders.truth())
    assert again > WHOLE / 2, (again, WHOLE)
