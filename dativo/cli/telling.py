"""What is told of runs while they go on: to a person in sentences, to a log collector in JSON lines. On standard error."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dativo import DativoError, Listener, Problem, ResolvedJob
from dativo.cli.console import cell, err, plural, say
from dativo.cli.masking import remember
from dativo.errors import listed
from dativo.observe.listener import Several, Silence
from dativo.observe.logs import JsonLog
from dativo.observe.progress import BarProgress, Bars, LineProgress

if TYPE_CHECKING:
    from dativo import Secrets


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}")


class Reading(Silence):
    """Tells what a stream is about to read, and since when; not since when where the run was asked for a window."""

    def __init__(self, job: ResolvedJob, window: bool) -> None:
        self._what = "table" if any(s.relations for s in job.streams) else "file"
        self._window = window
        self._skipped = "left out" if window else "unchanged"
        days = (job.incremental.lookback_days or 0) if job.incremental is not None else 0
        self._less = f" less {plural(days, 'day')}" if days else ""

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type != "extraction_started":
            return
        if not fields["files"]:
            say(f"  reads nothing: {plural(fields['files_skipped'], self._what)} {self._skipped}")
            return
        unchanged = f", {fields['files_skipped']:,} {self._skipped}" if fields["files_skipped"] else ""
        cursor = "" if self._window else f", {self._begin(fields['cursor'])}"
        say(f"  reads {plural(fields['files'], self._what)}{unchanged}{cursor}")

    def _begin(self, entries: dict[str, dict[str, Any]]) -> str:
        """Where a reading goes on; of several cursors the one that came last, where they are times."""
        found = [e.get("watermark") or e.get("last_value") or e.get("last_modified") for e in entries.values()]
        texts = [str(s) for s in found if s is not None]
        if not texts:
            return "from the beginning"
        times = [t for t in texts if _TIME.match(t)]
        if len(times) == len(texts):
            return f"since {max(times)[:19].replace('T', ' ')}{self._less}"
        return f"since {cell(texts[0], 40)}" if len(texts) == 1 else f"from where {plural(len(texts), 'cursor')} stand"


class Retrying(Silence):
    """Tells that a job is about to be tried again."""

    def __init__(self, job: ResolvedJob) -> None:
        self._job = job.name

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type == "retry_delay":
            which = f"{fields['retry']} of {fields['max_retries']}"
            reason = cell(fields["reason"], 300)
            say(f"{self._job}: failed: {reason}\n{self._job}: retry {which} in {fields['delay_seconds']:g} s")


class Teller:
    """Tells problems and errors in the way that was chosen, and makes the listeners of runs.

    With `steps` the steps of the start are told too, and not only what is wrong with them.
    """

    def __init__(self, *, json_logs: bool, progress: str, steps: bool = False) -> None:
        self._log = JsonLog(None, sys.stderr) if json_logs else None
        self._progress = progress
        self._steps = steps
        self._bars: Bars | None = None
        self._missing: set[str] = set()

    @property
    def in_sentences(self) -> bool:
        return self._log is None

    # -- the start ----------------------------------------------------------------------------------------------------

    def knows(self, tenant: str, secrets: Iterable[Secrets]) -> None:
        found = list(secrets)
        for one in found:
            remember(one)
        if self._log is not None:
            self._log = JsonLog(None, sys.stderr, tenant=tenant, secrets=found)

    def step(self, event_type: str, **fields: Any) -> None:
        if not self._steps:
            return
        if self._log is not None:
            self._log.event(event_type, **fields)
        elif event_type in _STEPS:
            say(_STEPS[event_type](fields))

    def problem(self, event_type: str, problem: Problem, **fields: Any) -> None:
        """A mistake or a warning, of the configuration or of what the jobs need."""
        if event_type == "env_validation_warning":
            if not self._steps:
                return  # the job that misses it tells it when it is to run
            self._missing.add(problem.message)
        if event_type == "infrastructure_warning" and not self._steps and _told_by_the_run(problem):
            return
        if self._log is None:
            say(problem.render())
            return
        message = f"{problem.field}: {problem.message}" if problem.field else problem.message
        self._log.event(event_type, error=message, place=str(problem.mark or ""), hint=problem.hint, **fields)

    # -- the jobs -----------------------------------------------------------------------------------------------------

    def error(self, job: ResolvedJob, error: DativoError) -> None:
        """Why a job did not run."""
        problems = error.problems()
        if self._log is not None:
            log = JsonLog(job, sys.stderr)
            for problem in problems:
                log.event("job_error", error=problem.message, place=str(problem.mark or ""), hint=problem.hint)
            log.event("job_finished", exit_code=error.exit_code)
        elif self._missing.issuperset(p.message for p in problems):
            say(f"error: {job.name} cannot run: {'; '.join(dict.fromkeys(p.message for p in problems))} (see above)")
        else:
            say(error.render())

    def interrupted(self) -> None:
        if self._log is None:
            say("interrupted")
        else:
            self._log.event("interrupted")

    def listener(
        self, job: ResolvedJob, *, opening: bool, several: bool, window: bool = False
    ) -> tuple[Listener, BarProgress | None]:
        """What hears of a job's run, and its bar, which is to be closed. With `opening` it follows the opening lines,
        and with `window` they told what part of the source is read."""
        listeners: list[Listener] = []
        if opening:
            listeners.append(Reading(job, window))
        if self._log is not None:
            listeners.append(JsonLog(job, sys.stderr))
        else:
            listeners.append(Retrying(job))
        progress = self._progress
        if progress == "auto":
            progress = "bar" if sys.stderr.isatty() and self._log is None else "none"
        name = job.name if several else ""
        bar = None
        if progress == "bar":
            self._bars = self._bars or Bars(err())
            bar = BarProgress(self._bars, name)
            listeners.append(bar)
        elif progress in ("log", "json"):
            listeners.append(LineProgress(sys.stderr, as_json=progress == "json", job=name))
        return Several(*listeners), bar


def _told_by_the_run(problem: Problem) -> bool:
    """Whether a run of one job finds it out at once and by itself, and tells it as an error."""
    return problem.field.startswith("source") or problem.code in ("local", "unsupported", "target", "config")


_STEPS: dict[str, Callable[[dict[str, Any]], str]] = {
    "jobs_loaded": lambda f: f"{plural(len(f['jobs']), 'job')}: {listed(f['jobs'], 12)}",
    "tenant_inferred": lambda f: f"  tenant          {f['tenant_id']}",
    "tenant_override": lambda f: f"  tenant          {f['tenant_id']} (--tenant-id)",
    "secrets_loaded": lambda f: f"  secrets         {listed(f['secrets'], 12) or 'none'} ({f['manager']})",
    "env_validated": lambda f: "  environment     every variable that is used is set",
    "infra_validated": lambda f: f"  infrastructure  all that is needed answers ({f['seconds']:.2f} s)",
    "state_initialized": lambda f: f"  state           {', '.join(f['folders'])}",
}
