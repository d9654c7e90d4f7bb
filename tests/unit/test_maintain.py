"""Maintenance of the tables of jobs: what is taken, what is refused, what is told, what other readers see afterwards."""

from __future__ import annotations

import os
import secrets
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyiceberg.manifest import DataFileContent, ManifestContent

from dativo import ConfigError, Left, maintain
from dativo.errors import TargetError
from dativo.pipeline.maintain import Maintenance
from tests.lake import Lake
from tests.project import Project
from tests.readers.environment import duckdb_rows
from tests.services.minio import Minio

FIELDS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "name", "type": "string"},
    {"name": "born", "type": "date"},
    {"name": "score", "type": "decimal(8,2)"},
]


def load(project: Project, count: int = 6, job: str = "job", **more: Any) -> None:
    """Loads a file of ten good rows and a bad one so many times, each time with other ids."""
    project.asset(FIELDS, data_quality={"max_rejects": 1})
    target = {"write_mode": "append", **more.pop("target", {})}
    project.job(job, target=target, schema_validation_mode="quarantine", **more)
    for number in range(count):
        lines = [f"{n},{'' if n % 3 else f'name {n}'},2020-01-{n % 28 + 1:02d},{n}.5" for n in _ids(number)]
        project.write("data/people.csv", "\n".join(["id,name,born,score", *lines, "x,bad,2020-01-01,1"]) + "\n")
        assert project.sync(job).status == "loaded"


def _ids(number: int) -> range:
    return range(number * 10, number * 10 + 10)


def at_once(*names: str, **more: Any) -> Maintenance:
    options: dict[str, Any] = {"keep_snapshots": 1, "keep_days": 0, "older_than_days": 0, "allow_recent": True}
    return maintain(names or ("default.people",), act=True, **{**options, **more})


def failure(table: str, **more: Any) -> Left:
    """What went wrong with one of two tables."""
    found = at_once(**more)
    [left] = [x for x in found.left if x.failed]
    assert found.exit_code == 1 and left.table == table
    return left


def warehouse(project: Project) -> list[Path]:
    return sorted(p for p in (project.root / ".local/warehouse").rglob("*") if p.is_file())


def test_nothing_happens_unless_it_is_asked_for(project: Project) -> None:
    load(project)
    before = [(p, p.stat().st_mtime_ns) for p in (*warehouse(project), project.root / ".local/state/acme/catalog.db")]
    found = maintain(["default.people"], keep_days=0, older_than_days=0, keep_snapshots=1, allow_recent=True)
    assert not found.done and found.exit_code == 0 and found.left == ()
    people, rejects = found.tables
    assert (people.table, rejects.table) == ("default.people", "default.people__rejects")
    for one in found.tables:
        assert one.compaction is not None and (one.compaction.files_before, one.compaction.files_after) == (6, 1)
        assert one.snapshots is not None and one.snapshots.snapshots_after == 1
    assert [(p, p.stat().st_mtime_ns) for p, _ in before] == before and len(warehouse(project)) == len(before) - 1


def test_the_rejects_are_kept_up_too_and_every_row_stays(project: Project) -> None:
    load(project)
    rows, rejects = project.rows().sort("id"), project.rejects().sort("found_at")
    found = at_once()
    assert found.done and found.exit_code == 0
    assert project.rows().sort("id").equals(rows) and project.rejects().sort("found_at").equals(rejects)
    data = [p for p in warehouse(project) if p.suffix == ".parquet"]
    assert len(data) == 2 and project.snapshots() == 1 and project.snapshots("default.people__rejects") == 1
    assert project.sync().status == "unchanged"
    load(project, 7)
    assert project.rows().height == 70


def test_other_readers_see_the_same_table_afterwards(project: Project) -> None:
    load(project, target={"partitioning": ["name"]})
    query = "SELECT id, name, born, score FROM iceberg_scan('{}') ORDER BY id"

    def seen() -> list[Any]:
        path = project.table().metadata_location.removeprefix("file://")
        rows = duckdb_rows(query.format(path))[0]
        by_polars = pl.scan_iceberg(project.table()).sort("id").collect().rows()
        by_pyiceberg = project.rows().sort("id").rows()
        assert len(rows) == 60 and rows == by_polars == by_pyiceberg
        return rows

    before = seen()
    assert at_once().exit_code == 0
    assert seen() == before
    counts = {f.record_count for f in (t.file for t in project.table().scan().plan_files())}
    assert sum(t.file.record_count for t in project.table().scan().plan_files()) == 60 and counts
    named = project.table().scan(row_filter="name = 'name 3'").to_arrow()
    assert named["id"].to_pylist() == [3]


