"""A table that follows a database: rows change, come and go between incremental runs, and at the end both are the same."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.project import Project
from tests.unit.test_write_modes import ran

RECIPE = "connectors/sources/sqlite.yaml"
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "updated_at", "type": "integer"},
    {"name": "text"},
]


def setup(project: Project, deletes: str) -> None:
    project.asset(FIELDS)
    project.write(RECIPE, "name: sqlite\ntype: sqlite\nroles: [source]\ndefault_engine: {type: native}\n")
    project.job(
        source_connector_path=RECIPE,
        source={
            "connection": {"database_path": "data/shop.db"},
            "tables": [{"name": "orders", "cursor_field": "updated_at"}],
            "incremental": {"strategy": "updated_at"},
        },
        target={"write_mode": "upsert", "detect_deletes": deletes},
    )
    with closing(sqlite3.connect(project.root / "data/shop.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, updated_at INTEGER, text TEXT)")


@pytest.mark.parametrize("deletes", ["hard", "soft"])
def test_a_table_follows_a_database(project: Project, deletes: str) -> None:
    chance = random.Random(7)
    setup(project, deletes)
    now = 0
    for _ in range(6):
        with closing(sqlite3.connect(project.root / "data/shop.db", isolation_level=None)) as database:
            for _ in range(20):
                # Many changes share a time, and some rows have none.
                now += chance.random() < 0.3
                key, at = chance.randrange(30), None if chance.random() < 0.1 else now
                if chance.random() < 0.25:
                    database.execute("DELETE FROM orders WHERE id = ?", [key])
                else:
                    row = (key, at, chance.choice("abc"))
                    database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", row)
            wanted = database.execute("SELECT id, updated_at, text FROM orders ORDER BY id").fetchall()
        ran(project.sync())
        found = project.rows().sort("id")
        if deletes == "soft":
            found = found.filter(found["_deleted_at"].is_null())
        assert found.select("id", "updated_at", "text").rows() == wanted
        assert project.rows()["id"].is_unique().all()


@pytest.mark.parametrize(("declared", "first", "second"), [("INTEGER", 9, 10), ("TEXT COLLATE NOCASE", "a", "B")])
def test_a_version_is_not_late_by_an_order_that_is_not_the_databases(
    project: Project, declared: str, first: object, second: object
) -> None:
    """The table compares texts by their bytes, by which 10 and B would come first."""
    setup(project, "none")
    project.asset([{**f, "type": "string"} if f["name"] == "updated_at" else f for f in FIELDS])
    for value in (first, second):
        with closing(sqlite3.connect(project.root / "data/shop.db", isolation_level=None)) as database:
            database.execute("DROP TABLE orders")
            database.execute(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, updated_at {declared}, text TEXT)")
            database.execute("INSERT INTO orders VALUES (1, ?, ?)", (value, str(value)))
        ran(project.sync())
    assert project.rows()["text"].to_list() == [str(second)]


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_rows_that_another_filter_lets_in_are_read_though_they_lie_before_the_cursor(
    project: Project, mode: str
) -> None:
    setup(project, "none")
    with closing(sqlite3.connect(project.root / "data/shop.db", isolation_level=None)) as database:
        database.execute("INSERT INTO orders VALUES (1, 10, 'a'), (2, 5, 'b'), (3, 20, 'a')")
    found = []
    for where in ("text = 'a'", "text = 'a'", "text <> ''", None, "text = 'b'"):
        table = {"name": "orders", "cursor_field": "updated_at"} | ({"where": where} if where else {})
        source = {
            "connection": {"database_path": "data/shop.db"},
            "tables": [table],
            "incremental": {"strategy": "updated_at"},
        }
        project.job(source_connector_path=RECIPE, source=source, target={"write_mode": mode})
        stream = ran(project.sync())
        found.append((stream.extracted, stream.loaded, any("from the beginning" in w for w in stream.warnings)))
    assert found == [(2, 2, False), (1, 0, False), (3, 1, True), (3, 0, True), (0, 0, False)]
    assert project.rows()["id"].sort().to_list() == [1, 2, 3]
