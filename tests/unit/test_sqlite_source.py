"""SQLite as a source: every kind of value kept exactly or told, windows, order, and files that are none."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dativo.connectors import source as source_of
from dativo.errors import ConfigError, DativoError
from dativo.sources.protocol import Meter
from dativo.state.cursor import Cursor
from tests.project import Project

RECIPE = "connectors/sources/sqlite.yaml"


@contextmanager
def database(project: Project, name: str = "data/shop.db") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(project.root / name, isolation_level=None)) as connection:
        yield connection


def job(project: Project, fields: list[dict[str, Any]], source: dict[str, Any], **more: Any) -> None:
    project.asset(fields)
    project.write(RECIPE, "name: sqlite\ntype: sqlite\nroles: [source]\ndefault_engine: {type: native}\n")
    connection = {"connection": {"database_path": "data/shop.db"}}
    project.job(source_connector_path=RECIPE, source={**connection, **source}, **more)


def field(name: str, type_: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def test_values_of_every_kind_arrive_exactly(project: Project) -> None:
    with database(project) as db:
        db.execute(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, big BIGINT, ratio DOUBLE, price DECIMAL(12,2), name TEXT,"
            " raw BLOB, born DATE, seen DATETIME, epoch INTEGER, ok BOOLEAN, twice INT GENERATED ALWAYS AS (id * 2) VIRTUAL)"
        )
        db.executemany(
            "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (1, 2**63 - 1, 0.1, "12345678.90", "Zoë 😀 a\0b", b"\0\xff", "2024-02-29", "2024-02-29 12:00:00.123456",
                 1_700_000_000, 1),
                (2, -(2**63), 5, 7, "", b"", "0001-01-01", "9999-12-31T23:59:59Z", 0, 0),
                (3, *[None] * 9),
            ],
        )  # fmt: skip
    job(
        project,
        [field("id", "bigint", required=True), field("big", "bigint"), field("ratio", "double"),
         field("price", "decimal(12,2)"), field("name", "string"), field("raw", "binary"), field("born", "date"),
         field("seen", "timestamp"), field("epoch", "timestamp", formats=["%s"]), field("ok", "boolean"),
         field("twice", "bigint")],
        {"tables": [{"name": "people"}]},
    )  # fmt: skip
    receipt = project.sync()
    assert receipt.streams[0].status == "loaded", receipt.streams[0].error
    rows = project.rows().sort("id")
    assert rows["big"].to_list() == [2**63 - 1, -(2**63), None]
    assert rows["ratio"].to_list() == [0.1, 5.0, None]
    assert rows["price"].to_list() == [Decimal("12345678.90"), Decimal("7.00"), None]
    assert rows["name"].to_list() == ["Zoë 😀 a\0b", "", None]
    assert rows["raw"].to_list() == [b"\0\xff", b"", None]
    assert rows["born"].to_list() == [date(2024, 2, 29), date(1, 1, 1), None]
    assert rows["seen"].to_list() == [
        datetime(2024, 2, 29, 12, 0, 0, 123456), datetime(9999, 12, 31, 23, 59, 59), None]  # fmt: skip
    assert rows["epoch"].to_list() == [datetime(2023, 11, 14, 22, 13, 20), datetime(1970, 1, 1), None]
    assert rows["ok"].to_list() == [True, False, None]
    assert rows["twice"].to_list() == [2, 4, 6]


def test_a_value_that_does_not_fit_its_column_is_a_reject_and_never_another_value(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, n INTEGER, r REAL, t TEXT, b BLOB)")
        db.executemany(
            "INSERT INTO people VALUES (?, ?, ?, ?, ?)",
            [
                (1, 1, 1.5, "good", b"good"), (2, 1.5, None, None, None), (3, "abc", None, None, None),
                (4, None, "much", None, None), (5, None, None, b"\xff\x00", None), (6, None, None, None, 42),
                (7, b"\x01", None, None, None), (8, 9.3e18, None, None, None), (9, None, None, None, "text"),
            ],
        )  # fmt: skip
        db.execute("INSERT INTO people (id, t) VALUES (10, CAST(x'ff41' AS TEXT)), (11, 'after')")
    fields = [
        field("id", "bigint"),
        field("n", "bigint"),
        field("r", "double"),
        field("t", "string"),
        field("b", "binary"),
    ]
    job(project, fields, {"tables": [{"name": "people"}]}, schema_validation_mode="quarantine")
    receipt = project.sync().streams[0]
    assert (receipt.loaded, receipt.rejected) == (3, 8), receipt
    assert sorted(project.rows()["id"]) == [1, 9, 11]
    assert project.rows().sort("id")["b"].to_list() == [b"good", b"text", None]
    told = {(r, v) for r, v in project.rejects().select("rule", "value").iter_rows()}
    assert ("no_integer", "n is 1.5") in told
    assert ("no_integer", "n is 'abc'") in told
    assert ("no_integer", "n is 9.3e+18") in told
    assert ("no_number", "r is 'much'") in told
    assert ("no_text", "t is 0xff00") in told
    assert ("no_bytes", "b is 42") in told
    assert {r for r, _ in told} == {"no_integer", "no_number", "no_text", "no_bytes"}


def test_a_text_column_takes_numbers_as_they_stand(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, mixed, price NUMERIC)")
        db.executemany(
            "INSERT INTO people VALUES (?, ?, ?)", [(1, 5, 0.1), (2, 0.1 + 0.2, "n/a"), (3, "x", 10**18 + 1)]
        )
    job(project, [field("id", "string"), field("mixed", "string"), field("price", "string")], {"objects": ["people"]})
    project.sync()
    rows = project.rows().sort("id")
    assert rows["mixed"].to_list() == ["5", "0.30000000000000004", "x"]
    assert rows["price"].to_list() == ["0.1", "n/a", "1000000000000000001"]


def test_views_queries_and_tables_without_rowid_in_one_stream(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE pairs (a TEXT, b INTEGER, n INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID")
        db.execute("INSERT INTO pairs VALUES ('x', 2, 3), ('x', 1, 2), ('a', 9, 1)")
        db.execute('CREATE VIEW "odd ""view"" 😀" AS SELECT a, b, n FROM pairs WHERE n % 2 = 1')
    job(
        project,
        [field("a", "string"), field("n", "bigint")],
        {"tables": [{"name": "pairs", "where": "n > 1"}, {"name": 'odd "view" 😀', "object": "odd"}],
         "queries": [{"name": "all", "sql": "SELECT a, sum(n) AS n FROM pairs GROUP BY a -- so; it is"}]},
    )  # fmt: skip
    receipt = project.sync().streams[0]
    assert receipt.status == "loaded", receipt.error
    assert sorted(project.rows().rows()) == [("a", 1), ("a", 1), ("x", 2), ("x", 3), ("x", 3), ("x", 5)]


def test_connections_change_nothing_but_for_a_note(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE t (a INTEGER)")
        db.execute("INSERT INTO t VALUES (1)")
    job(
        project,
        [field("a", "bigint")],
        {"tables": [{"name": "t"}], "engine": {"options": {"connections": 2}}},
    )
    receipt = project.sync().streams[0]
    assert receipt.loaded == 1, receipt.error
    assert [w for w in receipt.warnings if "a file is read by one connection" in w]


def test_incremental_loading_reads_what_is_new_and_loses_no_equal_cursor(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, at TEXT)")
        db.execute("INSERT INTO people VALUES (1, '2024-01-01 00:00:00.000001'), (2, '2024-01-02'), (3, NULL)")
    incremental = {"strategy": "updated_at", "cursor_field": "at"}
    job(
        project,
        [field("id", "bigint"), field("at", "string")],
        {"tables": [{"name": "people"}], "incremental": incremental},
    )
    first = project.sync().streams[0]
    assert first.loaded == 3, first.error
    with database(project) as db:
        db.execute("INSERT INTO people VALUES (4, '2024-01-02'), (5, '2024-01-03'), (6, '2023-12-31'), (7, NULL)")
    second = project.sync().streams[0]
    assert second.loaded == 3, second.error
    assert sorted(project.rows()["id"]) == [1, 2, 3, 4, 5, 7]


def test_what_is_new_is_read_in_the_transaction_of_the_first_look(project: Project) -> None:
    with database(project) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, at TEXT)")
        db.execute("INSERT INTO people VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-03')")
        job(project, [field("id", "bigint"), field("at", "string")],
            {"tables": [{"name": "people"}], "incremental": {"strategy": "updated_at", "cursor_field": "at"}})  # fmt: skip
        loaded = project.load()
        looked = source_of(loaded).read(loaded.streams[0], None, meter=Meter(), full=True)
        db.execute("INSERT INTO people VALUES (4, '2024-01-04')")
        assert looked.since is not None
        extract = looked.since(Cursor(entries={"people.at": {"last_value": "2024-01-02"}}))
        assert extract.frame.collect()["id"].to_list() == [2, 3]
        assert extract.cursor().entries["people.at"]["last_value"] == "2024-01-03"
        looked.close()


def test_rows_written_while_the_file_is_read_are_not_seen(project: Project) -> None:
    with database(project) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY)")
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
            "INSERT INTO people SELECT i FROM n"
        )
        job(project, [field("id", "bigint")], {"tables": [{"name": "people"}]})
        loaded = project.load()
        extract = source_of(loaded).read(loaded.streams[0], None, meter=Meter())
        db.execute("INSERT INTO people VALUES (5000)")
        db.execute("DELETE FROM people WHERE id < 500")
        for _ in range(2):
            assert extract.frame.select(pl.len()).collect().item() == 1000
        extract.close()


def test_rows_are_numbered_in_the_same_order_whatever_is_asked_for(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        db.executemany("INSERT INTO people VALUES (?, ?)", [(i, f"{(i * 7919) % 1000:04}") for i in range(1000)])
        # It has all that a reading of the name alone needs, in another order.
        db.execute("CREATE INDEX by_name ON people (name)")
    job(project, [field("id", "bigint"), field("name", "string")], {"tables": [{"name": "people"}]})
    loaded = project.load()
    extract = source_of(loaded).read(loaded.streams[0], None, meter=Meter())
    whole = extract.frame.select("name", "__dativo_row").collect()
    assert extract.frame.select("__dativo_row", "name", "id").collect().select("name", "__dativo_row").equals(whole)
    assert extract.unique == (frozenset({"id"}),)
    extract.close()


@pytest.mark.parametrize(
    ("key", "wanted", "values", "table_has"),
    [
        ("id NOT NULL", "string", [1, "1", 1.5, "1.5"], ["1", "1.5"]),
        ("id BLOB NOT NULL", "binary", ["a", b"a"], [b"a"]),
        ("id TEXT NOT NULL", "binary", ["a", b"a"], [b"a"]),
    ],
)
def test_keys_that_sqlite_tells_apart_and_the_table_does_not_are_one_key(
    project: Project, key: str, wanted: str, values: list[Any], table_has: list[Any]
) -> None:
    with database(project) as db:
        db.execute(f"CREATE TABLE people ({key} PRIMARY KEY, n INTEGER)")
        db.executemany("INSERT INTO people VALUES (?, ?)", [(v, i) for i, v in enumerate(values)])
    fields = [{"name": "id", "type": wanted, "required": True, "primary_key": True}, field("n", "bigint")]
    job(project, fields, {"tables": [{"name": "people"}]}, target={"write_mode": "upsert"})
    project.sync()
    assert sorted(project.rows()["id"]) == table_has


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no file"), ("folder", "is no file"), (b"id,name\n1,2\n" * 100, "is no SQLite database")],
)
def test_what_is_no_database_is_told(project: Project, content: bytes | str | None, words: str) -> None:
    path = project.root / "data/shop.db"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    job(project, [field("id", "bigint")], {"tables": [{"name": "people"}]})
    receipt = project.sync().streams[0]
    assert receipt.status == "failed"
    assert words in receipt.error
    assert "source.connection.database_path" in receipt.error


def test_a_file_that_may_not_be_read_is_told(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
    path = project.root / "data/shop.db"
    path.chmod(0)
    job(project, [field("id", "bigint")], {"tables": [{"name": "people"}]})
    receipt = project.sync().streams[0]
    # Root may read everything.
    assert ("may not be read" in receipt.error) == (os.geteuid() != 0)


def test_a_table_or_column_that_is_not_there_is_told_with_what_is(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
    job(project, [field("id", "bigint")], {"tables": [{"name": "peple"}]})
    error = project.sync().streams[0].error
    assert "no table or view 'peple'" in error and "did you mean 'people'?" in error and "job.yaml:" in error
    job(project, [field("id", "bigint")], {"tables": [{"name": "people", "where": "nope > 1"}]})
    error = project.sync().streams[0].error
    assert "source.tables[0].where: " in error and "no such column: nope" in error and "job.yaml:" in error
    job(project, [field("id", "bigint")],
        {"tables": [{"name": "people"}], "incremental": {"strategy": "updated_at", "cursor_field": "at"}})  # fmt: skip
    assert "has no column 'at'" in project.sync().streams[0].error


def test_a_locked_database_is_waited_for_and_told_of(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.sources.sqlite.session.BUSY_SECONDS", 0.2)
    job(project, [field("id", "bigint")], {"tables": [{"name": "people"}]})
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
        db.execute("BEGIN EXCLUSIVE")
        assert "is locked by another program" in project.sync().streams[0].error
        db.execute("COMMIT")
    assert project.sync().streams[0].status == "loaded"


def test_nothing_is_written_or_executed_by_names_and_queries(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
    for entry in (
        {"tables": [{"name": 'people"; DROP TABLE people; --'}]},
        {"tables": [{"name": "people", "where": "1); DROP TABLE people; --"}]},
        {"queries": [{"name": "q", "sql": "SELECT 1 AS id; DROP TABLE people"}]},
        {"queries": [{"name": "q", "sql": "DELETE FROM people RETURNING id"}]},
    ):
        job(project, [field("id", "bigint")], entry)
        assert _refused(project)
    with database(project) as db:
        assert db.execute("SELECT count(*) FROM people").fetchone() == (0,)


def _refused(project: Project) -> bool:
    """Whether the job is refused when it is loaded or when it is run."""
    try:
        return project.sync().streams[0].status == "failed"
    except ConfigError:
        return True


def test_a_run_that_is_stopped_ends_its_query(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n WHERE id < 0"
    job(project, [field("id", "bigint")], {"queries": [{"name": "n", "sql": endless}]})
    loaded, meter = project.load(), Meter()
    extract = source_of(loaded).read(loaded.streams[0], None, meter=meter)
    threading.Timer(0.3, meter.stop.set).start()
    with pytest.raises((DativoError, pl.exceptions.ComputeError), match="stopped while reading"):
        extract.frame.collect()
    extract.close()


def test_a_statement_that_takes_too_long_is_ended(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n WHERE id < 0"
    source = {"queries": [{"name": "n", "sql": endless}], "engine": {"options": {"statement_timeout": 0.3}}}
    job(project, [field("id", "bigint")], source)
    assert "took longer than it may" in project.sync().streams[0].error


def test_discovery_describes_tables_and_gives_samples(project: Project) -> None:
    with database(project) as db:
        db.execute(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT NOT NULL UNIQUE, price DECIMAL(9,2), "
            "updated_at DATETIME)"
        )
        db.execute("INSERT INTO people VALUES (1, 'a@example.com', 1.5, '2024-01-01')")
        db.execute("CREATE VIEW mails AS SELECT mail FROM people")
    job(project, [field("id", "bigint")], {"tables": [{"name": "people"}]})
    found: Any = source_of(project.load())
    mails, people = found.discover()
    assert (mails.name, mails.kind, mails.rows) == ("mails", "view", None)
    assert (people.key, people.unique, people.rows) == (("id",), (("mail",),), 1)
    assert [c.field.type_text() for c in people.columns] == ["long", "string", "decimal(9,2)", "timestamp"]
    assert people.cursors == ("updated_at", "id")
    some = replace(people, columns=tuple(c for c in people.columns if c.name in ("mail", "price")))
    assert found.samples([some, mails], 5) == [
        {"mail": ["a@example.com"], "price": ["1.5"]},
        {"mail": ["a@example.com"]},
    ]


def test_discovery_reads_samples_that_are_no_text(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, mail TEXT)")
        db.execute("INSERT INTO people VALUES (1, CAST(x'61ff' AS TEXT))")
    job(project, [field("id", "bigint")], {"tables": [{"name": "people"}]})
    found: Any = source_of(project.load())
    assert found.samples(found.discover(), 5) == [{"id": ["1"], "mail": ["a\ufffd"]}]


def test_check_tells_of_each_relation(project: Project) -> None:
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER)")
    job(project, [field("id", "bigint")], {"tables": [{"name": "people"}, {"name": "missing"}]})
    loaded = project.load()
    found = source_of(loaded).check(loaded.streams[0])
    assert [f["ok"] for f in found] == [True, True, False]
    assert (found[1]["name"], found[1]["message"]) == ("people", "1 of 1 columns")
    Path(project.root / "data/shop.db").unlink()
    assert "there is no file" in source_of(loaded).check(loaded.streams[0])[0]["message"]
