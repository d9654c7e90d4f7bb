"""Types of Parquet files: each kept exactly or refused, alone and where files differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from dativo.errors import SourceError
from tests.project import Project
from tests.reading import extracted, file_job, write_parquet


def outcome(
    project: Project, field: dict[str, Any], *parts: pl.Series | pa.Array
) -> tuple[list[Any], list[str | None]]:
    """What a column becomes that stands in one file a part: the loaded values, and the rejected texts."""
    project.asset([{"name": "n", "type": "integer"}, {"name": "c", **field}])
    file_job(project, "parquet", schema_validation_mode="quarantine")
    for old in (project.root / "data").glob("*.parquet"):
        old.unlink()
    for index, part in enumerate(parts):
        values = part if isinstance(part, pa.ChunkedArray | pa.Array) else part.to_arrow()
        write_parquet(
            project, str(index), pa.table({"n": pa.array(range(index * 10, index * 10 + len(values))), "c": values})
        )
    receipt = project.sync(full_refresh=True)
    assert receipt.exit_code < 2, receipt.streams[0].error
    loaded = project.rows().sort("n")["c"].to_list()
    refused = project.rejects().sort("file", "row") if receipt.streams[0].rejected else None
    return loaded, [] if refused is None else refused.filter(run=receipt.run_id)["value"].to_list()


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
    assert any(n.startswith(note) for n in extracted(project).notes) == differ


def test_types_that_nothing_holds_both_are_refused(project: Project) -> None:
    project.asset([{"name": "c"}])
    file_job(project, "parquet")
    write_parquet(project, "a", pl.DataFrame({"c": [1]}))
    write_parquet(project, "b", pl.DataFrame({"c": [b"\xff"]}))
    with pytest.raises(
        SourceError, match=r"'c' is Int64 in 'data/a\.parquet' and Binary in 'data/b\.parquet'"
    ) as caught:
        extracted(project)
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
    file_job(project, "parquet")
    known = "0189f7e2-5c3b-7b2a-8f00-0123456789ab"
    path = project.root / "data" / "a.parquet"
    with duckdb.connect() as own:
        own.execute(f"COPY (SELECT '{known}'::UUID u, '{known}'::UUID v UNION ALL SELECT NULL, NULL) TO '{path}'")
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert set(project.rows()["u"]) == {known, None}
    values = set(project.table().scan().to_arrow()["v"].to_pylist())
    assert values == {UUID(known), None}


def test_a_type_that_cannot_become_the_contracts_is_told(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "day", "type": "date"}])
    file_job(project, "parquet")
    write_parquet(project, "a", pl.DataFrame({"n": [1], "day": [True]}))
    error = project.sync().streams[0].error
    assert "'day' is Boolean, which cannot become date" in error
    assert "people.yaml" in error


def test_intervals_are_told_and_not_read(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}])
    file_job(project, "parquet")
    with duckdb.connect() as own:
        own.execute(f"COPY (SELECT 1 n, INTERVAL 1 DAY i) TO '{project.root}/data/a.parquet'")
    with pytest.raises(SourceError, match=r"a\.parquet") as caught:
        extracted(project)
    assert caught.value.hint


def test_a_wall_time_that_stands_twice_is_read_as_it_is_told(project: Project) -> None:
    twice = pa.array([datetime(2024, 10, 27, 2, 30)], pa.timestamp("us"))
    project.asset([{"name": "at", "type": "timestamp"}])
    write_parquet(project, "a", pa.table({"at": twice}))
    for dst, hour in (("earlier", 0), ("later", 1)):
        file_job(project, "parquet", options={"timezone": "Europe/Berlin", "dst": dst})
        project.sync(full_refresh=True)
        assert project.rows()["at"].to_list() == [datetime(2024, 10, 27, hour, 30)]
    file_job(project, "parquet", options={"timezone": "Europe/Berlin"})
    assert {r.rule for r in project.sync(full_refresh=True).streams[0].rules} == {"type_mismatch"}
