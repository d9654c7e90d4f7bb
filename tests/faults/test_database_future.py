"""Rows whose time lies in the future, by a wrong clock or for "never": they are loaded, and hide nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import SERVERS
from tests.faults.database import UNKEYED, Orders
from tests.faults.test_database_cursors import NO_LOOKBACK, insert, run
from tests.samples.databases import new_database

pytestmark = pytest.mark.slow

NEVER = "9999-12-31 00:00:00"
MODES = ("upsert", "append")


@pytest.fixture(params=[*(pytest.param(d, marks=pytest.mark.server) for d in SERVERS), "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orders:
    """A job that loads a table of each database that there is; no row is there yet."""
    monkeypatch.chdir(tmp_path)
    server = request.getfixturevalue(SERVERS[request.param]) if request.param in SERVERS else None
    return Orders(tmp_path, new_database(request.param, tmp_path, server))


def loaded(orders: Orders) -> list[tuple[int, str]]:
    return sorted((row[0], row[1]) for row in orders.found().elements())


def warned(stream: dict[str, Any], word: str) -> list[str]:
    return [w for w in stream["warnings"] if word in w]


def saved(orders: Orders) -> str:
    """The value that the state remembers."""
    state = json.loads((orders.root / ".local/state/acme/orders.json").read_text())
    return str(state["orders.updated_at"]["last_value"])


def remember(orders: Orders, value: str) -> None:
    """The table remembers a cursor, as one that an older version saved."""
    table = orders.table("default.orders")
    key = "dativo.state.acme.orders.orders"
    state = json.loads(table.properties[key])
    state["cursor"]["entries"]["orders.updated_at"]["last_value"] = value
    table.transaction().set_properties({key: json.dumps(state)}).commit_transaction()


def hours(number: float) -> str:
    """The time in so many hours, in UTC."""
    return (datetime.now(UTC) + timedelta(hours=number)).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("mode", MODES)
def test_a_row_of_the_future_hides_no_later_change(shop: Orders, mode: str) -> None:
    shop.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    insert(shop, 1, "2024-05-01 00:00:00", "a")
    insert(shop, 2, NEVER, "never")
    told = warned(run(shop), "in the future")
    assert len(told) == 1 and "9999-12-31" in told[0] and "a row of" in told[0], told
    insert(shop, 3, "2024-05-02 00:00:00", "b")
    insert(shop, 4, "2999-01-01 00:00:00", "later")
    stream = run(shop)
    assert stream["loaded"] == 2, stream
    assert len(warned(stream, "2 rows of")) == 1, stream
    stream = run(shop)
    assert stream["loaded"] == 0 and stream["extracted"] == 3, stream
    assert saved(shop).startswith("2024-05-02")
    assert loaded(shop) == [(1, "a"), (2, "never"), (3, "b"), (4, "later")]


def test_equal_rows_of_the_future_without_a_key_are_loaded_as_often_as_they_are_there(shop: Orders) -> None:
    drop = {"postgres": "DROP CONSTRAINT orders_pkey", "mysql": "DROP PRIMARY KEY"}.get(shop.database.dialect)
    if drop is None:
        shop.database.execute(
            "DROP TABLE orders; CREATE TABLE orders (id int, name text, amount, updated_at timestamp, note)"
        )
    else:
        shop.database.execute(f"ALTER TABLE orders {drop};")
    shop.asset(UNKEYED, "orders")
    shop.configure("append", "updated_at", incremental=NO_LOOKBACK)
    for number in (1, 1, 2):
        insert(shop, number, NEVER)
    run(shop)
    insert(shop, 2, NEVER)
    assert run(shop)["loaded"] == 1
    assert run(shop)["loaded"] == 0
    assert [number for number, _ in loaded(shop)] == [1, 1, 2, 2]


@pytest.mark.parametrize("mode", ["upsert", "scd2"])
def test_a_row_that_comes_back_from_the_future_gets_its_new_version(shop: Orders, mode: str) -> None:
    """By its time the version of the table is newer than the one that the database has now."""
    shop.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    insert(shop, 1, "2024-05-01 00:00:00", "a")
    insert(shop, 2, NEVER, "wrong")
    run(shop)
    shop.database.execute("UPDATE orders SET name = 'right', updated_at = '2024-05-03 00:00:00' WHERE id = 2;")
    stream = run(shop)
    assert (stream["loaded"], stream["updated"]) == (1, 1) and not warned(stream, "future"), stream
    insert(shop, 3, "2024-05-04 00:00:00", "b")
    assert run(shop)["loaded"] == 1
    if mode == "upsert":
        assert loaded(shop) == [(1, "a"), (2, "right"), (3, "b")]
    else:
        rows = shop.rows("default.orders").select("id", "name", "is_current").rows()
        assert sorted(rows) == [(1, "a", True), (2, "right", True), (2, "wrong", False), (3, "b", True)]


@pytest.mark.parametrize("mode", MODES)
def test_a_cursor_that_was_saved_in_the_future_is_not_obeyed(shop: Orders, mode: str) -> None:
    """What changed since it was saved was never read: everything is, and compared with what is there."""
    shop.configure(mode, "updated_at", incremental=NO_LOOKBACK)
    insert(shop, 1, "2024-05-01 00:00:00", "a")
    insert(shop, 2, "2024-05-02 00:00:00", "b")
    run(shop)
    remember(shop, NEVER)
    insert(shop, 3, "2024-04-01 00:00:00", "hidden")
    stream = run(shop)
    assert stream["loaded"] == 1 and stream["extracted"] == 3, stream
    assert len(warned(stream, "from the beginning")) == 1 and NEVER in warned(stream, "from the beginning")[0], stream
    assert saved(shop).startswith("2024-05-02")
    assert loaded(shop) == [(1, "a"), (2, "b"), (3, "hidden")]
    stream = run(shop)
    assert stream["loaded"] == 0 and stream["extracted"] <= 1 and not stream["warnings"], stream


def test_a_run_of_its_own_since_leaves_a_cursor_of_the_future_to_the_next(shop: Orders) -> None:
    shop.configure("upsert", "updated_at", incremental=NO_LOOKBACK)
    insert(shop, 1, "2024-05-01 00:00:00", "a")
    run(shop)
    remember(shop, NEVER)
    insert(shop, 2, "2024-04-01 00:00:00", "b")
    insert(shop, 3, "2024-06-01 00:00:00", "c")
    assert shop.here("--since", "2024-05-15").code == 0
    assert shop.ids() == [1, 3]
    run(shop)
    assert shop.ids() == [1, 2, 3]
    assert saved(shop).startswith("2024-06-01")


def test_a_time_that_some_zone_has_now_is_no_mistake_and_hides_nothing(shop: Orders) -> None:
    """Times without a zone: what is still to come in UTC has been in the east. Nothing is told, nothing is skipped."""
    shop.configure("upsert", "updated_at", incremental=NO_LOOKBACK)
    insert(shop, 1, hours(-20), "a")
    insert(shop, 2, hours(9), "Tokyo")
    assert not run(shop)["warnings"]
    insert(shop, 3, hours(-0.1), "UTC")
    stream = run(shop)
    assert stream["loaded"] == 1 and not stream["warnings"], stream
    assert hours(-0.2) < saved(shop) < hours(0)
    assert loaded(shop) == [(1, "a"), (2, "Tokyo"), (3, "UTC")]


OTHER_TYPES = {"postgres": ("timestamptz", "date"), "mysql": ("timestamp NULL", "date"), "sqlite": ("text", "date")}


@pytest.mark.parametrize("number", [0, 1], ids=["moments", "days"])
def test_cursors_of_other_types_stop_at_now_too(shop: Orders, number: int) -> None:
    kind = OTHER_TYPES[shop.database.dialect][number]
    shop.database.execute(
        "DROP TABLE orders; CREATE TABLE orders "
        f"(id int PRIMARY KEY, name varchar(9), amount int, updated_at {kind}, note text);"
    )
    fields = [{"name": "id", "type": "integer", "primary_key": True}, {"name": "name", "type": "string"},
              {"name": "updated_at", "type": "date" if kind == "date" else "timestamp"}]  # fmt: skip
    shop.asset(fields, "orders")
    shop.configure("upsert", "updated_at", incremental=NO_LOOKBACK)
    late, now, early = (
        (hours(36), hours(0), hours(-48)) if kind != "date" else (hours(72)[:10], hours(0)[:10], "2024-01-01")
    )
    insert(shop, 1, early, "early")
    insert(shop, 2, late, "late")
    assert len(warned(run(shop), "in the future")) == 1
    assert saved(shop)[:10] == early[:10]
    insert(shop, 3, now, "now")
    assert run(shop)["loaded"] == 1
    assert saved(shop)[:10] == now[:10]
    assert [row[1] for row in shop.rows("default.orders").sort("id").rows()] == ["early", "late", "now"]


def test_numbers_are_numbers_however_great(shop: Orders) -> None:
    """Whether an integer is seconds, milliseconds or no time at all nobody knows: the greatest is the cursor."""
    shop.configure("append", "id")
    insert(shop, 1, None)
    insert(shop, 253_402_214_400_000, None)
    run(shop)
    insert(shop, 2, None)
    stream = run(shop)
    assert stream["loaded"] == 0 and not stream["warnings"], stream
