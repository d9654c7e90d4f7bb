"""A commit whose reply is lost or false: whatever the catalog says, the rows are there once or not at all.

The catalog is Apache Iceberg's own REST server, or Nessie; a proxy before it cuts or falsifies its answers.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from dativo.errors import CommitConflict, CommitUnknown, TargetError
from tests.lake import Lake, commit, nessie_lake, write
from tests.project import Project
from tests.services.catalog_proxy import Proxy, proxy
from tests.services.nessie import Nessie
from tests.services.rest_catalog import rest_catalog

pytestmark = pytest.mark.server

CUT = None
ANSWERS = [CUT, 500, 502, 503, 504, 409]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("rest")
    with rest_catalog(folder) as uri:
        yield uri, folder / "warehouse"


Behind = tuple[Lake, Proxy]


@pytest.fixture(params=["rest", "nessie"])
def catalog(project: Project, request: pytest.FixtureRequest) -> Iterator[Behind]:
    """A lake behind the proxy."""
    namespace = f"lost_{secrets.token_hex(6)}"
    if request.param == "nessie":
        nessie: Nessie = request.getfixturevalue("nessie_server")
        with proxy(nessie.uri) as (through, between):
            yield nessie_lake(project, nessie, namespace, uri=through), between
    else:
        uri, warehouse = request.getfixturevalue("server")
        with proxy(uri) as (through, between):
            target = {"catalog": {"type": "rest", "uri": through}}
            yield Lake(project, target, namespace=namespace, warehouse=warehouse), between


@pytest.fixture(params=["first commit", "a table"])
def behind(catalog: Behind, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Behind:
    """A lake behind the proxy, with no table yet or with one that has the row 0, and the proxy."""
    monkeypatch.setattr("dativo.targets.iceberg.commit.LONGEST_WAIT", 0.02)
    lake, _ = catalog
    if request.param == "a table":
        lake.load(lake.columns, lake.frame([0]))
    return catalog


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])
def test_a_commit_with_a_lost_or_false_reply_is_done_exactly_once(
    behind: Behind, landed: bool, answer: int | None
) -> None:
    lake, between = behind
    there = lake.ids
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2]))
    between.fates = [(landed, answer)]
    committed = commit(target, written)
    assert between.fates == []
    assert lake.ids == [*there, 1, 2]
    table = lake.table()
    assert table.current_snapshot().snapshot_id == committed.snapshot_id
    assert len(table.inspect.manifests()) == len(there) + 1


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_rival_after_a_lost_reply_neither_loses_nor_doubles_rows(behind: Behind, answer: int | None) -> None:
    """Our commit landed and its reply was lost; before we look again, another run of the job commits on top of it."""
    lake, between = behind
    there = lake.ids
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2]))
    between.fates = [(True, answer)]
    rival = lake.of_job(lake.job)
    between.after = lambda: rival.load(rival.columns, rival.frame([7]))
    commit(target, written)
    assert lake.ids == [*there, 1, 2, 7]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_rival_before_a_lost_commit_wins(behind: Behind, answer: int | None) -> None:
    """The rival lands first; ours is refused by the server, and the client is told something else."""
    lake, between = behind
    there = lake.ids
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2]))
    rival = lake.of_job(lake.job)

    def fate_for_ours() -> None:
        rival.load(rival.columns, rival.frame([7]))
        between.fates = [(True, answer)]

    between.before = fate_for_ours
    with pytest.raises(CommitConflict if answer == 409 else CommitUnknown):
        commit(target, written)
    assert lake.ids == [*there, 7]


@pytest.mark.parametrize("answer", [CUT, 500, 503], ids=str)
def test_a_catalog_that_never_answers_leaves_the_files_for_the_next_run_to_find(
    behind: Behind, answer: int | None
) -> None:
    """The last of the commits did land: its files must not be taken away, and the next run goes on from it."""
    lake, between = behind
    there = lake.ids
    target, _ = lake.opened(token="t-lost")
    written = write(target, lake.frame([1, 2]))
    between.fates = [(False, answer)] * 50
    with pytest.raises(CommitUnknown, match="does not answer whether the commit"):
        commit(target, written)
    between.fates = []
    assert lake.ids == there
    assert len(lake.files_on_disk()) == len(there) + 1


def test_real_conflicts_several_times_in_a_row_are_overcome(behind: Behind) -> None:
    lake, between = behind
    there = lake.ids
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2]))
    rival = lake.of_job("other")
    numbers = iter(range(100, 105))

    def again() -> None:
        number = next(numbers, None)
        if number is not None:
            rival.load(rival.columns, rival.frame([number]))
            between.before = again

    between.before = again
    commit(target, written)
    assert lake.ids == [*there, 1, 2, *range(100, 105)]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_for_good_is_told_at_once(behind: Behind, status: int) -> None:
    lake, between = behind
    there = lake.ids
    target, _ = lake.opened()
    written = write(target, lake.frame([1, 2]))
    between.fates = [(False, status)] * 5
    with pytest.raises(TargetError, match="made up") as caught:
        commit(target, written)
    assert not isinstance(caught.value, CommitUnknown)
    between.fates = []
    target.abort()
    assert lake.ids == there and len(lake.files_on_disk()) == len(there)
