"""What is told of runs while they go on: to a person in sentences, to a log collector in JSON lines. On standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from dativo import DativoError, Listener, Problem, ResolvedJob
from dativo.cli.console import err, plural, say, show_problems
from dativo.observe.listener import Several, Silence
from dativo.observe.logs import JsonLog
from dativo.observe.progress import BarProgress, LineProgress


class Interruptions(Silence):
    """Remembers whether the person asked a run to stop."""

    def __init__(self) -> None:
        self.heard = False

    def event(self, event_type: str, **fields: Any) -> None:
        self.heard = self.heard or event_type == "interrupting"


class Reading(Silence):
    """Tells what a stream is about to read, and since when."""

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type != "extraction_started":
            return
        if not fields["files"]:
            say(f"  reads nothing: {plural(fields['files_skipped'], 'file')} unchanged")
            return
        unchanged = f", {fields['files_skipped']:,} unchanged" if fields["files_skipped"] else ""
        since = [e.get("watermark") or e.get("last_value") or e.get("last_modified") for e in fields["cursor"].values()]
        newest = max((str(s) for s in since if s is not None), default=None)
        cursor = f"since {newest[:19].replace('T', ' ')}" if newest else "from the beginning"
        say(f"  reads {plural(fields['files'], 'file')}{unchanged}, {cursor}")


class Teller:
    """Tells problems and errors in the way that was chosen, and makes the listeners of runs."""

    def __init__(self, *, json_logs: bool, progress: str) -> None:
        self._log = JsonLog(None, sys.stderr) if json_logs else None
        self._progress = progress
        self._bar: BarProgress | None = None
        self.interruptions = Interruptions()

    @property
    def in_sentences(self) -> bool:
        return self._log is None

    def problems(self, problems: Iterable[Problem]) -> None:
        """Mistakes and warnings of the configuration."""
        if self._log is None:
            show_problems(problems)
            return
        for problem in problems:
            kind = "job_validation_error" if problem.severity == "error" else "config_warning"
            message = f"{problem.field}: {problem.message}" if problem.field else problem.message
            self._log.event(kind, error=message, place=str(problem.mark or ""), hint=problem.hint)

    def warning(self, event_type: str, text: str) -> None:
        if self._log is None:
            say(f"warning: {text}")
        else:
            self._log.event(event_type, error=text)

    def error(self, job: ResolvedJob, error: DativoError) -> None:
        """Why a job did not run."""
        if self._log is None:
            say(error.render())
            return
        log = JsonLog(job, sys.stderr)
        for problem in error.problems():
            log.event("job_error", error=problem.message, place=str(problem.mark or ""), hint=problem.hint)
        log.event("job_finished", exit_code=error.exit_code)

    def interrupted(self) -> None:
        if self._log is None:
            say("interrupted")
        else:
            self._log.event("interrupted")

    def close(self) -> None:
        """Leaves the terminal as it was, however a run ended."""
        if self._bar is not None:
            self._bar.close()

    def listener(self, job: ResolvedJob, *, opening: bool) -> Listener:
        """What hears of a job's run; with `opening` it goes on from the opening lines."""
        listeners: list[Listener] = [self.interruptions]
        if opening:
            listeners.append(Reading())
        if self._log is not None:
            listeners.append(JsonLog(job, sys.stderr))
        progress = self._progress
        if progress == "auto":
            progress = "bar" if sys.stderr.isatty() and self._log is None else "none"
        if progress == "bar":
            self._bar = BarProgress(err())
            listeners.append(self._bar)
        elif progress in ("log", "json"):
            listeners.append(LineProgress(sys.stderr, as_json=progress == "json"))
        return Several(*listeners)
