"""Sources in object stores: which objects a job reads, in which format, and how much is fetched for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from dativo import connectors
from dativo.errors import SourceError
from dativo.pipeline.preview import preview
from dativo.sources.protocol import FAULT, Extract, Meter
from dativo.state.cursor import Cursor
from tests.faults.wire import Wire, wire
from tests.project import Project
from tests.services.minio import Minio
from tests.store_folder import StoreFolder, folder_for, minio_folder

pytestmark = pytest.mark.server


@pytest.fixture(params=["s3", "azure_blob"])
def folder(request: pytest.FixtureRequest) -> StoreFolder:
    return folder_for(request.param, request)


@pytest.fixture
def bucket(minio_server: Minio) -> StoreFolder:
    return minio_folder(minio_server)


@pytest.fixture
def line(minio_server: Minio) -> Iterator[Wire]:
    with wire(minio_server.port) as found:
        yield found


def read(project: Project, folder: StoreFolder, since: Cursor | None = None, /, **source: Any) -> Extract:
    """What a job with this source reads, with one column `a`."""
    connection = {**folder.connection, **source.pop("connection", {})}
    project.asset([{"name": "a"}])
    path = f"connectors/sources/{folder.connector}.yaml"
    project.job(source_connector_path=path, source={"connection": connection, **source})
    job = project.load()
    return connectors.source(job).read(job.streams[0], since, meter=Meter())


def names(extract: Extract, folder: StoreFolder) -> list[str]:
    return [f.removeprefix(folder.uri("")) for f in extract.files]


def refused(project: Project, folder: StoreFolder, **source: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(project, folder, **source)
    return caught.value


def files(*paths: str) -> list[dict[str, str]]:
    return [{"path": p} for p in paths]


# -- which objects are read --------------------------------------------------------------------------------------------


def test_keys_globs_and_prefixes(project: Project, folder: StoreFolder) -> None:
    for key in ("raw/b.csv", "raw/a.csv", "raw/sub/c.csv", "raw/d.txt", "other/e.csv", "rawer/f.csv", "raw/.h.csv"):
        folder.put(key, "a\n1\n")
    a = ["raw/a.csv", "raw/b.csv"]
    assert names(read(project, folder, files=files("raw/*.csv")), folder) == a
    assert names(read(project, folder, files=files("raw/b.csv", "raw/*.csv")), folder) == a[::-1]
    assert names(read(project, folder, files=files("**/*.csv")), folder) == [
        "other/e.csv", *a, "raw/sub/c.csv", "rawer/f.csv",
    ]  # fmt: skip
    assert names(read(project, folder, prefix="raw", pattern="*.csv"), folder) == a
    assert names(read(project, folder, prefix="raw/", pattern="**/*.csv"), folder) == [*a, "raw/sub/c.csv"]
    assert names(read(project, folder, prefix="raw", files=files("a.csv")), folder) == a[:1]
    assert names(read(project, folder, files=files(folder.uri("raw/a.csv"))), folder) == a[:1]
    assert names(read(project, folder, prefix="other", files=files(folder.uri("raw/*.csv"))), folder) == a
    assert (
        names(read(project, folder, files=files(folder.uri("raw/*.csv")), connection=_elsewhere(folder)), folder) == a
    )


def _elsewhere(folder: StoreFolder) -> dict[str, str]:
    return {"container" if folder.connector == "azure_blob" else "bucket": "not-there"}


def test_a_prefix_alone_leaves_out_what_other_programs_leave_there(project: Project, folder: StoreFolder) -> None:
    for key in ("t/day=1/x.csv", "t/day=2/y.csv", "t/_SUCCESS", "t/_temporary/0/z.csv", "t/.part.crc", "t/day=1/_meta"):
        folder.put(key, "a\n1\n")
    assert names(read(project, folder, prefix="t"), folder) == ["t/day=1/x.csv", "t/day=2/y.csv"]


def test_a_prefix_is_taken_as_it_stands(project: Project, folder: StoreFolder) -> None:
    for key in ("r[a]w/a.csv", "raw/b.csv", "rraw/c.csv"):
        folder.put(key, "a\n1\n")
    assert names(read(project, folder, prefix="r[a]w"), folder) == ["r[a]w/a.csv"]
    assert names(read(project, folder, prefix="r[a]w", pattern="*.csv"), folder) == ["r[a]w/a.csv"]
    assert names(read(project, folder, prefix="raw"), folder) == ["raw/b.csv"]


@pytest.mark.parametrize("stem", ["sp ace", "per%20cent", "ha#sh", "q?m", "st*r", "[a]", "ünï+&="])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_key_may_have_any_characters(project: Project, folder: StoreFolder, stem: str, ending: str) -> None:
    import io

    import polars as pl

    out = io.BytesIO()
    pl.DataFrame({"a": ["1"]}).write_parquet(out)
    key = f"odd/{stem}.{ending}"
    folder.put(key, out.getvalue() if ending == "parquet" else "a\n1\n")
    extract = read(project, folder, files=files(key))
    assert names(extract, folder) == [key]
    assert extract.frame.select("a").collect()["a"].to_list() == ["1"]
    extract.cursor()


def test_what_is_not_there_is_told_with_what_is(project: Project, folder: StoreFolder) -> None:
    for key in ("raw/people.csv", "raw/sub/x.csv"):
        folder.put(key, "a\n1\n")
    error = refused(project, folder, files=files("raw/peple.csv"))
    assert error.message == "file not found: 'raw/peple.csv'"
    assert f"did you mean {folder.uri('raw/people.csv')}?" in error.hint
    error = refused(project, folder, files=files("raw/zzz"))
    assert "in that folder: people.csv, sub/x.csv" in error.hint
    error = refused(project, folder, files=files("nowhere/x.csv"))
    assert f"there is nothing below '{folder.uri('nowhere/')}'" in error.hint
    error = refused(project, folder, files=files("raw/*.tsv"))
    assert error.message == "no file matches 'raw/*.tsv'"
    assert "raw/people.csv" in error.hint
    error = refused(project, folder, prefix="nothing")
    assert (error.message, error.field) == (f"there is no file below '{folder.uri('nothing/')}'", "source.prefix")
    assert error.mark is not None
    error = refused(project, folder, prefix="raw", files=files("raw/people.csv"))
    assert f"paths are taken below the prefix 'raw'; '{folder.uri('raw/people.csv')}' is there" in error.hint


def test_a_folder_is_no_file(project: Project, folder: StoreFolder) -> None:
    folder.put("raw/x.csv/part.csv", "a\n1\n")
    assert refused(project, folder, files=files("raw/x.csv")).message == f"'{folder.uri('raw/x.csv')}' is a directory"


# -- tables of dativo's own --------------------------------------------------------------------------------------------


def test_of_a_table_that_dativo_wrote_the_files_count_that_its_manifest_names(
    project: Project, folder: StoreFolder
) -> None:
    project.asset([{"name": "a"}, {"name": "day", "type": "date"}])
    project.write("data/people.csv", "a,day\n1,2026-01-01\n2,2026-01-02\n")
    target = {"connection": {**folder.connection, "prefix": "lake/people"}, "partitioning": ["day"]}
    project.job(target_connector_path=f"connectors/targets/{folder.connector}.yaml", target=target)
    assert project.sync().exit_code == 0
    written = sorted(o.key for o in folder.store.list("lake/people/day="))
    assert len(written) == 2
    content, _ = folder.store.read(written[0])
    for key in ("lake/people/day=2026-01-01/left.parquet", "lake/people/left.parquet", "lake/peopler.parquet"):
        folder.put(key, content)
    assert names(read(project, folder, prefix="lake/people"), folder) == written
    assert names(read(project, folder, prefix="lake", pattern="**/*.parquet"), folder) == [
        *written,
        "lake/peopler.parquet",
    ]
    assert names(read(project, folder, files=files("lake/people/day=*/*")), folder) == written
    assert names(read(project, folder, prefix="lake/people/day=2026-01-01"), folder) == written[:1]
    extract = read(project, folder, prefix="lake/people")
    assert extract.frame.select("a", "day").collect().rows() == [("1", date(2026, 1, 1)), ("2", date(2026, 1, 2))]
    folder.remove(written[0])
    assert "missing" in refused(project, folder, prefix="lake/people").message


# -- formats -----------------------------------------------------------------------------------------------------------


def test_the_format_is_told_by_the_ending_or_by_the_option(project: Project, folder: StoreFolder) -> None:
    folder.put("one.JSON", '{"a": 1}\n')
    folder.put("two.ndjson", '{"a": 2}\n')
    folder.put("data", "a\n3\n")
    extract = read(project, folder, files=files("one.JSON", "two.ndjson"))
    assert extract.frame.select("a").collect()["a"].to_list() == ["1", "2"]
    for format in ("csv", "CSV"):
        extract = read(project, folder, files=files("data"), engine={"options": {"format": format}})
        assert extract.frame.select("a").collect()["a"].to_list() == ["3"]
    extract = read(project, folder, files=files("one.JSON"), engine={"options": {"format": "csv", "has_header": False}})
    assert extract.frame.select("a").collect()["a"].to_list() == ['{"a": 1}']


def test_files_of_two_formats_are_refused_with_both_names(project: Project, folder: StoreFolder) -> None:
    folder.put("a.csv", "a\n1\n")
    folder.put("b.jsonl", '{"a": 1}\n')
    error = refused(project, folder, files=files("a.csv", "b.jsonl"))
    assert error.message == (
        f"'{folder.uri('a.csv')}' is csv and '{folder.uri('b.jsonl')}' is jsonl: a stream has one format"
    )
    assert error.hint


def test_a_name_without_a_known_ending_is_refused(project: Project, folder: StoreFolder) -> None:
    folder.put("data.xyz", "a\n1\n")
    error = refused(project, folder, files=files("data.xyz"))
    assert error.message == f"the name of '{folder.uri('data.xyz')}' does not tell its format"
    assert "engine.options.format" in error.hint


def test_an_archive_is_read_as_the_files_inside_it(project: Project, folder: StoreFolder) -> None:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", "a\n" + "".join(f"{i}\n" for i in range(100_000)))
        archive.writestr("y.csv", "a\nlast\n")
    folder.put("both.csv.zip", out.getvalue())
    extract = read(project, folder, files=files("*.zip"))
    assert names(extract, folder) == ["both.csv.zip!x.csv", "both.csv.zip!y.csv"]
    values = extract.frame.select("a").collect()["a"].to_list()
    assert values == [*map(str, range(100_000)), "last"]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_a_file_in_a_store_gives_the_rows_that_it_gives_on_a_disk(
    project: Project, bucket: StoreFolder, bom: bytes
) -> None:
    """Records end nowhere near the ends of requests, and some are wrong."""
    chance = random.Random(7)
    odd = [
        '1,"a\nb"',
        "2",
        "3,x,y",
        '4,"open',
        "5,é€😀",
        '6,"say ""so"""',
        "",
        '7,"' + "long\n" * 3_000 + '"',
        "8,\xff",
    ]
    lines = [
        chance.choice(odd) if chance.random() < 0.01 else f"{n},{'x' * chance.randrange(60)}" for n in range(60_000)
    ]
    content = bom + b"a,b\n" + "\n".join(lines).encode("latin-1", "xmlcharrefreplace")
    project.write("data/x.csv", content)
    bucket.put("data/x.csv", content)
    here = read(project, StoreFolder("csv", {}), files=files("data/x.csv"))
    there = read(project, bucket, files=files("data/x.csv"))
    found = there.frame.collect(engine="streaming")
    assert_frame_equal(found, here.frame.collect(engine="streaming"))
    assert found[FAULT].null_count() < found.height
    assert_frame_equal(there.frame.head(500).collect(engine="streaming"), found.head(500))


