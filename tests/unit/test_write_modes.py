"""Upserts, histories and deletes: what a table has after many runs, against models of plain dictionaries and lists."""

from __future__ import annotations

import csv
import io
import os
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dativo import Receipt, export, preview, show_table
from dativo.errors import ConfigError, UnsupportedError
from dativo.receipt import StreamReceipt
from tests.project import Project

Row = tuple[Any, ...]
HEADER = ("id", "at", "text")
FIELDS = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "at", "type": "date"},
    {"name": "text"},
]
INCREMENTAL = {"strategy": "file_modified_time", "cursor_field": "at"}


class Clock:
    """Modification times, each later than the one before, so that no change goes unseen however fast a test is."""

    now = 1_700_000_000_000_000_000


def write(project: Project, rows: list[Row], name: str = "a", header: tuple[str, ...] = HEADER) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(header)
    writer.writerows([["" if v is None else v for v in row] for row in rows])
    path = project.write(f"data/{name}.csv", stream.getvalue())
    Clock.now += 1_000_000_000
    os.utime(path, ns=(Clock.now, Clock.now))


def setup(
    project: Project,
    mode: str = "upsert",
    *,
    full: bool = False,
    fields: Any = FIELDS,
    validation: str = "strict",
    **target: Any,
) -> None:
    project.asset(fields)
    source: dict[str, Any] = {"files": [{"path": "data/*.csv"}]}
    if not full:
        source["incremental"] = INCREMENTAL
    project.job(source=source, target={"write_mode": mode, **target}, schema_validation_mode=validation)


def ran(receipt: Receipt) -> StreamReceipt:
    stream = receipt.streams[0]
    assert stream.status in ("loaded", "unchanged"), stream.error
    assert stream.extracted == stream.loaded + stream.rejected + stream.deduplicated
    return stream


def counts(receipt: Receipt) -> tuple[int, int, int, int]:
    stream = ran(receipt)
    return stream.loaded, stream.deduplicated, stream.updated, stream.deleted


def table(project: Project) -> list[Row]:
    found = project.rows().select(HEADER).rows()
    return sorted(((i, None if at is None else str(at), text) for i, at, text in found), key=repr)


# -- upsert ------------------------------------------------------------------------------------------------------------


