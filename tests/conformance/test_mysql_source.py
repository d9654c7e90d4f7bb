"""MySQL's protocol as a source, against a real server: types with their extreme values, one picture, windows, kept
pieces, and what a person is told when something breaks."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pymysql
import pytest

from dativo.connectors import source as source_of
from dativo.errors import ConfigError, DativoError
from dativo.sources.protocol import FAULT, ROW, Meter, Piece, Staged
from tests.project import Project
from tests.services.mariadb import MariaDb, mariadb

pytestmark = pytest.mark.server
RECIPE = "connectors/sources/mysql.yaml"


class Shop:
    """A database of the test's own, and a project with a job that reads it."""

    def __init__(self, project: Project, server: MariaDb) -> None:
        self.project, self.server = project, server
        self.database = server.make_database(f"shop_{uuid4().hex[:12]}")

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        link = pymysql.connect(host=self.server.host, port=self.server.port, user=self.server.user,
                               password=self.server.password, database=self.database, autocommit=True)  # fmt: skip
        try:
            with link.cursor() as cursor:
                cursor.execute("SET sql_mode = '', time_zone = '+00:00', lock_wait_timeout = 10")
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            link.close()

    def job(self, fields: list[dict[str, Any]], source: dict[str, Any] | None = None, **more: Any) -> None:
        self.project.asset(fields)
        self.project.write(
            RECIPE, "name: mysql\ntype: mysql\nroles: [source, target]\ndefault_engine: {type: native}\n"
        )
        connection = {"host": self.server.host, "port": self.server.port, "user": self.server.user,
                      "password": self.server.password, "database": self.database}  # fmt: skip
        settings = {"connection": connection, "tables": [{"name": "people"}], **(source or {})}
        self.project.job(source_connector_path=RECIPE, source=settings, **more)

    def sync(self) -> Any:
        return self.project.sync().streams[0]

    def extract(self, meter: Meter | None = None) -> Any:
        job = self.project.load()
        return source_of(job).read(job.streams[0], None, meter=meter or Meter())


@pytest.fixture
def shop(project: Project, mariadb_server: MariaDb) -> Iterator[Shop]:
    made = Shop(project, mariadb_server)
    yield made
    made.server.sql(f"SET lock_wait_timeout = 10; DROP DATABASE `{made.database}`")


