"""A table in pieces of its key, and whether a piece that an earlier reading kept is still as the table has it.

Pieces follow each other in the order of the primary key, each with so many rows. A piece is still right when the rows that
the server has in its range of keys are those that were kept: it is asked for a digest of them, and one is made of the rows
on the disk. So a reading that nobody takes up costs the server nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from dativo.config.logins import address
from dativo.sources.database.frame import Part, frames
from dativo.sources.mysql.chunks import Chunks, chunk_rows
from dativo.sources.mysql.digest import Digest, charsets, comparable, digested, selected
from dativo.sources.mysql.relation import Described, border, read_rows
from dativo.sources.mysql.session import Session
from dativo.sources.mysql.sql import Condition, Select, beyond, up_to
from dativo.sources.mysql.values import is_bytes, order_of, parameter
from dativo.sources.protocol import FAULT, Meter, Piece, Staged

PIECE_ROWS = 500_000
_Key = tuple[str, ...]


@dataclass(slots=True)
class _Reached:
    """What is known of a piece once it was read: its rows, and the key of the last."""

    rows: int = 0
    key: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Pieces:
    """The pieces of one relation; `label` tells it from the stream's other relations.

    With `readers`, whose snapshots are of the session's moment, what was not kept is read by all of them at once.
    """

    session: Session
    described: Described
    label: str
    file: int
    schema: dict[str, pl.DataType]
    meter: Meter
    batch_size: int | None = None
    readers: Sequence[Session] = ()

    def __call__(self, staged: Sequence[Staged]) -> Iterator[Piece | Staged]:
        """The pieces to be read and, in their places, those that are still right."""
        if not divided(self.described):
            yield Piece(self.label, self._frames([], None, _Reached()), dict)
            return
        after: _Key | None = None
        for kept in self._chain(staged):
            upto = tuple(kept.proof["upto"])
            if self._is_right(kept, after, upto):
                yield kept
            else:
                reached = _Reached(key=list(upto))
                rows = self._frames(self._range(after, upto), None, reached)
                yield Piece(self._name(after), rows, partial(self._proof, after, reached))
            after = upto
        yield from self._by_several(after) if self.readers else self._further(after)

    def _further(self, after: _Key | None) -> Iterator[Piece]:
        """Pieces from a key to the end of the table."""
        while True:
            reached = _Reached()
            rows = self._frames(self._range(after, None), PIECE_ROWS, reached)
            yield Piece(self._name(after), rows, partial(self._proof, after, reached))
            if reached.rows < PIECE_ROWS:
                return
            after = tuple(reached.key)

    def _by_several(self, after: _Key | None) -> Iterator[Piece]:
        """As `_further`, with pieces that end where a chunk does."""
        described = self.described
        asked = [*described.dtypes, FAULT]

        def cut(session: Session, begin: _Key | None, rows: int) -> _Key | None:
            found = border(session, described, self._range(begin, None), rows)
            return tuple(found) if found is not None else None

        def read(
            session: Session, begin: _Key | None, upto: _Key | None, reached: list[str]
        ) -> Generator[pl.DataFrame, None, None]:
            return read_rows(
                session, described, asked, None, self.meter, more=self._range(begin, upto), batch_size=self.batch_size,
                last_key=reached if upto is None else None,
            )  # fmt: skip

        with closing(Chunks(self.readers, cut, read, self.meter, after, chunk_rows(described.row_bytes))) as chunks:
            while not chunks.ended:
                part = Part(self.file, described.dtypes, lambda _asked, _limit: chunks.take(PIECE_ROWS))
                rows = partial(frames, [part], self.schema, self.meter)
                yield Piece(self._name(after), rows, partial(self._proof_of, chunks, after))
                after = chunks.reached

    def _proof_of(self, chunks: Chunks, after: _Key | None) -> dict[str, Any]:
        # Where the table had ended there is nothing to be kept.
        return self._proof(after, _Reached(key=list(chunks.reached or ()))) if chunks.reached != after else {}

    def _chain(self, staged: Sequence[Staged]) -> list[Staged]:
        """The kept pieces of this reading that follow each other from the begin of the table."""
        mark = self._circumstances()
        after: list[str] | None = None
        found = []
        mine = {json.dumps(s.proof.get("after")): s for s in staged if s.proof.get("reading") == mark}
        while (piece := mine.pop(json.dumps(after), None)) is not None and piece.proof["upto"]:
            found.append(piece)
            after = list(piece.proof["upto"])
        return found

    def _circumstances(self) -> str:
        """What must not have changed for rows to be still right, besides the rows, as one short text."""
        described = self.described
        columns = [(c.name, c.form.name, str(c.dtype)) for c in described.columns]
        sql = described.select.sql(",".join(described.key))
        told = json.dumps([self.label, address(self.session.connection), self.session.server, columns, sql])
        return hashlib.sha256(told.encode()).hexdigest()[:32]

    def _range(self, after: _Key | None, upto: _Key | None) -> list[Condition]:
        key = self.described.key
        places = [parameter(self.described.wire[k]) for k in key]
        found = [beyond(key, places, after)] if after is not None else []
        return [*found, up_to(key, places, upto)] if upto is not None else found

    def _frames(
        self, more: Sequence[Condition], limit: int | None, reached: _Reached
    ) -> Callable[[], Generator[pl.DataFrame, None, None]]:
        def batches(asked: Sequence[str], _limit: int | None) -> Generator[pl.DataFrame, None, None]:
            divided = limit is not None
            yield from read_rows(
                self.session, self.described, asked, limit, self.meter, more=more, batch_size=self.batch_size,
                last_key=reached.key if divided else None,
            )  # fmt: skip

        def ended(rows: int) -> None:
            reached.rows = rows

        part = Part(self.file, self.described.dtypes, batches, ended=ended)
        return partial(frames, [part], self.schema, self.meter)

    def _proof(self, after: _Key | None, reached: _Reached) -> dict[str, Any]:
        if not reached.key or not comparable(self.described.columns, self.described.wire, self.schema):
            return {}
        begin = list(after) if after is not None else None
        return {"reading": self._circumstances(), "after": begin, "upto": list(reached.key)}

    def _is_right(self, kept: Staged, after: _Key | None, upto: _Key) -> bool:
        """Whether a range of keys has the rows that were kept. The server and we make our digests at the same time."""
        columns = self.described.columns
        if not comparable(columns, self.described.wire, self.schema):
            return False
        with ThreadPoolExecutor(1, thread_name_prefix="dativo-digest") as beside, closing(kept.frames()) as frames:
            asked = beside.submit(self._digest, after, upto)
            return digested(columns, frames) == asked.result()

    def _digest(self, after: _Key | None, upto: _Key) -> Digest:
        """That of the rows that the server has in a range of keys."""
        described, what = self.described, f"comparing {self.described.name} with what was kept"
        columns, select = described.columns, described.select
        sql, values = Select(select.source, (Condition("false"),)).sql(charsets(columns))
        charset = dict(zip((c.name for c in columns), self.session.asked(sql, values, what)[0], strict=True))
        sql, values = select.where(*self._range(after, upto)).sql(selected(columns, described.wire, charset))
        [[rows, total]] = self.session.asked(sql, values, what)
        return Digest(int(rows or 0), int(total or 0))

    def _name(self, after: _Key | None) -> str:
        if after is None:
            return f"{self.label} from its begin"
        return f"{self.label} after {hashlib.sha256(json.dumps(after).encode()).hexdigest()[:16]}"


def divided(described: Described) -> bool:
    """Whether the rows lie in the order of a key whose values can be compared."""
    key, wire = described.key, described.wire
    return bool(key) and all(order_of(wire[k]) is not None or is_bytes(wire[k]) for k in key)


def worth_several(session: Session, described: Described) -> bool:
    """Whether reading by several connections saves time: the whole of a table that has more than a chunk or two."""
    if described.engine != "InnoDB" or not divided(described):
        return False
    if described.bounds is not None and described.bounds.lower is not None:
        return False
    return border(session, described, [], 2 * chunk_rows(described.row_bytes)) is not None
