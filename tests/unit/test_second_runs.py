"""What a second run does: append, replace, incremental files; each held against a short model in plain Python."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.project import Project

KEYED = [
    {"name": "k1", "primary_key": True},
    {"name": "k2", "primary_key": True},
    {"name": "v", "type": "integer"},
]
LOOSE = [{"name": "k1"}, {"name": "k2"}, {"name": "v", "type": "integer"}]
INCREMENTAL = {"strategy": "file_modified_time"}
# Parts that make equal texts when they are joined carelessly.
PARTS = st.sampled_from(["a", "ab", "b", "", "1:a", "a,b", "|", "null"])
ROW = st.tuples(PARTS, PARTS, st.integers(0, 2))

Row = tuple[str | None, str | None, int]


def write(project: Project, rows: list[Row], moment: int, name: str = "people") -> None:
    lines = ["k1,k2,v"]
    lines += [",".join(f'"{c}"' if isinstance(c, str) else "" if c is None else str(c) for c in row) for row in rows]
    path = project.write(f"data/{name}.csv", "\n".join(lines) + "\n")
    os.utime(path, ns=(moment * 10**9, moment * 10**9))


def job(project: Project, fields: list[dict[str, Any]], incremental: bool, **more: Any) -> None:
    project.asset(fields)
    source: dict[str, Any] = {
        "files": [{"path": "data/people.csv"}],
        "engine": {"options": {"null_values": ["NIL"]}},
    }
    if incremental:
        source["incremental"] = INCREMENTAL
    project.job(source=source, **more)


def rows(project: Project) -> Counter[Row]:
    return Counter(project.rows().rows())


def fresh(path: Path) -> Project:
    import tempfile

    project = Project(Path(tempfile.mkdtemp(dir=path)))
    os.chdir(project.root)
    return project


@settings(max_examples=12)
@given(runs=st.lists(st.lists(ROW, max_size=6), min_size=2, max_size=3))
def test_append_without_a_key_keeps_equal_rows_and_adds_none_that_is_there(
    project: Project, runs: list[list[Row]]
) -> None:
    project = fresh(project.root)
    job(project, LOOSE, incremental=True)
    model: Counter[Row] = Counter()
    for moment, run in enumerate(runs, 1):
        write(project, run, moment)
        receipt = project.sync().streams[0]
        # The n-th equal row of a file is there already when n copies are.
        new = Counter(run) - model
        assert receipt.status == "loaded"
        assert (receipt.extracted, receipt.loaded) == (len(run), new.total())
        model += new
        assert rows(project) == model


@settings(max_examples=12)
@given(runs=st.lists(st.lists(ROW, max_size=6), min_size=2, max_size=3))
def test_append_with_a_key_adds_each_version_of_a_row_once(project: Project, runs: list[list[Row]]) -> None:
    project = fresh(project.root)
    job(project, KEYED, incremental=True)
    model: set[Row] = set()
    for moment, run in enumerate(runs, 1):
        write(project, run, moment)
        receipt = project.sync().streams[0]
        new = set(run) - model
        assert (receipt.loaded, receipt.deduplicated) == (len(new), len(run) - len(new))
        model |= new
        assert rows(project) == Counter(model)


@settings(max_examples=8)
@given(runs=st.lists(st.lists(ROW, max_size=6), min_size=2, max_size=3))
def test_a_full_load_leaves_what_the_source_has_now(project: Project, runs: list[list[Row]]) -> None:
    project = fresh(project.root)
    job(project, LOOSE, incremental=False)
    for moment, run in enumerate(runs, 1):
        write(project, run, moment)
        assert project.sync().exit_code == 0
        assert rows(project) == Counter(run)


def test_nulls_and_empty_texts_are_different_rows(project: Project) -> None:
    job(project, LOOSE, incremental=True)
    first = 'k1,k2,v\nNIL,a,1\n"",a,1\nnull,a,1\na,NIL,1\n'
    path = project.write("data/people.csv", first)
    assert project.sync().loaded == 4
    path.write_text(first + "NIL,a,1\n")
    os.utime(path, ns=(10**18, 10**18))
    receipt = project.sync().streams[0]
    assert (receipt.loaded, receipt.deduplicated) == (1, 4)
    assert rows(project)[(None, "a", 1)] == 2


def test_a_key_may_not_be_null(project: Project) -> None:
    job(project, KEYED, incremental=True, schema_validation_mode="quarantine")
    project.write("data/people.csv", "k1,k2,v\nNIL,a,1\nb,a,1\n")
    receipt = project.sync()
    assert (receipt.loaded, receipt.rejected) == (1, 1)
    assert project.rejects()["rule"].to_list() == ["missing_required"]


def test_a_source_that_has_not_changed_is_not_read_again(project: Project) -> None:
    for incremental in (False, True):
        job(project, LOOSE, incremental=incremental)
        write(project, [("a", "b", 1)], 7)
        project.sync()
        snapshots = project.snapshots()
        receipt = project.sync()
        assert (receipt.exit_code, receipt.status) == (0, "unchanged")
        assert receipt.streams[0].files_skipped == 1
        assert project.snapshots() == snapshots


def test_a_full_refresh_reads_everything_and_replaces(project: Project) -> None:
    job(project, LOOSE, incremental=True)
    write(project, [("a", "b", 1)], 1)
    project.sync()
    write(project, [("c", "d", 2)], 2)
    project.sync()
    assert rows(project).total() == 2
    assert project.sync(full_refresh=True).loaded == 1
    assert rows(project) == Counter([("c", "d", 2)])


def globbed(project: Project, **incremental: Any) -> None:
    project.asset(LOOSE)
    project.job(source={"files": [{"path": "data/*.csv"}], "incremental": {**INCREMENTAL, **incremental}})


def test_of_a_glob_only_new_and_changed_files_are_read(project: Project) -> None:
    globbed(project)
    write(project, [("a", "b", 1)], 100, "one")
    write(project, [("c", "d", 2)], 200, "two")
    assert project.sync().streams[0].files_read == 2
    write(project, [("e", "f", 3)], 300, "three")
    receipt = project.sync().streams[0]
    assert (receipt.files_read, receipt.files_skipped, receipt.loaded) == (1, 2, 1)
    write(project, [("a", "b", 1), ("g", "h", 4)], 400, "one")
    receipt = project.sync().streams[0]
    assert (receipt.extracted, receipt.loaded, receipt.deduplicated) == (2, 1, 1)
    assert rows(project).total() == 4


def test_a_file_at_the_watermark_is_not_lost(project: Project) -> None:
    globbed(project)
    write(project, [("a", "b", 1)], 100, "one")
    project.sync()
    write(project, [("c", "d", 2)], 100, "two")
    assert project.sync().loaded == 1


def test_a_file_older_than_the_watermark_is_told(project: Project) -> None:
    globbed(project)
    write(project, [("a", "b", 1)], 200, "one")
    project.sync()
    write(project, [("c", "d", 2)], 100, "old")
    write(project, [("e", "f", 3)], 300, "new")
    receipt = project.sync().streams[0]
    assert receipt.loaded == 1
    assert any("before the watermark" in w for w in receipt.warnings)


def test_a_lookback_reads_young_files_again_and_doubles_nothing(project: Project) -> None:
    import time

    globbed(project, lookback_days=2)
    now = int(time.time())
    write(project, [("a", "b", 1)], now - 5 * 86400, "old")
    write(project, [("c", "d", 2)], now - 86400, "young")
    project.sync()
    receipt = project.sync().streams[0]
    assert (receipt.files_read, receipt.loaded, receipt.deduplicated) == (1, 0, 1)
    assert rows(project).total() == 2


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_the_job_may_choose_the_write_mode(project: Project, mode: str) -> None:
    job(project, LOOSE, incremental=False, target={"write_mode": mode})
    write(project, [("a", "b", 1)], 1)
    project.sync()
    write(project, [("c", "d", 2)], 2)
    project.sync()
    assert rows(project).total() == (2 if mode == "append" else 1)