def test_the_newest_version_of_a_key_stands(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-02", "new"), (1, "2024-01-01", "old"), (2, "2024-01-01", "two")])
    assert counts(project.sync()) == (2, 1, 0, 0)
    write(project, [(1, "2024-01-03", "newer"), (3, "2024-01-01", "three")])
    assert counts(project.sync()) == (2, 0, 1, 0)
    assert table(project) == [(1, "2024-01-03", "newer"), (2, "2024-01-01", "two"), (3, "2024-01-01", "three")]


def test_a_late_older_version_changes_nothing(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-02", "new")])
    project.sync()
    snapshots = project.snapshots()
    write(project, [(1, "2024-01-01", "late")])
    assert counts(project.sync()) == (0, 1, 0, 0)
    assert table(project) == [(1, "2024-01-02", "new")]
    assert project.snapshots() == snapshots


def test_rows_that_are_there_as_they_are_rewrite_no_file(project: Project) -> None:
    setup(project)
    rows: list[Row] = [(i, "2024-01-01", f"text {i}") for i in range(50)]
    write(project, rows)
    project.sync()
    before = {t.file.file_path for t in project.table().scan().plan_files()}
    write(project, [*rows, (1000, "2024-01-02", "new")])
    assert counts(project.sync()) == (1, 50, 0, 0)
    assert before < {t.file.file_path for t in project.table().scan().plan_files()}


def test_of_equal_cursors_the_later_in_the_source_stands_and_a_changed_row_replaces(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-01", "second file")], "b")
    write(project, [(1, "2024-01-01", "first file"), (1, "2024-01-01", "first file, second row")], "a")
    assert counts(project.sync()) == (1, 2, 0, 0)
    assert table(project) == [(1, "2024-01-01", "second file")]
    write(project, [(1, "2024-01-01", "mended")], "c")
    assert counts(project.sync()) == (1, 0, 1, 0)
    assert table(project) == [(1, "2024-01-01", "mended")]


def test_a_row_without_a_cursor_is_older_in_its_batch_and_replaces_in_the_table(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-01", "dated"), (1, None, "undated"), (2, None, "x"), (2, None, "y")])
    assert counts(project.sync()) == (2, 2, 0, 0)
    assert table(project) == [(1, "2024-01-01", "dated"), (2, None, "y")]
    write(project, [(1, None, "undated"), (2, "2020-01-01", "dated")])
    assert counts(project.sync()) == (2, 0, 2, 0)
    assert table(project) == [(1, None, "undated"), (2, "2020-01-01", "dated")]


def test_without_a_cursor_the_order_of_the_source_decides(project: Project) -> None:
    setup(project, full=True)
    write(project, [(1, "2024-01-02", "first"), (1, "2024-01-01", "second")])
    assert counts(project.sync()) == (1, 1, 0, 0)
    write(project, [(1, "2024-01-01", "third"), (2, None, "x")])
    assert counts(project.sync()) == (2, 0, 1, 0)
    assert table(project) == [(1, "2024-01-01", "third"), (2, None, "x")]


def test_cursors_are_compared_to_the_last_digit(project: Project) -> None:
    fields = [
        {"name": "id", "type": "integer", "primary_key": True},
        {"name": "at", "type": "timestamp"},
        {"name": "text"},
    ]
    setup(project, fields=fields)
    write(project, [(1, "2024-01-01 00:00:00.000002", "later"), (1, "2024-01-01 00:00:00.000001", "earlier")])
    project.sync()
    assert project.rows()["text"].to_list() == ["later"]
    write(project, [(1, "2024-01-01 00:00:00.000001", "earlier")])
    assert counts(project.sync()) == (0, 1, 0, 0)
    write(project, [(1, "2024-01-01 00:00:00.000003", "latest")])
    assert counts(project.sync()) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("type_", "older", "newer"),
    [
        ("integer", "9", "10"),
        ("string", "9", "a"),
        ("decimal(38,9)", "12345678901234567890123456789.000000001", "12345678901234567890123456789.000000002"),
        ("timestamptz", "2024-01-01T01:00:00+02:00", "2024-01-01T00:00:00Z"),
        ("double", "1e300", "1.0000000000000002e300"),
    ],
)
def test_any_ordered_type_is_a_cursor(project: Project, type_: str, older: str, newer: str) -> None:
    fields = [{"name": "id", "type": "integer", "primary_key": True}, {"name": "at", "type": type_}, {"name": "text"}]
    setup(project, fields=fields)
    write(project, [(1, newer, "newer"), (1, older, "older"), (2, older, "older")])
    project.sync()
    write(project, [(1, older, "older"), (2, newer, "newer")])
    assert counts(project.sync()) == (1, 1, 1, 0)
    assert project.rows().sort("id")["text"].to_list() == ["newer", "newer"]


def test_rows_without_a_key_are_compared_as_they_are(project: Project) -> None:
    setup(project, validation="warn")
    keyless: Row = (None, "2024-01-01", "x")
    write(project, [keyless, keyless, (1, "2024-01-01", "one")])
    assert counts(project.sync()) == (3, 0, 0, 0)
    write(project, [keyless, keyless, keyless, (1, "2024-01-02", "one")])
    assert counts(project.sync()) == (2, 2, 1, 0)
    assert table(project) == [(1, "2024-01-02", "one"), *[keyless] * 3]


def test_a_full_refresh_replaces_everything_and_keeps_one_row_a_key(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-02", "one"), (2, "2024-01-01", "two")])
    project.sync()
    write(project, [(1, "2024-01-01", "older"), (1, "2024-01-01", "older still"), (3, None, "three")])
    assert counts(project.sync(full_refresh=True)) == (2, 1, 0, 0)
    assert table(project) == [(1, "2024-01-01", "older still"), (3, None, "three")]
    write(project, [(1, "2024-01-01", "older still"), (3, None, "changed")], "b")
    assert counts(project.sync()) == (1, 1, 1, 0)


def test_a_full_refresh_replaces_rows_of_other_days_too(project: Project) -> None:
    setup(project, partitioning=["ingest_date"])
    write(project, [(1, "2024-01-02", "one")])
    project.sync()
    assert project.sync(full_refresh=True).loaded == 1
    assert table(project) == [(1, "2024-01-02", "one")]


def test_a_rejected_version_is_none_and_the_one_before_it_stands(project: Project) -> None:
    fields = [FIELDS[0], FIELDS[1], {"name": "text", "unique": True}]
    setup(project, fields=fields, validation="quarantine")
    write(project, [(1, "2024-01-01", "x"), (2, "2024-01-01", "y"), (2, "2024-01-02", "x"), (2, "2024-01-03", "y")])
    receipt = ran(project.sync())
    assert (receipt.loaded, receipt.rejected, receipt.deduplicated) == (2, 1, 1)
    assert table(project) == [(1, "2024-01-01", "x"), (2, "2024-01-03", "y")]
    write(project, [(1, "2024-01-05", "x"), (2, "soon", "z")])
    receipt = ran(project.sync())
    assert (receipt.loaded, receipt.rejected, receipt.updated) == (1, 1, 1)
    assert table(project) == [(1, "2024-01-05", "x"), (2, "2024-01-03", "y")]


# -- models ------------------------------------------------------------------------------------------------------------


def newest(rows: list[Row]) -> dict[int, Row]:
    """The newest version of each key in a batch."""
    found: dict[int, tuple[tuple[bool, str, int], Row]] = {}
    for place, row in enumerate(rows):
        rank = (row[1] is not None, row[1] or "", place)
        if row[0] not in found or rank > found[row[0]][0]:
            found[row[0]] = (rank, row)
    return {key: row for key, (_, row) in found.items()}


def upserted(model: dict[int, Row], rows: list[Row]) -> int:
    """Brings the model up to date; how many rows were written."""
    written = 0
    for key, row in newest(rows).items():
        have = model.get(key)
        older = have is not None and None not in (row[1], have[1]) and row[1] < have[1]
        if not older and row != have:
            model[key] = row
            written += 1
    return written


def some_rows(chance: random.Random, keys: int, most: int) -> list[Row]:
    days = [None, *(f"2024-01-0{d}" for d in range(1, 8))]
    return [
        (chance.randrange(keys), chance.choice(days), chance.choice("abc")) for _ in range(chance.randrange(1, most))
    ]


@pytest.mark.parametrize("seed", range(4))
def test_after_many_upserts_the_table_is_the_model(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    setup(project)
    model: dict[int, Row] = {}
    past: list[list[Row]] = []
    for number in range(12):
        rows = some_rows(chance, 12, 25)
        if past and chance.random() < 0.4:
            # A part of what was read before is read again, as a lookback does.
            rows = chance.choice(past)[: chance.randrange(1, 20)] + rows
        past.append(rows)
        write(project, rows, f"{number:02}")
        if chance.random() < 0.2:
            import shutil

            shutil.rmtree(project.root / ".local" / "keys")
        written = upserted(model, rows)
        receipt = ran(project.sync())
        assert (receipt.extracted, receipt.loaded) == (len(rows), written)
        assert table(project) == sorted(model.values(), key=repr)


class History:
    """A history as lists of versions [begin, end, row], in the order in which they began.

    `dated` tells whether the second column is the cursor; without one the order of the source is all there is.
    """

    def __init__(self, *, dated: bool) -> None:
        self.dated = dated
        self.versions: dict[int, list[list[Any]]] = {}

    def cursor(self, row: Row) -> str | None:
        return row[1] if self.dated else None

    def run(self, rows: list[Row], started: datetime, *, full: bool) -> int:
        """Brings the history up to date; how many rows were written."""
        by_key: dict[int, list[Row]] = {}
        for row in rows:
            by_key.setdefault(row[0], []).append(row)
        written = sum(self.chain(key, versions, started) for key, versions in by_key.items())
        for key, chain in self.versions.items() if full else ():
            if key not in by_key and chain[-1][1] is None:
                chain[-1][1] = max(started, chain[-1][0])
        return written

    def chain(self, key: int, versions: list[Row], started: datetime) -> int:
        chain = self.versions.setdefault(key, [])
        still = chain[-1] if chain and chain[-1][1] is None else None
        if any(self.cursor(v) is not None for v in versions):
            versions = [v for v in versions if self.cursor(v) is not None]
        known = self.cursor(still[2]) if still is not None else None
        versions = [v for v in versions if None in (known, self.cursor(v)) or self.cursor(v) >= known]  # type: ignore[operator]
        floor = None if not chain else (still[0] if still is not None else chain[-1][1])
        begins: dict[datetime, tuple[Any, Row]] = {}
        for place, row in enumerate(versions):
            at = self.cursor(row)
            since = started if at is None else datetime.fromisoformat(at).replace(tzinfo=UTC)
            since = since if floor is None else max(since, floor)
            rank = (at or "", place)
            if since not in begins or rank > begins[since][0]:
                begins[since] = (rank, row)
        written = 0
        for since in sorted(begins):
            row = begins[since][1]
            if still is not None and still[2] == row:
                continue
            if still is not None:
                still[1] = since
            still = [since, None, row]
            chain.append(still)
            written += 1
        return written

    def table(self) -> list[Row]:
        return sorted(
            ((*row, since, until, until is None) for chain in self.versions.values() for since, until, row in chain),
            key=repr,
        )


def history(project: Project) -> list[Row]:
    found = project.rows().select(*HEADER, "valid_from", "valid_to", "is_current").rows()
    return sorted(((i, None if at is None else str(at), *more) for i, at, *more in found), key=repr)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("full", [False, True])
def test_after_many_runs_the_history_is_the_model(project: Project, seed: int, full: bool) -> None:
    chance = random.Random(seed + 100 * full)
    setup(project, "scd2", full=full)
    model = History(dated=not full)
    past: list[list[Row]] = []
    for number in range(8):
        rows = some_rows(chance, 8, 16)
        if past and chance.random() < 0.4:
            rows = chance.choice(past)[: chance.randrange(1, 10)] + rows
        past.append(rows)
        write(project, rows, "a" if full else f"{number:02}")
        receipt = project.sync()
        started = datetime.fromisoformat(receipt.started_at)
        found = history(project)
        # The run began within the millisecond that the receipt names.
        times = {
            t for row in found for t in row[3:5] if t is not None and started <= t < started + timedelta(milliseconds=1)
        }
        written = model.run(rows, next(iter(times), started), full=full)
        assert ran(receipt).loaded == written
        assert found == model.table()
        live = [row[0] for row in found if row[5]]
        assert len(live) == len(set(live))


# -- history -----------------------------------------------------------------------------------------------------------


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_versions_of_one_batch_become_a_chain(project: Project) -> None:
    setup(project, "scd2")
    write(
        project,
        [(1, "2024-01-03", "c"), (1, "2024-01-01", "a"), (1, "2024-01-01", "a"), (2, "2024-01-01", "x")],
    )
    assert counts(project.sync()) == (3, 1, 0, 0)
    assert history(project) == [
        (1, "2024-01-01", "a", day("2024-01-01"), day("2024-01-03"), False),
        (1, "2024-01-03", "c", day("2024-01-03"), None, True),
        (2, "2024-01-01", "x", day("2024-01-01"), None, True),
    ]
    write(project, [(1, "2024-01-05", "d"), (1, "2024-01-02", "late"), (2, "2024-01-01", "x")])
    assert counts(project.sync()) == (1, 2, 1, 0)
    assert history(project)[1:3] == [
        (1, "2024-01-03", "c", day("2024-01-03"), day("2024-01-05"), False),
        (1, "2024-01-05", "d", day("2024-01-05"), None, True),
    ]


def test_of_versions_with_one_time_the_last_stands_and_a_correction_closes_the_open_one(project: Project) -> None:
    setup(project, "scd2")
    write(project, [(1, "2024-01-01", "a"), (1, "2024-01-01", "b"), (1, None, "undated")])
    assert counts(project.sync()) == (1, 2, 0, 0)
    write(project, [(1, "2024-01-01", "c")])
    assert counts(project.sync()) == (1, 0, 1, 0)
    assert history(project) == [
        (1, "2024-01-01", "b", day("2024-01-01"), day("2024-01-01"), False),
        (1, "2024-01-01", "c", day("2024-01-01"), None, True),
    ]


def test_without_a_time_as_cursor_versions_begin_when_the_run_did(project: Project) -> None:
    fields = [FIELDS[0], {"name": "at", "type": "integer"}, FIELDS[2]]
    setup(project, "scd2", fields=fields)
    write(project, [(1, 7, "new"), (1, 5, "old")])
    receipt = project.sync()
    assert ran(receipt).loaded == 1
    ((row),) = project.rows().rows(named=True)
    assert (row["text"], row["is_current"], row["valid_to"]) == ("new", True, None)
    assert abs(row["valid_from"] - datetime.fromisoformat(receipt.started_at)) < timedelta(milliseconds=1)
    write(project, [(1, 6, "late"), (1, 8, "newer")])
    assert counts(project.sync()) == (1, 1, 1, 0)
    first, second = project.rows().sort("valid_from").rows(named=True)
    assert first["valid_to"] == second["valid_from"]


def test_a_key_that_vanished_is_closed_by_a_full_load_and_opens_again_when_it_comes_back(project: Project) -> None:
    setup(project, "scd2", full=True)
    write(project, [(1, None, "a"), (2, None, "b")])
    project.sync()
    write(project, [(2, None, "b")])
    assert counts(project.sync()) == (0, 1, 0, 1)
    found = {row[0]: row for row in history(project)}
    assert (found[1][5], found[2][5]) == (False, True)
    assert found[1][4] > found[1][3]
    assert counts(project.sync()) == (0, 0, 0, 0)
    write(project, [(1, None, "a"), (2, None, "b")])
    assert ran(project.sync()).loaded == 1
    assert [row[5] for row in history(project) if row[0] == 1].count(True) == 1


def test_a_limited_run_closes_nothing(project: Project) -> None:
    setup(project, "scd2", full=True)
    write(project, [(1, None, "a"), (2, None, "b")])
    project.sync()
    write(project, [(1, None, "changed"), (2, None, "b")])
    assert counts(project.sync(limit=1)) == (1, 0, 1, 0)
    assert sum(row[5] for row in history(project)) == 2


def test_a_full_refresh_begins_the_history_anew(project: Project) -> None:
    setup(project, "scd2")
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    write(project, [(1, "2024-01-02", "b")])
    assert ran(project.sync()).loaded == 1
    assert len(history(project)) == 2
    assert ran(project.sync(full_refresh=True)).loaded == 1
    assert history(project) == [(1, "2024-01-02", "b", day("2024-01-02"), None, True)]


def test_rows_of_another_write_mode_have_no_history(project: Project) -> None:
    setup(project, "append")
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    setup(project, "scd2")
    write(project, [(1, "2024-01-02", "b")])
    receipt = project.sync().streams[0]
    assert (receipt.status, receipt.loaded) == ("failed", 0)
    assert "--full-refresh" in receipt.error
    assert ran(project.sync(full_refresh=True)).loaded == 1


def test_showing_exporting_and_previewing_know_the_columns_of_a_history(project: Project) -> None:
    setup(project, "scd2")
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    job = project.load()
    assert show_table(job).rows.columns == [*HEADER, "valid_from", "valid_to", "is_current"]
    export(job, format="jsonl", out=project.root / "out.jsonl")
    assert '"valid_from":' in (project.root / "out.jsonl").read_text()
    assert preview(job).rows.columns == list(HEADER)


# -- deletes -----------------------------------------------------------------------------------------------------------


def deleted_at(project: Project) -> dict[int, datetime | None]:
    return dict(project.rows().select("id", "_deleted_at").rows())


def test_hard_deletes_take_rows_out_that_left_the_source(project: Project) -> None:
    setup(project, full=True, detect_deletes="hard")
    write(project, [(1, None, "a"), (2, None, "b"), (3, None, "c")])
    assert counts(project.sync()) == (3, 0, 0, 0)
    write(project, [(2, None, "b"), (3, None, "changed")])
    assert counts(project.sync()) == (1, 1, 1, 1)
    assert table(project) == [(2, None, "b"), (3, None, "changed")]
    write(project, [(1, None, "a"), (3, None, "changed")])
    assert counts(project.sync()) == (1, 1, 0, 1)
    assert table(project) == [(1, None, "a"), (3, None, "changed")]


def test_soft_deletes_mark_rows_and_a_row_that_comes_back_lives(project: Project) -> None:
    setup(project, full=True, detect_deletes="soft")
    write(project, [(1, None, "a"), (2, None, "b")])
    project.sync()
    assert deleted_at(project) == {1: None, 2: None}
    write(project, [(2, None, "b")])
    receipt = project.sync()
    assert counts(receipt) == (0, 1, 0, 1)
    gone = deleted_at(project)
    assert gone[1] is not None
    assert gone[2] is None
    write(project, [(2, None, "c")])
    assert counts(project.sync()) == (1, 0, 1, 0)
    assert deleted_at(project) == {1: gone[1], 2: None}
    write(project, [(1, None, "a"), (2, None, "c")])
    assert counts(project.sync()) == (1, 1, 1, 0)
    assert deleted_at(project) == {1: None, 2: None}


def test_a_rejected_row_is_in_the_source_all_the_same(project: Project) -> None:
    setup(project, full=True, detect_deletes="hard", validation="quarantine")
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b"), (3, None, "c")])
    project.sync()
    write(project, [(1, "soon", "a"), (3, None, "c")])
    receipt = ran(project.sync())
    assert (receipt.rejected, receipt.deleted) == (1, 1)
    assert [row[0] for row in table(project)] == [1, 3]


def test_a_row_whose_key_cannot_be_read_may_be_any_row(project: Project) -> None:
    setup(project, full=True, detect_deletes="hard", validation="quarantine")
    write(project, [(1, None, "a"), (2, None, "b")])
    project.sync()
    write(project, [(1, None, "a"), ("two", None, "b")])
    receipt = ran(project.sync())
    assert receipt.deleted == 0
    assert any("cannot be read" in note for note in receipt.warnings)
    assert len(table(project)) == 2


def test_an_empty_source_deletes_nothing(project: Project) -> None:
    setup(project, full=True, detect_deletes="hard")
    write(project, [(1, None, "a")])
    project.sync()
    write(project, [])
    receipt = project.sync().streams[0]
    assert receipt.status == "failed"
    assert "nothing was deleted" in receipt.error
    assert len(table(project)) == 1
    assert project.sync(full_refresh=True).exit_code == 0
    assert table(project) == []


def test_a_limited_run_deletes_nothing(project: Project) -> None:
    setup(project, full=True, detect_deletes="hard")
    write(project, [(1, None, "a"), (2, None, "b")])
    project.sync()
    write(project, [(1, None, "a"), (3, None, "c")])
    assert ran(project.sync(limit=1)).deleted == 0
    assert len(table(project)) == 2


def test_rows_of_another_job_are_not_taken_for_deleted(project: Project) -> None:
    setup(project, full=True, detect_deletes="hard")
    project.job(
        name="other", source={"files": [{"path": "other/*.csv"}]}, target={"write_mode": "append"}
    )  # fmt: skip
    write(project, [(1, None, "a")])
    project.sync()
    project.write("other/b.csv", "id,at,text\n2,,b\n")
    project.sync("other")
    write(project, [(3, None, "c")])
    receipt = project.sync().streams[0]
    assert receipt.status == "failed"
    assert "job" in receipt.error
    assert [row[0] for row in table(project)] == [1, 2]


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("seed", range(2))
def test_after_many_runs_with_deletes_the_table_is_the_model(project: Project, kind: str, seed: int) -> None:
    chance = random.Random(seed)
    setup(project, full=True, detect_deletes=kind)
    model: dict[int, Row] = {}
    gone: set[int] = set()
    for _ in range(8):
        rows = [(key, None, chance.choice("ab")) for key in chance.sample(range(10), chance.randrange(1, 9))]
        write(project, rows)
        receipt = ran(project.sync())
        left = {k for k in model if k not in gone} - {r[0] for r in rows}
        assert receipt.deleted == len(left)
        gone = (gone | left) - {r[0] for r in rows}
        model.update({r[0]: r for r in rows})
        if kind == "hard":
            model = {k: r for k, r in model.items() if k not in gone}
            gone = set()
        else:
            assert {k for k, at in deleted_at(project).items() if at is not None} == gone
        assert table(project) == sorted(model.values(), key=repr)


# -- refusals ----------------------------------------------------------------------------------------------------------


def refusal(project: Project) -> str:
    with pytest.raises((UnsupportedError, ConfigError)) as found:
        project.sync()
    return found.value.render()


def test_targets_that_cannot_replace_rows_refuse(project: Project) -> None:
    setup(project)
    project.job(
        target_connector_path="connectors/targets/s3.yaml",
        source={"files": [{"path": "data/*.csv"}], "incremental": INCREMENTAL},
        target={"write_mode": "upsert", "connection": {"s3": {"bucket": "b"}}},
    )
    write(project, [])
    told = refusal(project)
    assert "cannot replace single rows" in told
    assert "iceberg" in told
    assert "append" in told


@pytest.mark.parametrize(
    ("mode", "more", "name"),
    [("scd2", {}, "valid_to"), ("scd2", {}, "Is_Current"), ("upsert", {"detect_deletes": "soft"}, "_deleted_at")],
)
def test_columns_of_the_write_modes_own_names_refuse(
    project: Project, mode: str, more: dict[str, Any], name: str
) -> None:
    setup(project, mode, full=True, fields=[FIELDS[0], {"name": name}], **more)
    write(project, [])
    assert name.casefold() in refusal(project)


def test_keys_and_cursors_that_privacy_changes_refuse(project: Project) -> None:
    setup(project)
    for column, what in (("id", "key"), ("at", "cursor")):
        project.job(
            source={"files": [{"path": "data/*.csv"}], "incremental": INCREMENTAL},
            target={"write_mode": "upsert"},
            privacy={"warehouse": {"columns": {column: "redact"}}},
        )
        assert f"the {what} '{column}'" in refusal(project)


def test_deletes_cannot_be_noticed_in_files_that_are_read_in_part(project: Project) -> None:
    setup(project, detect_deletes="hard")
    write(project, [(1, "2024-01-01", "a")])
    receipt = project.sync().streams[0]
    assert receipt.status == "failed"
    assert "leave source.incremental out" in receipt.error


# -- other sources and shapes ------------------------------------------------------------------------------------------


def test_parquet_with_a_cursor_of_its_own_type(project: Project) -> None:
    fields = [{"name": "id", "primary_key": True}, {"name": "at", "type": "timestamptz"}, {"name": "text"}]
    project.asset(fields)
    project.job(
        source_connector_path="connectors/sources/parquet.yaml",
        source={"files": [{"path": "data/*.parquet"}], "incremental": INCREMENTAL},
        target={"write_mode": "upsert"},
    )
    schema = {"id": pl.String, "at": pl.Datetime("us", "UTC"), "text": pl.String}
    at = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [("a", at, "x"), ("a", at + timedelta(microseconds=1), "y"), ("b", None, "z")]
    (project.root / "data").mkdir(exist_ok=True)
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(project.root / "data/1.parquet")
    assert counts(project.sync()) == (2, 1, 0, 0)
    pl.DataFrame(rows[:1], schema=schema, orient="row").write_parquet(project.root / "data/2.parquet")
    assert counts(project.sync()) == (0, 1, 0, 0)
    assert sorted(project.rows()["text"].to_list()) == ["y", "z"]


def test_a_key_of_several_columns_with_awkward_names(project: Project) -> None:
    header = ("file", "row", "complete", 'da\'ta "x"', "since")
    fields = [{"name": n, "primary_key": n in ("file", "row", header[3])} for n in header]
    setup(project, full=True, fields=fields, detect_deletes="hard")
    write(project, [("a", "b", "1", "k", "x"), ("ab", "-", "1", "k", "x")], header=header)
    assert ran(project.sync()).loaded == 2
    write(project, [("a", "b", "2", "k", "x")], header=header)
    assert counts(project.sync()) == (1, 0, 1, 1)
    assert project.rows().rows() == [("a", "b", "2", "k", "x")]


def test_a_column_that_the_contract_gets_makes_rows_new_only_where_it_has_values(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b")])
    project.sync()
    setup(project, fields=[*FIELDS, {"name": "more"}])
    write(project, [(1, "2024-01-01", "a", ""), (2, "2024-01-01", "b", "x")], header=(*HEADER, "more"))
    assert counts(project.sync()) == (1, 1, 1, 0)


def test_hashed_keys_are_keys(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATIVO_SECRET__ACME__PRIVACY_KEY", "0" * 64)
    fields = [{"name": "id", "primary_key": True}, *FIELDS[1:]]
    setup(project, fields=fields)
    project.job(
        source={"files": [{"path": "data/*.csv"}], "incremental": INCREMENTAL},
        target={"write_mode": "upsert"},
        privacy={"warehouse": {"columns": {"id": "hash"}}},
    )
    write(project, [("x", "2024-01-01", "a"), ("y", "2024-01-01", "b")])
    assert ran(project.sync()).loaded == 2
    write(project, [("x", "2024-01-02", "c"), ("y", "2024-01-01", "b")])
    assert counts(project.sync()) == (1, 1, 1, 0)
    assert sorted(project.rows()["text"].to_list()) == ["b", "c"]
