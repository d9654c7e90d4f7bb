"""Tables that other programs made are loaded into: no row is lost, none is there twice, nothing of theirs is changed."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate
from pyiceberg.transforms import IdentityTransform, MonthTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
)

from dativo import DativoError, diff_runs, show_state, show_table
from dativo.pipeline.explain import explain
from tests.project import Project

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "name"},
    {"name": "born", "type": "date"},
]
ROWS = "id,name,born\n1,a,2020-01-01\n2,b,2020-01-02\n3,c,2020-01-03\n"
APPEND = {"write_mode": "append"}
DAYS = [dt.date(2020, 1, 1), dt.date(2020, 1, 9)]
# Ids and an order of their own, as a table has that was changed over the years.
OWN = Schema(
    NestedField(17, "born", DateType()), NestedField(4, "id", LongType()), NestedField(9, "name", StringType())
)


@pytest.fixture
def job(project: Project) -> Project:
    """A job that appends three rows, and an empty catalog."""
    project.asset(FIELDS)
    project.job(target=APPEND)
    project.write("data/people.csv", ROWS)
    (project.root / ".local/state/acme").mkdir(parents=True)
    (project.root / ".local/warehouse/acme").mkdir(parents=True)
    project.catalog().create_namespace("default")
    return project


def create(project: Project, schema: Schema = OWN, **options: Any) -> Table:
    """A table whose column ids have gaps, because columns were removed from it."""
    gaps = [NestedField(900 + i, f"gone_{i}", StringType()) for i, _ in enumerate(schema.fields)]
    both = [f for pair in zip(gaps, schema.fields, strict=True) for f in pair]
    whole = Schema(*both, identifier_field_ids=schema.identifier_field_ids)
    made: Table = project.catalog().create_table("default.people", whole, **copy.deepcopy(options))
    with made.update_schema() as update:
        for field in gaps:
            update.delete_column(field.name)
    return made


def append(table: Table, *rows: dict[str, Any]) -> None:
    table.append(pa.Table.from_pylist(list(rows), schema=table.schema().as_arrow()))


def filled(project: Project, schema: Schema = OWN, **options: Any) -> Table:
    """A table with one row that the source has too, and one that it has not."""
    table = create(project, schema, **options)
    append(table, {"id": 1, "name": "a", "born": DAYS[0]}, {"id": 9, "name": "x", "born": DAYS[1]})
    return table


def ids(project: Project) -> list[int]:
    return sorted(project.rows()["id"].to_list())


def loads(project: Project, loaded: int, deduplicated: int) -> None:
    """One run that loads so many rows, and one that has nothing to do."""
    receipt = project.sync().streams[0]
    assert (receipt.status, receipt.loaded, receipt.deduplicated) == ("loaded", loaded, deduplicated), receipt.error
    assert project.sync().status == "unchanged"


def refused(project: Project, *told: str) -> None:
    """A run that ends with an error which says all that, and changes nothing."""
    before = project.table().metadata
    receipt = project.sync()
    assert receipt.exit_code == 2
    for text in told:
        assert text in receipt.streams[0].error
    after = project.table().metadata
    assert after == before
    assert {p.name for p in (project.root / ".local/warehouse").rglob("*.parquet")} == {
        Path(f).name for f in project.table().inspect.files()["file_path"].to_pylist()
    }


# -- tables of pyiceberg -----------------------------------------------------------------------------------------------


def test_an_empty_table_takes_the_rows_under_its_own_ids(job: Project) -> None:
    create(job)
    loads(job, 3, 0)
    assert ids(job) == [1, 2, 3]
    assert [(f.field_id, f.name) for f in job.table().schema().fields] == [(2, "born"), (4, "id"), (6, "name")]
    assert job.rows().sort("id").row(0) == (dt.date(2020, 1, 1), 1, "a")


def test_rows_that_are_there_are_recognised_and_the_others_kept(job: Project) -> None:
    filled(job)
    loads(job, 2, 1)
    assert ids(job) == [1, 2, 3, 9]


def test_columns_that_the_contract_lacks_stay_and_are_null_for_new_rows(job: Project) -> None:
    more = (
        NestedField(30, "labels", MapType(31, StringType(), 32, StringType(), value_required=False)),
        NestedField(33, "source", StringType(), required=True),
    )
    table = create(job, Schema(*OWN.fields, *more))
    append(table, {"id": 1, "name": "a", "born": DAYS[0], "labels": {"k": "v"}, "source": "crm"})
    receipt = job.sync().streams[0]
    assert (receipt.loaded, receipt.deduplicated, receipt.warnings) == (2, 1, ("let source be null",))
    read = {r["id"]: (r["labels"], r["source"]) for r in job.table().scan().to_arrow().to_pylist()}
    assert read == {1: ([("k", "v")], "crm"), 2: (None, None), 3: (None, None)}


def test_fields_inside_columns_may_be_in_another_order_and_more(job: Project) -> None:
    inner = [{"name": "a"}, {"name": "b", "type": "integer"}]
    struct = {"type": "object", "properties": inner}
    job.asset([FIELDS[0], {"name": "s", **struct}, {"name": "l", "type": "array", "items": struct}])
    source = {"files": [{"path": "data/p.jsonl"}]}
    job.job(source_connector_path="connectors/sources/jsonl.yaml", source=source, target=APPEND)
    lines = [{"id": n, "s": {"a": "x", "b": n}, "l": [{"a": "y", "b": n}, None]} for n in (1, 2)]
    job.write("data/p.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def other(first: int) -> StructType:
        return StructType(
            NestedField(first, "b", LongType()),
            NestedField(first + 1, "c", IntegerType()),
            NestedField(first + 2, "a", StringType()),
        )

    listed = ListType(50, other(60), element_required=False)
    columns = (NestedField(5, "l", listed), NestedField(6, "s", other(70)), NestedField(7, "id", LongType()))
    table = create(job, Schema(*columns))
    append(table, {"id": 1, "s": {"a": "x", "b": 1}, "l": [{"a": "y", "b": 1}, None]})
    loads(job, 1, 1)
    read = {r["id"]: r for r in job.table().scan().to_arrow().to_pylist()}
    assert read[2] == {"id": 2, "s": {"a": "x", "b": 2, "c": None}, "l": [{"a": "y", "b": 2, "c": None}, None]}


def test_a_renamed_column_is_found_in_old_files_and_a_new_one_of_an_old_name_is_not(job: Project) -> None:
    table = create(job, Schema(NestedField(1, "nr", LongType()), NestedField(2, "name", StringType())))
    append(table, {"nr": 1, "name": "other"})
    with table.update_schema() as update:
        update.rename_column("nr", "id")
        update.delete_column("name")
    with table.update_schema() as update:
        update.add_column("name", StringType())
        update.add_column("born", DateType())
    append(table, {"id": 2, "name": "b", "born": dt.date(2020, 1, 2)})
    loads(job, 2, 1)
    assert sorted(job.rows().select("id", "name").rows(), key=str) == [(1, "a"), (1, None), (2, "b"), (3, "c")]


def test_files_without_field_ids_that_were_added_are_read_by_name(job: Project) -> None:
    plain = job.root / "plain.parquet"
    pq.write_table(pa.table({"id": [1, 9], "name": ["a", "x"], "born": DAYS}), plain)
    create(job).add_files([str(plain)])
    loads(job, 2, 1)
    assert ids(job) == [1, 2, 3, 9]


def test_values_that_stand_in_folder_names_alone_are_read(job: Project) -> None:
    job.job(target={**APPEND, "partitioning": ["name"]})
    table = create(job, partition_spec=PartitionSpec(PartitionField(9, 1000, IdentityTransform(), "name")))
    append(table, {"id": 1, "name": "a", "born": DAYS[0]})
    loads(job, 2, 1)
    assert sorted(job.rows().select("id", "name").rows()) == [(1, "a"), (2, "b"), (3, "c")]


def test_every_value_is_compared_by_its_type(job: Project) -> None:
    job.asset([FIELDS[0], {"name": "d", "type": "decimal(10,2)"}, {"name": "t", "type": "timestamp"}])
    job.write("data/people.csv", "id,d,t\n1,1.50,2020-01-01 10:00:00\n2,,\n3,2.50,2020-01-01 10:00:00\n")
    columns = (
        NestedField(3, "t", TimestampType()),
        NestedField(2, "d", DecimalType(10, 2)),
        NestedField(1, "id", LongType()),
    )
    schema = Schema(*columns)
    moment = dt.datetime(2020, 1, 1, 10)
    append(create(job, schema), {"id": 1, "d": Decimal("1.50"), "t": moment}, {"id": 2, "d": None, "t": None})
    loads(job, 1, 2)


@pytest.mark.parametrize(
    "properties",
    [
        {"format-version": "1"},
        {"write.parquet.compression-codec": "gzip", "write.object-storage.enabled": "true", "owner": "someone"},
        {"write.data.path": "elsewhere", "asset.name": "an older name", "governance.owner": "old@example.com"},
    ],
)
def test_other_properties_do_no_harm_and_stay(job: Project, properties: dict[str, str]) -> None:
    told = {k: f"file://{job.root}/{v}" if k == "write.data.path" else v for k, v in properties.items()}
    filled(job, properties=told)
    loads(job, 2, 1)
    kept = job.table().properties
    for key, value in told.items():
        if not key.startswith(("asset.", "governance.", "format-version")):
            assert kept[key] == value
    assert kept["asset.name"] == "people" and job.table().format_version == int(told.get("format-version", "2"))


@pytest.mark.parametrize("location", ["{root}/a plain path", "file://{root}/with a slash/", "file://{root}/ümläut"])
def test_a_table_may_lie_anywhere(job: Project, location: str) -> None:
    filled(job, location=location.format(root=job.root))
    loads(job, 2, 1)
    assert ids(job) == [1, 2, 3, 9]


def test_order_tags_and_other_columns_of_identity_do_no_harm(job: Project) -> None:
    schema = Schema(
        NestedField(17, "born", DateType()),
        NestedField(4, "id", LongType(), required=True),
        NestedField(9, "name", StringType()),
        identifier_field_ids=[4],
    )
    table = create(job, schema, sort_order=SortOrder(SortField(4, IdentityTransform())))
    append(table, {"id": 1, "name": "a", "born": DAYS[0]})
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "audited").commit()
    loads(job, 2, 1)
    assert job.table().schema().identifier_field_names() == {"id"} and "audited" in job.table().refs()


def test_partitions_under_other_names_are_the_same(job: Project) -> None:
    job.job(target={**APPEND, "partitioning": ["month(born)"]})
    filled(job, partition_spec=PartitionSpec(PartitionField(17, 1007, MonthTransform(), "by_month")))
    loads(job, 2, 1)
    assert {r["partition"]["by_month"] for r in job.table().inspect.files().to_pylist()} == {600}


def test_rows_that_another_program_deleted_are_not_there(job: Project) -> None:
    table = filled(job)
    append(table, {"id": 2, "name": "b", "born": dt.date(2020, 1, 2)})
    table.delete("id == 1")
    loads(job, 2, 1)
    assert ids(job) == [1, 2, 3, 9]


# -- deletes that are files of their own -------------------------------------------------------------------------------


class _Deletes(ManifestWriterV2):
    """A manifest of delete files, which pyiceberg reads and does not write."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def delete_by_position(project: Project, row: int, others: list[str] | None = None) -> None:
    """Deletes a row of the table's one data file as Spark does it: merge on read."""
    table = project.table()
    path = table.inspect.files()["file_path"].to_pylist()[0]
    file = f"{table.location()}/data/deletes-{row}.parquet".removeprefix("file://")
    names = pa.schema(
        [
            pa.field("file_path", pa.string(), False, {b"PARQUET:field_id": b"2147483546"}),
            pa.field("pos", pa.int64(), False, {b"PARQUET:field_id": b"2147483545"}),
        ]
    )
    paths = [path, *(others or [])]
    pq.write_table(pa.table({"file_path": paths, "pos": [row] * len(paths)}, schema=names), file)
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=f"file://{file}", file_format=FileFormat.PARQUET,
        partition=Record(), record_count=len(paths), file_size_in_bytes=os.path.getsize(file),
        lower_bounds={2147483546: min(paths).encode()}, upper_bounds={2147483546: max(paths).encode()},
    )  # fmt: skip
    _commit_deletes(table, deletes, row)