def test_a_job_stands_for_all_of_its_tables_and_no_table_is_taken_twice(project: Project) -> None:
    load(project, 1)
    names = [t.table for t in maintain(["job", "default.people", "people"]).tables]
    assert names == ["default.people", "default.people__rejects"]


@pytest.mark.parametrize("step", ["compact", "snapshots", "orphans"])
def test_one_step_alone_does_only_that(project: Project, step: str) -> None:
    load(project)
    found = at_once(steps=[step])
    people = found.tables[0]
    done = {"compact": people.compaction, "snapshots": people.snapshots, "orphans": people.orphans}
    assert [k for k, v in done.items() if v is not None] == [step]
    assert len(list(project.table().scan().plan_files())) == (1 if step == "compact" else 6)
    assert project.snapshots() == {"compact": 7, "snapshots": 1, "orphans": 6}[step]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"older_than_days": 2.9}, "less than the safe age of 3 days"),
        ({"keep_days": 0}, "less than the safe age of 3 days"),
        ({"older_than_days": -1, "allow_recent": True}, "are no age"),
        ({"older_than_days": float("nan"), "allow_recent": True}, "are no age"),
        ({"keep_days": 1e9}, "are no age"),
        ({"keep_snapshots": 0}, "always stays"),
        ({"file_megabytes": 0}, "cannot be made"),
        ({"steps": ["vacuum"]}, "there is no step 'vacuum'"),
    ],
)  # fmt: skip
def test_what_is_not_safe_or_has_no_sense_is_refused(project: Project, options: dict[str, Any], text: str) -> None:
    load(project, 1)
    before = warehouse(project)
    with pytest.raises(ConfigError, match=text) as caught:
        maintain(["default.people"], act=True, **options)
    assert caught.value.problems()[0].hint and warehouse(project) == before


def test_the_table_s_own_properties_say_what_stays(project: Project) -> None:
    load(project)
    limits = {"history.expire.min-snapshots-to-keep": "3", "history.expire.max-snapshot-age-ms": "1"}
    project.table().transaction().set_properties(limits).commit_transaction()
    found = maintain(["default.people"], act=True).tables[0].snapshots
    assert found is not None and found.snapshots_after == 3 == project.snapshots()
    project.table().transaction().set_properties({"history.expire.max-snapshot-age-ms": "a while"}).commit_transaction()
    [left] = maintain(["default.people"], act=True, steps=["compact", "snapshots"]).left
    assert left.failed and "history.expire.max-snapshot-age-ms" in left.reason


def test_a_table_that_is_not_there_and_a_name_that_is_none_are_told(project: Project) -> None:
    project.asset(FIELDS)
    project.job()
    with pytest.raises(TargetError, match=r"default\.people does not exist yet"):
        maintain(["default.people"])
    assert not (project.root / ".local").exists()
    with pytest.raises(ConfigError, match="no job or table is called 'nobody'"):
        maintain(["nobody"])


def test_one_table_that_fails_does_not_stop_the_others(project: Project) -> None:
    load(project)
    uri = "http://127.0.0.1:9"
    project.asset(FIELDS, "others")
    project.job("others", asset_path="assets/others.yaml", target={"catalog": {"type": "rest", "uri": uri}})
    found = at_once("default.others", "default.people")
    assert found.exit_code == 1 and len(found.tables) == 2
    [left] = found.left
    assert left.failed and "opening" in left.reason and uri.removeprefix("http://").split(":")[0] in left.reason
    with pytest.raises(TargetError, match="opening"):
        at_once("default.others")