# -- what is new -------------------------------------------------------------------------------------------------------

INCREMENTAL = {"incremental": {"strategy": "file_modified_time"}}


def test_the_state_has_the_files_of_a_globs_last_day(project: Project, folder: StoreFolder) -> None:
    folder.put("raw/a.csv", "a\n1\n")
    folder.put("raw/b.csv", "a\n2\n")
    cursor = read(project, folder, prefix="raw", pattern="*.csv", **INCREMENTAL).cursor()
    ((key, entry),) = cursor.entries.items()
    assert key == f"glob_{folder.uri('raw/*.csv')}"
    assert sorted(entry["files"]) == [folder.uri("raw/a.csv"), folder.uri("raw/b.csv")]
    assert entry["count"] == 2
    again = read(project, folder, cursor, prefix="raw", pattern="*.csv", **INCREMENTAL)
    assert (again.unchanged, again.skipped) == (True, 2)


def test_a_file_whose_upload_began_before_the_watermark_is_read(project: Project, folder: StoreFolder) -> None:
    """A store gives an object the time at which its upload began, and shows it when that has ended."""
    folder.put("raw/late.csv", "a\n1\n")
    folder.put("raw/b.csv", "a\n2\n")
    cursor = read(project, folder, files=files("raw/*.csv"), **INCREMENTAL).cursor()
    ((key, entry),) = cursor.entries.items()
    seen = {k: v for k, v in entry["files"].items() if not k.endswith("late.csv")}
    before = Cursor(entries={key: {**entry, "files": seen, "count": 1}})
    assert names(read(project, folder, before, files=files("raw/*.csv"), **INCREMENTAL), folder) == ["raw/late.csv"]


