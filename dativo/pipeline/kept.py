"""The folders in which rows of a reading are kept: found again, taken over from a dead run, removed.

    .local/resume/{tenant}/{job}/{stream}/{run token}~{owner}/
        manifest.jsonl     {version, fingerprint}, then {name, file, rows, bytes, proof} for each complete piece
        piece-000001.arrow

A run that ends well removes its folder. One that fails leaves it to the next; one that was killed does so by being dead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError
from dativo.state.process import identity, lives

VERSION = 1
MANIFEST = "manifest.jsonl"
# What no run has gone on with for so long is given up: its job may be gone.
ABANDONED_AFTER = timedelta(days=7)
_FREE = "free"


class _Head(msgspec.Struct, frozen=True):
    version: int
    fingerprint: str


class Kept(msgspec.Struct, frozen=True):
    """A line of the manifest: a piece that is complete."""

    name: str
    file: str
    rows: int
    bytes: int
    proof: dict[str, Any]


@dataclass(slots=True)
class Folder:
    """One run's folder. `kept` are the pieces that are complete in it, by name; `files` counts the files ever begun."""

    path: Path
    fingerprint: str
    kept: dict[str, Kept] = field(default_factory=dict)
    files: int = 0

    def note(self, entry: _Head | Kept) -> None:
        """A line of the manifest; what it tells of is on the disk before it is."""
        if isinstance(entry, Kept) and entry.rows:
            with (self.path / entry.file).open("rb") as file:
                os.fsync(file.fileno())
        with (self.path / MANIFEST).open("ab") as manifest:
            manifest.write(msgspec.json.encode(entry) + b"\n")
            manifest.flush()
            os.fsync(manifest.fileno())
        if isinstance(entry, Kept):
            self.kept[entry.name] = entry

    def remove(self) -> None:
        """Removes what was kept."""
        shutil.rmtree(self.path, ignore_errors=True)

    def leave(self) -> None:
        """Leaves complete pieces to the next run, whether or not this process goes on."""
        if not self.kept:
            self.remove()
            return
        with contextlib.suppress(OSError):
            self.path.rename(self.path.with_name(f"{self.path.name.partition('~')[0]}~{_FREE}"))


def open_folder(job: ResolvedJob, stream: StreamConfig, token: str, fingerprint: str, *, fresh: bool) -> Folder:
    """A folder for a run's reading, with what a dead run of the job has left of the same reading unless `fresh`.

    `fingerprint` tells one reading from another. TargetError when the folder cannot be made.
    """
    everything, root = _everything(job), _root(job, stream)
    folder = Folder(root / f"{token}~{identity(os.getpid())}", fingerprint)
    with writing(folder.path):
        _sweep(everything)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _take_over(root, folder.path):
            found = [] if fresh else _read_manifest(folder.path, fingerprint)
            if found:
                # A piece that was read again stands in the manifest twice: the last one counts.
                folder.kept, folder.files = {k.name: k for k in found}, len(list(folder.path.glob("piece-*")))
                return folder
            shutil.rmtree(folder.path)
        folder.path.mkdir(mode=0o700)
        folder.note(_Head(VERSION, fingerprint))
    return folder


def left_over(job: ResolvedJob, stream: StreamConfig) -> list[Path]:
    """The folders that dead runs of a stream have left."""
    return [f for f in sorted(_root(job, stream).glob("*~*")) if f.is_dir() and _is_free(f)]


def discard(job: ResolvedJob, stream: StreamConfig) -> None:
    """Removes what dead runs of a stream have left; TargetError when it cannot be removed."""
    for folder in left_over(job, stream):
        with writing(folder):
            shutil.rmtree(folder)


def _everything(job: ResolvedJob) -> Path:
    return Path(job.root) / ".local" / "resume"


def _root(job: ResolvedJob, stream: StreamConfig) -> Path:
    return _everything(job) / job.tenant_id / job.name / quote(stream.name, safe="")


def _take_over(root: Path, folder: Path) -> bool:
    """Makes the folder of a dead run ours; others are removed. Whether there was one."""
    found = False
    for other in sorted(root.glob("*~*"), reverse=True):
        if not _is_free(other):
            continue
        if found:
            shutil.rmtree(other, ignore_errors=True)
            continue
        with contextlib.suppress(OSError):
            # Of two runs that begin at once only one can have it.
            other.rename(folder)
            found = True
    return found


def _sweep(everything: Path) -> None:
    """Removes what other jobs' runs have left and nobody wanted for a long time."""
    for folder in everything.glob("*/*/*/*~*"):
        with contextlib.suppress(OSError):
            age = time.time() - folder.stat().st_mtime
            if age > ABANDONED_AFTER.total_seconds() and _is_free(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_free(folder: Path) -> bool:
    """Whether no run works in a folder: its own is dead, or has left it."""
    try:
        return not lives(folder.name.rpartition("~")[2])
    except ValueError:
        return True


def _read_manifest(folder: Path, fingerprint: str) -> list[Kept]:
    """The complete pieces of a reading; none when it was another one. A last line that was cut off is no piece."""
    try:
        lines = (folder / MANIFEST).read_bytes().splitlines()
        head = msgspec.json.decode(lines[0], type=_Head) if lines else None
    except (OSError, msgspec.DecodeError):
        return []
    if head is None or head != _Head(VERSION, fingerprint):
        return []
    found: list[Kept] = []
    for line in lines[1:]:
        try:
            kept = msgspec.json.decode(line, type=Kept)
            whole = not kept.rows or (folder / kept.file).stat().st_size == kept.bytes
        except (OSError, msgspec.DecodeError):
            break
        if not whole:
            break
        found.append(kept)
    return found


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Translates what the disk says while rows are kept in a folder."""
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"rows cannot be kept in '{folder}': {error.strerror or error}",
            hint="check the disk and its permissions; nothing became visible",
        ) from None
