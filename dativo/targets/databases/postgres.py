"""Postgres: sessions over ADBC, which loads with COPY in its binary format."""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.config.logins import libpq
from dativo.config.postgres_refusals import refusal_of
from dativo.config.refusals import refused
from dativo.config.tls import BadCertificate
from dativo.errors import TargetError
from dativo.targets.databases.client import Client
from dativo.targets.databases.dialect import BOUND
from dativo.targets.databases.place import Place
from dativo.targets.databases.postgres_failure import translated

if TYPE_CHECKING:
    import polars as pl

# As long as a run waits for another one that loads the same table.
LOCK_SECONDS = 600
# A server that waits for a lock in the middle of a load takes nothing meanwhile, and is not dead.
SILENT_SECONDS = LOCK_SECONDS + 60
_SETTINGS = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
    f"SET lock_timeout = '{LOCK_SECONDS}s'",
    "SET TIME ZONE 'UTC'",
    "SET standard_conforming_strings = on",
)


class PostgresSession(Client):
    """One connection to a Postgres."""

    def __init__(self, connection: Connection) -> None:
        driver: Any = importlib.import_module("adbc_driver_postgresql.dbapi")
        self.connection = connection
        try:
            self.client = driver.connect(libpq(connection, SILENT_SECONDS))
        except (driver.Error, OSError, BadCertificate) as error:
            raise refused(error, connection, "target", TargetError, refusal_of) from None
        try:
            for setting in _SETTINGS:
                self.run(setting)
            self.commit()
            (self.number, self.begun) = self.rows(
                "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
            )[0]
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        return f"{self.number} {self.begun}"

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        import adbc_driver_manager.dbapi as manager

        try:
            yield
        except (manager.Error, OSError) as error:
            raise translated(error, self.connection, doing) from None

    def run(self, sql: str, *values: Any) -> int:
        with self._failures("changing the database"), self.client.cursor() as cursor:
            cursor.execute(_numbered(sql), values or None)
            return int(cursor.rowcount)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._failures("asking the database"), self.client.cursor() as cursor:
            cursor.execute(_numbered(sql), values or None)
            return list(cursor.fetchall())

    def batches(self, sql: str, size: int) -> Iterator[pl.DataFrame]:
        import polars as pl

        with self._failures("reading the table"), self.client.cursor() as cursor:
            cursor.execute(sql)
            for batch in cursor.fetch_record_batch():
                found = pl.from_arrow(batch)
                assert isinstance(found, pl.DataFrame)
                yield found

    def load(self, table: Place, fields: Sequence[Field], path: Path, *, temporary: bool = False) -> int:
        from dativo.targets.databases.staged import reader

        where = {"temporary": True} if temporary else {"db_schema_name": table.schema}
        with self._failures(f"loading {table.name if table.schema else 'keys'}"), self.client.cursor() as cursor:
            rows = reader(path, [f.name for f in fields])
            return int(cursor.adbc_ingest(table.table, rows, mode="append", **where))

    def end(self, identity: str) -> None:
        number, _, begun = identity.partition(" ")
        self.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE pid = {int(number)} AND backend_start::text = {BOUND} AND usename = current_user",
            begun,
        )
        self.commit()


def _numbered(sql: str) -> str:
    """A statement with $1, $2 … for what is bound."""
    first, *parts = sql.split(BOUND)
    return first + "".join(f"${i}{part}" for i, part in enumerate(parts, 1))
