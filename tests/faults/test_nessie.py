"""Nessie in trouble: replies of merges lost, the server stopped, runs killed or put to sleep while they publish."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dativo import Receipt
from dativo.observe.listener import Silence
from dativo.targets.iceberg.branch import run_branches
from tests.faults.worker import Worker
from tests.project import Project
from tests.services.catalog_proxy import Proxy, proxy
from tests.services.minio import Minio
from tests.services.nessie import Nessie, nessie
from tests.shop import Shop

pytestmark = pytest.mark.server

CUT = None
ALL = {"orders": [0, 1, 2], "items": [0, 1, 2, 3, 4]}
NOTHING = {"orders": None, "items": None}
LIMIT = 2.0


class AtPhase(Silence):
    """Does something when a run goes into a phase for the first time."""

    def __init__(self, phase: str, work: Callable[[], Any]) -> None:
        self.wanted = phase
        self.work = work
        self.done = False

    def phase(self, stream: str, phase: str, meter: Any) -> None:
        if phase == self.wanted and not self.done:
            self.done = True
            self.work()


def texts(receipt: Receipt) -> str:
    return "\n".join(s.error for s in receipt.streams)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits."""
    monkeypatch.setattr("dativo.targets.iceberg.commit.LONGEST_WAIT", 0.02)
    monkeypatch.setattr("dativo.targets.iceberg.branch.LONGEST_WAIT", 0.02)


# -- replies of the merge -------------------------------------------------------------------------------------------------


@pytest.fixture
def merging(project: Project, nessie_server: Nessie, quick: None) -> Iterator[tuple[Shop, Proxy]]:
    """A shop behind a proxy that is about merges."""
    with proxy(nessie_server.uri) as (through, between):
        between.merges = True
        yield Shop(project, nessie_server, uri=through), between


@pytest.mark.parametrize("answer", [CUT, 500, 502, 503, 504, 409], ids=str)
@pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])
def test_a_merge_with_a_lost_or_false_reply_is_done_exactly_once(
    merging: tuple[Shop, Proxy], landed: bool, answer: int | None
) -> None:
    shop, between = merging
    between.fates = [(landed, answer)]
    receipt = shop.sync()
    assert receipt.status == "loaded", texts(receipt)
    assert between.fates == []
    assert shop.visible == ALL and shop.runs() == []


@pytest.mark.parametrize("answer", [CUT, 503], ids=str)
def test_a_rival_after_a_lost_merge_neither_loses_nor_doubles_rows(
    merging: tuple[Shop, Proxy], answer: int | None
) -> None:
    shop, between = merging
    shop.project.write("data/more.csv", "id,name\n100,more\n")
    shop.job("other", ["orders"], source={"files": [{"path": "data/more.csv"}]}, target={"write_mode": "append"})
    between.fates = [(True, answer)]
    between.after = lambda: shop.sync("other")
    receipt = shop.sync()
    assert receipt.status == "loaded", texts(receipt)
    assert shop.visible == {**ALL, "orders": [0, 1, 2, 100]}


@pytest.mark.parametrize("answer", [CUT, 503], ids=str)
@pytest.mark.parametrize("landed", [True, False], ids=["landed", "not landed"])
def test_a_server_that_never_answers_a_merge_leaves_all_for_the_next_run_to_find(
    merging: tuple[Shop, Proxy], landed: bool, answer: int | None
) -> None:
    shop, between = merging
    between.fates = [(False, answer)] * 50
    receipt = shop.sync()
    assert (receipt.status, receipt.exit_code) == ("failed", 2)
    assert "does not answer whether" in texts(receipt) and "run again when it is back" in texts(receipt)
    between.fates = []
    (branch,) = shop.runs()
    assert all(branch in "".join(s.warnings) for s in receipt.streams)
    assert shop.visible == NOTHING
    if landed:  # the request was on its way all the time
        catalog: Any = shop.catalog()
        catalog.merge(catalog.reference(branch), catalog.reference(shop.branch), "late")
    again = shop.sync()
    assert again.status == ("unchanged" if landed else "loaded"), texts(again)
    assert shop.visible == ALL


def test_a_merge_that_is_refused_for_good_is_told_at_once(merging: tuple[Shop, Proxy]) -> None:
    shop, between = merging
    between.fates = [(False, 403)] * 2
    receipt = shop.sync()
    assert receipt.exit_code == 2 and "Nessie refuses to merge" in texts(receipt)
    assert len(between.fates) == 1
    assert shop.visible == NOTHING and shop.runs() == [] and shop.files() == []


