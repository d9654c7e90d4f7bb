"""Local files of a job: what its paths and globs stand for, and which of them are new since a cursor."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dativo.config import paths
from dativo.config.job import File
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import SourceError, listed, nearest
from dativo.state.cursor import Cursor, iso, moment


@dataclass(slots=True, frozen=True)
class LocalFile:
    """A file to read. `member` names a file inside a zip archive; `entry` is the state entry it belongs to."""

    path: Path
    name: str
    size: int
    modified_ns: int
    entry: str
    glob: bool
    member: str | None = None

    @property
    def modified(self) -> str:
        return iso(self.modified_ns)


@dataclass(slots=True)
class Selection:
    """What is to be read, and the cursor once it was."""

    files: list[LocalFile]
    skipped: int
    cursor: Cursor
    notes: list[str]


def list_files(job: ResolvedJob, stream: StreamConfig) -> list[LocalFile]:
    """Every file of a stream, in the order of the job and by name within a glob; SourceError when one is missing."""
    found: list[LocalFile] = []
    seen: set[Path] = set()
    positions = {id(f): i for i, f in enumerate(job.source.files or [])}
    for entry in stream.files:
        field = f"source.files[{positions.get(id(entry), 0)}].path"
        for file in _matches(job, entry, field):
            resolved = file.path.resolve()
            if resolved not in seen:
                seen.add(resolved)
                found.append(file)
    return found


def _matches(job: ResolvedJob, entry: File, field: str) -> list[LocalFile]:
    text = entry.path or ""
    bases = [Path.cwd(), Path(job.root)]
    if text.startswith("/app/"):
        text, bases = text.removeprefix("/app/"), [Path("/app"), Path(job.root)]
    expanded = Path(text).expanduser()
    places = list(dict.fromkeys([expanded] if expanded.is_absolute() else [base / expanded for base in bases]))
    is_glob = glob.has_magic(text) and not any(p.exists() for p in places)
    for place in places:
        hits = [Path(p) for p in sorted(glob.glob(str(place), recursive=True))] if is_glob else [place]
        hits = [p for p in hits if not p.is_dir()] if is_glob else [p for p in hits if p.exists()]
        if hits:
            key = f"glob_{entry.path}" if is_glob else _file_key(entry.id or entry.path or "")
            return [_local(p, key, is_glob, job, field) for p in hits]
    hint = "looked at: " + ", ".join(paths.shown(p) for p in places)
    folder = next((p.parent for p in places if p.parent.is_dir()), None)
    if not is_glob and folder is not None:
        names = [p.name for p in folder.iterdir()]
        guess = nearest(expanded.name, names)
        hint += f"\ndid you mean {paths.shown(folder / guess)}?" if guess else f"\nin that folder: {listed(sorted(names))}"
    what = f"no file matches '{text}'" if is_glob else f"file not found: '{text}'"
    raise SourceError(what, mark=job.mark(field), field=field, hint=hint)


def _file_key(identity: str) -> str:
    return identity if identity.startswith("file_") else f"file_{identity}"


def _local(path: Path, key: str, is_glob: bool, job: ResolvedJob, field: str) -> LocalFile:
    try:
        if path.is_dir():
            raise SourceError(
                f"'{paths.shown(path)}' is a directory", mark=job.mark(field), field=field,
                hint=f"name the files in it, as '{paths.shown(path)}/*.csv'",
            )
        status = path.stat()
        if not os.access(path, os.R_OK):
            raise PermissionError(13, "no permission to read it")
    except OSError as error:
        raise SourceError(
            f"'{paths.shown(path)}' cannot be read: {error.strerror}", mark=job.mark(field), field=field,
            hint="check the file's permissions",
        ) from None
    return LocalFile(path, paths.shown(path), status.st_size, status.st_mtime_ns, key, is_glob)


def select(files: list[LocalFile], job: ResolvedJob, since: Cursor | None, *, full: bool) -> Selection:
    """The files that are new or changed since a cursor.

    A named file is read when its time or size differs from what is stored. Of a glob those are read that are newer than
    its watermark; those at the watermark or inside the lookback are known one by one. With a lookback of N days, files
    modified within N days of now are read again. Without incremental loading everything is read, unless nothing at all
    has changed since the last run.
    """
    fingerprint = _fingerprint(files)
    if job.incremental is None:
        unchanged = since is not None and since.fingerprint == fingerprint and not full
        cursor = Cursor(fingerprint=fingerprint)
        return Selection([] if unchanged else files, len(files) if unchanged else 0, cursor, [])
    known = {} if since is None or full else since.entries
    lookback = timedelta(days=job.incremental.lookback_days or 0)
    horizon = datetime.now(UTC) - lookback if lookback else None
    chosen: list[LocalFile] = []
    entries: dict[str, dict[str, Any]] = {k: v for k, v in known.items() if not k.startswith(("file_", "glob_"))}
    notes: list[str] = []
    for key in dict.fromkeys(f.entry for f in files):
        group = [f for f in files if f.entry == key]
        before = known.get(key)
        if group[0].glob:
            picked, entries[key] = _select_glob(group, before, horizon, notes)
        else:
            picked = [f for f in group if before is None or _changed(f, before) or _recent(f, horizon)]
            entries[key] = {"last_modified": group[0].modified, "file_id": key.removeprefix("file_"), "size": group[0].size}
        chosen += picked
    return Selection(chosen, len(files) - len(chosen), Cursor(entries=entries, fingerprint=fingerprint), notes)


def _select_glob(
    group: list[LocalFile], before: dict[str, Any] | None, horizon: datetime | None, notes: list[str]
) -> tuple[list[LocalFile], dict[str, Any]]:
    watermark = moment(before["watermark"]) if before else None
    stored: dict[str, Any] = before.get("files", {}) if before else {}

    def is_new(file: LocalFile) -> bool:
        when = moment(file.modified)
        if watermark is None or when > watermark or _recent(file, horizon):
            return True
        name = str(file.path)
        return when == watermark and (name not in stored or stored[name].get("size") != file.size)

    picked = [f for f in group if is_new(f)]
    newest = max([*(moment(f.modified) for f in group), *([watermark] if watermark else [])])
    keep = {
        str(f.path): {"last_modified": f.modified, "size": f.size}
        for f in group
        if moment(f.modified) == newest or _recent(f, horizon)
    }
    old = sum(1 for f in group if watermark is not None and moment(f.modified) <= watermark)
    if before and old > before.get("count", old):
        notes.append(
            f"{old - before['count']} file(s) appeared with a time before the watermark {before['watermark']} and were not "
            "read: copied with their old time? Raise lookback_days, or run with --full-refresh"
        )
    entry = {"watermark": newest.isoformat(timespec="microseconds"), "files": keep, "count": len(group)}
    return picked, entry


def _changed(file: LocalFile, before: dict[str, Any]) -> bool:
    if moment(str(before.get("last_modified"))) != moment(file.modified):
        return True
    return "size" in before and before["size"] != file.size


def _recent(file: LocalFile, horizon: datetime | None) -> bool:
    return horizon is not None and moment(file.modified) >= horizon


def _fingerprint(files: list[LocalFile]) -> str:
    """A hash of every file's path, time and size: equal as long as nothing was added, removed or changed."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.modified_ns}\0{file.size}\n".encode())
    return digest.hexdigest()[:32]