def field(name: str, type_: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


NUMBERS = [
    ("TINYINT", "bigint", "-128", -128), ("TINYINT UNSIGNED", "bigint", "255", 255),
    ("SMALLINT", "bigint", "-32768", -32768),
    ("MEDIUMINT", "bigint", "-8388608", -8388608), ("MEDIUMINT UNSIGNED", "bigint", "16777215", 16777215),
    ("INT", "bigint", "-2147483648", -(2**31)), ("INT UNSIGNED ZEROFILL", "bigint", "4294967295", 2**32 - 1),
    ("BIGINT", "bigint", "-9223372036854775808", -(2**63)),
    ("BIGINT UNSIGNED", "decimal(20,0)", "18446744073709551615", Decimal(2**64 - 1)),
    ("TINYINT(1)", "boolean", "1", True), ("YEAR", "bigint", "2155", 2155), ("FLOAT", "double", "1.5", 1.5),
    ("DOUBLE", "double", "1.7976931348623157e308", 1.7976931348623157e308), ("DOUBLE", "double", "5e-324", 5e-324),
    ("DECIMAL(38,10)", "decimal(38,10)", "'-9999999999999999999999999999.9999999999'",
     Decimal("-9999999999999999999999999999.9999999999")),
    ("DECIMAL(65,30)", "string", "'-99999999999999999999999999999999999.999999999999999999999999999999'",
     "-99999999999999999999999999999999999.999999999999999999999999999999"),
    ("DECIMAL(10,3) UNSIGNED", "decimal(10,3)", "'9999999.999'", Decimal("9999999.999")),
    ("BIT(1)", "boolean", "b'1'", True), ("BIT(12)", "bigint", "b'101'", 5),
    ("BIT(64)", "decimal(20,0)", "18446744073709551615", Decimal(2**64 - 1)), ("BIT(9)", "binary", "b'100000001'", b"\1\1"),
]  # fmt: skip
TIMES = [
    ("DATE", "date", "'9999-12-31'", date(9999, 12, 31)), ("DATE", "date", "'1000-01-01'", date(1000, 1, 1)),
    ("DATE", "string", "'0000-00-00'", "0000-00-00"), ("DATETIME", "timestamp", "'2024-02-29'", datetime(2024, 2, 29)),
    ("DATETIME(6)", "timestamp", "'9999-12-31 23:59:59.999999'", datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ("DATETIME(3)", "string", "'2024-00-10 01:02:03.004'", "2024-00-10 01:02:03.004"),
    ("TIMESTAMP(6) NULL", "timestamptz", "'2038-01-19 03:14:07.999999'",
     datetime(2038, 1, 19, 3, 14, 7, 999999, tzinfo=UTC)),
    ("TIME", "string", "'838:59:59'", "838:59:59"), ("TIME(6)", "string", "'-838:59:59.000001'", "-838:59:59.000001"),
]  # fmt: skip
TEXTS = [
    ("CHAR(5)", "string", "'ab'", "ab"), ("VARCHAR(50)", "string", "'Zoë 😀 \\0 x'", "Zoë 😀 \0 x"),
    ("VARCHAR(9)", "string", "''", ""), ("VARCHAR(9) CHARACTER SET latin1", "string", "'äöüß'", "äöüß"),
    ("VARCHAR(20)", "string", "'exactly 12 b'", "exactly 12 b"),
    ("VARCHAR(20)", "string", "'and thirteen!'", "and thirteen!"),
    ("LONGTEXT", "string", "REPEAT('x', 70000)", "x" * 70000), ("TEXT", "string", "REPEAT('y', 251)", "y" * 251),
    ("ENUM('a','ü')", "string", "'ü'", "ü"), ("SET('x','y','z')", "string", "'x,z'", "x,z"),
    ("JSON", "json", """'{"a": [1, null]}'""", '{"a": [1, null]}'), ("BINARY(4)", "binary", "x'0001'", b"\0\1\0\0"),
    ("VARBINARY(9)", "binary", "x'ff00'", b"\xff\0"), ("LONGBLOB", "binary", "x'00ff'", b"\0\xff"),
    ("UUID", "uuid", "'123e4567-e89b-12d3-a456-426655440000'", "123e4567-e89b-12d3-a456-426655440000"),
    ("INET6", "string", "'::ffff:192.0.2.1'", "::ffff:192.0.2.1"),
    ("POINT", "binary", "ST_GeomFromText('POINT(1 2)', 4326)",
     bytes.fromhex("e6100000" "0101000000" "000000000000f03f" "0000000000000040")),
]  # fmt: skip


def test_extreme_values_of_every_type_arrive_in_the_table_exactly(shop: Shop) -> None:
    cases = [*NUMBERS, *TIMES, *TEXTS]
    columns = ", ".join(f"c{i} {type_}" for i, (type_, *_) in enumerate(cases))
    values = ", ".join(value for _, _, value, _ in cases)
    shop.sql(
        f"CREATE TABLE people (id INT PRIMARY KEY, {columns}, twice INT AS (id * 2) VIRTUAL) CHARACTER SET utf8mb4",
        "INSERT INTO people (id) VALUES (1), (3)",
        f"INSERT INTO people VALUES (2, {values}, DEFAULT)",
    )
    fields = [field(f"c{i}", type_) for i, (_, type_, *_) in enumerate(cases)]
    shop.job([field("id", "bigint"), *fields, field("twice", "bigint")])
    receipt = shop.sync()
    assert receipt.status == "loaded", receipt.error
    rows = shop.project.rows().sort("id")
    assert rows["twice"].to_list() == [2, 4, 6]
    for i, (type_, wanted, _, expected) in enumerate(cases):
        found = rows[f"c{i}"].to_list()
        if wanted == "uuid" and isinstance(found[1], bytes):
            expected = bytes.fromhex(str(expected).replace("-", ""))
        assert found == [None, expected, None], type_


def test_floats_keep_their_own_value(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, f FLOAT, d DOUBLE)",
        "INSERT INTO people VALUES (1, 0.1, 0.1), (2, 16777217, 1e23)",
    )
    shop.job([field("id", "bigint"), field("f", "double"), field("d", "double")])
    assert shop.sync().loaded == 2
    rows = shop.project.rows().sort("id")
    assert rows["f"].to_list() == [0.10000000149011612, 16777216.0]
    assert rows["d"].to_list() == [0.1, 1e23]


def test_a_text_has_no_blanks_that_nobody_wrote(project: Project, tmp_path: Path) -> None:
    with mariadb(tmp_path / "server") as server:
        server.sql("SET GLOBAL sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES'")
        shop = Shop(project, server)
        shop.sql("CREATE TABLE people (id INT PRIMARY KEY, c CHAR(5))", "INSERT INTO people VALUES (1, 'ab'), (2, '')")
        shop.job([field("id", "bigint"), field("c", "string")])
        shop.sync()
        assert project.rows().sort("id")["c"].to_list() == ["ab", ""]


def test_dates_that_are_none_are_rejects(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, d DATE, t DATETIME(6), s TIMESTAMP NULL)",
        "INSERT INTO people VALUES (1, '2024-01-01', NULL, NULL), (2, '0000-00-00', NULL, NULL), "
        "(3, NULL, '2024-00-10 01:02:03', NULL), (4, NULL, NULL, '0000-00-00'), (5, NULL, '0000-01-01', NULL)",
    )
    fields = [field("id", "bigint"), field("d", "date"), field("t", "timestamp"), field("s", "timestamptz")]
    shop.job(fields, schema_validation_mode="quarantine")
    receipt = shop.sync()
    assert (receipt.loaded, receipt.rejected) == (1, 4), receipt
    told = shop.project.rejects().sort("row")
    assert told["rule"].unique().to_list() == ["no_date"]
    assert told["value"].to_list() == [
        "d is 0000-00-00", "t is 2024-00-10 01:02:03", "s is 0000-00-00 00:00:00", "t is 0000-01-01 00:00:00"]  # fmt: skip


