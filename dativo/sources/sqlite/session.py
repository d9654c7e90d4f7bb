"""A database file, opened for reading only, and the transaction in which it is read."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dativo.config.connection import Connection
from dativo.errors import DativoError, Interrupted, SourceError
from dativo.sources.protocol import Meter

BUSY_SECONDS = 30.0
# Between two looks at the clock and at whether the run is to stop.
_STEPS = 20_000


class Session:
    """One connection. All that is read with it is of one moment: the first statement's.

    `root` is the folder from which a path without a root begins.
    """

    def __init__(self, connection: Connection, root: str, timeout: float | None, meter: Meter) -> None:
        self.connection = connection
        self.path = Path(root, connection.get("database_path") or "")
        self._timeout, self._meter = timeout, meter
        self._deadline: float | None = None
        self._views = 0
        self._lock = threading.Lock()
        with self.translated("opening it"):
            self._check_file()
            address = f"file:{quote(str(self.path.resolve()))}?mode=ro"
            self._link = sqlite3.connect(
                address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._link.set_progress_handler(self._tick, _STEPS)
            self.now = datetime.now(UTC)
            # Refused where it is no database; from here on the file is seen as it is now.
            self._link.execute("BEGIN")
            self._link.execute("SELECT count(*) FROM sqlite_schema").fetchone()

    def _check_file(self) -> None:
        where = f"database_path is {self.connection.origin('database_path')}"
        if not self.path.exists():
            raise SourceError(f"there is no file '{self.path}'", hint=where)
        if not self.path.is_file():
            raise SourceError(f"'{self.path}' is no file", hint=where)
        with self.path.open("rb"):
            pass

    def _tick(self) -> int:
        late = self._deadline is not None and time.monotonic() > self._deadline
        return int(late or self._meter.stop.is_set())

    def execute(self, sql: str, values: Sequence[Any] = (), what: str = "asking it") -> sqlite3.Cursor:
        """A statement's cursor; the statement's time begins now."""
        with self.translated(what):
            self._deadline = time.monotonic() + self._timeout if self._timeout is not None else None
            return self._link.execute(sql, tuple(values))

    def view(self, sql: str, what: str) -> str:
        """The name of a view of this connection alone, which stands for a query: it tells the types of its columns."""
        self._views += 1
        name = f"dativo_query_{self._views}"
        self.execute(f"CREATE TEMP VIEW {name} AS {sql}", (), what)
        return name

    @contextmanager
    def text_as(self, factory: Any) -> Iterator[None]:
        """Text is made by a function of its bytes."""
        before, self._link.text_factory = self._link.text_factory, factory
        try:
            yield
        finally:
            self._link.text_factory = before

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Raises SourceError for what SQLite or the system say inside, and Interrupted when the run was stopped."""
        try:
            yield
        except DativoError:
            raise
        except (sqlite3.Error, sqlite3.Warning, OSError, ValueError) as error:
            raise self._explained(error, what) from None

    def _explained(self, error: Exception, what: str) -> DativoError:
        said = str(error)
        hint = f"database_path is {self.connection.origin('database_path')}"
        if "interrupted" in said:
            if self._meter.stop.is_set():
                return Interrupted("stopped while reading; nothing was committed")
            return SourceError(f"{what} took longer than it may", hint="raise source.engine.options.statement_timeout")
        if isinstance(error, PermissionError):
            return SourceError(f"'{self.path}' may not be read", hint=hint)
        if "not a database" in said or "encrypted" in said:
            return SourceError(f"'{self.path}' is no SQLite database", hint=hint)
        if "locked" in said or "busy" in said:
            return SourceError(
                f"'{self.path}' is locked by another program, for longer than {BUSY_SECONDS:.0f} s",
                hint="run again when it has finished; a database in WAL mode can be read while it is written",
            )
        if "unable to open" in said or "readonly" in said:
            return SourceError(
                f"'{self.path}' cannot be opened: {said}",
                hint=f"{hint}\na database in WAL mode needs its -wal and -shm files, or a folder that can be written",
            )
        if "malformed" in said or "disk I/O" in said:
            return SourceError(f"'{self.path}' is damaged: {said}", hint="look at it with `PRAGMA integrity_check`")
        return SourceError(f"{what} failed: {said}", hint="" if isinstance(error, sqlite3.Error) else hint)

    def close(self) -> None:
        """Ends the transaction and closes the file."""
        with suppress(sqlite3.Error):
            self._link.close()
