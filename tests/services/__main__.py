"""`just services up|down|status|logs [NAME…]`: the servers of the tests, kept running to try things on.

Tests start servers of their own; these have fixed ports and keep their data in `.services/data/`.
"""

from __future__ import annotations

import subprocess
import sys
import time

from tests.services.standing import SERVERS, USUAL, Standing


def up(names: list[str]) -> int:
    chosen = names or list(USUAL)
    wanted = [name for server in chosen for name in (*SERVERS[server].needs, server)]
    failed = 0
    for name in dict.fromkeys(wanted):
        server, begin = SERVERS[name], time.monotonic()
        try:
            began = server.up()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            print(f"{name:<13} not started: {_reason(error)}", file=sys.stderr)
            failed = 1
            continue
        print(f"{name:<13} {'started' if began else 'runs already'} ({time.monotonic() - begin:.1f} s)")
        _use(server)
    return failed


def _reason(error: Exception) -> str:
    """The error, and what a program that failed has written."""
    return f"{error}\n{getattr(error, 'stderr', None) or ''}".strip()


def down(names: list[str]) -> int:
    # Those that need others first.
    for name in reversed(names or list(SERVERS)):
        stopped = SERVERS[name].down()
        if stopped or names:
            print(f"{name:<13} {'stopped' if stopped else 'does not run'}")
    return 0


def status(names: list[str]) -> int:
    for name in names or list(SERVERS):
        server = SERVERS[name]
        number = server.number()
        print(f"{name:<13} {'not running' if number is None else f'process {number}, 127.0.0.1:{server.port}'}")
        if number is not None:
            _use(server)
    return 0


def _use(server: Standing) -> None:
    if server.hint:
        print(f"    # {server.hint}")
    for name, value in server.environment(server.port).items():
        print(f"    export {name}='{value}'")


def logs(names: list[str]) -> int:
    for name in names or list(SERVERS):
        log = SERVERS[name].log
        if log.exists():
            print(f"==> {log}\n{log.read_text(errors='replace')}")
        elif names:
            print(f"{name}: no log yet")
    return 0


COMMANDS = {"up": up, "down": down, "status": status, "logs": logs}


def main(command: str = "status", *names: str) -> int:
    unknown = [name for name in names if name not in SERVERS]
    if command not in COMMANDS or unknown:
        what = f"server '{unknown[0]}'" if command in COMMANDS else f"command '{command}'"
        print(f"unknown {what}: {'|'.join(COMMANDS)} [{'|'.join(SERVERS)}]…", file=sys.stderr)
        return 2
    return COMMANDS[command](list(names))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
