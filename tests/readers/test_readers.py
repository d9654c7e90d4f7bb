"""One table, three readers that share no code for it: pyiceberg, Polars, and DuckDB 1.4 with its Iceberg extension."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import pytest

from dativo.config.field import Field
from dativo.config.partition import INGEST_DATE, Partition
from dativo.contract.dtypes import polars_type
from dativo.targets.iceberg.plan import field_ids
from tests.lake import STARTED, Lake
from tests.project import Project
from tests.readers.environment import duckdb_rows

ID = Field(name="id", kind="long", required=True)
BIG = Decimal("9" * 29 + "." + "9" * 9)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)

COLUMNS: list[tuple[Field, list[Any]]] = [
    (Field(name="l", kind="long"), [-(2**63), 2**63 - 1, None]),
    (Field(name="f", kind="double"), [1.7976931348623157e308, 5e-324, None]),
    (Field(name="d38", kind="decimal", precision=38, scale=9), [BIG, -BIG, None]),
    (Field(name="d12", kind="decimal", precision=12, scale=2), [Decimal("9999999999.99"), Decimal("-0.01"), None]),
    (Field(name="b", kind="boolean"), [True, False, None]),
    (Field(name="day", kind="date"), [date(1, 1, 1), date(9999, 12, 31), None]),
    (Field(name="t", kind="time"), [time(0), time(23, 59, 59, 999999), None]),
    (Field(name="ts", kind="timestamp"), [datetime(1, 1, 1), LAST, None]),
    (Field(name="tz", kind="timestamptz"), [datetime(1, 1, 1, tzinfo=UTC), LAST.replace(tzinfo=UTC), None]),
    (Field(name="u", kind="uuid"), [str(UUID(int=0)), str(UUID(int=2**128 - 1)), None]),
    (Field(name="bin", kind="binary"), [b"", bytes(range(256)), None]),
    (Field(name="s", kind="string"), ["", "\U0001f600 'x'\n", None]),
    (Field(name="li", kind="list", item=Field(name="element", kind="string")), [[], ["", None, "z"], None]),
    (
        Field(
            name="st",
            kind="struct",
            fields=(Field(name="x", kind="long"), Field(name="y", kind="decimal", precision=12, scale=2)),
        ),
        [{"x": 1, "y": Decimal("0.01")}, {"x": None, "y": None}, None],
    ),
    (
        Field(
            name="ls",
            kind="list",
            item=Field(
                name="element", kind="struct", fields=(Field(name="p", kind="string"), Field(name="q", kind="date"))
            ),
        ),
        [[], [{"p": "a", "q": date(2024, 2, 29)}, {"p": None, "q": None}], None],
    ),
]


def by_duckdb(lake: Lake, columns: Sequence[str], where: str = "true") -> list[tuple[Any, ...]]:
    """The table's rows as DuckDB reads them; a timestamptz as microseconds, for its own Python values need more packages."""
    return duckdb_rows(f"SELECT {', '.join(columns)} FROM iceberg_scan('{metadata(lake)}') WHERE {where} ORDER BY id")[
        0
    ]


def metadata(lake: Lake) -> str:
    return lake.table().metadata_location.removeprefix("file://").replace("'", "''")


def by_polars(lake: Lake) -> pl.DataFrame:
    return pl.scan_iceberg(lake.table()).collect().sort("id")


def test_every_type_is_read_alike_by_all(project: Project) -> None:
    lake = Lake(project)
    fields = [ID, *(f for f, _ in COLUMNS)]
    frame = pl.DataFrame(
        [pl.Series("id", [1, 2, 3]), *(pl.Series(f.name, v, dtype=polars_type(f)) for f, v in COLUMNS)]
    )
    lake.load(fields, frame)
    as_bytes = pl.Series("u", [UUID(int=0).bytes, UUID(int=2**128 - 1).bytes, None], dtype=pl.Binary)
    expected = frame.with_columns(as_bytes)
    assert by_polars(lake).equals(expected)
    # pyiceberg reads a null list of structs as an empty one.
    assert lake.rows().sort("id").equals(expected.with_columns(pl.col("ls").fill_null([])))
    names = [f.name if f.kind != "timestamptz" else f"epoch_us({f.name})" for f in fields]
    assert by_duckdb(lake, names) == [tuple(map(as_duckdb, row)) for row in expected.rows()]


