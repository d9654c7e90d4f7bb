"""What a Postgres database has: tables and views with their columns, keys and the columns that could be cursors."""

# Names are quoted and values are literals: see `names`.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dativo.config.resolved import Relation
from dativo.errors import SourceError
from dativo.sources.database.names import identifier
from dativo.sources.discovery import FoundColumn, FoundStream
from dativo.sources.postgres.catalog import KINDS, Column, find
from dativo.sources.postgres.session import Session
from dativo.sources.postgres.types import field_of, natural

_CHANGED = re.compile(r"updat|modif|chang|last|touch", re.IGNORECASE)
_CREATED = re.compile(r"creat|insert|added|event|time|date|_at$|_on$", re.IGNORECASE)
_MOMENTS = ("timestamp", "timestamptz")
_NUMBERS = ("int4", "int8")
_DOING = "looking for tables"


def discover(session: Session) -> list[FoundStream]:
    """All relations that the user may read, those of the system left out; partitions stand in their parents."""
    rows = session.query(
        "SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8, "
        "COALESCE(obj_description(c.oid, 'pg_class'), '')::text, n.nspname = current_schema() "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND n.nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(n.oid, 'USAGE') "
        "AND has_any_column_privilege(c.oid, 'SELECT') "
        "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 2, 3",
        _DOING,
    )
    return [_stream(session, *row) for row in rows]


def samples(session: Session, name: str, columns: Sequence[str], rows: int) -> dict[str, list[str]]:
    """A few values of columns as text, nulls left out; SourceError when there is no such relation."""
    schema, _, table = name.rpartition(".")
    found = find(session, Relation(object=table, schema=schema or None, table=table))
    known = [c.name for c in found.columns]
    absent = next((c for c in columns if c not in known), None)
    if absent is not None:
        raise SourceError(f"{found.name} has no column '{absent}'", hint=f"it has: {', '.join(known)}")
    if not columns:
        return {}
    what = ", ".join(f"CAST({identifier(c)} AS pg_catalog.text) AS c{i}" for i, c in enumerate(columns))
    taken = session.query(f"SELECT {what} FROM {found.sql} LIMIT {int(rows)}", f"looking at rows of {found.name}")
    return {c: [str(row[i]) for row in taken if row[i] is not None] for i, c in enumerate(columns)}


def _stream(
    session: Session, oid: int, schema: str, table: str, kind: str, rows: float, comment: str, current: bool
) -> FoundStream:
    relation = Relation(object=table, schema=schema, table=table)
    found = find(session, relation, hold=False)
    facts = _facts(session, oid)
    key = tuple(name for name, fact in facts.items() if fact["key"])
    key = tuple(sorted(key, key=lambda n: facts[n]["key"]))
    unique = tuple(tuple(c.name for c in found.columns if c.name in one) for one in found.unique if one != set(key))
    return FoundStream(
        object=table,
        name=f"{schema}.{table}",
        kind=KINDS[kind],
        columns=tuple(_column(c, facts, key) for c in found.columns),
        key=key,
        unique=unique,
        cursors=_cursors(found.columns, facts),
        rows=max(int(rows), 0) if rows >= 0 else None,
        comment=comment,
    )


def _facts(session: Session, oid: int) -> dict[str, dict[str, Any]]:
    """Of each column: its type as Postgres shows it, its comment, its place in the key (from 1), whether it is the first
    of an index, whether it is counted up by itself."""
    rows = session.query(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), "
        "COALESCE(col_description(a.attrelid, a.attnum), '')::text, "
        "COALESCE((SELECT array_position(i.indkey::int2[], a.attnum) + 1 FROM pg_index i "
        "WHERE i.indrelid = a.attrelid AND i.indisprimary), 0), "
        "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL), "
        "a.attidentity <> '' OR EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%') "
        f"FROM pg_attribute a WHERE a.attrelid = {int(oid)} AND a.attnum > 0 AND NOT a.attisdropped",
        _DOING,
    )
    names = ("native", "comment", "key", "indexed", "counted")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def _column(column: Column, facts: dict[str, dict[str, Any]], key: Sequence[str]) -> FoundColumn:
    fact, found = facts[column.name], natural(column.type)
    field = field_of(
        column.name, found, required=column.not_null, primary_key=column.name in key, comment=fact["comment"]
    )
    return FoundColumn(column.name, fact["native"], field, not column.not_null, fact["comment"], found.lossless)


def _cursors(columns: Sequence[Column], facts: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """The columns by which rows that are new or changed could be found, the best first: moments of a change, of a
    creation, numbers that are counted up; of equal ones those that can be never null and are indexed first."""
    ranked = []
    for position, column in enumerate(columns):
        fact, base = facts[column.name], column.type.builtin and column.type.category == "base"
        if base and column.type.name in _MOMENTS:
            rank = 0 if _CHANGED.search(column.name) else 1 if _CREATED.search(column.name) else 2
        elif base and column.type.name in _NUMBERS and fact["counted"]:
            rank = 3
        else:
            continue
        ranked.append((rank, not fact["indexed"], not column.not_null, position, column.name))
    return tuple(name for *_, name in sorted(ranked))