def position_deletes(table: Any) -> None:
    """Deletes a row as another tool does: with a file that tells its position."""
    from pyiceberg.manifest import DataFile, FileFormat
    from pyiceberg.table.update.snapshot import _FastAppendFiles
    from pyiceberg.typedef import Record

    file = next(iter(table.scan().plan_files())).file
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    schema = pa.schema(
        [
            pa.field("file_path", pa.string(), False, {b"PARQUET:field_id": b"2147483546"}),
            pa.field("pos", pa.int64(), False, {b"PARQUET:field_id": b"2147483545"}),
        ]
    )
    import pyarrow.parquet as pq

    with table.io.new_output(path).create() as stream:
        pq.write_table(pa.table({"file_path": [file.file_path], "pos": [0]}, schema), stream)
    deletes = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES, file_path=path, file_format=FileFormat.PARQUET, partition=Record(),
        record_count=1, file_size_in_bytes=len(table.io.new_input(path)), spec_id=0, sort_order_id=None,
        equality_ids=None, key_metadata=None, column_sizes={}, value_counts={}, null_value_counts={},
        nan_value_counts={}, lower_bounds={}, upper_bounds={}, split_offsets=None,
    )  # fmt: skip

    class Deletes(_FastAppendFiles):
        def new_manifest_writer(self, spec: Any) -> Any:
            writer = super().new_manifest_writer(spec)
            told = {**writer._meta, "content": "deletes"}
            kind = type(writer)
            changes = {"content": lambda _: ManifestContent.DELETES, "_meta": property(lambda _: told)}
            writer.__class__ = type(kind.__name__, (kind,), changes)
            return writer

    with table.transaction() as transaction:
        from pyiceberg.table.snapshots import Operation

        producer = Deletes(Operation.APPEND, transaction, table.io)
        producer.append_data_file(deletes)
        producer.commit()


def test_rows_that_another_tool_deleted_by_position_stay_deleted_when_files_are_merged(project: Project) -> None:
    load(project)
    position_deletes(project.table())
    rows = project.rows().sort("id")
    assert rows.height == 59
    found = at_once()
    assert found.exit_code == 0 and found.left == ()
    assert project.rows().sort("id").equals(rows) and project.snapshots() == 1
    [task] = project.table().scan().plan_files()
    assert not task.delete_files and task.file.record_count == 59


def test_a_table_of_another_tool_is_kept_up_as_well(project: Project) -> None:
    """Made and filled by pyiceberg, with types, names and a column that was renamed and dropped that dativo never makes."""
    load(project, 1)
    catalog = project.catalog()
    catalog.drop_table("default.people")
    schema = pa.schema([("id", pa.int32()), ("x", pa.float32()), ("gone", pa.string()), ("fixed", pa.binary(4))])
    table = catalog.create_table("default.people", schema, location=f"file://{project.root}/elsewhere/of them")
    for number in range(6):
        table.append(pa.table({"id": [number], "x": [0.5], "gone": ["g"], "fixed": [b"abcd"]}, schema))
        if number == 2:
            with table.update_schema() as update:
                update.rename_column("x", "y").delete_column("gone")
            with table.update_schema() as update:
                update.add_column("x", table.schema().find_field("id").field_type)
            schema = pa.schema([("id", pa.int32()), ("y", pa.float32()), ("fixed", pa.binary(4)), ("x", pa.int32())])
            table.append(pa.table({"id": [9], "y": [1.5], "fixed": [b"wxyz"], "x": [7]}, schema))
            break
    for number in range(3):
        table.append(pa.table({"id": [20 + number], "y": [2.5], "fixed": [None], "x": [number]}, schema))
    before = table.scan().to_arrow().sort_by("id").to_pylist()
    assert at_once().exit_code == 0
    table.refresh()
    assert len(list(table.scan().plan_files())) == 1
    assert table.scan().to_arrow().sort_by("id").to_pylist() == before


def test_metadata_of_another_table_in_the_folder_keeps_everything(project: Project) -> None:
    load(project)
    location = project.table().location()
    catalog = project.catalog()
    catalog.drop_table("default.people")
    again = catalog.create_table("default.people", pa.schema([("id", pa.int64())]), location=location)
    again.append(pa.table({"id": [1]}))
    before = warehouse(project)
    left = failure("default.people", steps=["orphans"])
    assert "has the metadata of another table" in left.reason and "remove that file" in left.hint
    assert warehouse(project) == before


def test_two_tables_in_one_folder_keep_everything(project: Project) -> None:
    load(project, 2)
    project.catalog().create_table(
        "default.lodger", pa.schema([("id", pa.int64())]), location=f"{project.table().location()}/data/inner"
    ).append(pa.table({"id": [1]}))
    before = warehouse(project)
    assert "default.lodger has files in the folder" in failure("default.people", steps=["orphans"]).reason
    assert warehouse(project) == before


