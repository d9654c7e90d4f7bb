"""Every type of a contract, with extreme values and nulls, as other programs read it from the table."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dativo.config.field import Field
from dativo.contract.dtypes import polars_type
from dativo.targets.iceberg.plan import field_ids
from tests.lake import Lake, footer_ids
from tests.project import Project

BIG = Decimal("9" * 29 + "." + "9" * 9)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999)
NIL, ALL = str(UUID(int=0)), str(UUID(int=2**128 - 1))

SCALARS: dict[str, tuple[Field, list[Any]]] = {
    "long": (Field(name="c", kind="long"), [-(2**63), 2**63 - 1, 0, None]),
    "double": (Field(name="c", kind="double"), [1.7976931348623157e308, 5e-324, -0.0, math.inf, -math.inf, None]),
    "decimal(38,9)": (Field(name="c", kind="decimal", precision=38, scale=9), [BIG, -BIG, Decimal("0E-9"), None]),
    "decimal(12,2)": (
        Field(name="c", kind="decimal", precision=12, scale=2),
        [Decimal("9999999999.99"), Decimal("-9999999999.99"), Decimal("0.01"), None],
    ),
    "decimal(38,38)": (Field(name="c", kind="decimal", precision=38, scale=38), [Decimal("0." + "9" * 38), None]),
    "boolean": (Field(name="c", kind="boolean"), [True, False, None]),
    "date": (
        Field(name="c", kind="date"),
        [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(9999, 12, 31), None],
    ),
    "time": (Field(name="c", kind="time"), [time(0, 0), time(23, 59, 59, 999999), None]),
    "timestamp": (
        Field(name="c", kind="timestamp"),
        [datetime(1, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 999999), LAST, None],
    ),
    "timestamptz": (
        Field(name="c", kind="timestamptz"),
        [datetime(1, 1, 1, tzinfo=UTC), LAST.replace(tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), None],
    ),
    "uuid": (Field(name="c", kind="uuid"), [NIL, ALL, "123e4567-e89b-12d3-a456-426614174000", None]),
    "binary": (Field(name="c", kind="binary"), [b"", bytes(range(256)), b"\0" * 100_000, None]),
    "string": (Field(name="c", kind="string"), ["", " ", "a\0b", "\U0001f600\n\"'", "x" * 1_000_000, None]),
    "json": (Field(name="c", kind="json"), ["{}", '{"a":[1,null]}', None]),
}


def series(field: Field, values: list[Any]) -> pl.Series:
    return pl.Series(field.name, values, dtype=polars_type(field))


def as_read(field: Field, expected: pl.Series) -> pl.Series:
    """What a reader gives: a uuid is 16 bytes."""
    if field.kind != "uuid":
        return expected
    return pl.Series(expected.name, [None if v is None else UUID(v).bytes for v in expected], dtype=pl.Binary)


@pytest.mark.parametrize("name", SCALARS)
def test_extreme_values_and_nulls_are_read_back_equal(project: Project, name: str) -> None:
    field, values = SCALARS[name]
    written = pl.DataFrame([pl.Series("n", range(len(values))), series(field, values)])
    lake = Lake(project)
    lake.load([Field(name="n", kind="long", required=True), field], written)
    expected = written.with_columns(as_read(field, written["c"]))
    table = lake.table()
    assert_frame_equal(lake.rows().sort("n"), expected)
    assert_frame_equal(pl.scan_iceberg(table).collect().sort("n"), expected)
    target = lake.target()
    target.open(lake.shape([Field(name="n", kind="long", required=True), field]))
    existing = target.existing([field])
    assert existing is not None
    assert_frame_equal(existing.collect(), written.select("c"))


def test_not_a_number_is_read_back_as_such(project: Project) -> None:
    lake = Lake(project)
    lake.load([Field(name="c", kind="double")], {"c": [math.nan, 1.0, None]})
    read = lake.rows()["c"].to_list()
    assert math.isnan(read[0]) and read[1:] == [1.0, None]
    polars = pl.scan_iceberg(lake.table()).collect()["c"].to_list()
    assert math.isnan(polars[0]) and polars[1:] == [1.0, None]


INNER = Field(name="inner", kind="struct", fields=(Field(name="at", kind="timestamptz"), Field(name="u", kind="uuid")))
PLACE = (
    Field(name="a", kind="long", description="inner comment"),
    Field(name="d", kind="decimal", precision=12, scale=2),
    INNER,
)
NUMBERS = Field(name="n", kind="list", item=Field(name="element", kind="long"))
LINE = Field(name="element", kind="struct", fields=(Field(name="sku", kind="string"), NUMBERS))
NESTED = (
    Field(name="tags", kind="list", item=Field(name="element", kind="string")),
    Field(name="place", kind="struct", fields=PLACE),
    Field(name="lines", kind="list", item=LINE),
)
NESTED_ROWS: dict[str, list[Any]] = {
    "tags": [[], ["", None, "x" * 10_000], None],
    "place": [
        {"a": -(2**63), "d": Decimal("-0.01"), "inner": {"at": LAST.replace(tzinfo=UTC), "u": ALL}},
        {"a": None, "d": None, "inner": None},
        None,
    ],
    "lines": [[], [{"sku": None, "n": [1, None]}, {"sku": "x", "n": None}], None],
}


def test_nested_values_are_read_back_equal(project: Project) -> None:
    lake = Lake(project)
    written = pl.DataFrame([series(f, NESTED_ROWS[f.name]) for f in NESTED])
    lake.load(NESTED, written)
    assert_frame_equal(pl.scan_iceberg(lake.table()).collect(), written)
    # pyiceberg itself reads a null list of structs as an empty one (it rebuilds the list without its validity bits).
    by_pyiceberg = written.with_columns(pl.col("lines").fill_null([]))
    assert_frame_equal(lake.rows(), by_pyiceberg)
    target = lake.target()
    target.open(lake.shape(NESTED))
    existing = target.existing(NESTED)
    assert existing is not None
    assert_frame_equal(existing.collect(), written)


def test_field_ids_in_the_files_are_those_of_the_table(project: Project) -> None:
    lake = Lake(project)
    columns = (Field(name="c", kind="uuid"), *NESTED)
    written = pl.DataFrame([series(columns[0], [NIL, None, ALL]), *(series(f, NESTED_ROWS[f.name]) for f in NESTED)])
    lake.load(columns, written)
    table = lake.table()
    ids = field_ids(table.schema())
    [file] = lake.data_files()
    assert footer_ids(file.file_path) == ids
    assert [ids[c.name] for c in columns] == [1, 2, 3, 4]
    assert len(set(ids.values())) == len(ids)


def test_required_flags_comments_and_tags_are_in_the_table(project: Project) -> None:
    lake = Lake(project)
    columns = (
        Field(name="id", kind="long", required=True, description="the key [pii]"),
        Field(name="note", kind="string"),
        Field(name="s", kind="struct", fields=(Field(name="a", kind="long", required=True, description="inner"),)),
    )
    lake.load(
        columns, pl.DataFrame({"id": [1], "note": ["n"], "s": [{"a": 1}]}), properties={"governance.owner": "Ann Ö"}
    )
    schema = lake.table().schema()
    assert [(f.name, f.required, f.doc) for f in schema.fields] == [
        ("id", True, "the key [pii]"), ("note", False, None), ("s", False, None),
    ]  # fmt: skip
    inner = schema.find_field("s.a")
    assert (inner.required, inner.doc) == (True, "inner")
    assert lake.table().properties["governance.owner"] == "Ann Ö"


def test_statistics_in_the_manifest_are_those_of_the_rows(project: Project) -> None:
    lake = Lake(project)
    rows = {"id": [3, 1, 2], "note": ["b", None, "a"]}
    lake.load([Field(name="id", kind="long"), Field(name="note", kind="string")], rows)
    [file] = lake.data_files()
    assert file.record_count == 3
    assert file.value_counts == {1: 3, 2: 3} and file.null_value_counts == {1: 0, 2: 1}
    assert file.lower_bounds == {1: (1).to_bytes(8, "little"), 2: b"a"}
    assert file.upper_bounds == {1: (3).to_bytes(8, "little"), 2: b"b"}
    assert file.file_size_in_bytes == (project.root / file.file_path.removeprefix("file://")).stat().st_size


def test_a_table_without_rows_has_the_columns(project: Project) -> None:
    lake = Lake(project)
    lake.load([Field(name="id", kind="long", required=True)], pl.DataFrame({"id": []}, schema={"id": pl.Int64}))
    assert lake.rows().schema == {"id": pl.Int64} and lake.rows().is_empty()
    assert lake.files_on_disk() == set()