def _commit_deletes(table: Table, deletes: DataFile, number: int) -> None:
    before = table.current_snapshot()
    assert before is not None
    snapshot, order = table.metadata.new_snapshot_id(), table.metadata.last_sequence_number + 1
    manifest = f"{table.location()}/metadata/deletes-{number}.avro"
    with _Deletes(table.spec(), table.schema(), table.io.new_output(manifest), snapshot, "deflate") as writer:
        writer.add_entry(
            ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=snapshot, data_file=deletes)
        )
    listing = f"{table.location()}/metadata/snap-deletes-{number}.avro"
    with write_manifest_list(
        2, table.io.new_output(listing), snapshot, before.snapshot_id, order, "deflate"
    ) as manifests:
        manifests.add_manifests([writer.to_manifest_file(), *before.manifests(table.io)])
    made = Snapshot(
        snapshot_id=snapshot, parent_snapshot_id=before.snapshot_id, sequence_number=order, manifest_list=listing,
        timestamp_ms=before.timestamp_ms + 1, summary=Summary(Operation.DELETE), schema_id=table.schema().schema_id,
    )  # fmt: skip
    ref = SetSnapshotRefUpdate(ref_name="main", type=SnapshotRefType.BRANCH, snapshot_id=snapshot)
    table.catalog.commit_table(table, (), (AddSnapshotUpdate(snapshot=made), ref))


