"""A server as a process group of its own: started, waited for, paused, killed, and never left behind.

Whoever starts a server holds a lock on a file beside its log. A small guard process waits for that lock: it gets it when
the holder lets go of it or dies, however it dies, and then ends the group.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.accounts import run_as

PATIENCE = 180.0
# Settings of the person's own that servers of these kinds would obey.
_FOREIGN = ("MINIO_", "NESSIE_", "QUARKUS_", "SMALLRYE_", "AWS_", "PG", "MYSQL_", "MARIADB_", "AZURITE_", "JAVA_TOOL_")

# What the guard runs; its arguments: the lock, the file with the number of the process group,
# the signal, the seconds to heed it, folders to remove.
_GUARD = """
import fcntl, os, shutil, signal, sys, time
with open(sys.argv[1]) as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        group = int(open(sys.argv[2]).read())
        os.killpg(group, signal.SIGCONT)
        os.killpg(group, int(sys.argv[3]))
        end = time.monotonic() + float(sys.argv[4])
        while time.monotonic() < end:
            time.sleep(0.05)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except (OSError, ValueError):
        pass
    for folder in sys.argv[5:]:
        shutil.rmtree(folder, ignore_errors=True)
"""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, below those that the system gives to outgoing connections."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def answers(url: str, *, any_status: bool = False) -> bool:
    """Whether a GET of `url` is answered with 200, or at all."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return any_status or bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return any_status
    except OSError:
        return False


def listens(port: int) -> bool:
    """Whether a connection to a port of this machine is accepted."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


@dataclass
class Recipe:
    """How a server is started: its command, where its log and data are, and how it tells that it is ready."""

    name: str
    folder: Path
    command: Sequence[str]
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """The user of the system that runs it, where we may choose: for servers that refuse to run as root."""
    stop_signal: int = signal.SIGKILL
    """What ends it; one that does not heed it within `stop_seconds` is killed."""
    stop_seconds: float = 5
    data: Path | None = None
    """Its working directory, where that is not `folder`; one outside of `folder` is removed when the server ends."""
    run: Path | None = None
    """Where the file with its number is, if not in `folder`."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> Path:
        """The file with the number of its process, which is that of its process group too; only while it runs."""
        return (self.run or self.folder) / f"{self.name}.pid"


class Server:
    """A running server."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        recipe = self.recipe
        recipe.folder.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        with recipe.log.open("ab") as log:
            process = subprocess.Popen(
                recipe.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=recipe.data or recipe.folder, env={**kept, **recipe.environment}, **run_as(recipe.user),
            )  # fmt: skip
        recipe.pid.write_text(str(process.pid))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and process.poll() is None:
            if recipe.ready() and process.poll() is None:
                return process
            time.sleep(0.05)
        told = f"ended with {process.returncode}" if process.poll() is not None else f"not ready in {PATIENCE:.0f} s"
        _end(process, recipe)
        raise AssertionError(f"{recipe.name} did not start ({told}); its log:\n{recipe.log.read_text()[-20_000:]}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """Ends it at once, as a crash would; `restart` starts it anew on its ports and data."""
        _end(self.process, self.recipe)

    def stop(self) -> None:
        """Ends it as its recipe says."""
        _signal(self.pid, signal.SIGCONT)
        _signal(self.pid, self.recipe.stop_signal)
        try:
            self.process.wait(self.recipe.stop_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        _end(self.process, self.recipe)

    def pause(self) -> None:
        _signal(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        _signal(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kills it where it still runs, and returns when it answers again; what it keeps in memory is gone."""
        self.kill()
        self.process = self._launch()

    def resident(self) -> int:
        """Its resident memory in bytes (Linux)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _end(process: subprocess.Popen[bytes], recipe: Recipe) -> None:
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    recipe.pid.unlink(missing_ok=True)


@contextmanager
def running(recipe: Recipe) -> Iterator[Server]:
    """The server of a recipe; it is stopped at the end, or when this process dies."""
    recipe.folder.mkdir(parents=True, exist_ok=True)
    held = recipe.folder / f"{recipe.name}.held"
    with held.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = [str(held), str(recipe.pid), str(int(recipe.stop_signal)), str(recipe.stop_seconds)]
        if recipe.data is not None and not recipe.data.is_relative_to(recipe.folder):
            arguments.append(str(recipe.data))
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        )  # fmt: skip
        server = None
        try:
            server = Server(recipe)
            yield server
        finally:
            if server is not None:
                server.stop()
            fcntl.flock(lock, fcntl.LOCK_UN)
            guard.wait()
            recipe.pid.unlink(missing_ok=True)
