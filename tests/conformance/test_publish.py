"""Write, audit, publish: streams become visible together, by one merge after their checks, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dativo import Receipt
from dativo.errors import UnsupportedError
from dativo.observe.listener import Silence
from dativo.pipeline.run import together
from dativo.targets.iceberg.branch import branch_label, run_branches
from dativo.targets.iceberg.nessie import NAME
from tests.project import Project
from tests.services.nessie import Nessie
from tests.shop import FIELDS, Shop

pytestmark = pytest.mark.server


@pytest.fixture
def shop(project: Project, nessie_server: Nessie) -> Shop:
    return Shop(project, nessie_server)


class AtPhase(Silence):
    """Does something once, when a stream goes into a phase; notes all phases."""

    def __init__(self, stream: str, phase: str, work: Callable[[], Any]) -> None:
        self.wanted = (stream, phase)
        self.work = work
        self.phases: list[tuple[str, str]] = []

    def phase(self, stream: str, phase: str, meter: Any) -> None:
        self.phases.append((stream, phase))
        if (stream, phase) == self.wanted and self.phases.count(self.wanted) == 1:
            self.work()


def statuses(receipt: Receipt) -> dict[str, str]:
    return {s.stream: s.status for s in receipt.streams}


def errors(receipt: Receipt) -> dict[str, str]:
    return {s.stream: s.error for s in receipt.streams}


NOTHING = {"orders": None, "items": None}


def test_two_streams_become_visible_by_one_merge(shop: Shop) -> None:
    seen: list[dict[str, Any]] = []
    receipt = shop.sync(listener=AtPhase("orders", "publishing", lambda: seen.append(shop.visible)))
    assert statuses(receipt) == {"orders": "loaded", "items": "loaded"} and receipt.exit_code == 0
    assert seen == [NOTHING]
    assert shop.visible == {"orders": [0, 1, 2], "items": [0, 1, 2, 3, 4]}
    assert shop.runs() == []
    assert len([m for m in shop.history() if "dativo-run" in m]) == 1
    assert not any("items" in m or "orders" in m for m in shop.history() if "dativo-run" not in m)
    for name in ("orders", "items"):
        snapshot = shop.catalog().load_table((shop.namespace, name)).current_snapshot()
        told = next(s.snapshot_id for s in receipt.streams if s.stream == name)
        assert snapshot is not None and snapshot.snapshot_id == told


def test_a_stream_that_fails_holds_the_others_back(shop: Shop) -> None:
    shop.sync()
    before, files = shop.visible, shop.files()
    shop.deliver(orders=range(10), items=["x", 1])
    receipt = shop.sync()
    assert statuses(receipt) == {"orders": "withheld", "items": "refused"} and receipt.exit_code == 2
    assert errors(receipt)["orders"] == "not published: stream 'items' of job 'shop' refused"
    assert shop.visible == before and shop.runs() == []
    assert [f for f in shop.files() if "__rejects" not in f] == files
    rejects = shop.catalog().load_table((shop.namespace, "items__rejects")).scan().to_arrow()
    assert rejects["value"].to_pylist() == ["x"] and rejects["run"].to_pylist() == [receipt.run_id]
    shop.deliver(orders=range(10), items=[1])
    assert statuses(shop.sync()) == {"orders": "loaded", "items": "loaded"}
    assert shop.visible == {"orders": list(range(10)), "items": [1]}


def test_streams_after_one_that_failed_are_not_run(shop: Shop) -> None:
    shop.deliver(orders=["x"])
    listener = AtPhase("items", "loading", lambda: None)
    receipt = shop.sync(listener=listener)
    assert statuses(receipt) == {"orders": "refused", "items": "withheld"}
    assert errors(receipt)["items"] == "not run: stream 'orders' of job 'shop' refused"
    assert listener.wanted not in listener.phases


def test_the_branch_of_a_run_that_failed_is_kept_when_asked(shop: Shop) -> None:
    shop.deliver(items=["x", 1])
    receipt = shop.sync(keep_branch=True)
    assert statuses(receipt) == {"orders": "withheld", "items": "refused"}
    (branch,) = shop.runs()
    assert receipt.run_id in branch
    assert all(f"the run's branch {branch} is kept" in s.warnings for s in receipt.streams)
    assert shop.visible == NOTHING
    assert shop.ids("orders", branch) == [0, 1, 2]
    found = {b.name: b for b in run_branches(shop.catalog())}[branch]  # type: ignore[arg-type]
    assert (found.tenant, found.job, found.token) == ("acme", "shop", receipt.run_id)
    assert abs(found.started - datetime.now(UTC)) < timedelta(minutes=5)
    assert found.head == shop.server.hash(branch)


def test_a_run_that_published_leaves_no_branch_though_it_was_to_be_kept(shop: Shop) -> None:
    assert shop.sync(keep_branch=True).status == "loaded"
    assert shop.runs() == []


def test_a_repeated_key_is_found_before_it_is_published(shop: Shop) -> None:
    shop.project.write("data/orders.csv", "id,name\n1,a\n2,b\n1,c\n1,d\n")
    receipt = shop.sync()
    assert statuses(receipt) == {"orders": "refused", "items": "withheld"}
    assert "2 rows repeat a value of id, which must be unique" in errors(receipt)["orders"]
    assert "not published: stream 'orders' of job 'shop'" in errors(receipt)["items"]
    assert shop.visible == NOTHING and shop.files() == []


def test_another_jobs_change_of_a_table_is_kept_and_ours_comes_on_top(shop: Shop) -> None:
    shop.job("shop", target={"write_mode": "append"})
    shop.sync()
    shop.project.write("data/more.csv", "id,name\n100,more\n")
    shop.job("other", ["orders"], source={"files": [{"path": "data/more.csv"}]}, target={"write_mode": "append"})
    shop.deliver(orders=range(4), items=range(6))
    listener = AtPhase("orders", "publishing", lambda: shop.sync("other"))
    receipt = shop.sync(listener=listener)
    assert statuses(receipt) == {"orders": "loaded", "items": "loaded"}, errors(receipt)
    assert shop.visible == {"orders": [0, 1, 2, 3, 100], "items": [0, 1, 2, 3, 4, 5]}
    assert [p for p in listener.phases if p[1] == "loading"] == [("orders", "loading"), ("items", "loading")]
    assert shop.runs() == []
    assert statuses(shop.sync()) == {"orders": "unchanged", "items": "unchanged"}


def test_another_run_of_the_same_job_wins_and_the_slower_one_changes_nothing(shop: Shop) -> None:
    shop.job("shop", engine={"lock": 0})
    receipt = shop.sync(listener=AtPhase("orders", "publishing", lambda: shop.sync()))
    assert receipt.exit_code == 2 and set(statuses(receipt).values()) == {"failed", "withheld"}
    assert "another run of this job committed" in "".join(errors(receipt).values())
    assert shop.visible == {"orders": [0, 1, 2], "items": [0, 1, 2, 3, 4]}
    assert shop.runs() == [] and len(shop.files()) == 2


def test_a_first_stream_alone_is_published_directly_and_by_a_branch_when_asked(shop: Shop) -> None:
    shop.job("one", ["orders"])
    assert shop.sync("one").status == "loaded"
    assert not any("dativo-run" in m for m in shop.history())
    shop.job("one", ["orders"], target={"publish": "branch"})
    shop.deliver(orders=range(7))
    assert shop.sync("one").status == "loaded"
    assert len([m for m in shop.history() if "dativo-run" in m]) == 1
    shop.job("shop", target={"publish": "direct", "write_mode": "replace"})
    shop.deliver(items=["x"])
    assert statuses(shop.sync()) == {"orders": "loaded", "items": "refused"}


def test_branches_are_asked_for_where_there_are_none(project: Project) -> None:
    project.asset(FIELDS)
    project.job(target={"publish": "branch"})
    with pytest.raises(UnsupportedError, match="publish: branch needs a catalog with branches") as caught:
        project.sync()
    assert caught.value.field == "target.publish" and "direct" in caught.value.hint


def test_an_interrupted_run_publishes_nothing(shop: Shop) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    receipt = shop.sync(listener=AtPhase("items", "loading", stop))
    assert statuses(receipt) == {"orders": "withheld", "items": "interrupted"}
    assert shop.visible == NOTHING and shop.runs() == [] and shop.files() == []


# -- several jobs together ------------------------------------------------------------------------------------------------


def all_of(shop: Shop, *names: str) -> list[Receipt]:
    jobs = [shop.project.load(name) for name in names]
    shared = together(jobs)
    assert len(set(map(id, shared.values()))) == 1
    for job in jobs:
        shop.sync(job.name, publication=shared[job.path])
        assert shop.visible == NOTHING
    return shared[jobs[0].path].finish()


def test_jobs_of_one_publication_become_visible_together(shop: Shop) -> None:
    shop.job("one", ["orders"])
    shop.job("two", ["items"])
    first, second = all_of(shop, "one", "two")
    assert (first.job, first.status, first.exit_code) == ("one", "loaded", 0)
    assert (second.job, second.status, second.exit_code) == ("two", "loaded", 0)
    assert shop.visible == {"orders": [0, 1, 2], "items": [0, 1, 2, 3, 4]}
    assert len([m for m in shop.history() if "dativo-run.acme.one-and-1-more." in m]) == 1


def test_one_job_of_a_publication_that_fails_holds_the_others_back(shop: Shop) -> None:
    shop.job("one", ["orders"])
    shop.job("two", ["items"])
    shop.deliver(items=["x"])
    first, second = all_of(shop, "one", "two")
    assert (first.status, first.exit_code, second.status) == ("withheld", 2, "refused")
    assert errors(first)["orders"] == "not published: stream 'items' of job 'two' refused"
    assert shop.visible == NOTHING and shop.runs() == []
    assert not any("rejects" not in f for f in shop.files())


def test_two_jobs_of_a_publication_may_load_one_table(shop: Shop) -> None:
    shop.project.write("data/more.csv", "id,name\n100,more\n")
    shop.job("one", ["orders"], target={"write_mode": "append"})
    shop.job("two", ["orders"], source={"files": [{"path": "data/more.csv"}]}, target={"write_mode": "append"})
    first, second = all_of(shop, "one", "two")
    assert (first.status, second.status) == ("loaded", "loaded"), (errors(first), errors(second))
    assert shop.visible["orders"] == [0, 1, 2, 100]


def test_a_job_whose_catalog_has_no_branches_cannot_be_published_with_others(shop: Shop) -> None:
    shop.project.asset(FIELDS)
    shop.project.job("embedded")
    with pytest.raises(UnsupportedError, match="'embedded' cannot be published together with others"):
        together([shop.project.load("shop"), shop.project.load("embedded")])


@pytest.mark.parametrize("names", [("acme", "job"), ("a b/c", "über..job."), ("x" * 300, "1")])
def test_names_of_branches_are_ones_that_nessie_takes(names: tuple[str, str]) -> None:
    name = f"dativo-run.{branch_label(*names)}.01920000-aaaa-7000-8000-000000000001.1"
    assert NAME.fullmatch(name) and len(name) < 256
