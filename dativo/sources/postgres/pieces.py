"""A table in pieces of pages, and whether a piece that an earlier reading kept is still as the table has it.

A piece is still right when in its pages there are as many rows as were read, and none that a transaction wrote which the
earlier reading could not see to its end. What a transaction does to a row after that reading shows: an update leaves one
row less and a new row with its own number, a delete one row less, an insert a row with its number. A table that was
rewritten has another file.
"""

# Names are quoted and values are numbers.

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from dativo.sources.database.frame import Batches, Part, frames
from dativo.sources.postgres import sql
from dativo.sources.postgres.catalog import Member
from dativo.sources.postgres.flow import Flow
from dativo.sources.postgres.reading import LEAST_BYTES, Range, Reading, ranges
from dativo.sources.protocol import Piece, Staged

# Bytes on disk of a piece, at most, and how many pieces a table has at least, unless they were smaller than a range.
PIECE_BYTES = 64 << 20
_PIECES = 128
# Transaction numbers begin anew after so many; half of them lie before a number, half behind it.
_NUMBERS = 1 << 32
# How many pieces one query is asked about.
_AT_ONCE = 50


@dataclass(slots=True)
class Pieces:
    """The pieces of one relation, in the order of its pages. `label` tells it from the stream's other relations."""

    reading: Reading
    label: str
    file: int
    schema: dict[str, pl.DataType]

    def __call__(self, staged: Sequence[Staged]) -> Iterator[Piece | Staged]:
        """The pieces to be read and, in their places, those that are still right."""
        known = {s.name: s for s in staged if s.proof.get("relation") == self.label}
        if not self.reading.divided:
            yield Piece(self.label, self._frames(self.reading.batches, []), dict)
            return
        cut = [r for m in self.reading.found.members for r in self._cut(m, known.values())]
        right = self._right([(r, s) for r in cut if (s := known.get(self._name(r))) is not None])
        inside = {
            self._name(r): list(self.reading.ranges(r.member, r.first, r.end))
            for r in cut
            if self._name(r) not in right
        }
        flow = self.reading.flow([one for parts in inside.values() for one in parts])
        position = 0
        try:
            for whole in cut:
                if self._name(whole) in right:
                    yield right[self._name(whole)]
                    continue
                at = range(position, position + len(inside[self._name(whole)]))
                position = at.stop
                yield self._piece(whole, flow, at)
        finally:
            flow.close()

    def _piece(self, whole: Range, flow: Flow, at: range) -> Piece:
        """A piece that takes its rows from a flow, from some positions of it."""
        counted: list[int] = []

        def batches(names: Sequence[str], _limit: int | None) -> Generator[pl.DataFrame, None, None]:
            yield from flow.frames(names, at)

        return Piece(self._name(whole), self._frames(batches, counted), lambda: self._proof(whole, counted[-1]))

    def _frames(self, batches: Batches, counted: list[int]) -> Callable[[], Generator[pl.DataFrame, None, None]]:
        dtypes = {n: r.dtype for n, r in self.reading.rules.items()}
        part = Part(self.file, dtypes, batches, ended=counted.append)
        return partial(frames, [part], self.schema, self.reading.meter)

    def _cut(self, member: Member, known: Iterable[Staged]) -> Iterator[Range]:
        """The pages of a member as pieces: cut where an earlier reading cut them, as far as it went."""
        size, at = self.reading.session.block_size, 0
        most = min(PIECE_BYTES, max(self.reading.bytes // _PIECES, LEAST_BYTES))
        if not member.paged:
            yield Range(member)
            return
        before = sorted((s.proof["first"], s.proof["end"]) for s in known if s.proof.get("member") == member.name)
        for first, end in before:
            if first < at or end > member.pages or first >= end:
                continue
            yield from ranges(member, size, most, at, first)
            yield Range(member, first, end)
            at = end
        yield from ranges(member, size, most, at)

    def _proof(self, whole: Range, rows: int) -> dict[str, Any]:
        reading = self.reading
        return {
            "relation": self.label,
            "member": whole.member.name,
            "first": whole.first,
            "end": whole.end,
            "rows": rows,
            **self._circumstances(whole.member),
            "xmin": reading.session.xmin,
        }

    def _circumstances(self, member: Member) -> dict[str, Any]:
        """What must not have changed for rows to be still right, besides the rows."""
        found = self.reading.found
        return {
            "server": self.reading.session.system,
            "file": member.file,
            "columns": {n: found.column(n).number for n in self.reading.rules},
            "conditions": list(self.reading.conditions),
        }

    def _right(self, asked: Sequence[tuple[Range, Staged]]) -> dict[str, Staged]:
        """Those of some staged pieces that are still as the table has them, by name."""
        session = self.reading.session
        worth = [
            (whole, piece)
            for whole, piece in asked
            if whole.member.paged
            and all(piece.proof.get(k) == v for k, v in self._circumstances(whole.member).items())
            and piece.proof.get("rows") == piece.rows
            and 0 <= session.xmin - int(piece.proof["xmin"]) < _NUMBERS // 2
        ]
        right: dict[str, Staged] = {}
        for start in range(0, len(worth), _AT_ONCE):
            few = worth[start : start + _AT_ONCE]
            text = " UNION ALL ".join(self._counting(i, whole, piece) for i, (whole, piece) in enumerate(few))
            for i, rows, recent in session.query(text, f"comparing {self.reading.found.name} with what was kept"):
                whole, piece = few[i]
                if rows == piece.rows and recent == 0:
                    right[self._name(whole)] = piece
        return right

    def _counting(self, number: int, whole: Range, piece: Staged) -> str:
        oldest = int(piece.proof["xmin"]) % _NUMBERS
        recent = f"count(*) FILTER (WHERE age(xmin) BETWEEN 0 AND age('{oldest}'::xid))"
        what = f"{int(number)} AS piece, count(*) AS rows, {recent} AS recent"
        return sql.select(what, whole.member.sql, [*self.reading.conditions, sql.pages(whole.first, whole.end)])

    def _name(self, whole: Range) -> str:
        member = whole.member.name
        place = self.label if member == self.reading.found.name else f"{self.label} {member}"
        return f"{place} pages {whole.first}-{whole.end - 1}" if whole.member.paged else place
