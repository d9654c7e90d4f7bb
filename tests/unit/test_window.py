"""The window of a run: which values it takes, and which jobs have none."""

from __future__ import annotations

from typing import Any

import pytest

from dativo.config.resolved import ResolvedJob, Window
from dativo.errors import ConfigError, DativoError
from dativo.pipeline.window import windowed
from tests.project import Project

TYPES = {
    "updated_at": "timestamp",
    "seen": "timestamptz",
    "day": "date",
    "id": "integer",
    "rate": "decimal(9,2)",
    "code": "string",
}


def job(project: Project, cursor: str | None = "updated_at", **more: Any) -> ResolvedJob:
    fields = [{"name": name, "type": kind, "primary_key": name == "id"} for name, kind in TYPES.items()]
    project.asset(fields)
    source: dict[str, Any] = {"connection": {"database_path": "shop.db"}, "tables": [{"name": "orders"}]}
    if cursor is not None:
        source["incremental"] = {"strategy": "updated_at", "cursor_field": cursor}
    source.update(more.pop("source", {}))
    project.job(source_connector_path="connectors/sources/sqlite.yaml", source=source, **more)
    return project.load(variables={})


@pytest.mark.parametrize(
    ("cursor", "since", "until", "wanted"),
    [
        ("updated_at", "2024-01-01", None, Window(since="2024-01-01")),
        (
            "updated_at",
            " 2024-01-01 08:30 ",
            "2024-01-01T09:00:00.5",
            Window(since="2024-01-01 08:30", until="2024-01-01 09:00:00.5"),
        ),
        ("updated_at", "2024-01-01T00:00:00Z", None, Window(since="2024-01-01 00:00:00")),
        ("seen", "2024-01-01T02:00:00.123456+02:00", None, Window(since="2024-01-01 00:00:00.123456")),
        ("day", "2024-01-01", "2024-01-02", Window(since="2024-01-01", until="2024-01-02")),
        ("id", "9", "10", Window(since="9", until="10")),
        ("rate", "1.50", None, Window(since="1.50")),
        ("code", "b", "a", Window(since="b", until="a")),
        ("not_in_the_contract", "anything", None, Window(since="anything")),
    ],
)
def test_a_window_has_the_values_of_the_cursor(
    project: Project, cursor: str, since: str | None, until: str | None, wanted: Window
) -> None:
    assert windowed(job(project, cursor), since=since, until=until).window == wanted


def test_without_an_end_there_is_no_window(project: Project) -> None:
    whole = job(project, None)
    assert windowed(whole) is whole and not whole.window


@pytest.mark.parametrize(
    ("cursor", "since", "until", "why"),
    [
        ("updated_at", "yesterday", None, "--since 'yesterday' is no date or time"),
        ("updated_at", "2024-02-30", None, "--since '2024-02-30' is no date or time"),
        ("updated_at", "2024-01-01; DROP TABLE orders", None, "is no date or time"),
        ("day", None, "2024-01-01 08:00", "--until '2024-01-01 08:00' is no date"),
        ("id", "1.5", None, "--since '1.5' is no number"),
        ("id", "nan", None, "--since 'nan' is no number"),
        ("rate", "much", None, "--since 'much' is no number"),
        ("updated_at", "2024-01-02", "2024-01-01", "--since 2024-01-02 is not before --until 2024-01-01"),
        ("updated_at", "2024-01-01", "2024-01-01", "is not before"),
        ("seen", "2024-01-01T01:00:00+02:00", "2023-12-31T23:00:00Z", "is not before"),
        ("id", "10", "9", "--since 10 is not before --until 9"),
        ("code", "  ", None, "--since is empty"),
    ],
)
def test_what_no_cursor_can_be_is_refused(
    project: Project, cursor: str, since: str | None, until: str | None, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        windowed(job(project, cursor), since=since, until=until)
    assert why in caught.value.render() and caught.value.exit_code == 2


def refused(loaded: ResolvedJob, **options: Any) -> str:
    with pytest.raises(DativoError) as caught:
        windowed(loaded, since="2024-01-01", **options)
    assert caught.value.exit_code == 2
    return caught.value.render()


def test_a_job_without_a_cursor_has_no_window(project: Project) -> None:
    assert "job 'job' has none" in refused(job(project, None))
    tables = [{"name": "orders"}, {"name": "countries", "cursor_field": None}]
    assert "'countries' of job 'job' has none" in refused(job(project, source={"tables": tables}))


def test_a_window_never_replaces_a_table(project: Project) -> None:
    assert "--full-refresh" in refused(job(project), full_refresh=True)
    answer = refused(job(project, target={"write_mode": "replace"}))
    assert "write_mode is 'replace'" in answer and "jobs/acme/job.yaml:" in answer


def test_files_have_a_window_where_they_are_loaded_by_their_times(project: Project) -> None:
    project.asset([{"name": "id"}])
    project.job()
    assert "strategy: file_modified_time" in refused(project.load(variables={}))
    project.job(source={"files": [{"path": "data/*.csv"}], "incremental": {"strategy": "file_modified_time"}})
    found = windowed(project.load(variables={}), since="2024-01-01", until="2024-01-02T01:00:00+02:00").window
    assert found == Window(since="2024-01-01 00:00:00", until="2024-01-01 23:00:00")
