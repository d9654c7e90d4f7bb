"""The sample in a real database of each kind, read back by the database's own driver."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.samples.model import Column, Dialect, Sample, quoted
from tests.services.mariadb import MariaDb
from tests.services.postgres import Postgres


@dataclass(frozen=True)
class Database:
    """A database of the test's own: what a job needs to find it, and its rows as its driver gives them."""

    dialect: Dialect
    name: str
    server: Postgres | MariaDb | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job finds it."""
        if self.server is None:
            return {"SQLITE_DATABASE_PATH": self.name}
        key = "PGDATABASE" if self.dialect == "postgres" else "MYSQL_DATABASE"
        return {**self.server.environment, key: self.name}

    def execute(self, script: str) -> None:
        """Runs statements."""
        if self.server is not None:
            self.server.sql(script, self.name)
            return
        with closing(sqlite3.connect(self.name)) as line:
            line.executescript(script)

    def select(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, as the driver has them, in UTC."""
        with closing(self._connect()) as line, closing(line.cursor()) as cursor:
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def rows(self, name: str, columns: Sequence[Column]) -> list[tuple[Any, ...]]:
        """A table's or view's rows as a table of Iceberg is to hold them."""
        asked = ", ".join(self._asked(c) for c in columns)
        found = self.select(f"SELECT {asked} FROM {quoted(name, self.dialect)}")
        return [tuple(_plain(v, c) for v, c in zip(row, columns, strict=True)) for row in found]

    def _asked(self, column: Column) -> str:
        """A column that becomes text is asked for as text: whatever the driver would make of it."""
        name = quoted(column.name, self.dialect)
        if column.contract != "string" or self.dialect == "sqlite":
            return name
        if self.dialect == "mysql":
            return f"CAST({name} AS CHAR)"
        # An array becomes JSON.
        return f"array_to_json({name})::text" if column.kind == "tags" else f"{name}::text"

    def _connect(self) -> Any:
        if self.dialect == "postgres":
            import psycopg2

            assert self.server is not None
            own = self.server
            return psycopg2.connect(
                host=own.host,
                port=own.port,
                user=own.user,
                password=own.password,
                dbname=self.name,
                options="-c timezone=UTC",
            )
        if self.dialect == "mysql":
            import pymysql

            assert self.server is not None
            own = self.server
            return pymysql.connect(
                host=own.host, port=own.port, user=own.user, password=own.password, database=self.name, charset="utf8mb4",
                init_command="SET time_zone = '+00:00'",
            )  # fmt: skip
        return sqlite3.connect(self.name)


def new_database(dialect: Dialect, folder: Path, server: Postgres | MariaDb | None) -> Database:
    """An empty one."""
    if server is None:
        return Database(dialect, str(folder / "sample.db"))
    name = f"d_{uuid.uuid4().hex}"
    server.make_database(name)
    return Database(dialect, name, server)


def contract(sample: Sample, name: str) -> list[dict[str, Any]]:
    """The fields of a contract for a sample's table; columns whose names no table takes get others."""
    return [
        {
            "name": c.name if c.name.isidentifier() and c.name.isascii() else f"c{number}",
            "physicalName": c.name,
            "type": c.contract,
            "required": not c.null,
            **({"primary_key": True} if c.name in sample.key else {}),
        }
        for number, c in enumerate(sample.columns)
    ]


def _plain(value: Any, column: Column) -> Any:
    """A value as Python has it for the contract's type."""
    if value is None:
        return None
    kind = column.contract
    if kind == "boolean":
        return bool(value)
    if kind == "binary":
        return bytes(value)
    if kind.startswith("decimal"):
        return Decimal(value)
    if kind == "timestamptz":
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if kind == "time" and isinstance(value, timedelta):
        return (datetime.min + value).time()
    parsers = {"timestamp": datetime, "date": date, "time": time}
    return parsers[kind].fromisoformat(value) if kind in parsers and isinstance(value, str) else value