def test_a_time_of_day_is_one_only_within_a_day(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, t TIME(6))",
        "INSERT INTO people VALUES (1, '23:59:59.999999'), (2, '24:00:00'), (3, '-00:00:01'), (4, '00:00:00')",
    )
    shop.job([field("id", "bigint"), field("t", "time")], schema_validation_mode="quarantine")
    receipt = shop.sync()
    assert (receipt.loaded, receipt.rejected) == (2, 2), receipt
    assert [str(t) for t in shop.project.rows().sort("id")["t"]] == ["23:59:59.999999", "00:00:00"]


def test_unsigned_numbers_beyond_a_long_are_rejects_of_a_long(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id BIGINT UNSIGNED PRIMARY KEY)",
        "INSERT INTO people VALUES (9223372036854775807), (9223372036854775808)",
    )
    shop.job([field("id", "bigint")], schema_validation_mode="quarantine")
    assert (shop.sync().loaded, shop.project.rows()["id"].to_list()) == (1, [2**63 - 1])


def test_rows_of_more_than_sixteen_mebibytes_and_of_many_blocks(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, t LONGBLOB)",
        "INSERT INTO people SELECT seq, REPEAT('ab', 1500000) FROM seq_1_to_5",
        "SET GLOBAL max_allowed_packet = 1073741824",
    )
    for size in (16777215 - 20, 16777215, 16777216, 33554430, 40_000_001):
        shop.sql(f"INSERT INTO people SELECT {size}, REPEAT('z', {size})")
    shop.job([field("id", "bigint"), field("t", "binary")])
    extract = shop.extract()
    rows = extract.frame.select("id", size=pl.col("t").bin.size(), ends=pl.col("t").bin.ends_with(b"z")).collect()
    extract.close()
    assert rows["size"].to_list() == [3_000_000] * 5 + [16777195, 16777215, 16777216, 33554430, 40_000_001]
    assert rows["ends"].sum() == 5


def test_all_relations_of_a_stream_are_of_one_moment(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY) ENGINE = InnoDB",
             "CREATE TABLE more (id INT PRIMARY KEY) ENGINE = InnoDB",
             "INSERT INTO people VALUES (1)")  # fmt: skip
    shop.job([field("id", "bigint")], {"tables": [{"name": "people"}, {"name": "more"}]})
    extract = shop.extract()
    shop.sql("INSERT INTO more VALUES (2)", "INSERT INTO people VALUES (3)", "DELETE FROM people WHERE id = 1")
    for _ in range(2):
        assert extract.frame.collect()["id"].to_list() == [1]
    extract.close()


