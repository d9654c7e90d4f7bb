"""What every target does, whatever it writes to: one line in `lakes.py` makes another catalog pass it too."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.contract.dtypes import polars_type
from dativo.errors import SchemaChangeRefused, TargetError, UnsupportedError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.protocol import TooManyPartitions, Written
from tests.lake import Lake, commit, write
from tests.project import Project


def receipt(written: Written) -> StreamReceipt:
    return StreamReceipt(
        stream="people", table="people", status="loaded", extracted=written.rows + 1, loaded=written.rows, rejected=1
    )


def test_a_place_that_is_not_there_yet(lake: Lake) -> None:
    target, opened = lake.opened()
    assert (opened.exists, opened.saved, opened.shared, opened.changes) == (False, None, (), ())
    assert opened.name == lake.name
    assert target.existing(lake.columns) is None
    target.abort()


def test_nothing_is_visible_before_the_commit_and_everything_after_it(lake: Lake) -> None:
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2, None]))
    assert (written.rows, len(written.files)) == (3, 1) and written.bytes > 0
    assert lake.existing() is None
    committed = commit(target, written)
    assert committed.snapshot_id is not None
    assert lake.frame([1, 2, None]).equals(lake.existing())  # type: ignore[arg-type]


def test_cursor_plan_receipt_and_token_are_remembered(lake: Lake) -> None:
    target, _ = lake.opened(token="t-1")
    written = write(target, lake.frame([1]))
    cursor = Cursor(entries={"file_x": {"last_modified": "2026-01-01T00:00:00+00:00"}}, fingerprint="f")
    target.commit(written, cursor, "the plan", receipt(written))
    saved = lake.open(lake.columns).saved
    assert saved is not None
    assert (saved.token, saved.cursor, saved.plan_hash) == ("t-1", cursor, "the plan")
    assert saved.receipt == receipt(written)


def test_an_aborted_run_leaves_no_file(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1]))
    before = lake.files_on_disk()
    target, _ = lake.opened()
    write(target, lake.frame([2]))
    assert len(lake.files_on_disk()) == 2
    target.abort()
    assert lake.files_on_disk() == before and len(before) == 1
    assert lake.ids == [1]


def test_appending_keeps_and_replacing_replaces_what_is_there(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1, 2]))
    lake.load(lake.columns, lake.frame([3]))
    assert lake.ids == [1, 2, 3]
    lake.load(lake.columns, lake.frame([4]), replace=True)
    assert lake.ids == [4]
    lake.load(lake.columns, lake.frame([]), replace=True)
    assert lake.ids == []


def test_a_commit_without_rows_keeps_the_state(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1]))
    lake.load(lake.columns, lake.frame([]), cursor=Cursor(fingerprint="later"))
    saved = lake.open(lake.columns).saved
    assert saved is not None and saved.cursor.fingerprint == "later"
    assert lake.ids == [1]


def test_a_first_commit_without_rows_makes_the_table(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([]), cursor=Cursor(fingerprint="first"))
    opened = lake.open(lake.columns)
    assert opened.exists and opened.saved is not None and opened.saved.cursor.fingerprint == "first"
    assert lake.ids == []


def test_a_commit_that_is_repeated_is_done_once(lake: Lake) -> None:
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2]))
    assert commit(target, written).snapshot_id == commit(target, written).snapshot_id
    assert lake.ids == [1, 2]


def test_a_new_column_comes_with_the_rows(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1]))
    columns = (*lake.columns, Field(name="note", kind="string", required=True))
    assert lake.open(columns).changes == ("add column note string",)
    lake.load(columns, {"id": [2], "note": ["n"]})
    found = lake.existing(columns)
    assert found is not None and found.sort("id").rows() == [(1, None), (2, "n")]


def test_another_type_is_refused_before_anything_is_written(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1]))
    before = lake.files_on_disk()
    with pytest.raises(SchemaChangeRefused, match="'id' is long in the table and string in the contract"):
        lake.open([Field(name="id", kind="string")])
    assert lake.files_on_disk() == before


VALUES: list[tuple[Field, object]] = [
    (Field(name="s", kind="string"), "a\0\U0001f600"),
    (Field(name="u", kind="uuid"), "123e4567-e89b-12d3-a456-426614174000"),
    (Field(name="l", kind="long"), -(2**63)),
    (Field(name="f", kind="double"), 5e-324),
    (Field(name="d", kind="decimal", precision=38, scale=9), Decimal("9" * 29 + "." + "9" * 9)),
    (Field(name="b", kind="boolean"), False),
    (Field(name="day", kind="date"), datetime(9999, 12, 31, tzinfo=UTC).date()),
    (Field(name="t", kind="time"), datetime(1, 1, 1, 23, 59, 59, 999999, tzinfo=UTC).time()),
    (Field(name="ts", kind="timestamp"), datetime(1, 1, 1)),
    (Field(name="tz", kind="timestamptz"), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    (Field(name="bin", kind="binary"), bytes(range(256))),
    (Field(name="j", kind="json"), '{"a": [1]}'),
    (Field(name="li", kind="list", item=Field(name="element", kind="uuid")), ["123e4567-e89b-12d3-a456-426614174000"]),
    (Field(name="st", kind="struct", fields=(Field(name="x", kind="long"),)), {"x": 1}),
]


def test_every_type_comes_back_as_it_went_in(lake: Lake) -> None:
    columns = [field for field, _ in VALUES]
    frame = pl.DataFrame([pl.Series(f.name, [lake.possible(v), None], dtype=polars_type(f)) for f, v in VALUES])
    lake.load(columns, frame)
    found = lake.existing(columns)
    assert found is not None
    assert_frame_equal(found, frame)


def test_rejects_are_kept_apart_once_for_each_run(lake: Lake) -> None:
    row = {"file": "f.csv", "row": 1, "column": "id", "rule": "type_mismatch", "value": "x", "record": "{}"}
    violations = pl.DataFrame([row, {**row, "row": 2}], schema_overrides={"row": pl.Int64}).lazy()
    target, _ = lake.opened(token="t-1")
    assert target.keep_rejects(violations, "rejected") == 2
    assert target.keep_rejects(violations, "rejected") == 2
    again, _ = lake.opened(token="t-2")
    assert again.keep_rejects(violations.head(1), "refused") == 1
    kept = lake.rows(f"{lake.name}__rejects").sort("run", "row")
    assert kept.select("run", "job", "action", "row").rows() == [
        ("t-1", "acme.job", "rejected", 1), ("t-1", "acme.job", "rejected", 2), ("t-2", "acme.job", "refused", 1),
    ]  # fmt: skip
    assert kept.select("file", "column", "rule", "value", "record").unique().rows() == [
        ("f.csv", "id", "type_mismatch", "x", "{}")
    ]
    assert lake.existing() is None


def test_too_many_partitions_are_told_and_written_in_two_steps(lake: Lake, tmp_path: Path) -> None:
    target = lake.target()
    if not lake.partitioned:
        with pytest.raises(UnsupportedError, match="not partitioned by dativo, and the job wants id"):
            target.open(lake.shape(lake.columns, [Partition("id")]))
        return
    target.open(lake.shape(lake.columns, [Partition("id")]))
    with pytest.raises(TooManyPartitions):
        write(target, lake.frame(list(range(200))))
    target.abort()
    written = write(target, lake.frame(list(range(200))), spill=tmp_path / "spill")
    commit(target, written)
    read = target.existing(lake.columns)
    assert read is not None and sorted(read.collect()["id"].to_list()) == list(range(200))


def test_a_run_loads_and_the_next_one_has_nothing_to_do(lake: Lake) -> None:
    project = lake.project
    lake.make_job(
        "job",
        source={"files": [{"path": "data/people.csv"}], "incremental": {"strategy": "file_modified_time"}},
        schema_validation_mode="quarantine",
    )
    project.write("data/people.csv", "id\n1\n2\nx\n")
    first = project.sync()
    assert (first.status, first.loaded, first.rejected) == ("loaded", 2, 1), first.streams[0].error
    location = lake.changed_at()
    second = project.sync()
    assert (second.status, second.exit_code) == ("unchanged", 0)
    assert lake.changed_at() == location
    project.write("data/people.csv", "id\n1\n2\n3\n")
    third = project.sync()
    assert (third.status, third.loaded, third.streams[0].deduplicated) == ("loaded", 1, 2)
    assert lake.ids == [1, 2, 3]
    assert json.loads((project.root / ".local/state/acme/job.json").read_text())["_dativo"]["run_id"] == third.run_id


def test_a_catalog_that_cannot_be_reached_is_a_clear_error(project: Project) -> None:
    lake = Lake(project, {"catalog": {"type": "rest", "uri": "http://127.0.0.1:9"}})
    with pytest.raises(TargetError, match=r"opening the rest catalog http://127\.0\.0\.1:9 failed"):
        lake.open(lake.columns)
