"""What the source postgres promises: which rows it reads, once and in one order, and where the next reading begins."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dativo import connectors
from dativo.config.resolved import Window
from dativo.errors import DativoError, Interrupted, SourceError
from dativo.sources.postgres import session
from dativo.sources.postgres.link import Link
from dativo.sources.protocol import FAULT, FILE, PROVENANCE, ROW, TEXT, KeyLister, Meter, Piece
from tests.postgres_bench import ID, PostgresBench
from tests.project import Project
from tests.services.accounts import data_folder, run_as, servant
from tests.services.postgres import Postgres, postgres, programs
from tests.services.process import Recipe, free_port, running

pytestmark = pytest.mark.server

INCREMENTAL = {"strategy": "updated_at", "cursor_field": "at"}


@pytest.fixture
def bench(project: Project, postgres_server: Postgres) -> PostgresBench:
    return PostgresBench(project, postgres_server)


def people(bench: PostgresBench, rows: int, table: str = "people") -> None:
    bench.sql(
        f"CREATE TABLE {table} (id int PRIMARY KEY, name text, at timestamptz);"
        f"INSERT INTO {table} SELECT i, 'n' || i, timestamptz '2024-01-01' + i * interval '1 day' "
        f"FROM generate_series(1, {rows}) i"
    )


def test_rows_say_which_relation_and_row_they_are(bench: PostgresBench) -> None:
    people(bench, 3)
    people(bench, 2, "others")
    bench.job("people", "public.others")
    extract = bench.read()
    frame = extract.frame.collect(engine="streaming")
    extract.close()
    assert {n: frame.schema[n] for n in PROVENANCE} == {
        FILE: pl.UInt32,
        ROW: pl.Int64,
        FAULT: pl.String,
        TEXT: pl.String,
    }
    assert frame.select("id", FILE, ROW).rows() == [(1, 0, 1), (2, 0, 2), (3, 0, 3), (1, 1, 1), (2, 1, 2)]
    assert extract.files == ("public.people", "public.others")
    assert extract.unique == ()


def test_a_frame_can_be_read_again_and_in_part_while_others_write(bench: PostgresBench) -> None:
    people(bench, 500)
    bench.job("people")
    extract = bench.read()
    once = extract.frame.collect(engine="streaming")
    bench.sql("UPDATE people SET name = 'x'; DELETE FROM people WHERE id > 10; INSERT INTO people VALUES (1000, 'new')")
    assert_frame_equal(extract.frame.collect(engine="streaming"), once)
    assert extract.frame.select(ROW).collect(engine="streaming")[ROW].to_list() == list(range(1, 501))
    assert extract.frame.select(pl.len()).collect(engine="streaming").item() == 500
    assert extract.frame.select(FAULT).collect(engine="streaming").height == 500
    assert extract.frame.head(3).collect(engine="streaming")["id"].to_list() == [1, 2, 3]
    extract.close()
    with pytest.raises(SourceError, match="ended"):
        extract.frame.collect(engine="streaming")


@pytest.mark.parametrize("connections", [1, 2, 4])
def test_several_connections_read_one_state_in_one_order(bench: PostgresBench, connections: int) -> None:
    bench.sql("CREATE TABLE people (id int, name text); INSERT INTO people SELECT i, repeat('x', 600) FROM "
              "generate_series(1, 60000) i; DELETE FROM people WHERE id % 7 = 0")  # fmt: skip
    bench.job("people", options={"connections": connections})
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.02):
            bench.sql("UPDATE people SET name = 'changed' WHERE id = 1 + floor(random() * 60000)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        extract = bench.read()
        first = extract.frame.collect(engine="streaming")
        again = extract.frame.collect(engine="streaming")
        extract.close()
    finally:
        done.set()
        writer.join()
    assert_frame_equal(first, again)
    assert sorted(first["id"]) == [i for i in range(1, 60001) if i % 7]
    assert first[ROW].to_list() == list(range(1, first.height + 1))


def test_views_queries_and_partitioned_tables_are_read(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.sql(
        "CREATE VIEW v AS SELECT id, name FROM people WHERE id <= 2;"
        "CREATE MATERIALIZED VIEW m AS SELECT id + 100 AS id, name FROM people WHERE id <= 2;"
        "CREATE TABLE p (id int, name text) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (205);"
        "CREATE TABLE p2 (name text, gone int, id int); ALTER TABLE p2 DROP gone;"
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (205) TO (300);"
        "INSERT INTO p VALUES (206, 'b'), (201, 'a');"
        "CREATE TABLE parent (id int, name text); CREATE TABLE child (more text) INHERITS (parent);"
        "INSERT INTO parent VALUES (301, 'p'); INSERT INTO child VALUES (302, 'c', 'x')"
    )
    query = {"name": "q", "sql": "SELECT id + 400 AS id, name FROM people WHERE id < 3 -- the first ones\n;"}
    bench.job("v", "m", "p", "parent", queries=[query])
    frame = bench.frame()
    assert frame.select("id", FILE).rows() == [
        (1, 0), (2, 0), (101, 1), (102, 1), (201, 2), (206, 2), (301, 3), (302, 3), (401, 4), (402, 4)
    ]  # fmt: skip
    assert frame.filter(pl.col("id") > 200)["name"].to_list() == ["a", "b", "p", "c", "n1", "n2"]


def test_what_the_table_keeps_unique_is_told(bench: PostgresBench) -> None:
    bench.sql(
        "CREATE TABLE people (id int PRIMARY KEY, a int NOT NULL, b int, c int NOT NULL, name text NOT NULL, UNIQUE (a, c),"
        "UNIQUE (b)); CREATE UNIQUE INDEX ON people (name) WHERE id > 5; CREATE UNIQUE INDEX ON people (lower(name));"
        "CREATE UNIQUE INDEX ON people (c) INCLUDE (b);"
        "CREATE VIEW v AS TABLE people; CREATE TABLE child () INHERITS (parent)".replace(
            "; CREATE TABLE child () INHERITS (parent)", ""
        )
    )
    bench.job("people")
    extract = bench.read()
    extract.close()
    assert set(extract.unique) == {frozenset({"id"}), frozenset({"a", "c"}), frozenset({"c"})}
    bench.job("v")
    extract = bench.read()
    extract.close()
    assert extract.unique == ()


ODD = 'quo"te d.ot sp ace 🦆 ' + "x" * 30
HOSTILE = "'; DROP TABLE people; --"


def test_names_with_quotes_dots_spaces_and_emoji_are_names(bench: PostgresBench) -> None:
    quoted = '"' + ODD.replace('"', '""') + '"'
    bench.sql(f'CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} (id int, {quoted} text, "at" timestamp);'
              f"INSERT INTO {quoted}.{quoted} VALUES (1, 'a', '2024-01-01')")  # fmt: skip
    bench.project.asset([ID, {"name": "name", "physicalName": ODD}])
    bench.job({"name": ODD, "schema": ODD}, incremental=INCREMENTAL)
    extract = bench.read()
    assert extract.frame.select("id", ODD).collect(engine="streaming").rows() == [(1, "a")]
    assert list(extract.cursor().entries) == [f"{ODD.rpartition('.')[2]}.at"]
    extract.close()


@pytest.mark.parametrize("place", ["name", "schema", "columns", "cursor_field", "physicalName"])
def test_a_name_is_never_run(bench: PostgresBench, place: str) -> None:
    people(bench, 3)
    entry: dict[str, Any] = {"name": "people"}
    if place == "physicalName":
        bench.project.asset([ID, {"name": "name", "physicalName": HOSTILE, "required": True}])
    else:
        entry[place] = [HOSTILE] if place == "columns" else HOSTILE
    bench.job(entry, incremental=INCREMENTAL)
    with pytest.raises(DativoError) as caught:
        bench.frame()
    assert caught.value.problems()[0].hint
    assert bench.sql("SELECT count(*) FROM people") == [["3"]]


@pytest.mark.parametrize(
    "text",
    ["DELETE FROM people RETURNING id, name", "SELECT 1 AS id; DROP TABLE people", "SELECT id, name FROM people) x; --",
             "SELECT id, name FROM people; DELETE FROM people", "WITH d AS (DELETE FROM people RETURNING *) SELECT * FROM d",
             "SELECT nextval('s') AS id", "SELECT 1 AS id, 2 AS id", "SELECT 1 AS id, 'a", "TRUNCATE people"],
)  # fmt: skip
def test_a_query_writes_nothing(bench: PostgresBench, text: str) -> None:
    people(bench, 3)
    bench.sql("CREATE SEQUENCE s")
    bench.job(queries=[{"name": "q", "sql": text}])
    with pytest.raises(DativoError) as caught:
        bench.frame()
    assert caught.value.problems()[0].hint
    assert bench.sql("SELECT (SELECT count(*) FROM people), nextval('s')") == [["3", "1"]]


@pytest.mark.parametrize("where", ["true; DROP TABLE people", "true) OR (true", "id = 1 --", "id = 1 /* one"])
def test_a_filter_is_one_condition(bench: PostgresBench, where: str) -> None:
    people(bench, 3)
    bench.job({"name": "people", "where": where})
    if where == "id = 1 --":
        assert bench.ids() == [1]
        return
    with pytest.raises(DativoError) as caught:
        bench.frame()
    assert caught.value.problems()[0].field == "source.tables[0].where"


def test_filters_and_columns_are_pushed_down(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.job({"name": "people", "where": "id % 2 = 0 OR name = 'n1'"})
    assert bench.ids() == [1, 2, 4, 6, 8, 10]
    bench.job({"name": "people", "columns": ["at", "id"]})
    assert [c for c in bench.frame().columns if c not in PROVENANCE] == ["id", "at"]
    bench.job("people")
    assert [c for c in bench.frame().columns if c not in PROVENANCE] == ["id", "name"]
    bench.job("people", schema_validation_mode="warn")
    assert [c for c in bench.frame().columns if c not in PROVENANCE] == ["id", "name", "at"]


CURSORS = [
    ("timestamptz", "timestamptz '2024-01-01' + i * interval '1.000001 seconds'", "2024-01-01 00:00:10.00001+00"),
    ("timestamp", "timestamp '2024-01-01' + i * interval '1.000001 seconds'", "2024-01-01 00:00:10.00001"),
    ("date", "date '2024-01-01' + i", "2024-01-11"),
    ("bigint", "9007199254740992 + i", "9007199254741002"),
    ("numeric", "i + 0.12345678901234567890123", "10.12345678901234567890123"),
    ("double precision", "i + 0.1", "10.1"),
    ("text", "lpad(i::text, 3, '0')", "010"),
    ('text COLLATE "C"', "chr(64 + i)", "J"),
    ("uuid", "lpad(i::text, 32, '0')::uuid", "00000000-0000-0000-0000-000000000010"),
]


@pytest.mark.parametrize(("sql_type", "value", "last"), CURSORS, ids=[c[0] for c in CURSORS])
def test_the_next_reading_begins_at_the_last_value(bench: PostgresBench, sql_type: str, value: str, last: str) -> None:
    bench.sql(f"CREATE TABLE people (id int, name text, at {sql_type});"
              f"INSERT INTO people SELECT i, 'x', {value} FROM generate_series(1, 10) i")  # fmt: skip
    bench.job("people", incremental=INCREMENTAL)
    cursor = bench.cursor()
    assert cursor.entries["people.at"]["last_value"] == last
    assert bench.ids(cursor) == [10]
    bench.sql(
        f"INSERT INTO people SELECT i, 'x', {value} FROM generate_series(11, 12) i; INSERT INTO people VALUES (0, 'no')"
    )
    assert sorted(bench.ids(cursor)) == [0, 10, 11, 12]
    assert sorted(bench.ids(cursor, full=True)) == list(range(13))


def test_the_lookback_reads_days_again(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.job("people", incremental={**INCREMENTAL, "lookback_days": 2})
    cursor = bench.cursor()
    assert bench.ids(cursor) == [8, 9, 10]
    assert bench.cursor(cursor).entries["people.at"]["last_value"] == cursor.entries["people.at"]["last_value"]


def test_a_cursor_never_moves_backwards_and_infinity_is_none(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.job("people", incremental=INCREMENTAL)
    cursor = bench.cursor()
    bench.sql("DELETE FROM people WHERE id = 10; INSERT INTO people VALUES (11, 'x', 'infinity'), (12, 'x', NULL)")
    again = bench.cursor(cursor)
    assert again.entries["people.at"]["last_value"] == cursor.entries["people.at"]["last_value"]
    bench.sql("DELETE FROM people WHERE id > 9")
    extract = bench.read(cursor)
    assert extract.unchanged
    assert extract.cursor().entries["people.at"]["last_value"] == cursor.entries["people.at"]["last_value"]
    extract.close()


def test_a_saved_value_that_is_none_of_the_column_is_told(bench: PostgresBench) -> None:
    from dativo.state.cursor import Cursor

    people(bench, 1)
    bench.job("people", incremental=INCREMENTAL)
    with pytest.raises(SourceError, match="'yesterdayish' of the saved state is no timestamp with time zone"):
        bench.read(Cursor(entries={"people.at": {"last_value": "yesterdayish"}}))


def test_a_cursor_column_that_is_missing_is_told(bench: PostgresBench) -> None:
    people(bench, 1)
    bench.job("people", incremental={"strategy": "updated_at", "cursor_field": "att"})
    with pytest.raises(SourceError, match="no column 'att'") as caught:
        bench.read()
    assert "did you mean 'at'" in caught.value.hint
    assert caught.value.mark is not None and caught.value.mark.line > 0


def test_a_limit_reads_no_more_than_that(bench: PostgresBench) -> None:
    people(bench, 10)
    people(bench, 10, "others")
    bench.job("people", "others")
    meter = Meter()
    assert bench.ids(limit=3, meter=meter) == [1, 2, 3]
    assert meter.rows == 3
    assert len(bench.ids(limit=12)) == 12


def test_a_stop_ends_a_query_that_takes_long(bench: PostgresBench) -> None:
    bench.job(queries=[{"name": "q", "sql": "SELECT 1 AS id, pg_sleep(60)::text AS name"}])
    meter = Meter()
    extract = bench.read(meter=meter)
    timer = threading.Timer(0.5, meter.stop.set)
    timer.start()
    with pytest.raises(Interrupted):
        extract.frame.collect(engine="streaming")
    extract.close()
    assert bench.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' "
                     "AND pid <> pg_backend_pid()") == [["0"]]  # fmt: skip


def test_keys_are_those_of_the_snapshot_whatever_the_window(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.job({"name": "people", "where": "id <> 3"}, incremental=INCREMENTAL)
    cursor = bench.cursor()
    job = bench.project.load()
    source = connectors.source(job)
    assert isinstance(source, KeyLister)
    extract = source.read(job.streams[0], cursor, meter=Meter())
    bench.sql("DELETE FROM people WHERE id < 5")
    keys = source.keys(job.streams[0], ["id"], meter=Meter()).collect(engine="streaming")
    assert keys.columns == ["id"]
    assert sorted(keys["id"]) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    extract.close()


def test_a_table_is_loaded_and_then_what_changed(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.project.asset([{**ID, "primary_key": True}, {"name": "name"}, {"name": "at", "type": "timestamptz"}])
    bench.job("people", incremental=INCREMENTAL, target={"write_mode": "upsert"})
    assert bench.project.sync().streams[0].loaded == 10
    bench.sql(
        "UPDATE people SET name = 'new', at = '2025-01-01' WHERE id = 4; INSERT INTO people VALUES (11, 'n11', '2025-01-01')"
    )
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    rows = bench.project.rows().sort("id")
    assert rows["id"].to_list() == list(range(1, 12))
    assert rows["name"].to_list()[3] == "new"


def windowed(bench: PostgresBench, saved: Any = None, **window: str) -> tuple[list[int], str | None]:
    """The ids that a run with a window reads, and the value that it saves."""
    job = msgspec.structs.replace(bench.project.load(), window=Window(**window))
    extract = connectors.source(job).read(job.streams[0], saved, meter=Meter())
    try:
        ids = extract.frame.collect(engine="streaming")["id"].to_list()
        return sorted(ids), extract.cursor().entries.get("people.at", {}).get("last_value")
    finally:
        extract.close()


def test_a_window_is_read_whatever_was_saved(bench: PostgresBench) -> None:
    people(bench, 10)
    bench.sql("INSERT INTO people VALUES (0, 'never', NULL)")
    bench.job("people", incremental=INCREMENTAL)
    assert windowed(bench, until="2024-01-04") == ([1, 2], "2024-01-03 00:00:00+00")
    early = bench.cursor()
    bench.sql("INSERT INTO people VALUES (20, 'late', '2024-02-01'), (21, 'later', '2024-03-01')")
    saved = early.entries["people.at"]["last_value"]
    assert saved == "2024-01-11 00:00:00+00"
    assert windowed(bench, early, since="2024-01-09") == ([0, 8, 9, 10, 20, 21], "2024-03-01 00:00:00+00")
    # What lies between the saved value and the window was left out: the next run has to begin before it.
    assert windowed(bench, early, since="2024-02-15") == ([0, 21], saved)
    assert windowed(bench, early, since="2024-01-02", until="2024-01-04") == ([1, 2], saved)
    assert windowed(bench, early, until="2024-02-10") == ([10, 20], "2024-02-01 00:00:00+00")
    assert windowed(bench, None, since="2024-02-15") == ([0, 21], None)
    with pytest.raises(SourceError, match="'soon' of --since is no timestamp with time zone"):
        windowed(bench, early, since="soon")


def test_few_new_rows_of_a_large_table_are_found_in_a_fixed_order(bench: PostgresBench) -> None:
    people(bench, 20_000)
    bench.sql("UPDATE people SET at = at - interval '60 years'; CREATE INDEX ON people (at); ANALYZE people")
    bench.job("people", incremental=INCREMENTAL)
    cursor = bench.cursor()
    bench.sql("UPDATE people SET at = '2100-01-01' WHERE id IN (5, 19000, 77)")
    extract = bench.read(cursor)
    assert extract.pieces is not None
    first = extract.frame.collect(engine="streaming")
    assert_frame_equal(extract.frame.collect(engine="streaming"), first)
    (piece,) = extract.pieces([])
    assert isinstance(piece, Piece)
    assert_frame_equal(pl.concat([pl.DataFrame(schema=extract.frame.collect_schema()), *piece.frames()]), first)
    extract.close()
    assert sorted(first["id"]) == [5, 77, 19000, 20000]


def test_rows_written_while_a_run_reads_are_in_this_run_or_the_next(bench: PostgresBench) -> None:
    people(bench, 2_000)
    bench.project.asset([{**ID, "primary_key": True}, {"name": "name"}, {"name": "at", "type": "timestamptz"}])
    incremental = {**INCREMENTAL, "lookback_days": 1}
    bench.job("people", incremental=incremental, target={"write_mode": "upsert"})
    bench.sql("UPDATE people SET at = now()")
    done = threading.Event()

    def write() -> None:
        number = 10_000
        while not done.is_set():
            number += 1
            bench.sql(
                f"INSERT INTO people VALUES ({number}, 'new', clock_timestamp());"
                "UPDATE people SET name = name || '+', at = clock_timestamp() WHERE id = 1 + floor(random() * 2000)"
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert bench.project.sync().exit_code == 0
    finally:
        done.set()
        writer.join()
    assert bench.project.sync().exit_code == 0
    there = [(int(i), n) for i, n in bench.sql("SELECT id, name FROM people ORDER BY id")]
    assert bench.project.rows().sort("id").select("id", "name").rows() == there


def test_a_standby_is_read_in_one_snapshot(project: Project, tmp_path: Path) -> None:
    with postgres(tmp_path / "primary") as primary:
        bench = PostgresBench(project, primary)
        bench.sql("CREATE TABLE people (id int, name text); INSERT INTO people SELECT i, repeat('x', 500) FROM "
                  "generate_series(1, 20000) i; CHECKPOINT")  # fmt: skip
        with standby(primary, tmp_path / "standby") as port:
            bench.job("people", connection={"port": port}, options={"connections": 2})
            assert "a standby" in bench.check()[0]["message"]
            assert bench.ids() == list(range(1, 20001))


@contextmanager
def standby(primary: Postgres, folder: Path) -> Iterator[int]:
    """A standby of a server; its port."""
    user, port = servant("postgres"), free_port()
    data = data_folder(folder, user) / "data"
    environment = {**os.environ, **primary.environment}
    done = subprocess.run([str(programs() / "pg_basebackup"), "-D", str(data), "-R", "-c", "fast"], env=environment,
                          capture_output=True, text=True, cwd=data.parent, check=False, **run_as(user))  # fmt: skip
    assert done.returncode == 0, done.stderr
    recipe = Recipe(
        name="standby",
        folder=folder,
        command=[str(programs() / "postgres"), "-D", str(data), "-p", str(port)],
        ready=lambda: subprocess.run(
            [str(programs() / "pg_isready"), "-q", "-h", primary.host, "-p", str(port)], check=False
        ).returncode == 0,
        user=user,
        data=data,
        stop_signal=signal.SIGINT,
    )  # fmt: skip
    with running(recipe):
        yield port


def test_what_is_new_is_read_in_the_snapshot_of_the_first_look(bench: PostgresBench) -> None:
    from dativo.state.cursor import Cursor

    people(bench, 3)
    bench.job("people", incremental=INCREMENTAL)
    looked = bench.read(full=True)
    try:
        assert looked.since is not None
        bench.sql("INSERT INTO people VALUES (4, 'n4', '2024-03-01')")
        extract = looked.since(Cursor(entries={"people.at": {"last_value": "2024-01-03 00:00:00+00"}}))
        assert extract.frame.collect(engine="streaming")["id"].to_list() == [2, 3]
        assert extract.cursor().entries["people.at"]["last_value"].startswith("2024-01-04")
    finally:
        looked.close()


def test_an_incremental_run_has_one_coordinator_and_one_reader(
    bench: PostgresBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class Counted(Link):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            opened.append(self)

    people(bench, 3)
    bench.job("people", incremental=INCREMENTAL)
    bench.project.sync()
    monkeypatch.setattr(session, "Link", Counted)
    assert bench.project.sync().streams[0].extracted == 1
    assert len(opened) == 2
