"""A relation that was looked at: what will be read of it, and how far that goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dativo.config.resolved import Relation, StreamConfig
from dativo.errors import SourceError
from dativo.sources.database.columns import as_text, check_cursor, chosen
from dativo.sources.database.future import Horizon, healed, horizon, reached
from dativo.sources.database.names import identifier, shown
from dativo.sources.database.query import one_condition
from dativo.sources.database.window import Bounds, bounds
from dativo.sources.postgres import sql
from dativo.sources.postgres.catalog import check_readable, find
from dativo.sources.postgres.columns import Column
from dativo.sources.postgres.reading import Reading
from dativo.sources.postgres.session import Session
from dativo.sources.postgres.types import Rule, rule
from dativo.sources.protocol import Meter
from dativo.state.cursor import Cursor

# A window that holds no more than this part of a table is looked for by whatever way the server finds best.
_FEW = 0.1
_TEXTS = ("text", "varchar", "bpchar", "name")
# Collations that compare bytes, as pg_collation_for names them.
_BY_BYTES = ('"C"', '"POSIX"', '"ucs_basic"', '"C.utf8"', '"C.UTF-8"')


@dataclass(slots=True, frozen=True)
class Looked:
    """What is read of a relation, and by which window of its cursor column.

    `ordered` tells whether the contract's column orders its rows as that column does.
    """

    session: Session
    reading: Reading
    window: Bounds | None
    cursor: Column | None
    filter: str
    ordered: bool = True

    def everything(self, columns: Sequence[str], meter: Meter) -> Reading:
        """The reading of some columns of all rows, whatever the window."""
        rules = {n: r for n, r in self.reading.rules.items() if n in columns}
        conditions = (self.filter,) if self.filter else ()
        return replace(self.reading, rules=rules, meter=meter, conditions=conditions, scattered=False)

    def within(self, window: Bounds | None) -> Looked:
        """What a window leaves of it, a saved cursor that lies in the future not obeyed.

        SourceError where an end of the window is no value of the cursor's column.
        """
        session, column = self.session, self.cursor
        _check_values(session, self.reading.found.relation, window, column)
        if column is not None:
            window = healed(window, partial(_horizon, session, column), partial(_is_later, session, column))
        conditions = tuple(c for c in (self.filter, sql.window(window, column)) if c)
        reading = replace(self.reading, conditions=conditions)
        return replace(self, reading=replace(reading, scattered=_is_scattered(reading)), window=window)

    def reached(self, notes: list[str]) -> str | None:
        """The value of the cursor to be saved, found by the server in the snapshot that was read."""
        if self.window is None or self.cursor is None:
            return None
        return reached(
            self, self.reading.found.relation, self.window, partial(_horizon, self.session, self.cursor), notes
        )

    def greatest(self, most: str | None = None) -> str | None:
        assert self.cursor is not None
        found = self.session.query(
            sql.greatest(self.reading.found.sql, self.reading.conditions, self.cursor, most),
            f"looking for the greatest '{self.cursor.name}' of {self.reading.found.name}",
        )
        return found[0][0] if found else None

    def later(self, a: str, b: str) -> bool:
        assert self.cursor is not None
        return _is_later(self.session, self.cursor, a, b)

    def count_after(self, value: str) -> int:
        assert self.cursor is not None
        text = sql.count_after(self.reading.found.sql, self.reading.conditions, self.cursor, value)
        return int(self.session.query(text, f"counting rows of {self.reading.found.name}")[0][0])

    def empty(self) -> bool:
        """Whether a table has nothing in the window; a view or query is not asked, because that may cost a reading."""
        if self.window is None or self.window.open or not self.reading.found.members:
            return False
        text = sql.select("1", self.reading.found.sql, self.reading.conditions, " LIMIT 1")
        return not self.session.query(text, f"looking for news in {self.reading.found.name}")


def look(
    session: Session, stream: StreamConfig, relation: Relation, since: Cursor | None, meter: Meter, *, full: bool
) -> Looked:
    """What a relation has to be read of, since a cursor or with `full` all; SourceError when it is not as the job says."""
    job = session.job
    found = find(session, relation)
    check_readable(session, stream, found)
    available = [c.name for c in found.columns]
    check_cursor(job, relation, available)
    names = chosen(job, stream, relation, available)
    fields = {f.source_name.strip(): f for f in stream.asset.fields}
    rules: dict[str, Rule] = {n: rule(found.column(n).type, fields.get(n.strip())) for n in names}
    window = bounds(job, relation, since, full=full)
    column = found.column(window.column) if window is not None else None
    reading = Reading(session, found, rules, meter)
    ordered = column is None or not as_text(stream, column.name, available) or _by_bytes(session, reading, column)
    return Looked(session, reading, None, column, one_condition(job, relation, "postgres"), ordered).within(window)


def _is_later(session: Session, column: Column, a: str, b: str) -> bool:
    text = f"SELECT {sql.value(a, column)} > {sql.value(b, column)}"
    return bool(session.query(text, "comparing cursors")[0][0])


def _horizon(session: Session, column: Column, _: str) -> Horizon | None:
    """How late values of a cursor column can be; None where they are no dates and no times."""
    if not sql.is_date(column):
        return None
    if column.type.name == "date":
        return horizon(session.now, lambda moment: moment.date().isoformat(), zoned=False)
    return horizon(session.now, lambda moment: moment.isoformat(" "), zoned=column.type.name == "timestamptz")


def _by_bytes(session: Session, reading: Reading, column: Column) -> bool:
    """Whether the server orders a column's values as their texts are ordered by their bytes."""
    if not column.type.builtin or column.type.category != "base" or column.type.name not in (*_TEXTS, "uuid"):
        return False
    if column.type.name == "uuid":
        return True
    doing = f"asking how '{column.name}' of {reading.found.name} is ordered"
    name = identifier(column.name)
    nothing = sql.select(name, reading.found.sql, ("false",))
    asked = f"SELECT pg_collation_for(q.{name}) FROM (VALUES (1)) AS one LEFT JOIN ({nothing}) AS q ON true"  # noqa: S608
    collation = session.query(asked, doing)[0][0]
    if collation != '"default"':
        return collation in _BY_BYTES
    settings = (
        "SELECT d.datcollate::text, coalesce(to_jsonb(d)->>'datlocprovider', 'c') FROM pg_database d "
        "WHERE d.datname = current_database()"
    )
    locale, provider = session.query(settings, doing)[0]
    return provider == "b" or (provider == "c" and f'"{locale}"' in _BY_BYTES)


