"""What is valid configuration, is not built yet, and would change the data if it were ignored: a run refuses it."""

from __future__ import annotations

from collections.abc import Iterator

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ConfigError, DativoError, Problem, UnsupportedError
from dativo.pipeline.history import check_names
from dativo.pipeline.plan import FAITHFUL
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
    if job.write_mode in ("upsert", "scd2"):
        yield from _unmergeable(job)
    for field, message, hint in _unbuilt(job):
        yield UnsupportedError(message, field=field, mark=job.mark(field), hint=hint)


def _unmergeable(job: ResolvedJob) -> Iterator[UnsupportedError]:
    """Why rows of the job's tables cannot be told by their keys and replaced."""
    mode, field = job.write_mode, "target.write_mode"
    adapter = connectors.TARGETS.get(job.target_type)
    if adapter is not None and not adapter.merges:
        able = [name for name, a in connectors.TARGETS.items() if a.merges]
        yield UnsupportedError(
            f"the target '{job.target_type}' cannot replace single rows, which write_mode '{mode}' does",
            hint=f"use append or replace, or one of the targets {', '.join(able)}",
            field=field,
            mark=job.mark(field),
        )
    for stream in job.streams:
        try:
            check_names(job, (f.name for f in stream.asset.fields))
        except UnsupportedError as error:
            yield error
        yield from _untellable(job, stream)


def _untellable(job: ResolvedJob, stream: StreamConfig) -> Iterator[UnsupportedError]:
    """Columns that tell rows or their versions apart, and that privacy changes so that they do no more."""
    asset = stream.asset
    name = job.cursor_field(stream.relations[0] if stream.relations else None)
    cursors = [f.name for f in asset.fields if name in (f.source_name, f.name)]
    try:
        chosen = treatments(asset, stream.privacy, "warehouse", job.file.classification_overrides)
    except ConfigError:
        return  # told where treatments are looked at
    for column in (*asset.key, *cursors):
        key = column in asset.key
        if chosen.get(column, "none") not in (FAITHFUL if key else ("none",)):
            what = "key" if key else "cursor"
            yield UnsupportedError(
                f"write_mode '{job.write_mode}' needs the values of the {what} '{column}' in the table, and privacy changes "
                f"them ({chosen[column]})",
                hint=f"set privacy.warehouse.columns.{column} to {'hash or none' if key else 'none'}, or use append",
                field="target.write_mode",
                mark=job.mark("target.write_mode"),
            )


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
