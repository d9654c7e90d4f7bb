"""The source `mysql`: tables, views and queries of MySQL and MariaDB, in one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import polars as pl

from dativo.config.logins import address
from dativo.config.refusals import hinted
from dativo.config.resolved import Relation, ResolvedJob, StreamConfig
from dativo.contract.text import TextRules
from dativo.errors import SourceError
from dativo.sources.database.frame import Part, lazy, shared_schema, whole
from dativo.sources.database.future import saved_after, tell_healed
from dativo.sources.database.names import shown
from dativo.sources.database.opened import reading
from dativo.sources.database.window import Bounds, bounds, notes
from dativo.sources.database_options import database_options
from dativo.sources.discovery import FoundStream
from dativo.sources.mysql.picture import beside
from dativo.sources.mysql.pieces import Pieces
from dativo.sources.mysql.reached import described_anew, reached_value
from dativo.sources.mysql.relation import Described, describe, read_rows
from dativo.sources.mysql.session import Session
from dativo.sources.protocol import Extract, Meter, Piece, SourceColumn, Staged
from dativo.state.cursor import Cursor


class MysqlSource:
    """Reads the streams of a job."""

    def __init__(self, job: ResolvedJob) -> None:
        self.job = job
        self.options = database_options(job)
        self.connection = job.connections["source"]
        # What the last reading of each stream looked at: its snapshot is asked for keys, too.
        self._last: dict[str, tuple[Session, list[Described]]] = {}

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        """The stream's rows, in one snapshot that ends with `close`."""
        session = Session(self.connection, self.options.statement_timeout)
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
        schema = shared_schema(stream, [d.name for d in found], [d.dtypes for d in found])
        parts = [Part(i, d.dtypes, partial(self._batches, session, d, meter)) for i, d in enumerate(found)]
        holders = [set(d.dtypes) for d in found]
        told = [*notes(self.job, stream, since, full=full), *self._notes(found)]
        for one in found:
            tell_healed(one.relation, one.bounds, told)
        return Extract(
            frame=lazy(parts, schema, meter, limit),
            encoding="typed",
            columns=tuple(
                SourceColumn(n, sum(n in h for h in holders)) for n in dict.fromkeys(n for d in found for n in d.dtypes)
            ),
            files=tuple(d.name for d in found),
            rules=TextRules(),
            cursor=partial(self._cursor, session, found, since, told),
            notes=told,
            unique=_unique(found),
            ordered=all(d.ordered for d in found),
            pieces=partial(self._pieces, session, stream, found, schema, meter, told)
            if limit is None
            else partial(whole, parts, schema, meter, limit),
        )

    def _batches(
        self, session: Session, described: Described, meter: Meter, asked: Sequence[str], limit: int | None
    ) -> Any:
        return read_rows(session, described, asked, limit, meter, batch_size=self.options.batch_size)

    def _pieces(
        self,
        session: Session,
        stream: StreamConfig,
        found: Sequence[Described],
        schema: dict[str, pl.DataType],
        meter: Meter,
        told: list[str],
        staged: Sequence[Staged],
    ) -> Iterator[Piece | Staged]:
        def again(described: Described) -> Described:
            return describe(self.job, stream, described.relation, session, described.bounds)

        with beside(session, found, self.options.connections or 1, again, meter, told) as readers:
            for i, described in enumerate(found):
                label, own = f"{i} {described.name}", readers.get(i, ())
                yield from Pieces(session, described, label, i, schema, meter, self.options.batch_size, own)(staged)

    def keys(self, stream: StreamConfig, columns: Sequence[str], *, meter: Meter) -> pl.LazyFrame:
        """Columns of all rows that the stream has now, in the snapshot of its last reading."""
        session, last = self._last[stream.name]
        found = [describe(self.job, stream, d.relation, session, None) for d in last]
        schema = shared_schema(stream, [d.name for d in found], [d.dtypes for d in found])
        parts = [Part(i, d.dtypes, partial(self._batches, session, d, meter)) for i, d in enumerate(found)]
        return lazy(parts, schema, meter, None).select(columns)

    def _described(
        self, session: Session, stream: StreamConfig, relation: Relation, within: Bounds | None
    ) -> Described:
        found = describe(self.job, stream, relation, session, within)
        return described_anew(session, found, partial(describe, self.job, stream, relation, session))

    def _cursor(self, session: Session, found: Sequence[Described], since: Cursor | None, notes: list[str]) -> Cursor:
        return saved_after(
            since, [(d.relation, d.bounds, reached_value(session, d, notes)) for d in found if d.bounds is not None]
        )

    def _notes(self, found: Sequence[Described]) -> list[str]:
        told = []
        for described in found:
            if not described.has_snapshots:
                told.append(
                    f"{described.name} ({described.engine}) knows no snapshots: rows that are written while it is read may "
                    "be there or not"
                )
        charset = self.connection.get("charset") or "utf8mb4"
        if not charset.lower().startswith("utf8"):
            told.append(
                f"charset '{charset}' changes nothing: text is read in utf8mb4, which has all of its characters"
            )
        return told

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        """Whether the server answers, and each relation can be read."""
        try:
            session = Session(self.connection, self.options.statement_timeout)
        except SourceError as error:
            return [{"name": address(self.connection), "ok": False, "message": error.message, "hint": hinted(error)}]
        database, user = self.connection.get("database"), self.connection.get("user")
        message = session.product + (f", database '{database}'" if database else "") + f", user '{user}'"
        found = [{"name": address(self.connection), "ok": True, "message": message, "hint": ""}]
        try:
            for relation in stream.relations:
                found.append(self._checked(session, stream, relation))
        finally:
            session.close()
        return found

    def discover(self) -> Sequence[FoundStream]:
        """All tables and views that the account may read."""
        from dativo.sources.mysql.discover import discovered

        session = Session(self.connection, self.options.statement_timeout, snapshot=False)
        try:
            return discovered(session)
        finally:
            session.close()

    def samples(self, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
        """A few values of the tables' columns, as text; None where a table cannot be read."""
        from dativo.sources.mysql.discover import sampled

        session = Session(self.connection, self.options.statement_timeout, snapshot=False)
        try:
            return sampled(session, streams, rows)
        finally:
            session.close()

    def _checked(self, session: Session, stream: StreamConfig, relation: Any) -> dict[str, Any]:
        try:
            described = describe(self.job, stream, relation, session, bounds(self.job, relation, None, full=True))
            for _ in read_rows(session, described, list(described.dtypes), 1, Meter()):
                pass
        except SourceError as error:
            return {"name": shown(relation), "ok": False, "message": error.message, "hint": hinted(error)}
        cursor = f", loaded by {described.bounds.column}" if described.bounds is not None else ""
        message = f"{len(described.columns)} of {len(described.wire)} columns{cursor}"
        return {"name": described.name, "ok": True, "message": message, "hint": ""}


def _unique(found: Sequence[Described]) -> tuple[frozenset[str], ...]:
    """What the server keeps unique in the frame: nothing where it has rows of several relations."""
    if len(found) != 1:
        return ()
    names = set(found[0].dtypes)
    return tuple(frozenset(i.columns) for i in found[0].indexes if not i.nullable and names.issuperset(i.columns))
