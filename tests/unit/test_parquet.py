"""Parquet files: typed as they are, united exactly where they differ, and never half read in silence."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from dativo.errors import SourceError
from dativo.pipeline.plan import StreamPlan, build
from dativo.sources.protocol import FILE, ROW
from tests.project import Project
from tests.reading import extracted, file_job, write_parquet

Fields = list[dict[str, Any]]


def plan(project: Project) -> StreamPlan:
    job = project.load()
    return build(job, job.streams[0], extracted(project), "warehouse")


def test_a_column_of_the_right_type_is_not_cast(project: Project) -> None:
    fields: Fields = [
        {"name": "i", "type": "integer"}, {"name": "s"}, {"name": "d", "type": "decimal(12,2)"},
        {"name": "f", "type": "double"}, {"name": "b", "type": "boolean"}, {"name": "day", "type": "date"},
        {"name": "at", "type": "timestamp"}, {"name": "atz", "type": "timestamptz"},
        {"name": "t", "type": "time"}, {"name": "raw", "type": "binary"},
        {"name": "l", "type": "array", "items": "string"},
    ]  # fmt: skip
    row = {
        "i": 1, "s": "x", "d": Decimal("1.25"), "f": 0.5, "b": True, "day": date(2024, 1, 2), "at": datetime(2024, 1, 2, 3),
        "atz": datetime(2024, 1, 2, 3, tzinfo=UTC), "t": time(1, 2, 3), "raw": b"\xff", "l": ["a", None],
    }  # fmt: skip
    project.asset(fields)
    file_job(project, "parquet")
    write_parquet(
        project, "a", pl.DataFrame([row], schema_overrides={"d": pl.Decimal(12, 2), "atz": pl.Datetime("us", "UTC")})
    )
    text = plan(project).accepted().explain()
    for trace in ("cast", "strict", "replace_time_zone", "python_udf", "to_decimal"):
        assert trace not in text.lower()
    assert project.sync().exit_code == 0
    assert project.rows().to_dicts() == [row]
    write_parquet(project, "a", pl.DataFrame({"i": [1]}, schema={"i": pl.Int32}))
    assert "cast" in plan(project).accepted().explain().lower()


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
    file_job(project, "parquet")
    path = project.root / "data" / "a.parquet"
    path.write_bytes(spoil(good_bytes(path)))
    with pytest.raises(SourceError, match=said) as caught:
        extracted(project)
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
    file_job(project, "parquet")
    good_bytes(project.root / "data" / "a.parquet")
    with_damaged_page(project.root / "data" / "b.parquet")
    receipt = project.sync()
    assert receipt.exit_code == 2
    assert "'data/b.parquet' is damaged" in receipt.streams[0].error
    assert "fetch the file again" in receipt.streams[0].error


def test_a_limit_does_not_read_further_files(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "s"}])
    file_job(project, "parquet")
    good_bytes(project.root / "data" / "a.parquet")
    with_damaged_page(project.root / "data" / "b.parquet")
    assert extracted(project, limit=1000).frame.collect(engine="streaming").height == 1000
    with pytest.raises(SourceError, match=r"b\.parquet"):
        extracted(project, limit=1001).frame.collect(engine="streaming")


def batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    return iter(frame.collect_batches(engine="streaming", maintain_order=True, chunk_size=1000))


@pytest.mark.parametrize("in_place", [True, False], ids=["cut", "replaced"])
def test_a_file_that_changes_under_the_reader_is_noticed(project: Project, in_place: bool) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    file_job(project, "parquet")
    path = write_parquet(
        project, "a", pl.DataFrame({"n": range(1_500_000)}), row_group_size=10_000, compression="uncompressed"
    )
    extract = extracted(project)
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
    file_job(project, "parquet")
    write_parquet(project, "a", pl.DataFrame({"n": range(120_000)}), row_group_size=7000)
    write_parquet(project, "b", pl.DataFrame({"n": range(10)}))
    frame = extracted(project).frame.collect(engine="streaming")
    assert frame.height == 120_010
    assert frame.select((pl.col(ROW) == pl.col("n") + 1).all()).item()
    assert frame[FILE].value_counts().sort(FILE).rows() == [(0, 120_000), (1, 10)]


def test_only_asked_columns_are_read(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    file_job(project, "parquet")
    with_damaged_page(project.root / "data" / "a.parquet")
    assert extracted(project).frame.select("n").collect(engine="streaming").height == 1000
    assert extracted(project).frame.select(FILE).collect(engine="streaming").height == 1000
    assert extracted(project).frame.select(pl.len()).collect(engine="streaming").item() == 1000


def test_a_stray_name_is_left_out_with_a_note(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    file_job(project, "parquet", schema_validation_mode="warn")
    write_parquet(project, "a", pl.DataFrame({"n": [5], "__dativo_row": [9], "*": [1], "^n$": [2]}))
    extract = extracted(project)
    assert [c.name for c in extract.columns] == ["n"]
    assert extract.frame.select("n", ROW).collect().rows() == [(5, 1)]
    assert any("'__dativo_row', '*', '^n$'" in n for n in extract.notes)
    assert project.sync().exit_code == 0


def test_warn_mode_keeps_columns_of_any_type_as_text(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    file_job(project, "parquet", schema_validation_mode="warn")
    table = pl.DataFrame(
        {
            "n": [1], "b": [b"\xff"], "l": [[1, None]], "s": [{"x": Decimal("1.50"), "y": b"z"}],
            "t": [datetime(2024, 1, 2)], "d": [timedelta(seconds=1)], "f": [0.1], "o": [True],
        }
    )  # fmt: skip
    write_parquet(project, "a", table)
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert project.rows().to_dicts() == [
        {"n": 1, "b": "ff", "l": "[1,null]", "s": '{"x":"1.50","y":"z"}', "t": "2024-01-02 00:00:00.000000", "d": "PT1S",
         "f": "0.1", "o": "true"}
    ]  # fmt: skip


def test_a_reject_shows_the_whole_typed_row(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer", "maximum": 5}, {"name": "raw", "type": "binary"}])
    file_job(project, "parquet", schema_validation_mode="quarantine")
    write_parquet(
        project, "a", pl.DataFrame({"n": [1, 9], "raw": [b"x", b"\xff"], "more": [{"k": b"\0\xfe"}, {"k": b"\0\xfe"}]})
    )
    project.sync()
    assert project.rejects().select("column", "rule", "value", "record").rows() == [
        ("n", "maximum", "9", '{"n":9,"raw":"ff","more":{"k":"00fe"}}')
    ]


def test_texts_that_mean_null_are_none_unless_named(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "s"}])
    write_parquet(project, "a", pl.DataFrame({"n": ["1", "2"], "s": ["", "-"]}))
    file_job(project, "parquet")
    project.sync()
    assert project.rows().sort("n")["s"].to_list() == ["", "-"]
    file_job(project, "parquet", options={"null_values": ["-"]})
    project.sync()
    assert project.rows().sort("n")["s"].to_list() == ["", None]


def test_one_thread_is_enough(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    file_job(project, "parquet")
    for name in "abc":
        write_parquet(project, name, pl.DataFrame({"n": range(100_000)}), row_group_size=9000)
    code = "import sys, dativo; s = dativo.sync(dativo.load_job(sys.argv[1])).streams[0]; print(s.loaded, s.error)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(project.root / "jobs/acme/job.yaml")],
        env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "300000", done.stderr
