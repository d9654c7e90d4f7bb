"""Whether a job could run now: its settings, secrets, source and target, one finding each with its remedy.

Nothing is loaded. What is written to see whether it can be written is removed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dativo import connectors
from dativo.config.connection import Connection
from dativo.config.connection_fields import STORES, endpoint_url
from dativo.config.environment import process_environment
from dativo.config.logins import address, host_of, socket_of
from dativo.config.needs import LOCAL_SOURCES
from dativo.config.relations import DATABASES
from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError, Problem
from dativo.pipeline.deadline import ask_all
from dativo.pipeline.refuse import unbuilt
from dativo.secret_managers.required import missing_secrets
from dativo.targets.reach import Unreachable, finding, knock, knock_at, unreachable

# Longer than any of the questions may take by itself.
SECONDS = 15.0

Side = Literal["job", "source", "target"]
Status = Literal["ok", "note", "warning", "failed"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `side` is the part of the job it belongs to; `code` names the reason of a failure,
    `retryable` tells whether waiting may mend it."""

    side: Side
    name: str
    status: Status
    message: str
    hint: str = ""
    code: str = ""
    retryable: bool = False


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """All findings about a job, in the order in which they matter."""

    job: str
    tenant_id: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return all(f.status != "failed" for f in self.findings)

    def of(self, side: Side) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.side == side)


def check(job: ResolvedJob) -> Checked:
    """Every finding about a job; no error is raised for what a finding tells."""
    begun = time.perf_counter()
    found = [*_settings(job), *_secrets(job)]
    questions: dict[Side, Callable[[], list[Finding]]] = {
        "source": lambda: source_findings(job),
        "target": lambda: target_findings(job),
    }
    for side in _not_asked(job):
        del questions[side]
        found.append(
            Finding(side=side, name=side, status="note", message="not asked: its variables are set nowhere, see above")
        )
    for side, answer in ask_all(questions, SECONDS).items():
        found += [_failed(side, side, answer)] if isinstance(answer, DativoError) else answer
    return Checked(
        job=job.name, tenant_id=job.tenant_id, findings=tuple(found), seconds=round(time.perf_counter() - begun, 3)
    )


def _not_asked(job: ResolvedJob) -> list[Side]:
    """The sides that miss variables: what they would be asked is not known."""
    fields = [p.field for p in job.warnings if p.code == "env_missing"]
    return [side for side in ("source", "target") if any(f.startswith(f"{side}.") for f in fields)]


def _settings(job: ResolvedJob) -> Iterator[Finding]:
    """Variables that are set nowhere, and what this version cannot do."""
    missing = [p for p in job.warnings if p.code == "env_missing"]
    for problem in missing:
        yield _of_problem("environment", problem, "failed")
    if not missing:
        yield Finding(side="job", name="environment", status="ok", message="every variable that is used is set")
    for problem in job.warnings:
        if problem.code != "env_missing":
            yield _of_problem("configuration", problem, "warning")
    for error in unbuilt(job):
        yield _of_problem("configuration", error.problems()[0], "failed")


def _secrets(job: ResolvedJob) -> Iterator[Finding]:
    secrets = job.secrets
    for problem in (*secrets.problems, *missing_secrets(job, known_variables())):
        yield _of_problem("secrets", problem, "warning")
    if secrets.values:
        names = ", ".join(sorted(secrets.values))
        message = f"{len(secrets.values)} of tenant {job.tenant_id} from {secrets.place}: {names}"
        yield Finding(side="job", name="secrets", status="ok", message=message)


def known_variables() -> set[str]:
    """The names of the variables that are set."""
    return {name for values in process_environment().values for name in values}


def _of_problem(name: str, problem: Problem, status: Status) -> Finding:
    where = (
        f"{problem.field} ({problem.mark})" if problem.field and problem.mark else str(problem.mark or problem.field)
    )
    hint = "\n".join(text for text in (where, problem.hint) if text)
    code = problem.code if status == "failed" else ""
    return Finding(side="job", name=name, status=status, message=problem.message, hint=hint, code=code)


