"""What comes before jobs run: they are read, their tenant, secrets and variables found, what they need is asked for.

Only two things end it: no valid job, and jobs of another tenant than the one that is wanted. All else is told as a
warning, and the jobs run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from dativo.config import paths
from dativo.config.checks import TENANT
from dativo.config.job import Retry
from dativo.config.nodes import Node
from dativo.config.resolve import Mode, ResolvedJob, Resolver
from dativo.config.secrets import SecretManager, Secrets
from dativo.errors import DativoError, Mark, Problem, StateError
from dativo.pipeline.check import Finding, known_variables, source_findings, target_findings
from dativo.pipeline.deadline import ask_all
from dativo.pipeline.refuse import unbuilt
from dativo.secret_managers.choice import secret_manager
from dativo.secret_managers.required import missing_secrets
from dativo.state.store import state_root

SECONDS = 15.0
RUNNER = "configs/runner.yaml"


class Announcer(Protocol):
    """Hears how the start goes."""

    def knows(self, tenant: str, secrets: Iterable[Secrets]) -> None:
        """From now on the tenant is named, and these secrets are masked. Called before anything else."""
        ...

    def step(self, event_type: str, **fields: Any) -> None:
        """A step was done; the type is one of the format's event types."""
        ...

    def problem(self, event_type: str, problem: Problem, **fields: Any) -> None:
        """Something is wrong, or might be."""
        ...


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs may run: of which tenant (`one_tenant`: all of one), and whether one that is not valid stops the others."""

    mode: Mode | None = None
    tenant: str | None = None
    one_tenant: bool = False
    fail_fast: bool = False


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that can run, the names of those that are not valid, every problem of the configuration, and the retries
    for jobs that have none of their own. `fatal` tells why nothing may run."""

    jobs: tuple[ResolvedJob, ...]
    invalid: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    retry: Retry | None = None
    fatal: Problem | None = None


class _Read(msgspec.Struct):
    """A job file: its document, if it can be read, and the tenant that it names."""

    path: Path
    node: Node | None
    tenant: str = ""


def startup(
    files: Sequence[Path], announcer: Announcer, options: StartOptions, manager: SecretManager | None = None
) -> Started:
    """The jobs of some files, made ready to run. Secrets come from `manager`, else from the one that the environment names.

    What is wrong is told to the announcer, in the order of the steps; what stops everything stands in `fatal`.
    """
    return _Startup(announcer, options, manager or secret_manager()).run(files)


