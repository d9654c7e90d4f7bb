"""A contract that changes over a table that has rows: what is taken over, what is refused, and in which commit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DecimalType,
    FixedType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NestedField,
    StringType,
)

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.errors import SchemaChangeRefused
from tests.lake import Lake
from tests.project import Project

ID = Field(name="id", kind="long", required=True)
NAME = Field(name="name", kind="string")


def decimal(precision: int, scale: int = 2) -> Field:
    return Field(name="amount", kind="decimal", precision=precision, scale=scale)


def lake_of(project: Project, mode: str = "merge") -> Lake:
    return Lake(project, {"mode": mode})


def in_mode(lake: Lake, mode: str) -> Lake:
    """The same table, loaded by the same job in another mode."""
    return Lake(lake.project, {"mode": mode})


def versions(lake: Lake) -> int:
    """How many times the catalog's pointer to the table has moved."""
    return len(lake.table().metadata.metadata_log) + 1


@pytest.mark.parametrize("mode", ["merge", "relaxed"])
def test_a_new_column_is_added_with_the_rows_in_one_commit(project: Project, mode: str) -> None:
    lake = lake_of(project, mode)
    lake.load([ID], {"id": [1, 2]})
    opened = lake.open([ID, NAME])
    assert opened.changes == ("add column name string",)
    assert versions(lake) == 1
    lake.load([ID, NAME], {"id": [3], "name": ["c"]})
    assert lake.rows().sort("id").rows() == [(1, None), (2, None), (3, "c")]
    assert pl.scan_iceberg(lake.table()).collect().sort("id").rows() == [(1, None), (2, None), (3, "c")]
    metadata = lake.table().metadata
    assert (versions(lake), len(metadata.snapshots)) == (2, 2)
    assert [s.schema_id for s in metadata.snapshots] == [0, 1]
    assert metadata.current_schema_id == 1


def test_a_column_is_added_without_any_row(project: Project) -> None:
    lake = lake_of(project)
    lake.load([ID], {"id": [1]})
    lake.load([ID, NAME], pl.DataFrame({"id": [], "name": []}, schema={"id": pl.Int64, "name": pl.String}))
    assert lake.rows().rows() == [(1, None)]
    assert len(lake.table().metadata.snapshots) == 1


def test_a_new_required_column_may_be_null_in_the_table(project: Project) -> None:
    """The rows that are there have no value for it; the contract goes on to demand one of new rows."""
    lake = lake_of(project)
    lake.load([ID], {"id": [1]})
    lake.load([ID, Field(name="name", kind="string", required=True)], {"id": [2], "name": ["b"]})
    assert lake.table().schema().find_field("name").required is False
    assert lake.rows().sort("id").rows() == [(1, None), (2, "b")]


def test_strict_mode_refuses_any_change_and_writes_nothing(project: Project) -> None:
    lake = lake_of(project, "strict")
    lake.load([ID], {"id": [1]})
    before = lake.files_on_disk()
    with pytest.raises(SchemaChangeRefused, match="add column name string") as caught:
        lake.load([ID, NAME], {"id": [2], "name": ["b"]})
    assert "target.mode is strict" in caught.value.hint
    assert (versions(lake), lake.files_on_disk()) == (1, before)


def test_a_decimal_grows_in_relaxed_mode_and_old_rows_are_read_with_it(project: Project) -> None:
    lake = lake_of(project, "relaxed")
    lake.load([ID, decimal(9)], {"id": [1], "amount": pl.Series([Decimal("1234567.89")], dtype=pl.Decimal(9, 2))})
    wide = pl.Series([Decimal("9999999999999.99")], dtype=pl.Decimal(15, 2))
    lake.load([ID, decimal(15)], {"id": [2], "amount": wide})
    expected = [(1, Decimal("1234567.89")), (2, Decimal("9999999999999.99"))]
    assert lake.rows().sort("id").rows() == expected
    assert pl.scan_iceberg(lake.table()).collect().sort("id").rows() == expected
    assert lake.table().schema().find_type("amount") == DecimalType(15, 2)
    assert versions(lake) == 2