@pytest.mark.parametrize("others", [[], ["file:///nowhere/another.parquet"]])
def test_rows_deleted_on_read_are_not_there(job: Project, others: list[str]) -> None:
    filled(job)
    delete_by_position(job, 0, others)
    assert ids(job) == [9]
    loads(job, 3, 0)
    assert ids(job) == [1, 2, 3, 9]


def test_a_row_deleted_on_read_is_a_difference_between_two_snapshots(job: Project) -> None:
    filled(job)
    delete_by_position(job, 0)
    found = diff_runs("previous", "latest", job=job.load())
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (0, 1, 0)
    assert [r["id"] for r in found.removed.dicts()] == [1]
    back = diff_runs("latest", "previous", job=job.load())
    assert (back.rows.added, back.rows.removed) == (1, 0)


def test_a_replacing_run_replaces_rows_under_deletes_too(job: Project) -> None:
    job.job(target={"write_mode": "replace"})
    filled(job)
    delete_by_position(job, 1)
    assert job.sync().loaded == 3
    assert ids(job) == [1, 2, 3]


def test_rows_deleted_by_value_are_told(job: Project) -> None:
    table = filled(job)
    file = f"{table.location()}/data/by-value.parquet".removeprefix("file://")
    values = pa.schema([pa.field("id", pa.int64(), True, {b"PARQUET:field_id": b"4"})])
    pq.write_table(pa.table({"id": [1]}, schema=values), file)
    deletes = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES, file_path=f"file://{file}", file_format=FileFormat.PARQUET,
        partition=Record(), record_count=1, file_size_in_bytes=os.path.getsize(file), equality_ids=[4],
    )  # fmt: skip
    _commit_deletes(table, deletes, 0)
    receipt = job.sync()
    assert receipt.exit_code == 2 and "deleted by value (equality deletes" in receipt.streams[0].error
    with pytest.raises(DativoError, match="deleted by value"):
        show_table(job.load())
    with pytest.raises(DativoError, match="cannot be read"):
        diff_runs("previous", "latest", job=job.load())


