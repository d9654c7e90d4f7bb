"""A table read by several connections at once, chunk by chunk of its key, and handed on in the key's order.

Whoever of the connections is free finds the key at which the next chunk ends, by walking the key's index, and reads the
chunk. What is read ahead of whoever takes it is a few chunks, and a bounded number of bytes where rows are larger than the
server's statistics know.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import polars as pl

from dativo.errors import Interrupted
from dativo.sources.mysql.session import Session
from dativo.sources.protocol import Meter

# Bytes of rows, as the server counts them, that a connection reads at a time.
CHUNK_BYTES = 8 << 20
# Rows that were read ahead take no more; the frame that is waited for is always taken.
HELD_BYTES = 96 << 20
_FEWEST, _MOST, _UNKNOWN = 1_000, 100_000, 100
_WAIT = 0.1
_PATIENCE = 10.0

Key = tuple[str, ...]
# The key at which a chunk of so many rows after a key ends: None where the table ends before.
Cut = Callable[[Session, Key | None, int], Key | None]
# The rows after a key up to another one, or to the end of the table: then the list gets the key of the last.
Read = Callable[[Session, Key | None, Key | None, list[str]], Generator[pl.DataFrame, None, None]]


def chunk_rows(row_bytes: int | None) -> int:
    """How many rows of an average size a chunk has."""
    return max(_FEWEST, min(_MOST, CHUNK_BYTES // (row_bytes or _UNKNOWN)))


@dataclass(slots=True)
class _Chunk:
    """A chunk while it is read: frames that nobody took yet; the key that it reaches; and how it ended."""

    after: Key | None
    upto: Key | None
    reached: list[str] = field(default_factory=list)
    frames: deque[tuple[pl.DataFrame, int]] = field(default_factory=deque)
    ended: bool = False
    error: BaseException | None = None


class Chunks:
    """The rows of a table after a key. `reached` is the key of the last that was taken, `ended` tells that it was the
    last of all."""

    def __init__(
        self, readers: Sequence[Session], cut: Cut, read: Read, meter: Meter, after: Key | None, rows: int
    ) -> None:
        self.reached = after
        self.ended = False
        self._cut, self._read, self._meter, self._rows = cut, read, meter, rows
        self._readers = readers
        self._next: Key | None = after
        self._last = False
        self._halted = False
        self._held = 0
        self._order: deque[_Chunk] = deque()
        self._changed = threading.Condition()
        self._cutting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(s,), name=f"dativo-mysql-{i}", daemon=True)
            for i, s in enumerate(readers)
        ]
        for thread in self._threads:
            thread.start()

    def take(self, least: int) -> Generator[pl.DataFrame, None, None]:
        """The frames of the next chunks, until they have so many rows, or the table ends."""
        taken = 0
        while taken < least and not self.ended:
            with self._changed:
                self._await(lambda: bool(self._order))
                chunk = self._order[0]
            while (frame := self._frame(chunk)) is not None:
                taken += frame.height
                yield frame
            with self._changed:
                self._order.popleft()
                self._changed.notify_all()
            if chunk.error is not None:
                raise chunk.error
            self.ended = chunk.upto is None
            self.reached = chunk.upto or tuple(chunk.reached) or chunk.after

    def _frame(self, chunk: _Chunk) -> pl.DataFrame | None:
        with self._changed:
            self._await(lambda: bool(chunk.frames) or chunk.ended)
            if not chunk.frames:
                return None
            frame, size = chunk.frames.popleft()
            self._held -= size
            self._changed.notify_all()
            return frame

    def _await(self, there: Callable[[], bool]) -> None:
        while not self._changed.wait_for(there, _WAIT):
            if self._meter.stop.is_set():
                raise Interrupted("stopped while reading; nothing was committed")

    def _work(self, session: Session) -> None:
        while (chunk := self._begun(session)) is not None:
            error: BaseException | None = None
            try:
                if chunk.error is None:
                    with closing(self._read(session, chunk.after, chunk.upto, chunk.reached)) as frames:
                        for frame in frames:
                            if not self._put(chunk, frame):
                                return
            # Whatever it is, it belongs to whoever takes the chunk.
            except BaseException as caught:  # noqa: BLE001
                error = caught
            with self._changed:
                chunk.error, chunk.ended = chunk.error or error, True
                self._changed.notify_all()
                if chunk.error is not None:
                    return

    def _begun(self, session: Session) -> _Chunk | None:
        """The next chunk, which takes its place behind the others; None when there is none, or nobody wants one."""
        with self._cutting:
            with self._changed:
                self._changed.wait_for(lambda: self._halted or len(self._order) <= len(self._readers))
                if self._halted or self._last:
                    return None
            chunk = _Chunk(self._next, None)
            try:
                chunk.upto = self._cut(session, self._next, self._rows)
            except BaseException as caught:  # noqa: BLE001 - as above
                chunk.error = caught
            self._next, self._last = chunk.upto, chunk.upto is None
            with self._changed:
                self._order.append(chunk)
                self._changed.notify_all()
            return chunk

    def _put(self, chunk: _Chunk, frame: pl.DataFrame) -> bool:
        size = int(frame.estimated_size())

        def room() -> bool:
            awaited = not chunk.frames and self._order[0] is chunk
            return self._halted or awaited or self._held + size <= HELD_BYTES

        with self._changed:
            self._changed.wait_for(room)
            if self._halted:
                return False
            chunk.frames.append((frame, size))
            self._held += size
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """Ends what is being read, and waits until it has ended. The connections can be used again if they can."""
        with self._changed:
            self._halted = True
            self._changed.notify_all()
        for hurry in (self._meter.stop.is_set(), True):
            if hurry and any(t.is_alive() for t in self._threads):
                for session in self._readers:
                    session.close()
            for thread in self._threads:
                thread.join(_PATIENCE)
