"""The runner's configuration (`configs/runner.yaml`), with or without its top key `runner`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.below import below
from dativo.config.decode import decode
from dativo.config.job import Positive, Retry
from dativo.config.nodes import Node
from dativo.config.problems import Problems

_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_NAMES = {3: {n: i for i, n in enumerate(_MONTHS, 1)}, 4: {n: i for i, n in enumerate(_DAYS)}}


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
    body, path = below(node, "runner", problems)
    runner = decode(body, RunnerFile, problems, path)
    if runner is None:
        return None
    names: dict[str, int] = {}
    for position, schedule in enumerate(runner.orchestrator.schedules or []):
        where = f"{path + '.' if path else ''}orchestrator.schedules[{position}]"
        entry = body.at("orchestrator", "schedules", position) or body
        _check_schedule(schedule, entry, where, problems)
        if schedule.name in names:
            problems.add(
                f"two schedules have the name '{schedule.name}'", entry.mark_of("name"), f"{where}.name", "rename one"
            )
        names.setdefault(schedule.name, position)
    return runner


def _check_schedule(schedule: Schedule, entry: Node, where: str, problems: Problems) -> None:
    if (schedule.cron is None) == (schedule.interval_seconds is None):
        both = schedule.cron is not None
        problems.add(
            "'cron' and 'interval_seconds' exclude each other" if both else "'cron' or 'interval_seconds' is required",
            entry.mark,
            where,
            "keep one of them" if both else "add `cron: '0 2 * * *'` or `interval_seconds: 3600`",
        )
    if schedule.cron is not None and (fault := cron_fault(schedule.cron)):
        problems.add(
            f"'{schedule.cron}' is not a cron expression: {fault}",
            entry.mark_of("cron"),
            f"{where}.cron",
            "five fields: minute hour day-of-month month day-of-week, as '0 2 * * 1-5'",
        )
    if not _is_zone(schedule.timezone):
        problems.add(
            f"'{schedule.timezone}' is not an IANA time zone",
            entry.mark_of("timezone"),
            f"{where}.timezone",
            "as 'Europe/Berlin'",
        )


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def cron_fault(text: str) -> str:
    """What is wrong with a five-field cron expression, or empty text."""
    fields = text.split()
    if len(fields) != 5:
        return f"it has {len(fields)} fields"
    for position, field in enumerate(fields):
        for part in field.split(","):
            fault = _part_fault(part, *_CRON_RANGES[position], _CRON_NAMES.get(position, {}))
            if fault:
                return fault
    return ""


def _part_fault(part: str, low: int, high: int, names: dict[str, int]) -> str:
    """What is wrong with one part of a field: `*`, a number, a name or a range, each with a step or without."""
    body, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdecimal() and int(step) > 0):
        return f"the step in '{part}'"
    if body == "*":
        return ""
    ends = [str(names.get(e.lower(), e)) for e in body.split("-")]
    if len(ends) > 2 or not all(e.isascii() and e.isdecimal() for e in ends):
        return f"'{part}'"
    numbers = [int(e) for e in ends]
    if numbers != sorted(numbers):
        return f"'{part}' runs backwards"
    return "" if all(low <= n <= high for n in numbers) else f"'{part}' is not between {low} and {high}"
