"""`just services up|down|status|logs`: the servers of the tests, kept running to look at and to try things on.

Tests start servers of their own; these have fixed ports and keep their data in `.services/data/`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.services import rest_catalog
from tests.services.java import ROOT

PORT = 19181
FOLDER = ROOT / "data" / "rest-catalog"
PID = FOLDER / "pid"


def _running() -> int | None:
    """The number of the process that `up` started, if it is still that one."""
    try:
        number = int(PID.read_text())
        command = Path(f"/proc/{number}/cmdline")
        os.kill(number, 0)
    except (OSError, ValueError):
        return None
    return number if not command.exists() or b"RESTCatalogServer" in command.read_bytes() else None


def up() -> None:
    if _running() is None:
        process = rest_catalog.start(FOLDER, PORT)
        PID.write_text(str(process.pid))
    status()


def down() -> None:
    number = _running()
    if number is not None:
        os.kill(number, signal.SIGTERM)
        PID.unlink(missing_ok=True)
    print("rest-catalog  stopped")


def status() -> None:
    number = _running()
    state = f"process {number}, http://127.0.0.1:{PORT}" if number is not None else "not running"
    print(f"rest-catalog  {state}")
    if number is not None:
        print(f'  use it:  target: {{catalog: {{type: rest, uri: "http://127.0.0.1:{PORT}"}}}}')


def logs() -> None:
    log = FOLDER / "server.log"
    print(log.read_text() if log.exists() else "no log yet")


if __name__ == "__main__":
    commands = {"up": up, "down": down, "status": status, "logs": logs}
    chosen = sys.argv[1] if len(sys.argv) > 1 else "status"
    if chosen not in commands:
        sys.exit(f"unknown command '{chosen}': up, down, status or logs")
    commands[chosen]()