def test_views_queries_columns_conditions_and_odd_names(shop: Shop) -> None:
    odd, quoted = "odd `na.me` ß", "odd ``na.me`` ß"
    shop.sql(
        f"CREATE TABLE `{quoted}` (id INT PRIMARY KEY, `a ``b` TEXT)",
        f"INSERT INTO `{quoted}` VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        f"CREATE VIEW seen AS SELECT id + 10 AS id, `a ``b` FROM `{quoted}`",
    )
    shop.job(
        [field("id", "bigint"), field("text", "string", physicalName="a `b")],
        {"tables": [{"schema": shop.database, "name": odd, "where": "id < 3"},
                    {"name": f"{shop.database}.seen", "columns": ["id"]}],
         "queries": [{"name": "q",
                      "sql": f"SELECT 100 AS id, 'it''s; # no' AS `a ``b` FROM `{quoted}` LIMIT 1 -- end; so"}]},
    )  # fmt: skip
    receipt = shop.sync()
    assert receipt.status == "loaded", receipt.error
    assert sorted(shop.project.rows().rows(), key=str) == sorted(
        [(1, "one"), (2, "two"), (11, None), (12, None), (13, None), (100, "it's; # no")], key=str)  # fmt: skip


INCREMENTAL = {"incremental": {"strategy": "updated_at", "cursor_field": "at"}}


@pytest.mark.parametrize(
    ("type_", "contract", "first", "same", "next_", "earlier"),
    [
        ("DATETIME(6)", "timestamp", "'2024-01-01 00:00:00.000001'",
         "'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'", "'2024-01-01'"),
        ("TIMESTAMP(6) NULL", "timestamptz", "'2024-03-31 02:30:00.5'",
         "'2024-03-31 02:30:00.5'", "'2024-03-31 02:30:01'", "'2024-03-31 02:30:00.4'"),
        ("DATE", "date", "'2024-01-02'", "'2024-01-02'", "'2024-01-03'", "'2024-01-01'"),
        ("BIGINT UNSIGNED", "decimal(20,0)", "18446744073709551613",
         "18446744073709551613", "18446744073709551615", "18446744073709551612"),
        ("DECIMAL(30,10)", "decimal(30,10)", "'1.0000000001'", "'1.0000000001'", "'1.0000000002'", "1"),
        ("VARCHAR(20)", "string", "'b'", "'B'", "'c'", "'a'"),
    ],
)  # fmt: skip
def test_incremental_loading_keeps_the_cursors_precision(
    shop: Shop, type_: str, contract: str, first: str, same: str, next_: str, earlier: str
) -> None:
    shop.sql(
        f"CREATE TABLE people (id INT PRIMARY KEY, at {type_})", f"INSERT INTO people VALUES (1, {first}), (2, NULL)"
    )
    shop.job([field("id", "bigint"), field("at", contract)], INCREMENTAL)
    one = shop.sync()
    assert one.loaded == 2, one.error
    shop.sql(f"INSERT INTO people VALUES (3, {same}), (4, {next_}), (5, {earlier}), (6, NULL)")
    two = shop.sync()
    assert two.loaded == 3, two.error
    assert sorted(shop.project.rows()["id"]) == [1, 2, 3, 4, 6]


def test_a_cursor_that_cannot_be_compared_is_refused(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, at DOUBLE)")
    shop.job([field("id", "bigint"), field("at", "double")], INCREMENTAL)
    assert "cannot be loaded by 'at'" in shop.sync().error


def test_rows_come_in_the_order_of_the_key_whatever_is_asked_for(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(9), KEY (name))",
             "INSERT INTO people SELECT seq, LPAD(seq * 7919 % 1000, 4, '0') FROM seq_1_to_1000")  # fmt: skip
    shop.job([field("id", "bigint"), field("name", "string")])
    extract = shop.extract()
    assert extract.unique == (frozenset({"id"}),)
    whole = extract.frame.select("name", ROW).collect()
    assert extract.frame.select("id", "name", ROW).collect().select("name", ROW).equals(whole)
    assert extract.frame.head(7).collect()["id"].to_list() == [1, 2, 3, 4, 5, 6, 7]
    extract.close()


def test_a_reading_that_is_left_early_leaves_its_snapshot_usable(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, t VARCHAR(100))",
        "INSERT INTO people SELECT seq, REPEAT('x', 100) FROM seq_1_to_300000",
    )
    shop.job([field("id", "bigint"), field("t", "string")])
    job = shop.project.load()
    source: Any = source_of(job)
    extract = source.read(job.streams[0], None, meter=Meter())
    session, (described,) = source._last[job.streams[0].name]
    from dativo.sources.mysql.relation import read_rows

    rows = read_rows(session, described, ["id", "t"], None, Meter())
    assert next(rows).height > 0
    rows.close()
    assert extract.frame.select(pl.len()).collect().item() == 300_000
    extract.close()


