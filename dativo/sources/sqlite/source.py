"""The source `sqlite`: tables, views and queries of a database file, all of one moment."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import polars as pl

from dativo.config.resolved import Relation, ResolvedJob, StreamConfig
from dativo.contract.text import TextRules
from dativo.errors import SourceError
from dativo.sources.database.frame import Part, lazy, shared_schema, whole
from dativo.sources.database.future import healed, reached, saved_after, tell_healed
from dativo.sources.database.names import shown
from dativo.sources.database.opened import reading
from dativo.sources.database.window import Bounds, bounds, notes
from dativo.sources.database_options import database_options
from dativo.sources.discovery import FoundStream
from dativo.sources.protocol import Extract, Meter, SourceColumn
from dativo.sources.sqlite.reached import CursorColumn, horizon_of
from dativo.sources.sqlite.relation import Described, describe, later, read_rows
from dativo.sources.sqlite.session import Session
from dativo.state.cursor import Cursor


class SqliteSource:
    """Reads the streams of a job."""

    def __init__(self, job: ResolvedJob) -> None:
        self.job = job
        self.options = database_options(job)
        # What the last reading of each stream looked at: its transaction is asked for keys, too.
        self._last: dict[str, tuple[Session, list[Described]]] = {}

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def session(self, meter: Meter) -> Session:
        return Session(self.job.connections["source"], self.job.root, self.options.statement_timeout, meter)

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        """The stream's rows, in one transaction that ends with `close`."""
        session = self.session(meter)
        return reading(session, partial(self._extract, session, stream, meter, limit), since, full)

    def _extract(
        self,
        session: Session,
        stream: StreamConfig,
        meter: Meter,
        limit: int | None,
        since: Cursor | None,
        full: bool,
    ) -> Extract:
        found = [self._described(session, stream, r, bounds(self.job, r, since, full=full)) for r in stream.relations]
        self._last[stream.name] = session, found
        told = notes(self.job, stream, since, full=full)
        for one in found:
            tell_healed(one.relation, one.bounds, told)
        if (self.options.connections or 1) > 1:
            told.append("engine.options.connections changes nothing: a file is read by one connection")
        dtypes = [d.dtypes for d in found]
        unique = [frozenset(u) for d in found for u in d.unique if d.told_apart >= set(u)]
        schema = shared_schema(stream, [d.name for d in found], dtypes)
        parts = [Part(i, d.dtypes, self._batches(session, d)) for i, d in enumerate(found)]
        return Extract(
            frame=lazy(parts, schema, meter, limit),
            encoding="typed",
            columns=tuple(
                SourceColumn(n, sum(n in d for d in dtypes)) for n in dict.fromkeys(n for d in dtypes for n in d)
            ),
            files=tuple(d.name for d in found),
            rules=TextRules(),
            cursor=partial(_reached, session, stream, found, since, told),
            notes=told,
            unique=tuple(unique) if len(found) == 1 else (),
            ordered=all(d.ordered for d in found),
            pieces=partial(whole, parts, schema, meter, limit),
        )

    def _described(
        self, session: Session, stream: StreamConfig, relation: Relation, within: Bounds | None
    ) -> Described:
        found = describe(self.job, stream, relation, session, within)
        mended = healed(within, partial(horizon_of, session, stream, found), later)
        return found if mended is within else describe(self.job, stream, relation, session, mended)

    def _batches(self, session: Session, described: Described) -> Any:
        def batches(asked: Sequence[str], limit: int | None) -> Generator[pl.DataFrame, None, None]:
            return read_rows(session, described, asked, limit, self.options.batch_size)

        return batches

    def keys(self, stream: StreamConfig, columns: Sequence[str], *, meter: Meter) -> pl.LazyFrame:
        """Columns of all rows that the stream has now, in the transaction of its last reading."""
        session, last = self._last[stream.name]
        found = [describe(self.job, stream, d.relation, session, None) for d in last]
        schema = shared_schema(stream, [d.name for d in found], [d.dtypes for d in found])
        parts = [Part(i, d.dtypes, self._batches(session, d)) for i, d in enumerate(found)]
        return lazy(parts, schema, meter, None).select(columns)

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        """Whether the file can be opened, and each relation read."""
        try:
            session = self.session(Meter())
        except SourceError as error:
            return [{"name": "database", "ok": False, "message": error.message, "hint": error.hint}]
        found = [{"name": "database", "ok": True, "message": str(session.path), "hint": ""}]
        try:
            for relation in stream.relations:
                try:
                    one = describe(self.job, stream, relation, session, bounds(self.job, relation, None, full=True))
                    for _ in read_rows(session, one, list(one.dtypes), 1, None):
                        pass
                except SourceError as error:
                    message, hint = error.message, error.hint
                    found.append({"name": shown(relation), "ok": False, "message": message, "hint": hint})
                    continue
                cursor = f", loaded by {one.bounds.column}" if one.bounds is not None else ""
                message = f"{len(one.columns)} of {len(one.declared)} columns{cursor}"
                found.append({"name": one.name, "ok": True, "message": message, "hint": ""})
        finally:
            session.close()
        return found

    def discover(self) -> Sequence[FoundStream]:
        """All tables and views of the file."""
        from dativo.sources.sqlite.discover import discovered

        session = self.session(Meter())
        try:
            return discovered(session)
        finally:
            session.close()

    def samples(self, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
        """A few values of the tables' columns, as text; None where a table cannot be read."""
        from dativo.sources.sqlite.discover import sampled

        session = self.session(Meter())
        try:
            return sampled(session, streams, rows)
        finally:
            session.close()


def _reached(
    session: Session, stream: StreamConfig, found: Sequence[Described], since: Cursor | None, notes: list[str]
) -> Cursor:
    values = []
    for described in found:
        if described.bounds is not None:
            column, limit = CursorColumn(session, described), partial(horizon_of, session, stream, described)
            value = reached(column, described.relation, described.bounds, limit, notes)
            values.append((described.relation, described.bounds, value))
    return saved_after(since, values)
