"""What merges leave in a table's metadata and files: short lists of manifests, deletes that every reader understands."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import GreaterThan
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent
from pyiceberg.table.delete_file_index import PATH_FIELD_ID
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record

from dativo import connectors
from dativo.config.field import Field
from dativo.config.partition import INGEST_DATE, Partition
from dativo.errors import CommitConflict, TargetError
from dativo.targets.iceberg.contents import contents
from dativo.targets.iceberg.manifests import FAN
from dativo.targets.protocol import Written
from dativo.targets.upkeep import Wanted
from tests.lake import Lake, commit, write
from tests.merging import Merger, handed_over
from tests.project import Project
from tests.readers.environment import duckdb_rows
from tests.unit.test_adoption import _commit_deletes

ID, TEXT = Field(name="id", kind="long"), Field(name="text", kind="string")
COLUMNS = (ID, TEXT)


def merger(project: Project, mode: str = "merge-on-read", columns: Any = COLUMNS, parts: Any = ()) -> Merger:
    lake = Lake(project, {"write_mode": "append", "engine": {"options": {"merge_mode": mode}}})
    return Merger(lake, columns, ["id"], parts)


def rows(numbers: Any, text: str = "old") -> pl.DataFrame:
    return pl.DataFrame({"id": numbers}, schema={"id": pl.Int64}).select("id", text=pl.lit(text))


def ids(table: Merger) -> list[int]:
    scan = table.opened().existing(COLUMNS)
    found = table.lake.rows()["id"].sort().to_list()
    assert scan is not None and scan.collect()["id"].sort().to_list() == found
    return found


def compacted(table: Merger, **more: Any) -> Any:
    job = table.lake.project.load(table.lake.job)
    token = "01900000-0000-7000-8000-000000000000"
    return connectors.keeper(job, job.streams[0]).compact(table.lake.name, Wanted(act=True, token=token, **more))


def live(table: Merger) -> Any:
    found = table.lake.table()
    return contents(found.current_snapshot(), found.io)


def test_a_delete_file_is_about_one_data_file_and_says_so(project: Project) -> None:
    table = merger(project)
    table.load(rows(range(10)))
    table.load(rows(range(10, 20)))
    table.merge(gone=rows([3, 5, 15]).select("id"))
    for file in live(table).files:
        [delete] = file.deletes
        assert delete.content == DataFileContent.POSITION_DELETES
        assert delete.lower_bounds[PATH_FIELD_ID] == delete.upper_bounds[PATH_FIELD_ID] == file.file.file_path.encode()
        stored = pl.read_parquet(delete.file_path.removeprefix("file://"), hive_partitioning=False)
        assert stored["file_path"].unique().to_list() == [file.file.file_path]
        assert stored["pos"].to_list() == ([3, 5] if file.sequence == 1 else [5])
        assert delete.record_count == stored.height
    summary = table.lake.table().current_snapshot().summary  # type: ignore[union-attr]
    assert summary is not None
    told = {k: summary[k] for k in ("added-position-deletes", "total-delete-files", "total-records", "dativo.deleted")}
    assert told == {
        "added-position-deletes": "3",
        "total-delete-files": "2",
        "total-records": "20",
        "dativo.deleted": "3",
    }


def test_a_table_tells_its_rows_without_those_that_are_deleted(project: Project) -> None:
    table = merger(project)
    table.load(rows(range(10)))
    table.merge(rows([10]), gone=rows([1, 2]).select("id"))
    job = project.load()
    facts = connectors.reader(job, job.streams[0]).facts()
    assert facts is not None and facts.rows == 9
    assert [(s.rows_added, s.rows_removed) for s in facts.snapshots] == [(1, 2), (10, 0)]
    merger(project, "copy-on-write").merge(gone=rows([3]).select("id"))
    facts = connectors.reader(job, job.streams[0]).facts()
    assert facts is not None and facts.rows == 8
    newest = facts.snapshots[0]
    assert newest.rows_added - newest.rows_removed == -1


def test_duckdb_reads_a_table_with_deleted_positions(project: Project) -> None:
    table = merger(project, parts=[Partition("id", "truncate", 10)])
    table.load(rows(range(30)))
    table.merge(rows([3, 31], "new"), gone=rows([3, 15]).select("id"))
    location = table.lake.table().metadata_location
    [found] = duckdb_rows(f"SELECT id, text FROM iceberg_scan('{location}') ORDER BY id")
    assert found == [(n, "new" if n in (3, 31) else "old") for n in [*range(15), *range(16, 30), 31]]


def test_many_merges_leave_few_manifests_and_each_entry_its_own_commit(project: Project) -> None:
    table = merger(project)
    table.load(rows(range(200)))
    commits = 2 * FAN + 5
    for number in range(commits):
        table.merge(rows([1_000 + number]), gone=pl.DataFrame({"id": [number * 2]}))
    found = live(table)
    by_content = {c: [m for m, _ in found.manifests if m.content == c] for c in ManifestContent}
    assert all(len(manifests) < FAN + 4 for manifests in by_content.values())
    deletes = [e.sequence_number for e in found.entries(ManifestContent.DELETES)]
    assert sorted(deletes) == list(range(2, commits + 2))
    assert ids(table) == sorted({*range(200)} - {n * 2 for n in range(commits)}) + [1_000 + n for n in range(commits)]


def test_a_rewritten_file_takes_its_deletes_along(project: Project) -> None:
    """A file with deleted positions is rewritten without these rows, whichever way deleted them."""
    table = merger(project)
    for start in (0, 100):
        table.load(rows(range(start, start + 100)))
    table.merge(gone=rows([1, 2, 150]).select("id"))
    table.merge(gone=rows([3]).select("id"))
    assert len(list(live(table).entries(ManifestContent.DELETES))) == 3
    rewriting = merger(project, "copy-on-write")
    done = rewriting.merge(gone=rows([2, 4]).select("id"))
    assert done.deleted == 1
    # The two that were about the rewritten file are gone.
    [left] = live(table).entries(ManifestContent.DELETES)
    [other] = [f for f in live(table).files if f.deletes]
    assert left.data_file.lower_bounds[PATH_FIELD_ID] == other.file.file_path.encode() and other.sequence == 2
    assert ids(table) == [n for n in range(200) if n not in (1, 2, 3, 4, 150)]
    # Nothing but rows that were deleted before: the file stays.
    paths = {f.file.file_path for f in live(table).files}
    assert rewriting.merge(gone=rows([150]).select("id")).deleted == 0
    assert {f.file.file_path for f in live(table).files} == paths


def test_a_replace_takes_deletes_along_and_counts_the_rows_that_were_left(project: Project) -> None:
    table = merger(project)
    table.load(rows(range(100)))
    table.merge(gone=rows([1, 2]).select("id"))
    done = table.load(rows([7], "new"), replace=True)
    assert done.deleted == 98 and ids(table) == [7]
    assert not list(live(table).entries(ManifestContent.DELETES))


def test_a_file_of_whose_rows_many_are_deleted_is_compacted_alone(project: Project) -> None:
    table = merger(project)
    for start in (0, 100):
        table.load(rows(range(start, start + 100)))
    table.merge(gone=rows([*range(10), *range(100, 111)]).select("id"))
    done = compacted(table, file_bytes=1)
    assert (done.merged, done.made, done.riddled) == (1, 1, 1)
    assert [len(f.deletes) for f in sorted(live(table).files, key=lambda f: f.sequence)] == [1, 0]
    assert ids(table) == [*range(10, 100), *range(111, 200)]


def test_a_file_all_of_whose_rows_are_deleted_goes_without_a_successor(project: Project) -> None:
    table = merger(project)
    for start in (0, 100):
        table.load(rows(range(start, start + 100)))
    table.merge(gone=rows(range(100)).select("id"))
    done = compacted(table, file_bytes=1)
    assert (done.files_before, done.files_after, done.merged, done.made) == (2, 1, 1, 0)
    assert ids(table) == list(range(100, 200))
    on_disk = {p.rpartition("/")[2] for p in table.lake.files_on_disk()}
    assert not [name for name in on_disk if name.startswith("01900000")]


def test_compaction_never_brings_back_a_row_that_was_deleted_meanwhile(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = merger(project)
    for start in range(0, 60, 10):
        table.load(rows(range(start, start + 10)))
    from dativo.targets.iceberg.upkeep import compact

    real = compact.commit

    def late(*given: Any) -> Any:
        monkeypatch.setattr(compact, "commit", real)
        table.merge(gone=rows([5]).select("id"))
        return real(*given)

    monkeypatch.setattr(compact, "commit", late)
    with pytest.raises(CommitConflict, match="nothing was changed"):
        compacted(table)
    assert ids(table) == [n for n in range(60) if n != 5]
    assert compacted(table).files_after == 1 and ids(table) == [n for n in range(60) if n != 5]


@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
def test_files_of_an_older_partitioning_are_merged_into_too(project: Project, mode: str) -> None:
    table = merger(project, mode)
    table.load(rows(range(20)))
    with table.lake.table().update_spec() as update:
        update.add_field("text", IdentityTransform(), "text")
    later = merger(project, mode, parts=[Partition("text", "identity")])
    later.load(rows(range(20, 40), "b"))
    done = later.merge(rows([3, 50], "c"), gone=rows([3, 4, 25]).select("id"))
    assert done.deleted == 3
    wanted = {**dict.fromkeys(range(20), "old"), **dict.fromkeys(range(20, 40), "b"), 3: "c", 50: "c"}
    found = later.lake.rows().sort("id")
    assert dict(found.select("id", "text").iter_rows()) == {k: v for k, v in wanted.items() if k not in (4, 25)}
    assert later.lake.rows(where=GreaterThan("id", 30)).height == 10
    if mode == "copy-on-write":
        # A file that is rewritten gets the partitioning of today.
        assert {f.spec_id for f in later.lake.data_files()} == {1}


def test_days_of_loading_stay_apart_so_that_one_can_be_replaced(project: Project) -> None:
    parts = [Partition(INGEST_DATE, "month")]
    columns = (*COLUMNS, Field(name=INGEST_DATE, kind="date"))
    table = merger(project, "copy-on-write", columns, parts)
    for day in (1, 2):
        numbers = range(day * 100, day * 100 + 50)
        table.load(rows(numbers), started=dt.datetime(2026, 3, day, tzinfo=dt.UTC))
    target = table.lake.target(started=dt.datetime(2026, 3, 3, tzinfo=dt.UTC))
    table.merge(gone=rows([100, 200]).select("id"))
    days = [(f.lower_bounds[3], f.upper_bounds[3]) for f in table.lake.data_files()]
    assert len(days) == 2 and all(low == high for low, high in days)
    target = table.lake.target(started=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    target.open(table.lake.shape(columns, parts))
    commit(target, write(target, rows([1])), replace=True)
    assert table.lake.rows()["id"].sort().to_list() == [1, *range(201, 250)]


@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
def test_a_table_with_rows_deleted_by_value_is_refused(project: Project, mode: str) -> None:
    table = merger(project, mode)
    table.load(rows(range(5)))
    found = table.lake.table()
    path = f"{found.location()}/data/by-value.parquet"
    layout = pa.schema([pa.field("id", pa.int64(), True, {b"PARQUET:field_id": b"1"})])
    pq.write_table(pa.table({"id": [1]}, schema=layout), path.removeprefix("file://"))
    deletes = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES, file_path=path, file_format=FileFormat.PARQUET, partition=Record(),
        record_count=1, file_size_in_bytes=Path(path.removeprefix("file://")).stat().st_size, equality_ids=[1],
    )  # fmt: skip
    _commit_deletes(found, deletes, 0)
    before = table.lake.files_on_disk()
    target = table.opened()
    with pytest.raises(TargetError, match="equality deletes, as Flink writes them"):
        handed_over(target, Written(), table.revision(rows([1]).select("id")))
    assert table.lake.files_on_disk() == before


@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
def test_a_table_of_format_version_one_is_merged_into_by_rewriting_alone(project: Project, mode: str) -> None:
    table = merger(project, mode)
    table.load(rows(range(5)))
    catalog = project.catalog()
    catalog.drop_table("default.people")
    layout = pa.schema([("id", pa.int64()), ("text", pa.string())])
    made = catalog.create_table("default.people", layout, properties={"format-version": "1"})
    made.append(pa.table({"id": [1, 2, 3], "text": ["old"] * 3}, schema=layout))
    target = table.opened()
    revision = table.revision(rows([2]).select("id"))
    if mode == "merge-on-read":
        with pytest.raises(TargetError, match="its format version is 1"):
            handed_over(target, Written(), revision)
        assert ids(table) == [1, 2, 3]
    else:
        assert handed_over(target, write(target, rows([2, 4])), revision).deleted == 1
        assert ids(table) == [1, 2, 3, 4]
