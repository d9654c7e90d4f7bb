"""Connections to Postgres that see one state of the database: a coordinator that holds the snapshot, readers that share it.

Everything runs in read-only transactions with isolation REPEATABLE READ, and every setting is made for the transaction
alone, so that it all works behind a pooler of transactions, too.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pyarrow.lib import ArrowException

from dativo.config.connection import Connection
from dativo.config.resolved import ResolvedJob
from dativo.errors import SourceError, UnsupportedError
from dativo.sources.database.names import literal
from dativo.sources.database_options import DatabaseOptions
from dativo.sources.postgres.failures import NoRoom, failed, unreached

if TYPE_CHECKING:
    from pyarrow.lib import RecordBatch, Schema

T = TypeVar("T")

CONNECT_SECONDS = 10
# Bytes of Arrow data in a batch.
BATCH_BYTES = 4 << 20
# Seconds after which another connection is tried where the server took none.
_PATIENCE = 0.5
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    # The same rows in the same order, however often they are read; _ALONE belongs to it.
    "synchronize_seqscans": "off",
    # The coordinator waits while others read.
    "idle_in_transaction_session_timeout": "0",
}
_ALONE = "SET LOCAL max_parallel_workers_per_gather = 0"
_LONG = "SET LOCAL transaction_timeout = 0"
# Where that setting is known first.
_LONG_SINCE = 17_00_00
_PARAMETERS = ("host", "port", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword")


class Link:
    """One connection with an open transaction."""

    def __init__(self, conninfo: str) -> None:
        dbapi = driver()
        self._connection = dbapi.connect(conninfo, autocommit=True)
        self._cursor: Any = None

    def run(self, statement: str) -> None:
        """Runs a statement that gives no rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            # A plan is no query that COPY could take.
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def schema(self, query: str) -> Schema:
        """The columns that a query gives; it is not run."""
        with self._connection.cursor() as cursor:
            found: Schema = cursor.adbc_execute_schema(query)
            return found

    def batches(self, query: str, batch_bytes: int) -> Iterator[RecordBatch]:
        with self._connection.cursor() as cursor:
            self._cursor = cursor
            try:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(batch_bytes)})
                cursor.execute(query)
                yield from cursor.fetch_record_batch()
            finally:
                self._cursor = None

    def cancel(self) -> None:
        """Ends what runs in another thread."""
        cursor = self._cursor
        if cursor is not None:
            with contextlib.suppress(Exception):
                cursor.adbc_cancel()

    def close(self) -> None:
        # What cannot be closed any more is closed.
        with contextlib.suppress(Exception):
            self._connection.close()