def test_a_named_file_is_new_when_its_content_is(project: Project, folder: StoreFolder) -> None:
    folder.put("raw/a.csv", "a\n1\n")
    cursor = read(project, folder, files=files("raw/a.csv"), **INCREMENTAL).cursor()
    assert list(cursor.entries) == ["file_raw/a.csv"]
    assert cursor.entries["file_raw/a.csv"].keys() == {"file_id", "last_modified", "size", "etag"}
    assert read(project, folder, cursor, files=files("raw/a.csv"), **INCREMENTAL).unchanged
    # Of the same size, and within the second that headers tell: only the entity tag differs.
    folder.put("raw/a.csv", "a\n2\n")
    assert names(read(project, folder, cursor, files=files("raw/a.csv"), **INCREMENTAL), folder) == ["raw/a.csv"]


def test_files_have_the_identity_that_the_job_gives_them(project: Project, folder: StoreFolder) -> None:
    folder.put("raw/a.csv", "a\n1\n")
    cursor = read(project, folder, files=[{"path": "raw/a.csv", "id": "orders"}], **INCREMENTAL).cursor()
    assert list(cursor.entries) == ["file_orders"]


# -- how much is fetched -----------------------------------------------------------------------------------------------


def wired(folder: StoreFolder, line: Wire) -> dict[str, Any]:
    return {**folder.connection, "endpoint": f"http://127.0.0.1:{line.port}"}


