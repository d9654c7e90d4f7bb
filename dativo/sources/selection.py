"""Which files of a job are new since a cursor, and whether those that were read are still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dativo.config.resolve import ResolvedJob
from dativo.errors import StateError
from dativo.sources.input import InputFile, each
from dativo.sources.protocol import Extract
from dativo.state.cursor import Cursor, iso, moment

# An object's time is that of the begin of its upload, and it appears at the end: so long a file may appear late.
STORE_LATE = timedelta(days=1)


# So far clocks that are kept right may be apart.
_CLOCKS = timedelta(minutes=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Selection:
    """What is to be read, and the cursor once it was.

    With `rowless` a file is there for its columns alone: the run's window has none.
    """

    files: list[InputFile]
    skipped: int
    cursor: Cursor
    notes: list[str]
    rowless: bool = False


@dataclass(slots=True, frozen=True)
class _Reach:
    """Which times of files are wanted: `since` and `until` are the run's own, what is after `horizon` is read again."""

    now: datetime
    horizon: datetime | None
    since: datetime | None
    until: datetime | None

    @property
    def windowed(self) -> bool:
        return self.since is not None or self.until is not None

    def has(self, file: InputFile) -> bool:
        at = _moment(file)
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def recent(self, file: InputFile) -> bool:
        return self.horizon is not None and _moment(file) >= self.horizon


def select(files: Sequence[InputFile], job: ResolvedJob, since: Cursor | None, *, full: bool) -> Selection:
    """The files that are new or changed since a cursor.

    A named file is read when its time or size differs from what is stored. Of a glob those are read that are newer than
    its watermark; those at the watermark or inside the lookback are known one by one, in an object store those of the
    watermark's last day, too. With a lookback of N days, files
    modified within N days of now are read again. A run's own window has the files that were modified inside of it,
    whatever was read before where it has a `since`. Without incremental loading everything is read, unless nothing at all
    has changed since the last run.
    """
    fingerprint = _fingerprint(files)
    if job.incremental is None:
        unchanged = since is not None and since.fingerprint == fingerprint and not full
        cursor = Cursor(fingerprint=fingerprint)
        return Selection([] if unchanged else list(files), len(files) if unchanged else 0, cursor, [])
    known = {} if since is None or full else since.entries
    reach = _reach(job)
    chosen: list[InputFile] = []
    entries: dict[str, dict[str, Any]] = {k: v for k, v in known.items() if not k.startswith(("file_", "glob_"))}
    notes: list[str] = []
    for key in dict.fromkeys(f.entry for f in files):
        group = [f for f in files if f.entry == key]
        before = known.get(key)
        if group[0].glob:
            picked, entry = _select_glob(group, before, reach, notes)
        else:
            picked = [f for f in group if reach.has(f) and _is_wanted(f, before, reach)]
            seen = {"file_id": key.removeprefix("file_"), **_seen(group[0])}
            entry = seen if picked or not reach.windowed else before
        if entry is not None:
            entries[key] = entry
        chosen += picked
    cursor = Cursor(entries=entries, fingerprint=fingerprint)
    rowless = full and not chosen
    return Selection(list(files[:1]) if rowless else chosen, len(files) - len(chosen), cursor, notes, rowless)


def _reach(job: ResolvedJob) -> _Reach:
    assert job.incremental is not None
    lookback, now = timedelta(days=job.incremental.lookback_days or 0), datetime.now(UTC)
    since, until = (None if text is None else moment(text) for text in (job.window.since, job.window.until))
    return _Reach(now, now - lookback if lookback else None, since, until)


def _is_wanted(file: InputFile, before: dict[str, Any] | None, reach: _Reach) -> bool:
    return reach.since is not None or before is None or _changed(file, before) or reach.recent(file)


