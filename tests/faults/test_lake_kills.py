"""Runs that are killed or asked to end at named points, on Nessie and on the embedded catalog.

The points are met from outside: a request that the proxy sees, or a call of the system.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.faults.lakehouse import COMMIT, DATA, People
from tests.faults.program import Program

pytestmark = pytest.mark.slow

Start = Callable[[], Program]
SYNC = ("sync", "jobs/acme/job.yaml", "--json")
FIRST, SECOND = range(300), range(900)
STATE = "/acme/.job.json."


class Point(NamedTuple):
    """Where a run is killed, and whether its rows are there afterwards.

    On Nessie `request` is met by the proxy, `then` after the server has heard it; else `call` is a call of the system.
    """

    name: str
    landed: bool
    call: str = ""
    request: str = ""
    then: bool = False


POINTS = {
    "nessie": (
        Point("before it reads", False, request="GET /iceberg/v1/config"),
        Point("while it reads", False, call="open:/violations.parquet:1:kill"),
        Point("after a data file", False, request=DATA, then=True),
        Point("before the commit is heard", False, request=COMMIT),
        Point("after the commit is heard", True, request=COMMIT, then=True),
        Point("before the state file", True, call=f"open:{STATE}:1:kill"),
        Point("in the state file", True, call=f"write:{STATE}:1:after"),
        Point("before the state file is renamed", True, call="rename:/acme/job.json:1:kill"),
    ),
    "embedded": (
        Point("before it reads", False, call="open:/staging/:1:kill"),
        Point("while it reads", False, call="open:/violations.parquet:1:kill"),
        Point("in a data file", False, call="write:/data/:1:after"),
        Point("after a data file", False, call="open:-m0.avro:1:kill"),
        Point("before the new metadata", False, call="open:.metadata.json:1:kill"),
        Point("in the database's journal", False, call="write:catalog.db-journal:2:after"),
        Point("in the database", False, call="write:catalog.db:3:after"),
        Point("before the state file", True, call=f"open:{STATE}:1:kill"),
        Point("in the state file", True, call=f"write:{STATE}:1:after"),
        Point("before the state file is renamed", True, call="rename:/acme/job.json:1:kill"),
    ),
}
CASES = [
    pytest.param(kind, point, id=f"{kind}-{point.name}", marks=[pytest.mark.server] if kind == "nessie" else [])
    for kind, points in POINTS.items()
    for point in points
]


@pytest.mark.parametrize("there", [True, False], ids=["a table", "no table"])
@pytest.mark.parametrize(("kind", "point"), CASES)
def test_a_run_that_is_killed_at_a_named_point(
    request: pytest.FixtureRequest, kind: str, point: Point, there: bool, program: Start
) -> None:
    job = made(request, kind)
    before: list[int] = []
    if there:
        before = list(FIRST)
        job.loaded(FIRST)
    job.deliver(SECOND)
    run = program()
    if point.request:
        assert job.lake is not None
        job.lake.catalog.clear()
        wire = job.lake.store if point.request == DATA else job.lake.catalog
        fate = wire.meet(point.request, **killed(run, point.then))
        run.go(job.root, *SYNC)
        assert run.ended().killed and fate.met == 1
    else:
        run.go(job.root, *SYNC, FAULT=point.call)
        assert run.ended().killed
    assert job.ids() == (list(SECOND) if point.landed else before)
    job.right(SECOND)
    assert not list((job.root / ".local/staging").glob("*"))


def killed(run: Program, then: bool) -> dict[str, Any]:
    """The fate of a request at which the run is killed: after the server has heard it, or so that it never does."""
    if then:
        return {"then": lambda: run.signal(signal.SIGKILL)}
    return {"before": lambda: run.signal(signal.SIGKILL), "heard": False, "answer": 0}


def made(request: pytest.FixtureRequest, kind: str) -> People:
    request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
    lake = request.getfixturevalue("lake") if kind == "nessie" else None
    return People(request.getfixturevalue("tmp_path"), lake)


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_a_commit_on_its_way_land_and_tells_so(
    nessie_job: People, program: Start, number: signal.Signals
) -> None:
    job = nessie_job
    job.loaded(FIRST)
    job.deliver(SECOND)
    run = program()
    assert job.lake is not None
    job.lake.catalog.meet(COMMIT, before=lambda: run.signal(number), delay=0.5)
    run.go(job.root, *SYNC)
    ended = run.ended()
    assert ended.code == 0 and '"status": "loaded"' in ended.out, ended
    assert job.ids() == list(SECOND)
    job.right(SECOND)


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_before_the_commit_ends_the_run_and_nothing_is_visible(
    nessie_job: People, program: Start, number: signal.Signals
) -> None:
    job = nessie_job
    job.loaded(FIRST)
    files = len(job.stored_files())
    job.deliver(SECOND)
    run = program()
    assert job.lake is not None
    job.lake.store.meet(DATA, before=lambda: run.signal(number), delay=0.5)
    run.go(job.root, *SYNC)
    ended = run.ended()
    assert ended.code == 2 and "interrupted; nothing of this stream was committed" in ended.out, ended
    assert "Traceback" not in ended.err
    assert job.ids() == list(FIRST) and len(job.stored_files()) == files
    job.right(SECOND)


@pytest.mark.server
@pytest.mark.parametrize("then", [False, True], ids=["before the commit is heard", "after the commit is heard"])
def test_the_second_signal_kills_and_the_next_run_finds_out(nessie_job: People, program: Start, then: bool) -> None:
    job = nessie_job
    job.loaded(FIRST)
    job.deliver(SECOND)
    run = program()

    def twice() -> None:
        run.signal(signal.SIGTERM)
        # Python hears a signal within its next steps; the second one must not come before that.
        time.sleep(0.4)
        run.signal(signal.SIGTERM)

    assert job.lake is not None
    fate: dict[str, Any] = {"then": twice} if then else {"before": twice, "heard": False, "answer": 0}
    job.lake.catalog.meet(COMMIT, **fate)
    run.go(job.root, *SYNC)
    assert run.ended().code == -signal.SIGTERM
    if then:
        assert job.ids() == list(SECOND)
    job.right(SECOND)
