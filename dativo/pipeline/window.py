"""A run that is asked to read a part of its source: `since` and `until`, held against what the job's cursor can be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import msgspec

from dativo.config.asset import Field
from dativo.config.relations import DATABASES
from dativo.config.resolve import ResolvedJob, StreamConfig, Window
from dativo.errors import ConfigError, Problem

Value = Decimal | datetime
_DATES = ("date", "timestamp", "timestamptz")
_NUMBERS = ("long", "decimal", "double")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.IGNORECASE)


def windowed(
    job: ResolvedJob,
    *,
    since: str | None = None,
    until: str | None = None,
    streams: Sequence[str] | None = None,
    full_refresh: bool = False,
) -> ResolvedJob:
    """The job, asked to read only rows whose cursor is at `since` or later and before `until`; without both as it is.

    Of a source of files those are read that were modified then. A moment with an offset becomes one of UTC. Raises
    ConfigError for values that no cursor of these streams can have and for jobs that have no cursor.
    """
    if since is None and until is None:
        return job
    chosen = [s for s in job.streams if not streams or s.name in streams]
    _refuse(job, chosen, full_refresh)
    given = {"--since": since, "--until": until}
    of_files = job.source_type not in DATABASES
    found = {
        name: _of_files(name, text) if of_files else _checked(job, chosen, name, text)
        for name, text in given.items()
        if text is not None
    }
    if since is not None and until is not None:
        low, high = found["--since"][1], found["--until"][1]
        if low is not None and high is not None and not _before(low, high):
            raise _wrong(f"--since {since} is not before --until {until}", "rows at --until itself are not read")
    texts = {name: text for name, (text, _) in found.items()}
    return msgspec.structs.replace(job, window=Window(since=texts.get("--since"), until=texts.get("--until")))


def _refuse(job: ResolvedJob, streams: Sequence[StreamConfig], full_refresh: bool) -> None:
    if full_refresh:
        raise _wrong(
            "--since and --until go with no --full-refresh: it replaces the table by all that is read",
            "leave --full-refresh out: rows of the window that are loaded already are not loaded twice",
        )
    if job.incremental is None:
        of_files = job.source_type not in DATABASES
        own = "strategy: file_modified_time" if of_files else "strategy: updated_at, cursor_field: updated_at"
        raise _wrong(
            f"--since and --until need a cursor, and job '{job.name}' has none",
            f"add `incremental: {{{own}}}` to the job's source",
            job,
            "source.incremental",
        )
    without = [r for s in streams for r in s.relations if job.cursor_field(r) is None]
    if without:
        raise _wrong(
            f"--since and --until need a cursor, and '{without[0].object}' of job '{job.name}' has none",
            "give it a `cursor_field`, name other streams with --streams, or load it by a job of its own",
            job,
            without[0].field,
        )
    if job.write_mode == "replace":
        raise _wrong(
            "--since and --until would leave nothing but their rows in the table: the job's write_mode is 'replace'",
            "set `write_mode: append` or `upsert` in the job's target",
            job,
            "target.write_mode",
        )


def _of_files(option: str, text: str) -> tuple[str, Value | None]:
    """A bound of files' times as the source gets it, in UTC, and as it is compared."""
    moment = _moment(text.strip())
    if moment is None:
        raise _wrong(
            f"{option} '{text}' is no date or time, and files are chosen by when they were modified",
            "as 2024-01-31, or '2024-01-31 08:00:00' (UTC), or 2024-01-31T08:00:00+02:00",
        )
    return _written(_in_utc(moment)), moment


def _checked(job: ResolvedJob, streams: Sequence[StreamConfig], option: str, text: str) -> tuple[str, Value | None]:
    """A bound as the source gets it, and as it is compared (None where the contract says nothing of its type)."""
    text = text.strip()
    if not text:
        raise _wrong(f"{option} is empty", "give a value of the cursor, as 2024-01-31")
    value: Value | None = None
    for stream in streams:
        for relation in stream.relations:
            field = _field(stream, job.cursor_field(relation))
            if field is not None:
                text, value = _of_kind(field, option, text)
    return text, value


def _field(stream: StreamConfig, column: str | None) -> Field | None:
    """The contract's field that the cursor feeds, if it has one."""
    fields = stream.asset.fields
    return next((f for f in fields if f.source_name == column), None) or next(
        (f for f in fields if column is not None and f.source_name.casefold() == column.casefold()), None
    )


def _of_kind(field: Field, option: str, text: str) -> tuple[str, Value | None]:
    if field.kind in _DATES:
        moment = _moment(text)
        if moment is None or (field.kind == "date" and len(text) > len("2024-01-31")):
            raise _wrong(
                f"{option} '{text}' is no {'date' if field.kind == 'date' else 'date or time'}, and the cursor "
                f"'{field.name}' is a {field.kind}",
                "as 2024-01-31" if field.kind == "date" else "as 2024-01-31, or '2024-01-31 08:00:00'",
            )
        # As databases write it: where a column has texts, they are compared sign by sign.
        return (_written(moment) if moment.tzinfo is not None else text.upper().replace("T", " ")), moment
    if field.kind in _NUMBERS:
        number = _number(text, whole=field.kind == "long")
        if number is None:
            raise _wrong(f"{option} '{text}' is no number, and the cursor '{field.name}' is a {field.kind}", "as 1000")
        return text, number
    return text, None


def _moment(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _number(text: str, *, whole: bool) -> Value | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and not (whole and found != found.to_integral_value()) else None


def _before(low: Value, high: Value) -> bool:
    if isinstance(low, datetime) and isinstance(high, datetime):
        return _in_utc(low) < _in_utc(high)
    return not isinstance(low, datetime) and not isinstance(high, datetime) and low < high


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _wrong(message: str, hint: str, job: ResolvedJob | None = None, field: str = "") -> ConfigError:
    return ConfigError([Problem(message, job.mark(field) if job is not None else None, field, hint)])
