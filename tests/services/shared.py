"""The servers that the tests of one pytest run share, whatever the number of its workers.

The first worker that wants a server starts a host process, which starts the server. Every worker that uses it holds a
shared lock on one file; the host waits for the exclusive one, gets it when the last worker let go or died, and stops.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.services.azurite import azurite
from tests.services.mariadb import mariadb
from tests.services.minio import Minio, minio
from tests.services.nessie import nessie
from tests.services.postgres import postgres

PATIENCE = 400.0
"""Seconds: a program that is missing is built first."""

KINDS: dict[str, Callable[..., Any]] = {
    "minio": minio,
    "nessie": lambda folder, port: nessie(folder, Minio(port)),
    "postgres": postgres,
    "mariadb": mariadb,
    "azurite": azurite,
}


@contextmanager
def shared(folder: Path, kind: str, **given: int) -> Iterator[dict[str, Any]]:
    """What the host told of a server of a kind (its port); the server runs at least until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("a") as users:
        with (folder / "joining").open("w") as joining:
            fcntl.flock(joining, fcntl.LOCK_EX)
            # Waits here for a host that is about to stop.
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _hosted(folder):
                _start(folder, kind, given)
        yield json.loads((folder / "told.json").read_text())


def _hosted(folder: Path) -> bool:
    """Whether a host serves this folder: it holds a lock as long as it lives."""
    with (folder / "host").open("a") as host:
        try:
            fcntl.flock(host, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return (folder / "told.json").exists()
    return False


def _start(folder: Path, kind: str, given: dict[str, int]) -> None:
    told, log = folder / "told.json", folder / "host.log"
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.services.shared", kind, str(folder), json.dumps(given)]
    with log.open("wb") as output:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
                       cwd=Path(__file__).parents[2])  # fmt: skip
    end = time.monotonic() + PATIENCE
    while not told.exists():
        assert "Error" not in log.read_text(), f"{kind} did not start:\n{log.read_text()}"
        assert time.monotonic() < end, f"{kind} was not there after {PATIENCE:.0f} s:\n{log.read_text()}"
        time.sleep(0.05)


def _host(kind: str, folder: Path, given: dict[str, int]) -> None:
    with ExitStack() as stack:
        own = stack.enter_context((folder / "host").open("a"))
        fcntl.flock(own, fcntl.LOCK_EX)
        server: Any = stack.enter_context(KINDS[kind](folder, **given))
        told = folder / "told.json"
        making = folder / "told.making"
        making.write_text(json.dumps({"port": server.port}))
        making.rename(told)
        users = stack.enter_context((folder / "users").open("a"))
        fcntl.flock(users, fcntl.LOCK_EX)
        told.unlink()


if __name__ == "__main__":
    if os.fork() == 0:
        # A session of its own: what ends the tests does not end it.
        os.setsid()
        _host(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