def given(frames: list[pl.DataFrame]) -> Generator[pl.DataFrame, None, None]:
    yield from frames


def kept(pieces: Any, staged: list[Staged], stop: int | None = None) -> tuple[list[Staged], int, pl.DataFrame]:
    """What a run keeps of a reading that ends after some pieces: what is staged, rows read, and all rows."""
    found, read, frames = [], 0, []
    for position, piece in enumerate(pieces(staged)):
        if stop is not None and position == stop:
            break
        if isinstance(piece, Piece):
            own = list(piece.frames())
            rows = sum(frame.height for frame in own)
            read += rows
            frames += own
            found.append(Staged(piece.name, rows, json.loads(json.dumps(piece.proof())), partial(given, own)))
        else:
            found.append(piece)
    return found, read, pl.concat(frames) if frames else pl.DataFrame()


KEYS = [
    ("id INT PRIMARY KEY", "seq"),
    ("a VARCHAR(5) CHARACTER SET utf8mb4, id INT, PRIMARY KEY (a, id)", "CHAR(97 + seq MOD 26), seq"),
    ("k BINARY(4) PRIMARY KEY, id INT", "UNHEX(LPAD(HEX(seq * 31), 8, 'F0')), seq"),
    ("d DATE, id BIGINT UNSIGNED, PRIMARY KEY (d, id)", "DATE '2024-01-01' + INTERVAL seq DIV 100 DAY, seq"),
]


@pytest.mark.parametrize(("key", "values"), KEYS)
def test_pieces_that_are_still_right_are_not_read_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, key: str, values: str
) -> None:
    monkeypatch.setattr("dativo.sources.mysql.pieces.PIECE_ROWS", 100)
    shop.sql(f"CREATE TABLE people ({key}, at DATETIME(6))",
             f"INSERT INTO people SELECT {values}, '2024-01-01' FROM seq_1_to_1000")  # fmt: skip
    shop.job([field("id", "bigint"), field("at", "timestamp")], INCREMENTAL)
    extract = shop.extract()
    staged, read, _ = kept(extract.pieces, [], stop=6)
    extract.close()
    assert read == 600
    # One piece gets a row, one loses one, one has a row that changed; a row comes behind all that was kept.
    extract = shop.extract()
    order = extract.frame.collect()["id"].to_list()
    extract.close()
    shop.sql(
        f"DELETE FROM people WHERE id = {order[150]}", f"UPDATE people SET at = '2023-01-01' WHERE id = {order[350]}"
    )
    extract = shop.extract()
    again, read, _ = kept(extract.pieces, staged)
    whole = extract.frame.collect()
    extract.close()
    assert read == 99 + 100 + 400
    assert sum(s.rows for s in again) == whole.height == 999
    extract = shop.extract()
    assert kept(extract.pieces, again)[1] == 0
    extract.close()


def test_pieces_together_are_the_frame(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.sources.mysql.pieces.PIECE_ROWS", 70)
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, at DATE)",
             "INSERT INTO people SELECT seq * 3, '2024-01-01' FROM seq_1_to_333",
             "CREATE TABLE more AS SELECT id, at FROM people LIMIT 10")  # fmt: skip
    shop.job(
        [field("id", "bigint"), field("at", "date")], {"tables": [{"name": "people"}, {"name": "more"}], **INCREMENTAL}
    )
    extract = shop.extract()
    _, read, rows = kept(extract.pieces, [])
    assert read == 343
    assert rows.drop(ROW).equals(extract.frame.collect().drop(ROW))
    extract.close()


def test_nothing_is_kept_without_a_key(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT UNIQUE)", "INSERT INTO people SELECT seq FROM seq_1_to_10")
    shop.job([field("id", "bigint")])
    extract = shop.extract()
    staged, _, _ = kept(extract.pieces, [])
    assert kept(extract.pieces, staged)[1] == 10
    extract.close()


