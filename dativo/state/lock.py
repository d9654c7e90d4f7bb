"""The lock of a job's run: a second run ends at once, instead of after all of its work.

`{state folder}/{tenant}/{job}.lock` tells as JSON whose it is; its modification time is the owner's heartbeat. A lock whose
owner is dead, or has given no sign for long, is taken over. It is a courtesy: that no row is lost or doubled is the
commit's doing, whoever holds the lock. Where it cannot be written, runs go on without.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dativo.config.resolve import ResolvedJob
from dativo.errors import StateError
from dativo.state.process import identity
from dativo.state.store import state_root

STALE_SECONDS = 60.0
LONGEST_BEAT = 15.0
# Seconds to wait for another process that looks at the same moment.
PATIENCE = 2.0


class JobIsRunning(StateError):
    """Another run of the same job goes on."""

    code = "job_is_running"


def lock_path(job: ResolvedJob) -> Path:
    return state_root(job) / job.tenant_id / f"{job.name}.lock"


class RunLock:
    """The lock of one run, held from `take` to `release`. With a time-out of 0 seconds any lock is stale."""

    def __init__(self, job: ResolvedJob, token: str, started: datetime) -> None:
        self.job = job
        self.path = lock_path(job)
        chosen = job.budget.lock
        self.stale_after = STALE_SECONDS if chosen is None else chosen
        host, pid = _machine(), os.getpid()
        self.owner = {
            "version": 1, "run": token, "host": host, "pid": pid, "process": identity(pid),
            "started_at": started.isoformat(timespec="seconds"),
        }  # fmt: skip
        self.held: int | None = None
        self.done = threading.Event()
        self.heart: threading.Thread | None = None

    def take(self) -> str:
        """Takes the lock; why that could not be done, or empty text. Raises JobIsRunning when another run holds it."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(self.path.parent):
                self.held = self._written()
        except OSError as error:
            return f"the run lock '{self.path}' cannot be written: {error.strerror}"
        self.heart = threading.Thread(target=self._beat, name="dativo-lock", daemon=True)
        self.heart.start()
        return ""

    def release(self) -> None:
        """Gives the lock back, if it is still this run's."""
        self.done.set()
        if self.heart is not None:
            self.heart.join()
        if self.held is None:
            return
        with contextlib.suppress(OSError), _alone(self.path.parent):
            if self._is_ours():
                self.path.unlink()
        os.close(self.held)
        self.held = None

    def _written(self) -> int:
        """A descriptor of the lock file, which is this run's from now on."""
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            os.write(descriptor, json.dumps(self.owner).encode() + b"\n")
            # Both times are the file system's, whose clock need not be this machine's.
            self._check(os.fstat(descriptor).st_mtime)
            Path(temporary).replace(self.path)
        except BaseException:
            os.close(descriptor)
            Path(temporary).unlink(missing_ok=True)
            raise
        return descriptor

    def _check(self, now: float) -> None:
        """Raises JobIsRunning when the lock that is there is not stale."""
        try:
            age = now - self.path.stat().st_mtime
            owner = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return
        except ValueError:
            owner = {}
        owner = owner if isinstance(owner, dict) else {}
        # A sign from the future is one from before the clock was set back.
        silent = age > self.stale_after or age < -max(self.stale_after, LONGEST_BEAT)
        if silent or self.stale_after == 0 or _is_dead(owner):
            return
        who = f"run {owner.get('run', '?')}, process {owner.get('pid', '?')} on {_host(owner)}"
        raise JobIsRunning(
            f"another run of the job '{self.job.name}' goes on: {who}, since {owner.get('started_at', '?')}",
            hint=f"wait until it has ended; a run that gives no sign for {self.stale_after:g} s (engine.lock) loses its "
            f"lock, {self.path}",
        )

    def _beat(self) -> None:
        """Gives a sign of life until the run is over or the lock is someone else's."""
        pause = min(LONGEST_BEAT, max(self.stale_after / 4, 0.05))
        while not self.done.wait(pause):
            with contextlib.suppress(OSError):
                if not self._is_ours():
                    return
                assert self.held is not None
                os.utime(self.held)

    def _is_ours(self) -> bool:
        assert self.held is not None
        ours, there = os.fstat(self.held), self.path.stat()
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def running(root: Path, within: float) -> frozenset[str]:
    """The tokens of the runs that hold a lock below the folder of all state.

    Left out are those whose owner is known to be dead, or has given no sign for `within` seconds.
    """
    found = set()
    for path in root.glob("*/*.lock"):
        with contextlib.suppress(OSError, ValueError):
            owner = json.loads(path.read_bytes())
            if time.time() - path.stat().st_mtime < within and isinstance(owner, dict) and not _is_dead(owner):
                found.add(str(owner.get("run", "")))
    return frozenset(found - {""})


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from looking at the folder's locks meanwhile, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    break
                time.sleep(0.01)
            except OSError:
                break
        yield
    finally:
        os.close(descriptor)


def _machine() -> str:
    """This machine's name, and which start of it this is."""
    started = ""
    with contextlib.suppress(OSError):
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    return f"{socket.gethostname()}/{started}"


def _host(owner: dict[str, Any]) -> str:
    return str(owner.get("host", "?")).partition("/")[0]


def _is_dead(owner: dict[str, Any]) -> bool:
    """Whether the owner was a process of this machine that is gone; of an earlier start of it, too."""
    host, pid = str(owner.get("host", "")), owner.get("pid")
    if _host(owner) != socket.gethostname() or not isinstance(pid, int):
        return False
    return host != _machine() or owner.get("process") != identity(pid)
