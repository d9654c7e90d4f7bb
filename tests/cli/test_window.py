"""`--since` and `--until`: the part of a database that one run reads, and what becomes of the cursor."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from dativo import load_job, preview, sync
from tests.cli.conftest import Dativo
from tests.project import Project
from tests.services.postgres import Postgres
from tests.services.process import free_port

FIELDS = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "note", "type": "string"},
    {"name": "updated_at", "type": "timestamptz"},
]
# One row a day, the first on the first of January.
ROWS = "insert into orders select i, 'note ' || i, timestamptz '2023-12-31 00:00:00+00' + i * interval '1 day' from "


@pytest.fixture
def shop(project: Project, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """A database with ten orders, the variables that lead to it, and a job that loads them by `updated_at`."""
    database = postgres_server.make_database(f"window_{free_port()}")
    for name, value in {**postgres_server.environment, "PGDATABASE": database}.items():
        monkeypatch.setenv(name, value)
    postgres_server.sql("create table orders (id int primary key, note text, updated_at timestamptz)", database)
    postgres_server.sql(f"{ROWS} generate_series(1, 10) i", database)
    project.asset(FIELDS, "orders")
    job(project)
    return Postgres(postgres_server.port, database=database)


def job(project: Project, **more: Any) -> None:
    source = {
        "tables": [{"name": "orders"}],
        "incremental": {"cursor_field": "updated_at", "lookback_days": 0},
        **more.pop("source", {}),
    }
    project.job(
        "orders",
        source_connector_path="connectors/sources/postgres.yaml",
        asset_path="assets/orders.yaml",
        source=source,
        **more,
    )


def loaded(project: Project) -> list[int]:
    return sorted(project.rows("default.orders")["id"].to_list())


def cursor(project: Project, dativo: Dativo) -> str | None:
    found = dativo("state", "show", "orders", "--json").json()
    text = str(found)
    return next((f"2024-01-{day:02}" for day in range(31, 0, -1) if f"'last_value': '2024-01-{day:02}" in text), None)


def test_a_run_reads_from_since_on_and_up_to_but_without_until(
    project: Project, shop: Postgres, dativo: Dativo
) -> None:
    dativo("sync", "orders", "--since", "2024-01-03", "--until", "2024-01-06")
    assert loaded(project) == [3, 4, 5]


def test_a_window_above_the_cursor_leaves_the_gap_for_the_next_run(
    project: Project, shop: Postgres, dativo: Dativo
) -> None:
    dativo("sync", "orders", "--until", "2024-01-03")
    assert (loaded(project), cursor(project, dativo)) == ([1, 2], "2024-01-02")
    dativo("sync", "orders", "--since", "2024-01-08")
    assert (loaded(project), cursor(project, dativo)) == ([1, 2, 8, 9, 10], "2024-01-02")
    dativo("sync", "orders")
    assert (loaded(project), cursor(project, dativo)) == (list(range(1, 11)), "2024-01-10")


def test_a_window_below_the_cursor_repairs_old_rows_and_never_moves_the_cursor_back(
    project: Project, shop: Postgres, dativo: Dativo
) -> None:
    job(project, target={"write_mode": "upsert"})
    dativo("sync", "orders")
    shop.sql("update orders set note = 'late' where id = 2")
    dativo("sync", "orders")
    assert "late" not in project.rows("default.orders")["note"].to_list()
    shop.sql("update orders set note = 'late', updated_at = updated_at + interval '1 hour' where id = 2")
    dativo("sync", "orders", "--since", "2024-01-01", "--until", "2024-01-04")
    rows = project.rows("default.orders").sort("id")
    assert rows["id"].to_list() == list(range(1, 11)) and rows["note"].to_list()[1] == "late"
    assert cursor(project, dativo) == "2024-01-10"


def test_the_same_window_twice_adds_nothing(project: Project, shop: Postgres, dativo: Dativo) -> None:
    window = ("--since", "2024-01-03", "--until", "2024-01-06")
    dativo("sync", "orders", *window)
    answer = dativo("sync", "orders", *window)
    assert loaded(project) == [3, 4, 5]
    assert "no snapshot: no row is new" in answer.out and "0 files" not in answer.out
    assert "postgres   orders, only since 2024-01-03 until 2024-01-06" in answer.err


def test_the_scripted_form_preview_and_plan_have_the_window_too(
    project: Project, shop: Postgres, dativo: Dativo
) -> None:
    window = ("--since", "2024-01-09T00:00:00+00:00")
    told = dativo("plan", "orders", *window).out
    assert "orders: rows with updated_at >= 2024-01-09 00:00:00, or null" in told
    relations = dativo("plan", "orders", *window, "--json").json()["streams"][0]["relations"]
    assert relations[0]["rows"] == "updated_at >= 2024-01-09 00:00:00, or null"
    shown = dativo("preview", "orders", *window, "--json").out
    assert "note 9" in shown and "note 10" in shown and "note 8" not in shown
    dativo("run", "--config", "jobs/acme/orders.yaml", *window)
    assert loaded(project) == [9, 10]


def test_programs_have_the_window_too(project: Project, shop: Postgres) -> None:
    found = load_job("jobs/acme/orders.yaml")
    assert preview(found, since="2024-01-09").rows["id"].to_list() == [9, 10]
    assert sync(found, until="2024-01-03").loaded == 2
    assert loaded(project) == [1, 2]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--since", "tomorrow"), "--since 'tomorrow' is no date or time"),
        (("--since", "2024-01-02", "--until", "2024-01-02"), "is not before --until"),
        (("--since", "2024-01-02", "--full-refresh"), "go with no --full-refresh"),
        (("--since", "2024-01-01'; drop table orders; --"), "is no date or time"),
    ],
)
def test_a_window_that_cannot_be_is_refused_and_nothing_is_read(
    project: Project, shop: Postgres, dativo: Dativo, options: tuple[str, ...], why: str
) -> None:
    answer = dativo("sync", "orders", *options, code=2)
    assert why in answer.err and "Traceback" not in answer.err
    assert not (project.root / ".local/warehouse").exists()
    assert shop.sql("select count(*) from orders") == [["10"]]


def test_a_job_without_a_cursor_is_refused(project: Project, shop: Postgres, dativo: Dativo) -> None:
    job(project, source={"incremental": None})
    answer = dativo("sync", "orders", "--since", "2024-01-01", code=2)
    assert "need a cursor, and job 'orders' has none" in answer.err and "jobs/acme/orders.yaml:" in answer.err


def test_of_several_jobs_those_that_have_no_cursor_are_refused_and_the_others_run(
    project: Project, shop: Postgres, dativo: Dativo
) -> None:
    project.asset([{"name": "id"}], "people")
    project.write("data/people.csv", "id\n1\n")
    project.job("people")
    answer = dativo("sync", "jobs", "--until", "2024-01-03", code=1)
    assert "need a cursor, and job 'people' has none" in answer.err and "file_modified_time" in answer.err
    assert loaded(project) == [1, 2]


@pytest.mark.parametrize("since", ["2024-01-03", "2024-01-03T00:00:00", "2024-01-03 00:00:00+00:00"])
def test_a_database_that_keeps_times_as_texts_has_windows_too(project: Project, dativo: Dativo, since: str) -> None:
    project.asset(FIELDS, "orders")
    with sqlite3.connect("shop.db") as database:
        database.execute("create table orders (id integer primary key, note text, updated_at timestamp)")
        rows = [(day, f"note {day}", f"2024-01-{day:02} 00:00:00") for day in range(1, 8)]
        database.executemany("insert into orders values (?, ?, ?)", rows)
    project.job(
        "orders",
        source_connector_path="connectors/sources/sqlite.yaml",
        asset_path="assets/orders.yaml",
        source={
            "connection": {"database_path": "shop.db"},
            "tables": [{"name": "orders"}],
            "incremental": {"cursor_field": "updated_at"},
        },
    )
    dativo("sync", "orders", "--since", since, "--until", "2024-01-05T00:00:00")
    assert loaded(project) == [3, 4]