# A type, its contract's, and SQL that makes a value of a number.
DIGESTED = {
    "int": ("INT", "bigint", "n * 7 - 1000"),
    "padded": ("INT(9) ZEROFILL", "bigint", "n"),
    "unsigned": ("BIGINT UNSIGNED", "decimal(20,0)", "18446744073709551615 - n"),
    "year": ("YEAR", "integer", "1901 + n"),
    "bits": ("BIT(33)", "bigint", "n * 8589934"),
    "decimal": ("DECIMAL(38,10)", "decimal(38,10)", "n / -7"),
    "long decimal": ("DECIMAL(65,30)", "string", "n / 7"),
    "float": ("FLOAT", "double", "n / 7"),
    "double": ("DOUBLE", "double", "POW(-7, n) / POW(3, 2 * n)"),
    "large double": ("DOUBLE", "double", "POW(-7, n)"),
    "date": ("DATE", "date", "DATE '0999-12-01' + INTERVAL n MONTH"),
    "moment": ("DATETIME(6)", "timestamp", "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL n * 1001 MICROSECOND"),
    "thousandths": ("DATETIME(3)", "timestamp", "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL n * 1001000 MICROSECOND"),
    "moment in UTC": ("TIMESTAMP NULL", "timestamptz", "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL n DAY"),
    "moment as text": ("DATETIME(2)", "string", "TIMESTAMP '2024-01-01 00:00:00' + INTERVAL n HOUR"),
    "time": ("TIME(1)", "string", "SEC_TO_TIME(n * -15000.5)"),
    "text": ("TEXT CHARACTER SET utf8mb4", "string", "CONCAT('é😀,', n, CHAR(0), 'n')"),
    "Latin-1": ("VARCHAR(20) CHARACTER SET latin1", "string", "CONCAT('äé', n)"),
    "Cyrillic": ("CHAR(20) CHARACTER SET koi8r", "string", "CONCAT('жя', n)"),
    "UTF-16": ("VARCHAR(20) CHARACTER SET utf16", "string", "CONCAT('é😀', n)"),
    "enumeration": ("ENUM('a', 'b,c', '')", "string", "1 + n MOD 3"),
    "set": ("SET('x', 'y', 'z')", "string", "n MOD 8"),
    "JSON": ("JSON", "string", "JSON_OBJECT('a', n, 'b', 'é')"),
    "UUID": ("UUID", "uuid", "LPAD(HEX(n), 32, '0')"),
    "bytes": ("BLOB", "binary", "UNHEX(LPAD(HEX(n), 40, 'FE00'))"),
    "fixed bytes": ("BINARY(20)", "binary", "UNHEX(HEX(n + 4096))"),
    "place": ("POINT", "binary", "POINT(n, -n)"),
}


@pytest.mark.parametrize("nullable", [True, False], ids=["nullable", "filled"])
def test_of_every_type_what_is_the_same_is_kept_and_what_is_not_is_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, nullable: bool
) -> None:
    """Without a cursor: the server and we make the same digest of the values of each type."""
    monkeypatch.setattr("dativo.sources.mysql.pieces.PIECE_ROWS", 50)
    null = "IF(n MOD 9 = 4, NULL, {0})" if nullable else "{0}"
    for i, (native, kind, made) in enumerate(DIGESTED.values()):
        plain = native.removesuffix(" NULL") if not nullable else native
        tail = "" if nullable else " NOT NULL"
        shop.sql(f"CREATE TABLE t{i} (id INT PRIMARY KEY, v {plain}{tail}, w {plain}{tail})",
                 f"INSERT INTO t{i} SELECT n, {null.format(made)}, {null.format(made)} FROM "
                 "(SELECT CAST(seq AS SIGNED) AS n FROM seq_1_to_200) AS s")  # fmt: skip
        shop.job([field("v", kind), field("w", kind)], {"tables": [{"name": f"t{i}"}]})
        extract = shop.extract()
        staged, read, _ = kept(extract.pieces, [])
        extract.close()
        assert read == 200
        # A value that changes, and two rows of which each gets the other's.
        shop.sql(f"UPDATE t{i} AS t, (SELECT id, v FROM t{i}) AS o SET t.v = o.v WHERE t.id = 60 AND o.id = 62",
                 f"UPDATE t{i} AS t, (SELECT id, v FROM t{i}) AS o "
                 "SET t.v = o.v WHERE (t.id = 110 AND o.id = 111) OR (t.id = 111 AND o.id = 110)")  # fmt: skip
        extract = shop.extract()
        _, read, _ = kept(extract.pieces, staged)
        extract.close()
        assert read == 100, native


def wrong(shop: Shop, **settings: Any) -> Any:
    base = {"host": shop.server.host, "port": shop.server.port, "user": shop.server.user,
            "password": shop.server.password, "database": shop.database}  # fmt: skip
    shop.job([field("id", "bigint")], {"connection": {**base, **settings}})
    return shop.sync()


