"""Tables of files in object stores: names and folders, what files and objects tell of themselves, the manifest."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import secrets
import urllib.request
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pyarrow.parquet as pq
import pytest

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.errors import (
    CommitConflict,
    CommitUnknown,
    ConfigError,
    SchemaChangeRefused,
    StoreError,
    TargetError,
    UnsupportedError,
)
from dativo.pipeline.maintain import maintain
from dativo.pipeline.refuse import refuse_unbuilt
from dativo.pipeline.rejects import show_rejects
from dativo.pipeline.states import plan_reset, reset_state, show_state
from dativo.pipeline.tables import show_table
from dativo.stores import upload
from dativo.stores.store import ObjectStore
from dativo.targets.objects import commit as commits
from dativo.targets.objects import following as after
from dativo.targets.objects import manifest as manifests
from dativo.targets.objects.keeper import ObjectKeeper
from dativo.targets.objects.layout import Place
from dativo.targets.objects.reading import ObjectReader
from dativo.targets.upkeep import Wanted
from tests.lake import STARTED, commit, write
from tests.object_lake import ObjectLake
from tests.project import Project
from tests.services.minio import Minio

pytestmark = pytest.mark.server
DAY = [Partition("ingest_date")]
REGION = Field(name="region", kind="string")
INGEST = Field(name="ingest_date", kind="date")
ID = Field(name="id", kind="long")


def connection(minio: Minio, **more: Any) -> dict[str, Any]:
    return {
        "endpoint": minio.endpoint, "region": minio.region,
        "access_key_id": minio.access_key, "secret_access_key": minio.secret_key,
        "bucket": minio.make_bucket(f"tables-{secrets.token_hex(6)}"), **more,
    }  # fmt: skip


@pytest.fixture
def lake(project: Project, minio_server: Minio) -> ObjectLake:
    return ObjectLake(project, "s3", connection(minio_server))


def keys(lake: ObjectLake) -> list[str]:
    return sorted(o.key for o in lake.store.list() if "/_dativo/" not in o.key)


# -- Layout -------------------------------------------------------------------------------------------------------------


def test_files_lie_in_hive_folders_numbered_through_the_life_of_the_table(lake: ObjectLake) -> None:
    rows = {"region": ["EU West", "ÜBER/..", None], "id": [1, 2, 3]}
    parts = [Partition("region"), *DAY]
    lake.load((REGION, ID, INGEST), rows, partitioning=parts, token="t-1")
    lake.load((REGION, ID, INGEST), {"region": ["EU West"], "id": [4]}, partitioning=parts, token="t-2")
    found = keys(lake)
    shape = r"default/default/people/region=([a-z0-9_-]+)/ingest_date=2026-03-01/people_(\d{6})-(t-\d)\.parquet"
    matches = [re.fullmatch(shape, key) for key in found]
    assert all(matches), found
    assert sorted(m[1] for m in matches if m) == ["_ber___", "eu_west", "eu_west", "unknown"]
    assert sorted(m[2] for m in matches if m) == ["000001", "000002", "000003", "000004"]
    assert [m[3] for m in matches if m and m[2] == "000004"] == ["t-2"]


def test_the_ingest_date_is_a_column_of_the_rows_too(lake: ObjectLake) -> None:
    lake.load((ID, INGEST), {"id": [1]}, partitioning=DAY)
    assert lake.rows().rows(named=True) == [{"id": 1, "ingest_date": date(2026, 3, 1)}]


def test_a_prefix_is_the_folder_and_two_streams_have_one_each(project: Project, minio_server: Minio) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server, prefix="/raw/people/"))
    lake.load(lake.columns, lake.frame([1]), token="t")
    assert keys(lake) == ["raw/people/people_000001-t.parquet"]
    project.asset([{"name": "id", "type": "integer"}], name="pets")
    project.write("data/people.csv", "id\n1\n")
    project.write("data/pets.csv", "id\n1\n")
    files = [{"path": "data/people.csv", "object": "people"}, {"path": "data/pets.csv", "object": "pets"}]
    lake.make_job("both", source={"files": files}, asset_paths=["assets/people.yaml", "assets/pets.yaml"])
    assert project.sync("both").status == "loaded"
    assert {key.rpartition("/")[0] for key in keys(lake)} == {"raw/people", "raw/people/people", "raw/people/pets"}


@pytest.mark.parametrize("product", ["../../etc", "a/b", "..", "/", "\x07x"])
def test_no_name_leads_out_of_the_folder(project: Project, minio_server: Minio, product: str) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server))
    project.asset([{"name": "id", "type": "integer"}], dataProduct=product)
    lake.load(lake.columns, lake.frame([1]))
    (key,) = keys(lake)
    assert len(key.split("/")) == 4 and ".." not in key.split("/") and "\x07" not in key


def test_many_files_have_the_size_that_was_asked_for(project: Project, minio_server: Minio) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server), parquet_target_size_mb=1)
    frame = pl.DataFrame({"id": pl.int_range(2_000_000, eager=True).shuffle(1)})
    lake.load(lake.columns, frame)
    entries = lake.entries()
    assert len(entries) > 3 and sum(e["rows"] for e in entries) == 2_000_000
    assert max(e["bytes"] for e in entries) < 4 << 20
    assert lake.rows()["id"].sort().equals(frame["id"].sort())


# -- What files and objects tell of themselves --------------------------------------------------------------------------


def headers(lake: ObjectLake, key: str) -> dict[str, str]:
    import obstore

    url = obstore.sign(lake.store.client, "GET", key, expires_in=timedelta(minutes=5))
    with urllib.request.urlopen(url) as answer:
        return {k.lower(): v for k, v in answer.headers.items()}


def test_objects_have_metadata_and_tags(lake: ObjectLake) -> None:
    lake.load((ID, INGEST), {"id": [1, 2]}, partitioning=DAY, properties={"governance.owner": "Zoë"})
    (key,) = keys(lake)
    found = headers(lake, key)
    told = {k.removeprefix("x-amz-meta-"): v for k, v in found.items() if k.startswith("x-amz-meta-")}
    assert told == {
        "asset-name": "people", "asset-version": "1.0", "asset-domain": "default", "tenant-id": "acme",
        "owner": "Zo%C3%AB", "record-count": "2", "file-size-bytes": found["content-length"],
        "partition": "ingest_date=2026-03-01", "ingest-timestamp": STARTED.isoformat(), "file-format": "parquet",
        "compression": "zstd",
    }  # fmt: skip
    assert found["x-amz-tagging-count"] == "4" and found["content-type"] == "application/vnd.apache.parquet"


def test_objects_of_several_parts_have_metadata_and_tags_too(lake: ObjectLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PART", 5 << 20)
    monkeypatch.setattr("dativo.targets.objects.data_file.PART", 5 << 20)
    frame = pl.DataFrame({"id": pl.int_range(2_000_000, eager=True).shuffle(1)})
    lake.load(lake.columns, frame)
    (key,) = keys(lake)
    found = headers(lake, key)
    assert found["x-amz-meta-asset-name"] == "people" and found["x-amz-tagging-count"] == "2"
    assert lake.entries()[0]["bytes"] == int(found["content-length"]) > 5 << 20


@pytest.mark.parametrize("part", [5 << 20, 32 << 20], ids=["sent in parts", "sent at once"])
def test_files_with_long_footers_are_counted(lake: ObjectLake, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.targets.objects.data_file.PART", part)
    monkeypatch.setattr("dativo.targets.objects.counting._END", 1000)
    frame = pl.DataFrame({"id": pl.int_range(2_000_000, eager=True).shuffle(1)})
    lake.load(lake.columns, frame)
    assert [e["rows"] for e in lake.entries()] == [2_000_000]


def test_parquet_files_carry_the_tags_of_the_table(lake: ObjectLake) -> None:
    lake.load(lake.columns, lake.frame([1]), properties={"classification.fields.id": "pii"})
    (key,) = keys(lake)
    footer: Any = pq.read_metadata(io.BytesIO(lake.store.read(key)[0]))  # type: ignore[no-untyped-call]
    assert footer.metadata[b"classification.fields.id"] == b"pii"
    assert footer.row_group(0).column(0).compression == "ZSTD"


ODD = [Field(name="s", kind="string"), Field(name="t", kind="time"), Field(name="x", kind="double")]
ODD_ROWS = pl.DataFrame(
    {"s": ["", None, 'a"b\n,c'], "t": [None, datetime(1, 1, 1, 1, 2, 3).time(), None], "x": [1.5, None, float("inf")]},
    schema={"s": pl.String, "t": pl.Time, "x": pl.Float64},
)


def test_csv_is_what_other_programs_read(project: Project, minio_server: Minio) -> None:
    engine = {"options": {"compression": "gzip"}}
    lake = ObjectLake(project, "s3", connection(minio_server), file_format="csv", engine=engine)
    lake.load(ODD, ODD_ROWS)
    (key,) = keys(lake)
    assert key.endswith(".csv.gz")
    text = gzip.decompress(lake.store.read(key)[0]).decode()
    assert text.startswith('s,t,x\n"",,1.5\n')
    assert list(csv.reader(io.StringIO(text))) == [
        ["s", "t", "x"], ["", "", "1.5"], ["", "01:02:03", ""], ['a"b\n,c', "", "Infinity"],
    ]  # fmt: skip
    assert lake.entries()[0]["rows"] == 3


def test_json_lines_are_what_other_programs_read(project: Project, minio_server: Minio) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server), file_format="json")
    lake.load(ODD, ODD_ROWS)
    (key,) = keys(lake)
    assert [json.loads(line) for line in lake.store.read(key)[0].splitlines()] == [
        {"s": "", "t": None, "x": 1.5}, {"s": None, "t": "01:02:03", "x": None},
        {"s": 'a"b\n,c', "t": None, "x": "Infinity"},
    ]  # fmt: skip


# -- The manifest -------------------------------------------------------------------------------------------------------


def test_a_daily_load_replaces_its_own_day_only(lake: ObjectLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after, "INLINE", 2)
    monkeypatch.setattr(manifests, "IN_SEGMENT", 2)
    for day, ids in ((1, [1]), (2, [2]), (3, [3]), (2, [20]), (3, [30, 31]), (1, [10])):
        lake.load((ID, INGEST), {"id": ids}, partitioning=DAY, replace=True,
                  started=datetime(2026, 3, day, tzinfo=UTC))  # fmt: skip
    rows = lake.rows().sort("id").select("id", pl.col("ingest_date").dt.day()).rows()
    assert rows == [(10, 1), (20, 2), (30, 3), (31, 3)]
    # What was taken out is gone, and so are the lists that named it.
    assert len(keys(lake)) == 3
    named = {s["path"] for s in lake.manifest()["segments"]}
    lists = {o.key.removeprefix(f"{lake.prefix}/") for o in lake.store.list(f"{lake.prefix}/_dativo/files-")}
    assert lists == named and named


def test_a_commit_costs_the_same_with_many_files(lake: ObjectLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.load(lake.columns, lake.frame([0]), token="t-0")
    place = Place(lake.store, lake.prefix, "people")
    found = manifests.load(place)
    assert found is not None
    manifest, etag = found
    many = [manifests.Entry(path=f"x{i:06d}.parquet", rows=1, bytes=1, schema=0, run="r") for i in range(10_000)]
    segments = manifests.write_segments(place.store, place, many, "many")
    big = msgspec.structs.replace(manifest, segments=tuple(segments), files=10_001, rows=10_001)
    lake.store.write(place.manifest, manifests.encoded(big), only_if=etag)
    asked: list[tuple[str, int]] = []
    write_one, read_one = ObjectStore.write, ObjectStore.read

    def counted_write(store: ObjectStore, key: str, content: bytes, **named: Any) -> str:
        asked.append((key, len(content)))
        return write_one(store, key, content, **named)

    def counted_read(store: ObjectStore, key: str) -> Any:
        found = read_one(store, key)
        asked.append((key, len(found[0])))
        return found

    monkeypatch.setattr(ObjectStore, "write", counted_write)
    monkeypatch.setattr(ObjectStore, "read", counted_read)
    lake.load(lake.columns, lake.frame([1]))
    assert [key for key, _ in asked if "files-" in key] == []
    assert len(asked) == 4 and sum(size for _, size in asked) < 60_000
    assert lake.manifest()["files"] == 10_002


def test_another_table_format_or_partitioning_in_the_folder_is_refused(project: Project, minio_server: Minio) -> None:
    place = connection(minio_server, prefix="one")
    lake = ObjectLake(project, "s3", place)
    lake.load(lake.columns, lake.frame([1]))
    with pytest.raises(SchemaChangeRefused, match="are parquet, the job writes csv"):
        ObjectLake(project, "s3", place, file_format="csv").open(lake.columns)
    ObjectLake(project, "s3", place)
    with pytest.raises(SchemaChangeRefused, match="is partitioned by nothing, the job wants id"):
        lake.open(lake.columns, [Partition("id")])
    project.asset([{"name": "id", "type": "integer"}], name="people", domain="default")
    project.asset([{"name": "id", "type": "integer"}], name="pets")
    lake.make_job("pets", asset_path="assets/pets.yaml")
    with pytest.raises(TargetError, match="is the folder of the table people, not of pets"):
        lake.of_job_with("pets").open(lake.columns)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"version": 2}', "has version 2, this program knows 1"),
        ("{", "cannot be read"),
        ('{"version": 1, "table": 3}', "cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(lake: ObjectLake, text: str, told: str) -> None:
    lake.store.write(f"{lake.prefix}/_dativo/manifest.json", text.encode())
    project = lake.project
    project.write("data/people.csv", "id\n1\n")
    receipt = project.sync()
    assert receipt.exit_code == 2 and told in str(receipt.streams[0].error)
    assert keys(lake) == []


# -- Lost replies -------------------------------------------------------------------------------------------------------


def lost(monkeypatch: pytest.MonkeyPatch, *, lands: bool, times: int) -> None:
    """The next writes of a manifest get no answer, whether they land or not."""
    write_one = ObjectStore.write
    left = [times]

    def cut(store: ObjectStore, key: str, *given: Any, **named: Any) -> str:
        if not key.endswith("manifest.json") or not left[0]:
            return write_one(store, key, *given, **named)
        left[0] -= 1
        if lands:
            write_one(store, key, *given, **named)
        raise StoreError("no answer")

    monkeypatch.setattr(ObjectStore, "write", cut)


@pytest.mark.parametrize("lands", [True, False])
def test_a_commit_without_an_answer_is_done_once(
    lake: ObjectLake, lands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.load(lake.columns, lake.frame([1]))
    lost(monkeypatch, lands=lands, times=1)
    lake.load(lake.columns, lake.frame([2]))
    assert lake.ids == [1, 2] and lake.manifest()["generation"] == 2


def test_a_store_that_never_answers_leaves_it_unknown_and_the_next_run_finds_out(
    lake: ObjectLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "LONGEST_WAIT", 0.01)
    target, _ = lake.opened()
    written = write(target, lake.frame([1]))
    lost(monkeypatch, lands=False, times=99)
    with pytest.raises(CommitUnknown, match=r"does not answer whether the commit to .* landed: no answer"):
        commit(target, written)


def test_a_lost_reply_and_a_rival_end_in_one_of_the_two(lake: ObjectLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.load(lake.columns, lake.frame([1]))
    slow, _ = lake.opened()
    written = write(slow, lake.frame([2]))
    lost(monkeypatch, lands=False, times=1)
    lake.before_next_commit(slow, lambda: None, monkeypatch)
    write_one = ObjectStore.write

    def rival_after(store: ObjectStore, key: str, *given: Any, **named: Any) -> str:
        try:
            return write_one(store, key, *given, **named)
        except StoreError:
            monkeypatch.undo()
            lake.load(lake.columns, lake.frame([3]))
            raise

    monkeypatch.setattr(ObjectStore, "write", rival_after)
    with pytest.raises(CommitConflict):
        commit(slow, written)
    slow.abort()
    assert lake.ids == [1, 3] and len(keys(lake)) == 2


# -- Whole runs ---------------------------------------------------------------------------------------------------------


def test_a_run_is_shown_with_its_rejects_and_state_and_leaves_no_secret(lake: ObjectLake) -> None:
    project = lake.project
    canary = lake.connection["secret_access_key"]
    source = {"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}}
    lake.make_job("job", source=source, schema_validation_mode="quarantine")
    project.write("data/people.csv", "id\n1\n2\nx\n")
    receipt = project.sync()
    assert (receipt.status, receipt.streams[0].loaded) == ("loaded", 2), receipt.streams[0].error
    job = project.load()
    shown = show_table(job)
    assert (shown.facts.rows, shown.facts.files, shown.facts.location) == (2, 1, lake.name)
    assert shown.rows.sort("id")["id"].to_list() == [1, 2]
    assert show_rejects(job)["value"].to_list() == ["x"]
    state = show_state(job)
    assert state.file == "current" and state.streams[0].run == receipt.run_id
    assert project.sync().status == "unchanged"
    written = [lake.store.read(o.key)[0] for o in lake.store.list()]
    written += [p.read_bytes() for p in (project.root / ".local").rglob("*") if p.is_file()]
    assert len(canary) >= 8 and not [w for w in written if canary.encode() in w]


def test_a_reset_job_reads_everything_again_and_doubles_no_row(lake: ObjectLake) -> None:
    project = lake.project
    source = {"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}}
    lake.make_job("job", source=source)
    project.write("data/people.csv", "id\n1\n2\n")
    assert project.sync().status == "loaded"
    job = project.load()
    slow, _ = lake.opened()
    written = write(slow, lake.frame([3]))
    reset_state(job, plan_reset(job))
    assert show_state(job).streams[0].cursor == {}
    with pytest.raises(CommitConflict):
        commit(slow, written)
    again = project.sync()
    assert (again.status, again.streams[0].deduplicated, lake.ids) == ("loaded", 2, [1, 2]), again.streams[0].error


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"engine": {"options": {"compression": "lzo"}}}, "'lzo' does not compress parquet"),
        ({"file_format": "csv", "engine": {"options": {"compression": "snappy"}}}, "'snappy' does not compress csv"),
        ({"engine": {"options": {"row_group_size": "many"}}}, "'many' is not a whole number above 0"),
    ],
)
def test_options_that_mean_nothing_are_told(
    project: Project, minio_server: Minio, target: dict[str, Any], told: str
) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server), **target)
    with pytest.raises(ConfigError, match=told) as caught:
        lake.target()
    assert caught.value.problems()[0].mark is not None


def test_a_store_that_cannot_be_reached_ends_the_run_with_setting_and_remedy(
    project: Project, minio_server: Minio
) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server, secret_access_key="canary-1"))
    project.write("data/people.csv", "id\n1\n")
    receipt = project.sync()
    error = str(receipt.streams[0].error)
    assert receipt.exit_code == 2 and "the secret key is wrong" in error
    assert "canary-1" not in error and lake.job == "job"


# -- Upkeep -------------------------------------------------------------------------------------------------------------

DEAD, LIVE = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"


def test_files_of_killed_runs_are_removed_and_nothing_else(lake: ObjectLake) -> None:
    lake.load((ID, INGEST), {"id": [1]}, partitioning=DAY)
    counted = lake.files_on_disk()
    base, store = lake.prefix, lake.store
    left = {f"{base}/ingest_date=2026-03-02/people_000007-{DEAD}.parquet", f"{base}/_dativo/files-{DEAD}-0-0000.json"}
    stays = {f"{base}/people_000008-{LIVE}.csv.gz", f"{base}/mine.txt", f"{base}/other/people_000001-{DEAD}.parquet"}
    for key in left | stays:
        store.write(key, b"x")
    job = lake.project.load()
    keeper = ObjectKeeper(job, job.streams[0])
    (table,) = keeper.tables()
    wanted = Wanted(older_than_days=-1, live=lambda: frozenset({LIVE}))
    told = keeper.orphans(table, wanted)
    assert set(told.paths) == {store.uri(key) for key in left}
    assert (told.files, told.in_use, told.unknown, told.recent) == (2, 1, 2, 0)
    assert keeper.orphans(table, Wanted(older_than_days=1)).recent == 3
    assert keeper.orphans(table, msgspec.structs.replace(wanted, act=True)).files == 2
    assert {o.key for o in store.list(base)} == counted | stays | {f"{base}/_dativo/manifest.json"}
    assert lake.rows()["id"].to_list() == [1]


def test_dativo_maintain_goes_over_the_table_and_its_rejects(lake: ObjectLake) -> None:
    lake.project.write("data/people.csv", "id\n1\nx\n")
    lake.make_job("job", schema_validation_mode="quarantine")
    assert lake.project.sync().status == "loaded"
    done = maintain(["job"])
    assert [u.table for u in done.tables] == ["default.people", "default.people__rejects"]
    assert done.exit_code == 0 and all(u.orphans is not None and u.orphans.files == 0 for u in done.tables)


# -- Other columns ------------------------------------------------------------------------------------------------------

NOTE = Field(name="note", kind="string")
INNER = Field(name="x", kind="long")


@pytest.mark.parametrize("format", ["parquet", "csv", "json"])
def test_rows_of_every_shape_that_the_table_had_are_read_together(
    project: Project, minio_server: Minio, format: str
) -> None:
    lake = ObjectLake(project, "s3", connection(minio_server), file_format=format, mode="relaxed")
    first = [Field(name="d", kind="decimal", precision=5, scale=2), Field(name="s", kind="struct", fields=(INNER,)),
             Field(name="l", kind="list", item=Field(name="element", kind="double"), required=True)]  # fmt: skip
    lake.load(first, pl.DataFrame(
        {"d": [Decimal("1.25")], "s": [{"x": 1}], "l": [[0.5, None]]}, schema_overrides={"d": pl.Decimal(5, 2)}
    ))  # fmt: skip
    later = [Field(name="d", kind="decimal", precision=12, scale=2),
             Field(name="s", kind="struct", fields=(INNER, NOTE)), NOTE]  # fmt: skip
    opened = lake.open(later)
    assert opened.changes == (
        "widen d from decimal(5,2) to decimal(12,2)", "add column s.note string", "add column note string", "let l be null",
    )  # fmt: skip
    lake.load(later, pl.DataFrame(
        {"d": [Decimal("1234567890.10")], "s": [{"x": None, "note": "n"}], "note": [""]},
        schema_overrides={"d": pl.Decimal(12, 2), "s": pl.Struct({"x": pl.Int64, "note": pl.String})},
    ))  # fmt: skip
    job = lake.project.load()
    reader = ObjectReader(job, job.streams[0])
    rows = reader.rows()
    assert rows is not None and rows.collect().sort("d").rows() == [
        (Decimal("1.25"), {"x": 1, "note": None}, [0.5, None], None),
        (Decimal("1234567890.10"), {"x": None, "note": "n"}, None, ""),
    ]
    fields = reader.fields()
    assert fields is not None and [(f.name, f.type_text(), f.required) for f in fields] == [
        ("d", "decimal(12,2)", False), ("s", "struct<x: long, note: string>", False), ("l", "list<double>", False),
        ("note", "string", False),
    ]  # fmt: skip
    assert len(lake.manifest()["schemas"]) == 2


def test_what_object_stores_cannot_do_is_refused_before_anything_is_read(lake: ObjectLake) -> None:
    for target, told in (
        ({"file_format": "iceberg"}, "file_format 'iceberg' is not built yet for target s3"),
        ({"file_format": "orc"}, "file_format 'orc' is not built yet for target s3"),
        ({"catalog": "nessie"}, "the target s3 has no catalog"),
        ({"publish": "branch"}, "branch"),
    ):
        lake.target_block = {"connection": lake.connection, **target}
        lake.make_job("job")
        with pytest.raises(UnsupportedError, match=told) as caught:
            refuse_unbuilt(lake.project.load())
        assert caught.value.mark is not None and caught.value.hint
