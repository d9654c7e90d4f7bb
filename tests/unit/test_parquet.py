"""Parquet files: typed as they are, united exactly where they differ, and never half read in silence."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dativo import connectors
from dativo.errors import SourceError
from dativo.pipeline.plan import StreamPlan, build
from dativo.sources.protocol import FILE, ROW, Extract, Meter
from tests.project import Project

Fields = list[dict[str, Any]]


def parquet_job(project: Project, options: dict[str, Any] | None = None, **more: Any) -> None:
    source = {"files": [{"path": "data/*.parquet"}], "engine": {"options": options or {}}}
    project.job(source_connector_path="connectors/sources/parquet.yaml", source=source, **more)


def read(project: Project, meter: Meter | None = None, **options: Any) -> Extract:
    job = project.load()
    return connectors.source(job).read(job.streams[0], None, meter=meter or Meter(), **options)


def plan(project: Project) -> StreamPlan:
    job = project.load()
    return build(job, job.streams[0], read(project), "warehouse")


def write(project: Project, name: str, table: pl.DataFrame | pa.Table, **options: Any) -> Path:
    path = project.root / "data" / f"{name}.parquet"
    if isinstance(table, pl.DataFrame):
        table.write_parquet(path, **options)
    else:
        pq.write_table(table, path, **options)
    return path


def outcome(
    project: Project, field: dict[str, Any], *parts: pl.Series | pa.Array
) -> tuple[list[Any], list[str | None]]:
    """What a column becomes that stands in one file a part: the loaded values, and the rejected texts."""
    project.asset([{"name": "n", "type": "integer"}, {"name": "c", **field}])
    parquet_job(project, schema_validation_mode="quarantine")
    for old in (project.root / "data").glob("*.parquet"):
        old.unlink()
    for index, part in enumerate(parts):
        values = part if isinstance(part, pa.ChunkedArray | pa.Array) else part.to_arrow()
        write(project, str(index), pa.table({"n": pa.array(range(index * 10, index * 10 + len(values))), "c": values}))
    receipt = project.sync(full_refresh=True)
    assert receipt.exit_code < 2, receipt.streams[0].error
    loaded = project.rows().sort("n")["c"].to_list()
    refused = project.rejects().sort("file", "row") if receipt.streams[0].rejected else None
    return loaded, [] if refused is None else refused.filter(run=receipt.run_id)["value"].to_list()


def test_a_column_of_the_right_type_is_not_cast(project: Project) -> None:
    fields: Fields = [
        {"name": "i", "type": "integer"}, {"name": "s"}, {"name": "d", "type": "decimal(12,2)"},
        {"name": "f", "type": "double"}, {"name": "b", "type": "boolean"}, {"name": "day", "type": "date"},
        {"name": "at", "type": "timestamp"}, {"name": "atz", "type": "timestamptz"}, {"name": "t", "type": "time"}, {"name": "raw", "type": "binary"},
        {"name": "l", "type": "array", "items": "string"},
    ]  # fmt: skip
    row = {
        "i": 1, "s": "x", "d": Decimal("1.25"), "f": 0.5, "b": True, "day": date(2024, 1, 2), "at": datetime(2024, 1, 2, 3),
        "atz": datetime(2024, 1, 2, 3, tzinfo=UTC), "t": time(1, 2, 3), "raw": b"\xff", "l": ["a", None],
    }  # fmt: skip
    project.asset(fields)
    parquet_job(project)
    write(project, "a", pl.DataFrame([row], schema_overrides={"d": pl.Decimal(12, 2), "atz": pl.Datetime("us", "UTC")}))
    text = plan(project).accepted().explain()
    for trace in ("cast", "strict", "replace_time_zone", "python_udf", "to_decimal"):
        assert trace not in text.lower()
    assert project.sync().exit_code == 0
    assert project.rows().to_dicts() == [row]
    write(project, "a", pl.DataFrame({"i": [1]}, schema={"i": pl.Int32}))
    assert "cast" in plan(project).accepted().explain().lower()


UNITED: list[tuple[str, dict[str, Any], Sequence[Any], list[Any], list[str | None]]] = [
    ("integers of different widths", {"type": "integer"},
     [pl.Series([1, None], dtype=pl.Int8), pl.Series([2**40], dtype=pl.Int64)], [1, None, 2**40], []),
    ("unsigned beyond signed", {"type": "integer"},
     [pl.Series([2**63], dtype=pl.UInt64), pl.Series([-1], dtype=pl.Int64)], [-1], ["9223372036854775808"]),
    ("integers that a null made floats", {"type": "integer"},
     [pl.Series([2**53 + 1]), pl.Series([2.0, None, 2.0**60, 1e19, 1.5])],
     [2**53 + 1, 2, None, 2**60], ["1e+19", "1.5"]),
    ("float widths as doubles", {"type": "double"},
     [pl.Series([0.5], dtype=pl.Float32), pl.Series([0.1])], [0.5, 0.1], []),
    ("float widths as decimals", {"type": "decimal(9,2)"},
     [pl.Series([0.1, 0.125], dtype=pl.Float32), pl.Series([0.2])], [Decimal("0.10"), Decimal("0.20")], ["0.125"]),
    ("decimals of different scales", {"type": "decimal(12,3)"},
     [pl.Series([Decimal("1.10")], dtype=pl.Decimal(9, 2)), pl.Series([Decimal("2.1255")], dtype=pl.Decimal(9, 4)),
      pl.Series([3])], [Decimal("1.100"), Decimal("3.000")], ["2.1255"]),
    ("text and numbers", {"type": "integer"},
     [pl.Series(["7", "x"]), pl.Series([8])], [7, 8], ["x"]),
    ("numbers and booleans as text", {"type": "string"},
     [pl.Series([True, False]), pl.Series([1])], ["true", "false", "1"], []),
    ("dates and times as timestamps", {"type": "timestamp"},
     [pl.Series([date(2024, 1, 2)]), pl.Series([datetime(2024, 1, 2, 3)], dtype=pl.Datetime("ns")),
      pl.Series([datetime(9999, 1, 1)], dtype=pl.Datetime("ms"))],
     [datetime(2024, 1, 2), datetime(2024, 1, 2, 3), datetime(9999, 1, 1)], []),
    ("times and dates as dates", {"type": "date"},
     [pl.Series([date(2024, 1, 2)]), pl.Series([datetime(2024, 1, 3), datetime(2024, 1, 3, 4)])],
     [date(2024, 1, 2), date(2024, 1, 3)], ["2024-01-03 04:00:00.000000"]),
    ("zones and none", {"type": "timestamp"},
     [pl.Series([datetime(2024, 1, 2, 3)]),
      pl.Series([datetime(2024, 7, 1, 10, tzinfo=UTC)]).dt.convert_time_zone("Europe/Berlin")],
     [datetime(2024, 1, 2, 3), datetime(2024, 7, 1, 10)], []),
    ("two zones", {"type": "timestamptz"},
     [pl.Series([datetime(2024, 1, 2, 3, tzinfo=UTC)]),
      pl.Series([datetime(2024, 7, 1, 10, tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo")],
     [datetime(2024, 1, 2, 3, tzinfo=UTC), datetime(2024, 7, 1, 10, tzinfo=UTC)], []),
    ("bytes and text", {"type": "string"},
     [pl.Series([b"x", b"\xff"]), pl.Series(["y"])], ["x", "y"], ["ff"]),
    ("a column of nulls and one of values", {"type": "integer"},
     [pl.Series([None, None]), pl.Series([5])], [None, None, 5], []),
    ("categories and text", {"type": "string"},
     [pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series(["c"])], ["a", "b", "c"], []),
    ("structs with other fields", {"type": "object", "properties": [{"name": "a", "type": "integer"}, {"name": "b"}]},
     [pl.Series([{"a": 1}]), pl.Series([{"b": "x", "a": 2.0}, None])],
     [{"a": 1, "b": None}, {"a": 2, "b": "x"}, None], []),
    ("structs as text keep what each file has", {"type": "object"},
     [pl.Series([{"a": 1}]), pl.Series([{"b": "x"}])], ['{"a":1}', '{"b":"x"}'], []),
    ("lists of other items", {"type": "array", "items": "integer"},
     [pl.Series([[1, None]], dtype=pl.List(pl.Int32)), pl.Series([[2.0]]), pl.Series([[3, 4]], dtype=pl.Array(pl.Int8, 2))],
     [[1, None], [2], [3, 4]], []),
]  # fmt: skip


@pytest.mark.parametrize(("field", "parts", "loaded", "refused"), [u[1:] for u in UNITED], ids=[u[0] for u in UNITED])
def test_files_that_differ_in_a_type_lose_nothing(
    project: Project, field: dict[str, Any], parts: Sequence[Any], loaded: list[Any], refused: list[str | None]
) -> None:
    assert outcome(project, field, *parts) == (loaded, refused)
    note = "the files differ in the type of 'c'"
    differ = len({p.dtype for p in parts if p.dtype != pl.Null}) > 1
    assert any(n.startswith(note) for n in read(project).notes) == differ


def test_types_that_nothing_holds_both_are_refused(project: Project) -> None:
    project.asset([{"name": "c"}])
    parquet_job(project)
    write(project, "a", pl.DataFrame({"c": [1]}))
    write(project, "b", pl.DataFrame({"c": [b"\xff"]}))
    with pytest.raises(
        SourceError, match=r"'c' is Int64 in 'data/a\.parquet' and Binary in 'data/b\.parquet'"
    ) as caught:
        read(project)
    assert caught.value.hint


ALONE: list[tuple[str, dict[str, Any], Any, list[Any], list[str | None]]] = [
    ("a column of nulls", {"type": "date"}, pa.array([None, None], pa.null()), [None, None], []),
    ("dictionaries", {"type": "string"}, pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"], []),
    ("dictionaries as numbers", {"type": "integer"}, pa.array(["7", "x"]).dictionary_encode(), [7], ["x"]),
    ("half floats", {"type": "double"}, pa.array([1.5, None], pa.float16()), [1.5, None], []),
    ("floats as integers", {"type": "integer"}, pa.array([2.0, 2.5, float("nan"), 1e300]), [2], ["2.5", "NaN", "1e+300"]),
    ("unsigned", {"type": "integer"}, pa.array([1, 2**64 - 1], pa.uint64()), [1], ["18446744073709551615"]),
    ("unsigned as decimals", {"type": "decimal(20,0)"}, pa.array([2**64 - 1], pa.uint64()), [Decimal(2**64 - 1)], []),
    ("decimals that are too wide", {"type": "decimal(4,1)"},
     pa.array([Decimal("1.10"), Decimal("1.15"), Decimal("12345.10")]), [Decimal("1.1")], ["1.15", "12345.10"]),
    ("nanoseconds", {"type": "timestamp"},
     pa.array([1_000_000_000_123_456_000], pa.timestamp("ns")), [datetime(2001, 9, 9, 1, 46, 40, 123456)], []),
    ("times", {"type": "time"}, pa.array([time(1, 2, 3), None], pa.time32("ms")), [time(1, 2, 3), None], []),
    ("durations", {"type": "string"}, pa.array([timedelta(days=1, seconds=2)]), ["P1DT2S"], []),
    ("maps", {"type": "object"}, pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), ['{"a":1}', None], []),
    ("maps as structs", {"type": "object", "properties": [{"name": "a", "type": "integer"}]},
     pa.array([[("a", 1), ("b", 2)], []], pa.map_(pa.string(), pa.int64())), [{"a": 1}, {"a": None}], []),
    ("JSON", {"type": "object"}, pa.array(['{"a": 1}', None], pa.json_()), ['{"a": 1}', None], []),
    ("large strings", {"type": "string"}, pa.array(["x", ""], pa.large_string()), ["x", ""], []),
    ("bytes that are text", {"type": "string"}, pa.array([b"x", "é".encode()]), ["x", "é"], []),
    ("structs that hold bytes, as text", {"type": "object"}, pa.array([{"b": b"\xff", "c": b"x"}]),
     ['{"b":"ff","c":"x"}'], []),
]  # fmt: skip


@pytest.mark.parametrize(("field", "values", "loaded", "refused"), [a[1:] for a in ALONE], ids=[a[0] for a in ALONE])
def test_every_type_is_kept_or_refused(
    project: Project, field: dict[str, Any], values: Any, loaded: list[Any], refused: list[str | None]
) -> None:
    assert outcome(project, field, values) == (loaded, refused)


def test_uuids_of_other_tools_are_text(project: Project) -> None:
    project.asset([{"name": "u", "type": "uuid"}, {"name": "v", "type": "string", "physicalType": "uuid"}])
    parquet_job(project)
    known = "0189f7e2-5c3b-7b2a-8f00-0123456789ab"
    path = project.root / "data" / "a.parquet"
    duckdb.sql(f"COPY (SELECT '{known}'::UUID u, '{known}'::UUID v UNION ALL SELECT NULL, NULL) TO '{path}'")
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert set(project.rows()["u"]) == {known, None}
    values = set(project.table().scan().to_arrow()["v"].to_pylist())
    assert values == {UUID(known), None}


def test_a_type_that_cannot_become_the_contracts_is_told(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "day", "type": "date"}])
    parquet_job(project)
    write(project, "a", pl.DataFrame({"n": [1], "day": [True]}))
    error = project.sync().streams[0].error
    assert "'day' is Boolean, which cannot become date" in error
    assert "people.yaml" in error


def test_intervals_are_told_and_not_read(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project)
    duckdb.sql(f"COPY (SELECT 1 n, INTERVAL 1 DAY i) TO '{project.root}/data/a.parquet'")
    with pytest.raises(SourceError, match=r"a\.parquet") as caught:
        read(project)
    assert caught.value.hint


def good_bytes(path: Path) -> bytes:
    pl.DataFrame({"n": range(1000), "s": [f"text {i}" for i in range(1000)]}).write_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "said", "remedy"),
    [
        (lambda raw: b"n,s\n1,x\n" * 50, "is not a Parquet file", "CSV"),
        (lambda raw: b"", "is empty", "PAR1"),
        (gzip.compress, "not a Parquet file but gzip", "unpack"),
        (lambda raw: raw[: len(raw) // 2], "cannot be read as Parquet", "written to its end"),
        (lambda raw: raw[:-308] + b"\0" * 300 + raw[-8:], "cannot be read as Parquet", "Fetch it again"),
    ],
    ids=["csv", "empty", "gzip", "truncated", "footer"],
)
def test_what_is_not_parquet_is_told_with_a_remedy(project: Project, spoil: Any, said: str, remedy: str) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project)
    path = project.root / "data" / "a.parquet"
    path.write_bytes(spoil(good_bytes(path)))
    with pytest.raises(SourceError, match=said) as caught:
        read(project)
    assert "data/a.parquet" in caught.value.message
    assert remedy in caught.value.hint
    receipt = project.sync()
    assert receipt.exit_code == 2
    assert said in receipt.streams[0].error


def with_damaged_page(path: Path) -> None:
    good_bytes(path)
    place = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    raw = bytearray(path.read_bytes())
    raw[place : place + 400] = b"\xa5" * 400
    path.write_bytes(raw)


def test_a_damaged_page_is_told_with_the_file(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "s"}])
    parquet_job(project)
    good_bytes(project.root / "data" / "a.parquet")
    with_damaged_page(project.root / "data" / "b.parquet")
    receipt = project.sync()
    assert receipt.exit_code == 2
    assert "'data/b.parquet' is damaged" in receipt.streams[0].error
    assert "fetch the file again" in receipt.streams[0].error


def test_a_limit_does_not_read_further_files(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "s"}])
    parquet_job(project)
    good_bytes(project.root / "data" / "a.parquet")
    with_damaged_page(project.root / "data" / "b.parquet")
    assert read(project, limit=1000).frame.collect(engine="streaming").height == 1000
    with pytest.raises(SourceError, match=r"b\.parquet"):
        read(project, limit=1001).frame.collect(engine="streaming")


def batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    return iter(frame.collect_batches(engine="streaming", maintain_order=True, chunk_size=1000))


@pytest.mark.parametrize("in_place", [True, False], ids=["cut", "replaced"])
def test_a_file_that_changes_under_the_reader_is_noticed(project: Project, in_place: bool) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project)
    path = write(project, "a", pl.DataFrame({"n": range(1_500_000)}), row_group_size=10_000, compression="uncompressed")
    extract = read(project)
    coming = batches(extract.frame)
    next(coming)
    if in_place:
        os.truncate(path, 1000)
    else:
        other = path.with_suffix(".new")
        pl.DataFrame({"n": [1]}).write_parquet(other)
        other.replace(path)
    with pytest.raises(SourceError, match="changed while it was read"):
        list(coming)
        extract.cursor()


def test_rows_are_numbered_through_row_groups_and_files(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project)
    write(project, "a", pl.DataFrame({"n": range(120_000)}), row_group_size=7000)
    write(project, "b", pl.DataFrame({"n": range(10)}))
    frame = read(project).frame.collect(engine="streaming")
    assert frame.height == 120_010
    assert frame.select((pl.col(ROW) == pl.col("n") + 1).all()).item()
    assert frame[FILE].value_counts().sort(FILE).rows() == [(0, 120_000), (1, 10)]


def test_only_asked_columns_are_read(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project)
    with_damaged_page(project.root / "data" / "a.parquet")
    assert read(project).frame.select("n").collect(engine="streaming").height == 1000
    assert read(project).frame.select(FILE).collect(engine="streaming").height == 1000
    assert read(project).frame.select(pl.len()).collect(engine="streaming").item() == 1000


def test_a_stray_name_is_left_out_with_a_note(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project, schema_validation_mode="warn")
    write(project, "a", pl.DataFrame({"n": [5], "__dativo_row": [9], "*": [1], "^n$": [2]}))
    extract = read(project)
    assert [c.name for c in extract.columns] == ["n"]
    assert extract.frame.select("n", ROW).collect().rows() == [(5, 1)]
    assert any("'__dativo_row', '*', '^n$'" in n for n in extract.notes)
    assert project.sync().exit_code == 0


def test_warn_mode_keeps_columns_of_any_type_as_text(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project, schema_validation_mode="warn")
    table = pl.DataFrame(
        {
            "n": [1], "b": [b"\xff"], "l": [[1, None]], "s": [{"x": Decimal("1.50"), "y": b"z"}],
            "t": [datetime(2024, 1, 2)], "d": [timedelta(seconds=1)], "f": [0.1], "o": [True],
        }
    )  # fmt: skip
    write(project, "a", table)
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert project.rows().to_dicts() == [
        {"n": 1, "b": "ff", "l": "[1,null]", "s": '{"x":"1.50","y":"z"}', "t": "2024-01-02 00:00:00.000000", "d": "PT1S",
         "f": "0.1", "o": "true"}
    ]  # fmt: skip


def test_a_reject_shows_the_whole_typed_row(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer", "maximum": 5}, {"name": "raw", "type": "binary"}])
    parquet_job(project, schema_validation_mode="quarantine")
    write(
        project, "a", pl.DataFrame({"n": [1, 9], "raw": [b"x", b"\xff"], "more": [{"k": b"\0\xfe"}, {"k": b"\0\xfe"}]})
    )
    project.sync()
    assert project.rejects().select("column", "rule", "value", "record").rows() == [
        ("n", "maximum", "9", '{"n":9,"raw":"ff","more":{"k":"00fe"}}')
    ]


def test_texts_that_mean_null_are_none_unless_named(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "s"}])
    write(project, "a", pl.DataFrame({"n": ["1", "2"], "s": ["", "-"]}))
    parquet_job(project)
    project.sync()
    assert project.rows().sort("n")["s"].to_list() == ["", "-"]
    parquet_job(project, {"null_values": ["-"]})
    project.sync()
    assert project.rows().sort("n")["s"].to_list() == ["", None]


def test_one_thread_is_enough(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    parquet_job(project)
    for name in "abc":
        write(project, name, pl.DataFrame({"n": range(100_000)}), row_group_size=9000)
    code = "import sys, dativo; s = dativo.sync(dativo.load_job(sys.argv[1])).streams[0]; print(s.loaded, s.error)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(project.root / "jobs/acme/job.yaml")],
        env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "300000", done.stderr
