"""Postgres as a source: what a stream reads of it, in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.text import TextRules
from dativo.sources.database.cursor import entry, entry_key
from dativo.sources.database.frame import Part, lazy, shared_schema, whole
from dativo.sources.database.future import tell_healed
from dativo.sources.database.window import bounds, notes
from dativo.sources.database_options import database_options
from dativo.sources.discovery import FoundStream
from dativo.sources.postgres.looked import Looked, look
from dativo.sources.postgres.pieces import Pieces
from dativo.sources.postgres.session import Session
from dativo.sources.protocol import PROVENANCE, Extract, Meter, Piece, SourceColumn, Staged
from dativo.state.cursor import Cursor


class PostgresSource:
    """Reads tables, views and queries as they are typed; the contract casts where it wants another type."""

    def __init__(self, job: ResolvedJob) -> None:
        self.job = job
        self.options = database_options(job)
        # What the last reading of each stream looked at: its snapshot is asked for keys, too.
        self._read: dict[str, list[Looked]] = {}

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        from dativo.sources.postgres.check import findings

        return findings(self.job, stream, self.options)

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        session = Session(self.job, self.options)
        try:
            read = [look(session, stream, r, since, meter, full=full) for r in stream.relations]
            extract = self._extract(stream, read, meter, limit, notes(self.job, stream, since, full=full))
            return replace(extract, since=partial(self._since, stream, read, meter, limit), close=session.close)
        except BaseException:
            session.close()
            raise

    def discover(self) -> Sequence[FoundStream]:
        """All that the account may read, system tables left out."""
        from dativo.sources.postgres.discover import discover

        with closing(Session(self.job, self.options)) as session:
            return discover(session)

    def samples(self, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
        """A few values of the streams' columns, as text, nulls left out; None where a stream cannot be read."""
        from dativo.sources.postgres.discover import samples

        with closing(Session(self.job, self.options)) as session:
            return samples(session, streams, rows)

    def keys(self, stream: StreamConfig, columns: Sequence[str], *, meter: Meter) -> pl.LazyFrame:
        """Columns of all rows that the stream has now, in the snapshot of its last reading."""
        readings = [one.everything(columns, meter) for one in self._read[stream.name]]
        dtypes = [{n: r.dtype for n, r in one.rules.items()} for one in readings]
        schema = shared_schema(stream, [one.found.name for one in readings], dtypes)
        parts = [Part(i, dtypes[i], one.batches) for i, one in enumerate(readings)]
        return lazy(parts, schema, meter, None).select(columns)

    def _since(
        self, stream: StreamConfig, looked: Sequence[Looked], meter: Meter, limit: int | None, since: Cursor
    ) -> Extract:
        """What of a reading is new since a cursor, in its snapshot."""
        read = [one.within(bounds(self.job, one.reading.found.relation, since, full=False)) for one in looked]
        return self._extract(stream, read, meter, limit, notes(self.job, stream, since, full=False))

    def _extract(
        self, stream: StreamConfig, read: list[Looked], meter: Meter, limit: int | None, told: list[str]
    ) -> Extract:
        self._read[stream.name] = read
        dtypes = [{n: r.dtype for n, r in one.reading.rules.items()} for one in read]
        names = tuple(one.reading.found.name for one in read)
        schema = shared_schema(stream, names, dtypes)
        parts = [Part(i, dtypes[i], one.reading.batches) for i, one in enumerate(read)]
        columns = [n for n in schema if n not in PROVENANCE]
        for one in read:
            tell_healed(one.reading.found.relation, one.window, told)
        return Extract(
            frame=lazy(parts, schema, meter, limit),
            encoding="typed",
            columns=tuple(SourceColumn(c, sum(c in d for d in dtypes)) for c in columns),
            files=names,
            rules=TextRules(),
            cursor=lambda: _reached(read, told),
            unchanged=bool(read) and all(one.empty() for one in read),
            pieces=partial(_pieces, read, schema) if limit is None else partial(whole, parts, schema, meter, limit),
            unique=read[0].reading.found.unique if len(read) == 1 else (),
            notes=told,
            ordered=all(one.ordered for one in read),
        )


def _pieces(
    read: Sequence[Looked], schema: dict[str, pl.DataType], staged: Sequence[Staged]
) -> Iterator[Piece | Staged]:
    """The pieces of all relations, one relation after another."""
    names = [one.reading.found.name for one in read]
    for i, one in enumerate(read):
        label = names[i] if names.count(names[i]) == 1 else f"{names[i]} ({i + 1})"
        yield from Pieces(one.reading, label, i, schema)(staged)


def _reached(read: Sequence[Looked], notes: list[str]) -> Cursor:
    """How far the relations were read; asked of the same snapshot that they were read in."""
    entries = {}
    for one in read:
        value = one.reached(notes)
        if value is not None and one.window is not None:
            relation = one.reading.found.relation
            entries[entry_key(relation.object, one.window.column)] = entry(value, relation)
    return Cursor(entries=entries)
