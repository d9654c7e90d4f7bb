"""`dativo …` as a process that waits, warm, until it is told what to do; and the faults of the system that it may meet.

Every such process has the library of `shim.c` preloaded: with `FAULT` in its environment the system fails it, or kills it,
at a chosen call. As a program it reads one line of JSON (`root`, `arguments`, `environment`) and becomes `dativo`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.services.programs import ROOT, locked, wheel

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("shim.c")
LONGEST = 120.0


@functools.cache
def shim() -> Path:
    """The library, compiled with the C compiler of the PATH, else with one from PyPI."""
    kept = ROOT / "shim" / f"{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}.so"
    with locked("shim"):
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            making = kept.with_suffix(".making")
            found = shutil.which("cc") or shutil.which("gcc")
            compiler = [found] if found else [str(wheel("ziglang==0.17.0") / "ziglang" / "zig"), "cc"]
            options = ["-shared", "-fPIC", "-O1", "-o", str(making), str(SOURCE), "-ldl"]
            subprocess.run([*compiler, *options], check=True, capture_output=True)
            making.rename(kept)
    return kept


@dataclass
class Ended:
    """How a program ended: its exit code (negative: the signal that killed it) and what it said."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Program:
    """One `dativo …`; started at once, told what to do later."""

    def __init__(self) -> None:
        self.out = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self.err = tempfile.TemporaryFile()  # noqa: SIM115
        self.ready, told = os.pipe()
        self.warm = False
        variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "POLARS_MAX_THREADS": "2", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.faults.program", str(told)], pass_fds=[told],
            stdin=subprocess.PIPE, stdout=self.out, stderr=self.err, env={**variables, "LD_PRELOAD": str(shim())},
            start_new_session=True,
        )  # fmt: skip
        os.close(told)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self) -> None:
        """Waits until everything is imported."""
        if not self.warm:
            os.read(self.ready, 1)
            self.warm = True

    def go(self, root: Path, *arguments: str, **environment: str) -> None:
        """Starts it, once it is warm: `dativo ARGUMENTS` in a folder."""
        self.wait_ready()
        order = {"root": str(root), "arguments": arguments, "environment": environment}
        assert self.process.stdin is not None
        self.process.stdin.write((json.dumps(order) + "\n").encode())
        self.process.stdin.close()

    def signal(self, number: int) -> None:
        """Sends a signal, unless it is over."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def ended(self, longest: float = LONGEST) -> Ended:
        """How it ended, once it has; it is killed when it does not."""
        try:
            code = self.process.wait(longest)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the run did not end within {longest} s: {self._said(self.err)}") from None
        return Ended(code, self._said(self.out), self._said(self.err))

    def wait_stopped(self, longest: float = 30.0) -> bool:
        """Waits until SIGSTOP has stopped it; False when it ends instead."""
        end = time.monotonic() + longest
        while time.monotonic() < end and self.process.poll() is None:
            if Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T":
                return True
            time.sleep(0.01)
        return False

    def kill(self) -> None:
        """SIGKILL, whether it has begun or not."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.kill()
        os.close(self.ready)
        for file in (self.out, self.err, self.process.stdin):
            if file is not None:
                file.close()

    @staticmethod
    def _said(file: object) -> str:
        file.seek(0)  # type: ignore[attr-defined]
        text: bytes = file.read()  # type: ignore[attr-defined]
        return text.decode(errors="replace")


class Pool:
    """Programs that are warm already: starting one takes longer than most of the runs."""

    def __init__(self, size: int = 2) -> None:
        self.waiting = [Program() for _ in range(size)]
        self.given: list[Program] = []

    def take(self) -> Program:
        self.waiting.append(Program())
        self.given.append(self.waiting.pop(0))
        return self.given[-1]

    def settle(self) -> None:
        """Ends whatever was given out."""
        for program in self.given:
            program.close()
        self.given.clear()

    def close(self) -> None:
        self.settle()
        for program in self.waiting:
            program.close()


def main() -> None:
    os.environ.pop("LD_PRELOAD", None)
    import duckdb  # noqa: F401

    import dativo.cli.running
    import dativo.cli.sync
    import dativo.pipeline.passes
    import dativo.targets.iceberg.nessie
    import dativo.targets.iceberg.sqlite
    import dativo.targets.iceberg.target
    from dativo.cli.app import main as dativo

    os.write(int(sys.argv[1]), b"r")
    order = json.loads(sys.stdin.readline())
    os.environ.update(order["environment"])
    os.chdir(order["root"])
    sys.argv = ["dativo", *order["arguments"]]
    dativo()


if __name__ == "__main__":
    main()
