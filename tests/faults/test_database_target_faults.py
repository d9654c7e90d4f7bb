"""Connections that die under a load into a database: at the end every row is there once, whatever was lost on the way."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dativo.errors import CommitUnknown, TargetError
from dativo.targets.databases import commit as committing
from tests.database_lake import DatabaseLake, Server
from tests.lake import commit, write
from tests.project import Project
from tests.services.mariadb import mariadb
from tests.services.postgres import postgres
from tests.tcp_relay import Relay, Trap, What, relay

pytestmark = pytest.mark.server
# The bytes of a statement that loads, and of the one that ends its transaction.
LOADS = {"postgres": b"FROM STDIN", "mysql": b"LOAD DATA"}
# A simple query of Postgres' protocol ends with a zero byte.
COMMITS = {"postgres": b"COMMIT\0", "mysql": b"COMMIT"}


@pytest.fixture(params=["postgres", "mysql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str, request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue("postgres_server" if kind == "postgres" else "mariadb_server")
    return found


@pytest.fixture
def lake(project: Project, kind: str, server: Server) -> DatabaseLake:
    database = server.make_database(f"faults_{secrets.token_hex(6)}")
    return DatabaseLake(project, kind, server, database, "public" if kind == "postgres" else database)


@pytest.fixture
def line(lake: DatabaseLake) -> Iterator[Relay]:
    """A relay on the way to the lake's server, on which the lake's jobs go."""
    with relay(lake.server.port) as found:
        lake.target_block = {"connection": {**lake.connection, "port": found.port}}
        lake.make_job(lake.job)
        yield found


def rerun(lake: DatabaseLake, line: Relay, ids: list[int]) -> None:
    """The next run, after all is well again."""
    line.trap = None
    lake.load(lake.columns, lake.frame(ids))


@pytest.mark.parametrize("what", ["cut the reply", "swallow", "go silent"])
def test_a_commit_whose_answer_is_lost_is_found_or_done_again(
    lake: DatabaseLake, line: Relay, kind: str, what: What
) -> None:
    lake.load(lake.columns, lake.frame([1]))
    target, _ = lake.opened()
    written = write(target, lake.frame([2, 3]))
    line.trap = Trap((LOADS[kind], COMMITS[kind]), what)
    committed = commit(target, written)
    assert line.trap.sprung == 1
    assert committed.snapshot_id == 2
    assert lake.ids == [1, 2, 3]
    rerun(lake, line, [4])
    assert lake.ids == [1, 2, 3, 4]


@pytest.mark.parametrize(("what", "landed"), [("cut the reply", True), ("swallow", False)])
def test_where_nobody_answers_afterwards_the_run_says_so_and_the_next_one_knows(
    lake: DatabaseLake, line: Relay, kind: str, what: What, landed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "ROUNDS", 2)
    target, _ = lake.opened(token="t-1")
    written = write(target, lake.frame([1, 2]))
    line.trap = Trap((LOADS[kind], COMMITS[kind]), what, closed=True)
    with pytest.raises(CommitUnknown, match="does not answer whether the commit"):
        commit(target, written)
    line.trap = None
    saved = lake.open(lake.columns).saved
    assert (saved is not None and saved.token == "t-1") is landed
    assert lake.ids == ([1, 2] if landed else [])


def test_a_line_that_is_cut_while_rows_go_out_leaves_nothing(lake: DatabaseLake, line: Relay, kind: str) -> None:
    lake.load(lake.columns, lake.frame([1]))
    target, _ = lake.opened()
    written = write(target, lake.frame(list(range(2, 50_000))))
    line.trap = Trap((LOADS[kind],), "swallow")
    with pytest.raises(TargetError, match=r"the connection to .* was lost"):
        commit(target, written)
    target.abort()
    assert lake.ids == [1]
    rerun(lake, line, [2])
    assert lake.ids == [1, 2]


def test_a_backend_that_is_killed_while_rows_go_out_leaves_nothing(lake: DatabaseLake, kind: str) -> None:
    lake.load(lake.columns, lake.frame([1]))
    target, _ = lake.opened()
    written = write(target, lake.frame(list(range(2, 2_000_000))))
    killed: list[Any] = []
    looks = {
        "postgres": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%FROM STDIN%' "
        "AND application_name = 'dativo' AND datname = current_database()",
        "mysql": "SELECT id FROM information_schema.processlist WHERE info LIKE 'LOAD DATA%' AND db = DATABASE()",
    }

    def kill() -> None:
        end = time.monotonic() + 120
        while not killed and time.monotonic() < end:
            found = lake.sql(looks[kind])
            if found and kind == "mysql":
                lake.sql(f"KILL {found[0][0]}")
            killed.extend(found)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TargetError, match="was lost"):
        commit(target, written)
    killer.join()
    target.abort()
    assert killed
    assert lake.ids == [1]
    lake.load(lake.columns, lake.frame([2]))
    assert lake.ids == [1, 2]


def test_a_server_that_is_restarted_under_a_run_is_a_clear_error_and_the_next_run_loads(
    project: Project, kind: str, tmp_path: Path
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    own: Any = postgres if kind == "postgres" else mariadb
    with own(folder) as server:
        database = server.make_database("restarts")
        lake = DatabaseLake(project, kind, server, database, "public" if kind == "postgres" else database)
        lake.load(lake.columns, lake.frame([1]))
        target, _ = lake.opened()
        written = write(target, lake.frame([2]))
        assert server.process is not None
        server.process.kill()
        with pytest.raises(TargetError, match="nothing listens there"):
            commit(target, written)
        target.abort()
        server.process.restart()
        lake.load(lake.columns, lake.frame([3]))
        assert lake.ids == [1, 3]