def _select_glob(
    group: Sequence[InputFile], before: dict[str, Any] | None, reach: _Reach, notes: list[str]
) -> tuple[list[InputFile], dict[str, Any] | None]:
    """The files of a glob that are read, and its entry afterwards: as it was where a window leaves a gap behind it."""
    watermark = _watermark(group[0], before, reach, notes)
    stored: dict[str, Any] = before.get("files", {}) if before else {}
    late = timedelta(0) if group[0].local else STORE_LATE

    def is_new(file: InputFile) -> bool:
        if reach.since is not None or reach.recent(file):
            return True
        known = stored.get(file.identity)
        if known is not None:
            return _changed(file, known)
        return watermark is None or _moment(file) >= watermark - late

    picked = [f for f in group if reach.has(f) and is_new(f)]
    if reach.since is not None and (watermark is None or reach.since > watermark):
        return picked, before
    # A time in the future would hide all files that come until then: such a file is known by its name.
    times = [at for f in group if (at := _moment(f)) <= reach.now and (reach.until is None or at < reach.until)]
    newest = max([*times, *([watermark] if watermark else [])], default=_LONG_AGO)
    read = {f.identity for f in picked}
    keep = {
        f.identity: _seen(f) if f.identity in read or not reach.windowed else stored[f.identity]
        for f in group
        if (_moment(f) >= newest - late or reach.recent(f)) and (f.identity in read or f.identity in stored)
    }
    if not reach.windowed:
        notes.extend(_overlooked(group, before, watermark))
    notes.extend(_of_the_future(picked, reach.now))
    count = sum(1 for f in group if _moment(f) <= newest)
    return picked, {"watermark": newest.isoformat(timespec="microseconds"), "files": keep, "count": count}


def _watermark(first: InputFile, before: dict[str, Any] | None, reach: _Reach, notes: list[str]) -> datetime | None:
    """The time up to which a glob was read; None where it was not, or where that time is still to come."""
    found = moment(before["watermark"]) if before else None
    if before is None or found is None or found <= reach.now + _CLOCKS:
        return found
    if reach.since is None:
        notes.append(
            f"{first.entry.removeprefix('glob_')} is read from the beginning: its watermark {before['watermark']} lies in "
            "the future, and files that came before it may be missing"
        )
    return None


def _overlooked(group: Sequence[InputFile], before: dict[str, Any] | None, watermark: datetime | None) -> Iterator[str]:
    old = sum(1 for f in group if watermark is not None and _moment(f) <= watermark)
    if before and old > before.get("count", old):
        yield (
            f"{old - before['count']} file(s) appeared with a time before the watermark {before['watermark']} and were not "
            "read: copied with their old time? Raise lookback_days, or run with --full-refresh"
        )


def _of_the_future(picked: Sequence[InputFile], now: datetime) -> Iterator[str]:
    found = [f for f in picked if _moment(f) > now + _CLOCKS]
    if found:
        latest = max(found, key=_moment)
        yield (
            f"{len(found)} file(s) have a time in the future, as {latest.name} of {_modified(latest)[:19]}: read, and not "
            "counted when the watermark is saved"
        )


def without_rows(extract: Extract) -> Extract:
    """An extract with its columns, and nothing else."""
    import polars as pl

    nothing = pl.LazyFrame(schema=extract.frame.collect_schema())
    return replace(extract, frame=nothing, files=(), unchanged=True)


def _changed(file: InputFile, before: dict[str, Any]) -> bool:
    try:
        apart = abs(moment(str(before.get("last_modified"))) - _moment(file))
    except StateError:
        # An older tool's entry may have no time: reading the file again loses and doubles nothing.
        return True
    # Such a tool, which keeps no size, rounds times where we cut them.
    if apart > (timedelta(0) if "size" in before else timedelta(microseconds=1)):
        return True
    if "size" in before and before["size"] != file.size:
        return True
    return bool(file.version) and before.get("etag", file.version) != file.version


def _seen(file: InputFile) -> dict[str, Any]:
    """What the state keeps of a file to tell whether it changed."""
    seen = {"last_modified": _modified(file), "size": file.size}
    return {**seen, "etag": file.version} if file.version else seen


def _fingerprint(files: Sequence[InputFile]) -> str:
    """A hash of every file's path, time and size: equal as long as nothing was added, removed or changed."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.identity}\0{file.modified_ns}\0{file.size}{file.version}\n".encode())
    return digest.hexdigest()[:32]


def _modified(file: InputFile) -> str:
    return iso(file.modified_ns)


def _moment(file: InputFile) -> datetime:
    """As precise as what the state keeps: to the microsecond, cut."""
    seconds, nanos = divmod(file.modified_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)


def settled(files: Sequence[InputFile], cursor: Cursor) -> Cursor:
    """The cursor of a reading that is over.

    Raises SourceError when a file changed meanwhile: what was read may be half old and half new, and the cursor would
    claim otherwise.
    """
    each(files, lambda file: file.verify())
    return cursor
