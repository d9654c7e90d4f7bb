"""The rows of a relation in one fixed order: by page ranges over several connections, or by one query over one.

Whatever is read in parallel is handed on in order, so that reading again gives the same rows at the same positions. Only
a few page ranges are in memory at once, whatever the size of the table.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from dativo.sources.database.ahead import ahead
from dativo.sources.database.names import shown
from dativo.sources.postgres import sql
from dativo.sources.postgres.catalog import Found, Member
from dativo.sources.postgres.decode import decoded
from dativo.sources.postgres.flow import Flow, Halt, Halted
from dativo.sources.postgres.session import BATCH_BYTES, Session
from dativo.sources.postgres.types import Rule
from dativo.sources.protocol import FAULT, Meter

# Bytes on disk that are asked for at once, those outside of the table's own pages included: of a small table fewer, so
# that what is on its way when a run dies is a small part of it.
RANGE_BYTES = 8 << 20
LEAST_BYTES = 1 << 20
_RANGES = 128
# A relation of no more bytes is read by one connection.
SMALL_BYTES = 32 << 20
# Frames that are fetched before they are asked for.
_AHEAD = 4


@dataclass(slots=True, frozen=True)
class Range:
    """Pages of a member from `first` up to `end`, exclusively; all that it has where it has no pages."""

    member: Member
    first: int = 0
    end: int = 0


@dataclass(slots=True, frozen=True)
class Reading:
    """What is read of a relation: its columns with their rules, and the conditions that its rows fulfil.

    `scattered` tells that the conditions leave so little that the server should find it by whatever way it likes.
    """

    session: Session
    found: Found
    rules: dict[str, Rule]
    meter: Meter
    conditions: tuple[str, ...] = ()
    scattered: bool = False

    @property
    def divided(self) -> bool:
        """Whether it is read by page ranges."""
        return bool(self.found.members) and not self.scattered

    @property
    def bytes(self) -> int:
        """The size of the relation on disk, as far as it has pages."""
        return sum(m.bytes for m in self.found.members)

    def ranges(self, member: Member, first: int = 0, end: int | None = None) -> Iterator[Range]:
        """What of a member is asked for at once."""
        size = min(RANGE_BYTES, max(self.bytes // _RANGES, LEAST_BYTES))
        return ranges(member, self.session.block_size, size, first, end)

    def batches(self, names: Sequence[str], limit: int | None) -> Generator[pl.DataFrame, None, None]:
        """The relation's rows, no more than `limit` of them."""
        if limit is not None or not self.divided:
            yield from self._whole(names, limit)
            return
        asked = [r for m in self.found.members for r in self.ranges(m)]
        flow = self.flow(asked)
        try:
            yield from flow.frames(names, range(len(asked)))
        finally:
            flow.close()

    def flow(self, asked: Sequence[Range]) -> Flow:
        """The reading of some page ranges."""

        def read(names: tuple[str, ...], position: int, halt: Halt) -> list[pl.DataFrame]:
            one = asked[position]
            condition = sql.pages(one.first, one.end) if one.member.paged else ""
            text, columns = self._query(names, one.member.sql, condition)
            return list(self._frames(text, columns, halt, faults=FAULT in names))

        return Flow(read, len(asked), self._workers(asked), self.meter)

    def _whole(self, names: Sequence[str], limit: int | None) -> Generator[pl.DataFrame, None, None]:
        """All rows by one query. Those that an index may have found are sorted by their place in the table."""
        paged = self.found.members and all(m.paged for m in self.found.members)
        tail = " ORDER BY tableoid, ctid" if paged and self.conditions else ""
        if limit is not None:
            tail += f" LIMIT {int(limit)}"
        text, columns = self._query(names, self.found.sql, tail=tail)
        halt = Halt()
        frames = self._frames(text, columns, halt, faults=FAULT in names)
        yield from ahead(frames, self.meter.stop, lambda fetching: fetching.join(halt.now()), _AHEAD)

    def _query(self, names: Sequence[str], source: str, condition: str = "", tail: str = "") -> tuple[str, sql.Columns]:
        """The SELECT of some columns, and how what it gives is taken apart; with FAULT all columns that can have one."""
        wanted = [n for n in names if n in self.rules]
        if FAULT in names:
            wanted += [n for n, r in self.rules.items() if r.check is not None and n not in names]
        columns = sql.columns([(n, self.rules[n]) for n in wanted])
        return sql.select(columns.sql, source, [*self.conditions, condition], tail), columns

    def _workers(self, asked: Sequence[Range]) -> int:
        """How many connections read at once."""
        if not self.session.shared:
            return 1
        chosen = self.session.options.connections
        if chosen is None:
            total = sum(m.bytes for m in {r.member.name: r.member for r in asked}.values())
            chosen = 1 if total <= SMALL_BYTES else 2
        return max(min(chosen, len(asked)), 1)

    def _frames(
        self, text: str, columns: sql.Columns, halt: Halt, *, faults: bool
    ) -> Generator[pl.DataFrame, None, None]:
        doing, field = f"reading {shown(self.found.relation)}", self.found.relation.field
        with self.session.reader() as link, halt.watching(link):
            batches = link.batches(text, self._batch_bytes(len(columns.taken)))
            while (batch := self.session.tried(lambda: next(batches, None), doing, field=field)) is not None:
                if halt.wanted:
                    raise Halted
                if batch.num_rows:
                    yield decoded(batch, columns.taken, faults=faults)

    def _batch_bytes(self, columns: int) -> int:
        """Bytes of a batch; where a number of rows was asked for, estimated from the number of columns."""
        rows = self.session.options.batch_size
        return BATCH_BYTES if rows is None else max(rows * columns * 16, 1 << 12)


def ranges(member: Member, block_size: int, size: int, first: int = 0, end: int | None = None) -> Iterator[Range]:
    """A member's pages (those from `first` up to `end`) in ranges of about so many bytes, what lies outside of the pages
    included."""
    if not member.paged:
        yield Range(member)
        return
    end = member.pages if end is None else end
    a_page = max(member.bytes // max(member.pages, 1), block_size)
    step = max(size // a_page, 1)
    for start in range(first, end, step):
        yield Range(member, start, min(start + step, end))
