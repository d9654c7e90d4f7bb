"""What the catalogs say of a relation: where it is, its parts on disk, what it keeps unique."""

# Names are quoted and values are literals: see `names`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dativo.config.resolved import Relation, StreamConfig
from dativo.contract.columns import match_columns
from dativo.errors import SourceError, listed, nearest
from dativo.sources.database.names import identifier, literal, shown
from dativo.sources.database.query import one_select
from dativo.sources.postgres.columns import Column, among, columns_of, resolved, types_of
from dativo.sources.postgres.session import Session

KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
# On disk in pages that can be asked for one by one.
_PAGED = ("r", "m")


@dataclass(slots=True, frozen=True)
class Member:
    """A table that holds rows of a relation: itself, or a partition or child of it.

    `file` is its file node on disk, `bytes` about what its rows are in memory: what is kept outside of the pages is
    compressed.
    """

    name: str
    sql: str
    paged: bool
    file: int
    pages: int
    bytes: int


@dataclass(slots=True, frozen=True)
class Found:
    """A relation as it is there: `sql` stands after FROM. `members` are read instead of it where the user may."""

    relation: Relation
    name: str
    sql: str
    kind: str
    columns: tuple[Column, ...]
    members: tuple[Member, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    rows: int | None = None
    withheld: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


def find(session: Session, relation: Relation) -> Found:
    """The relation; SourceError when it is not there or may not be read. It stays as it is until the session ends."""
    if relation.sql is not None:
        return _query(session, relation)
    for part, key in ((relation.schema, "schema"), (relation.table, "name")):
        session.check_name(part or "", _field(session, relation, key))
    name = ".".join(identifier(part) for part in (relation.schema, relation.table) if part)
    doing = f"looking at {shown(relation)}"
    found = session.query(
        "SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8, "
        "has_schema_privilege(n.oid, 'USAGE'), has_any_column_privilege(c.oid, 'SELECT'), "
        "ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 "
        "AND NOT a.attisdropped AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT')) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE c.oid = to_regclass({literal(name)})",
        doing,
        field=relation.field,
    )
    if not found or found[0][3] not in KINDS:
        raise _absent(session, relation)
    oid, schema, table, kind, rows, in_schema, readable, withheld = found[0]
    if not (in_schema and readable):
        raise _forbidden(session, relation, schema, table)
    sql = f"{identifier(schema)}.{identifier(table)}"
    # Takes a lock that no reader minds: from here on no one changes or drops the relation until it was read.
    session.query(f"SELECT 1 FROM {sql} LIMIT 0", doing, field=relation.field)
    return Found(
        relation,
        f"{schema}.{table}",
        sql,
        KINDS[kind],
        columns_of(session, [oid], doing)[oid],
        _members(session, oid, kind, doing),
        unique_of(session, [oid], doing)[oid] if kind in ("r", "p") else (),
        int(rows) if rows >= 0 else None,
        tuple(withheld),
    )


def _forbidden(session: Session, relation: Relation, schema: str, table: str) -> SourceError:
    user = identifier(session.user)
    return SourceError(
        f"the user '{session.user}' may not read {schema}.{table}",
        hint=f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {user}; GRANT SELECT ON "
        f"{identifier(schema)}.{identifier(table)} TO {user};",
        mark=session.job.mark(relation.field),
        field=relation.field,
    )


def check_readable(session: Session, stream: StreamConfig, found: Found) -> None:
    """Raises SourceError where a column is wanted that the user may not read: it is there, and has values."""
    relation = found.relation
    there = [*(c.name for c in found.columns), *found.withheld]
    wanted = {c for c in match_columns(stream.asset, there).values() if c is not None}
    if relation.columns is not None:
        wanted = set(relation.columns)
    wanted.add(session.job.cursor_field(relation) or "")
    lacking = [c for c in found.withheld if c in wanted]
    if lacking:
        listing = ", ".join(identifier(c) for c in lacking)
        raise SourceError(
            f"the user '{session.user}' may not read {listed(lacking)} of {found.name}",
            hint=f"GRANT SELECT ({listing}) ON {found.sql} TO {identifier(session.user)};",
            mark=session.job.mark(relation.field),
            field=relation.field,
        )


def _absent(session: Session, relation: Relation) -> SourceError:
    """What is said of a relation that is not there."""
    known = [
        (schema, table)
        for schema, table in session.query(
            "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
            "AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2 LIMIT 5000",
            "looking for tables",
        )
    ]
    same = [f"{s}.{t}" for s, t in known if t == relation.table]
    names = [f"{s}.{t}" if relation.schema else t for s, t in known]
    guess = nearest(shown(relation), names)
    if same:
        hint = f"there is {listed(same)}: name the schema"
    elif guess:
        hint = f"did you mean '{guess}'?"
    else:
        hint = f"the database '{session.database}' has: {listed(names)}" if names else "the database has no tables"
    field = _field(session, relation, "name")
    return SourceError(
        f"the database '{session.database}' has no table or view {shown(relation)}",
        hint=hint,
        mark=session.job.mark(field),
        field=field,
    )


def _field(session: Session, relation: Relation, key: str) -> str:
    """The place of a key of a relation, or of the relation where it is written in one."""
    own = f"{relation.field}.{key}"
    return own if own in session.job.marks else relation.field


def _members(session: Session, oid: int, kind: str, doing: str) -> tuple[Member, ...]:
    """The tables that hold the relation's rows, in a fixed order; none where they must not be read one by one.

    They must not where the user may not, and where policies of the parent choose rows.
    """
    if kind not in ("r", "p", "m"):
        return ()
    rows = session.query(
        f"WITH RECURSIVE tree(oid, level) AS (SELECT {int(oid)}::oid, 0 UNION "
        "SELECT i.inhrelid, level + 1 FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid) "
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, COALESCE(pg_relation_filenode(c.oid), 0)::int8, "
        "CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) ELSE 0 END, "
        "CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) + "
        "4 * COALESCE(pg_total_relation_size(NULLIF(c.reltoastrelid, 0)), 0) ELSE 0 END, "
        "has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), c.relrowsecurity, "
        "COALESCE(m.amname, 'heap') = 'heap' "
        "FROM (SELECT oid, min(level) AS level FROM tree GROUP BY oid) t JOIN pg_class c ON c.oid = t.oid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam "
        "WHERE c.relkind <> 'p' ORDER BY t.level, n.nspname, c.relname",
        doing,
    )
    several = len(rows) > 1 or kind == "p"
    if any(not may for *_, may, _, _ in rows):
        return ()
    if any(guarded for *_, guarded, _ in rows) and several:
        return ()
    return tuple(
        Member(
            f"{schema}.{table}",
            f"ONLY {identifier(schema)}.{identifier(table)}",
            form in _PAGED and heap,
            file,
            -(-size // session.block_size),
            total,
        )
        for schema, table, form, file, size, total, _, _, heap in rows
    )


def unique_of(session: Session, oids: Sequence[int], doing: str) -> dict[int, tuple[frozenset[str], ...]]:
    """Sets of columns that tables keep unique, of which none can be null, by the table's oid.

    Left out are indexes that are not complete, not valid, deferred, or over anything but columns. Children of a table are
    not bound by its indexes, partitions are.
    """
    rows = session.query(
        "SELECT i.indrelid::int8, i.indexrelid::int8, i.indisprimary, array_agg(a.attname::text ORDER BY a.attnum) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k(attnum) ON true "
        "LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND a.attnotnull "
        f"WHERE {among('i.indrelid', oids)} AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL "
        "AND (c.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)) "
        "GROUP BY 1, 2, 3 HAVING bool_and(a.attname IS NOT NULL) ORDER BY 3 DESC, 2",
        doing,
    )
    found: dict[int, dict[frozenset[str], None]] = {oid: {} for oid in oids}
    for table, _, _, columns in rows:
        found[table][frozenset(columns)] = None
    return {oid: tuple(unique) for oid, unique in found.items()}


def _query(session: Session, relation: Relation) -> Found:
    """A query's columns and their types, as the server tells them without running it."""
    inner = one_select(session.job, relation, "postgres")
    field = f"{relation.field}.sql"
    doing = f"preparing the {shown(relation)}"
    names = session.schema(inner, doing, field=field).names
    double = next((n for n in names if names.count(n) > 1), None)
    if double is not None or not names:
        raise SourceError(
            f"the {shown(relation)} gives two columns '{double}'"
            if names
            else f"the {shown(relation)} gives no column",
            hint="name each of its columns, with AS where they would be called alike",
            mark=session.job.mark(field),
            field=field,
        )
    sql = f"({inner}) AS q"
    of = ", ".join(f"pg_typeof(q.{identifier(n)})::oid::int8" for n in names)
    oids = session.query(f"SELECT {of} FROM (VALUES (1)) AS one LEFT JOIN {sql} ON false", doing, field=field)[0]
    known = types_of(session, set(oids), doing)
    columns = tuple(Column(n, resolved(known, oid, -1)) for n, oid in zip(names, oids, strict=True))
    return Found(relation, shown(relation), sql, "query", columns)
