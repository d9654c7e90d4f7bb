"""Runs of several jobs, one after another: what is shown meanwhile, and the exit code of them all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dativo import DativoError, Listener, Problem, Receipt, ResolvedJob, load_jobs, sync
from dativo.cli.console import err, out, print_json, say, show_problems
from dativo.cli.summary import opening, results, what_next


@dataclass(slots=True, frozen=True)
class Wishes:
    """How jobs are run and shown."""

    streams: tuple[str, ...] = ()
    limit: int | None = None
    full_refresh: bool = False
    mode: str | None = None
    tenant: str | None = None
    progress: str = "auto"
    json_logs: bool = False
    as_json: bool = False
    guide: bool = False


def run_files(files: Sequence[Path], wishes: Wishes) -> int:
    """Runs the jobs of some files and gives the exit code.

    Jobs that are not valid are reported and left out. 0 when every job succeeded, 2 when none did, else 1.
    """
    jobs, problems = load_jobs(files, mode=wishes.mode)  # type: ignore[arg-type]
    broken = [p for p in problems if p.severity == "error"]
    show_problems(p for p in problems if p.code != "env_missing")
    jobs = _of_tenant(jobs, wishes.tenant)
    codes = [2] * (len(files) - len(jobs))
    receipts: list[Receipt] = []
    for position, job in enumerate(jobs):
        if position:
            say()
        receipt = _run_one(job, wishes)
        codes.append(2 if receipt is None else receipt.exit_code)
        if receipt is not None:
            receipts.append(receipt)
            if receipt.status == "interrupted":
                break
    code = 0 if not any(codes) else 2 if all(c == 2 for c in codes) else 1
    if wishes.as_json:
        print_json(
            {"version": 1, "exit_code": code, "jobs": [_as_dict(r) for r in receipts], "problems": _told(broken)}
        )
    else:
        results(receipts, out())
        if wishes.guide:
            what_next(receipts, out())
    return code


def _as_dict(receipt: Receipt) -> dict[str, object]:
    from dativo.receipt import as_builtins

    return as_builtins(receipt)


def _told(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [{"message": p.message, "place": str(p.mark or ""), "field": p.field, "hint": p.hint} for p in problems]


def _of_tenant(jobs: list[ResolvedJob], tenant: str | None) -> list[ResolvedJob]:
    if tenant is None:
        return jobs
    others = [j for j in jobs if j.tenant_id != tenant]
    if others:
        raise DativoError(
            f"the job {others[0].path} is of tenant '{others[0].tenant_id}', not '{tenant}'",
            hint="run the jobs of one tenant, or leave --tenant-id out",
        )
    return jobs


def _run_one(job: ResolvedJob, wishes: Wishes) -> Receipt | None:
    if not wishes.as_json and not wishes.json_logs:
        opening(job, wishes.full_refresh)
    listener = _listener(job, wishes)
    try:
        return sync(
            job,
            streams=wishes.streams or None,
            limit=wishes.limit,
            full_refresh=wishes.full_refresh,
            listener=listener,
        )
    except DativoError as error:
        listener.event("job_finished", exit_code=2)
        say(error.render())
        return None


def _listener(job: ResolvedJob, wishes: Wishes) -> Listener:
    from dativo.observe.listener import Several
    from dativo.observe.logs import JsonLog
    from dativo.observe.progress import BarProgress, LineProgress

    listeners: list[Listener] = []
    if wishes.json_logs:
        listeners.append(JsonLog(job, sys.stderr))
    progress = wishes.progress
    if progress == "auto":
        progress = "bar" if sys.stderr.isatty() and not wishes.json_logs else "none"
    if progress == "bar":
        listeners.append(BarProgress(err()))
    elif progress in ("log", "json"):
        listeners.append(LineProgress(sys.stderr, as_json=progress == "json"))
    return Several(*listeners)
