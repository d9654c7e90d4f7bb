"""Local files of a job: what its paths and globs stand for, and how they are opened."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dativo.config import paths
from dativo.config.job import File
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import SourceError, listed, nearest

if TYPE_CHECKING:
    import polars as pl


@dataclass(slots=True, frozen=True)
class LocalFile:
    """A file of a local disk. `member` names a file inside a zip archive; `entry` is the state entry it belongs to."""

    path: Path
    name: str
    size: int
    modified_ns: int
    entry: str
    glob: bool
    member: str | None = None

    @property
    def identity(self) -> str:
        return _text(self.path)

    @property
    def version(self) -> str:
        return ""

    @property
    def local(self) -> bool:
        return True

    def open(self) -> OpenLocalFile:
        return OpenLocalFile(self)

    def verify(self) -> None:
        try:
            status = self.path.stat()
        except OSError as error:
            raise SourceError(
                f"'{self.name}' went away while it was read: {error.strerror}", hint="run again"
            ) from None
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns) and self.member is None:
            raise SourceError(
                f"'{self.name}' changed while it was read; nothing was committed", hint="run again when it is complete"
            )

    def inside(self, member: str, size: int) -> LocalFile:
        return replace(self, member=member, name=f"{self.name}!{member}", size=size)

    def scan(self) -> pl.LazyFrame:
        import polars as pl

        return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)

    def on_the_way(self, error: BaseException) -> None:
        """Nothing: what lies between a disk and its reader is told as the file's own."""


class OpenLocalFile:
    """A file that is open until nothing reads it any more."""

    __slots__ = ("_descriptor", "_name", "size")

    in_place = True

    def __init__(self, file: LocalFile) -> None:
        self._descriptor = -1
        self._name = file.name
        try:
            self._descriptor = os.open(file.path, os.O_RDONLY)
            self.size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise self._unreadable(error) from None

    def read(self, start: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, start)
            while len(data) < length and (more := os.pread(self._descriptor, length - len(data), start + len(data))):
                data += more
        except OSError as error:
            raise self._unreadable(error) from None
        return data

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        while data := self.read(start, length):
            yield data
            start += len(data)

    def _unreadable(self, error: OSError) -> SourceError:
        return SourceError(f"'{self._name}' cannot be read: {error.strerror}")

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


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