def test_a_wrong_setting_is_told_with_its_place(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY)")
    assert wrong(shop).status == "loaded"
    for settings, words, place in (
        ({"port": 1}, "cannot be reached: nothing listens there", "source.connection.port"),
        ({"password": "s3cret-wrong"}, "refuses the account 'dativo'", "source.connection.password"),
        ({"database": "nowhere"}, "has no database 'nowhere'", "source.connection.database"),
        ({"ssl_mode": "required"}, "TLS", "source.connection.ssl_mode"),
        ({"ssl_mode": "verify_ca", "ssl_ca": "missing.pem"}, "certificates for TLS", "source.connection.ssl_ca"),
    ):
        receipt = wrong(shop, **settings)
        assert receipt.status == "failed"
        assert words in receipt.error, receipt.error
        assert place in receipt.error, receipt.error
        assert "s3cret" not in receipt.error


def test_what_is_not_there_is_told(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY)")
    shop.job([field("id", "bigint")], {"tables": [{"name": "peple"}]})
    error = shop.sync().error
    assert "has no table or view 'peple'" in error and "did you mean 'people'?" in error and "job.yaml:" in error
    shop.job([field("id", "bigint")], {"tables": [{"name": "people", "where": "nope > 1"}]})
    error = shop.sync().error
    assert "source.tables[0].where: " in error and "Unknown column 'nope'" in error and "job.yaml:" in error
    shop.job([field("id", "bigint")], INCREMENTAL)
    assert "has no column 'at'" in shop.sync().error
    shop.job([field("id", "bigint")], {"tables": [], "queries": [{"name": "q", "sql": "SELECT id, id FROM people"}]})
    assert "Duplicate column" in shop.sync().error


def test_an_account_without_the_right_is_told(shop: Shop) -> None:
    name = f"u{uuid4().hex[:8]}"
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY)", f"CREATE USER {name}@'%' IDENTIFIED BY 'pw'",
             f"GRANT CREATE VIEW ON `{shop.database}`.* TO {name}@'%'")  # fmt: skip
    receipt = wrong(shop, user=name, password="pw")
    shop.sql(f"DROP USER {name}@'%'")
    assert "SELECT command denied" in receipt.error
    assert "grant SELECT" in receipt.error


@pytest.mark.parametrize("what", ["CONNECTION", "QUERY"])
def test_a_killed_reading_fails_and_says_so(shop: Shop, what: str) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, t VARCHAR(200))",
        "INSERT INTO people SELECT seq, REPEAT('x', 200) FROM seq_1_to_400000",
    )
    shop.job([field("id", "bigint"), field("t", "string")])
    job = shop.project.load()
    source: Any = source_of(job)
    extract = source.read(job.streams[0], None, meter=Meter())
    session, (described,) = source._last[job.streams[0].name]
    from dativo.sources.mysql.relation import read_rows

    rows = read_rows(session, described, ["id", "t"], None, Meter())
    next(rows)
    shop.sql(f"KILL {what} {session._link.thread_id()}")
    with pytest.raises(DativoError, match=r"lost|ended the statement"):
        for _ in rows:
            pass
    extract.close()


def test_a_table_that_is_altered_between_look_and_reading_is_told(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, n INT)", "INSERT INTO people VALUES (1, 2)")
    shop.job([field("id", "bigint"), field("n", "bigint")])
    for change, words in (
        ("ALTER TABLE people MODIFY n VARCHAR(10), ALGORITHM = COPY", "not what it was"),
        ("DROP TABLE people", "doesn't exist"),
    ):
        extract = shop.extract()
        try:
            shop.sql(change)
            with pytest.raises((DativoError, pl.exceptions.ComputeError), match=words):
                extract.frame.collect()
        finally:
            extract.close()


def test_a_statement_that_takes_too_long_is_ended(shop: Shop) -> None:
    shop.job([field("id", "bigint")], {"tables": [], "queries": [{"name": "q", "sql": "SELECT SLEEP(20) AS id"}],
                                       "engine": {"options": {"statement_timeout": 0.3}}})  # fmt: skip
    assert "longer than it may" in shop.sync().error