def test_merge_mode_refuses_a_wider_decimal_and_says_what_would_take_it(project: Project) -> None:
    lake = lake_of(project, "merge")
    lake.load([decimal(9)], {"amount": pl.Series([Decimal("1.00")], dtype=pl.Decimal(9, 2))})
    with pytest.raises(SchemaChangeRefused, match=r"is decimal\(9,2\) in the table and decimal\(15,2\).*relaxed"):
        lake.open([decimal(15)])


@pytest.mark.parametrize("mode", ["strict", "merge", "relaxed"])
@pytest.mark.parametrize(
    ("before", "after", "types"),
    [
        (decimal(12), decimal(9), r"decimal\(12,2\) in the table and decimal\(9,2\)"),
        (decimal(12), decimal(14, 4), r"decimal\(12,2\) in the table and decimal\(14,4\)"),
        (Field(name="c", kind="long"), Field(name="c", kind="string"), "long in the table and string"),
        (Field(name="c", kind="double"), Field(name="c", kind="long"), "double in the table and long"),
        (
            Field(name="c", kind="timestamp"),
            Field(name="c", kind="timestamptz"),
            "timestamp in the table and timestamptz",
        ),
        (Field(name="c", kind="date"), Field(name="c", kind="timestamp"), "date in the table and timestamp"),
        (
            Field(name="c", kind="list", item=Field(name="element", kind="long")),
            Field(name="c", kind="list", item=Field(name="element", kind="string")),
            "'c.element' is long in the table and string",
        ),
        (
            Field(name="c", kind="struct", fields=(Field(name="x", kind="long"),)),
            Field(name="c", kind="struct", fields=(Field(name="x", kind="boolean"),)),
            r"'c\.x' is long in the table and boolean",
        ),
        (
            Field(name="c", kind="string"),
            Field(name="C", kind="string"),
            "'C' differs from the table's 'c' in letter case",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else v.type_text(),
)
def test_narrower_and_other_types_are_refused_naming_both(
    project: Project, mode: str, before: Field, after: Field, types: str
) -> None:
    lake = lake_of(project, mode)
    lake.load([before], pl.DataFrame(schema={before.name: polars(before)}))
    with pytest.raises(SchemaChangeRefused, match=types):
        lake.open([after])


def polars(field: Field) -> Any:
    from dativo.contract.dtypes import polars_type

    return polars_type(field)


def test_32_bit_columns_of_another_tool_are_widened_in_relaxed_mode_only(project: Project) -> None:
    lake = lake_of(project, "relaxed")
    lake.catalog.create_namespace("default")
    schema = Schema(NestedField(1, "i", IntegerType()), NestedField(2, "f", FloatType()))
    table = lake.catalog.create_table("default.people", schema)
    table.append(pl.DataFrame({"i": [1], "f": [0.5]}, schema={"i": pl.Int32, "f": pl.Float32}).to_arrow())
    columns = [Field(name="i", kind="long"), Field(name="f", kind="double")]
    with pytest.raises(
        SchemaChangeRefused, match=r"'i' is int in the table and long.*'f' is float in the table and double"
    ):
        in_mode(lake, "merge").open(columns)
    lake = in_mode(lake, "relaxed")
    lake.load(columns, {"i": [2**40], "f": [0.1]})
    assert sorted(lake.rows().rows()) == [(1, 0.5), (2**40, 0.1)]
    assert sorted(pl.scan_iceberg(lake.table()).collect().rows()) == [(1, 0.5), (2**40, 0.1)]
    target = lake.target()
    target.open(lake.shape(columns))
    existing = target.existing(columns)
    assert existing is not None
    assert existing.collect_schema() == {"i": pl.Int64, "f": pl.Float64}


@pytest.mark.parametrize("type_", [MapType(2, StringType(), 3, LongType()), FixedType(4)], ids=str)
def test_types_that_no_contract_has_are_refused_where_the_contract_wants_the_column(
    project: Project, type_: Any
) -> None:
    lake = lake_of(project, "relaxed")
    lake.catalog.create_namespace("default")
    lake.catalog.create_table("default.people", Schema(NestedField(1, "c", type_), NestedField(9, "id", LongType())))
    kind = "binary" if isinstance(type_, FixedType) else "string"
    with pytest.raises(SchemaChangeRefused, match=r"'c' is .* in the table and"):
        lake.open([Field(name="id", kind="long"), Field(name="c", kind=kind)])
    lake.load([Field(name="id", kind="long")], {"id": [1]})
    assert lake.rows()["id"].to_list() == [1] and lake.rows()["c"].to_list() == [None]


def test_a_column_that_the_contract_drops_stays_and_is_null_for_new_rows(project: Project) -> None:
    lake = lake_of(project)
    lake.load([ID, NAME], {"id": [1], "name": ["a"]})
    assert lake.open([ID]).changes == ()
    lake.load([ID], {"id": [2]})
    assert lake.rows().sort("id").rows() == [(1, "a"), (2, None)]


def test_a_required_column_that_the_contract_drops_may_be_null_from_now_on(project: Project) -> None:
    lake = lake_of(project)
    lake.load([ID, Field(name="name", kind="string", required=True)], {"id": [1], "name": ["a"]})
    assert lake.open([ID]).changes == ("let name be null",)
    lake.load([ID], {"id": [2]})
    assert lake.rows().sort("id").rows() == [(1, "a"), (2, None)]
    assert versions(lake) == 2


def test_a_renamed_column_is_a_new_one_and_the_old_one_stays(project: Project) -> None:
    lake = lake_of(project)
    lake.load([ID, NAME], {"id": [1], "name": ["a"]})
    lake.load([ID, Field(name="full_name", kind="string")], {"id": [2], "full_name": ["b"]})
    rows = lake.rows().sort("id")
    assert rows.columns == ["id", "name", "full_name"]
    assert rows.rows() == [(1, "a", None), (2, None, "b")]


def test_a_required_column_made_optional_takes_nulls(project: Project) -> None:
    lake = lake_of(project)
    lake.load([ID], {"id": [1]})
    lake.load([Field(name="id", kind="long")], {"id": pl.Series([None], dtype=pl.Int64)})
    assert lake.rows()["id"].to_list().count(None) == 1


def test_an_optional_column_made_required_stays_optional_in_the_table(project: Project) -> None:
    lake = lake_of(project, "strict")
    lake.load([Field(name="id", kind="long")], {"id": [1]})
    assert lake.open([ID]).changes == ()
    lake.load([ID], {"id": [2]})
    assert lake.table().schema().find_field("id").required is False


def test_fields_inside_structs_and_lists_are_added(project: Project) -> None:
    lake = lake_of(project)
    x, y = Field(name="x", kind="long"), Field(name="y", kind="string")

    def columns(*fields: Field) -> list[Field]:
        item = Field(name="element", kind="struct", fields=fields)
        return [ID, Field(name="s", kind="struct", fields=fields), Field(name="l", kind="list", item=item)]

    lake.load(columns(x), {"id": [1], "s": [{"x": 1}], "l": [[{"x": 1}]]})
    assert lake.open(columns(x, y)).changes == ("add column s.y string", "add column l.element.y string")
    lake.load(columns(x, y), {"id": [2], "s": [{"x": 2, "y": "b"}], "l": [[{"x": 2, "y": "b"}]]})
    expected = [
        {"id": 1, "s": {"x": 1, "y": None}, "l": [{"x": 1, "y": None}]},
        {"id": 2, "s": {"x": 2, "y": "b"}, "l": [{"x": 2, "y": "b"}]},
    ]
    assert lake.rows().sort("id").to_dicts() == expected
    assert pl.scan_iceberg(lake.table()).collect().sort("id").to_dicts() == expected


def test_existing_rows_have_the_new_shape_before_it_is_committed(project: Project) -> None:
    """Rows are compared with what is there before the commit that adds the column."""
    lake = lake_of(project, "relaxed")
    before = Field(name="s", kind="struct", fields=(Field(name="x", kind="long"),))
    after = Field(name="s", kind="struct", fields=(Field(name="y", kind="string"), Field(name="x", kind="long")))
    lake.load([before, decimal(9)], {"s": [{"x": 1}], "amount": pl.Series([Decimal("1.00")], dtype=pl.Decimal(9, 2))})
    target = lake.target()
    wanted = [after, decimal(15), NAME]
    target.open(lake.shape(wanted))
    existing = target.existing(wanted)
    assert existing is not None
    frame = existing.collect()
    assert frame.schema == {f.name: polars(f) for f in wanted}
    assert frame.rows() == [({"y": None, "x": 1}, Decimal("1.00"), None)]


@pytest.mark.parametrize("mode", ["strict", "merge", "relaxed"])
def test_a_changed_description_becomes_the_comment_in_every_mode(project: Project, mode: str) -> None:
    lake = lake_of(project, mode)
    inner = Field(name="x", kind="long", description="old")
    lake.load([ID, Field(name="s", kind="struct", fields=(inner,))], {"id": [1], "s": [{"x": 1}]})
    described = Field(name="x", kind="long", description="new")
    columns = [
        Field(name="id", kind="long", required=True, description="key [pii]"),
        Field(name="s", kind="struct", fields=(described,)),
    ]
    assert lake.open(columns).changes == ()
    lake.load(columns, {"id": [2], "s": [{"x": 2}]})
    schema = lake.table().schema()
    assert (schema.find_field("id").doc, schema.find_field("s.x").doc) == ("key [pii]", "new")
    lake.load(
        [ID, Field(name="s", kind="struct", fields=(Field(name="x", kind="long"),))], {"id": [3], "s": [{"x": 3}]}
    )
    assert lake.table().schema().find_field("id").doc == "key [pii]"
    assert versions(lake) == 3


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([], [Partition("name")], "is partitioned by nothing, the job wants name"),
        ([Partition("name")], [], "is partitioned by name, the job wants nothing"),
        (
            [Partition("id", "bucket", 4)],
            [Partition("id", "bucket", 8)],
            r"bucket\[4\]\(id\), the job wants bucket\[8\]\(id\)",
        ),
    ],
    ids=["added", "removed", "changed"],
)
def test_a_changed_partitioning_is_refused(
    project: Project, before: list[Partition], after: list[Partition], told: str
) -> None:
    lake = lake_of(project, "relaxed")
    lake.load([ID, NAME], {"id": [1], "name": ["a"]}, partitioning=before)
    with pytest.raises(SchemaChangeRefused, match=told):
        lake.open([ID, NAME], after)