def as_duckdb(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == 16 else value


def test_columns_are_found_by_field_id_by_all(project: Project) -> None:
    """After a rename by another tool, and the old name given to a new column, only ids tell which is which."""
    lake = Lake(project)
    note = Field(name="note", kind="string")
    lake.load([ID, note], {"id": [1], "note": ["old"]})
    with lake.table().update_schema() as update:
        update.rename_column("note", "remark")
    lake.load([ID, note], {"id": [2], "note": ["new"]})
    expected = [(1, "old", None), (2, None, "new")]
    assert lake.rows().sort("id").select("id", "remark", "note").rows() == expected
    assert by_polars(lake).select("id", "remark", "note").rows() == expected
    assert by_duckdb(lake, ["id", "remark", "note"]) == expected


def test_field_ids_in_the_footer_are_the_tables(project: Project) -> None:
    lake = Lake(project)
    fields = [ID, *(f for f, _ in COLUMNS)]
    lake.load(
        fields,
        pl.DataFrame([pl.Series("id", [1]), *(pl.Series(f.name, v[:1], dtype=polars_type(f)) for f, v in COLUMNS)]),
    )
    ids = field_ids(lake.table().schema())
    [file] = lake.data_files()
    path = file.file_path.removeprefix("file://")
    [found] = duckdb_rows(
        f"SELECT name, field_id FROM parquet_schema('{path}') WHERE field_id IS NOT NULL AND field_id > 0"
    )
    assert sorted(n for _, n in found) == sorted(ids.values())
    assert {n: i for n, i in found if n in ids} == {f.name: ids[f.name] for f in fields}


def test_an_added_column_is_null_in_old_rows_for_all(project: Project) -> None:
    lake = Lake(project)
    lake.load([ID], {"id": [1, 2]})
    lake.load([ID, Field(name="amount", kind="decimal", precision=12, scale=2)], amounts([3], [Decimal("1.50")]))
    expected = [(1, None), (2, None), (3, Decimal("1.50"))]
    assert lake.rows().sort("id").rows() == expected
    assert by_polars(lake).rows() == expected
    assert by_duckdb(lake, ["id", "amount"]) == expected


def amounts(ids: list[int], values: list[Decimal], precision: int = 12) -> pl.DataFrame:
    return pl.DataFrame({"id": ids, "amount": pl.Series(values, dtype=pl.Decimal(precision, 2))})


def test_a_wider_decimal_is_read_by_all(project: Project) -> None:
    lake = Lake(project, {"mode": "relaxed"})
    for number, precision in ((1, 9), (2, 18), (3, 38)):
        field = Field(name="amount", kind="decimal", precision=precision, scale=2)
        lake.load([ID, field], amounts([number], [Decimal(10) ** (precision - 3)], precision))
    expected = [(n, Decimal(10) ** (p - 3)) for n, p in ((1, 9), (2, 18), (3, 38))]
    assert lake.rows().sort("id").rows() == expected
    assert by_polars(lake).rows() == expected
    assert by_duckdb(lake, ["id", "amount"]) == expected


ODD = ["a/b", "x=y", "two words", "ünï→", "", "%2F", "a#b?c", "null", None]


def test_partitions_with_odd_names_are_read_and_filtered_by_all(project: Project) -> None:
    lake = Lake(project)
    rows = {"id": list(range(len(ODD))), "c": ODD}
    lake.load([ID, Field(name="c", kind="string")], rows, partitioning=[Partition("c")])
    expected = list(enumerate(ODD))
    assert lake.rows().sort("id").rows() == expected
    assert by_polars(lake).rows() == expected
    assert by_duckdb(lake, ["id", "c"]) == expected
    for number, value in expected:
        if value is not None:
            where = f"c = '{value}'"
            assert by_duckdb(lake, ["id"], where) == [(number,)]


PARTS = [
    Partition("moment", "month"),
    Partition("moment", "day"),
    Partition("id", "bucket", 4),
    Partition("name", "truncate", 2),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_transformed_partitions_are_pruned_rightly_by_all(project: Project, part: Partition) -> None:
    lake = Lake(project)
    fields = [ID, Field(name="moment", kind="timestamp"), Field(name="name", kind="string")]
    rows = {
        "id": list(range(12)),
        "moment": [datetime(2024, m, 1, 5) for m in range(1, 13)],
        "name": [f"{chr(97 + m)}ame" for m in range(12)],
    }
    lake.load(fields, rows, partitioning=[part])
    wanted = [(3, datetime(2024, 4, 1, 5), "dame")]
    filters = {
        "moment": (pl.col("moment") == datetime(2024, 4, 1, 5), "moment = '2024-04-01 05:00:00'"),
        "id": (pl.col("id") == 3, "id = 3"),
        "name": (pl.col("name") == "dame", "name = 'dame'"),
    }
    for expression, sql in filters.values():
        assert pl.scan_iceberg(lake.table()).filter(expression).collect().rows() == wanted
        assert by_duckdb(lake, ["id", "moment", "name"], sql) == wanted
        assert lake.table().scan(row_filter=sql.replace(" 05", "T05")).to_arrow().num_rows == 1


def test_replaced_rows_are_gone_and_appended_ones_are_there_for_all(project: Project) -> None:
    lake = Lake(project)
    fields = [ID, Field(name=INGEST_DATE, kind="date")]
    parts = [Partition(INGEST_DATE)]
    for day, ids, replace in ((0, [1, 2], False), (1, [3, 4], False), (1, [5], True), (2, [6], False)):
        started = STARTED + timedelta(days=day)
        lake.load(fields, {"id": ids}, partitioning=parts, replace=replace, started=started)
    days = {1: 1, 2: 1, 5: 2, 6: 3}
    expected = [(n, date(2026, 3, d)) for n, d in days.items()]
    assert lake.rows().sort("id").rows() == expected
    assert by_polars(lake).rows() == expected
    assert by_duckdb(lake, ["id", INGEST_DATE]) == expected
    assert by_duckdb(lake, ["id"], f"{INGEST_DATE} = '2026-03-02'") == [(5,)]


def test_a_run_of_a_job_is_read_alike_by_all(project: Project) -> None:
    project.asset(
        [
            {"name": "id", "type": "integer", "required": True},
            {"name": "price", "type": "decimal(12,2)"},
            {"name": "moment", "type": "timestamp"},
        ]
    )
    project.job(target={"partitioning": ["month(moment)"]}, schema_validation_mode="quarantine")
    project.write(
        "data/people.csv", "id,price,moment\n1,1.50,2024-01-31 23:59:59.999999\n2,,1969-12-31\nx,1,2024-01-01\n"
    )
    assert project.sync().loaded == 2
    expected = [(1, Decimal("1.50"), datetime(2024, 1, 31, 23, 59, 59, 999999)), (2, None, datetime(1969, 12, 31))]
    location = project.table().metadata_location.removeprefix("file://")
    assert project.rows().sort("id").rows() == expected
    assert pl.scan_iceberg(project.table()).collect().sort("id").rows() == expected
    assert duckdb_rows(f"SELECT id, price, moment FROM iceberg_scan('{location}') ORDER BY id")[0] == expected
