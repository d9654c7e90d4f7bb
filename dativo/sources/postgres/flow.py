"""Page ranges read by several connections at once and handed on in order, a few of them ahead of who takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import polars as pl

from dativo.errors import Interrupted
from dativo.sources.postgres.link import Link, cancel
from dativo.sources.protocol import Meter

# Seconds after which a thread that waits looks whether the run is to stop.
PATIENCE = 0.2
# Seconds in which a query that was cancelled ends, where the server is not silent.
ENDING = 10.0


class Halted(Exception):
    """Nobody waits for the rest."""


class Halt:
    """Ends what several threads read, when nobody waits for it any more."""

    def __init__(self) -> None:
        self.wanted = False
        self._links: set[Link] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, link: Link) -> Iterator[None]:
        """While a thread reads by a connection; Halted where it should not begin."""
        with self._lock:
            if self.wanted:
                raise Halted
            self._links.add(link)
        try:
            yield
        finally:
            with self._lock:
                self._links.discard(link)

    def now(self) -> float:
        """Gives the seconds in which the threads will have ended, none where the server is silent."""
        with self._lock:
            self.wanted = True
            return ENDING if cancel(self._links) else 0


# Reads the columns of the range at a position.
Read = Callable[[tuple[str, ...], int, Halt], list[pl.DataFrame]]


class Flow:
    """So many ranges, read by so many workers. Whoever takes some in order finds the next ones read already."""

    def __init__(self, read: Read, ranges: int, workers: int, meter: Meter) -> None:
        self._read = read
        self._ranges = ranges
        self._ahead = workers + 1
        self._meter = meter
        self._halt = Halt()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="dativo-postgres")
        self._made: dict[tuple[tuple[str, ...], int], Future[list[pl.DataFrame]]] = {}

    def frames(self, names: Sequence[str], positions: range) -> Iterator[pl.DataFrame]:
        """The frames of some ranges, each of which can be taken again."""
        asked = tuple(names)
        for position in positions:
            for near in range(position, min(position + self._ahead, self._ranges) + 1):
                if near < self._ranges and (asked, near) not in self._made:
                    self._made[asked, near] = self._pool.submit(self._read, asked, near, self._halt)
            found = self._result(self._made[asked, position])
            del self._made[asked, position]
            yield from found

    def _result(self, future: Future[list[pl.DataFrame]]) -> list[pl.DataFrame]:
        """What a future gives; Interrupted when the run is to stop while it is awaited."""
        while True:
            try:
                return future.result(timeout=PATIENCE)
            except TimeoutError:
                check_stop(self._meter)

    def close(self) -> None:
        """Ends what is being read, and waits until it has ended, or the server does not let it end."""
        longest = self._halt.now()
        self._pool.shutdown(wait=False, cancel_futures=True)
        # Those that nobody began will not be heard of.
        wait([future for future in self._made.values() if not future.cancelled()], longest)
        self._made.clear()


def check_stop(meter: Meter) -> None:
    """Raises Interrupted when the run is to stop."""
    if meter.stop.is_set():
        raise Interrupted("stopped while reading; nothing was committed")
