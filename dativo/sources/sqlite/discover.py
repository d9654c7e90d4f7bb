"""What a database file has: tables and views, with the contract field that each column asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dativo.config.asset import Field
from dativo.config.types import Kind
from dativo.errors import SourceError
from dativo.sources.database.names import identifier
from dativo.sources.discovery import FoundColumn, FoundStream
from dativo.sources.sqlite.session import Session
from dativo.sources.sqlite.values import Form, column_of, text_of

_MOST_DIGITS = 38
_CURSORS = re.compile(r"(updated|modified|changed|created|inserted)|(_at|_ts|time|stamp)$", re.IGNORECASE)
_KINDS: dict[Form, Kind] = {Form.INTEGER: "long", Form.FLOAT: "double", Form.BYTES: "binary", Form.TEXT: "string"}


def discovered(session: Session) -> list[FoundStream]:
    """The tables and views, by name; SQLite's own left out."""
    sql = "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    rows = session.execute(f"{sql} ORDER BY name", (), "listing its tables").fetchall()
    return [_stream(session, name, kind) for name, kind in rows]


def _stream(session: Session, name: str, kind: str) -> FoundStream:
    facts = session.execute(
        "SELECT name, type, [notnull], pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", (name,)
    ).fetchall()
    columns = tuple(
        FoundColumn(n, type_ or "", _field(n, type_ or ""), nullable=not notnull and not pk)
        for n, type_, notnull, pk in facts
    )
    key = tuple(n for n, _, _, pk in sorted(facts, key=lambda f: f[3]) if pk)
    rows: int | None = None
    if kind == "table":
        counted = session.execute(f"SELECT count(*) FROM {identifier(name)}", (), f"counting '{name}'")  # noqa: S608
        rows = int(counted.fetchone()[0])
    return FoundStream(name, name, kind, columns, key, _unique(session, name), _cursors(columns, key), rows)


def _unique(session: Session, name: str) -> tuple[tuple[str, ...], ...]:
    sql = "SELECT name FROM pragma_index_list(?) WHERE [unique] AND NOT partial AND origin <> 'pk'"
    found = []
    for (index,) in session.execute(sql, (name,)).fetchall():
        columns = [r[0] for r in session.execute("SELECT name FROM pragma_index_info(?)", (index,))]
        if None not in columns:
            found.append(tuple(columns))
    return tuple(found)


def _cursors(columns: Sequence[FoundColumn], key: tuple[str, ...]) -> tuple[str, ...]:
    """Times that tell when a row changed, then when it came, then a key of one number."""
    times = [c.name for c in columns if _CURSORS.search(c.name) and c.field.kind != "binary"]
    times.sort(key=lambda n: not re.search("updated|modified|changed", n, re.IGNORECASE))
    numbers = [c.name for c in columns if key == (c.name,) and c.field.kind == "long"]
    return tuple(dict.fromkeys([*times, *numbers]))


def _field(name: str, declared: str) -> Field:
    """The field that holds what a column of the type should have: SQLite itself lets it have anything."""
    text = declared.upper()
    number = re.search(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", text)
    if number and 0 < int(number[1]) <= _MOST_DIGITS and int(number[2] or 0) <= int(number[1]):
        return Field(name=name, kind="decimal", precision=int(number[1]), scale=int(number[2] or 0))
    if text.startswith(("DATETIME", "TIMESTAMP")):
        return Field(name=name, kind="timestamp")
    if text == "DATE":
        return Field(name=name, kind="date")
    if text.startswith("BOOL"):
        return Field(name=name, kind="boolean")
    return Field(name=name, kind=_KINDS[column_of(name, declared, "long").form])


def sampled(session: Session, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
    """The first values of the columns of tables, as text; None for a table or view that cannot be read."""
    found: list[dict[str, list[str]] | None] = []
    for stream in streams:
        chosen = ", ".join(identifier(c.name) for c in stream.columns)
        sql = f"SELECT {chosen} FROM {identifier(stream.name)} LIMIT ?"  # noqa: S608 - names are quoted
        what = f"looking at '{stream.name}'"
        try:
            # Text that is no UTF-8 is in no sample as it is.
            with session.text_as(lambda raw: raw.decode("utf-8", "replace")), session.translated(what):
                taken: list[tuple[Any, ...]] = session.execute(sql, (rows,), what).fetchall()
        except SourceError:
            found.append(None)
            continue
        columns = enumerate(stream.columns)
        found.append({c.name: [t for row in taken if (t := text_of(row[i])) is not None] for i, c in columns})
    return found
