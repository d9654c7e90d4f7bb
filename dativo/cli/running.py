"""Runs of several jobs, one after another: what is shown meanwhile, and the exit code of them all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dativo import DativoError, Problem, Receipt, ResolvedJob, load_jobs, sync
from dativo.cli.console import out, print_json, say
from dativo.cli.masking import remember
from dativo.cli.summary import opening, results, what_next
from dativo.cli.telling import Teller
from dativo.receipt import as_builtins


@dataclass(slots=True, frozen=True)
class Wishes:
    """How jobs are run and shown. With `one_tenant` jobs of several tenants are refused."""

    streams: tuple[str, ...] = ()
    limit: int | None = None
    full_refresh: bool = False
    mode: str | None = None
    tenant: str | None = None
    one_tenant: bool = False
    progress: str = "auto"
    json_logs: bool = False
    as_json: bool = False
    guide: bool = False


def run_files(files: Sequence[Path], wishes: Wishes, warnings: Sequence[str] = ()) -> int:
    """Runs the jobs of some files and gives the exit code.

    Jobs that are not valid are reported and left out. 0 when every job succeeded, 2 when none did or the person
    interrupted, else 1.
    """
    teller = Teller(json_logs=wishes.json_logs, progress=wishes.progress)
    for text in warnings:
        teller.warning("secrets_warning", text)
    jobs, problems = load_jobs(files, mode=wishes.mode)  # type: ignore[arg-type]
    for job in jobs:
        remember(job)
    broken = [p for p in problems if p.severity == "error"]
    teller.problems(p for p in problems if p.code != "env_missing")
    _check_tenants(jobs, wishes)
    runs = _Runs(wishes, teller)
    finished = runs.all(jobs)
    codes = [2] * (len(files) - len(jobs)) + runs.codes
    code = 2 if not finished else 0 if not any(codes) else 2 if all(c == 2 for c in codes) else 1
    with contextlib.suppress(BrokenPipeError):  # what was done is done, whether its figures are read or not
        _show(runs.receipts, [*broken, *runs.problems], code, wishes)
    return code


class _Runs:
    """Jobs run one after another, and what came of them."""

    def __init__(self, wishes: Wishes, teller: Teller) -> None:
        self.wishes = wishes
        self.teller = teller
        self.codes: list[int] = []
        self.receipts: list[Receipt] = []
        self.problems: list[Problem] = []

    def all(self, jobs: Sequence[ResolvedJob]) -> bool:
        """Runs the jobs; False when the person interrupted before all of it was done."""
        try:
            for position, job in enumerate(jobs):
                if self.teller.interruptions.heard:
                    return False
                if position and self.teller.in_sentences:
                    say()
                self.one(job)
                if self.receipts and self.receipts[-1].status == "interrupted":
                    return False
        except KeyboardInterrupt:
            self.teller.interrupted()
            return False
        return True

    def one(self, job: ResolvedJob) -> None:
        wishes = self.wishes
        told = not wishes.as_json and self.teller.in_sentences
        if told:
            opening(job, wishes.full_refresh)
        try:
            receipt = sync(
                job,
                streams=wishes.streams or None,
                limit=wishes.limit,
                full_refresh=wishes.full_refresh,
                listener=self.teller.listener(job, opening=told),
            )
        except DativoError as error:
            self.teller.error(job, error)
            self.problems += error.problems()
            self.codes.append(error.exit_code)
        else:
            self.receipts.append(receipt)
            self.codes.append(receipt.exit_code)
        finally:
            self.teller.close()


def _show(receipts: list[Receipt], problems: list[Problem], code: int, wishes: Wishes) -> None:
    if wishes.as_json:
        jobs = [as_builtins(r) for r in receipts]
        print_json({"version": 1, "exit_code": code, "jobs": jobs, "problems": _told(problems)})
        return
    results(receipts, out(), errors=not wishes.json_logs)
    if wishes.guide:
        what_next(receipts, out())


def _told(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [{"message": p.message, "place": str(p.mark or ""), "field": p.field, "hint": p.hint} for p in problems]


def _check_tenants(jobs: list[ResolvedJob], wishes: Wishes) -> None:
    """Raises DativoError for jobs of another tenant than the one asked for, or of several where only one may be."""
    wanted = wishes.tenant or (jobs[0].tenant_id if jobs and wishes.one_tenant else None)
    other = next((j for j in jobs if wanted is not None and j.tenant_id != wanted), None)
    if other is None:
        return
    if wishes.tenant is None:
        raise DativoError(
            f"the folder has jobs of several tenants: {jobs[0].path} is of '{wanted}', {other.path} of '{other.tenant_id}'",
            hint="give each tenant a folder of its own",
        )
    raise DativoError(
        f"the job {other.path} is of tenant '{other.tenant_id}', not '{wanted}'",
        hint="run the jobs of one tenant, or leave --tenant-id out",
    )
