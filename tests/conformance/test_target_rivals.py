"""Runs of one job and of several against one place of a target: who wins, and that nobody's rows are lost or doubled."""

from __future__ import annotations

import threading

import polars as pl
import pytest

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.errors import CommitConflict
from dativo.targets.protocol import Written
from tests.lake import Lake, commit, write


@pytest.mark.parametrize("rows", [[3], []], ids=["rows", "state alone"])
def test_a_rival_run_of_the_same_job_wins_and_the_slower_one_changes_nothing(lake: Lake, rows: list[int]) -> None:
    lake.load(lake.columns, lake.frame([1]))
    slow, _ = lake.opened()
    written = write(slow, lake.frame([2]))
    lake.load(lake.columns, lake.frame(rows))
    with pytest.raises(CommitConflict, match="another run of this job committed"):
        commit(slow, written)
    slow.abort()
    assert lake.ids == [1, *rows]


@pytest.mark.parametrize("rows", [[3], []], ids=["rows", "state alone"])
def test_a_rival_that_makes_the_table_first_wins(lake: Lake, rows: list[int]) -> None:
    slow, _ = lake.opened()
    written = write(slow, lake.frame([2]))
    lake.load(lake.columns, lake.frame(rows))
    with pytest.raises(CommitConflict):
        commit(slow, written)
    assert lake.ids == rows


@pytest.mark.parametrize("theirs", [[3], []], ids=["their rows", "their state"])
@pytest.mark.parametrize("ours", [[2], []], ids=["our rows", "our state"])
@pytest.mark.parametrize("there", [[1], None], ids=["a table", "no table"])
def test_a_rival_between_our_last_look_and_our_commit_wins(
    lake: Lake, there: list[int] | None, ours: list[int], theirs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if there is not None:
        lake.load(lake.columns, lake.frame(there))
    slow, _ = lake.opened()
    written = write(slow, lake.frame(ours))

    def rival() -> None:
        lake.load(lake.columns, lake.frame(theirs))

    lake.before_next_commit(slow, rival, monkeypatch)
    with pytest.raises(CommitConflict):
        commit(slow, written)
    slow.abort()
    assert lake.ids == [*(there or []), *theirs]
    assert len(lake.files_on_disk()) == len(lake.data_files())


def test_two_jobs_that_append_to_one_table_both_land(lake: Lake) -> None:
    other = lake.of_job("other")
    lake.load(lake.columns, lake.frame([1]))
    slow, _ = lake.opened()
    written = write(slow, lake.frame([2]))
    other.load(lake.columns, lake.frame([3]))
    commit(slow, written)
    assert lake.ids == [1, 2, 3]
    opened = lake.open(lake.columns)
    assert opened.shared == ("acme.other.people",)


def test_two_jobs_that_make_one_table_at_once_both_land(lake: Lake) -> None:
    other = lake.of_job("other")
    slow, _ = lake.opened()
    written = write(slow, lake.frame([1]))
    other.load(lake.columns, lake.frame([2]))
    commit(slow, written)
    assert lake.ids == [1, 2]


def test_eight_jobs_that_append_at_the_same_moment_all_land(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([0]))
    ready = []
    for number in range(1, 9):
        target, _ = lake.of_job(f"job_{number}").opened()
        ready.append((target, write(target, lake.frame([number]))))
    failures: list[BaseException] = []

    def land(target: object, written: Written) -> None:
        try:
            commit(target, written)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=land, args=pair) for pair in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert lake.ids == list(range(9))


@pytest.mark.parametrize("change", ["columns", "partitioning"])
def test_a_table_that_another_job_makes_in_another_shape_meanwhile_refuses_the_rows(lake: Lake, change: str) -> None:
    slow, _ = lake.opened()
    written = write(slow, lake.frame([1]))
    columns = (Field(name="x", kind="string"), *lake.columns)
    rows = pl.DataFrame({"x": ["a"], "id": [2]})
    other = lake.of_job("other")
    if change == "columns":
        other.load(columns, rows)
    elif lake.partitioned:
        other.load(lake.columns, rows.select("id"), partitioning=[Partition("id")])
    else:
        other.load((Field(name="id", kind="double"),), rows.select(pl.col("id").cast(pl.Float64)))
    with pytest.raises(CommitConflict, match=r"the shape of .* changed while this run was reading"):
        commit(slow, written)
    assert other.rows()["id"].to_list() == [2]
