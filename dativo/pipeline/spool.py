"""Rows of a source that is expensive to read, kept on disk: read once however many passes a run makes, and not read again
by the next run when this one dies.

A reading is kept piece by piece in a folder of its stream: one Parquet file a piece, and a manifest with a line for each,
written when the piece is complete. The next run of the job takes the folder of a dead one over and gives the source what it
finds; the source says which pieces are still right. A folder is gone when its run has committed.

    .local/resume/{tenant}/{job}/{stream}/{run token}~{owner}/
        manifest.jsonl     {version, fingerprint}, then {name, file, rows, bytes, proof} for each piece
        piece-000001.parquet
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ContractError, Interrupted, TargetError
from dativo.pipeline.background import NOTHING
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import plan_hash
from dativo.sources.protocol import FILE, ROW, Extract, Meter, Piece, Staged
from dativo.state.process import identity

VERSION = 1
# What no run has gone on with for so long is given up: its job may be gone.
ABANDONED_AFTER = timedelta(days=7)
MANIFEST = "manifest.jsonl"
_FREE = "free"


class _Head(msgspec.Struct, frozen=True):
    version: int
    fingerprint: str


class _Kept(msgspec.Struct, frozen=True):
    """A line of the manifest: a piece that is complete."""

    name: str
    file: str
    rows: int
    bytes: int
    proof: dict[str, Any]


@dataclass(slots=True)
class Spool:
    """The folder of one run's reading of a stream. `resumed` are the rows that an earlier run had read."""

    folder: Path
    fingerprint: str
    kept: dict[str, _Kept]
    files: int = 0
    resumed: int = 0

    def take(self, extract: Extract, meter: Meter) -> Extract:
        """Reads the extract's pieces, as far as they are not here already, and gives the extract over what is here.

        Raises SourceError when the source fails, TargetError when the disk does; complete pieces stay.
        """
        pieces = extract.pieces or _whole(extract.frame)
        staged = [Staged(k.name, k.rows, k.proof) for k in self.kept.values()]
        taken: list[_Kept] = []
        for piece in pieces(staged):
            if meter.stop.is_set():
                raise Interrupted(NOTHING)
            if isinstance(piece, Staged):
                taken.append(self.kept[piece.name])
                self.resumed += piece.rows
            else:
                taken.append(self._read(piece))
        return replace(extract, frame=self._frame(taken, extract.frame), pieces=None)

    def _read(self, piece: Piece) -> _Kept:
        self.files += 1
        path = self.folder / f"piece-{self.files:06d}.parquet"
        sink = piece.frame.drop(ROW).sink_parquet(
            path, compression="lz4", statistics=False, maintain_order=True, lazy=True
        )
        assert sink is not None
        collect([sink])
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        with _writing(self.folder):
            _sync(path)
            found = _Kept(piece.name, path.name, rows, path.stat().st_size, piece.proof())
            self._note(found)
        self.kept[piece.name] = found
        return found

    def _note(self, entry: _Head | _Kept) -> None:
        with (self.folder / MANIFEST).open("ab") as manifest:
            manifest.write(msgspec.json.encode(entry) + b"\n")
            manifest.flush()
            os.fsync(manifest.fileno())

    def _frame(self, taken: Sequence[_Kept], like: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of the pieces, numbered anew in each file."""
        paths = [self.folder / k.file for k in taken if k.rows]
        if not paths:
            return pl.LazyFrame(schema=like.collect_schema())
        # All rows of a piece are of one file, and the pieces of a file follow each other.
        files = [int(pl.scan_parquet(p).select(pl.col(FILE).first()).collect().item()) for p in paths]
        starts = [0] * (max(files) + 1)
        total = 0
        for at, (file, kept) in enumerate(zip(files, (k for k in taken if k.rows), strict=True)):
            if file not in files[:at]:
                starts[file] = total
            total += kept.rows
        number = pl.col(ROW).cast(pl.Int64) + 1
        if len(set(files)) > 1:
            first = pl.Series(starts, dtype=pl.Int64)
            number -= pl.col(FILE).map_batches(first.gather, return_dtype=pl.Int64, is_elementwise=True)
        order = list(like.collect_schema().names())
        return pl.scan_parquet(paths, row_index_name=ROW).with_columns(number.alias(ROW)).select(order)

    def remove(self) -> None:
        """Removes what was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self) -> None:
        """Leaves complete pieces to the next run, whether or not this process goes on."""
        if not self.kept:
            self.remove()
            return
        with contextlib.suppress(OSError):
            self.folder.rename(self.folder.with_name(f"{self.folder.name.partition('~')[0]}~{_FREE}"))


