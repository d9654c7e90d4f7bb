"""One connection to Postgres: what it runs, and how it ends when the server is silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dativo.errors import UnsupportedError

if TYPE_CHECKING:
    from pyarrow.lib import RecordBatch, Schema

# What a server that still works needs at most to hear that a query is to end.
CANCEL_SECONDS = 3


class Link:
    """One connection with an open transaction."""

    def __init__(self, conninfo: str) -> None:
        dbapi = driver()
        self._connection = dbapi.connect(conninfo, autocommit=True)
        self._running: Any = None
        self._silent = False

    def run(self, statement: str) -> None:
        """Runs a statement that gives no rows."""
        with self._cursor() as cursor:
            cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            # A plan is no query that COPY could take.
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def schema(self, query: str) -> Schema:
        """The columns that a query gives; it is not run."""
        with self._cursor() as cursor:
            found: Schema = cursor.adbc_execute_schema(query)
            return found

    def batches(self, query: str, batch_bytes: int) -> Iterator[RecordBatch]:
        with self._cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(batch_bytes)})
            cursor.execute(query)
            yield from cursor.fetch_record_batch()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        cursor = self._connection.cursor()
        before, self._running = self._running, cursor
        try:
            with cursor:
                yield cursor
        finally:
            self._running = before

    def cancel(self) -> None:
        """Asks the server to end what runs in another thread; returns when it has heard."""
        cursor = self._running
        if cursor is not None and not self._silent:
            self._silent = True
            with suppress(Exception):
                cursor.adbc_cancel()
            self._silent = False

    def close(self) -> None:
        """Ends the connection, unless a thread still waits there for a server that is silent: it must not lose it."""
        if self._running is None:
            # What cannot be closed any more is closed.
            with suppress(Exception):
                self._connection.close()


def cancel(links: Iterable[Link]) -> bool:
    """Ends what several connections run in other threads; whether the server heard, for whom it is not waited long."""
    threads = [threading.Thread(target=link.cancel, name="dativo-cancel", daemon=True) for link in links]
    for thread in threads:
        thread.start()
    end = time.monotonic() + CANCEL_SECONDS
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return not any(thread.is_alive() for thread in threads)


def driver() -> Any:
    """The module of the driver; UnsupportedError where it is not installed."""
    try:
        import adbc_driver_postgresql.dbapi as found  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the connector 'postgres' needs the package '{error.name}'", hint="pip install 'dativo[postgres]'"
        ) from None
    return found
