"""Every type of Postgres with its extreme values: written there, read, stored in an Iceberg table, read back."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl
import pytest

from dativo.errors import SourceError
from dativo.sources.protocol import FAULT
from tests.postgres_bench import ID, PostgresBench
from tests.project import Project
from tests.services.postgres import Postgres

pytestmark = pytest.mark.server


class Case(NamedTuple):
    """A column type, the contract's field for it, and values as SQL with what the table has for them."""

    sql_type: str
    field: dict[str, Any]
    values: dict[str, Any]


def case(sql_type: str, type_: str, values: dict[str, Any], **field: Any) -> Any:
    return pytest.param(Case(sql_type, {"type": type_, **field}, values), id=f"{sql_type}-{type_}")


def number(text: str) -> Decimal:
    return Decimal(text)


_NINES = "9" * 38
KEPT = [
    case("boolean", "boolean", {"true": True, "false": False}),
    case("smallint", "integer", {"-32768": -32768, "32767": 32767}),
    case("integer", "integer", {"-2147483648": -(2**31), "2147483647": 2**31 - 1}),
    case("bigint", "integer", {"'-9223372036854775808'": -(2**63), "9223372036854775807": 2**63 - 1}),
    case("oid", "integer", {"4294967295": 2**32 - 1, "0": 0}),
    case("real", "double", {"0.5": 0.5, "'-3.4028235e38'": -3.4028234663852886e38, "'infinity'": float("inf")}),
    case("double precision", "double", {"0.1": 0.1, "'1.7976931348623157e308'": 1.7976931348623157e308,
                                        "'5e-324'": 5e-324, "'-infinity'": float("-inf")}),
    case("numeric(38,10)", "decimal(38,10)", {f"'{_NINES[:28]}.{_NINES[:10]}'": number(f"{_NINES[:28]}.{_NINES[:10]}"),
                                              "'-0.0000000001'": number("-0.0000000001")}),
    case("numeric(38,0)", "decimal(38,0)", {f"'-{_NINES}'": number(f"-{_NINES}"), "'1'": number("1")}),
    case("numeric(5,2)", "decimal(5,2)", {"999.99": number("999.99"), "-0.01": number("-0.01")}),
    case("numeric(3,-2)", "decimal(5,0)", {"99900": number("99900"), "149": number("100")}),
    case("numeric(2,5)", "decimal(5,5)", {"0.00099": number("0.00099")}),
    case("numeric", "decimal(38,9)", {"'12345678901234567890.123456789'": number("12345678901234567890.123456789")}),
    case("numeric", "string", {"'NaN'": "NaN", "'1e30'": "1" + "0" * 30, "'-infinity'": "-Infinity", "1.50": "1.50"}),
    case("numeric(1000,500)", "string", {"'1e-500'": "0." + "0" * 499 + "1", "'NaN'": "NaN"}),
    case("money", "decimal(19,2)", {"'-92233720368547758.08'": number("-92233720368547758.08"), "12.5": number("12.50")}),
    case("money", "string", {"1234.5": "1234.50"}),
    case("text", "string", {"'née 李 🦆'": "née 李 🦆", "''": "", "E'a\\nb\\t\\\\'": "a\nb\t\\"}),
    case("varchar(3)", "string", {"'abc'": "abc"}),
    case("char(5)", "string", {"'ab'": "ab", "' a'": " a"}),
    case('"char"', "string", {"'x'": "x"}),
    case("name", "string", {"'somebody'": "somebody"}),
    case("bytea", "binary", {r"'\x00ff10'": b"\x00\xff\x10", r"'\x'": b""}),
    case("date", "date", {"'0001-01-01'": date.min, "'9999-12-31'": date.max, "'1969-12-31'": date(1969, 12, 31)}),
    case("date", "string", {"'infinity'": "infinity",
                            "'0044-03-15 BC'": "0044-03-15 BC", "'5874897-12-31'": "5874897-12-31"}),
    case("time", "time", {"'00:00'": time.min, "'23:59:59.999999'": time.max}),
    case("time", "string", {"'24:00'": "24:00:00", "'01:02:03.5'": "01:02:03.5"}),
    case("timetz", "string", {"'12:00:00.123456+02'": "12:00:00.123456+02", "'24:00-15:59'": "24:00:00-15:59"}),
    case("timestamp", "timestamp", {"'0001-01-01'": datetime.min, "'9999-12-31 23:59:59.999999'": datetime.max}),
    case("timestamp", "string", {"'infinity'": "infinity", "'294276-12-31 23:59:59.999999'": "294276-12-31 23:59:59.999999",
                                 "'4713-01-01 BC'": "4713-01-01 00:00:00 BC"}),
    case("timestamptz", "timestamptz", {"'2024-07-01 12:00+02'": datetime(2024, 7, 1, 10, tzinfo=UTC),
                                        "'9999-12-31 23:59:59.999999Z'": datetime.max.replace(tzinfo=UTC)}),
    case("timestamptz", "string", {"'2024-07-01 12:00+02'": "2024-07-01 10:00:00+00", "'-infinity'": "-infinity"}),
    case("interval", "string", {"'1 year 2 days -3.5 seconds'": "P1Y2DT-3.5S", "'-178000000 years'": "P-178000000Y",
                                "'0'": "PT0S"}),
    case("uuid", "uuid", {"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
    case("json", "json", {"'{\"b\": 1, \"b\": [2]}'": '{"b": 1, "b": [2]}', "'null'": "null"}),
    case("jsonb", "json", {"'{\"b\": 1e400, \"a\": \"\\u00e9\"}'": '{"a": "é", "b": 1' + "0" * 400 + "}"}),
    case("xml", "string", {"'<a>1</a>'": "<a>1</a>"}),
    case("bit(4)", "string", {"B'0101'": "0101"}),
    case("bit varying", "string", {"B'10'": "10", "B''": ""}),
    case("inet", "string", {"'1.2.3.4'": "1.2.3.4", "'10.0.0.1/8'": "10.0.0.1/8", "'::1'": "::1"}),
    case("cidr", "string", {"'10.0.0.0/8'": "10.0.0.0/8", "'1.2.3.4/32'": "1.2.3.4/32"}),
    case("macaddr", "string", {"'08:00:2b:01:02:03'": "08:00:2b:01:02:03"}),
    case("macaddr8", "string", {"'08:00:2b:01:02:03:04:05'": "08:00:2b:01:02:03:04:05"}),
    case("int4range", "string", {"'[1,5]'": "[1,6)", "'empty'": "empty", "'(,)'": "(,)"}),
    case("tstzrange", "string", {"'[2024-01-01 00:00+02,infinity)'": '["2023-12-31 22:00:00+00",infinity)'}),
    case("nummultirange", "string", {"'{[1,2),(3,)}'": "{[1,2),(3,)}", "'{}'": "{}"}),
    case("point", "string", {"'(1.5,-2)'": "(1.5,-2)"}),
    case("box", "string", {"'(1,1),(0,0)'": "(1,1),(0,0)"}),
    case("polygon", "string", {"'((0,0),(1,1))'": "((0,0),(1,1))"}),
    case("tsvector", "string", {"'a:1 b'": "'a':1 'b'"}),
    case("tsquery", "string", {"'a & b'": "'a' & 'b'"}),
    case("pg_lsn", "string", {"'16/B374D848'": "16/B374D848"}),
    case("regclass", "string", {"'pg_class'": "pg_class"}),
    case("jsonpath", "string", {"'$.a'": '$."a"'}),
    case("oidvector", "string", {"'1 2'": '["1","2"]'}),
    case("mood", "string", {"'so so'": "so so", "'🦆'": "🦆"}),
    case("amount", "decimal(6,2)", {"1234.5": number("1234.50")}),
    case("address", "json", {"ROW('Kö', 5, 'infinity')": '{"street":"Kö","no":5,"until":"infinity"}'}),
    case("integer[]", "array", {"'{1,NULL,3}'": [1, None, 3], "'{}'": [], "'[3:4]={5,6}'": [5, 6]}, items="integer"),
    case("text[]", "array", {"""'{"a,b",NULL,""}'""": ["a,b", None, ""]}, items="string"),
    case("numeric(5,2)[]", "array", {"'{1.5,-2}'": [number("1.50"), number("-2.00")]}, items="decimal(5,2)"),
    case("uuid[]", "array", {"'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]},
         items="string"),
    case("mood[]", "array", {"'{🦆}'": ["🦆"]}, items="string"),
    case("bytea[]", "array", {r"""'{"\\x00ff",NULL,"\\x"}'""": [b"\x00\xff", None, b""]}, items="binary"),
    case("money[]", "array", {"'{1.5,NULL,-3}'": [number("1.50"), None, number("-3.00")]}, items="decimal(19,2)"),
    case("money[]", "string", {"'{{1.5},{-3}}'": "[[1.50],[-3.00]]"}),
    case("inet[]", "array", {"'{1.2.3.4,10.0.0.1/8,NULL}'": ["1.2.3.4", "10.0.0.1/8", None]}, items="string"),
    case("cidr[]", "array", {"'{1.2.3.4/32}'": ["1.2.3.4/32"]}, items="string"),
    case("whole[]", "json", {"""'{"{1,2}","{3}"}'""": "[[1,2],[3]]"}),
    case("timestamptz[]", "array",
         {"'{2024-01-01 00:00+01}'": [datetime(2023, 12, 31, 23, tzinfo=UTC)]}, items="timestamptz"),
    case("integer[]", "string", {"'{{1,2},{3,4}}'": "[[1,2],[3,4]]", "'{1}'": "[1]"}),
    case("integer[]", "json", {"'{{1,2},{3,NULL}}'": "[[1,2],[3,null]]"}),
    case("address[]", "json", {"ARRAY[ROW('a', 1, NULL)::address]": '[{"street":"a","no":1,"until":null}]'}),
]  # fmt: skip

FAULTY = [
    ("numeric(5,2)", "decimal(5,2)", "'NaN'", "not_finite: v is NaN"),
    ("date", "date", "'infinity'", "not_finite: v is infinity"),
    ("date", "date", "'-infinity'", "not_finite: v is -infinity"),
    ("date", "date", "'0044-03-15 BC'", "out_of_range: v is in the year 44 BC"),
    ("date", "date", "'4713-01-01 BC'", "out_of_range: v is in the year 4713 BC"),
    ("date", "date", "'5874897-12-31'", "out_of_range: v is in the year 5874897"),
    ("date", "date", "'10000-01-01'", "out_of_range: v is in the year 10000"),
    ("time", "time", "'24:00'", "out_of_range: v is 24:00:00"),
    ("timestamp", "timestamp", "'infinity'", "not_finite: v is infinity"),
    ("timestamp", "timestamp", "'-infinity'", "not_finite: v is -infinity"),
    ("timestamp", "timestamp", "'294276-12-31 23:59:59.999999'", "out_of_range: v is in the year 294276"),
    ("timestamp", "timestamp", "'294247-01-10 04:00:54.775807'", "out_of_range: v is in the year 294247"),
    ("timestamp", "timestamp", "'294247-01-10 04:00:54.775808'", "out_of_range: v is in the year 294247"),
    ("timestamp", "timestamp", "'4713-01-01 BC'", "out_of_range: v is in the year 4713 BC"),
    ("timestamp", "timestamp", "'0001-12-31 23:59:59 BC'", "out_of_range: v is in the year 1 BC"),
    ("timestamptz", "timestamptz", "'infinity'", "not_finite: v is infinity"),
    ("timestamptz", "timestamptz", "'10000-01-01 00:00Z'", "out_of_range: v is in the year 10000"),
    ("integer[]", "array", "'{{1,2},{3,4}}'", "nested_array: v has more than one dimension"),
]


@pytest.fixture
def bench(project: Project, postgres_server: Postgres) -> PostgresBench:
    made = PostgresBench(project, postgres_server)
    made.sql(
        "CREATE DOMAIN whole AS int[]; CREATE TYPE mood AS ENUM ('so so', '🦆');"
        "CREATE DOMAIN cents AS numeric(6,2); CREATE DOMAIN amount AS cents;"
        "CREATE TYPE address AS (street text, no int, until timestamp)"
    )
    return made


@pytest.mark.parametrize("set_", ["extra_float_digits = -15", "DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'"])
def test_texts_are_written_alike_whatever_the_database_has_set(bench: PostgresBench, set_: str) -> None:
    bench.sql(
        "CREATE TABLE u (id int PRIMARY KEY, v float8, w timestamptz);"
        "INSERT INTO u VALUES (1, 0.30000000000000004, '2024-03-31 01:30:00.5+00');"
        f"ALTER DATABASE {bench.database} SET {set_}"
    )
    bench.project.asset([ID, {"name": "v", "type": "string"}, {"name": "w", "type": "string"}])
    bench.job("u")
    bench.project.sync()
    assert bench.project.rows()["v"].to_list() == ["0.30000000000000004"]
    assert bench.project.rows()["w"].to_list() == ["2024-03-31 01:30:00.5+00"]


def test_names_that_are_always_quoted_are_told(bench: PostgresBench) -> None:
    bench.sql(f"CREATE TABLE t (id int PRIMARY KEY); ALTER DATABASE {bench.database} SET quote_all_identifiers = on")
    bench.project.asset([ID])
    bench.job("t")
    receipt = bench.project.sync()
    assert "quote_all_identifiers is on" in str(receipt.streams[0].error)


@pytest.mark.parametrize("case", KEPT)
def test_values_arrive_exactly(bench: PostgresBench, case: Case) -> None:
    bench.sql(f"CREATE TABLE t (id int PRIMARY KEY, v {case.sql_type})")
    for i, value in enumerate([*case.values, "NULL"]):
        bench.sql(f"INSERT INTO t VALUES ({i}, {value})")
    field = dict(case.field)
    if "items" in field:
        field["items"] = {"type": field["items"]}
    bench.project.asset([ID, {"name": "v", **field}])
    bench.job("t")
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert bench.project.rows().sort("id")["v"].to_list() == [*case.values.values(), None]


@pytest.mark.parametrize(("sql_type", "type_", "value", "fault"), FAULTY, ids=lambda v: str(v))
def test_a_value_that_no_column_holds_makes_a_reject(
    bench: PostgresBench, sql_type: str, type_: str, value: str, fault: str
) -> None:
    bench.sql(f"CREATE TABLE t (id int, v {sql_type}); INSERT INTO t VALUES (1, NULL), (2, {value}), (3, NULL)")
    items = {"items": {"type": "integer"}} if type_ == "array" else {}
    bench.project.asset([ID, {"name": "v", "type": type_, **items}])
    bench.job("t", schema_validation_mode="quarantine", max_rejects=1)
    frame = bench.frame()
    assert frame.sort("id").select("v", FAULT).rows() == [(None, None), (None, fault), (None, None)]
    alone = bench.read()
    assert alone.frame.select(pl.col(FAULT).drop_nulls()).collect(engine="streaming")[FAULT].to_list() == [fault]
    alone.close()
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert sorted(bench.project.rows()["id"]) == [1, 3]
    rule, _, told = fault.partition(": ")
    assert bench.project.rejects().select("file", "row", "rule", "value").rows() == [("public.t", 2, rule, told)]


@pytest.mark.parametrize(
    ("sql_type", "items", "value"),
    [("numeric[]", "decimal(5,2)", "'{1.5,NaN}'"), ("date[]", "date", "'{2024-01-01,infinity}'"),
     ("numeric(5,2)[]", "decimal(5,2)", "'{NaN}'"), ("integer[]", "boolean", "'{0,2}'")],
)  # fmt: skip
def test_an_element_that_no_list_holds_makes_a_reject(
    bench: PostgresBench, sql_type: str, items: str, value: str
) -> None:
    bench.sql(f"CREATE TABLE t (id int, v {sql_type}); INSERT INTO t VALUES (1, NULL), (2, {value}), (3, '{{NULL}}')")
    bench.project.asset([ID, {"name": "v", "type": "array", "items": {"type": items}}])
    bench.job("t", schema_validation_mode="quarantine", max_rejects=1)
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert bench.project.rows().sort("id").rows() == [(1, None), (3, [None])]
    assert bench.project.rejects().select("row", "column", "rule").rows() == [(2, "v", "type_mismatch")]


def test_bytes_that_are_of_no_encoding_are_told(bench: PostgresBench) -> None:
    name = f"a{bench.database}"
    bench.server.sql(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    bench.database = name
    bench.sql(
        "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, E'\\xff')"
    )
    bench.job("t")
    with pytest.raises(SourceError, match="invalid byte sequence") as caught:
        bench.frame()
    assert "convert_from" in caught.value.hint
