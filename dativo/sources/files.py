"""Local files of a job: what its paths and globs stand for, and which of them are new since a cursor."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import stat
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
    wanted = paths.expanded(text)
    if wanted.is_absolute():
        bases, wanted = [Path(wanted.anchor)], wanted.relative_to(wanted.anchor)
    bases = list(dict.fromkeys(bases))
    is_glob = glob.has_magic(text) and not any(_is_there(base / wanted) for base in bases)
    for base in bases:
        place = base / wanted
        hits = _globbed(base, wanted) if is_glob else [place] if _is_there(place) else []
        if hits:
            key = f"glob_{entry.path}" if is_glob else _file_key(entry.id or entry.path or "")
            return [_local(p, key, is_glob, job, field) for p in hits]
    places = [base / wanted for base in bases]
    hint = "looked at: " + ", ".join(paths.shown(p) for p in places)
    what = f"no file matches '{text}'" if is_glob else f"file not found: '{text}'"
    raise SourceError(what, mark=job.mark(field), field=field, hint=hint if is_glob else hint + _beside(places))


def _globbed(base: Path, pattern: Path) -> list[Path]:
    """The files that a pattern stands for, by name; hidden ones only where the pattern names them."""
    if "**" not in pattern.parts:
        return [p for p in sorted(base / n for n in glob.glob(str(pattern), root_dir=base)) if not p.is_dir()]  # noqa: PTH207
    # The glob module would follow links to folders, in circles too.
    whole = pattern / "*" if pattern.name == "**" else pattern
    hidden = any(part.startswith(".") for part in pattern.parts)
    found = [
        p for p in base.glob(str(whole)) if hidden or not any(n.startswith(".") for n in p.relative_to(base).parts)
    ]
    return sorted(p for p in found if not p.is_dir())


def _is_there(path: Path) -> bool:
    """Whether there is something at a path, a link that leads nowhere included."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno in (errno.EACCES, errno.ELOOP)
    except ValueError:
        return False
    return True


def _beside(places: list[Path]) -> str:
    """What else there is where a file was looked for."""
    for place in places:
        try:
            names = sorted(_text(p.name) for p in place.parent.iterdir())
        except OSError:
            continue
        guess = nearest(place.name, names)
        return f"\ndid you mean {paths.shown(place.parent / guess)}?" if guess else f"\nin that folder: {listed(names)}"
    return ""


def _file_key(identity: str) -> str:
    return identity if identity.startswith("file_") else f"file_{identity}"


def _local(path: Path, key: str, is_glob: bool, job: ResolvedJob, field: str) -> LocalFile:
    name = _text(paths.shown(path))

    def refused(message: str, hint: str) -> SourceError:
        return SourceError(message, mark=job.mark(field), field=field, hint=hint)

    try:
        status = path.stat()
    except OSError as error:
        hint = f"it is a link to '{_text(path.readlink())}'" if path.is_symlink() else "check the file's permissions"
        raise refused(f"'{name}' cannot be read: {error.strerror}", hint) from None
    if stat.S_ISDIR(status.st_mode):
        raise refused(f"'{name}' is a directory", f"name the files in it, as '{name}/*.{job.source_type}'")
    if not stat.S_ISREG(status.st_mode):
        raise refused(
            f"'{name}' is a pipe, a socket or a device", "a file is read more than once: write it to a file first"
        )
    if not os.access(path, os.R_OK):
        raise refused(f"'{name}' cannot be read: no permission to read it", "check the file's permissions")
    return LocalFile(path, name, status.st_size, status.st_mtime_ns, key, is_glob)


def _text(path: str | Path) -> str:
    """A path as text that can be stored; bytes of a name that are not UTF-8 are spelt out."""
    return os.fsencode(path).decode(errors="backslashreplace")


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
            entries[key] = {
                "last_modified": group[0].modified,
                "file_id": key.removeprefix("file_"),
                "size": group[0].size,
            }
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
        name = _text(file.path)
        return when == watermark and (name not in stored or stored[name].get("size") != file.size)

    picked = [f for f in group if is_new(f)]
    newest = max([*(moment(f.modified) for f in group), *([watermark] if watermark else [])])
    keep = {
        _text(f.path): {"last_modified": f.modified, "size": f.size}
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
        digest.update(os.fsencode(file.path) + f"\0{file.modified_ns}\0{file.size}\n".encode())
    return digest.hexdigest()[:32]
