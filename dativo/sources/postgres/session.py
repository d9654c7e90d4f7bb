"""Connections to Postgres that see one state of the database: a coordinator that holds the snapshot, readers that share it.

Everything runs in read-only transactions with isolation REPEATABLE READ, and every setting is made for the transaction
alone, so that it all works behind a pooler of transactions, too.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pyarrow.lib import ArrowException

from dativo.config.connection import Connection
from dativo.config.logins import libpq
from dativo.config.resolved import ResolvedJob
from dativo.config.tls import BadCertificate
from dativo.errors import SourceError
from dativo.sources.database.names import literal
from dativo.sources.database_options import DatabaseOptions
from dativo.sources.postgres.failures import NoRoom, failed, unreached
from dativo.sources.postgres.link import Link, cancel, driver

if TYPE_CHECKING:
    from pyarrow.lib import Schema

T = TypeVar("T")

# Bytes of Arrow data in a batch.
BATCH_BYTES = 4 << 20
# Seconds after which another connection is tried where the server took none.
_PATIENCE = 0.5
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "bytea_output": "hex",
    # As many digits as tell a float exactly.
    "extra_float_digits": "1",
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
            "(SELECT oid::int8 FROM pg_database WHERE datname = current_database()), "
            "current_setting('max_identifier_length')::int, transaction_timestamp()::text",
            "asking for the server's version",
        )[0]
        self.version, self.standby, self.block_size, self.xmin, self.user, self.database, own, *more = facts
        self.longest_name, begun = more
        # No later than the snapshot.
        self.now = datetime.fromisoformat(begun)
        self.check_name(self.connection.get("database") or "", "source.connection.database")
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

    def check_name(self, name: str, field: str) -> None:
        """Raises SourceError for a name that the server would cut without a word: another thing may be called so."""
        size = len(name.encode())
        if size > self.longest_name:
            raise SourceError(
                f"the name '{name}' has {size} bytes; no name in Postgres has more than {self.longest_name}",
                hint=f"give it as the database has it, which may be '{_cut(name, self.longest_name)}'",
                mark=self.job.mark(field),
                field=field,
            )

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
            link = Link(libpq(self.connection))
        except (driver().Error, BadCertificate) as error:
            raise unreached(self.connection, error) from None
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
            version = link.rows("SELECT current_setting('server_version_num')::int")[0][0]
            if not isinstance(version, int):
                raise SourceError(
                    "Postgres quotes names (quote_all_identifiers is on), so that the driver does not know a column's type",
                    hint="set it off for the user of the job: ALTER ROLE … SET quote_all_identifiers = off",
                )
            if version >= _LONG_SINCE:
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
        cancel(links)
        for link in links:
            link.close()


def _cut(name: str, size: int) -> str:
    """A name as the server cuts it: no character in halves."""
    return name.encode()[:size].decode(errors="ignore")