@contextlib.contextmanager
def spooled(job: ResolvedJob, stream: StreamConfig, extract: Extract, token: str, *, partial: bool) -> Iterator[Spool]:
    """A folder for this run's reading. A run that fails leaves it to the next one, unless it is the rows that were not as
    the contract wants them, or a `partial` reading, which goes on with none and leaves none."""
    spool = open_spool(job, stream, extract, token, fresh=partial)
    try:
        yield spool
    except BaseException as error:
        if partial or isinstance(error, ContractError):
            spool.remove()
        else:
            spool.leave()
        raise
    spool.remove()


def open_spool(job: ResolvedJob, stream: StreamConfig, extract: Extract, token: str, *, fresh: bool) -> Spool:
    """A folder for this run's reading, with what a dead run of the job has left of the same reading unless `fresh`.

    TargetError when it cannot be made.
    """
    everything = Path(job.root) / ".local" / "resume"
    root = everything / job.tenant_id / job.name / stream.name
    folder = root / f"{token}~{identity(os.getpid())}"
    with _writing(folder):
        _sweep(everything)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        left = _take_over(root, folder)
        spool = Spool(folder, _fingerprint(job, stream, extract), {})
        if left:
            found = [] if fresh else _read_manifest(folder, spool.fingerprint)
            if found:
                # A piece that was read again stands in the manifest twice: the last one counts.
                spool.kept, spool.files = {k.name: k for k in found}, len(list(folder.glob("piece-*")))
                return spool
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        spool._note(_Head(VERSION, spool.fingerprint))
    return spool


def _take_over(root: Path, folder: Path) -> bool:
    """Makes the folder of a dead run ours; others are removed. Whether there was one."""
    found = False
    for other in sorted(root.glob("*~*"), reverse=True):
        owner = other.name.rpartition("~")[2]
        if owner != _FREE and _lives(owner):
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
        owner = folder.name.rpartition("~")[2]
        with contextlib.suppress(OSError):
            age = time.time() - folder.stat().st_mtime
            if age > ABANDONED_AFTER.total_seconds() and (owner == _FREE or not _lives(owner)):
                shutil.rmtree(folder, ignore_errors=True)


def _lives(owner: str) -> bool:
    try:
        return owner == identity(int(owner.split("-")[0]))
    except ValueError:
        return False


def _read_manifest(folder: Path, fingerprint: str) -> list[_Kept]:
    """The complete pieces of a reading; none when it was another one. A last line that was cut off is no piece."""
    try:
        lines = (folder / MANIFEST).read_bytes().splitlines()
        head = msgspec.json.decode(lines[0], type=_Head) if lines else None
    except (OSError, msgspec.DecodeError):
        return []
    if head is None or head != _Head(VERSION, fingerprint):
        return []
    found: list[_Kept] = []
    for line in lines[1:]:
        try:
            kept = msgspec.json.decode(line, type=_Kept)
            whole = (folder / kept.file).stat().st_size == kept.bytes
        except (OSError, msgspec.DecodeError):
            break
        if not whole:
            break
        found.append(kept)
    return found


def _fingerprint(job: ResolvedJob, stream: StreamConfig, extract: Extract) -> str:
    """What has to be the same for rows that were read to be of use: the job, the contract, the columns and their types."""
    columns = [f"{n} {t}" for n, t in extract.frame.collect_schema().items()]
    parts = [plan_hash(job, stream, ""), stream.relations, job.window, columns, list(extract.files)]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _whole(frame: pl.LazyFrame) -> Callable[[Sequence[Staged]], Iterable[Piece | Staged]]:
    """A reading that cannot be divided; what was kept of another one is of no use."""
    return lambda _: [Piece("all", frame, dict)]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _writing(folder: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"rows cannot be kept in '{folder}': {error.strerror or error}",
            hint="check the disk and its permissions; nothing became visible",
        ) from None
