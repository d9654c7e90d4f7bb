"""What every source does, whatever its format and wherever its files lie: the promises of `dativo.sources.protocol`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dativo.errors import Interrupted, SourceError
from dativo.sources.protocol import FAULT, FILE, PROVENANCE, ROW, TEXT, Meter
from tests.conformance.sources import DTYPES, FIELDS, ROWS, SOURCES, Bench, SourceKind
from tests.project import Project
from tests.store_folder import folder_for


@pytest.fixture(params=SOURCES)
def bench(request: pytest.FixtureRequest, project: Project) -> Bench:
    kind: SourceKind = request.param
    return Bench(project, kind, folder_for(kind.connector, request) if kind.stored else None)


def some(*ids: int) -> list[dict[str, Any]]:
    """Rows that differ in their id only."""
    return [{**ROWS[0], "id": i} for i in ids]


def ids(frame: pl.LazyFrame | pl.DataFrame) -> list[int]:
    return [int(i) for i in frame.lazy().select("id").collect(engine="streaming")["id"]]


def test_every_row_arrives_with_its_values_and_nulls(bench: Bench) -> None:
    bench.write("a")
    assert bench.values(bench.read()) == ROWS


def test_rows_say_which_file_and_record_they_are(bench: Bench) -> None:
    bench.write("a", some(1, 2, 3))
    bench.write("b", some(4))
    bench.write("c", some(5, 6))
    extract = bench.read()
    frame = extract.frame.select("id", *PROVENANCE).collect(engine="streaming")
    assert {n: frame.schema[n] for n in PROVENANCE} == {
        FILE: pl.UInt32, ROW: pl.Int64, FAULT: pl.String, TEXT: pl.String,
    }  # fmt: skip
    assert frame.select(pl.col("id").cast(pl.Int64), FILE, ROW).rows() == [
        (1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 1), (5, 2, 1), (6, 2, 2),
    ]  # fmt: skip
    assert frame[FAULT].null_count() == frame[TEXT].null_count() == 6
    assert [Path(f).name for f in extract.files] == [bench.name(s) for s in "abc"]


def test_text_is_text_and_types_are_types(bench: Bench) -> None:
    bench.write("a")
    extract = bench.read()
    dtypes = {n: t for n, t in extract.frame.collect_schema().items() if n not in PROVENANCE}
    if extract.encoding == "text" or bench.kind.name.endswith("of-text"):
        assert dtypes == dict.fromkeys(DTYPES, pl.String())
    else:
        assert dtypes == DTYPES
    assert extract.frame.collect_schema() == extract.frame.collect().schema


def test_columns_stand_in_the_order_of_the_source(bench: Bench) -> None:
    order = list(reversed(DTYPES))
    bench.write("a", columns=order)
    extract = bench.read()
    assert [c.name for c in extract.columns] == order
    assert extract.frame.collect_schema().names() == [*order, *PROVENANCE]
    assert bench.values(extract) == ROWS


def test_a_frame_can_be_read_twice_and_in_part(bench: Bench) -> None:
    bench.write("a")
    bench.write("b")
    frame = bench.read().frame
    once = frame.collect(engine="streaming")
    assert_frame_equal(frame.collect(engine="streaming"), once)
    assert_frame_equal(frame.select("ok", ROW).collect(engine="streaming"), once.select("ok", ROW))
    assert_frame_equal(frame.filter(pl.col(FILE) == 1).collect(engine="streaming"), once.filter(pl.col(FILE) == 1))
    assert frame.select(pl.len()).collect(engine="streaming").item() == 2 * len(ROWS)
    assert frame.head(3).collect(engine="streaming").height == 3


def test_a_limit_gives_the_first_rows_across_files(bench: Bench) -> None:
    bench.write("a", some(1, 2, 3))
    bench.write("b", some(4, 5, 6))
    assert ids(bench.read(limit=2).frame) == [1, 2]
    assert ids(bench.read(limit=4).frame) == [1, 2, 3, 4]
    assert ids(bench.read(limit=100).frame) == [1, 2, 3, 4, 5, 6]


def test_files_of_other_columns_are_read_together(bench: Bench) -> None:
    bench.write("a", columns=["id", "name"])
    bench.write("b", columns=["ok", "id", "note"])
    extract = bench.read()
    counts = {c.name: c.files for c in extract.columns}
    assert {n: counts[n] for n in ("id", "name", "ok", "note")} == {"id": 2, "name": 1, "ok": 1, "note": 1}
    blank = dict.fromkeys(DTYPES)
    assert bench.values(extract) == [
        *({**blank, "id": r["id"], "name": r["name"]} for r in ROWS),
        *({**blank, "id": r["id"], "ok": r["ok"]} for r in ROWS),
    ]


def test_a_file_without_rows_gives_none(bench: Bench) -> None:
    bench.write("a", [])
    extract = bench.read()
    assert not extract.unchanged
    assert bench.values(extract) == []
    assert {c.name for c in extract.columns} == set(DTYPES)


def test_a_file_without_rows_beside_one_with_rows_changes_nothing(bench: Bench) -> None:
    bench.write("a", [])
    bench.write("b")
    frame = bench.read().frame.collect(engine="streaming")
    assert set(frame[FILE]) == {1}
    assert bench.values(bench.read()) == ROWS


def test_an_empty_file_is_told_of_or_has_no_rows(bench: Bench) -> None:
    bench.put("a", b"")
    if bench.kind.named:
        with pytest.raises(SourceError, match="empty") as caught:
            bench.read()
        assert caught.value.hint
    else:
        assert bench.values(bench.read()) == []


def test_a_missing_file_is_told_with_its_place_and_a_remedy(bench: Bench) -> None:
    bench.write("people")
    bench.job(f"peple.{bench.kind.suffix}")
    with pytest.raises(SourceError, match="file not found") as caught:
        bench.read()
    error = caught.value
    assert error.mark is not None
    assert error.mark.file.endswith("job.yaml")
    assert error.mark.line > 0
    assert error.field == "source.files[0].path"
    assert f"people.{bench.kind.suffix}" in error.hint


def test_a_glob_without_files_is_told(bench: Bench) -> None:
    with pytest.raises(SourceError, match="no file matches") as caught:
        bench.read()
    assert caught.value.hint


def test_a_directory_is_no_file(bench: Bench) -> None:
    bench.make_folder("a")
    bench.job(bench.name("a"))
    with pytest.raises(SourceError, match="is a directory") as caught:
        bench.read()
    assert caught.value.hint


def test_bytes_that_are_of_no_format_end_in_an_error_or_in_faults(bench: Bench) -> None:
    bench.put("a", bytes(range(256)) * 40)
    try:
        frame = bench.read().frame.collect(engine="streaming")
    except SourceError as error:
        assert bench.name("a") in error.message
        assert error.hint
    else:
        assert frame.height > 0
        assert frame[FAULT].null_count() == 0


def test_a_file_that_goes_away_is_told(bench: Bench) -> None:
    bench.write("a")
    extract = bench.read()
    bench.remove("a")
    if not bench.kind.stored:  # the first bytes of an object, here all of them, are fetched once and kept
        with pytest.raises(SourceError, match=bench.name("a")):
            extract.frame.collect(engine="streaming")
    with pytest.raises(SourceError, match="went away") as caught:
        extract.cursor()
    assert bench.name("a") in caught.value.message


def test_a_file_that_changed_while_it_was_read_gives_no_cursor(bench: Bench) -> None:
    bench.write("a", some(1))
    extract = bench.read()
    extract.frame.collect(engine="streaming")
    bench.write("a", some(2))
    bench.later("a")
    with pytest.raises(SourceError, match="changed while it was read") as caught:
        extract.cursor()
    assert caught.value.hint


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
def test_what_was_read_is_not_read_again_until_it_changes(bench: Bench, incremental: bool) -> None:
    bench.job(incremental=incremental)
    bench.write("a", some(1))
    first = bench.read()
    cursor = first.cursor()
    again = bench.read(cursor)
    assert again.unchanged
    assert again.files == ()
    assert again.skipped == 1
    assert ids(bench.read(cursor, full=True).frame) == [1]
    bench.write("a", some(1, 2))
    bench.later("a")
    changed = bench.read(cursor)
    assert not changed.unchanged
    assert ids(changed.frame) == [1, 2]
    assert bench.read(changed.cursor()).unchanged


def test_only_new_files_are_read_when_loading_is_incremental(bench: Bench) -> None:
    bench.job(incremental=True)
    bench.write("a", some(1))
    cursor = bench.read().cursor()
    bench.write("b", some(2, 3))
    bench.later("b")
    extract = bench.read(cursor)
    assert ids(extract.frame) == [2, 3]
    assert extract.skipped == 1
    assert [Path(f).name for f in extract.files] == [bench.name("b")]


def test_a_stop_ends_the_reading(bench: Bench) -> None:
    bench.write("a")
    meter = Meter()
    extract = bench.read(meter=meter)
    meter.stop.set()
    with pytest.raises(Interrupted):
        extract.frame.collect(engine="streaming")


def test_the_meter_ends_at_all_bytes_and_rows(bench: Bench) -> None:
    bench.write("a")
    bench.write("b")
    meter = Meter()
    bench.read(meter=meter).frame.collect(engine="streaming")
    assert meter.rows == 2 * len(ROWS)
    assert meter.bytes == meter.total_bytes == sum(bench.size(s) for s in "ab")


def test_streams_and_check_speak_of_the_job(bench: Bench) -> None:
    bench.write("a")
    bench.write("b")
    stream = bench.project.load().streams[0]
    assert list(bench.source().streams()) == [stream.name]
    findings = bench.source().check(stream)
    assert [(Path(f["name"]).name, f["ok"]) for f in findings] == [(bench.name(s), True) for s in "ab"]
    assert all(str(len(DTYPES)) in f["message"] for f in findings)


def test_a_job_loads_the_same_rows_from_every_format(bench: Bench) -> None:
    bench.write("a")
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    rows = bench.project.rows()
    assert rows.schema == DTYPES
    assert rows.sort("id").to_dicts() == sorted(ROWS, key=lambda row: row["id"])
    assert bench.project.sync().status == "unchanged"


def test_rejects_name_file_row_and_value(bench: Bench) -> None:
    bench.job(schema_validation_mode="quarantine")
    bench.project.asset([{**f, "maximum": 1000} if f["name"] == "amount" else f for f in FIELDS])
    bench.write("a", [*some(1), {**ROWS[0], "id": 2, "amount": None}, {**ROWS[0], "id": None}])
    bench.write("b", [{**ROWS[0], "id": 4, "amount": 1000 + ROWS[0]["amount"]}])
    receipt = bench.project.sync()
    assert receipt.streams[0].rejected == 2, receipt.streams[0].error
    found = bench.project.rejects().sort("file", "row").select("file", "row", "column", "rule", "value").rows()
    assert [(Path(f).name, *rest) for f, *rest in found] == [
        (bench.name("a"), 3, "id", "missing_required", None),
        (bench.name("b"), 1, "amount", "maximum", "1010.50"),
    ]


def test_a_column_outside_the_contract_is_kept_as_text_in_warn_mode(bench: Bench) -> None:
    bench.job(schema_validation_mode="warn")
    bench.write("a", [{**ROWS[0], "note": "kept"}, {**ROWS[1], "note": None}], columns=[*DTYPES, "note"])
    bench.project.sync()
    assert bench.project.rows().sort("id").select("id", "note").rows() == [(1, "kept"), (2, None)]


def test_times_are_read_in_the_zone_of_the_source(bench: Bench) -> None:
    bench.job(options={"timezone": "Europe/Berlin"})
    bench.write("a", [{**ROWS[0], "at": datetime(2024, 7, 1, 12)}])
    assert [row["at"] for row in bench.values(bench.read())] == [datetime(2024, 7, 1, 10)]
