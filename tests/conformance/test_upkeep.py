"""The upkeep of tables in every catalog: rows stay, files and snapshots go only when nothing needs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.config.field import Field
from dativo.config.partition import INGEST_DATE, Partition
from dativo.errors import CommitConflict, TargetError
from dativo.pipeline.run import run_token
from dativo.targets.iceberg.upkeep.compact import live_files
from dativo.targets.upkeep import NotHere, TableKeeper, Wanted
from tests.conformance.lakes import LAKES
from tests.lake import STARTED, Lake, commit, write
from tests.project import Project

ICEBERG = [p for p in LAKES if p.id in ("embedded", "sql", "rest", "nessie")]


@pytest.fixture(params=ICEBERG)
def lake(project: Project, request: pytest.FixtureRequest) -> Lake:
    made: Lake = request.param(project, request)
    return made


def keeper(lake: Lake) -> TableKeeper:
    job = lake.project.load(lake.job)
    return connectors.keeper(job, job.streams[0])


def wanted(**more: Any) -> Wanted:
    """To act at once, whatever the age."""
    return Wanted(act=True, token=str(run_token(datetime.now(UTC))), older_than_days=0, keep_days=0, **more)


def is_nessie(lake: Lake) -> bool:
    return "nessie" in str(lake.target_block)


def fill(lake: Lake, count: int = 6) -> list[int]:
    for number in range(count):
        lake.load(lake.columns, lake.frame([number]))
    return list(range(count))


def files(lake: Lake) -> set[str]:
    """The data files of the current snapshot as they are called on the disk."""
    return {live.file.file_path.removeprefix("file://") for live in live_files(lake.table())}


# -- compaction ---------------------------------------------------------------------------------------------------------


def test_small_files_become_one_and_every_row_stays(lake: Lake) -> None:
    ids = fill(lake)
    before = lake.table()
    told = keeper(lake).compact(lake.name, Wanted())
    assert (told.files_before, told.files_after, told.bytes_after) == (6, 1, None)
    assert len(lake.data_files()) == 6
    done = keeper(lake).compact(lake.name, wanted())
    assert (done.files_before, done.files_after, done.merged, done.made, done.rows) == (6, 1, 6, 1, 6)
    table = lake.table()
    [file] = lake.data_files()
    assert done.bytes_after == file.file_size_in_bytes < done.bytes_before
    assert lake.ids == ids and lake.rows()["id"].to_list() == ids
    summary = table.current_snapshot().summary
    assert summary is not None and summary.operation.value == "replace"
    assert {k: summary[k] for k in ("total-records", "total-data-files")} == {
        "total-records": "6",
        "total-data-files": "1",
    }
    own = {k: v for k, v in table.properties.items() if not k.startswith(("dativo.maintain", "nessie."))}
    assert own == {k: v for k, v in before.properties.items() if not k.startswith("nessie.")}


def test_jobs_go_on_after_a_compaction_as_if_there_had_been_none(lake: Lake) -> None:
    ids = fill(lake)
    slow, _ = lake.opened()
    written = write(slow, lake.frame([100]))
    keeper(lake).compact(lake.name, wanted())
    commit(slow, written)
    assert lake.ids == [*ids, 100] and len(lake.data_files()) == 2
    lake.load(lake.columns, lake.frame([7]), replace=True)
    assert lake.ids == [7] and len(lake.data_files()) == 1


def rival(lake: Lake, monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """Lets a rival do something when a compaction has written its files and is about to commit."""
    import dativo.targets.iceberg.upkeep.compact as module

    real = module.commit

    def later(*given: Any) -> Any:
        work()
        return real(*given)

    monkeypatch.setattr(module, "commit", later)


def test_what_a_rival_appends_meanwhile_stays(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = fill(lake)
    rival(lake, monkeypatch, lambda: lake.load(lake.columns, lake.frame([50])))
    keeper(lake).compact(lake.name, wanted())
    assert lake.ids == [*ids, 50] and len(lake.data_files()) == 2


def test_a_rival_that_replaces_rows_meanwhile_wins(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake)
    before = lake.files_on_disk()
    rival(lake, monkeypatch, lambda: lake.load(lake.columns, lake.frame([50]), replace=True))
    with pytest.raises(CommitConflict, match="another run replaced rows"):
        keeper(lake).compact(lake.name, wanted())
    assert lake.ids == [50]
    # What it had written is gone again.
    assert len(lake.files_on_disk()) == len(before) + 1


def test_a_rival_that_drops_the_table_meanwhile_wins(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake)
    rival(lake, monkeypatch, lambda: lake.catalog.drop_table(lake.name))
    with pytest.raises(CommitConflict):
        keeper(lake).compact(lake.name, wanted())
    assert keeper(lake).tables() == ()


def test_of_two_compactions_at_once_one_wins(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = fill(lake)
    other = keeper(lake)

    def first() -> None:
        monkeypatch.undo()
        other.compact(lake.name, wanted())

    rival(lake, monkeypatch, first)
    with pytest.raises(CommitConflict):
        keeper(lake).compact(lake.name, wanted())
    assert lake.ids == ids and len(lake.data_files()) == 1


def test_partitions_and_days_of_loading_stay_apart(lake: Lake) -> None:
    columns = (Field(name="id", kind="long"), Field(name="place", kind="string"))
    parts = [Partition("place")]
    for number in range(5):
        rows = pl.DataFrame({"id": [number, number + 10, number + 20], "place": ["a/b", None, "null"]})
        lake.load(columns, rows, partitioning=parts)
    before = lake.rows().sort("id").rows()
    done = keeper(lake).compact(lake.name, wanted())
    assert (done.files_before, done.files_after) == (15, 3)
    assert lake.rows().sort("id").rows() == before
    assert sorted(str(f.partition[0]) for f in lake.data_files()) == ["None", "a/b", "null"]
    folders = {f.file_path.rpartition("/")[0] for f in lake.data_files()}
    assert all("/data/place=" in folder for folder in folders), folders


def test_files_of_different_days_are_not_merged_so_that_a_day_can_still_be_replaced(lake: Lake) -> None:
    columns = (Field(name="id", kind="long"), Field(name=INGEST_DATE, kind="date"))
    parts = [Partition(INGEST_DATE, "month")]
    for number in range(10):
        day = STARTED + timedelta(days=number % 2)
        rows = pl.DataFrame({"id": [number], INGEST_DATE: [day.date()]})
        lake.load(columns, rows, partitioning=parts, started=day)
    assert keeper(lake).compact(lake.name, wanted()).files_after == 2
    assert len(lake.data_files()) == 2 and lake.rows().height == 10


def test_columns_that_came_later_and_types_that_grew_are_read_right(lake: Lake) -> None:
    narrow = (Field(name="id", kind="long"), Field(name="amount", kind="decimal", precision=8, scale=2))
    wide = (
        Field(name="id", kind="long"),
        Field(name="amount", kind="decimal", precision=12, scale=2),
        Field(name="note", kind="string"),
    )
    lake.project.job(lake.job, target={**lake.target_block, "mode": "relaxed"})
    for number in range(3):
        rows = pl.DataFrame({"id": [number]}).with_columns(amount=pl.lit("1.25").cast(pl.Decimal(8, 2)))
        lake.load(narrow, rows)
    for number in range(3, 6):
        rows = pl.DataFrame({"id": [number]}).with_columns(
            amount=pl.lit("2.50").cast(pl.Decimal(12, 2)), note=pl.lit("x")
        )
        lake.load(wide, rows)
    before = lake.rows().sort("id").rows()
    keeper(lake).compact(lake.name, wanted())
    assert lake.rows().sort("id").rows() == before and len(lake.data_files()) == 1
    assert before[0][2] is None and before[5][2] == "x"


def test_few_small_files_and_large_ones_are_left_alone(lake: Lake) -> None:
    fill(lake, 4)
    assert keeper(lake).compact(lake.name, wanted()).merged == 0
    lake.load(lake.columns, lake.frame([5]))
    smallest = min(f.file_size_in_bytes for f in lake.data_files())
    assert keeper(lake).compact(lake.name, wanted(file_bytes=smallest)).merged == 0
    assert len(lake.data_files()) == 5
    assert keeper(lake).compact(lake.name, wanted(file_bytes=3 * smallest)).merged == 3
    assert len(lake.data_files()) == 3


def test_a_new_file_with_other_rows_is_never_committed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from dativo.targets.iceberg.upkeep.rewrite import Rewriter

    ids = fill(lake)
    real = Rewriter._rows
    for damage in (lambda f: f.head(5), lambda f: f.with_columns(id=pl.when(pl.col("id") > 2).then("id"))):
        monkeypatch.setattr(Rewriter, "_rows", lambda self, group, d=damage: d(real(self, group)))
        with pytest.raises(TargetError, match="nothing was changed"):
            keeper(lake).compact(lake.name, wanted())
    assert lake.ids == ids and lake.files_on_disk() and len(lake.files_on_disk()) == 6


# -- snapshots ----------------------------------------------------------------------------------------------------------


def test_old_snapshots_go_with_the_files_that_only_they_needed(lake: Lake) -> None:
    fill(lake)
    keeper(lake).compact(lake.name, wanted())
    if is_nessie(lake):
        with pytest.raises(NotHere, match="Nessie keeps the history"):
            keeper(lake).expire(lake.name, wanted())
        return
    told = keeper(lake).expire(lake.name, Wanted(keep_days=0, keep_snapshots=2))
    assert (told.snapshots_before, told.snapshots_after) == (7, 2)
    assert len(lake.table().metadata.snapshots) == 7 and len(lake.files_on_disk()) == 7
    # The one before the compaction still needs the six small files.
    kept = keeper(lake).expire(lake.name, wanted(keep_snapshots=2))
    assert kept.snapshots_after == 2 and len(lake.files_on_disk()) == 7
    assert lake.table().scan(snapshot_id=lake.table().metadata.snapshots[0].snapshot_id).to_arrow().num_rows == 6
    done = keeper(lake).expire(lake.name, wanted(keep_snapshots=1))
    assert done.snapshots_after == 1 and done.files > 6 and done.elsewhere == 0
    assert lake.files_on_disk() == files(lake) and lake.ids == list(range(6))


def test_what_the_table_was_within_the_kept_days_stays(lake: Lake) -> None:
    fill(lake)
    if is_nessie(lake):
        return
    assert keeper(lake).expire(lake.name, Wanted(act=True, keep_snapshots=1, keep_days=1)).snapshots_after == 6
    assert keeper(lake).expire(lake.name, Wanted(act=True)).snapshots_after == 6


def test_tags_and_branches_of_the_table_keep_their_snapshots(lake: Lake) -> None:
    fill(lake)
    if is_nessie(lake):
        return
    table = lake.table()
    first, second, third, *_ = sorted(table.metadata.snapshots, key=lambda s: s.timestamp_ms)
    table.manage_snapshots().create_tag(first.snapshot_id, "first").create_branch(third.snapshot_id, "side").commit()
    done = keeper(lake).expire(lake.name, wanted(keep_snapshots=1))
    left = {s.snapshot_id for s in lake.table().metadata.snapshots}
    assert {first.snapshot_id, second.snapshot_id, third.snapshot_id} < left and done.snapshots_after == len(left) == 4
    assert lake.ids == list(range(6))


def test_a_rival_that_commits_during_the_expiry_loses_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    import dativo.targets.iceberg.upkeep.expire as module

    fill(lake)
    if is_nessie(lake):
        return
    real, turns = module.begin, iter(range(2))

    def later(table: Any) -> Any:
        staged = real(table)
        for turn in turns:
            lake.load(lake.columns, lake.frame([50 + turn]))
            break
        return staged

    monkeypatch.setattr(module, "begin", later)
    keeper(lake).expire(lake.name, wanted(keep_snapshots=1))
    assert lake.ids == [*range(6), 50, 51]
    assert lake.files_on_disk() == files(lake)


# -- orphans ------------------------------------------------------------------------------------------------------------


def test_files_that_nothing_needs_go_and_all_others_stay(lake: Lake) -> None:
    ids = fill(lake)
    dead, _ = lake.opened(token=run_token(datetime.now(UTC)))
    write(dead, lake.frame([99]))
    there = lake.files_on_disk()
    assert len(there) == 7
    told = keeper(lake).orphans(lake.name, Wanted(older_than_days=0))
    assert told.files == 1 and told.bytes > 0 and lake.files_on_disk() == there
    young = keeper(lake).orphans(lake.name, Wanted(act=True))
    assert young.files == 0 and young.recent >= 1 and lake.files_on_disk() == there
    done = keeper(lake).orphans(lake.name, wanted())
    assert done.files == 1 and done.bytes == told.bytes
    assert len(lake.files_on_disk()) == 6 and lake.ids == ids
    assert keeper(lake).orphans(lake.name, wanted()).files == 0


def test_files_of_a_run_that_goes_on_stay_whatever_their_age(lake: Lake) -> None:
    ids = fill(lake)
    token = run_token(datetime.now(UTC))
    slow, _ = lake.opened(token=token)
    written = write(slow, lake.frame([99]))
    done = keeper(lake).orphans(lake.name, wanted(live=lambda: frozenset([token])))
    assert done.files == 0 and done.in_use == 1
    commit(slow, written)
    assert lake.ids == [*ids, 99]


def test_a_commit_between_the_listing_and_the_removal_keeps_its_files(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dativo.targets.iceberg.upkeep.orphans as module

    ids = fill(lake)
    slow, _ = lake.opened(token=run_token(datetime.now(UTC)))
    written = write(slow, lake.frame([99]))
    for place in ("_check_own", "removed"):
        real = getattr(module, place)

        def later(*given: Any, real: Any = real) -> Any:
            nonlocal written
            if written is not None:
                commit(slow, written)
                written = None
            return real(*given)

        if place == "_check_own":
            monkeypatch.setattr(module, place, later)
    keeper(lake).orphans(lake.name, wanted())
    assert lake.ids == [*ids, 99]


def test_a_run_that_rested_for_too_long_commits_no_file_that_is_gone(lake: Lake) -> None:
    ids = fill(lake, 2)
    slow, _ = lake.opened(token=run_token(datetime.now(UTC)))
    written = write(slow, lake.frame([99]))
    assert keeper(lake).orphans(lake.name, wanted()).files == 1
    with pytest.raises(TargetError, match="1 of 1 files of this run were removed"):
        commit(slow, written)
    assert lake.ids == ids


def test_a_table_without_a_snapshot_has_nothing_to_do(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([]))
    kept = keeper(lake)
    assert kept.compact(lake.name, wanted()).files_before == 0
    assert kept.orphans(lake.name, wanted()).files == 0
    if not is_nessie(lake):
        assert kept.expire(lake.name, wanted()).snapshots_before <= 1


def test_a_state_file_is_kept_while_the_table_names_it(lake: Lake) -> None:
    from dativo.state.cursor import Cursor

    entries = {f"file_{n}": {"last": "x" * 1000} for n in range(100)}
    lake.load(lake.columns, lake.frame([1]), cursor=Cursor(entries=entries))
    lake.load(lake.columns, lake.frame([2]), cursor=Cursor(entries={**entries, "more": {"last": "y"}}))
    done = keeper(lake).orphans(lake.name, wanted())
    names = [p for p in done.paths if "dativo-state-" in p]
    # On Nessie the commit before still names the older one.
    assert len(names) == (0 if is_nessie(lake) else 1)
    saved = lake.open(lake.columns).saved
    assert saved is not None and saved.cursor.entries["more"] == {"last": "y"}


def test_a_table_that_forbids_it_keeps_its_files(lake: Lake) -> None:
    fill(lake, 2)
    lake.table().transaction().set_properties({"gc.enabled": "false"}).commit_transaction()
    # Nessie says so of all of its tables, which is why it keeps their snapshots and its history is looked at.
    for step in (keeper(lake).expire, *(() if is_nessie(lake) else (keeper(lake).orphans,))):
        with pytest.raises(NotHere, match=r"gc\.enabled|Nessie"):
            step(lake.name, wanted())


def test_a_table_that_is_not_there_has_no_upkeep(lake: Lake) -> None:
    assert keeper(lake).tables() == ()
    fill(lake, 1)
    assert keeper(lake).tables() == (lake.name,)
