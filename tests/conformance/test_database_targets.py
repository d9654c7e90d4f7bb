"""What tables in databases are like: their types, keys and names, what they refuse, and who else may use them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.config.field import Field
from dativo.errors import ConfigError, DativoError, SchemaChangeRefused, TargetError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Revision
from tests.database_lake import DatabaseLake, Server
from tests.lake import write
from tests.project import Project

pytestmark = pytest.mark.server
ID = Field(name="id", kind="long", required=True)
NAME = Field(name="name", kind="string")


@pytest.fixture(params=["postgres", "mysql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lake(project: Project, kind: str, request: pytest.FixtureRequest) -> DatabaseLake:
    server: Server = request.getfixturevalue("postgres_server" if kind == "postgres" else "mariadb_server")
    database = server.make_database(f"tables_{secrets.token_hex(6)}")
    return DatabaseLake(project, kind, server, database, "public" if kind == "postgres" else database)


def merge(lake: DatabaseLake, columns: tuple[Field, ...], rows: dict[str, list[Any]], **revision: Any) -> Any:
    target, _ = lake.opened(columns)
    frame = pl.DataFrame(rows, schema=pl.DataFrame(rows).schema if rows["id"] else {"id": pl.Int64, "name": pl.String})
    written = write(target, frame)
    receipt = StreamReceipt(
        stream="people", table="people", status="loaded", extracted=written.rows, loaded=written.rows
    )
    return target.commit(written, Cursor(), "plan", receipt, Revision("merge", **revision))


def keys(path: Path, **columns: list[Any]) -> Path:
    size = len(next(iter(columns.values())))
    pl.DataFrame({"__dativo_h1": range(size), "__dativo_h2": range(size), **columns}).write_parquet(path)
    return path


def quoted(lake: DatabaseLake, name: str) -> str:
    mark = "`" if lake.connector == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


# -- merging ------------------------------------------------------------------------------------------------------------


def test_a_merge_takes_out_changes_and_adds_in_one_step(lake: DatabaseLake, tmp_path: Path) -> None:
    columns = (ID, NAME)
    lake.load(columns, {"id": [1, 2, 3, 4], "name": ["a", "b", "c ", "d"]})
    found = merge(
        lake, columns, {"id": [2, 5], "name": ["B", "e"]},
        key=(ID,), gone=keys(tmp_path / "gone", id=[2, 99]), amended=keys(tmp_path / "amended", id=[3, 98], name=["C", "x"]),
    )  # fmt: skip
    assert (found.snapshot_id, found.deleted, found.updated) == (2, 1, 1)
    assert sorted(lake.rows().rows()) == [(1, "a"), (2, "B"), (3, "C"), (4, "d"), (5, "e")]


def test_keys_of_several_columns_are_compared_to_the_letter(lake: DatabaseLake, tmp_path: Path) -> None:
    columns = (Field(name="id", kind="string"), NAME)
    lake.load(columns, {"id": ["a", "A", "a ", "ä"], "name": ["x", "x", "x", None]})
    merge(
        lake, columns, {"id": [], "name": []}, key=columns, gone=keys(tmp_path / "gone", id=["a", "ä"], name=["x", "x"])
    )
    assert sorted(lake.rows().rows()) == [("A", "x"), ("a ", "x"), ("ä", None)]


def test_rows_that_the_named_column_does_not_hold_true_are_left_alone(lake: DatabaseLake, tmp_path: Path) -> None:
    columns = (ID, NAME, Field(name="current", kind="boolean"))
    lake.load(columns, {"id": [1, 1, 1, 2], "name": list("abcd"), "current": [True, False, None, True]})
    target, _ = lake.opened(columns)
    written = write(target, pl.DataFrame(schema={"id": pl.Int64, "name": pl.String, "current": pl.Boolean}))
    receipt = StreamReceipt(stream="people", table="people", status="loaded")
    amended = keys(tmp_path / "amended", id=[1], current=[False], name=["z"])
    target.commit(written, Cursor(), "p", receipt, Revision("merge", key=(ID,), amended=amended, only="current"))
    found = lake.rows().select("name", "current").rows()
    assert sorted(found, key=str) == sorted([("z", False), ("b", False), ("c", None), ("d", True)], key=str)


def upsert_job(lake: DatabaseLake, **more: Any) -> None:
    key: dict[str, Any] = {"name": "id", "type": "integer", "required": True, "primary_key": True}
    lake.project.asset([key, {"name": "name", "type": "string"}])
    lake.make_job("job", target={**lake.target_block, "write_mode": "upsert"}, **more)


def test_an_upsert_keeps_each_key_once_in_a_table_with_a_primary_key(lake: DatabaseLake) -> None:
    upsert_job(lake)
    lake.project.write("data/people.csv", "id,name\n1,Ann\n2,Bob\n")
    first = lake.project.sync()
    assert (first.status, first.loaded) == ("loaded", 2), first.streams[0].error
    lake.project.write("data/people.csv", "id,name\n2,Bobby\n3,Cy\n")
    second = lake.project.sync()
    assert (second.loaded, second.streams[0].updated) == (2, 1), second.streams[0].error
    assert sorted(lake.rows().rows()) == [(1, "Ann"), (2, "Bobby"), (3, "Cy")]
    here = f"table_name = 'people' AND table_schema = '{lake.schema}'"
    assert ["PRIMARY KEY"] in lake.sql(f"SELECT constraint_type FROM information_schema.table_constraints WHERE {here}")
    sql = f"SELECT is_nullable FROM information_schema.columns WHERE column_name = 'id' AND {here}"
    assert lake.sql(sql) == [["NO"]]


# -- names --------------------------------------------------------------------------------------------------------------

EVIL = ["a b", 'quote"d', "back`tick", "semi;colon", "per%cent%s", "it's", "dot.ted", "back\\slash", "ü", "select",
        "x); DROP TABLE other; --"]  # fmt: skip


def test_names_and_values_of_any_kind_are_names_and_values(lake: DatabaseLake) -> None:
    lake.sql("CREATE TABLE other (a int)")
    columns = tuple(Field(name=n, kind="string", description=n) for n in EVIL)
    rows = {n: [n, "NULL", "\\N", "", 'a"b,c\nd\r\n\t\\', None] for n in EVIL}
    lake.load(columns, rows)
    lake.load((*columns, Field(name="new'\"`%", kind="long", description="'; DROP TABLE other; --")),
              {**{n: [None] for n in EVIL}, "new'\"`%": [1]})  # fmt: skip
    found = lake.existing(columns)
    assert found is not None
    assert found.head(6).equals(pl.DataFrame(rows))
    assert lake.sql("SELECT count(*) FROM other") == [["0"]]
    comments = {c.name: c.comment for c in facts(lake).columns}
    assert all(comments[n] == n for n in EVIL)


def facts(lake: DatabaseLake) -> Any:
    job = lake.project.load(lake.job)
    found = connectors.reader(job, job.streams[0]).facts()
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["ä" * 33, "x" * 65, "", "a\nb"])
def test_names_that_the_database_would_change_are_refused(lake: DatabaseLake, name: str) -> None:
    if lake.connector == "mysql" and name == "ä" * 33:
        name = "name😀"
    with pytest.raises(ConfigError, match="cannot name a column of"):
        lake.open([Field(name=name, kind="long")])


def test_names_that_are_one_for_the_database_are_refused(lake: DatabaseLake) -> None:
    columns = [Field(name="Id", kind="long"), Field(name="id", kind="long")]
    if lake.connector == "postgres":
        lake.load(columns, {"Id": [1], "id": [2]})
        assert lake.rows().rows() == [(1, 2)]
        columns = [Field(name="ctid", kind="long")]
    with pytest.raises(ConfigError, match=r"are the same for mysql|a hidden column of this name"):
        lake.open(columns)


def test_a_schema_of_any_name_is_made(lake: DatabaseLake) -> None:
    schema = f"odd \"`'; {secrets.token_hex(4)}"
    lake.target_block = {"connection": {**lake.connection, "schema": schema}}
    lake.make_job(lake.job)
    lake.load(lake.columns, lake.frame([1]))
    assert lake.ids == [1]
    assert lake.sql(f"SELECT id FROM {quoted(lake, schema)}.people") == [["1"]]


# -- what is there already ----------------------------------------------------------------------------------------------


def test_a_table_of_another_program_is_appended_to_and_not_replaced_unasked(lake: DatabaseLake) -> None:
    serial = "id bigint, name varchar(20), made timestamp DEFAULT CURRENT_TIMESTAMP NOT NULL"
    lake.sql(f"CREATE TABLE people ({serial})")
    lake.sql("INSERT INTO people (id, name) VALUES (1, 'old')")
    fields = [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]
    lake.project.asset(fields)
    lake.project.write("data/people.csv", "id,name\n2,new\n")
    refused = lake.project.sync()
    assert refused.exit_code == 2
    assert "also loaded by another program" in (refused.streams[0].error or "")
    lake.make_job("job", target={**lake.target_block, "write_mode": "append"})
    assert lake.project.sync().loaded == 1
    assert lake.sql("SELECT id, name FROM people ORDER BY id") == [["1", "old"], ["2", "new"]]
    with pytest.raises(SchemaChangeRefused, match="'name' is"):
        lake.open([Field(name="name", kind="long")])


def test_narrow_numbers_are_widened_where_the_job_says_so(lake: DatabaseLake) -> None:
    lake.sql("CREATE TABLE people (id integer NOT NULL)")
    with pytest.raises(SchemaChangeRefused, match="wider, which needs"):
        lake.open(lake.columns)
    lake.make_job("job", target={**lake.target_block, "mode": "relaxed"})
    lake.load(lake.columns, lake.frame([2**40, None]))
    assert lake.ids == [2**40, None] or lake.ids == [None, 2**40]


# -- values that do not fit ---------------------------------------------------------------------------------------------


def refused_load(lake: DatabaseLake, columns: tuple[Field, ...], rows: dict[str, list[Any]], text: str) -> None:
    lake.load(columns, pl.DataFrame(rows).clear())
    with pytest.raises(TargetError, match=text) as caught:
        lake.load(columns, rows)
    assert caught.value.hint
    assert lake.existing(columns) is None


def test_values_that_the_database_cannot_hold_are_told_and_nothing_is_loaded(lake: DatabaseLake) -> None:
    if lake.connector == "postgres":
        refused_load(lake, (ID, NAME), {"id": [1, 2], "name": ["ok", "a\0b"]}, "character NUL in text.*1 in 'name'")
        return
    score = Field(name="score", kind="double")
    refused_load(lake, (ID, score), {"id": [1, 2], "score": [1.5, float("nan")]}, "a value does not fit|1 in 'score'")


def test_what_a_failed_load_made_stands_in_no_one_s_way(lake: DatabaseLake) -> None:
    """Types of a contract that one type of the database stands for: MySQL makes tables outside of the transaction."""
    at, tags = Field(name="at", kind="timestamptz"), Field(name="tags", kind="list", item=NAME)
    extra = Field(name="extra", kind="list", item=Field(name="item", kind="long"))
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    good: dict[str, list[Any]] = {"id": [1], "at": [moment], "tags": [["a"]], "name": ["x"]}
    bad: dict[str, list[Any]] = {"id": [2], "at": [moment], "tags": [["b"]], "score": [float("nan")], "name": ["a\0b"]}
    wider = (ID, at, tags, Field(name="score", kind="double"), NAME)
    with pytest.raises(TargetError):
        lake.load(wider, bad)
    lake.load((*wider, extra), {**good, "score": [1.0], "extra": [[1]]})
    lake.load((*wider, extra), {**good, "id": [2], "score": [1.0], "extra": [[2]]})
    more = Field(name="more", kind="list", item=NAME)
    with pytest.raises(TargetError):
        lake.load((*wider, extra, more), {**bad, "extra": [[4]], "more": [["m"]]})
    lake.load((*wider, extra, more), {**good, "id": [3], "score": [1.0], "extra": [[3]], "more": [["m"]]})
    rows = lake.rows().sort("id")
    assert rows["extra"].to_list() == [[1], [2], [3]] and rows["more"].to_list() == [None, None, ["m"]]
    assert rows["at"].to_list() == [moment] * 3


def test_a_value_that_is_too_long_for_a_column_that_is_there_is_told(lake: DatabaseLake) -> None:
    lake.sql("CREATE TABLE people (id bigint, name varchar(3))")
    with pytest.raises(TargetError, match=r"a value does not fit: .*(too long|truncated)"):
        lake.load((Field(name="id", kind="long"), NAME), {"id": [1, 2], "name": ["abc", "abcd"]})
    assert lake.sql("SELECT count(*) FROM people") == [["0"]]


def test_a_key_that_is_there_twice_is_an_error_and_loads_nothing(lake: DatabaseLake) -> None:
    lake.sql("CREATE TABLE people (id bigint PRIMARY KEY)")
    lake.load((ID,), {"id": [1]})
    with pytest.raises(TargetError, match="a value does not fit"):
        lake.load((ID,), {"id": [2, 1]})
    assert lake.ids == [1]


# -- the way there ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("password", "wrong-Secret-1", "refuses the (user|account) 'dativo'.* with this password"),
        ("port", "1", "cannot be reached: nothing listens there"),
        ("host", "no.such.host.invalid", "cannot be reached: its host is not known"),
        ("database", "nowhere", "has no database 'nowhere'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place_and_without_the_secret(
    lake: DatabaseLake, setting: str, value: str, text: str
) -> None:
    lake.target_block = {"connection": {**lake.connection, setting: value}}
    lake.make_job(lake.job)
    with pytest.raises(TargetError, match=text) as caught:
        lake.open(lake.columns)
    told = caught.value.render()
    assert told.count(f"target.connection.{setting}") == 1 and "wrong-Secret-1" not in told
    (found,) = connectors.check_target(lake.project.load(lake.job))
    assert found["ok"] is False and caught.value.hint in found["hint"]
    assert f"target.connection.{setting} (jobs/acme/" in found["hint"]
    lake.project.write("data/people.csv", "id\n1\n")
    receipt = lake.project.sync()
    assert receipt.exit_code == 2 and "wrong-Secret-1" not in str(receipt)


def test_a_user_who_may_not_make_tables_is_told_so(lake: DatabaseLake) -> None:
    name = f"poor_{secrets.token_hex(4)}"
    if lake.connector == "postgres":
        lake.sql(f"CREATE USER {name} PASSWORD 'pw'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    else:
        lake.sql(f"CREATE USER {name} IDENTIFIED BY 'pw'; GRANT SELECT ON {lake.database}.* TO {name}")
    lake.target_block = {"connection": {**lake.connection, "user": name, "password": "pw"}}
    lake.make_job(lake.job)
    findings = connectors.check_target(lake.project.load(lake.job))
    assert [f["ok"] for f in findings] == [True, False]
    with pytest.raises(DativoError, match="the user may not do this") as caught:
        lake.load(lake.columns, lake.frame([1]))
    assert "target.connection.user" in caught.value.hint


def test_what_is_well_is_told(lake: DatabaseLake) -> None:
    assert [f["ok"] for f in connectors.check_target(lake.project.load(lake.job))] == [True, True]


def test_rows_go_by_insert_where_load_data_is_forbidden(project: Project, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue("mariadb_server")
    database = server.make_database(f"slow_{secrets.token_hex(6)}")
    lake = DatabaseLake(project, "mysql", server, database, database)
    columns = (ID, NAME, Field(name="b", kind="binary"))
    rows = {"id": list(range(1200)), "name": [None, "NULL", "a'b\\c\"%s"] * 400, "b": [None, b"", b"\0\xff'"] * 400}
    server.sql("SET GLOBAL local_infile = 0")
    try:
        lake.load(columns, rows)
        assert "INSERT" in connectors.check_target(lake.project.load(lake.job))[1]["message"]
    finally:
        server.sql("SET GLOBAL local_infile = 1")
    assert lake.existing(columns).sort("id").equals(pl.DataFrame(rows))  # type: ignore[union-attr]


def test_the_reader_and_a_reset_see_what_the_runs_left(lake: DatabaseLake) -> None:
    lake.load(lake.columns, lake.frame([1, 2]), properties={"asset.name": "people"})
    lake.load(lake.columns, lake.frame([3]), replace=True)
    found = facts(lake)
    assert (found.rows, found.tags) == (1, {"asset.name": "people"})
    assert [(s.id, s.operation, s.rows_added, s.rows_removed, s.current) for s in found.snapshots] == [
        (2, "replace", 1, 2, True), (1, "append", 2, 0, False)
    ]  # fmt: skip
    job = lake.project.load(lake.job)
    token = connectors.reader(job, job.streams[0]).tokens()[0]
    receipt = StreamReceipt(stream="people", table="people", status="unchanged", write_mode="reset")
    connectors.forget(job, job.streams[0], "t-9", token, receipt)
    saved = lake.open(lake.columns).saved
    assert saved is not None and (saved.token, saved.cursor) == ("t-9", Cursor())
    assert lake.ids == [3]