def test_a_run_tells_what_it_changed_and_loads_old_and_new_rows(project: Project) -> None:
    project.asset([{"name": "id", "type": "integer", "required": True}])
    project.job(target={"write_mode": "append"})
    project.write("data/people.csv", "id\n1\n2\n")
    assert project.sync().status == "loaded"
    project.asset([{"name": "id", "type": "integer", "required": True}, {"name": "name", "type": "string"}])
    project.write("data/people.csv", "id,name\n2,\n3,c\n")
    receipt = project.sync()
    assert receipt.status == "loaded"
    assert "add column name string" in receipt.streams[0].warnings
    # The row (2, null) is there already: its new column is null in both.
    assert (receipt.loaded, receipt.streams[0].deduplicated) == (1, 1)
    assert project.rows().sort("id").rows() == [(1, None), (2, None), (3, "c")]
    assert project.snapshots() == 2


def test_fields_inside_a_column_may_be_inserted_moved_and_left_out(project: Project) -> None:
    def loaded(names: str, record: str) -> str:
        inner = [{"name": n} for n in names]
        struct = {"type": "object", "properties": inner}
        project.asset([{"name": "id"}, {"name": "s", **struct}, {"name": "l", "type": "array", "items": struct}])
        project.job(
            source_connector_path="connectors/sources/jsonl.yaml",
            source={"files": [{"path": "data/people.jsonl"}]},
            target={"write_mode": "append"},
        )
        project.write("data/people.jsonl", f'{{"id": "{names}", "s": {record}, "l": [{record}, null]}}\n')
        receipt = project.sync()
        assert receipt.exit_code == 0, receipt.streams[0].error
        return names

    steps = [loaded("ab", '{"a": "1", "b": "2"}'), loaded("acb", '{"a": "1", "b": "2", "c": "3"}')]
    steps += [loaded("b", '{"b": "2"}'), loaded("ba", '{"b": "2", "a": "1"}')]
    found = {r["id"]: (r["s"], r["l"]) for r in project.rows().to_dicts()}
    values = {"a": "1", "b": "2", "c": "3"}
    for names in steps:
        record = {n: values[n] if n in names else None for n in "abc"}
        assert found[names] == (record, [record, None])
