"""Upkeep on Nessie: a file stays as long as any branch, tag or retained commit needs it; where that is unknown, all do."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from dativo.errors import TargetError
from dativo.pipeline.run import run_token
from dativo.targets.iceberg.upkeep.history import History
from dativo.targets.upkeep import NotHere, Wanted
from tests.conformance.test_upkeep import fill, keeper, wanted
from tests.lake import Lake, nessie_lake, write
from tests.project import Project
from tests.services.nessie import Nessie

pytestmark = pytest.mark.server


@pytest.fixture
def lake(project: Project, nessie_server: Nessie) -> Lake:
    return nessie_lake(project, nessie_server, f"space_{secrets.token_hex(6)}")


def on(lake: Lake, branch: str) -> Lake:
    """The same table on another branch."""
    return Lake(lake.project, {**lake.target_block, "branch": branch}, namespace=lake.namespace, listing=lake.listing)


def abandoned(lake: Lake) -> None:
    """Files of a run that died before its commit."""
    target, _ = lake.opened(token=run_token(datetime.now(UTC)))
    write(target, lake.frame([99]))


def test_files_of_earlier_commits_stay(lake: Lake) -> None:
    fill(lake)
    lake.load(lake.columns, lake.frame([7]), replace=True)
    keeper(lake).compact(lake.name, wanted())
    there = lake.files_on_disk()
    abandoned(lake)
    done = keeper(lake).orphans(lake.name, wanted())
    assert done.files == 1 and lake.files_on_disk() == there and len(there) == 7
    assert lake.ids == [7]


def test_files_of_another_branch_and_of_a_tag_stay(lake: Lake, nessie_server: Nessie) -> None:
    fill(lake, 2)
    main = lake.catalog.branch  # type: ignore[attr-defined]
    side = nessie_server.make_branch(f"side-{secrets.token_hex(4)}", main)
    other = on(lake, side)
    other.load(other.columns, other.frame([50]))
    at = {"type": "BRANCH", "name": side, "hash": nessie_server.hash(side)}
    tag = f"tag-{secrets.token_hex(4)}"
    nessie_server.ask("POST", f"trees?name={tag}&type=TAG", at)
    here = on(lake, main)
    there = here.files_on_disk()
    abandoned(here)
    assert keeper(here).orphans(here.name, wanted()).files == 1
    assert here.files_on_disk() == there and len(there) == 3
    # The branch goes; the tag still needs its row.
    nessie_server.ask("DELETE", f"trees/{side}@{nessie_server.hash(side)}")
    assert keeper(here).orphans(here.name, wanted()).files == 0
    # With the tag gone, nobody does.
    nessie_server.ask("DELETE", f"trees/{tag}@{at['hash']}")
    assert keeper(here).orphans(here.name, wanted()).files >= 1
    assert len(here.files_on_disk()) == 2 and here.ids == [0, 1]


def test_files_of_a_branch_that_was_merged_and_removed_stay(lake: Lake, nessie_server: Nessie) -> None:
    fill(lake, 1)
    main = lake.catalog.branch  # type: ignore[attr-defined]
    side = nessie_server.make_branch(f"side-{secrets.token_hex(4)}", main)
    other = on(lake, side)
    other.load(other.columns, other.frame([50]))
    other.load(other.columns, other.frame([51]), replace=True)
    body = {"fromRefName": side, "fromHash": nessie_server.hash(side), "message": "merge"}
    nessie_server.ask("POST", f"trees/{main}@{nessie_server.hash(main)}/history/merge", body)
    nessie_server.ask("DELETE", f"trees/{side}@{nessie_server.hash(side)}")
    here = on(lake, main)
    there = here.files_on_disk()
    assert keeper(here).orphans(here.name, wanted()).files == 0
    assert here.files_on_disk() == there and len(there) == 3 and here.ids == [51]


def test_all_commits_are_looked_at_however_many_pages_they_fill(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.targets.iceberg.upkeep.history.PAGE", 2)
    fill(lake)
    lake.load(lake.columns, lake.frame([7]), replace=True)
    there = lake.files_on_disk()
    assert keeper(lake).orphans(lake.name, wanted()).files == 0
    assert lake.files_on_disk() == there and len(there) == 7


def test_metadata_of_a_commit_that_cannot_be_read_keeps_everything(lake: Lake, nessie_server: Nessie) -> None:
    fill(lake, 3)
    lake.load(lake.columns, lake.frame([7]), replace=True)
    abandoned(lake)
    history = History(lake.catalog)  # type: ignore[arg-type]
    history.needs(lake.table())
    gone = sorted(p for p in history.read if p != lake.table().metadata_location)[0]
    there = lake.files_on_disk()
    nessie_server.store.files.delete_file(gone.removeprefix("s3://"))
    with pytest.raises(TargetError, match="cannot be known"):
        keeper(lake).orphans(lake.name, wanted())
    assert lake.files_on_disk() == there


@pytest.mark.parametrize("what", ["config", "trees", "history"])
def test_a_nessie_that_does_not_answer_keeps_everything(lake: Lake, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    from dativo.targets.iceberg.nessie import NessieCatalog

    fill(lake, 1)
    abandoned(lake)
    there = lake.files_on_disk()
    real = NessieCatalog._call

    def call(self: Any, method: str, path: str, **options: Any) -> Any:
        if path.endswith(what):
            path = "no/such/path"
        return real(self, method, path, **options)

    monkeypatch.setattr(NessieCatalog, "_call", call)
    with pytest.raises(TargetError, match="cannot be known"):
        keeper(lake).orphans(lake.name, wanted())
    assert lake.files_on_disk() == there


def test_a_log_that_ends_too_early_keeps_everything(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from dativo.targets.iceberg.nessie import NessieCatalog

    fill(lake, 3)
    real = NessieCatalog._call

    def call(self: Any, method: str, path: str, **options: Any) -> Any:
        found = real(self, method, path, **options)
        if path.endswith("history"):
            found = {**found, "logEntries": found["logEntries"][:1], "hasMore": False}
        return found

    monkeypatch.setattr(NessieCatalog, "_call", call)
    with pytest.raises(TargetError, match="ends before its first commit"):
        keeper(lake).orphans(lake.name, wanted())


def test_a_nessie_that_is_configured_as_any_rest_catalog_is_recognised(lake: Lake, nessie_server: Nessie) -> None:
    fill(lake, 2)
    branch = lake.catalog.branch  # type: ignore[attr-defined]
    block = {k: v for k, v in lake.target_block.items() if k != "branch"}
    block["catalog"] = {"type": "rest", "uri": nessie_server.iceberg, "prefix": branch}
    plain = Lake(lake.project, block, namespace=lake.namespace, listing=lake.listing)
    for step in (keeper(plain).orphans, keeper(plain).expire):
        with pytest.raises(NotHere, match="Nessie"):
            step(plain.name, wanted())


def test_branches_of_dead_runs_go_and_others_stay(lake: Lake, nessie_server: Nessie) -> None:
    fill(lake, 1)
    main = lake.catalog.branch  # type: ignore[attr-defined]
    old, live = run_token(datetime(2026, 1, 1, tzinfo=UTC)), run_token(datetime.now(UTC))
    names = {token: f"dativo-run.acme.{secrets.token_hex(4)}.{token}.1" for token in (old, live)}
    for name in names.values():
        nessie_server.make_branch(name, main)
    mine = nessie_server.make_branch(f"dativo-runs-of-mine-{secrets.token_hex(4)}", main)
    # The branch of an old run that has a commit of today is not dead by the defaults.
    young = keeper(lake).branches(Wanted(act=True))
    assert young is not None and names[old] not in young.names and young.kept >= 2
    told = keeper(lake).branches(Wanted(older_than_days=0, live=lambda: frozenset([live])))
    assert told is not None and names[old] in told.names and names[live] not in told.names
    assert set(names.values()) <= set(nessie_server.branches())
    done = keeper(lake).branches(wanted(live=lambda: frozenset([live])))
    assert done is not None and names[old] in done.names
    left = nessie_server.branches()
    assert names[old] not in left and {names[live], mine, main} <= set(left)
