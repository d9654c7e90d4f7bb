"""Postgres as a kind of database: its names, its tables, its statements."""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.contract.evolve import Change, StoredColumn
from dativo.errors import TargetError
from dativo.targets.databases import postgres_types
from dativo.targets.databases.dialect import BOUND, Present, Session, listed, quoted
from dativo.targets.databases.place import Place

if TYPE_CHECKING:
    import polars as pl

# In bytes. Postgres cuts a longer name off without a word.
LONGEST_NAME = 63
_SYSTEM = ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid")
# The number of an advisory lock, under which schemas and tables of states are made: making one twice at once is an error.
_MAKING = 0x64617469766F

_COLUMNS = f"""
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       a.atthasdef OR a.attidentity <> '', col_description(a.attrelid, a.attnum)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {BOUND} AND c.relname = {BOUND} AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"""


class PostgresDialect:
    """PostgreSQL 12 and newer, and what speaks as it does."""

    kind = "postgres"
    transactional_ddl = True

    def connect(self, connection: Connection) -> Session:
        from dativo.targets.databases.postgres import PostgresSession

        return PostgresSession(connection)

    def default_schema(self, connection: Connection, namespace: str) -> str:
        return namespace

    def name_fault(self, name: str, *, column: bool) -> str | None:
        if len(name.encode()) > LONGEST_NAME:
            return f"it has {len(name.encode())} bytes, and Postgres keeps {LONGEST_NAME}"
        if column and name in _SYSTEM:
            return "every table has a hidden column of this name"
        return None

    def same_name(self, name: str) -> str:
        return name

    def type_of(self, field: Field, *, key: bool = False) -> str:
        return postgres_types.type_of(field)

    def stored(self, found: Present) -> StoredColumn:
        return postgres_types.stored(found)

    def sent(self, field: Field) -> pl.Expr:
        return postgres_types.sent(field)

    def selected(self, field: Field, found: Present) -> str:
        return postgres_types.selected(field, found)

    def received(self, field: Field, found: Present) -> pl.Expr:
        return postgres_types.received(field, found)

    def columns(self, session: Session, table: Place) -> tuple[Present, ...] | None:
        rows = session.rows(_COLUMNS, table.schema, table.table)
        return tuple(Present(*row) for row in rows) or None

    def size(self, session: Session, table: Place) -> int:
        return int(session.rows(f"SELECT pg_total_relation_size(to_regclass({BOUND}))", table.sql)[0][0] or 0)

    def try_rights(self, session: Session, table: Place) -> str:
        probe = Place(table.schema, f"dativo_check_{secrets.token_hex(4)}")
        self.make_schema(session, table)
        session.run(f"CREATE TABLE {probe.sql} (a bigint)")
        session.rollback()
        return f"tables can be made in the schema {table.schema}"

    def make_schema(self, session: Session, table: Place) -> None:
        if session.rows(f"SELECT 1 FROM pg_namespace WHERE nspname = {BOUND}", table.schema):
            return
        session.rows(f"SELECT pg_advisory_xact_lock({_MAKING})")
        session.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.schema)}")

    def make_state(self, session: Session, table: Place) -> None:
        if session.rows(f"SELECT to_regclass({BOUND}) IS NOT NULL", table.state)[0][0]:
            return
        session.rows(f"SELECT pg_advisory_xact_lock({_MAKING})")
        session.run(
            f"CREATE TABLE IF NOT EXISTS {table.state} (table_name text NOT NULL, job text NOT NULL, "
            "version integer NOT NULL, runs text NOT NULL, state text NOT NULL, PRIMARY KEY (table_name, job))"
        )

    def hold(self, session: Session, table: Place) -> None:
        """Nothing: the row that every commit locks is enough where tables are made in the transaction."""

    def make_row(self, session: Session, table: Place, job: str) -> None:
        session.run(
            f"INSERT INTO {table.state} (table_name, job, version, runs, state) "
            f"VALUES ({BOUND}, {BOUND}, 1, '[]', '') ON CONFLICT DO NOTHING",
            table.table,
            job,
        )

    def make_table(
        self, session: Session, table: Place, fields: Sequence[Field], key: Sequence[Field], comment: str | None
    ) -> None:
        columns = [f"{quoted(f.name)} {self.type_of(f)}{' NOT NULL' if f.required else ''}" for f in fields]
        if key:
            kind = "PRIMARY KEY" if all(f.required for f in key) else "UNIQUE"
            columns.append(f"{kind} ({listed([f.name for f in key])})")
        session.run(f"CREATE TABLE {table.sql} ({', '.join(columns)})")
        if comment:
            session.run(f"COMMENT ON TABLE {table.sql} IS {_text(comment)}")
        for field in fields:
            if field.description:
                self._describe(session, table, field)

    def _describe(self, session: Session, table: Place, field: Field) -> None:
        text = _text(field.description) if field.description else "NULL"
        session.run(f"COMMENT ON COLUMN {table.sql}.{quoted(field.name)} IS {text}")

    def make_temporary(self, session: Session, table: Place, fields: Sequence[Field], key: Sequence[Field]) -> None:
        columns = [f"{quoted(f.name)} {self.type_of(f)}" for f in fields]
        session.run(f"CREATE TEMPORARY TABLE {table.sql} ({', '.join(columns)}) ON COMMIT DROP")

    def loaded(self, session: Session, table: Place) -> None:
        session.run(f"ANALYZE {table.sql}")

    def change(self, session: Session, table: Place, change: Change) -> None:
        if len(change.path) > 1:
            return  # inside jsonb
        alter = f"ALTER TABLE {table.sql}"
        name = quoted(change.path[0])
        if change.action == "relax":
            session.run(f"{alter} ALTER COLUMN {name} DROP NOT NULL")
            return
        assert change.field is not None
        if change.action == "add":
            session.run(f"{alter} ADD COLUMN {name} {self.type_of(change.field)}")
            self._describe(session, table, change.field)
        elif change.action == "widen":
            session.run(f"{alter} ALTER COLUMN {name} TYPE {self.type_of(change.field)}")
        else:
            self._describe(session, table, change.field)

    def index(self, session: Session, table: Place, key: Sequence[Field]) -> None:
        names = [f.name for f in key]
        found = session.rows(
            "SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass("
            + BOUND
            + ") AND i.indpred IS NULL AND i.indisvalid AND (SELECT array_agg(a.attname::text) FROM pg_attribute a "
            "WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:" + str(len(names) - 1) + "])) @> "
            f"ARRAY[{', '.join([BOUND] * len(names))}]::text[]",
            table.sql,
            *names,
        )
        if not found:
            session.run(f"CREATE INDEX ON {table.sql} ({listed(names)})")

    def delete(self, table: Place, keys: Place, key: Sequence[str], only: str | None) -> str:
        return f"DELETE FROM {table.sql} AS t USING {keys.sql} AS k WHERE {_same(key, only)}"

    def update(self, table: Place, keys: Place, key: Sequence[str], columns: Sequence[str], only: str | None) -> str:
        values = ", ".join(f"{quoted(c)} = k.{quoted(c)}" for c in columns)
        return f"UPDATE {table.sql} AS t SET {values} FROM {keys.sql} AS k WHERE {_same(key, only)}"

    def misfit(self, path: Path, fields: Sequence[Field]) -> TargetError | None:
        import polars as pl

        texts = [f.name for f in fields if f.kind in ("string", "json")]
        frame = pl.scan_parquet(path)
        found = frame.select(pl.col(n).str.contains("\0", literal=True).sum() for n in texts)
        counts = {n: c for n, c in found.collect(engine="streaming").row(0, named=True).items() if c} if texts else {}
        if not counts:
            return None
        told = ", ".join(f"{c} in '{n}'" for n, c in counts.items())
        return TargetError(
            f"Postgres cannot hold the character NUL in text, and there are values with it: {told}; nothing was loaded",
            hint="declare the column as binary, or give it a pattern that refuses NUL, so that such rows become rejects",
        )


def _same(key: Sequence[str], only: str | None) -> str:
    parts = [f"t.{quoted(n)} = k.{quoted(n)}" for n in key]
    return " AND ".join([*parts, *([f"t.{quoted(only)} IS TRUE"] if only else [])])


def _text(value: str) -> str:
    """A text in a statement that cannot have bound values."""
    return "'" + value.replace("\0", "").replace("'", "''") + "'"
