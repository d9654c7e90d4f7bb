"""Databases that break off while a run reads: backends and servers that die, lines that are cut, runs that are killed.

After each a plain run gives exactly the database's rows, and before it nothing of the broken one is to be seen.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.database import LONGEST, WIDE, Ended, Orders, inherited
from tests.faults.strait import strait
from tests.samples.databases import new_database
from tests.services.mariadb import MariaDb, mariadb
from tests.services.postgres import Postgres, postgres

pytestmark = [pytest.mark.slow, pytest.mark.server]

ROWS = 24_000
MIDDLE = 6_000_000


def others(orders: Orders) -> Callable[[], None]:
    """Ends every connection to the database but the one that asks for it."""

    def kill() -> None:
        database = orders.database
        if database.dialect == "postgres":
            database.select(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        found = database.select(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        )
        for (number,) in found:
            database.execute(f"KILL {number};")

    return kill


def test_a_backend_that_is_killed_while_it_is_read_fails_the_run(orders: Orders) -> None:
    orders.fill(0, ROWS, WIDE)
    assert orders.way is not None
    moment = orders.way.at(others(orders), after=MIDDLE)
    ended = orders.dativo()
    assert moment.met and moment.failure is None, moment
    ended.refused("terminat", "connection", "lost", "gone", "closed", "killed")
    assert orders.found().total() == 0
    orders.right()


def test_a_line_that_is_cut_while_it_is_read_fails_the_run(orders: Orders) -> None:
    orders.fill(0, ROWS, WIDE)
    assert orders.way is not None
    moment = orders.way.at(orders.way.cut, after=MIDDLE)
    orders.dativo().refused("connection", "lost", "gone", "closed", "reset")
    assert moment.met and orders.found().total() == 0
    orders.right()


def test_a_break_of_a_second_load_leaves_the_first_one_as_it_was(orders: Orders) -> None:
    orders.fill(0, 100)
    orders.right()
    before = orders.found()
    orders.fill(100, ROWS, WIDE)
    assert orders.way is not None
    orders.way.at(others(orders), after=MIDDLE)
    orders.dativo().refused()
    assert orders.found() == before
    orders.right()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_run_that_is_asked_to_end_ends_its_queries_too(orders: Orders, number: signal.Signals) -> None:
    orders.fill(0, ROWS, WIDE)
    assert orders.way is not None
    process = begun(orders)
    moment = orders.way.at(lambda: process.send_signal(number), after=MIDDLE)
    out, err = process.communicate(timeout=120)
    assert moment.met and process.returncode == 2, (out, err)
    assert "Traceback" not in out + err
    assert orders.found().total() == 0
    wait_until(lambda: not busy(orders))
    orders.right()


def test_a_server_that_falls_silent_while_it_is_read_keeps_nobody_waiting_who_asks_for_the_end(orders: Orders) -> None:
    orders.fill(0, ROWS, WIDE)
    assert orders.way is not None
    silent, over = threading.Event(), threading.Event()
    # Nothing passes while the work of a moment goes on: connections stay open, new ones are taken and get no answer.
    orders.way.at(lambda: (silent.set(), over.wait(LONGEST)), after=MIDDLE)
    process = begun(orders)
    try:
        assert silent.wait(LONGEST)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
        waited = time.monotonic() - asked
    finally:
        process.kill()
        over.set()
    assert process.returncode == 2 and waited < 30, (waited, out, err)
    assert "Traceback" not in out + err
    assert orders.found().total() == 0
    orders.right()


def test_a_server_that_is_silent_from_the_first_is_told_with_its_place(orders: Orders) -> None:
    orders.fill(0, 10)
    module = {"postgres": "postgres.link", "mysql": "mysql.session"}[orders.database.dialect]
    program = (
        f"import dativo.sources.{module} as found; found.CONNECT_SECONDS = 2; from dativo.cli.app import main; main()"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = "PGPORT" if orders.database.dialect == "postgres" else "MYSQL_PORT"
        orders.environment[port] = str(silent.getsockname()[1])
        process = begun(orders, ("-c", program))
        out, err = process.communicate(timeout=LONGEST)
    Ended(process.returncode, out, err).refused("127.0.0.1")


def begun(orders: Orders, program: Sequence[str] = ("-m", "dativo")) -> subprocess.Popen[str]:
    """A run of the job that has begun."""
    command = [sys.executable, *program, "sync", "jobs/acme/orders.yaml", "--json"]
    variables = {**inherited(), **orders.environment}
    return subprocess.Popen(
        command, cwd=orders.root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def busy(orders: Orders) -> bool:
    """Whether the server still works for the run."""
    if orders.database.dialect == "postgres":
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    else:
        query = "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
    return bool(orders.database.select(query)[0][0])


def wait_until(true: Callable[[], bool], longest: float = 30.0) -> None:
    end = time.monotonic() + longest
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


# -- servers of the test's own --------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "mysql"])
def own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orders]:
    """The job before a server that the test may kill."""
    monkeypatch.chdir(tmp_path)
    start = postgres if request.param == "postgres" else mariadb
    with start(tmp_path / "server") as server, strait(server.port) as way:
        yield Orders(tmp_path, new_database(request.param, tmp_path, server), way)


def process(orders: Orders) -> object:
    server = orders.database.server
    assert isinstance(server, Postgres | MariaDb) and server.process is not None
    return server.process


def test_a_server_that_starts_anew_while_it_is_read_fails_the_run(own: Orders) -> None:
    own.fill(0, ROWS, WIDE)
    assert own.way is not None
    moment = own.way.at(lambda: process(own).restart(), after=MIDDLE)  # type: ignore[attr-defined]
    ended = own.dativo()
    assert moment.met and moment.failure is None, moment.failure
    ended.refused("connection", "lost", "gone", "closed", "terminat", "shut")
    assert own.found().total() == 0
    own.right()


def test_a_server_that_is_down_is_told_with_its_place(own: Orders) -> None:
    own.fill(0, 10)
    assert own.database.server is not None
    own.environment["PGPORT" if own.database.dialect == "postgres" else "MYSQL_PORT"] = str(own.database.server.port)
    process(own).kill()  # type: ignore[attr-defined]
    own.dativo().refused("127.0.0.1")
    process(own).restart()  # type: ignore[attr-defined]
    own.right()


# -- disks ----------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_while_rows_are_kept_is_a_clear_error(orders: Orders) -> None:
    orders.fill(0, ROWS, WIDE)
    # Text that does not compress.
    noise = "md5(random()::text || id)" if orders.database.dialect == "postgres" else "md5(concat(rand(), id))"
    orders.database.execute(f"UPDATE orders SET note = repeat({noise}, 3);")
    kept = orders.root / ".local/resume"
    kept.mkdir(parents=True, exist_ok=True)
    ended = orders.dativo(mounted=f"mount -t tmpfs -o size=300k none {kept}")
    ended.refused("no space", "disk")
    assert orders.found().total() == 0
    orders.right()
