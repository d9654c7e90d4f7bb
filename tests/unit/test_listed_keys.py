"""Sources that keep their keys unique and can tell all of them: what is not read twice, and deletes in partial readings."""

from __future__ import annotations

import os
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.observe.listener import Silence
from tests.project import Project
from tests.unit.listed_source import ADAPTER
from tests.unit.test_write_modes import Clock, Row, counts, ran

FIELDS = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "at", "type": "date"},
    {"name": "text"},
]


class Phases(Silence):
    """Notes the phases of a run."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def phase(self, stream: str, name: str, meter: Any) -> None:
        self.names.append(name)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connectors.SOURCES, "parquet", ADAPTER)


def setup(project: Project, mode: str, *, full: bool = False, fields: Any = FIELDS, **target: Any) -> None:
    project.asset(fields)
    source: dict[str, Any] = {"files": [{"path": "data/*.parquet"}]}
    if not full:
        source["incremental"] = {"strategy": "file_modified_time", "cursor_field": "at"}
    project.job(
        source_connector_path="connectors/sources/parquet.yaml",
        source=source,
        target={"write_mode": mode, **target},
        schema_validation_mode="quarantine",
    )


def write(project: Project, rows: list[Row], name: str = "a", key: Any = pl.Int64) -> None:
    frame = pl.DataFrame(rows, schema={"id": key, "at": pl.String, "text": pl.String}, orient="row")
    path = project.root / f"data/{name}.parquet"
    frame.with_columns(pl.col("at").str.to_date()).write_parquet(path)
    Clock.now += 1_000_000_000
    os.utime(path, ns=(Clock.now, Clock.now))


def phases(project: Project, **options: Any) -> list[str]:
    noted = Phases()
    ran(project.sync(listener=noted, **options))
    return noted.names


# -- reading once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["append", "upsert", "replace", "scd2"])
def test_keys_that_the_source_keeps_unique_are_not_compared_where_there_is_nothing_to_compare_with(
    project: Project, mode: str
) -> None:
    setup(project, mode)
    write(project, [(1, "2024-01-01", "a"), (2, None, "b")])
    assert "comparing keys" not in phases(project)
    assert project.rows().sort("id")["text"].to_list() == ["a", "b"]
    if mode == "scd2":
        assert project.rows()["is_current"].all()
        assert project.rows()["valid_from"].null_count() == 0
    write(project, [(1, "2024-01-02", "c"), (2, None, "b")])
    assert ("comparing keys" in phases(project)) == (mode != "replace")
    assert "comparing keys" not in phases(project, full_refresh=True)
    assert project.rows().sort("id")["text"].to_list() == ["c", "b"]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ([{"name": "id", "primary_key": True}, *FIELDS[1:]], pl.Int64),
        ([FIELDS[0], FIELDS[1], {"name": "text", "unique": True}], pl.Int64),
        ([{"name": "key", "source_name": "text", "primary_key": True}, *FIELDS[1:]], pl.Int64),
        ([{"name": "id", "type": "date", "primary_key": True}, *FIELDS[1:]], pl.Datetime("us")),
        ([{"name": "id", "type": "double", "primary_key": True}, *FIELDS[1:]], pl.Float64),
    ],
)
def test_keys_are_compared_where_the_source_guarantees_something_else(project: Project, fields: Any, key: Any) -> None:
    setup(project, "upsert", fields=fields)
    day = 24 * 60 * 60 * 1_000_000
    write(project, [(day, "2024-01-01", "a"), (2 * day, None, "b")], key=key)
    assert "comparing keys" in phases(project)


def test_keys_of_several_files_are_compared(project: Project) -> None:
    setup(project, "upsert")
    write(project, [(1, "2024-01-01", "a")])
    write(project, [(1, "2024-01-02", "b")], "b")
    assert "comparing keys" in phases(project)
    assert project.rows()["text"].to_list() == ["b"]


# -- deletes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_partial_reading_notices_deletes_by_the_listing(project: Project, kind: str) -> None:
    setup(project, "upsert", detect_deletes=kind)
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b")])
    write(project, [(3, "2024-01-01", "c")], "b")
    assert counts(project.sync()) == (3, 0, 0, 0)
    write(project, [(2, "2024-01-02", "changed")])
    assert counts(project.sync()) == (1, 0, 1, 1)
    rows = project.rows().sort("id").rows(named=True)
    live = [r["id"] for r in rows if kind == "hard" or r["_deleted_at"] is None]
    assert live == [2, 3]
    assert len(rows) == (2 if kind == "hard" else 3)


def test_deletes_are_noticed_where_nothing_is_new(project: Project) -> None:
    setup(project, "upsert", detect_deletes="hard")
    write(project, [(1, "2024-01-01", "a")])
    write(project, [(3, "2024-01-01", "c")], "b")
    project.sync()
    (project.root / "data/b.parquet").unlink()
    assert counts(project.sync()) == (0, 0, 0, 1)
    assert project.rows()["id"].to_list() == [1]


def test_a_listing_without_keys_deletes_nothing(project: Project) -> None:
    setup(project, "upsert", detect_deletes="hard")
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    write(project, [])
    receipt = project.sync().streams[0]
    assert receipt.status == "failed"
    assert "nothing was deleted" in receipt.error
    assert len(project.rows()) == 1


def test_a_listed_key_that_cannot_be_read_may_be_any(project: Project) -> None:
    setup(project, "upsert", detect_deletes="hard")
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b")])
    project.sync()
    write(project, [(1, "2024-01-01", "a"), (None, "2024-01-01", "b")])
    receipt = ran(project.sync())
    assert receipt.deleted == 0
    assert any("cannot be read" in note for note in receipt.warnings)


def test_a_listed_key_is_read_as_the_contract_reads_it(project: Project) -> None:
    fields = [{"name": "name", "source_name": "id", "primary_key": True}, *FIELDS[1:]]
    setup(project, "upsert", fields=fields, detect_deletes="hard")
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b")])
    project.sync()
    write(project, [(2, "2024-01-01", "b")])
    assert counts(project.sync()) == (0, 1, 0, 1)
    assert project.rows()["name"].to_list() == ["2"]
