"""MySQL and MariaDB: sessions over PyMySQL, which load with LOAD DATA, or with INSERT where the server forbids it."""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.config.logins import patient
from dativo.config.logins import pymysql as login
from dativo.config.mysql_refusals import refusal_of
from dativo.config.refusals import refused
from dativo.config.tls import BadCertificate
from dativo.errors import TargetError
from dativo.targets.databases.client import Client
from dativo.targets.databases.dialect import BOUND, Lost, listed, quoted
from dativo.targets.databases.mysql_failure import LocalForbidden, misfit, translated
from dativo.targets.databases.mysql_local import FILE, send_local
from dativo.targets.databases.place import Place
from dativo.targets.databases.staged import reader

if TYPE_CHECKING:
    import polars as pl

LOCK_SECONDS = 600
# A statement may take this long; the server's host is found dead before.
ANSWER_SECONDS = 7200
# A server that waits for a lock in the middle of a load takes nothing meanwhile, and is not dead.
SILENT_SECONDS = LOCK_SECONDS + 60
# Bytes in a packet: less than the smallest max_allowed_packet that servers come with.
PACKET = 512 * 1024
ROWS_AN_INSERT = 500
MODES = "STRICT_ALL_TABLES,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"
_SETTINGS = (
    f"SET SESSION sql_mode = '{MODES}'",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}",
    f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}",
)


class MySqlSession(Client):
    """One connection to a MySQL or MariaDB."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._errors: Any = importlib.import_module("pymysql.err")
        driver: Any = importlib.import_module("pymysql")
        flags = importlib.import_module("pymysql.constants.CLIENT")
        try:
            self.client = driver.connect(
                **login(connection),
                write_timeout=ANSWER_SECONDS,
                local_infile=True,
                autocommit=False,
                # Rows that an UPDATE finds count, whether or not they had these values before.
                client_flag=flags.FOUND_ROWS,
            )
        except (self._errors.Error, OSError, RuntimeError, EOFError, AttributeError, BadCertificate) as error:
            raise refused(error, connection, "target", TargetError, refusal_of) from None
        try:
            patient(self.client, ANSWER_SECONDS, SILENT_SECONDS)
            for setting in _SETTINGS:
                self.run(setting)
            self.identity = str(self.rows("SELECT CONNECTION_ID()")[0][0])
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (self._errors.Error, OSError, RuntimeError) as error:
            raise translated(error, self.connection, doing) from None

    def run(self, sql: str, *values: Any) -> int:
        with self._failures("changing the database"), self.client.cursor() as cursor:
            return int(cursor.execute(*_bound(sql, values)))

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._failures("asking the database"), self.client.cursor() as cursor:
            cursor.execute(*_bound(sql, values))
            return list(cursor.fetchall())

    def batches(self, sql: str, size: int) -> Iterator[pl.DataFrame]:
        from dativo.mysql.wire import Statement
        from dativo.targets.databases.mysql_rows import frame

        with self._failures("reading the table"):
            statement = Statement(self.client, sql)
            columns = statement.execute()
            try:
                for block in statement.blocks():
                    yield from frame(block, columns).iter_slices(size)
            except GeneratorExit:
                # Whoever has enough does not wait for the rest of a large table.
                self.client._force_close()
                raise
            statement.close()

    def load(self, table: Place, fields: Sequence[Field], path: Path, *, temporary: bool = False) -> int:
        try:
            with self._failures(f"loading {table.name if table.schema else 'keys'}"):
                return self._load_data(table, fields, path)
        except LocalForbidden:
            with self._failures(f"loading {table.name if table.schema else 'keys'}"):
                return self._insert(table, fields, path)

    def _load_data(self, table: Place, fields: Sequence[Field], path: Path) -> int:
        """Sends a file's rows as text. Values that do not fit are warnings to LOAD DATA LOCAL, and errors to us."""
        packed = [f.name for f in fields if f.kind == "binary"]
        places = ["@" + quoted(f.name) if f.name in packed else quoted(f.name) for f in fields]
        unpacked = f" SET {', '.join(f'{quoted(n)} = UNHEX(@{quoted(n)})' for n in packed)}" if packed else ""
        sql = (
            f"LOAD DATA LOCAL INFILE '{FILE}' INTO TABLE {table.sql} CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' "
            f"ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\n' ({', '.join(places)}){unpacked}"
        )
        sent = 0

        def pieces() -> Iterator[memoryview]:
            nonlocal sent
            for frame in _frames(path, fields):
                sent += frame.height
                text = memoryview(
                    frame.write_csv(include_header=False, quote_style="non_numeric", null_value="NULL").encode()
                )
                yield from (text[at : at + PACKET] for at in range(0, len(text), PACKET))

        loaded, warned = send_local(self.client, sql, pieces())
        if warned or loaded != sent:
            told = self.rows("SHOW WARNINGS LIMIT 3")
            first = "; ".join(str(text) for _, _, text in told) or f"{sent - loaded} of {sent} rows were left out"
            raise misfit(table.name, first)
        return loaded

    def _insert(self, table: Place, fields: Sequence[Field], path: Path) -> int:
        """The same with statements of some hundred rows."""
        one = ", ".join("UNHEX(%s)" if f.kind == "binary" else "%s" for f in fields)
        names = listed([f.name for f in fields]).replace("%", "%%")
        into = f"INSERT INTO {table.sql.replace('%', '%%')} ({names}) VALUES "
        loaded = 0
        with self.client.cursor() as cursor:
            for frame in _frames(path, fields):
                for part in frame.iter_slices(ROWS_AN_INSERT):
                    values = [value for row in part.iter_rows() for value in row]
                    loaded += cursor.execute(into + ", ".join([f"({one})"] * part.height), values)
        return loaded

    def end(self, identity: str) -> None:
        with contextlib.suppress(Lost, TargetError):
            self.run(f"KILL {int(identity)}")


def _bound(sql: str, values: Sequence[Any]) -> tuple[str, Sequence[Any] | None]:
    """A statement as PyMySQL takes it."""
    return (sql.replace("%", "%%").replace(BOUND, "%s"), values) if values else (sql, None)


def _frames(path: Path, fields: Sequence[Field]) -> Iterator[pl.DataFrame]:
    import polars as pl

    for batch in reader(path, [f.name for f in fields]):
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        yield frame
