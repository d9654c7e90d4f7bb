"""MySQL and MariaDB as a kind of database: their names, their tables, their statements."""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.contract.evolve import Change, StoredColumn
from dativo.errors import CommitConflict, TargetError
from dativo.targets.databases import mysql_types
from dativo.targets.databases.dialect import BOUND, Present, Session, listed, quoted
from dativo.targets.databases.mysql_types import JSON_KINDS
from dativo.targets.databases.place import Place

if TYPE_CHECKING:
    import polars as pl

LONGEST_NAME = 64
# Of texts and bytes in an index that is not unique.
_PREFIX = 64
_LONGEST_COMMENT = 1024
_LONGEST_TABLE_COMMENT = 2048
_WAIT = 600
_COLUMNS = f"""
SELECT column_name, column_type, is_nullable, column_default, extra, column_comment
FROM information_schema.columns WHERE table_schema = {BOUND} AND table_name = {BOUND} ORDER BY ordinal_position"""


class MySqlDialect:
    """MySQL 8.0.17 and newer, MariaDB 10.6 and newer."""

    kind = "mysql"
    transactional_ddl = False

    def connect(self, connection: Connection) -> Session:
        from dativo.targets.databases.mysql import MySqlSession

        return MySqlSession(connection)

    def default_schema(self, connection: Connection, namespace: str) -> str:
        if not (connection.get("schema") or connection.get("database")):
            raise TargetError(
                "the connection names no database",
                hint=f"database: {connection.origin('database')}",
                field="target.connection.database",
            )
        return namespace

    def name_fault(self, name: str, *, column: bool) -> str | None:
        if len(name) > LONGEST_NAME:
            return f"it has {len(name)} characters, and MySQL allows {LONGEST_NAME}"
        if any(ord(c) > 0xFFFF for c in name):
            return "it has a character beyond Unicode's first 65,536, such as an emoji"
        return "it ends with a space" if name.endswith(" ") else None

    def same_name(self, name: str) -> str:
        return name.casefold()

    def type_of(self, field: Field, *, key: bool = False) -> str:
        return mysql_types.type_of(field, key=key)

    def stored(self, found: Present) -> StoredColumn:
        return mysql_types.stored(found)

    def sent(self, field: Field) -> pl.Expr:
        return mysql_types.sent(field)

    def selected(self, field: Field, found: Present) -> str:
        return mysql_types.selected(field, found)

    def received(self, field: Field, found: Present) -> pl.Expr:
        return mysql_types.received(field, found)

    def columns(self, session: Session, table: Place) -> tuple[Present, ...] | None:
        found = []
        for name, type_, nullable, default, extra, comment in session.rows(_COLUMNS, table.schema, table.table):
            # MariaDB writes the default of a column that may be null as the word NULL.
            given = default not in (None, "NULL") or "auto_increment" in extra.lower() or "GENERATED" in extra.upper()
            found.append(
                Present(
                    name=name,
                    type=mysql_types.normal(type_),
                    nullable=nullable == "YES",
                    given=given,
                    comment=comment or None,
                )
            )
        return tuple(found) or None

    def size(self, session: Session, table: Place) -> int:
        sql = (
            f"SELECT data_length + index_length FROM information_schema.tables WHERE table_schema = {BOUND} "
            f"AND table_name = {BOUND}"
        )
        return int(session.rows(sql, table.schema, table.table)[0][0] or 0)

    def try_rights(self, session: Session, table: Place) -> str:
        probe = Place(table.schema, f"dativo_check_{secrets.token_hex(4)}")
        session.run(f"CREATE TABLE {probe.sql} (a bigint)")
        session.run(f"DROP TABLE {probe.sql}")
        fast = str(session.rows("SELECT @@local_infile")[0][0]) == "1"
        how = "rows go with LOAD DATA" if fast else "rows go with INSERT, which is slower: local_infile is off there"
        return f"tables can be made in the database {table.schema}; {how}"

    def make_schema(self, session: Session, table: Place) -> None:
        sql = f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {BOUND}"
        if not session.rows(sql, table.schema):
            session.run(f"CREATE DATABASE IF NOT EXISTS {quoted(table.schema)} CHARACTER SET utf8mb4")

    def make_state(self, session: Session, table: Place) -> None:
        if self.columns(session, Place(table.schema, "dativo_state")) is not None:
            return
        session.run(
            f"CREATE TABLE IF NOT EXISTS {table.state} (table_name varchar(64) NOT NULL, job varchar(700) NOT NULL, "
            "version integer NOT NULL, runs longtext NOT NULL, state longtext NOT NULL, PRIMARY KEY (table_name, job)) "
            f"ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {_collation(session)}"
        )

    def hold(self, session: Session, table: Place) -> None:
        """Takes a lock by the table's name: making and changing tables ends transactions, and with them their locks."""
        name = "dativo." + hashlib.sha256(table.name.encode()).hexdigest()[:40]
        if str(session.rows(f"SELECT GET_LOCK({BOUND}, {_WAIT})", name)[0][0]) != "1":
            raise CommitConflict(
                f"another run holds {table.name} for more than {_WAIT} s; this one changed nothing", hint="run again"
            )

    def make_row(self, session: Session, table: Place, job: str) -> None:
        sql = f"SELECT 1 FROM {table.state} WHERE table_name = {BOUND} AND job = {BOUND}"
        if session.rows(sql, table.table, job):
            return
        session.run(
            f"INSERT INTO {table.state} (table_name, job, version, runs, state) VALUES ({BOUND}, {BOUND}, 1, '[]', '') "
            "ON DUPLICATE KEY UPDATE version = version",
            table.table,
            job,
        )

    def make_table(
        self, session: Session, table: Place, fields: Sequence[Field], key: Sequence[Field], comment: str | None
    ) -> None:
        keys = {f.name for f in key}
        columns = [self._column(f, key=f.name in keys, required=f.required) for f in fields]
        if key:
            kind = "PRIMARY KEY" if all(f.required for f in key) else "UNIQUE KEY"
            columns.append(f"{kind} ({listed([f.name for f in key])})")
        told = f" COMMENT {_text(comment[:_LONGEST_TABLE_COMMENT])}" if comment else ""
        session.run(
            f"CREATE TABLE {table.sql} ({', '.join(columns)}) ENGINE=InnoDB CHARACTER SET utf8mb4 "
            f"COLLATE {_collation(session)}{told}"
        )

    def _column(self, field: Field, *, key: bool = False, required: bool = False) -> str:
        """The definition of a column; texts have the collation of their table."""
        parts = [quoted(field.name), self.type_of(field, key=key)]
        if field.kind == "uuid":
            parts.append("CHARACTER SET ascii COLLATE ascii_bin")
        parts.append("NOT NULL" if required else "NULL")
        if field.description:
            parts.append(f"COMMENT {_text(field.description[:_LONGEST_COMMENT])}")
        if field.kind in JSON_KINDS:
            parts.append(f"CHECK (json_valid({quoted(field.name)}))")
        return " ".join(parts)

    def make_temporary(self, session: Session, table: Place, fields: Sequence[Field], key: Sequence[Field]) -> None:
        columns = [self._column(f) for f in fields]
        session.run(
            f"CREATE TEMPORARY TABLE {table.sql} ({', '.join(columns)}) ENGINE=InnoDB CHARACTER SET utf8mb4 "
            f"COLLATE {_collation(session)}"
        )

    def loaded(self, session: Session, table: Place) -> None:
        """Nothing: InnoDB estimates as it goes."""

    def change(self, session: Session, table: Place, change: Change) -> None:
        if len(change.path) > 1:
            return  # inside JSON
        alter = f"ALTER TABLE {table.sql}"
        if change.action == "add":
            assert change.field is not None
            session.run(f"{alter} ADD COLUMN {self._column(change.field)}")
            return
        # An earlier change may have been one of this column, and MODIFY says all of it again.
        found = next(c for c in self.columns(session, table) or () if c.name == change.path[0])
        type_, required, comment = found.type, not found.nullable, found.comment
        if change.action == "relax":
            required = False
        elif change.action == "widen" and change.field is not None:
            type_ = self.type_of(change.field)
        elif change.field is not None:
            comment = change.field.description
        kept = "CHARACTER SET ascii COLLATE ascii_bin " if type_ == "char(36)" else ""
        told = f" COMMENT {_text(comment[:_LONGEST_COMMENT])}" if comment else ""
        null = "NOT NULL" if required else "NULL"
        session.run(f"{alter} MODIFY COLUMN {quoted(found.name)} {type_} {kept}{null}{told}")

    def index(self, session: Session, table: Place, key: Sequence[Field]) -> None:
        found: dict[str, set[str]] = {}
        sql = (
            "SELECT index_name, column_name FROM information_schema.statistics "
            f"WHERE table_schema = {BOUND} AND table_name = {BOUND} AND seq_in_index <= {len(key)}"
        )
        for index, column in session.rows(sql, table.schema, table.table):
            found.setdefault(index, set()).add(column)
        if any(names == {f.name for f in key} for names in found.values()):
            return
        types = {c.name: c.type for c in self.columns(session, table) or ()}
        long = ("longtext", "longblob", "text", "mediumtext", "blob", "mediumblob")
        parts = [quoted(f.name) + (f"({_PREFIX})" if types.get(f.name) in long else "") for f in key]
        name = "dativo_" + hashlib.sha256("\0".join(f.name for f in key).encode()).hexdigest()[:12]
        session.run(f"CREATE INDEX {quoted(name)} ON {table.sql} ({', '.join(parts)})")

    def delete(self, table: Place, keys: Place, key: Sequence[str], only: str | None) -> str:
        return f"DELETE t FROM {table.sql} AS t JOIN {keys.sql} AS k ON {_same(key)}{_only(only)}"

    def update(self, table: Place, keys: Place, key: Sequence[str], columns: Sequence[str], only: str | None) -> str:
        values = ", ".join(f"t.{quoted(c)} = k.{quoted(c)}" for c in columns)
        return f"UPDATE {table.sql} AS t JOIN {keys.sql} AS k ON {_same(key)} SET {values}{_only(only)}"

    def misfit(self, path: Path, fields: Sequence[Field]) -> TargetError | None:
        import polars as pl

        numbers = [f.name for f in fields if f.kind == "double"]
        if not numbers:
            return None
        named = ("NaN", "inf", "-inf", "Infinity", "-Infinity")
        found = pl.scan_parquet(path).select(pl.col(n).is_in(named).sum() for n in numbers)
        counts = {n: c for n, c in found.collect(engine="streaming").row(0, named=True).items() if c}
        if not counts:
            return None
        told = ", ".join(f"{c} in '{n}'" for n, c in counts.items())
        return TargetError(
            f"MySQL has no NaN and no infinity, and there are such values: {told}; nothing was loaded",
            hint="give the column a minimum and a maximum, so that such rows become rejects",
        )


def _collation(session: Session) -> str:
    """The collation in which texts are equal when they are the same characters, spaces at the end included."""
    version = str(session.rows("SELECT VERSION()")[0][0]).lower()
    return "utf8mb4_nopad_bin" if "mariadb" in version else "utf8mb4_0900_bin"


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"t.{quoted(n)} = k.{quoted(n)}" for n in key)


def _only(only: str | None) -> str:
    return f" WHERE t.{quoted(only)} IS TRUE" if only else ""


def _text(value: str) -> str:
    """A text in a statement that cannot have bound values; a backslash is a character like others in every session."""
    return "'" + value.replace("'", "''") + "'"
