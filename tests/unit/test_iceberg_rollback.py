"""Tables that somebody else touched: put back to an older snapshot between runs, filled during one that found it empty."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from dativo.errors import CommitConflict
from dativo.targets.iceberg.target import ROLLED_BACK, IcebergTarget
from tests.project import Project

FIELDS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "updated_at", "type": "timestamp"},
    {"name": "v"},
]


@pytest.fixture
def shop(project: Project) -> Project:
    with sqlite3.connect(project.root / "shop.db") as con:
        con.execute("CREATE TABLE people (id integer PRIMARY KEY, updated_at timestamp, v text)")
    project.asset(FIELDS)
    return project


def job(project: Project, mode: str, name: str = "job") -> None:
    project.job(
        name,
        source_connector_path="connectors/sources/sqlite.yaml",
        source={
            "connection": {"database_path": "shop.db"},
            "tables": [{"name": "people"}],
            "incremental": {"strategy": "updated_at", "cursor_field": "updated_at", "lookback_days": 0},
        },
        target={"write_mode": mode},
    )


def add(project: Project, number: int, value: str = "new") -> None:
    with sqlite3.connect(project.root / "shop.db") as con:
        con.execute("INSERT INTO people VALUES (?, ?, ?)", (number, f"2024-01-{number:02} 00:00:00", value))


def ids(project: Project) -> list[int]:
    return sorted(project.rows()["id"].to_list())


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_table_that_was_put_back_is_read_for_from_the_beginning(shop: Project, mode: str) -> None:
    job(shop, mode)
    for number in (1, 2, 3):
        add(shop, number)
        assert shop.sync().exit_code == 0
    table = shop.table()
    table.manage_snapshots().set_current_snapshot(snapshot_id=table.metadata.snapshots[0].snapshot_id).commit()
    assert ids(shop) == [1]
    add(shop, 4)
    receipt = shop.sync()
    assert receipt.streams[0].extracted == 4
    assert ROLLED_BACK in receipt.streams[0].warnings
    assert ids(shop) == [1, 2, 3, 4]
    add(shop, 5)
    receipt = shop.sync()
    assert receipt.streams[0].extracted == 2  # the cursor's own row is read again, as always
    assert ROLLED_BACK not in receipt.streams[0].warnings
    assert ids(shop) == [1, 2, 3, 4, 5]


def test_maintenance_and_other_writers_are_no_rollback(shop: Project) -> None:
    job(shop, "upsert")
    job(shop, "upsert", "other")
    for number in (1, 2):
        add(shop, number)
        shop.sync()
        shop.sync("other")
    add(shop, 3)
    receipt = shop.sync()
    assert receipt.streams[0].extracted == 2
    assert ROLLED_BACK not in receipt.streams[0].warnings


@pytest.mark.parametrize("mode", ["upsert", "scd2"])
def test_two_jobs_that_find_a_table_empty_do_not_both_fill_it(
    shop: Project, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job(shop, mode)
    job(shop, mode, "other")
    add(shop, 1)
    inner = IcebergTarget.commit
    once: list[str] = []

    def commit(self: IcebergTarget, *args: Any, **options: Any) -> Any:
        if not once:
            once.append("now")
            assert shop.sync("other").exit_code == 0
        return inner(self, *args, **options)

    monkeypatch.setattr(IcebergTarget, "commit", commit)
    receipt = shop.sync()
    assert receipt.exit_code == 2
    assert receipt.streams[0].error_code == CommitConflict.code
    assert ids(shop) == [1]
    if mode == "upsert":  # a history is one job's own
        assert shop.sync().exit_code == 0
        assert ids(shop) == [1]
