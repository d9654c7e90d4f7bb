"""What a server has: tables and views that the account may read, with the contract field that each column asks for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dativo.errors import SourceError
from dativo.mysql.types import contract_field
from dativo.mysql.wire import WireColumn
from dativo.sources.discovery import FoundColumn, FoundStream
from dativo.sources.mysql.session import Session
from dativo.sources.mysql.sql import Select, names, quoted
from dativo.sources.mysql.values import order_of

_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
_CHANGED = re.compile(r"updated|modified|changed", re.IGNORECASE)
_CREATED = re.compile(r"created|inserted|added|(_at|_ts|stamp)$", re.IGNORECASE)


def discovered(session: Session) -> list[FoundStream]:
    """The tables and views of the connection's database, or without one of all databases that are not the server's own."""
    database = session.connection.get("database")
    place = "table_schema = %s" if database else f"table_schema NOT IN ({', '.join(['%s'] * len(_SYSTEM))})"
    given = (database,) if database else _SYSTEM

    def ask(columns: str, table: str, order: str, also: str = "") -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM information_schema.{table} WHERE {place}{also} ORDER BY {order}"  # noqa: S608
        return session.rows(sql, given, "listing tables")

    facts: dict[tuple[str, str], dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for schema, table, name, type_, nullable, comment in ask(
        "table_schema, table_name, column_name, column_type, is_nullable, column_comment",
        "columns",
        "table_schema, table_name, ordinal_position",
    ):
        facts[schema, table][name] = (str(type_), nullable, comment)
    indexes: dict[tuple[str, str], dict[str, list[str | None]]] = defaultdict(lambda: defaultdict(list))
    for schema, table, index, column, part in ask(
        "table_schema, table_name, index_name, column_name, sub_part",
        "statistics",
        "table_schema, table_name, index_name, seq_in_index",
        " AND non_unique = 0",
    ):
        indexes[schema, table][index].append(None if part is not None else column)
    tables = ask(
        "table_schema, table_name, table_type, table_rows, table_comment", "tables", "table_schema, table_name"
    )
    found = []
    for schema, table, kind, rows, comment in tables:
        name = table if database else f"{schema}.{table}"
        stream = _stream(session, schema, table, name, facts[schema, table], indexes[schema, table])
        if stream is not None and kind != "SYSTEM VIEW":
            is_view = kind == "VIEW"
            about = "" if is_view else comment or ""
            found.append(_described(stream, "view" if is_view else "table", None if is_view else rows, about))
    return found


def _described(stream: FoundStream, kind: str, rows: int | None, comment: str) -> FoundStream:
    return FoundStream(
        stream.object, stream.name, kind, stream.columns, stream.key, stream.unique, stream.cursors, rows, comment
    )


def _stream(
    session: Session,
    schema: str,
    table: str,
    name: str,
    facts: dict[str, tuple[str, str, str]],
    indexes: dict[str, list[str | None]],
) -> FoundStream | None:
    """A table with its columns; None for a view that cannot be read, because what it is made of has gone."""
    select = Select(f"{quoted(schema)}.{quoted(table)}")
    try:
        wire = session.columns(select.sql("*")[0], f"looking at {name}")
    except SourceError:
        return None
    columns = tuple(_column(w, *facts.get(w.name, ("", "YES", ""))) for w in wire)
    whole = {index: tuple(c for c in parts if c) for index, parts in indexes.items() if None not in parts}
    key = whole.pop("PRIMARY", ())
    return FoundStream(table, name, "table", columns, key, tuple(whole.values()), _cursors(wire, key))


def _column(wire: WireColumn, native: str, nullable: str, comment: str) -> FoundColumn:
    field, lossless = contract_field(wire, native)
    return FoundColumn(wire.name, native, field, nullable == "YES", comment or "", lossless)


def _cursors(wire: Sequence[WireColumn], key: Sequence[str]) -> tuple[str, ...]:
    """Times that tell when a row changed, then when it came, then a key of one number."""
    times = [w.name for w in wire if (order := order_of(w)) is not None and order.name in ("DATE", "MOMENT")]
    changed = [n for n in times if _CHANGED.search(n)]
    created = [n for n in times if _CREATED.search(n)]
    orders = {w.name: order_of(w) for w in wire}
    numbers = [k for k in key if len(key) == 1 and (found := orders.get(k)) is not None and found.name == "INTEGER"]
    return tuple(dict.fromkeys([*changed, *created, *numbers]))


def sampled(session: Session, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
    """The first values of the columns of tables, as text; None for a table that cannot be read.

    Raises SourceError when the server cannot be asked.
    """
    found: list[dict[str, list[str]] | None] = []
    for stream in streams:
        schema = stream.name.removesuffix(stream.object).removesuffix(".")
        place = f"{quoted(schema)}.{quoted(stream.object)}" if schema else quoted(stream.object)
        columns = [c.name for c in stream.columns]
        sql, values = Select(place).sql(names(columns), f"LIMIT {int(rows)}")
        try:
            taken = session.asked(sql, values, f"looking at {stream.name}")
        except SourceError:
            found.append(None)
            # Fails where it was not the table but the connection.
            session.rows("SELECT 1")
            continue
        found.append({c: [v for row in taken if (v := row[i]) is not None] for i, c in enumerate(columns)})
    return found
