"""The rows of a relation in one fixed order: by page ranges over several connections, or by one query over one.

Whatever is read in parallel is handed on in order, so that reading again gives the same rows at the same positions. Only
a few page ranges are in memory at once, whatever the size of the table.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import polars as pl

from dativo.errors import Interrupted
from dativo.sources.database.names import shown
from dativo.sources.postgres import sql
from dativo.sources.postgres.catalog import Found, Member
from dativo.sources.postgres.decode import decoded
from dativo.sources.postgres.session import BATCH_BYTES, Link, Session
from dativo.sources.postgres.types import Rule
from dativo.sources.protocol import FAULT, Meter

# Bytes on disk that are asked for at once, those outside of the table's own pages included.
RANGE_BYTES = 8 << 20
# A relation of no more bytes is read by one connection.
SMALL_BYTES = 32 << 20
_AHEAD = 4
# Seconds after which a thread that waits looks whether the run is to stop.
_PATIENCE = 0.2


@dataclass(slots=True, frozen=True)
class Range:
    """Pages of a member from `first` up to `end`, exclusively; all that it has where it has no pages."""

    member: Member
    first: int = 0
    end: int = 0


@dataclass(slots=True, frozen=True)
class Reading:
    """What is read of a relation: its columns with their rules, and the conditions that its rows fulfil."""

    session: Session
    found: Found
    rules: dict[str, Rule]
    meter: Meter
    conditions: tuple[str, ...] = ()
    scattered: bool = False

    def query(self, names: Sequence[str], source: str, condition: str = "", tail: str = "") -> tuple[str, sql.Columns]:
        """The SELECT of some columns, and how what it gives is taken apart; with FAULT all columns that can have one."""
        wanted = [n for n in names if n in self.rules]
        if FAULT in names:
            wanted += [n for n, r in self.rules.items() if r.check is not None and n not in names]
        columns = sql.columns([(n, self.rules[n]) for n in wanted])
        return sql.select(columns.sql, source, [*self.conditions, condition], tail), columns

    def batches(self, names: Sequence[str], limit: int | None) -> Generator[pl.DataFrame, None, None]:
        """The relation's rows, no more than `limit` of them."""
        members = self.found.members
        if limit is not None or self.scattered or not members:
            yield from self.whole(names, limit)
        else:
            yield from self.ranges(names, [r for m in members for r in ranges(m, self.session.block_size)])

    def whole(self, names: Sequence[str], limit: int | None) -> Generator[pl.DataFrame, None, None]:
        """All rows by one query. Those that an index may have found are sorted by their place in the table."""
        paged = self.found.members and all(m.paged for m in self.found.members)
        tail = " ORDER BY tableoid, ctid" if paged and self.conditions else ""
        if limit is not None:
            tail += f" LIMIT {int(limit)}"
        text, columns = self.query(names, self.found.sql, tail=tail)
        yield from ahead(lambda halt: self._frames(text, columns, FAULT in names, halt), self.meter)

    def ranges(self, names: Sequence[str], asked: Sequence[Range]) -> Generator[pl.DataFrame, None, None]:
        """The rows of page ranges, in their order."""
        workers = self.workers(asked)
        halt = Halt()

        def read(one: Range) -> list[pl.DataFrame]:
            condition = sql.pages(one.first, one.end) if one.member.paged else ""
            text, columns = self.query(names, one.member.sql, condition)
            return list(self._frames(text, columns, FAULT in names, halt))

        waiting: deque[Future[list[pl.DataFrame]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="dativo-postgres") as pool:
            try:
                for one in asked:
                    waiting.append(pool.submit(read, one))
                    if len(waiting) > workers + 1:
                        yield from _result(waiting.popleft(), self.meter)
                while waiting:
                    yield from _result(waiting.popleft(), self.meter)
            finally:
                halt.now()
                for future in waiting:
                    future.cancel()

    def workers(self, asked: Sequence[Range]) -> int:
        """How many connections read at once."""
        if not self.session.shared:
            return 1
        chosen = self.session.options.connections
        if chosen is None:
            total = sum(m.bytes for m in {r.member.name: r.member for r in asked}.values())
            chosen = 1 if total <= SMALL_BYTES else 2
        return max(min(chosen, len(asked)), 1)

    def _frames(self, text: str, columns: sql.Columns, faults: bool, halt: Halt) -> Generator[pl.DataFrame, None, None]:
        doing = f"reading {shown(self.found.relation)}"
        with self.session.reader() as link, halt.watching(link):
            batches = link.batches(text, self.batch_bytes(len(columns.taken)))
            while (
                batch := self.session.tried(lambda: next(batches, None), doing, field=self.found.relation.field)
            ) is not None:
                if halt.wanted:
                    raise _Halted
                if batch.num_rows:
                    yield decoded(batch, columns.taken, faults=faults)

    def batch_bytes(self, columns: int) -> int:
        """Bytes of a batch, where a number of rows was asked for estimated from the number of columns."""
        rows = self.session.options.batch_size
        return BATCH_BYTES if rows is None else max(rows * columns * 16, 1 << 12)


class Halt:
    """Ends what several threads read, when nobody waits for it any more."""

    def __init__(self) -> None:
        self.wanted = False
        self._links: set[Link] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, link: Link) -> Iterator[None]:
        with self._lock:
            if self.wanted:
                raise _Halted
            self._links.add(link)
        try:
            yield
        finally:
            with self._lock:
                self._links.discard(link)

    def now(self) -> None:
        with self._lock:
            self.wanted = True
            for link in self._links:
                link.cancel()


class _Halted(Exception):
    """Nobody waits for the rest."""


def _result(future: Future[list[pl.DataFrame]], meter: Meter) -> list[pl.DataFrame]:
    """What a future gives; Interrupted when the run is to stop while it is awaited."""
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            check_stop(meter)


def check_stop(meter: Meter) -> None:
    if meter.stop.is_set():
        raise Interrupted("stopped while reading; nothing was committed")


def ranges(member: Member, block_size: int) -> Iterator[Range]:
    """A member's pages in ranges of about RANGE_BYTES, what lies outside of the pages included."""
    if not member.paged:
        yield Range(member)
        return
    if not member.pages:
        return
    a_page = max(member.bytes // member.pages, block_size)
    step = max(RANGE_BYTES // a_page, 1)
    for first in range(0, member.pages, step):
        yield Range(member, first, min(first + step, member.pages))


def ahead(produce: Callable[[Halt], Iterator[pl.DataFrame]], meter: Meter) -> Generator[pl.DataFrame, None, None]:
    """The frames of a generator that runs in a thread of its own, a few frames ahead."""
    made: queue.Queue[pl.DataFrame | BaseException | None] = queue.Queue(_AHEAD)
    halt = Halt()

    def put(item: pl.DataFrame | BaseException | None) -> None:
        while not halt.wanted:
            with suppress(queue.Full):
                made.put(item, timeout=_PATIENCE)
                return

    def run() -> None:
        try:
            for frame in produce(halt):
                put(frame)
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the frames are taken
            put(error)

    thread = threading.Thread(target=run, name="dativo-postgres", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = made.get(timeout=_PATIENCE)
            except queue.Empty:
                check_stop(meter)
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        halt.now()
        thread.join()