# -- what cannot be adopted --------------------------------------------------------------------------------------------


def test_a_column_of_another_type_is_told_with_both_types(job: Project) -> None:
    create(job, Schema(NestedField(1, "id", StringType()), NestedField(2, "born", TimestampType())))
    told = ("'id' is string in the table and long in the contract", "'born' is timestamp in the table and date in the")
    refused(job, *told, "give the column a new name in the contract, load into another table")


def test_a_narrower_column_is_told_with_the_mode_that_widens_it(job: Project) -> None:
    filled(job, Schema(NestedField(1, "id", IntegerType()), *(f for f in OWN.fields if f.name != "id")))
    refused(job, "'id' is int in the table and long in the contract: wider, which needs target.mode: relaxed")
    job.job(target={**APPEND, "mode": "relaxed"})
    loads(job, 2, 1)
    assert ids(job) == [1, 2, 3, 9]


def test_letter_case_is_told(job: Project) -> None:
    create(job, Schema(NestedField(1, "ID", LongType())))
    refused(job, "'id' differs from the table's 'ID' in letter case only")


def test_another_partitioning_is_told(job: Project) -> None:
    filled(job, partition_spec=PartitionSpec(PartitionField(17, 1000, MonthTransform(), "m")))
    refused(job, "is partitioned by month(born), the job wants nothing", "target.partitioning")


def test_an_identifier_that_would_become_nullable_is_told(job: Project) -> None:
    job.asset([{"name": "id", "type": "integer"}, *FIELDS[1:]])
    columns = (NestedField(4, "id", LongType(), required=True), NestedField(9, "name", StringType()))
    schema = Schema(*columns, identifier_field_ids=[4])
    create(job, schema)
    told = "the table default.people identifies its rows by id, which may not be null"
    refused(job, told, "make the column required")
    assert told in str(explain(job.load()).streams[0].refused)


def test_rows_of_another_program_are_not_replaced_unless_that_is_asked_for(job: Project) -> None:
    job.job()
    filled(job)
    refused(job, "also loaded by another program, and this job would replace its rows", "target.write_mode")
    job.job(target={"write_mode": "replace"})
    assert job.sync().loaded == 3
    assert ids(job) == [1, 2, 3]
    job.job()
    job.write("data/people.csv", ROWS + "4,d,2020-01-04\n")
    assert job.sync().loaded == 4, "from then on it is a table of the job"


