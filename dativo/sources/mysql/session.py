"""A connection to the server: opened as the settings say, in one read-only snapshot, one result at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
import pymysql

from dativo.config.connection import Connection
from dativo.config.logins import patient
from dativo.config.logins import pymysql as login
from dativo.config.mysql_refusals import refusal_of
from dativo.config.refusals import refused
from dativo.config.tls import BadCertificate
from dativo.errors import SourceError
from dativo.mysql.decode import decoded
from dativo.mysql.types import Column, column_of
from dativo.mysql.wire import Block, Statement, WireColumn, hang_up
from dativo.sources.mysql.failure import code_of, translated

# Longer than a server needs until it sends the first row of a sorted table.
SILENT_SECONDS = 3600
_WAIT = 28800
_UNKNOWN_VARIABLE = 1193


def connect(connection: Connection, timeout: float | None) -> pymysql.Connection[Any]:
    """A connection in UTC with text in utf8mb4; SourceError where the server does not let us in."""
    try:
        opened: pymysql.Connection[Any] = pymysql.connect(**login(connection), write_timeout=60, autocommit=True)
    except (pymysql.MySQLError, OSError, RuntimeError, EOFError, AttributeError, BadCertificate) as error:
        raise refused(error, connection, "source", SourceError, refusal_of) from None
    with opened.cursor() as cursor:
        # A pause between two batches must not end the connection.
        cursor.execute(f"SET time_zone = '+00:00', net_write_timeout = {SILENT_SECONDS}, wait_timeout = {_WAIT}")
        # Under it a CHAR has blanks that nobody wrote.
        cursor.execute("SET sql_mode = REPLACE(@@sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', '')")
        if timeout is not None:
            _limit(cursor, timeout)
    patient(opened, SILENT_SECONDS)
    return opened


def _limit(cursor: Any, seconds: float) -> None:
    """The time that a statement may take: MariaDB's variable, else MySQL's, which counts milliseconds."""
    try:
        cursor.execute(f"SET max_statement_time = {seconds:f}")
    except pymysql.MySQLError as error:
        if code_of(error) != _UNKNOWN_VARIABLE:
            raise
        cursor.execute(f"SET max_execution_time = {max(1, round(seconds * 1000))}")


class Session:
    """One connection and its snapshot. `server` is the version that the server tells, `now` its time in UTC at the begin."""

    def __init__(self, connection: Connection, timeout: float | None = None, *, snapshot: bool = True) -> None:
        self.connection = connection
        self.timeout = timeout
        self._busy = threading.Lock()
        with translated(connection, "connecting"):
            self._link = connect(connection, timeout)
            self.server = str(self._link.get_server_info())
            self._link.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # No later than the snapshot.
            self.now = self._asked_time()
            if snapshot:
                self.begin()

    def _asked_time(self) -> datetime:
        with self._link.cursor() as cursor:
            cursor.execute("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
            return datetime.fromisoformat(str(cursor.fetchone()[0]))

    @property
    def product(self) -> str:
        """The server's name and version, for people: MariaDB puts a version of MySQL that it stands for before its own."""
        name = "MariaDB" if "mariadb" in self.server.lower() else "MySQL"
        version = re.match(r"(?:5\.5\.5-)?([\d.]+)", self.server)
        return f"{name} {version[1]}" if version else name

    def begin(self) -> None:
        """Begins a snapshot, where there is one already a new one: what is committed later is not seen."""
        with translated(self.connection, "beginning a snapshot"):
            self._link.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def rows(
        self, sql: str, parameters: Sequence[str | None] = (), what: str = "asking the server"
    ) -> list[tuple[Any, ...]]:
        """The rows of a small result, as PyMySQL gives them."""
        with self.alone(), translated(self.connection, what), self._link.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return list(cursor.fetchall())

    def asked(self, sql: str, parameters: Sequence[str], what: str) -> list[list[str | None]]:
        """The rows of a small result of a prepared statement, each value as text."""
        found: list[list[str | None]] = []
        columns: list[Column] = []

        def check(wire: Sequence[WireColumn]) -> None:
            columns.extend(column_of(replace(w, name=str(i)), "string") for i, w in enumerate(wire))

        for block in self.stream(sql, parameters, what, check):
            values = decoded(block, columns).columns.values()
            found += [list(row) for row in zip(*(v.cast(pl.String, strict=False) for v in values), strict=True)]
        return found

    def columns(self, sql: str, what: str) -> list[WireColumn]:
        """The columns of a statement, which is not run."""
        with self.alone(), translated(self.connection, what):
            statement = Statement(self._link, sql)
            statement.close()
            return statement.columns

    def alone(self) -> _Alone:
        """While a result is taken from the connection nothing else can be asked on it."""
        return _Alone(self._busy)

    def stream(
        self, sql: str, parameters: Sequence[str | None], what: str, check: Callable[[Sequence[WireColumn]], None]
    ) -> Generator[Block, None, None]:
        """The rows of a large result in blocks. `check` sees the columns that they really have before the first.

        Where it is closed before its end, the server is told to end the statement.
        """
        with self.alone(), translated(self.connection, what):
            statement = Statement(self._link, sql)
            found = statement.execute(parameters)
            blocks = statement.blocks()
            try:
                check(found)
                # No `yield from`: it would close the blocks together with this generator.
                for block in blocks:  # noqa: UP028
                    yield block
            except (GeneratorExit, SourceError):
                self._end_statement(statement, blocks)
                raise
            statement.close()

    def _end_statement(self, statement: Statement, blocks: Iterator[Block]) -> None:
        """Ends a statement whose rows nobody wants, so that the snapshot can be asked again; closes it where that fails."""
        with suppress(pymysql.MySQLError, OSError, SourceError):
            other = connect(self.connection, None)
            try:
                other.query(f"KILL QUERY {self._link.thread_id()}")
            finally:
                other.close()
            with suppress(pymysql.OperationalError):
                for _ in blocks:
                    pass
            statement.close()
            return
        self.close()

    def close(self) -> None:
        """Ends the snapshot and the connection, whatever is being read from it."""
        with suppress(pymysql.MySQLError, OSError):
            hang_up(self._link)


class _Alone:
    """Holds a connection; SourceError where it is held already."""

    def __init__(self, lock: threading.Lock) -> None:
        self.lock = lock

    def __enter__(self) -> None:
        if not self.lock.acquire(blocking=False):
            raise SourceError(
                "the connection is asked for two results at once", hint="run with --debug for the details"
            )

    def __exit__(self, *_: object) -> None:
        self.lock.release()
