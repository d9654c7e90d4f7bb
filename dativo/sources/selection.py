"""Which files of a job are new since a cursor, and whether those that were read are still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dativo.config.resolve import ResolvedJob
from dativo.errors import StateError
from dativo.sources.input import InputFile, each
from dativo.state.cursor import Cursor, iso, moment

# An object's time is that of the begin of its upload, and it appears at the end: so long a file may appear late.
STORE_LATE = timedelta(days=1)


@dataclass(slots=True)
class Selection:
    """What is to be read, and the cursor once it was."""

    files: list[InputFile]
    skipped: int
    cursor: Cursor
    notes: list[str]


def select(files: Sequence[InputFile], job: ResolvedJob, since: Cursor | None, *, full: bool) -> Selection:
    """The files that are new or changed since a cursor.

    A named file is read when its time or size differs from what is stored. Of a glob those are read that are newer than
    its watermark; those at the watermark or inside the lookback are known one by one, in an object store those of the
    watermark's last day, too. With a lookback of N days, files
    modified within N days of now are read again. Without incremental loading everything is read, unless nothing at all
    has changed since the last run.
    """
    fingerprint = _fingerprint(files)
    if job.incremental is None:
        unchanged = since is not None and since.fingerprint == fingerprint and not full
        cursor = Cursor(fingerprint=fingerprint)
        return Selection([] if unchanged else list(files), len(files) if unchanged else 0, cursor, [])
    known = {} if since is None or full else since.entries
    lookback = timedelta(days=job.incremental.lookback_days or 0)
    horizon = datetime.now(UTC) - lookback if lookback else None
    chosen: list[InputFile] = []
    entries: dict[str, dict[str, Any]] = {k: v for k, v in known.items() if not k.startswith(("file_", "glob_"))}
    notes: list[str] = []
    for key in dict.fromkeys(f.entry for f in files):
        group = [f for f in files if f.entry == key]
        before = known.get(key)
        if group[0].glob:
            picked, entries[key] = _select_glob(group, before, horizon, notes)
        else:
            picked = [f for f in group if before is None or _changed(f, before) or _recent(f, horizon)]
            entries[key] = {"file_id": key.removeprefix("file_"), **_seen(group[0])}
        chosen += picked
    return Selection(chosen, len(files) - len(chosen), Cursor(entries=entries, fingerprint=fingerprint), notes)


def _select_glob(
    group: Sequence[InputFile], before: dict[str, Any] | None, horizon: datetime | None, notes: list[str]
) -> tuple[list[InputFile], dict[str, Any]]:
    watermark = moment(before["watermark"]) if before else None
    stored: dict[str, Any] = before.get("files", {}) if before else {}

    late = timedelta(0) if group[0].local else STORE_LATE

    def is_new(file: InputFile) -> bool:
        if watermark is None or _moment(file) > watermark or _recent(file, horizon):
            return True
        known = stored.get(file.identity)
        return _moment(file) >= watermark - late and (known is None or _changed(file, known))

    picked = [f for f in group if is_new(f)]
    newest = max([*(_moment(f) for f in group), *([watermark] if watermark else [])])
    keep = {f.identity: _seen(f) for f in group if _moment(f) >= newest - late or _recent(f, horizon)}
    old = sum(1 for f in group if watermark is not None and _moment(f) <= watermark)
    if before and old > before.get("count", old):
        notes.append(
            f"{old - before['count']} file(s) appeared with a time before the watermark {before['watermark']} and were not "
            "read: copied with their old time? Raise lookback_days, or run with --full-refresh"
        )
    entry = {"watermark": newest.isoformat(timespec="microseconds"), "files": keep, "count": len(group)}
    return picked, entry


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


def _recent(file: InputFile, horizon: datetime | None) -> bool:
    return horizon is not None and _moment(file) >= horizon


def _fingerprint(files: Sequence[InputFile]) -> str:
    """A hash of every file's path, time and size: equal as long as nothing was added, removed or changed."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.identity}\0{file.modified_ns}\0{file.size}{file.version}\n".encode())
    return digest.hexdigest()[:32]


def _modified(file: InputFile) -> str:
    return iso(file.modified_ns)


def _moment(file: InputFile) -> datetime:
    return moment(_modified(file))


def settled(files: Sequence[InputFile], cursor: Cursor) -> Cursor:
    """The cursor of a reading that is over.

    Raises SourceError when a file changed meanwhile: what was read may be half old and half new, and the cursor would
    claim otherwise.
    """
    each(files, lambda file: file.verify())
    return cursor