def test_a_run_that_is_stopped_does_not_wait_for_the_server(shop: Shop) -> None:
    shop.job([field("id", "bigint")], {"tables": [], "queries": [{"name": "q", "sql": "SELECT SLEEP(60) AS id"}]})
    meter = Meter()
    extract = shop.extract(meter)
    threading.Timer(0.3, meter.stop.set).start()
    with pytest.raises((DativoError, pl.exceptions.ComputeError), match="stopped while reading"):
        extract.frame.collect()
    extract.close()


def test_nothing_is_written_or_executed_by_names_and_queries(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY)", "INSERT INTO people VALUES (1)")
    for entry in (
        {"tables": [{"name": "people`; DROP TABLE people; -- "}]},
        {"tables": [{"name": "people", "where": "1); DROP TABLE people; -- "}]},
        {"tables": [], "queries": [{"name": "q", "sql": "SELECT 1 AS id; DROP TABLE people"}]},
        {"tables": [], "queries": [{"name": "q", "sql": "DELETE FROM people RETURNING id"}]},
        {"tables": [{"name": "people", "columns": ["id` FROM people; DROP TABLE people; -- "]}]},
    ):
        shop.job([field("id", "bigint")], entry)
        try:
            assert shop.sync().status == "failed"
        except ConfigError as error:
            assert error.problems()
    assert shop.sql("SELECT count(*) FROM people") == [(1,)]


def test_check_tells_of_the_server_and_of_each_relation(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY)")
    shop.job([field("id", "bigint")], {"tables": [{"name": "people"}, {"name": "missing"}]})
    job = shop.project.load()
    found = source_of(job).check(job.streams[0])
    assert [f["ok"] for f in found] == [True, True, False]
    assert re.fullmatch(rf"MariaDB 1\d\.\d+\.\d+, database '{shop.database}', user 'dativo'", found[0]["message"])
    assert [(f["name"], f["message"]) for f in found[1:2]] == [("people", "1 of 1 columns")]
    assert "has no table or view 'missing'" in found[2]["message"]


def test_engines_without_snapshots_are_told_of(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY) ENGINE = Aria")
    shop.job([field("id", "bigint")])
    assert any("knows no snapshots" in w for w in shop.sync().warnings)


def test_an_empty_table_and_a_faultless_one_have_the_same_columns(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, t TEXT)")
    shop.job([field("id", "bigint"), field("t", "string")])
    extract = shop.extract()
    rows = extract.frame.collect()
    extract.close()
    assert rows.height == 0
    assert set(rows.columns) >= {"id", "t", FAULT}


def test_discovery_describes_tables_and_gives_samples(shop: Shop) -> None:
    shop.sql(
        "CREATE TABLE people (id INT PRIMARY KEY, mail VARCHAR(50) NOT NULL UNIQUE COMMENT 'where to write', ok TINYINT(1), "
        "big BIGINT UNSIGNED, spent DECIMAL(9,2), span TIME, seen TIMESTAMP(6) NULL, updated_at DATETIME, raw BLOB, j JSON)",
        "INSERT INTO people VALUES (1, 'a@example.com', 1, 7, 1.5, '25:00:00', NULL, '2024-01-01', x'ff', '{}')",
        "CREATE VIEW mails AS SELECT mail FROM people",
        "CREATE TABLE gone (id INT)",
        "CREATE VIEW broken AS SELECT id FROM gone",
        "DROP TABLE gone",
    )
    shop.job([field("id", "bigint")])
    source: Any = source_of(shop.project.load())
    mails, people = sorted(source.discover(), key=lambda s: s.name)
    assert (mails.name, mails.kind, mails.rows) == ("mails", "view", None)
    assert (people.key, people.unique, people.cursors) == (("id",), (("mail",),), ("updated_at", "id"))
    found = {c.name: (c.field.type_text(), c.lossless) for c in people.columns}
    assert found == {
        "id": ("long", True), "mail": ("string", True), "ok": ("boolean", True), "big": ("decimal(20,0)", True),
        "spent": ("decimal(9,2)", True), "span": ("string", False), "seen": ("timestamptz", True),
        "updated_at": ("timestamp", True), "raw": ("binary", True), "j": ("string", True),
    }  # fmt: skip
    assert [c.comment for c in people.columns][1] == "where to write"
    some = replace(people, columns=tuple(c for c in people.columns if c.name in ("mail", "spent", "seen")))
    broken = replace(mails, object="broken", name="broken")
    assert source.samples([some, broken, mails], 5) == [
        {"mail": ["a@example.com"], "spent": ["1.50"], "seen": []},
        None,
        {"mail": ["a@example.com"]},
    ]
