"""Names of databases that are hard to quote, and settings that would be SQL if they were not: nothing is executed, nothing
else is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.database import COLUMNS, FIELDS, Orders, assert_same
from tests.samples.model import quoted

pytestmark = [pytest.mark.slow, pytest.mark.server]

# What each database takes as a name; MySQL has no characters beyond the basic plane in names.
NAMES = {
    "quotes": "o'r\"d`ers",
    "dots": "or.der.s",
    "spaces": " or  ders x",
    "keyword": "select",
    "comment": "orders--",
    "block comment": "orders/*x*/",
    "semicolon": "orders;drop",
    "percent": "100%s {x} %(y)s",
    "backslash": "or\\ders",
    "umlauts": "Aufträge_Größe",
    "longest": "n" * 63,
    "emoji": "orders_🎬",
}
CANARY = "CREATE TABLE canary (id int PRIMARY KEY);"


def rename(orders: Orders, name: str) -> None:
    dialect = orders.database.dialect
    orders.database.execute(f"ALTER TABLE orders RENAME TO {quoted(name, dialect)};")


def assert_unharmed(orders: Orders) -> None:
    """The canary is where it was, and no table came."""
    where = "current_schema()" if orders.database.dialect == "postgres" else "database()"
    found = orders.database.select(f"SELECT table_name FROM information_schema.tables WHERE table_schema = {where}")
    assert {str(row[0]) for row in found} >= {"canary"} and len(found) == 2, found
    assert orders.database.select("SELECT count(*) FROM canary") == [(0,)]


@pytest.mark.parametrize("what", NAMES)
def test_a_table_and_a_column_with_a_name_like_this_are_read(orders: Orders, what: str) -> None:
    name, dialect = NAMES[what], orders.database.dialect
    if dialect == "mysql" and what == "emoji":
        # There is no such table, and nothing like it is read.
        orders.fill(0, 3)
        orders.configure(table={"name": name, "schema": orders.database.name, "object": "orders"})
        orders.here().refused(name)
        return
    orders.fill(0, 3)
    rename(orders, name)
    orders.database.execute(f"ALTER TABLE {quoted(name, dialect)} RENAME COLUMN name TO {quoted(name, dialect)};")
    schema = "public" if dialect == "postgres" else orders.database.name
    orders.asset([{**f, "physicalName": name} if f["name"] == "name" else f for f in FIELDS], "orders")
    # A name with a dot is only clear where the schema is told too.
    orders.configure("upsert", "updated_at", table={"name": name, "schema": schema, "object": "orders"})
    ended = orders.here()
    assert ended.code == 0, ended
    columns = ", ".join(quoted(name if c == "name" else c, dialect) for c in COLUMNS)
    truth = orders.database.select(f"SELECT {columns} FROM {quoted(name, dialect)}")
    assert sorted(orders.found().elements()) == sorted(truth)
    # Its cursor stands in the state, and a second run reads on.
    ended = orders.here()
    assert ended.code == 0, ended
    assert sorted(orders.found().elements()) == sorted(truth)


def test_a_name_that_is_too_long_is_not_cut_to_that_of_another_table(orders: Orders) -> None:
    name = "n" * 63
    orders.fill(0, 3)
    rename(orders, name)
    orders.configure(table={"name": name + "xyz", "object": "orders"})
    orders.here().refused("nnn")
    assert orders.found().total() == 0


INJECTIONS = (
    "orders; DROP TABLE canary; --",
    'orders"; DROP TABLE canary; --',
    "orders`; DROP TABLE canary; -- ",
    "orders'; DROP TABLE canary; --",
    "(SELECT * FROM canary) x",
    'orders"" WHERE 1=0 UNION SELECT * FROM canary',
    'orders\\"; DROP TABLE canary; --',
    "$$; DROP TABLE canary; $$",
    "orders\n; DROP TABLE canary;\n",
)
PLACES = ("table", "schema", "column", "columns", "cursor_field", "object", "saved cursor")


@pytest.mark.parametrize("place", PLACES)
def test_sql_in_a_name_is_a_name(orders: Orders, place: str) -> None:
    orders.database.execute(CANARY)
    orders.fill(0, 5)
    before = orders.found()
    for text in INJECTIONS:
        configured(orders, place, text)
        ended = orders.here()
        if place == "object":
            # A name for people: where it can be none, what an earlier one loaded stays.
            before = orders.truth() if ended.code == 0 else before
            assert_same(orders.found(), before)
        elif place == "saved cursor":
            assert ended.code in (0, 2), ended
        else:
            ended.refused()
            assert orders.found().total() == 0
        assert "Traceback" not in ended.out + ended.err, ended
        assert_unharmed(orders)


def configured(orders: Orders, place: str, text: str) -> None:
    """The job with a text where a name is wanted."""
    table: dict[str, Any] = {"name": "orders"}
    cursor = "updated_at"
    fields = list(FIELDS)
    if place == "table":
        table = {"name": text, "schema": "public" if orders.database.dialect == "postgres" else orders.database.name}
    elif place == "schema":
        table["schema"] = text
    elif place == "object":
        table["object"] = text
    elif place == "columns":
        table["columns"] = [*COLUMNS, text]
    elif place == "cursor_field":
        cursor = text
    elif place == "column":
        fields = [{**f, "physicalName": text, "required": True} if f["name"] == "note" else f for f in FIELDS]
    else:
        state = orders.root / ".local/state/acme/orders.json"
        state.parent.mkdir(parents=True, exist_ok=True)

        state.write_text(json.dumps({"orders.updated_at": {"last_value": text}}))
    orders.asset(fields, "orders")
    orders.configure("upsert", cursor, table=table)


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_sql_in_a_window_is_a_value_or_none(orders: Orders, option: str) -> None:
    orders.database.execute(CANARY)
    orders.fill(0, 5)
    for cursor in ("updated_at", "note"):
        orders.configure("upsert", cursor)
        for text in (
            "2024-01-01'; DROP TABLE canary; --",
            "2024-01-01\\'; DROP TABLE canary; --",
            "') OR ('1'='1",
            'x" OR 1=1 --',
        ):
            ended = orders.here(f"{option}={text}")
            assert ended.code in (0, 2) and "Traceback" not in ended.out + ended.err, ended
            if ended.code == 0:
                # As a text it is compared with texts; it opens no door to all rows.
                assert orders.found().total() in (0, 5)
            assert_unharmed(orders)


def test_a_condition_is_sql_and_can_change_nothing(orders: Orders) -> None:
    """It is the one setting that is SQL; a transaction that may only read runs it, and it is one condition."""
    orders.database.execute(CANARY)
    orders.fill(0, 5)
    orders.configure(table={"name": "orders", "where": "id >= 2 AND name <> 'name 4'"})
    assert orders.here().code == 0
    assert orders.ids() == [2, 3]
    before = orders.found()
    harms = [
        "1=1; DROP TABLE canary",
        "1=1) ; DROP TABLE canary; --",
        "id IN (SELECT id FROM nowhere)",
        "(1=1",
        "1=1 -- x\n)",
    ]
    if orders.database.dialect == "postgres":
        # Before Postgres 16 a transaction that may only read can do this; it is taken back as every reading is.
        orders.configure(table={"name": "orders", "where": "lo_import('/etc/hostname') > 0"})
        orders.here()
        assert orders.database.select("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]
        before = orders.found()
        harms += [
            "(SELECT count(*) FROM pg_read_file('/etc/passwd')) > 0 AND nextval('s') > 0",
        ]
    for harm in harms:
        orders.configure(table={"name": "orders", "where": harm})
        orders.here().refused()
        assert_unharmed(orders)
        assert orders.found() == before


def test_a_query_can_change_nothing(orders: Orders) -> None:
    orders.database.execute(CANARY)
    orders.fill(0, 5)
    harms = [
        "DROP TABLE canary",
        "SELECT * FROM orders; DROP TABLE canary",
        "INSERT INTO canary VALUES (1)",
        "CALL nothing()",
    ]
    if orders.database.dialect == "postgres":
        harms += [
            "WITH x AS (INSERT INTO canary VALUES (1) RETURNING id) SELECT o.* FROM orders o, x",
            "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
            "SELECT * FROM orders WHERE set_config('transaction_read_only', 'off', false) = 'off'",
        ]
    for harm in harms:
        orders.job(
            "orders", source_connector_path=f"connectors/sources/{orders.database.dialect}.yaml",
            asset_path="assets/orders.yaml", source={"queries": [{"name": "orders", "sql": harm}]},
        )  # fmt: skip
        ended = orders.here()
        assert ended.code == 2 or harm.endswith("= 'off'"), ended
        assert "Traceback" not in ended.out + ended.err, ended
        assert_unharmed(orders)
        assert orders.truth().total() == 5
