"""The runner's configuration (`configs/runner.yaml`), with or without its top key `runner`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.decode import decode
from dativo.config.job import Positive, Retry
from dativo.config.nodes import Node
from dativo.config.problems import Problems

_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = {
    n: i
    for names, start in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for i, n in enumerate(names.split(), start)
}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When one job runs: by `cron` or by `interval_seconds`, not both."""

    unknown: ClassVar[str] = "keep"
    name: Annotated[str, Meta(min_length=1, description="name of the schedule")]
    config: Annotated[str, Meta(min_length=1, description="job file")]
    cron: Annotated[str | None, Meta(description="five fields")] = None
    interval_seconds: Annotated[Positive | None, Meta(description="seconds between starts")] = None
    enabled: Annotated[bool, Meta(description="whether it runs")] = True
    timezone: Annotated[str, Meta(description="IANA time zone of `cron`")] = "UTC"
    max_concurrent_runs: Annotated[Positive, Meta(description="runs at once")] = 1
    tags: Annotated[dict[str, str], Meta(description="run tags")] = {}
    extra: dict[str, Any] = {}


class Orchestrator(msgspec.Struct, frozen=True, kw_only=True):
    """Who starts the jobs."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[Literal["dagster", "builtin"], Meta(description="orchestrator")] = "dagster"
    concurrency_per_tenant: Annotated[Positive, Meta(description="runs of one tenant at once")] = 1
    schedules: Annotated[list[Schedule] | None, Meta(description="schedules")] = None
    extra: dict[str, Any] = {}


class RunnerFile(msgspec.Struct, frozen=True, kw_only=True):
    """The runner's document."""

    unknown: ClassVar[str] = "keep"
    mode: Annotated[Literal["orchestrated", "oneshot"], Meta(description="how jobs are started")] = "orchestrated"
    orchestrator: Annotated[Orchestrator, Meta(description="who starts the jobs")] = Orchestrator()
    retry_config: Annotated[Retry | None, Meta(description="default for jobs without one")] = None
    extra: dict[str, Any] = {}


def read_runner(node: Node, problems: Problems) -> RunnerFile | None:
    """The runner configuration in a document; what is wrong goes to `problems`."""
    inner = node.get("runner")
    body, path = (inner, "runner") if inner is not None and inner.kind == "map" else (node, "")
    runner = decode(body, RunnerFile, problems, path)
    if runner is None:
        return None
    for position, schedule in enumerate(runner.orchestrator.schedules or []):
        where = f"{path + '.' if path else ''}orchestrator.schedules[{position}]"
        mark = body.mark_of("orchestrator", "schedules", position)
        _check_schedule(schedule, where, mark, body, position, problems)
    return runner


def _check_schedule(schedule: Schedule, where: str, mark: Any, body: Node, position: int, problems: Problems) -> None:
    if (schedule.cron is None) == (schedule.interval_seconds is None):
        both = schedule.cron is not None
        problems.add(
            "'cron' and 'interval_seconds' exclude each other" if both else "'cron' or 'interval_seconds' is required",
            mark,
            where,
            "keep one of them" if both else "add `cron: '0 2 * * *'` or `interval_seconds: 3600`",
        )
    if schedule.cron is not None and (fault := cron_fault(schedule.cron)):
        problems.add(
            f"'{schedule.cron}' is not a cron expression: {fault}",
            body.mark_of("orchestrator", "schedules", position, "cron"),
            f"{where}.cron",
            "five fields: minute hour day-of-month month day-of-week, as '0 2 * * 1-5'",
        )
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(schedule.timezone)
    except (KeyError, ValueError, OSError):
        problems.add(
            f"'{schedule.timezone}' is not an IANA time zone",
            body.mark_of("orchestrator", "schedules", position, "timezone"),
            f"{where}.timezone",
            "as 'Europe/Berlin'",
        )


def cron_fault(text: str) -> str:
    """What is wrong with a five-field cron expression, or empty text."""
    fields = text.split()
    if len(fields) != 5:
        return f"it has {len(fields)} fields"
    for field, (low, high) in zip(fields, _CRON_RANGES, strict=True):
        for part in field.split(","):
            body, _, step = part.partition("/")
            if step and not (step.isdigit() and int(step) > 0):
                return f"the step in '{part}'"
            if body == "*":
                continue
            ends = [_CRON_NAMES.get(e.lower(), e) for e in body.split("-")]
            numbers = [int(e) for e in ends if str(e).isdigit()]
            if len(numbers) != len(ends) or len(ends) > 2 or numbers != sorted(numbers):
                return f"'{part}'"
            if not all(low <= n <= high for n in numbers):
                return f"'{part}' is not between {low} and {high}"
    return ""
