"""Nessie as a compare-and-swap: what a plain client loses there, and that ours does not."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction
from pyiceberg.types import LongType, NestedField

from dativo import connectors
from dativo.config.field import Field
from dativo.errors import CommitConflict, TargetError
from dativo.targets.iceberg import lookup
from dativo.targets.iceberg.catalog import open_catalog, settings
from dativo.targets.iceberg.nessie import NessieCatalog
from tests.lake import STARTED, Lake, commit, nessie_lake, write
from tests.project import Project
from tests.services.catalog_proxy import proxy
from tests.services.nessie import Nessie

pytestmark = pytest.mark.server


@pytest.fixture
def lake(project: Project, nessie_server: Nessie) -> Lake:
    name = f"nessie_{secrets.token_hex(6)}"
    return nessie_lake(project, nessie_server, name, branch=f"b_{name}")


def nessie(lake: Lake) -> NessieCatalog:
    found = lake.catalog
    assert isinstance(found, NessieCatalog)
    return found


def plain(server: Nessie, branch: str = "main") -> RestCatalog:
    """pyiceberg's own catalog at a branch."""
    keys = {"s3.access-key-id": server.store.access_key, "s3.secret-access-key": server.store.secret_key}
    return RestCatalog("plain", uri=f"{server.iceberg}/{branch}", **keys)


def test_a_plain_client_loses_rows_at_a_tables_first_commits_and_ours_does_not(
    lake: Lake, nessie_server: Nessie
) -> None:
    """Two writers open an empty table, then both append: the server tells both that they did."""
    catalog = plain(nessie_server)
    catalog.create_namespace(lake.namespace)
    name = (lake.namespace, "plain")
    catalog.create_table(name, Schema(NestedField(1, "id", LongType())))
    first, second = plain(nessie_server).load_table(name), plain(nessie_server).load_table(name)
    rows = pa.table({"id": pa.array([1, 2], pa.int64())})
    first.append(rows)
    second.append(rows)
    assert plain(nessie_server).load_table(name).scan().to_arrow().num_rows == 2, "the server was mended"

    # The same with ours, on a table that another job left empty.
    lake.of_job("maker").load(lake.columns, lake.frame([]))
    writers = [lake.of_job(job).opened()[0] for job in ("north", "south")]
    written = [write(w, lake.frame([1, 2])) for w in writers]
    for writer, files in zip(writers, written, strict=True):
        commit(writer, files)
    assert lake.ids == [1, 1, 2, 2]


def test_a_change_of_properties_alone_is_a_conflict(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1]))
    catalog = nessie(lake)
    pinned = catalog.pinned()
    table = pinned.load_table(lake.name)
    mine = Transaction(table, autocommit=False)
    mine.set_properties({"mine": "1"})
    lake.load(lake.columns, lake.frame([]))
    with pytest.raises(Exception, match="different"):
        pinned.commit_table(table, mine._requirements, mine._updates)
    assert "mine" not in lake.table().properties


def test_commits_to_other_tables_are_no_conflict(lake: Lake, nessie_server: Nessie) -> None:
    lake.load(lake.columns, lake.frame([1]))
    catalog = nessie(lake)
    pinned = catalog.pinned()
    table = pinned.load_table(lake.name)
    mine = Transaction(table, autocommit=False)
    mine.set_properties({"mine": "1"})
    catalog.create_table((lake.namespace, "other"), Schema(NestedField(1, "id", LongType())))
    pinned.commit_table(table, mine._requirements, mine._updates)
    assert lake.table().properties["mine"] == "1"


def test_the_branch_is_made_from_the_default_branch_once(lake: Lake, nessie_server: Nessie) -> None:
    catalog = nessie(lake)
    assert catalog.reference(catalog.branch) is None
    with pytest.raises(TargetError, match="removed"):
        catalog.pinned()
    found: list[str] = []

    def make() -> None:
        found.append(nessie(lake).ensure_branch().hash)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and set(found) == {nessie_server.hash(catalog.branch)}
    # A reader makes nothing.
    other = nessie_lake(lake.project, nessie_server, lake.namespace, branch=f"{catalog.branch}_unseen")
    with pytest.raises(Exception, match="not found"):
        other.table()
    assert nessie(other).reference(f"{catalog.branch}_unseen") is None


@pytest.mark.parametrize("branch", ["1st", "a b", "a..b", "x/"])
def test_a_name_that_is_none_of_a_branch_is_a_clear_error(lake: Lake, nessie_server: Nessie, branch: str) -> None:
    other = nessie_lake(lake.project, nessie_server, lake.namespace, branch=branch)
    with pytest.raises(TargetError, match="cannot name a branch of Nessie"):
        other.load(other.columns, other.frame([1]))


@pytest.mark.parametrize("branch", ["team/x-1", "a.b_c"])
def test_branches_may_have_slashes_and_dots(lake: Lake, nessie_server: Nessie, branch: str) -> None:
    name = f"{lake.namespace}/{branch}"
    other = nessie_lake(lake.project, nessie_server, lake.namespace, branch=name)
    other.load(other.columns, other.frame([1]))
    other.load(other.columns, other.frame([2]))
    assert other.ids == [1, 2] and name in nessie_server.branches()


