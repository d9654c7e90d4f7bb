"""Runs of several jobs, one after another or some at a time: what is shown meanwhile, and the exit code of them all."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dativo import Ended, Listener, Problem, ResolvedJob, RunOptions, StartOptions, run_jobs, startup
from dativo.cli.console import cell, out, plural, print_json, say
from dativo.cli.masking import remember
from dativo.cli.summary import opening, results, what_next
from dativo.cli.telling import Teller
from dativo.receipt import as_builtins

if TYPE_CHECKING:
    from dativo import SecretManager
    from dativo.observe.progress import BarProgress


@dataclass(slots=True, frozen=True)
class Wishes:
    """How jobs are started, run and shown. With `steps` the steps of the start are told; with `runner_retries` the
    runner's configuration has the retries for jobs that have none of their own."""

    options: RunOptions
    start: StartOptions
    manager: SecretManager | None = None
    steps: bool = False
    runner_retries: bool = False
    progress: str = "auto"
    json_logs: bool = False
    as_json: bool = False
    guide: bool = False


def run_files(files: Sequence[Path], wishes: Wishes) -> int:
    """Runs the jobs of some files and gives the exit code.

    Jobs that are not valid are reported and left out. 0 when every job succeeded, 2 when none did or the person
    interrupted, else 1.
    """
    import msgspec

    teller = Teller(json_logs=wishes.json_logs, progress=wishes.progress, steps=wishes.steps)
    started = startup(files, teller, wishes.start, wishes.manager)
    broken = [p for p in started.problems if p.severity == "error"]
    if started.fatal is not None:
        if started.fatal.code == "tenant" or wishes.steps:
            teller.problem("jobs_load_error", started.fatal)
        return _end([], [*broken, started.fatal], 2, wishes)
    for job in started.jobs:
        remember(job)
    options = wishes.options
    if wishes.runner_retries:
        options = msgspec.structs.replace(options, retry=started.retry)
    runs = _Runs(wishes, teller, min(options.at_once, len(started.jobs)))
    ended, finished = run_jobs(started.jobs, options, runs)
    if not finished:
        teller.interrupted()
    codes = [2] * (len(files) - len(started.jobs)) + [e.exit_code for e in ended]
    code = 2 if not finished else 0 if not any(codes) else 2 if all(c == 2 for c in codes) else 1
    errors = [p for e in ended if e.error is not None for p in e.error.problems()]
    return _end(ended, [*broken, *errors], code, wishes, started.invalid)


def _end(
    ended: Sequence[Ended], problems: Sequence[Problem], code: int, wishes: Wishes, invalid: Sequence[str] = ()
) -> int:
    with contextlib.suppress(BrokenPipeError):  # what was done is done, whether its figures are read or not
        _show(ended, problems, code, wishes, invalid)
    return code


@dataclass(slots=True)
class _Runs:
    """Shows jobs that run: each with its opening lines, or, where several run at a time, with a line when it ends."""

    wishes: Wishes
    teller: Teller
    at_once: int
    bars: dict[int, BarProgress | None] = field(default_factory=dict)
    begun: int = 0

    def begins(self, job: ResolvedJob) -> Listener:
        wishes, several = self.wishes, self.at_once > 1
        told = not wishes.as_json and self.teller.in_sentences and not several
        if told:
            if self.begun:
                say()
            opening(job, wishes.options.full_refresh, wishes.options.since, wishes.options.until)
        self.begun += 1
        window = wishes.options.since is not None or wishes.options.until is not None
        listener, bar = self.teller.listener(job, opening=told, several=several, window=window)
        self.bars[threading.get_ident()] = bar
        return listener

    def ends(self, ended: Ended) -> None:
        bar = self.bars.pop(threading.get_ident(), None)
        if bar is not None:
            bar.close()
        if ended.error is not None:
            self.teller.error(ended.job, ended.error)
        elif self.at_once > 1 and self.teller.in_sentences and ended.receipt is not None and not self.wishes.as_json:
            say(_ending(ended))


def _ending(ended: Ended) -> str:
    """One line for a job that ended while others go on."""
    receipt = ended.receipt
    assert receipt is not None
    error = next((s.error for s in receipt.streams if s.error), "")
    if error:
        return f"✗ {ended.job.name}: {cell(error.splitlines()[0], 300)}"
    if receipt.status == "unchanged":
        return f"= {ended.job.name}: nothing new"
    return f"✓ {ended.job.name}: {plural(receipt.loaded, 'row')} loaded in {receipt.seconds:.2f} s"


def _show(
    ended: Sequence[Ended], problems: Sequence[Problem], code: int, wishes: Wishes, invalid: Sequence[str]
) -> None:
    receipts = [e.receipt for e in ended if e.receipt is not None]
    if wishes.as_json:
        jobs = [as_builtins(r) for r in receipts]
        print_json({"version": 1, "exit_code": code, "jobs": jobs, "problems": _told(problems)})
        return
    without = [(e.job.name, "not begun" if e.error is None else "not run") for e in ended if e.receipt is None]
    without += [(name, "not valid") for name in invalid]
    results(receipts, out(), errors=not wishes.json_logs, without=without)
    if wishes.guide:
        what_next(receipts, out())


def _told(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [{"message": p.message, "place": str(p.mark or ""), "field": p.field, "hint": p.hint} for p in problems]