class _Startup:
    """One start."""

    def __init__(self, announcer: Announcer, options: StartOptions, manager: SecretManager) -> None:
        self.begun = time.perf_counter()
        self.announcer = announcer
        self.options = options
        self.manager = manager
        self.resolver = Resolver(mode=options.mode, manager=manager)

    def run(self, files: Sequence[Path]) -> Started:
        read = [self.document(path) for path in files]
        unreadable = tuple(self.resolver.problems.found)
        tenants = list(dict.fromkeys(r.tenant for r in read if r.tenant))
        secrets = [self.resolver.library.secrets(t) for t in tenants]
        announcer = self.announcer
        announcer.knows(self.options.tenant or (tenants[0] if len(tenants) == 1 else ""), secrets)
        announcer.step(
            "startup_begin", files=len(files), mode=self.options.mode or "self_hosted", secret_manager=self.manager.name
        )
        for problem in unreadable:
            announcer.problem("jobs_load_error", problem)
        announcer.step("jobs_loaded", jobs=[r.path.stem for r in read if r.node is not None])
        fatal = self.tenant_conflict(read)
        if fatal is None:
            jobs = self.resolved([r.path for r in read if r.node is not None])
            invalid = tuple(p for p in self.resolver.problems.found if p not in unreadable)
            fatal = self.nothing(files, read, jobs, invalid)
        if fatal is not None:
            return Started(jobs=(), problems=tuple(self.resolver.problems.found), fatal=fatal)
        if tenants and (self.options.one_tenant or self.options.tenant):
            announcer.step("tenant_override" if self.options.tenant else "tenant_inferred", tenant_id=tenants[0])
        self.secrets(secrets, jobs)
        self.variables(jobs)
        self.infrastructure(jobs)
        self.state(jobs)
        self.invalid(invalid)
        seconds = round(time.perf_counter() - self.begun, 3)
        announcer.step("startup_complete", jobs=len(jobs), invalid=len(files) - len(jobs), seconds=seconds)
        valid = {job.path for job in jobs}
        left_out = tuple(path.stem for path in files if paths.shown(path) not in valid)
        return Started(
            jobs=tuple(jobs),
            invalid=left_out,
            problems=(*unreadable, *invalid),
            retry=self.default_retry(jobs),
        )

    def document(self, path: Path) -> _Read:
        node = self.resolver.document(path)
        if node is None or node.kind != "map":
            return _Read(path, node)
        own = node.get("tenant_id")
        text = self.resolver.environment.node(own).text if own is not None and own.kind == "scalar" else ""
        return _Read(path, node, text if TENANT.match(text) else "")

    def tenant_conflict(self, read: list[_Read]) -> Problem | None:
        """Why the jobs may not run together, if they may not."""
        wanted = self.options.tenant
        named = [r for r in read if r.tenant]
        first = named[0] if named and (wanted or self.options.one_tenant) else None
        other = next((r for r in named if first is not None and r.tenant != (wanted or first.tenant)), None)
        if first is None or other is None:
            return None
        place = paths.shown(other.path)
        if wanted is None:
            return Problem(
                f"the folder has jobs of several tenants: {paths.shown(first.path)} is of '{first.tenant}', {place} of "
                f"'{other.tenant}'",
                hint="give each tenant a folder of its own",
                code="tenant",
            )
        return Problem(
            f"the job {place} is of tenant '{other.tenant}', not '{wanted}'",
            hint="run the jobs of one tenant, or leave --tenant-id out",
            code="tenant",
        )

    def resolved(self, files: list[Path]) -> list[ResolvedJob]:
        jobs = [job for job in map(self.resolver.job, files) if job is not None]
        self.resolver.check_names(jobs)
        clash = {p.mark.file for p in self.resolver.problems.errors() if p.mark is not None}
        return [job for job in jobs if job.path not in clash]

    def nothing(
        self, files: Sequence[Path], read: list[_Read], jobs: list[ResolvedJob], invalid: tuple[Problem, ...]
    ) -> Problem | None:
        """Why no job may run, after what is wrong with them was told."""
        left_out = len(files) - len(jobs)
        if jobs and not (left_out and self.options.fail_fast):
            return None
        self.invalid(invalid)
        if jobs:
            return Problem(
                f"{left_out} of {len(files)} jobs cannot run, and --fail-fast lets none run then", code="jobs_load"
            )
        none = "no valid job" if len(files) > 1 else "the job is not valid"
        return Problem(none, hint="see what is wrong above, or with `dativo validate`", code="jobs_load")

    def secrets(self, found: list[Secrets], jobs: list[ResolvedJob]) -> None:
        variables = known_variables()
        problems = [p for secrets in found for p in secrets.problems]
        problems += [p for job in jobs for p in job.secrets.problems]
        problems += _once([p for job in jobs for p in missing_secrets(job, variables)])
        for problem in dict.fromkeys(problems):
            self.announcer.problem("secrets_warning", problem)
        names = sorted({name for secrets in found for name in secrets.values})
        self.announcer.step("secrets_loaded", secrets=names, manager=self.manager.name)

    def variables(self, jobs: list[ResolvedJob]) -> None:
        """Tells each variable that is set nowhere once, with every place that uses it."""
        missing = [p for job in jobs for p in job.warnings if p.code == "env_missing"]
        for problem in _once(missing):
            self.announcer.problem("env_validation_warning", problem)
        if not missing:
            self.announcer.step("env_validated")

    def infrastructure(self, jobs: list[ResolvedJob]) -> None:
        """Asks what the jobs need, what several of them need once, all at a time."""
        questions: dict[bytes, Callable[[], list[Finding]]] = {}
        users: dict[bytes, list[ResolvedJob]] = {}
        for job in (j for j in jobs if not j.missing and not any(unbuilt(j))):
            for key, question in (
                (_source_key(job), lambda job=job: source_findings(job, deep=False)),
                (_target_key(job), lambda job=job: target_findings(job)),
            ):
                questions.setdefault(key, question)
                users.setdefault(key, []).append(job)
        begun = time.perf_counter()
        answers = ask_all(questions, SECONDS)
        failed = 0
        for key, answer in answers.items():
            names = [job.name for job in users[key]]
            for problem in _problems(answer):
                failed += 1
                self.announcer.problem("infrastructure_warning", problem, jobs=names)
        if not failed:
            seconds = round(time.perf_counter() - begun, 3)
            self.announcer.step("infra_validated", checks=len(questions), seconds=seconds)

    def state(self, jobs: list[ResolvedJob]) -> None:
        """Makes the folders of state."""
        made = []
        for folder in dict.fromkeys(state_root(job) / job.tenant_id for job in jobs):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                hint = "check the permissions, or set STATE_DIR to another folder; the tables remember what was loaded"
                problem = Problem(
                    f"the folder of state cannot be made: {error.strerror}", Mark(str(folder)), "", hint, "warning",
                    StateError.code,
                )  # fmt: skip
                self.announcer.problem("state_warning", problem)
            else:
                made.append(str(folder))
        if made:
            self.announcer.step("state_initialized", folders=made)

    def invalid(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if problem.code != "env_missing" or problem.severity == "error":
                kind = "job_validation_error" if problem.severity == "error" else "config_warning"
                self.announcer.problem(kind, problem)

    def default_retry(self, jobs: list[ResolvedJob]) -> Retry | None:
        """What the runner's configuration of the project says for jobs without retries of their own."""
        path = Path(jobs[0].root) / RUNNER
        if not path.is_file():
            return None
        reader = Resolver(environment=self.resolver.environment)
        runner = reader.runner(path)
        if runner is None or reader.problems.errors():
            for problem in reader.problems.errors():
                self.announcer.problem("config_warning", problem._replace(severity="warning"))
            return None
        return runner.retry_config


def _once(problems: list[Problem]) -> list[Problem]:
    """Each message once, with every place that it is about in its hint."""
    places: dict[str, list[str]] = {}
    for problem in problems:
        places.setdefault(problem.message, []).append(f"used by {problem.mark} {problem.field}".strip())
    first = {p.message: p for p in reversed(problems)}
    return [
        first[message]._replace(
            mark=None, field="", hint="\n".join([*dict.fromkeys(used), first[message].hint]), severity="warning"
        )
        for message, used in places.items()
    ]


def _problems(answer: list[Finding] | DativoError) -> list[Problem]:
    if isinstance(answer, DativoError):
        return [p._replace(severity="warning") for p in answer.problems()]
    return [
        Problem(f.message, None, f"{f.side} {f.name}" if f.name != f.side else f.side, f.hint, "warning", f.code)
        for f in answer
        if f.status == "failed"
    ]


def _source_key(job: ResolvedJob) -> bytes:
    """What two sources have in common when one answer holds for both. It holds secrets: it is kept nowhere."""
    return msgspec.json.encode(["source", job.source_type, job.root, job.source, job.connections.get("source")])


def _target_key(job: ResolvedJob) -> bytes:
    store, nessie = job.connections.get("target"), job.connections.get("nessie")
    names = sorted({s.namespace for s in job.streams})
    goal = job.target
    place = [job.root, job.tenant_id, job.branch, goal.catalog, goal.warehouse, goal.connection]
    return msgspec.json.encode(["target", job.target_type, place, store, nessie, names])
