"""A relation of a database file: its columns, the order of its rows, and the statement that reads it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from dativo.config.resolved import Relation, ResolvedJob, StreamConfig
from dativo.contract.columns import match_columns
from dativo.sources.database.columns import as_text, check_cursor, chosen
from dativo.sources.database.faults import absent, marked
from dativo.sources.database.names import identifier, shown
from dativo.sources.database.query import one_select
from dativo.sources.database.window import Bounds
from dativo.sources.protocol import FAULT
from dativo.sources.sqlite.session import Session
from dativo.sources.sqlite.values import Column, column_of, series

BATCH = 50_000
# Rows that are fetched at a time: few enough for their values to be still in the processor's cache when they are gathered.
STEP = 2_000
_ROW_NAMES = ("rowid", "_rowid_", "oid")


@dataclass(slots=True, frozen=True)
class Described:
    """What is read of a relation. `declared` are all of its columns with their types; `order` is the order of the rows.

    `ordered` tells whether the contract's column orders rows as the cursor does.
    """

    relation: Relation
    source: str
    declared: dict[str, str]
    columns: tuple[Column, ...]
    conditions: tuple[str, ...]
    values: tuple[Any, ...]
    bounds: Bounds | None
    order: str = ""
    unique: tuple[tuple[str, ...], ...] = ()
    ordered: bool = True

    @property
    def name(self) -> str:
        return shown(self.relation)

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        return {c.name: c.dtype for c in self.columns}

    @property
    def told_apart(self) -> set[str]:
        return {c.name for c in self.columns if c.told_apart}

    def sql(self, what: str) -> str:
        text = f"SELECT {what} FROM {self.source}"  # noqa: S608 - names are quoted, values are parameters
        return text + (" WHERE " + " AND ".join(f"({c})" for c in self.conditions) if self.conditions else "")


def describe(
    job: ResolvedJob, stream: StreamConfig, relation: Relation, session: Session, bounds: Bounds | None
) -> Described:
    """Asks the database for a relation. Raises SourceError for what it does not have."""
    what = f"looking at {shown(relation)}"
    with marked(job, relation.field):
        if relation.sql is not None:
            schema, table = "temp", session.view(one_select(job, relation, "sqlite"), what)
        else:
            schema, table = relation.schema or "main", relation.table or ""
        declared = _columns(session, schema, table, what)
    if not declared:
        known = [r[0] for r in session.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
        raise absent(job, relation, f"'{session.path}'", known)
    check_cursor(job, relation, list(declared))
    matched = match_columns(stream.asset, list(declared))
    wanted = {matched[f.name]: f.kind for f in stream.asset.fields}
    columns = tuple(column_of(n, declared[n], wanted.get(n)) for n in chosen(job, stream, relation, list(declared)))
    conditions, values = _window(bounds, declared)
    if relation.where:
        conditions.insert(0, f"{relation.where}\n")
    order, unique = _order(session, schema, table, list(declared)) if relation.sql is None else ("", ())
    source = f"{identifier(schema)}.{identifier(table)}"
    ordered = (
        bounds is None
        or not as_text(stream, bounds.column, list(declared))
        or _by_bytes(session, source, bounds, declared[bounds.column])
    )
    found = Described(
        relation, source, declared, columns, tuple(conditions), tuple(values), bounds, order, unique, ordered
    )
    if relation.where:
        with marked(job, f"{relation.field}.where"):
            session.execute(f"EXPLAIN {found.sql('1')}", found.values, f"looking at the filter of {found.name}")
    return found


def _by_bytes(session: Session, source: str, bounds: Bounds, declared: str) -> bool:
    """Whether the cursor's values are texts that are ordered by their bytes."""
    if session.execute("SELECT 1 FROM sqlite_schema WHERE sql LIKE '%collate%'").fetchone() is not None:
        return False
    if any(word in declared.upper() for word in ("CHAR", "CLOB", "TEXT")):
        return True
    # Numbers come before texts.
    column = identifier(bounds.column)
    least = session.execute(f"SELECT typeof(min({column})) FROM {source}").fetchone()[0]  # noqa: S608 - names are quoted
    return least in ("text", "null")


def _columns(session: Session, schema: str, table: str, what: str) -> dict[str, str]:
    """The columns, generated ones too, and their declared types; none where there is no such table."""
    sql = "SELECT name, type FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1 ORDER BY cid"
    return {str(name): str(type_ or "") for name, type_ in session.execute(sql, (table, schema), what)}