def test_a_table_of_another_program_without_rows_is_simply_loaded(job: Project) -> None:
    job.job()
    table = filled(job)
    table.delete("id > 0")
    assert job.sync().loaded == 3


# -- tables and state of the reference implementation ------------------------------------------------------------------

INCREMENTAL = {"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}}
REFERENCE = {
    "asset.name": "people", "asset.version": "0.9", "asset.source_type": "csv", "classification.default": "pii",
    "classification.fields.name": "column", "governance.owner": "old@example.com", "finops.cost_center": "CC-1",
}  # fmt: skip


def reference(project: Project, entries: dict[str, Any] | str) -> Path:
    """A table with the reference implementation's properties, and its state file."""
    project.job(source=INCREMENTAL)
    by_position = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "name", StringType()),
        NestedField(3, "born", DateType()),
    )
    table = create(project, by_position, properties=REFERENCE)
    schema = table.schema().as_arrow()
    table.append(pa.Table.from_pylist([{"id": 1, "name": "a", "born": DAYS[0]}], schema=schema))
    path = project.root / ".local/state/acme/csv.default.state.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries, indent=2))
    return path


def entry(project: Project, moment: str | None = None) -> dict[str, Any]:
    known = (project.root / "data/people.csv").stat().st_mtime
    told = moment or dt.datetime.fromtimestamp(known, dt.UTC).isoformat()
    return {"file_data/people.csv": {"last_modified": told, "file_id": "data/people.csv"}}


def test_a_file_that_the_older_tool_has_read_is_not_read_again(job: Project) -> None:
    reference(job, entry(job))
    assert job.sync().status == "unchanged"
    assert ids(job) == [1]
    job.write("data/people.csv", ROWS + "4,d,2020-01-04\n")
    os.utime(job.root / "data/people.csv", ns=(2 * 10**18, 2 * 10**18))
    receipt = job.sync().streams[0]
    assert (receipt.loaded, receipt.deduplicated) == (3, 1)
    assert ids(job) == [1, 2, 3, 4]


def test_the_older_tools_file_counts_once(job: Project) -> None:
    old = reference(
        job, {**entry(job, "2000-01-01T00:00:00"), "customers.created": {"last_value": 5, "updated_at": "x"}}
    )
    before = old.read_bytes()
    loads(job, 2, 1)
    assert old.read_bytes() == before, "it is left as it was"
    own = json.loads((job.root / ".local/state/acme/job.json").read_text())
    assert own["customers.created"] == {"last_value": 5, "updated_at": "x"} and "_dativo" in own
    assert show_state(job.load()).file == "current"
    old.write_text(json.dumps(entry(job, "2100-01-01T00:00:00+00:00")))
    (job.root / ".local/state/acme/job.json").unlink()
    assert job.sync().status == "unchanged"
    job.write("data/people.csv", ROWS + "4,d,2020-01-04\n")
    assert job.sync().loaded == 1, "the table's own memory counts now"


def test_properties_of_the_older_tool_stay_but_for_those_that_the_contract_sets(job: Project) -> None:
    reference(job, entry(job, "2000-01-01T00:00:00"))
    loads(job, 2, 1)
    kept = job.table().properties
    assert kept["finops.cost_center"] == "CC-1" and kept["classification.default"] == "pii"
    assert kept["asset.version"] == "1.0" and kept["governance.owner"] == "tests@example.com"


@pytest.mark.parametrize(
    "content",
    [
        "{not json",
        "[]",
        '{"file_data/people.csv": ["x"]}',
        '{"file_data/people.csv": {"last_modified": null, "file_id": "x"}}',
        '{"file_data/people.csv": {"last_modified": "yesterday"}}',
        '{"file_data/other.csv": {"last_modified": "2100-01-01T00:00:00+00:00"}}',
    ],
)
def test_a_state_that_tells_nothing_loses_and_doubles_nothing(job: Project, content: str) -> None:
    reference(job, content)
    loads(job, 2, 1)
    assert ids(job) == [1, 2, 3]


def test_our_own_state_file_does_not_speak_for_a_table_that_another_program_made_since(job: Project) -> None:
    job.job(source=INCREMENTAL)
    assert job.sync().loaded == 3
    job.catalog().drop_table("default.people")
    create(job)
    assert job.sync().loaded == 3
    assert ids(job) == [1, 2, 3]