def test_a_preview_fetches_the_begin_of_one_file(project: Project, bucket: StoreFolder, line: Wire) -> None:
    for number in range(40):
        bucket.put(f"raw/{number:02}.csv", "a\n" + f"{number}\n" * 400_000)
    project.asset([{"name": "a"}])
    source = {"connection": wired(bucket, line), "prefix": "raw"}
    project.job(source_connector_path="connectors/sources/s3.yaml", source=source)
    found = preview(project.load(), rows=5)
    assert found.rows["a"].to_list() == ["0"] * 5
    gets = [entry for entry in line.log if entry.startswith("GET") and "list-type" not in entry]
    # One for the header of each file that is looked at, and few for the rows of the first.
    assert len({*gets}) == 16
    assert len(gets) - sum("raw/00.csv" in get for get in gets) == 15
    assert sum("raw/00.csv" in get for get in gets) <= 3


def test_a_small_file_is_fetched_once(project: Project, bucket: StoreFolder, line: Wire) -> None:
    bucket.put("raw/a.csv", "a\n1\n")
    extract = read(project, bucket, prefix="raw", connection=wired(bucket, line))
    assert extract.frame.collect().height == 1
    assert [entry.split()[0] for entry in line.log if "list-type" not in entry] == ["GET"]


def test_a_frame_that_is_left_halfway_stops_fetching(project: Project, bucket: StoreFolder, line: Wire) -> None:
    bucket.put("raw/a.csv", "a\n" + "x" * 99 + "\n" + ("y" * 99 + "\n") * 600_000)
    extract = read(project, bucket, prefix="raw", connection=wired(bucket, line))
    assert extract.frame.head(3).collect(engine="streaming").height == 3
    assert sum(entry.startswith("GET") for entry in line.log) < 8