def _check_values(session: Session, relation: Relation, window: Bounds | None, column: Column | None) -> None:
    """Raises SourceError for an end of the window that is no value of the cursor column."""
    if window is None or column is None:
        return
    job = session.job
    origins = {job.window.since: "--since", job.window.until: "--until", window.saved: "the saved state"}
    for text, origin in origins.items():
        if text is None:
            continue
        try:
            session.query(f"SELECT {sql.value(text, column)} IS NULL", "comparing cursors", savepoint=True)
        except SourceError as error:
            raise SourceError(
                f"'{text}' of {origin} is no {column.type.sql}, which '{column.name}' of {shown(relation)} is",
                hint=f"give it as Postgres writes a {column.type.sql}"
                if origin != "the saved state"
                else "mend the state, or read all again with `--full-refresh`",
                mark=job.mark("source.incremental.cursor_field"),
                field="source.incremental.cursor_field",
            ) from error


def _is_scattered(reading: Reading) -> bool:
    """Whether the conditions leave so little of the relation that the server should find it as it likes."""
    found = reading.found
    if not reading.conditions or not found.members:
        return False

    def estimate(conditions: tuple[str, ...]) -> float:
        text = f"EXPLAIN (FORMAT JSON) {sql.select('1', found.sql, conditions)}"
        field = f"{found.relation.field}.where" if found.relation.where else found.relation.field
        told = reading.session.query(text, f"planning to read {found.name}", field=field)
        return float(json.loads("".join(str(r[0]) for r in told))[0]["Plan"]["Plan Rows"])

    return estimate(reading.conditions) <= estimate(()) * _FEW
