"""What is valid configuration, is not built yet, and would change the data if it were ignored: a run refuses it."""

from __future__ import annotations

from collections.abc import Iterator

from dativo import connectors
from dativo.config.resolve import ResolvedJob
from dativo.errors import ConfigError, DativoError, Problem, UnsupportedError
from dativo.privacy.classify import PurposeName, treatments

# The purposes that every run serves: what it loads, and the examples of bad values that it shows.
PURPOSES: tuple[PurposeName, ...] = ("warehouse", "preview")
_ALL: tuple[PurposeName, ...] = (*PURPOSES, "llm")


def refuse_unbuilt(job: ResolvedJob) -> None:
    """Raises ConfigError for variables that are set nowhere, UnsupportedError for what this version cannot carry out."""
    if job.missing:
        needed = [p for p in job.warnings if p.code == "env_missing"]
        raise ConfigError([p._replace(severity="error") for p in needed] or [_missing(n) for n in job.missing])
    for error in unbuilt(job):
        raise error
    for stream in job.streams:
        for purpose in PURPOSES:
            treatments(stream.asset, stream.privacy, purpose, job.file.classification_overrides)


def refuse_missing(job: ResolvedJob) -> None:
    """Raises ConfigError for variables that are set nowhere and without which the job's tables cannot be looked at."""
    needed = [p for p in job.warnings if p.code == "env_missing" and not p.field.startswith("source")]
    if needed:
        raise ConfigError([p._replace(severity="error") for p in needed])


def unbuilt_treatments(job: ResolvedJob) -> Iterator[Problem]:
    """What is wrong with the treatments of a job's columns; a warning where they are only not built yet."""
    for stream in job.streams:
        for purpose in _ALL:
            try:
                treatments(stream.asset, stream.privacy, purpose, job.file.classification_overrides)
            except ConfigError as error:
                refuses = "an export" if purpose == "llm" else "a run"
                for problem in error.problems():
                    built = problem.code != UnsupportedError.code
                    yield (
                        problem
                        if built
                        else problem._replace(severity="warning", message=f"{problem.message}; {refuses} refuses it")
                    )


def unbuilt(job: ResolvedJob) -> Iterator[UnsupportedError]:
    """What of a job this version cannot carry out without changing the data, one error each."""
    yield from connectors.unbuilt(job)
    if job.target.publish == "branch":
        yield from _without_branches(job)
    for field, message, hint in _unbuilt(job):
        yield UnsupportedError(message, field=field, mark=job.mark(field), hint=hint)


def _without_branches(job: ResolvedJob) -> Iterator[UnsupportedError]:
    from dativo.pipeline.publish import publishes_by_branch

    try:
        publishes_by_branch(job)
    except UnsupportedError as error:
        yield error
    except DativoError:
        return  # told where the catalog is opened


def _missing(name: str) -> Problem:
    return Problem(f"Missing required environment variable: {name}", code="env_missing")


def _unbuilt(job: ResolvedJob) -> Iterator[tuple[str, str, str]]:
    target = job.target
    if job.write_mode in ("upsert", "scd2"):
        yield (
            "target.write_mode", f"write_mode '{job.write_mode}' is not built yet",
            "use append (new rows and new versions of rows are added) or replace",
        )  # fmt: skip
    if target.detect_deletes not in (None, "none"):
        yield "target.detect_deletes", "detect_deletes is not built yet", "leave it out, or set it to none"
    if target.markdown_kv_storage is not None:
        yield (
            "target.markdown_kv_storage", "storing Markdown-KV in the target is not built yet",
            "leave the block out, and use `dativo export --format markdown-kv`",
        )  # fmt: skip
    if job.budget.type != "local":
        yield "engine.type", f"the engine '{job.budget.type}' is not built yet", "leave it out, or set it to local"
    if job.file.privacy is not None and job.file.privacy.treat_findings:
        yield (
            "privacy.treat_findings",
            "privacy.treat_findings is not built yet",
            "classify the columns in the contract",
        )
