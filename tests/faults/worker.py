"""A process that waits with everything imported until it is told which job to run: what a test kills or lets race.

As a program it prints `ready`, reads one line of JSON (`root`, `job`, `hold`), runs the job, prints each phase and at the
end the receipt. A `Worker` is such a process, seen from the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class Worker:
    """A process that is started at once and runs a job when it is told to."""

    def __init__(self, prefix: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "POLARS_MAX_THREADS": "2", **(environment or {})}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-W", "error", "-m", "tests.faults.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables,
        )  # fmt: skip

    def wait_ready(self) -> None:
        line = self._line()
        assert line == "ready", line

    def go(self, root: Path, job: str = "job", hold: str = "", **options: Any) -> None:
        """Starts the run; at the beginning of the phase `hold` it waits to be released."""
        self._say(json.dumps({"root": str(root), "job": job, "hold": hold, "options": options}))

    def release(self) -> None:
        """Lets a run go on that waits."""
        self._say("go on")

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def wait_phase(self, phase: str) -> bool:
        """Waits until the run says that it is in a phase; False when it ends before."""
        while line := self._line():
            if line == f"phase {phase}":
                return True
        return False

    def receipt(self) -> dict[str, Any]:
        """The receipt of a run that came to its end."""
        assert self.process.stdout is not None and self.process.stderr is not None
        output = self.process.stdout.read()
        assert self.process.wait(60) == 0, self.process.stderr.read()
        receipt: dict[str, Any] = json.loads(output.splitlines()[-1])
        return receipt

    def kill(self) -> bool:
        """SIGKILL; whether it came before the end."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self.process.returncode == -signal.SIGKILL

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def main() -> None:
    import duckdb  # noqa: F401

    import dativo.pipeline.passes
    import dativo.targets.iceberg.sqlite
    import dativo.targets.iceberg.target  # noqa: F401
    from dativo import DativoError, load_job, sync
    from dativo.observe.listener import Silence
    from dativo.receipt import as_builtins

    class Phases(Silence):
        def phase(self, stream: str, phase: str, meter: Any) -> None:
            print(f"phase {phase}", flush=True)
            if phase == order["hold"]:
                sys.stdin.readline()

    print("ready", flush=True)
    order = json.loads(sys.stdin.readline())
    os.chdir(order["root"])
    job = load_job(Path(order["root"]) / "jobs" / "acme" / f"{order['job']}.yaml")
    try:
        told = as_builtins(sync(job, listener=Phases(), **order["options"]))
    except DativoError as error:
        told = {"status": "failed", "exit_code": error.exit_code, "streams": [{"error": error.render()}]}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