# -- the server stops -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, minio_server: Minio) -> Iterator[Nessie]:
    """A server that may be stopped."""
    with nessie(tmp_path_factory.mktemp("nessie"), minio_server, warehouse_bucket="stopped") as server:
        yield server


@pytest.fixture
def stop(own: Nessie, quick: None) -> Iterator[Callable[[], None]]:
    """Stops the server, which is there from then on and does nothing; our patience is short then."""
    assert own.process is not None
    with pytest.MonkeyPatch.context() as patch:

        def work() -> None:
            assert own.process is not None
            own.process.pause()
            patch.setattr("dativo.targets.iceberg.rest.ANSWER_SECONDS", LIMIT)
            patch.setattr("dativo.targets.iceberg.commit.PATIENCE", 2 * LIMIT)
            patch.setattr("dativo.targets.iceberg.branch.PATIENCE", 2 * LIMIT)

        yield work
    own.process.resume()


@pytest.mark.parametrize("publish", ["branch", "direct"])
@pytest.mark.parametrize("phase", ["", "loading", "committing", "publishing"])
def test_a_server_that_hangs_ends_in_a_clear_error_and_nothing_is_half_visible(
    project: Project, own: Nessie, stop: Callable[[], None], publish: str, phase: str
) -> None:
    if (publish, phase) == ("direct", "publishing"):
        phase = "keeping rejects"
    shop = Shop(project, own, publish=publish)
    if phase == "keeping rejects":
        shop.job("shop", schema_validation_mode="quarantine", max_rejects=5)
        shop.deliver(orders=[0, 1, 2, "x"])
    listener = AtPhase(phase, stop)
    if not phase:
        listener.phase("", "", None)
    begun = time.monotonic()
    receipt = shop.sync(listener=listener)
    took = time.monotonic() - begun
    assert listener.done
    assert took < 15 * LIMIT
    assert (receipt.status, receipt.exit_code) == ("failed", 2), texts(receipt)
    assert re.search(r"did not answer within 2 s|no answer within \d s", texts(receipt)), texts(receipt)
    assert own.process is not None
    own.process.resume()
    time.sleep(1)  # what was on its way arrives
    seen = shop.visible
    if publish == "branch":
        assert seen in (NOTHING, ALL)
    else:
        assert seen["orders"] in (None, [0, 1, 2]) and seen["items"] in (None, ALL["items"])
    again = shop.sync()
    assert again.exit_code in (0, 1), texts(again)
    assert shop.visible == ALL


# -- runs that die or sleep -----------------------------------------------------------------------------------------------


Start = Callable[..., Worker]


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["loading", "committing", "publishing"])
@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_a_run_that_is_killed_shows_all_or_nothing_and_the_next_one_makes_it_right(
    project: Project, nessie_server: Nessie, worker: Start, phase: str, delay: float
) -> None:
    shop = Shop(project, nessie_server)
    run = worker()
    run.wait_ready()
    run.go(project.root, "shop")
    assert run.wait_phase(phase)
    time.sleep(delay)
    killed = run.kill()
    seen = shop.visible
    assert seen in (NOTHING, ALL)
    if killed and seen == NOTHING:
        left = run_branches(shop.catalog())  # type: ignore[arg-type]
        assert any(b.job == "shop" for b in left)
    receipt = shop.sync()
    assert receipt.exit_code == 0, texts(receipt)
    assert shop.visible == ALL


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["loading", "publishing"])
def test_an_owner_that_slept_through_the_loss_of_its_lock_loses(
    project: Project, nessie_server: Nessie, worker: Start, phase: str
) -> None:
    shop = Shop(project, nessie_server)
    shop.job("shop", engine={"lock": 0.3})
    sleeper = worker()
    sleeper.wait_ready()
    sleeper.go(project.root, "shop")
    assert sleeper.wait_phase(phase)
    sleeper.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    first = shop.sync()
    assert first.exit_code == 0, texts(first)
    sleeper.process.send_signal(signal.SIGCONT)
    late = sleeper.receipt()
    landed = late["status"] in ("loaded", "unchanged")
    assert landed == (first.status == "unchanged")
    if not landed:
        assert "another run of this job committed" in "".join(s["error"] for s in late["streams"])
    assert shop.visible == ALL and shop.runs() == []