def test_files_that_no_writer_makes_are_counted_and_left(project: Project) -> None:
    load(project, 1)
    folder = Path(project.table().location().removeprefix("file://"))
    theirs = [
        folder / "README.md",
        folder / "data/notes.txt",
        folder / "metadata/version-hint.text",
        folder / "x.parquet",
    ]
    ours = [folder / "data/lost.parquet", folder / "metadata/lost.avro"]
    for path in (*theirs, *ours):
        path.write_text("text")
        os.utime(path, (0, 0))
    (folder / "data/link.parquet").symlink_to(folder / "README.md")
    found = maintain(["default.people"], act=True).tables[0].orphans
    assert found is not None and (found.files, found.unknown, found.bytes) == (2, 4, 8)
    assert all(p.exists() for p in theirs) and not any(p.exists() for p in ours)


def test_a_file_that_cannot_be_removed_is_told_and_nothing_is_damaged(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(project)
    rows = project.rows().sort("id")
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if "data" in self.parts and self.suffix == ".parquet":
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        found = at_once()
    assert found.exit_code == 1 and all("could not be removed" in x.reason for x in found.left)
    assert project.rows().sort("id").equals(rows) and project.snapshots() == 1
    assert at_once().exit_code == 0
    assert len([p for p in warehouse(project) if p.suffix == ".parquet"]) == 2


def test_a_manifest_that_cannot_be_read_keeps_everything(project: Project) -> None:
    load(project)
    lost = next((project.root / ".local/warehouse").rglob("people/metadata/*-m0.avro"))
    lost.write_bytes(b"junk")
    before = [p for p in warehouse(project) if "people__rejects" not in p.parts]
    for step in ("orphans", "snapshots"):
        assert "cannot be known" in failure("default.people", steps=[step]).reason
    assert [p for p in warehouse(project) if "people__rejects" not in p.parts] == before


def test_a_damaged_data_file_is_not_merged_away(project: Project) -> None:
    load(project)
    lost = next((project.root / ".local/warehouse").rglob("people/data/*.parquet"))
    content = lost.read_bytes()
    lost.write_bytes(content[: len(content) // 2])
    before = [p for p in warehouse(project) if "people__rejects" not in p.parts]
    assert "cannot be written anew" in failure("default.people", steps=["compact"]).reason
    assert [p for p in warehouse(project) if "people__rejects" not in p.parts] == before
    lost.write_bytes(content)
    assert project.rows().height == 60


@pytest.mark.server
def test_a_warehouse_in_an_object_store_is_kept_up(project: Project, minio_server: Minio) -> None:
    bucket = minio_server.make_bucket(f"upkeep-{secrets.token_hex(4)}")
    keys = {
        "endpoint": minio_server.endpoint, "access_key_id": minio_server.access_key,
        "secret_access_key": minio_server.secret_key, "region": minio_server.region, "bucket": bucket,
    }  # fmt: skip
    lake = Lake(project, {"connection": {"s3": keys}, "warehouse": f"s3://{bucket}/lake"})
    for number in range(6):
        lake.load(lake.columns, lake.frame([number]))
    minio_server.files.open_output_stream(f"{bucket}/lake/default/people/data/lost.parquet").close()
    assert at_once().exit_code == 0
    left = minio_server.keys(bucket)
    assert lake.ids == list(range(6)) and len(lake.data_files()) == 1
    assert [k for k in left if k.endswith(".parquet")] == [
        lake.data_files()[0].file_path.removeprefix(f"s3://{bucket}/")
    ]
    assert len(lake.table().metadata.snapshots) == 1


def test_it_tells_runs_that_go_on_by_their_staging_folders(tmp_path: Path) -> None:
    from dativo.pipeline.staging import alive, staging_folder

    token = "01a202b4-4cf3-75ad-a9fe-d89c27248cf2"
    assert alive(tmp_path / "nothing") == frozenset()
    with staging_folder(tmp_path, f"{token}-people"):
        (tmp_path / f"{uuid.uuid4()}-people~1-0").mkdir()
        (tmp_path / "something~else").mkdir()
        assert alive(tmp_path) == {token}
    assert alive(tmp_path) == frozenset()
