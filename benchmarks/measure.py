"""Processes, run and measured: wall seconds, processor seconds and peak memory as the kernel counted them.

The kernel counts a child's memory from its parent's: whoever calls this imports nothing big.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

_LEFT_OUT = ("DATIVO_", "PYTHON", "POLARS_", "UV_", "VIRTUAL_ENV", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


class Failed(Exception):
    """A process ended as it should not, or what it wrote is wrong."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds of wall clock and of processors, peak resident memory in bytes."""

    wall: float
    user: float
    system: float
    memory: int


@dataclass(slots=True)
class Measured:
    """The counted runs of one contender, in the order of the rounds."""

    label: str
    runs: list[Run] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(r.wall for r in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        walls = [r.wall for r in self.runs]
        return min(walls), max(walls)

    @property
    def memory(self) -> int:
        """The largest peak of all runs, in bytes."""
        return max(r.memory for r in self.runs)

    def ratio(self, other: Measured) -> float:
        """How many times `other`'s seconds this one took: the median of the ratios, round by round."""
        return median(a.wall / b.wall for a, b in zip(self.runs, other.runs, strict=True))


def as_plain(measured: Measured) -> dict[str, Any]:
    return asdict(measured)


def from_plain(plain: Mapping[str, Any]) -> Measured:
    return Measured(plain["label"], [Run(**r) for r in plain["runs"]])


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a measured process: the person's own, without what would change dativo, Python or Polars."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(_LEFT_OUT)}
    return {**own, **(more or {})}


def run(
    command: Sequence[str], *, cwd: Path, more: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> tuple[Run, str]:
    """Runs a command to its end: what it took, and its standard output. Failed when its exit code is not among `codes`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=environment(more), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        text, errors = _read(out), _read(err)
    if process.returncode not in codes:
        shown = " ".join(map(str, command))
        raise Failed(f"exit code {process.returncode} of: {shown}\n{text[-2000:]}\n{errors[-4000:]}")
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return Run(round(wall, 4), round(usage.ru_utime, 4), round(usage.ru_stime, 4), usage.ru_maxrss * unit), text


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def run_json(command: Sequence[str], *, cwd: Path, given: str | None = None) -> Any:
    """What a command that is not measured prints as JSON; `given` is its standard input."""
    done = subprocess.run(command, cwd=cwd, env=environment(), input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"exit code {done.returncode} of: {' '.join(command)}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)