def test_a_missing_default_branch_is_a_clear_error(lake: Lake, nessie_server: Nessie) -> None:
    block = dict(lake.target_block)
    block["connection"] = {**block["connection"], "nessie": {"uri": nessie_server.uri, "default_branch": "nowhere"}}
    lake.project.job(lake.job, target=block)
    with pytest.raises(TargetError, match="the default branch 'nowhere'") as caught:
        lake.target().open(lake.shape(lake.columns))
    assert caught.value.field == "target.connection.nessie.default_branch"


def test_a_branch_that_is_removed_meanwhile_is_a_clear_error(lake: Lake) -> None:
    lake.load(lake.columns, lake.frame([1]))
    target, _ = lake.opened()
    written = write(target, lake.frame([2]))
    nessie(lake).delete_branch(nessie(lake).branch)
    with pytest.raises(TargetError, match="was removed from Nessie"):
        commit(target, written)


def test_columns_are_added_after_one_was_dropped(lake: Lake, nessie_server: Nessie) -> None:
    """Old servers want the table's highest column id in every new schema, the dropped columns' too."""
    lake.load(lake.columns, lake.frame([1]))
    columns = (*lake.columns, Field(name="gone", kind="string"))
    lake.load(columns, {"id": [2], "gone": ["x"]})
    table = nessie(lake).load_table(lake.name)
    change = Transaction(table, autocommit=False)
    with change.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("gone")
    nessie(lake).commit_table(table, change._requirements, change._updates)
    more = (*lake.columns, Field(name="new", kind="string"))
    lake.load(more, {"id": [3], "new": ["y"]})
    found = lake.existing(more)
    assert found is not None and found.sort("id").rows() == [(1, None), (2, None), (3, "y")]


def test_references_are_listed_over_several_pages(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = nessie(lake)
    start = catalog.ensure_branch()
    wanted = {catalog.make_branch(f"{catalog.branch}_{n}", start).name for n in range(5)}
    call = NessieCatalog._call

    def few(self: NessieCatalog, method: str, path: str, **options: Any) -> dict[str, Any]:
        if path == "trees" and method == "GET":
            options["params"] = {**options["params"], "max-records": 2}
        return call(self, method, path, **options)

    monkeypatch.setattr(NessieCatalog, "_call", few)
    assert {r.name for r in catalog.references(f"{catalog.branch}_")} == wanted


def test_what_the_server_calls_itself_is_not_taken_for_its_address(
    lake: Lake, nessie_server: Nessie, project: Project
) -> None:
    with proxy(nessie_server.uri) as (through, between):
        other = nessie_lake(project, nessie_server, lake.namespace, uri=through, branch=nessie(lake).branch)
        between.fates = [(False, 503)]
        other.load(other.columns, other.frame([1]))
        assert between.fates == [], "the commit did not pass the proxy"


@pytest.mark.slow
def test_eight_writers_at_once_on_four_tables_all_land_once(lake: Lake, nessie_server: Nessie) -> None:
    """Jobs that share tables, each with three commits one after another."""
    names = [f"{lake.namespace}_{n}" for n in range(4)]
    chosen = []
    for number in range(8):
        # The contract differs by its namespace: a job is resolved before the next one's is written.
        other = Lake(lake.project, lake.target_block, job=f"job_{number}", namespace=names[number % 4])
        chosen.append(other.project.load(other.job))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(3):
                job = chosen[number]
                target = connectors.target(job, job.streams[0], f"t-{number}-{turn}", STARTED)
                target.open(lake.shape(lake.columns))
                commit(target, write(target, lake.frame([10 * number + turn])))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    catalog = open_catalog(settings(chosen[0]))
    for number, name in enumerate(names):
        rows = catalog.load_table((name, "people")).scan().to_arrow()["id"].to_pylist()
        assert sorted(rows) == [10 * n + t for n in (number, number + 4) for t in range(3)]


def test_a_table_that_is_made_while_ours_looks_for_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    load, other = lookup.load, lake.of_job("other")

    def late(*given: Any) -> Any:
        found = load(*given)
        monkeypatch.setattr(lookup, "load", load)
        other.load(other.columns, other.frame([1]))
        return found

    monkeypatch.setattr(lookup, "load", late)
    target, opened = lake.opened()
    assert opened.exists
    commit(target, write(target, lake.frame([2])))
    assert lake.ids == [1, 2]


def test_two_runs_of_one_job_at_a_tables_first_commit(lake: Lake) -> None:
    one, two = lake.opened()[0], lake.opened()[0]
    files = [write(t, lake.frame([n])) for n, t in enumerate((one, two))]
    commit(one, files[0])
    with pytest.raises(CommitConflict):
        commit(two, files[1])
    two.abort()
    assert lake.ids == [0] and len(lake.files_on_disk()) == 1


def test_the_servers_answer_to_a_bad_request_is_told(lake: Lake) -> None:
    with pytest.raises(Exception, match="Reference name must start with a letter"):
        nessie(lake).make_branch("1", nessie(lake).ensure_branch())