class Session:
    """A consistent view of a database: `query` asks the coordinator, `reader` lends a connection that sees the same.

    `shared` tells whether several connections can see it; where they cannot, there is the coordinator alone.
    """

    def __init__(self, job: ResolvedJob, options: DatabaseOptions) -> None:
        self.job = job
        self.connection: Connection = job.connections["source"]
        self.options = options
        self._changed = threading.Condition()
        self._idle: list[Link] = []
        self._links: list[Link] = []
        self._coordinating = threading.RLock()
        self.closed = False
        self._coordinator = self._open()
        self._snapshot: str | None = None
        try:
            self._begin(self._coordinator, None)
            self._know()
        except BaseException:
            self.close()
            raise

    def _know(self) -> None:
        facts = self.query(
            "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('block_size')::int, "
            "txid_snapshot_xmin(txid_current_snapshot()), current_user::text, current_database()::text, "
            "(SELECT oid::int8 FROM pg_database WHERE datname = current_database())",
            "asking for the server's version",
        )[0]
        self.version, self.standby, self.block_size, self.xmin, self.user, self.database, own = facts
        self.system = f"{self._identifier()}/{own}"
        try:
            self._snapshot = self._coordinator.rows("SELECT pg_export_snapshot()")[0][0]
        except driver().Error as error:
            if not self.standby:
                raise failed(self.job, error, "sharing a snapshot") from None
            # A standby that cannot share one ends the transaction with its refusal.
            self._coordinator.close()
            self._links.remove(self._coordinator)
            self._coordinator = self._open()
            self._begin(self._coordinator, None)

    def _identifier(self) -> str:
        """What tells this cluster from others, and from itself before it lost transactions to a failover or a restore.

        Where the user may not know it, something that no other session has.
        """
        doing = "asking who the server is"
        functions = ("pg_control_system()", "pg_control_checkpoint()")
        may = " AND ".join(f"has_function_privilege('{f}', 'EXECUTE')" for f in functions)
        if not self.query(f"SELECT {may}", doing)[0][0]:
            return secrets.token_hex(8)
        system, timeline = self.query(
            "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()", doing
        )[0]
        return f"{system}/{timeline}"

    @property
    def shared(self) -> bool:
        return self._snapshot is not None

    def query(self, sql: str, doing: str, *, field: str = "", savepoint: bool = False) -> list[tuple[Any, ...]]:
        """The rows of a small query; SourceError when it fails while `doing` something.

        The session is at its end then, unless there was a `savepoint`.
        """
        with self._coordinating:
            if not savepoint:
                return self.tried(lambda: self._coordinator.rows(sql), doing, field=field)
            self.tried(lambda: self._coordinator.run("SAVEPOINT tried"), doing)
            try:
                return self.tried(lambda: self._coordinator.rows(sql), doing, field=field)
            finally:
                self.tried(lambda: self._coordinator.run("ROLLBACK TO SAVEPOINT tried"), doing)

    def schema(self, sql: str, doing: str, *, field: str = "") -> Schema:
        with self._coordinating:
            return self.tried(lambda: self._coordinator.schema(sql), doing, field=field)

    def tried(self, work: Callable[[], T], doing: str, *, field: str = "") -> T:
        self._check_open(doing)
        try:
            return work()
        # What breaks while rows arrive is told by Arrow.
        except (driver().Error, ArrowException, OSError) as error:
            raise failed(self.job, error, doing, field=field) from None

    def _check_open(self, doing: str) -> None:
        if self.closed:
            raise SourceError(f"{doing} failed: the reading has ended", hint="run again")

    @contextmanager
    def reader(self) -> Iterator[Link]:
        """A connection to read by, taken back afterwards; thrown away when reading did not come to its end.

        Where the server takes no further one, those that there are have to do, the coordinator when there is no other.
        """
        self._check_open("reading")
        link = self._lent() if self.shared else None
        if link is None:
            with self._coordinating:
                self.tried(lambda: self._coordinator.run(_ALONE), "beginning to read")
                yield self._coordinator
            return
        try:
            yield link
        except BaseException:
            link.close()
            with self._changed:
                if link in self._links:
                    self._links.remove(link)
                self._changed.notify_all()
            raise
        with self._changed:
            self._idle.append(link)
            self._changed.notify_all()

    def _lent(self) -> Link | None:
        while True:
            with self._changed:
                if self._idle:
                    return self._idle.pop()
            try:
                link = self._open()
            except NoRoom:
                with self._changed:
                    if len(self._links) == 1:
                        return None
                    self._changed.wait(_PATIENCE)
                self._check_open("reading")
                continue
            self._begin(link, self._snapshot, _ALONE)
            return link

    def _open(self) -> Link:
        try:
            link = Link(conninfo(self.connection))
        except driver().Error as error:
            raise unreached(self.job, self.connection, error) from None
        with self._changed:
            self._links.append(link)
        return link

    def _begin(self, link: Link, snapshot: str | None, *more: str) -> None:
        settings = dict(_SETTINGS)
        if self.options.statement_timeout is not None:
            settings["statement_timeout"] = str(max(round(self.options.statement_timeout * 1000), 1))
        try:
            link.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if snapshot is not None:
                link.run(f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
            for name, value in settings.items():
                link.run(f"SET LOCAL {name} = {literal(value)}")
            if int(link.rows("SELECT current_setting('server_version_num')::int")[0][0]) >= _LONG_SINCE:
                link.run(_LONG)
            for statement in more:
                link.run(statement)
        except driver().Error as error:
            raise failed(self.job, error, "beginning to read") from None

    def close(self) -> None:
        """Ends all transactions."""
        self.closed = True
        with self._changed:
            links, self._links, self._idle = self._links, [], []
        for link in links:
            link.cancel()
            link.close()


def driver() -> Any:
    """The module of the driver; UnsupportedError where it is not installed."""
    try:
        import adbc_driver_postgresql.dbapi as found  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the connector 'postgres' needs the package '{error.name}'", hint="pip install 'dativo[postgres]'"
        ) from None
    return found


def conninfo(connection: Connection) -> str:
    """How libpq is told where to connect: a connection string of keywords and quoted values."""
    parts = {name: value for name in _PARAMETERS if (value := connection.get(name))}
    parts["dbname"] = connection.get("database") or ""
    parts |= {"connect_timeout": str(CONNECT_SECONDS), "application_name": "dativo", "client_encoding": "UTF8"}
    return " ".join(f"{name}={_quoted(value)}" for name, value in parts.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