def _order(
    session: Session, schema: str, table: str, columns: Sequence[str]
) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """In which order a table's rows lie, empty for a view; and which of its columns it keeps unique and not null."""
    rows = session.execute(
        "SELECT type, wr FROM pragma_table_list WHERE schema = ? AND name = ? COLLATE NOCASE", (schema, table)
    )
    found = rows.fetchone()
    if found is None or found[0] != "table":
        return "", ()
    facts = session.execute(
        "SELECT name, pk, [notnull], type FROM pragma_table_xinfo(?, ?)", (table, schema)
    ).fetchall()
    key = tuple(n for n, pk, _, _ in sorted(facts, key=lambda f: f[1]) if pk)
    filled = {n for n, _, notnull, _ in facts if notnull}
    if found[1]:
        filled.update(key)
        order = ", ".join(identifier(k) for k in key)
    else:
        taken = {c.casefold() for c in columns}
        order = next((n for n in _ROW_NAMES if n not in taken), "")
        if len(key) == 1 and next(t for n, _, _, t in facts if n == key[0]).upper() == "INTEGER":
            filled.update(key)
    unique = [key] if key and filled.issuperset(key) else []
    sql = "SELECT name FROM pragma_index_list(?, ?) WHERE [unique] AND NOT partial AND origin <> 'pk'"
    for (index,) in session.execute(sql, (table, schema)).fetchall():
        named = [r[0] for r in session.execute("SELECT name FROM pragma_index_info(?, ?)", (index, schema))]
        if None not in named and filled.issuperset(named):
            unique.append(tuple(named))
    return order, tuple(unique)


def _window(bounds: Bounds | None, declared: dict[str, str]) -> tuple[list[str], list[Any]]:
    if bounds is None:
        return [], []
    column, plain = identifier(bounds.column), not declared[bounds.column]
    conditions: list[str] = []
    values: list[Any] = []
    if bounds.lower is not None:
        conditions.append(f"{column} >= ?" + (f" OR {column} IS NULL" if bounds.nulls else ""))
        values.append(_parameter(earlier(bounds.lower, bounds.lookback_days), plain=plain))
    if bounds.upper is not None:
        conditions.append(f"{column} < ?")
        values.append(_parameter(bounds.upper, plain=plain))
    return conditions, values


def _parameter(text: str, *, plain: bool) -> Any:
    """A column without a declared type compares values as they are: there digits are a number."""
    number = _number(text) if plain else None
    return text if number is None else int(number) if number == number.to_integral() else float(number)


def earlier(text: str, days: int) -> str:
    """A date or time some days earlier, written as it was; other text as it is."""
    if not days or _number(text) is not None:
        return text
    try:
        moment = datetime.fromisoformat(text)
        shifted = moment - timedelta(days=days)
    except (ValueError, OverflowError):
        return text
    if len(text) == 10:
        return shifted.date().isoformat()
    return shifted.isoformat(sep=text[10])[:10] + text[10:]


def later(a: str, b: str) -> bool:
    """Whether a value comes after another: numbers as numbers, text by its characters."""
    left, right = _number(a), _number(b)
    return left > right if left is not None and right is not None else a > b


def is_number(text: str) -> bool:
    return _number(text) is not None


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def read_rows(
    session: Session, described: Described, asked: Sequence[str], limit: int | None, batch_size: int | None
) -> Generator[pl.DataFrame, None, None]:
    """The rows in batches: columns asked for, and FAULT.

    A view or query is always asked for all columns, so that its rows come in the same order each time.
    """
    columns = [c for c in described.columns if c.name in asked] if described.order else list(described.columns)
    sql = described.sql(", ".join(identifier(c.name) for c in columns))
    if described.order:
        sql += f" ORDER BY {described.order}"
    if limit is not None:
        sql += f" LIMIT {limit}"
    size = batch_size or BATCH
    held: list[pl.DataFrame] = []
    for rows in _fetched(session, described, sql, min(size, STEP)):
        held.append(_frame(columns, rows, asked))
        if sum(f.height for f in held) + STEP > size:
            yield pl.concat(held, rechunk=True)
            held.clear()
    if held:
        yield pl.concat(held, rechunk=True)


def _frame(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]], asked: Sequence[str]) -> pl.DataFrame:
    faults: dict[int, str] = {}
    data = [series(c, values, faults) for c, values in zip(columns, zip(*rows, strict=True), strict=True)]
    fault = pl.Series(FAULT, [None], dtype=pl.String).new_from_index(0, len(rows))
    if faults:
        fault = pl.Series(FAULT, [faults.get(i) for i in range(len(rows))], dtype=pl.String)
    return pl.DataFrame([s for s in data if s.name in asked] + [fault])


def _fetched(session: Session, described: Described, sql: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Batches of rows. Text that is no UTF-8 ends SQLite's quick reading: what is left is read once more, carefully."""
    what, read = f"reading {described.name}", 0
    with session.translated(what):
        cursor = session.execute(sql, described.values, what)
        with closing(cursor):
            while True:
                try:
                    rows = cursor.fetchmany(size)
                except sqlite3.OperationalError as error:
                    if "decode" not in str(error):
                        raise
                    break
                if not rows:
                    return
                read += len(rows)
                yield rows
        with session.text_as(_lenient), closing(session.execute(sql, described.values, what)) as again:
            rest = itertools.islice(again, read, None)
            while rows := list(itertools.islice(rest, size)):
                yield rows


def _lenient(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
