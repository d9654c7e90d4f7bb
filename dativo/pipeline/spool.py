"""Rows of a source that is expensive to read, kept on disk while they are read: read once however many passes a run makes,
and not read again by the next run when this one dies.

A reading is kept piece by piece. The next run of the job takes over what a dead one has left and gives the source what it
finds; the source says which pieces are still right.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import polars as pl
import pyarrow.lib as pa
from polars.io.plugins import register_io_source

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ContractError, Interrupted
from dativo.pipeline.background import NOTHING
from dativo.pipeline.kept import Folder, Kept, open_folder, writing
from dativo.pipeline.plan import plan_hash
from dativo.sources.protocol import FILE, ROW, Extract, Meter, Piece, Staged

# Bytes that have to be free for rows to be kept without being compressed.
ROOM = 8 << 30
# Frames that wait to be written.
BEHIND = 4
# pyarrow has no types of its own.
_ipc: Any = importlib.import_module("pyarrow.ipc")
_T = TypeVar("_T")


@dataclass(slots=True)
class Spool:
    """One run's reading of a stream. `taken` are the pieces that it consists of, once it has come to its end."""

    folder: Folder
    taken: list[Kept] | None = None

    def over(self, extract: Extract, meter: Meter) -> Extract:
        """The extract with a frame that asks the source once, and keeps what it gives; read again, it reads what was kept.

        Its reading raises SourceError when the source fails, TargetError when the disk does; complete pieces stay.
        """
        schema = dict(extract.frame.collect_schema())

        def generate(
            with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            wanted = list(schema) if with_columns is None else with_columns
            left = n_rows
            first = self._reading(extract, meter) if self.taken is None else self._again(wanted)
            with closing(first) as frames:
                for frame in _numbered(frames):
                    rows = frame.select(wanted) if left is None else frame.select(wanted).head(left)
                    yield rows if predicate is None else rows.filter(predicate)
                    if left is not None and (left := left - rows.height) <= 0:
                        return

        return replace(extract, frame=register_io_source(generate, schema=schema, is_pure=True), pieces=None)

    def _reading(self, extract: Extract, meter: Meter) -> Generator[pl.DataFrame, None, None]:
        assert extract.pieces is not None
        taken: list[str] = []
        resumed = 0
        staged = [Staged(k.name, k.rows, k.proof, partial(self._stored, k, None)) for k in self.folder.kept.values()]
        with closing(_generated(extract.pieces(staged))) as pieces, closing(_Keeping(self.folder)) as keeping:
            for piece in pieces:
                if meter.stop.is_set():
                    raise Interrupted(NOTHING)
                taken.append(piece.name)
                if isinstance(piece, Staged):
                    resumed += piece.rows
                    yield from self._stored(self.folder.kept[piece.name], None)
                else:
                    yield from keeping.rows(piece)
        if resumed:
            extract.notes.append(f"{resumed} rows were kept from a run that did not end")
        self.taken = [self.folder.kept[name] for name in taken]

    def _again(self, wanted: Sequence[str]) -> Generator[pl.DataFrame, None, None]:
        columns = {*wanted, FILE} - {ROW}
        for kept in self.taken or ():
            yield from self._stored(kept, columns)

    def _stored(self, kept: Kept, columns: set[str] | None) -> Generator[pl.DataFrame, None, None]:
        """The rows of a piece that is complete; all columns, or some."""
        if not kept.rows:
            return
        with pa.memory_map(str(self.folder.path / kept.file)) as file:
            names = _ipc.open_file(file).schema.names
            chosen = None if columns is None else [i for i, n in enumerate(names) if n in columns]
            reader = _ipc.open_file(file, options=_ipc.IpcReadOptions(included_fields=chosen))
            for i in range(reader.num_record_batches):
                frame = pl.from_arrow(reader.get_batch(i))
                assert isinstance(frame, pl.DataFrame)
                yield frame


class _Keeping:
    """Keeps the rows of pieces in a thread of its own, a few frames behind: the disk is waited for while more is read."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="dativo-spool")
        self.behind: deque[Future[None]] = deque()
        self.writer: Any = None
        self.failed = False

    def rows(self, piece: Piece) -> Generator[pl.DataFrame, None, None]:
        """The rows of a piece, which are kept while they are handed on."""
        self.folder.files += 1
        path = self.folder.path / f"piece-{self.folder.files:06d}.arrow"
        count = 0
        with closing(piece.frames()) as frames:
            for frame in frames:
                count += frame.height
                self._do(partial(self._write, path, frame))
                yield frame
        self._do(partial(self._end, path, piece.name, count, piece.proof()))

    def _do(self, work: Callable[[], None]) -> None:
        self.behind.append(self.thread.submit(self._done, work))
        if len(self.behind) > BEHIND:
            self.behind.popleft().result()

    def _done(self, work: Callable[[], None]) -> None:
        """Does the work, unless something before it failed: a piece is noted only with all of its rows."""
        if not self.failed:
            self.failed = True
            work()
            self.failed = False

    def _write(self, path: Path, frame: pl.DataFrame) -> None:
        # Text as Polars has it may be a view of much more than itself, as of a block that other columns are views of, too;
        # every column would be written with all of that.
        table = frame.drop(ROW).to_arrow(compat_level=pl.CompatLevel.oldest())
        with writing(self.folder.path):
            self.writer = self.writer or _writer(path, table.schema)
            self.writer.write_table(table)

    def _end(self, path: Path, name: str, rows: int, proof: dict[str, Any]) -> None:
        with writing(self.folder.path):
            self._close_file()
            self.folder.note(Kept(name, path.name, rows, path.stat().st_size if rows else 0, proof))

    def _close_file(self) -> None:
        if self.writer is not None:
            writer, self.writer = self.writer, None
            writer.close()

    def close(self) -> None:
        """Waits for all that was handed on; raises TargetError when it could not be kept."""
        self.thread.shutdown(wait=True)
        with suppress(OSError):
            self._close_file()
        for future in self.behind:
            future.result()


def _numbered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Frames, each of one file, with their rows numbered from 1 in each file."""
    before: Counter[int] = Counter()
    for frame in frames:
        if not frame.height:
            continue
        file = frame[FILE][0]
        start = before[file] + 1
        before[file] += frame.height
        numbers = pl.int_range(start, start + frame.height, dtype=pl.Int64, eager=True)
        yield frame.with_columns(numbers.alias(ROW))


def _generated(items: Iterable[_T]) -> Generator[_T, None, None]:
    yield from items


def _writer(path: Path, schema: Any) -> Any:
    """Plain where there is room enough, for compressing costs more time than writing; else compressed."""
    roomy = shutil.disk_usage(path.parent).free > ROOM
    return _ipc.new_file(str(path), schema, options=_ipc.IpcWriteOptions(compression=None if roomy else "lz4"))


@contextmanager
def spooled(job: ResolvedJob, stream: StreamConfig, extract: Extract, token: str, *, partial: bool) -> Iterator[Spool]:
    """The reading of an extract. A run that fails leaves its rows to the next one, unless it is the rows that were not as
    the contract wants them, or a `partial` reading, which goes on with none and leaves none."""
    folder = open_folder(job, stream, token, _fingerprint(job, stream, extract), fresh=partial)
    try:
        yield Spool(folder)
    except BaseException as error:
        if partial or isinstance(error, ContractError):
            folder.remove()
        else:
            folder.leave()
        raise
    folder.remove()


def _fingerprint(job: ResolvedJob, stream: StreamConfig, extract: Extract) -> str:
    """What has to be the same for rows that were read to be of use: the job, the contract, the columns and their types."""
    columns = [f"{n} {t}" for n, t in extract.frame.collect_schema().items()]
    parts = [plan_hash(job, stream, ""), stream.relations, job.window, columns, list(extract.files)]
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
