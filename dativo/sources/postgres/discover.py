"""What a Postgres database has: tables and views with their columns, keys and the columns that could be cursors."""

# Names are quoted and values are literals: see `names`.
# ruff: noqa: S608

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from dativo.errors import SourceError
from dativo.sources.database.names import identifier
from dativo.sources.discovery import FoundColumn, FoundStream
from dativo.sources.postgres.catalog import KINDS, unique_of
from dativo.sources.postgres.columns import Column, among, columns_of
from dativo.sources.postgres.session import Session
from dativo.sources.postgres.types import field_of, natural

_CHANGED = re.compile(r"updat|modif|chang|last|touch", re.IGNORECASE)
_CREATED = re.compile(r"creat|insert|added|event|time|date|_at$|_on$", re.IGNORECASE)
_MOMENTS = ("timestamp", "timestamptz")
_NUMBERS = ("int4", "int8")
_DOING = "looking for tables"
# Kinds of relations that have keys.
_KEYED = ("r", "p")
# Relations whose rows one statement looks at.
_AT_ONCE = 20


def discover(session: Session) -> list[FoundStream]:
    """All relations that the user may read, those of the system left out; partitions stand in their parents."""
    rows = session.query(
        "SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8, "
        "COALESCE(obj_description(c.oid, 'pg_class'), '')::text "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND n.nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(n.oid, 'USAGE') "
        "AND has_any_column_privilege(c.oid, 'SELECT') "
        "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 2, 3",
        _DOING,
    )
    oids = [row[0] for row in rows]
    columns, facts = columns_of(session, oids, _DOING), _facts(session, oids)
    unique = unique_of(session, [row[0] for row in rows if row[3] in _KEYED], _DOING)
    return [_stream(row, columns[row[0]], facts[row[0]], unique.get(row[0], ())) for row in rows]


def samples(session: Session, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
    """A few values of the columns of relations as text, nulls left out; None for a relation that cannot be read.

    Raises SourceError when the server cannot be asked.
    """
    found: list[dict[str, list[str]] | None] = []
    for at in range(0, len(streams), _AT_ONCE):
        some = streams[at : at + _AT_ONCE]
        try:
            found += _sampled(session, some, rows)
        except SourceError:
            for stream in some:
                try:
                    found += _sampled(session, [stream], rows)
                except SourceError:
                    found.append(None)
                    # Fails where it was not the relation but the connection.
                    session.query("SELECT 1", _DOING)
    return found


def _sampled(session: Session, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]]]:
    """The values of several relations by one statement."""
    parts = []
    for number, stream in enumerate(streams):
        values = ", ".join(f"CAST({identifier(c.name)} AS pg_catalog.text)" for c in stream.columns)
        place = f"{identifier(stream.name.removesuffix(f'.{stream.object}'))}.{identifier(stream.object)}"
        parts.append(
            f"(SELECT {number} AS n, pg_catalog.array_to_json(ARRAY[{values}]::pg_catalog.text[])::text AS v "
            f"FROM {place} LIMIT {int(rows)})"
        )
    taken: dict[int, list[list[str | None]]] = defaultdict(list)
    doing = f"looking at rows of {streams[0].name}"
    for number, values in session.query(" UNION ALL ".join(parts), doing, savepoint=True):
        taken[number].append(json.loads(values))
    return [
        {c.name: [v for row in taken[number] if (v := row[i]) is not None] for i, c in enumerate(stream.columns)}
        for number, stream in enumerate(streams)
    ]


def _stream(
    row: tuple[Any, ...],
    columns: Sequence[Column],
    facts: Mapping[str, dict[str, Any]],
    unique: Sequence[frozenset[str]],
) -> FoundStream:
    _, schema, table, kind, rows, comment = row
    key = tuple(sorted((name for name, fact in facts.items() if fact["key"]), key=lambda n: facts[n]["key"]))
    return FoundStream(
        object=table,
        name=f"{schema}.{table}",
        kind=KINDS[kind],
        columns=tuple(_column(c, facts, key) for c in columns),
        key=key,
        unique=tuple(tuple(c.name for c in columns if c.name in one) for one in unique if one != set(key)),
        cursors=_cursors(columns, facts),
        rows=max(int(rows), 0) if rows >= 0 else None,
        comment=comment,
    )


def _facts(session: Session, oids: Sequence[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """Of each column of each relation, by its oid: its type as Postgres shows it, its comment, its place in the key (from
    1), whether it is the first of an index, whether it is counted up by itself."""
    rows = session.query(
        "SELECT a.attrelid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod), "
        "COALESCE(col_description(a.attrelid, a.attnum), '')::text, "
        "COALESCE((SELECT array_position(i.indkey::int2[], a.attnum) + 1 FROM pg_index i "
        "WHERE i.indrelid = a.attrelid AND i.indisprimary), 0), "
        "EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL), "
        "a.attidentity <> '' OR EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%') "
        f"FROM pg_attribute a WHERE {among('a.attrelid', oids)} AND a.attnum > 0 AND NOT a.attisdropped",
        _DOING,
    )
    names = ("native", "comment", "key", "indexed", "counted")
    found: dict[int, dict[str, dict[str, Any]]] = {oid: {} for oid in oids}
    for oid, column, *told in rows:
        found[oid][column] = dict(zip(names, told, strict=True))
    return found


def _column(column: Column, facts: Mapping[str, dict[str, Any]], key: Sequence[str]) -> FoundColumn:
    fact, found = facts[column.name], natural(column.type)
    field = field_of(
        column.name, found, required=column.not_null, primary_key=column.name in key, comment=fact["comment"]
    )
    return FoundColumn(column.name, fact["native"], field, not column.not_null, fact["comment"], found.lossless)


def _cursors(columns: Sequence[Column], facts: Mapping[str, dict[str, Any]]) -> tuple[str, ...]:
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
