"""How far a run is: a bar on a terminal, a line of text now and then, or JSON lines. Written to standard error."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

from dativo.sources.protocol import Meter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

STOPPING = "stopping at the next block; nothing of this stream will be committed (Ctrl-C again kills)"
COMMITTING = "the commit is on its way: waiting for it, then stopping (Ctrl-C again kills)"


def stopping(phase: str) -> str:
    """What a person who asked for the end is told."""
    return COMMITTING if phase == "committing" else STOPPING


class Bars:
    """The display that the bars of several jobs share: there while one of them is."""

    def __init__(self, console: Console) -> None:
        self.display: Progress = _bar(console)
        self._lock = threading.Lock()
        self._users = 0
        self._stopping = False

    def show(self) -> bool:
        """Whether a bar may be drawn; the display is there then, until `hide`."""
        with self._lock:
            if self._stopping:
                return False
            self._users += 1
            if self._users == 1:
                self.display.start()
            return True

    def hide(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and not self._stopping:
                self.display.stop()

    def stop(self, text: str) -> None:
        """Takes everything away for good, and says why: whoever is killed now must not leave a terminal without a cursor."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            if self._users:
                self.display.stop()
            self.display.console.print(text)


class BarProgress:
    """One bar a job, drawn by rich; gone when the run ends, or when it was asked to stop."""

    def __init__(self, bars: Bars, job: str = "") -> None:
        self._bars = bars
        self._label = f"{job}: " if job else ""
        self._task: TaskID | None = None
        self._stream = self._phase = ""
        self._meter = Meter()
        self._shown = False

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type == "interrupting":
            self._bars.stop(stopping(self._phase))
        elif event_type == "job_finished":
            self.close()

    def phase(self, stream: str, phase: str, meter: Meter) -> None:
        self._shown = self._shown or self._bars.show()
        display = self._bars.display
        if self._task is not None and stream != self._stream:
            display.remove_task(self._task)
            self._task = None
        name = self._label + stream
        if self._task is None:
            self._task = display.add_task("", total=None, stream=name, phase=phase, rows=0, rate="", size="")
        self._stream, self._phase, self._meter = stream, phase, meter
        total = meter.total_bytes or None
        display.reset(self._task, total=total, stream=name, phase=phase, rows=0, rate="", size="")

    def tick(self) -> None:
        if self._task is None:
            return
        display = self._bars.display
        task = next((t for t in display.tasks if t.id == self._task), None)
        if task is None:
            return
        seconds = task.elapsed or 0
        rate = f"{self._meter.rows / seconds:,.0f} rows/s" if seconds > 0.5 and self._meter.rows else ""
        display.update(
            self._task, completed=self._meter.bytes, rows=self._meter.rows, rate=rate, size=_size(self._meter)
        )

    def close(self) -> None:
        """Takes the bar away."""
        if self._task is not None:
            with contextlib.suppress(KeyError):
                self._bars.display.remove_task(self._task)
            self._task = None
        if self._shown:
            self._bars.hide()
            self._shown = False


def _size(meter: Meter) -> str:
    """What was read, and of how much where that is known, which of a database it is not."""
    if not meter.bytes:
        return ""
    read = f"{meter.bytes / (1 << 20):,.1f}"
    return f"{read} of {meter.total_bytes / (1 << 20):,.1f} MiB" if meter.total_bytes else f"{read} MiB"


def _bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[stream]}"),
        TextColumn("{task.fields[phase]}", style="dim"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[rows]:,} rows"),
        TextColumn("{task.fields[rate]}", style="dim"),
        TextColumn("{task.fields[size]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        refresh_per_second=8,
    )


class LineProgress:
    """A line when a phase begins, and one every few seconds while it goes on: as text, or as JSON."""

    def __init__(self, out: TextIO, *, as_json: bool, every: float = 5.0, job: str = "") -> None:
        self._out = out
        self._job = job
        self._label = f"{job}: " if job else ""
        self._json = as_json
        self._every = every
        self._stream = self._phase = ""
        self._meter = Meter()
        self._begun = self._last = time.monotonic()

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type == "interrupting":
            self._say({**self._facts(), "phase": "stopping"}, f"{self._label}{stopping(self._phase)}")

    def phase(self, stream: str, phase: str, meter: Meter) -> None:
        self._stream, self._phase, self._meter = stream, phase, meter
        self._begun = self._last = time.monotonic()
        self._say(self._facts(), f"{self._label}{stream}: {phase}")

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._last < self._every or not self._stream:
            return
        self._last = now
        meter = self._meter
        total = f" of {meter.total_bytes / (1 << 20):,.0f}" if meter.total_bytes else ""
        rate = meter.rows / max(now - self._begun, 0.001)
        read = f"{meter.rows:,} rows, {meter.bytes / (1 << 20):,.0f}{total} MiB, {rate:,.0f} rows/s"
        self._say(self._facts(), f"{self._label}{self._stream}: {self._phase}, {read}")

    def _facts(self) -> dict[str, Any]:
        return {
            "event_type": "progress",
            **({"job": self._job} if self._job else {}),
            "stream": self._stream,
            "phase": self._phase,
            "rows": self._meter.rows,
            "bytes": self._meter.bytes,
            "total_bytes": self._meter.total_bytes,
        }

    def _say(self, facts: dict[str, Any], text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more: that is no reason to stop
            self._out.write((json.dumps(facts) if self._json else text) + "\n")
            self._out.flush()
