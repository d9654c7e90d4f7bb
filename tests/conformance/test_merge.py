"""Merges by key in every Iceberg catalog: in one commit, never over a rival's, and nothing left of what was given up."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.errors import CommitConflict
from dativo.pipeline.run import run_token
from dativo.targets.iceberg.branch import publisher
from dativo.targets.protocol import Written
from dativo.targets.upkeep import Wanted
from tests.conformance.lakes import LAKES
from tests.lake import Lake, nessie_lake, write
from tests.merging import Merger, handed_over
from tests.project import Project
from tests.services.nessie import Nessie

ICEBERG = [p for p in LAKES if p.id in ("embedded", "sql", "rest", "nessie")]
ID, TEXT, PART = Field(name="id", kind="long"), Field(name="text", kind="string"), Field(name="part", kind="long")
COLUMNS = (ID, TEXT, PART)


@pytest.fixture(params=ICEBERG)
def lake(project: Project, request: pytest.FixtureRequest) -> Lake:
    made: Lake = request.param(project, request)
    return made


@pytest.fixture(params=["copy-on-write", "merge-on-read"])
def table(lake: Lake, request: pytest.FixtureRequest) -> Merger:
    lake.target_block = {**lake.target_block, "engine": {"options": {"merge_mode": request.param}}}
    lake.make_job(lake.job)
    made = Merger(lake, COLUMNS, ["id"], [Partition("part", "identity")])
    made.load(rows(range(60), "old"))
    made.load(rows(range(60, 100), "old"))
    return made


def rows(numbers: Any, text: str) -> pl.DataFrame:
    return pl.DataFrame({"id": numbers}).select("id", text=pl.lit(text), part=pl.col("id") % 3)


def other(table: Merger) -> Merger:
    """The table as another job sees it."""
    return Merger(table.lake.of_job("other"), table.columns, ["id"], table.partitioning)


def texts(table: Merger) -> dict[int, str]:
    """What the table has of each key; no key comes twice, and Polars reads what pyiceberg does."""
    found = table.lake.rows().sort("id").select("id", "text", "part")
    scan = table.opened().existing(COLUMNS)
    assert scan is not None and scan.collect().sort("id").equals(found)
    assert found["id"].is_unique().all() and (found["part"] == found["id"] % 3).all()
    return dict(zip(found["id"], found["text"], strict=True))


def model(old: Any, new: Any, text: str = "new") -> dict[int, str]:
    return dict(sorted({**dict.fromkeys(old, "old"), **dict.fromkeys(new, text)}.items()))


def referenced(lake: Lake) -> set[str]:
    """Every file that some snapshot of the table needs."""
    found = set()
    table = lake.table()
    for snapshot in table.metadata.snapshots:
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                found.add(entry.data_file.file_path.rpartition("/")[2])
    return found


def on_disk(lake: Lake) -> set[str]:
    return {path.rpartition("/")[2] for path in lake.files_on_disk()}


def test_rows_change_by_key_in_one_commit(table: Merger) -> None:
    lake = table.lake
    changed = pl.DataFrame({"id": [7, 8, 500], "text": ["changed"] * 3, "part": [1, 2, 2]})
    before = lake.table().metadata.last_sequence_number
    done = table.merge(rows(range(90, 110), "new"), gone=rows(range(90, 110), "").select("id"), amended=changed)
    assert (done.updated, done.deleted) == (2, 10)
    assert texts(table) == {**model(range(90), range(90, 110)), 7: "changed", 8: "changed"}
    assert lake.table().metadata.last_sequence_number == before + 1


def _appends(table: Merger) -> None:
    other(table).load(rows(range(95, 120, 5), "rival"))


def _merges(table: Merger) -> None:
    other(table).upsert(rows(range(80, 97), "rival"))


def _replaces(table: Merger) -> None:
    other(table).load(rows(range(50, 100), "rival"), replace=True)


def _removes(table: Merger) -> None:
    other(table).merge(gone=rows(range(85, 95), "").select("id"))


def _compacts(table: Merger) -> None:
    lake = table.lake
    for number in range(200, 206):
        table_ = other(table)
        table_.load(rows([number * 3], "rival"))
    job = lake.project.load("other")
    keeper = connectors.keeper(job, job.streams[0])
    done = keeper.compact(lake.name, Wanted(act=True, token=str(run_token(datetime.now(UTC)))))
    assert done.made


RIVALS: list[tuple[Callable[[Merger], None], dict[int, str]]] = [
    (_appends, {**model(range(90), range(90, 110)), **dict.fromkeys(range(110, 120, 5), "rival")}),
    (_merges, {**model(range(80), range(90, 110)), **dict.fromkeys(range(80, 90), "rival")}),
    (_replaces, {**dict.fromkeys(range(50, 90), "rival"), **dict.fromkeys(range(90, 110), "new")}),
    (_removes, {**model(range(85), range(90, 110))}),
    (_compacts, {**model(range(90), range(90, 110)), **dict.fromkeys(range(600, 618, 3), "rival")}),
]


@pytest.mark.parametrize(("rival", "wanted"), RIVALS, ids=[r.__name__.strip("_") for r, _ in RIVALS])
def test_a_merge_is_planned_again_when_a_rival_was_faster(
    table: Merger, rival: Callable[[Merger], None], wanted: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = table.lake
    other(table)
    target = table.opened()
    written = write(target, rows(range(90, 110), "new"))
    revision = table.revision(rows(range(90, 110), "").select("id"))
    lake.before_next_commit(target, lambda: rival(table), monkeypatch)
    handed_over(target, written, revision)
    assert texts(table) == dict(sorted(wanted.items()))
    if lake.listing is None:
        # Nothing is left of the plan that was given up.
        assert on_disk(lake) == referenced(lake)


def test_a_merge_of_the_same_job_that_was_slower_changes_nothing(
    table: Merger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = table.lake
    target = table.opened()
    written = write(target, rows(range(90, 110), "new"))
    revision = table.revision(rows(range(90, 110), "").select("id"))
    lake.before_next_commit(target, lambda: table.load(rows([1_000], "rival")), monkeypatch)
    with pytest.raises(CommitConflict, match="another run of this job committed"):
        handed_over(target, written, revision)
    target.abort()
    assert texts(table) == {**model(range(100), []), 1_000: "rival"}
    if lake.listing is None:
        assert on_disk(lake) == referenced(lake)


def test_a_merge_gives_up_on_a_table_that_never_rests(table: Merger, monkeypatch: pytest.MonkeyPatch) -> None:
    from dativo.targets.iceberg import merge

    monkeypatch.setattr(merge, "TRIES", 3)
    lake = table.lake
    rival = other(table)
    target = table.opened()
    kind = type(target.catalog)  # type: ignore[attr-defined]
    commit_table = kind.commit_table
    turns = iter(range(200, 300))
    at_work = False

    def rival_first(*given: Any) -> Any:
        nonlocal at_work
        if not at_work:
            at_work = True
            rival.load(rows([next(turns)], "rival"))
            at_work = False
        return commit_table(*given)

    written = write(target, rows([1], "new"))
    revision = table.revision(rows([1], "").select("id"))
    monkeypatch.setattr(kind, "commit_table", rival_first)
    with pytest.raises(CommitConflict, match="changed 3 times while its rows were being merged; nothing was changed"):
        handed_over(target, written, revision)
    monkeypatch.setattr(kind, "commit_table", commit_table)
    target.abort()
    assert texts(table) == {**model(range(100), []), **dict.fromkeys(range(200, 203), "rival")}
    if lake.listing is None:
        assert on_disk(lake) == referenced(lake)


def test_what_a_killed_merge_leaves_is_found_by_its_token(table: Merger, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = table.lake
    target = table.opened()
    token = target.token  # type: ignore[attr-defined]
    before = on_disk(lake)
    written = write(target, rows([1], "new"))
    revision = table.revision(rows([1], "").select("id"))

    def killed() -> None:
        raise KeyboardInterrupt

    lake.before_next_commit(target, killed, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        handed_over(target, written, revision)
    left = on_disk(lake) - before
    assert left and all(name.startswith(token) for name in left)
    assert texts(table) == model(range(100), [])
    job = lake.project.load(lake.job)
    keeper = connectors.keeper(job, job.streams[0])
    options = Wanted(act=True, older_than_days=0, token=str(run_token(datetime.now(UTC))))
    assert keeper.orphans(lake.name, options).files >= len(left)
    assert on_disk(lake) == before and texts(table) == model(range(100), [])


def test_compaction_drops_positions_that_were_deleted(table: Merger) -> None:
    lake = table.lake
    for number in range(5):
        table.load(rows([300 + number * 3], "old"))
        table.merge(gone=pl.DataFrame({"id": [number * 3]}))
    before = texts(table)
    job = lake.project.load(lake.job)
    keeper = connectors.keeper(job, job.streams[0])
    told = keeper.compact(lake.name, Wanted())
    done = keeper.compact(lake.name, Wanted(act=True, token=str(run_token(datetime.now(UTC)))))
    assert told.files_after == done.files_after == len(lake.data_files())
    assert texts(table) == before
    left = lake.table().current_snapshot()
    assert left is not None and left.summary is not None and left.summary["total-records"] == str(len(before))
    assert left.summary["total-delete-files"] == "0"


def test_a_merge_without_new_rows_is_a_commit_too(table: Merger) -> None:
    target = table.opened()
    done = handed_over(target, Written(), table.revision(pl.DataFrame({"id": [3]})))
    assert done.deleted == 1 and texts(table) == model([n for n in range(100) if n != 3], [])


@pytest.mark.server
@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
def test_a_merge_on_a_branch_is_audited_by_its_own_rows_and_published_at_once(
    project: Project, nessie_server: Nessie, mode: str
) -> None:
    options = {"engine": {"options": {"merge_mode": mode}}}
    lake = nessie_lake(project, nessie_server, f"space_{secrets.token_hex(6)}", **options)
    table = Merger(lake, COLUMNS, ["id"], [Partition("part", "identity")])
    table.load(rows(range(100), "old"))
    job = project.load(lake.job)
    branch = publisher(job)
    assert branch is not None
    token = str(run_token(datetime.now(UTC)))
    branch.begin("acme", "job", token, [lake.namespace])
    target = branch.target(job, job.streams[0], token, datetime.now(UTC))
    target.open(lake.shape(COLUMNS, table.partitioning))
    written = write(target, rows(range(90, 110), "new"))
    done = handed_over(target, written, table.revision(rows(range(90, 110), "").select("id")))
    branch.seal()
    assert (done.deleted, target.audit().added) == (10, 20)
    found = target.added(COLUMNS)
    assert found is not None and found.collect()["id"].sort().to_list() == [*range(90, 110)]
    assert texts(table) == model(range(100), [])
    assert branch.publish()
    assert texts(table) == model(range(90), range(90, 110))
    assert branch.discard(keep=False)
