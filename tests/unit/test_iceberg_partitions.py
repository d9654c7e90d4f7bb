"""Partition transforms: the values in the manifests, their names in folders, pruning, and many partitions at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyiceberg.expressions import EqualTo, IsNull
from pyiceberg.types import StructType

from dativo.config.field import Field
from dativo.config.partition import INGEST_DATE, Partition
from dativo.contract.dtypes import polars_type
from dativo.errors import ConfigError, TargetError
from dativo.targets.iceberg import files
from dativo.targets.protocol import TooManyPartitions
from tests.lake import STARTED, Lake, commit, write
from tests.project import Project

MOMENTS = [
    datetime(1969, 12, 31, 23, 30),
    datetime(1970, 1, 1),
    datetime(2024, 2, 29, 13, 5),
    datetime(9999, 12, 31, 23, 59),
    None,
]
DAYS = [date(1, 1, 1), date(1969, 12, 31), date(1970, 1, 1), date(2024, 2, 29), None]
VALUES: dict[str, tuple[Field, list[Any]]] = {
    "string": (Field(name="c", kind="string"), ["a/b", "x=y", "two words", "ünï→", "", "%2F", "a#b?c", ".", "null", None]),
    "long": (Field(name="c", kind="long"), [-(2**63) + 20, -11, -1, 0, 7, 2**63 - 1, None]),
    "decimal": (
        Field(name="c", kind="decimal", precision=12, scale=2),
        [Decimal("-10.65"), Decimal("0.00"), Decimal("34.56"), None],
    ),
    "boolean": (Field(name="c", kind="boolean"), [True, False, None]),
    "date": (Field(name="c", kind="date"), DAYS),
    "time": (Field(name="c", kind="time"), [time(0), time(22, 31, 8, 5), None]),
    "timestamp": (Field(name="c", kind="timestamp"), MOMENTS),
    "timestamptz": (Field(name="c", kind="timestamptz"), [m and m.replace(tzinfo=UTC) for m in MOMENTS]),
    "uuid": (Field(name="c", kind="uuid"), [str(UUID(int=0)), "f79c3e09-677c-4bbd-a479-3f349cb785e7", None]),
    "binary": (Field(name="c", kind="binary"), [b"", b"\x00\x01\x02\x03", b"\xff/=", None]),
}  # fmt: skip
TRANSFORMS: list[tuple[str, Partition]] = [
    *((kind, Partition("c")) for kind in VALUES),
    *((kind, Partition("c", name)) for kind in ("date", "timestamp", "timestamptz") for name in ("year", "month", "day")),
    *((kind, Partition("c", "hour")) for kind in ("timestamp", "timestamptz")),
    *((k, Partition("c", "bucket", 16)) for k in VALUES if k != "boolean"),
    *((kind, Partition("c", "truncate", 2)) for kind in ("string", "long", "decimal", "binary")),
]  # fmt: skip


def ids(value: object) -> str:
    return f"{value.transform}{value.width or ''}" if isinstance(value, Partition) else str(value)


@pytest.mark.parametrize(("kind", "part"), TRANSFORMS, ids=ids)
def test_each_value_is_in_the_partition_that_iceberg_gives_it(project: Project, kind: str, part: Partition) -> None:
    """The manifest's partition value of every row's file is what pyiceberg's own transform makes of the row's value."""
    field, values = VALUES[kind]
    lake = Lake(project)
    rows = pl.DataFrame([pl.Series("n", range(len(values))), pl.Series("c", values, dtype=polars_type(field))])
    lake.load([Field(name="n", kind="long"), field], rows, partitioning=[part])
    table = lake.table()
    [spec] = table.spec().fields
    source = table.schema().find_field("c").field_type
    transform = spec.transform.transform(source)
    got: dict[int, object] = {}
    for file in lake.data_files():
        read = pl.read_parquet(file.file_path.removeprefix("file://"), glob=False)
        for n in read["n"]:
            got[n] = file.partition[0]
    assert got == {n: transform(physical(v)) for n, v in enumerate(values)}
    assert lake.rows().height == len(values)
    assert_frame_equal(pl.scan_iceberg(table).select("n").collect().sort("n"), rows.select("n"))


def physical(value: Any) -> Any:
    """A value as pyiceberg's transforms take it."""
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days
    if isinstance(value, time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    return UUID(value) if isinstance(value, str) and len(value) == 36 else value


@pytest.mark.parametrize("value", VALUES["string"][1], ids=repr)
def test_odd_names_are_read_pruned_and_stay_inside_the_table(project: Project, value: str | None) -> None:
    lake = Lake(project)
    columns = [Field(name="n", kind="long"), Field(name="c", kind="string")]
    lake.load(columns, {"n": list(range(10)), "c": VALUES["string"][1]}, partitioning=[Partition("c")])
    where = IsNull("c") if value is None else EqualTo("c", value)
    table = lake.table()
    planned = list(table.scan(row_filter=where).plan_files())
    assert [t.file.partition[0] for t in planned] == [value]
    assert lake.rows(where=where)["c"].to_list() == [value]
    name = pl.col("c").is_null() if value is None else pl.col("c") == value
    assert pl.scan_iceberg(table).filter(name).collect()["c"].to_list() == [value]
    data = project.root / ".local/warehouse/acme/default/people/data"
    path = Path(planned[0].file.file_path.removeprefix("file://"))
    assert path.is_file() and path.parent.parent == data
    assert unquote(path.parent.name) == f"c={'null' if value is None else value}"


def test_values_too_long_for_a_folder_name_and_values_that_differ_in_case_stay_apart(project: Project) -> None:
    lake = Lake(project)
    values = ["x" * 5000, "x" * 5000 + "y", "ü" * 300, "\U0001f600" * 300, "a", "A", "null", None]
    lake.load([Field(name="c", kind="string")], {"c": values}, partitioning=[Partition("c")])
    assert sorted(lake.rows()["c"].to_list(), key=str) == sorted(values, key=str)
    assert {f.partition[0] for f in lake.data_files()} == set(values)


def test_a_project_folder_with_odd_characters_works(project: Project) -> None:
    inner = Project(project.root / "a b%20c=ü'\"")
    lake = Lake(inner)
    lake.load([Field(name="c", kind="string")], {"c": ["x/y", None]}, partitioning=[Partition("c")])
    assert sorted(lake.rows()["c"].to_list(), key=str) == [None, "x/y"]
    assert pl.scan_iceberg(lake.table()).collect().height == 2
    assert lake.open([Field(name="c", kind="string")], [Partition("c")]).exists


DAY_TRANSFORMS = [
    Partition(INGEST_DATE), Partition(INGEST_DATE, "year"), Partition(INGEST_DATE, "month"), Partition(INGEST_DATE, "day")
]  # fmt: skip
INGESTED = [Field(name="n", kind="long"), Field(name=INGEST_DATE, kind="date")]


@pytest.mark.parametrize("odd", "?#")
def test_a_folder_that_readers_cannot_name_is_refused(project: Project, odd: str) -> None:
    lake = Lake(Project(project.root / f"a{odd}b"))
    with pytest.raises(TargetError, match="for the path's end"):
        lake.target()


@pytest.mark.parametrize("part", DAY_TRANSFORMS, ids=ids)
def test_the_ingest_date_is_a_column_and_a_partition(project: Project, part: Partition) -> None:
    lake = Lake(project)
    lake.load(INGESTED, {"n": [1, 2]}, partitioning=[part])
    assert lake.rows().rows() == [(1, date(2026, 3, 1)), (2, date(2026, 3, 1))]
    [file] = lake.data_files()
    [spec] = lake.table().spec().fields
    assert file.partition[0] == spec.transform.transform(lake.table().schema().find_field(INGEST_DATE).field_type)(
        20513
    )
    assert lake.rows(where=EqualTo(INGEST_DATE, "2026-03-01")).height == 2
    assert lake.rows(where=EqualTo(INGEST_DATE, "2026-03-02")).height == 0


@pytest.mark.parametrize("part", DAY_TRANSFORMS, ids=ids)
def test_replacing_touches_the_rows_of_the_same_day_only(project: Project, part: Partition) -> None:
    lake = Lake(project)
    for offset, rows in ((0, [1, 2]), (1, [3]), (1, [4, 5])):
        lake.load(INGESTED, {"n": rows}, partitioning=[part], replace=True, started=STARTED + timedelta(days=offset))
    assert sorted(lake.rows().rows()) == [
        (1, date(2026, 3, 1)), (2, date(2026, 3, 1)), (4, date(2026, 3, 2)), (5, date(2026, 3, 2)),
    ]  # fmt: skip


def test_the_ingest_date_beside_another_partition(project: Project) -> None:
    lake = Lake(project)
    columns = [Field(name="c", kind="string"), Field(name=INGEST_DATE, kind="date")]
    parts = [Partition("c"), Partition(INGEST_DATE)]
    lake.load(columns, {"c": ["a", "b"]}, partitioning=parts)
    lake.load(columns, {"c": ["c"]}, partitioning=parts, replace=True)
    [file] = lake.data_files()
    assert (file.partition[0], file.partition[1]) == ("c", 20513)
    assert "/c=c/ingest_date=2026-03-01/" in file.file_path


def test_replacing_without_an_ingest_date_replaces_all(project: Project) -> None:
    lake = Lake(project)
    columns = [Field(name="c", kind="string")]
    lake.load(columns, {"c": ["a", "b"]}, partitioning=[Partition("c")])
    lake.load(columns, {"c": ["z"]}, partitioning=[Partition("c")], replace=True)
    assert lake.rows()["c"].to_list() == ["z"]
    lake.load(columns, pl.DataFrame({"c": []}, schema={"c": pl.String}), partitioning=[Partition("c")], replace=True)
    assert lake.rows().height == 0


def test_more_partitions_than_may_be_open_raise_as_themselves_through_polars(project: Project) -> None:
    lake = Lake(project)
    target = lake.target()
    target.open(lake.shape([Field(name="n", kind="long")], [Partition("n")]))
    with pytest.raises(TooManyPartitions):
        write(target, pl.DataFrame({"n": list(range(500))}))
    # A thread of the pass that died may still be opening a file.
    end = monotonic() + 10
    while monotonic() < end:
        target.abort()
        if not lake.files_on_disk():
            break
        sleep(0.1)
    assert lake.files_on_disk() == set()


def test_500_partitions_are_written_in_two_steps(project: Project, tmp_path: Path) -> None:
    lake = Lake(project)
    columns = [Field(name="n", kind="long"), Field(name="c", kind="string")]
    target = lake.target()
    target.open(lake.shape(columns, [Partition("n")]))
    rows = pl.DataFrame({"n": [i % 500 for i in range(20_000)], "c": [f"v{i}" for i in range(20_000)]})
    written = write(target, rows, spill=tmp_path / "spill")
    assert (written.rows, len(written.files)) == (20_000, 500)
    commit(target, written)
    assert_frame_equal(lake.rows().sort("c"), rows.sort("c"))
    assert {f.partition[0]: f.record_count for f in lake.data_files()} == dict.fromkeys(range(500), 40)
    assert list((tmp_path / "spill").rglob("*.parquet")) == []


def test_a_run_with_500_partitions_loads_every_row(project: Project) -> None:
    project.asset([{"name": "n", "type": "integer"}, {"name": "c", "type": "string"}])
    project.job(target={"partitioning": ["n"]})
    project.write("data/people.csv", "n,c\n" + "".join(f"{i % 500},v{i}\n" for i in range(5_000)))
    receipt = project.sync()
    assert (receipt.status, receipt.loaded, receipt.streams[0].files) == ("loaded", 5_000, 500)
    assert project.rows()["c"].n_unique() == 5_000
    assert not list((project.root / ".local/staging").glob("*"))


def test_many_partitions_stay_below_the_limit_by_default(project: Project) -> None:
    lake = Lake(project)
    lake.load([Field(name="n", kind="long")], {"n": list(range(files.MAX_OPEN))}, partitioning=[Partition("n")])
    assert len(lake.data_files()) == files.MAX_OPEN


def test_a_double_is_refused_as_a_partition(project: Project) -> None:
    project.asset([{"name": "c", "type": "double"}])
    project.job(target={"partitioning": ["c"]})
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert "cannot partition 'c' of type double" in caught.value.render()


def test_partitions_are_pruned(project: Project) -> None:
    lake = Lake(project)
    columns = [Field(name="at", kind="timestamp"), Field(name="who", kind="string"), Field(name="id", kind="long")]
    rows = {
        "at": [datetime(2024, m, 1, 5) for m in range(1, 13)],
        "who": [f"name {m}" for m in range(1, 13)],
        "id": list(range(12)),
    }
    lake.load(columns, rows, partitioning=[Partition("at", "month")])
    table = lake.table()
    assert isinstance(table.schema().as_struct(), StructType)
    planned = list(table.scan(row_filter="at >= '2024-11-01T00:00:00'").plan_files())
    assert len(planned) == 2
    assert sorted(lake.rows(where=EqualTo("at", "2024-03-01T05:00:00"))["id"].to_list()) == [2]