def source_findings(job: ResolvedJob, *, deep: bool = True) -> list[Finding]:
    """What stands between a job and its source. Local files are opened only with `deep`."""
    if job.source.custom_reader:
        return []
    if job.source_type in DATABASES:
        reached = _database_file(job) if job.source_type == "sqlite" else _port(job)
        if not (reached["ok"] and deep):
            return _findings("source", [reached])
    if job.source_type not in connectors.SOURCES:
        return []
    if job.source_type in STORES and not deep:
        return _findings("source", [_store(job.connections["source"])])
    found: list[dict[str, Any]] = []
    for stream in job.streams:
        try:
            if job.source_type in LOCAL_SOURCES and not deep:
                from dativo.sources.files import list_files

                files = list_files(job, stream)
                found.append(finding(stream.name, True, f"{len(files)} files"))
            else:
                found += connectors.source(job).check(stream)
        except DativoError as error:
            found.append(_as_finding(stream.name, error))
    # Each stream of a database tells of the connection that all of them use.
    told = [entry for position, entry in enumerate(found) if entry not in found[:position]]
    return _findings("source", told)


def target_findings(job: ResolvedJob) -> list[Finding]:
    """What stands between a job and its target."""
    if job.target.custom_writer or job.target_type not in connectors.TARGETS:
        return []
    try:
        found = connectors.check_target(job)
    except DativoError as error:
        found = [_as_finding("target", error)]
    return _findings("target", found)


def _port(job: ResolvedJob) -> dict[str, Any]:
    connection = job.connections["source"]
    host, port = host_of(connection), connection.get("port") or ""
    if socket_of(connection) is not None:
        return finding("database", True, f"{job.source_type} is reached by the socket {address(connection)}")
    origin = f"host: {connection.origin('host')}\nport: {connection.origin('port')}"
    try:
        knock(host, int(port) if port.isdecimal() else -1)
    except Unreachable as error:
        return unreachable("database", error, opening=f"{job.source_type} connectivity failed", origin=origin)
    return finding("database", True, f"{job.source_type} listens at {address(connection)}")


def _store(connection: Connection) -> dict[str, Any]:
    """Whether the bucket of a source can be listed."""
    from dativo.stores.store import open_store

    url = endpoint_url(connection)
    try:
        if url is not None:
            knock_at(url)
        open_store(connection).check(write=False)
    except Unreachable as error:
        origin = f"endpoint: {connection.origin('endpoint')}"
        return unreachable(
            "store", error, opening=f"S3 connectivity failed: Cannot connect to S3 at {url}", origin=origin
        )
    except DativoError as error:
        return _as_finding("store", error)
    return finding("store", True, "the bucket can be listed")


def _database_file(job: ResolvedJob) -> dict[str, Any]:
    connection = job.connections["source"]
    text = connection.get("database_path")
    if not text:
        return finding("database", False, "no database is named", connection.origin("database_path"), code="settings")
    path = Path(text).expanduser()
    there = any((place / path).is_file() for place in (Path.cwd(), Path(job.root)))
    hint = "" if there else f"database_path: {connection.origin('database_path')}"
    return finding("database", there, text if there else f"there is no file '{text}'", hint, code="not_found")


def _as_finding(name: str, error: DativoError) -> dict[str, Any]:
    problem = error.problems()[0]
    where = f"{problem.field} ({problem.mark})" if problem.field and problem.mark else ""
    hint = "\n".join(text for text in (where, problem.hint) if text)
    return finding(name, False, problem.message, hint, code=error.code)


def _failed(side: Side, name: str, error: DativoError) -> Finding:
    return _findings(side, [{**_as_finding(name, error), "retryable": True}])[0]


def _status(entry: dict[str, Any]) -> Status:
    if entry["ok"] is None:
        return "warning" if entry.get("code") else "note"
    return "ok" if entry["ok"] else "failed"


def _findings(side: Side, entries: Sequence[dict[str, Any]]) -> list[Finding]:
    return [
        Finding(
            side=side,
            name=str(entry["name"]),
            status=_status(entry),
            message=str(entry["message"]),
            hint=str(entry.get("hint") or ""),
            code=str(entry.get("code") or "") if entry["ok"] is False else "",
            retryable=bool(entry.get("retryable")) and entry["ok"] is False,
        )
        for entry in entries
    ]
