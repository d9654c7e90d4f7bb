"""Several connections that see the same moment.

A snapshot of MySQL belongs to one connection. Snapshots that begin while nobody can write a table show the same of it, so
the tables are locked for reading (`LOCK TABLES ... READ`) until all connections have begun theirs. The lock waits for
transactions that have written the tables, not for readers, and readers do not wait for it. It is tried for a second at a
time, so that writers never wait for long behind a transaction that does not end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pymysql

from dativo.errors import Interrupted, SourceError
from dativo.sources.mysql.failure import code_of
from dativo.sources.mysql.pieces import worth_several
from dativo.sources.mysql.relation import Described
from dativo.sources.mysql.session import Session, connect
from dativo.sources.protocol import Meter

TRIES = 5
_BUSY = (1205, 1213)
_DENIED = (1044, 1142, 1227)
# Seconds after which the server gives the tables free by itself, should this process stand still.
_FORGOTTEN = 10
_WHERE = "SELECT @@hostname, @@port, @@server_id"


@dataclass(slots=True)
class Picture:
    """Connections that see of some tables what the main one sees: none where that cannot be. `note` tells which."""

    note: str
    readers: list[Session] = field(default_factory=list)

    def close(self) -> None:
        for reader in self.readers:
            reader.close()


@contextmanager
def beside(
    main: Session,
    found: Sequence[Described],
    connections: int,
    again: Callable[[Described], Described],
    meter: Meter,
    notes: list[str],
) -> Iterator[dict[int, Sequence[Session]]]:
    """The connections that read some of the relations, by the positions of these; a note tells how many they are.

    Only large tables are read by several, and only they are locked. `again` describes one anew: as the main connection,
    which reads all others and has a new snapshot now, sees it.
    """
    if connections < 2:
        yield {}
        return
    large = {i: d for i, d in enumerate(found) if worth_several(main, d)}
    if not large:
        notes.append(f"read by one connection in one snapshot: no table is worth {connections}")
        yield {}
        return
    picture = one_picture(main, list(large.values()), connections, meter)
    notes.append(picture.note)
    with closing(picture):
        if picture.readers:
            for described in found:
                if again(described) != described:
                    raise SourceError(
                        f"{described.name} is not what it was when the reading began", hint="run again: it was altered"
                    )
        yield dict.fromkeys(large, picture.readers) if picture.readers else {}


def one_picture(main: Session, tables: Sequence[Described], connections: int, meter: Meter) -> Picture:
    """So many connections with snapshots of one moment, for which the main one begins a new snapshot, too.

    Where the server does not let them, or writers do not let the tables be locked, there are none, and a note says why.
    """
    reason = _unfit(main)
    readers: list[Session] = []
    try:
        if reason is None:
            readers += (Session(main.connection, main.timeout, snapshot=False) for _ in range(connections))
            milliseconds = _locked(main, readers, tables, meter)
            names = ", ".join(t.name for t in tables)
            lock = f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
            return Picture(
                f"{names}: read by {connections} connections in one picture, made by a lock of {lock}", readers
            )
    except SourceError as error:
        reason = error.message
    except pymysql.MySQLError as error:
        reason = _reason(error, tables)
    except BaseException:
        Picture("", readers).close()
        raise
    Picture("", readers).close()
    return Picture(f"read by one connection in one snapshot, not by {connections}: {reason}")


def _unfit(main: Session) -> str | None:
    """Why a lock on this server would not stop all writers; None where it does."""
    cluster = main.rows("SHOW VARIABLES LIKE 'wsrep_on'")
    if cluster and str(cluster[0][1]).upper() == "ON":
        return "a lock of one Galera node does not stop what the others write"
    return None


def _reason(error: pymysql.MySQLError, tables: Sequence[Described]) -> str:
    said = str(error.args[1] if len(error.args) > 1 else error).strip()
    if code_of(error) in _BUSY:
        names = ", ".join(t.name for t in tables)
        return f"{names} could not be locked for a moment, because a transaction that wrote did not end"
    if code_of(error) in _DENIED:
        return f"the account has no right to lock the tables for a moment (GRANT LOCK TABLES): {said}"
    return f"the tables could not be locked for a moment: {said}"


def _locked(main: Session, readers: Sequence[Session], tables: Sequence[Described], meter: Meter) -> float:
    """Begins all snapshots under a lock; the milliseconds for which it was held."""
    sessions = [main, *readers]
    with closing(connect(main.connection, None)) as link, link.cursor() as cursor:
        _same_server(cursor, sessions)
        # Without autocommit the engine locks the tables, too: against what a cascade writes into them.
        cursor.execute(
            "SET autocommit = 0, innodb_table_locks = 1, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, "
            f"wait_timeout = {_FORGOTTEN}"
        )
        with ThreadPoolExecutor(len(sessions), thread_name_prefix="dativo-mysql") as pool:
            # The threads are there before the lock is.
            list(pool.map(lambda _: None, sessions))
            with _lock(cursor, tables, meter):
                begun = time.perf_counter()
                list(pool.map(Session.begin, sessions))
            return (time.perf_counter() - begun) * 1000


@contextmanager
def _lock(cursor: Any, tables: Sequence[Described], meter: Meter) -> Iterator[None]:
    """While the tables are locked. Raises what the server says where they cannot be, or where the lock was lost."""
    wanted = ", ".join(f"{source} READ" for source in dict.fromkeys(t.select.source for t in tables))
    for left in reversed(range(TRIES)):
        try:
            cursor.execute(f"LOCK TABLES {wanted}")
            break
        except pymysql.MySQLError as error:
            if code_of(error) not in _BUSY or not left:
                raise
        if meter.stop.wait(1):
            raise Interrupted("stopped while reading; nothing was committed")
    try:
        yield
    except BaseException:
        with suppress(pymysql.MySQLError):
            cursor.execute("UNLOCK TABLES")
        raise
    cursor.execute("UNLOCK TABLES")


def _same_server(cursor: Any, sessions: Sequence[Session]) -> None:
    """Raises SourceError where something between leads the connections to different servers."""
    cursor.execute(_WHERE)
    servers = {tuple(cursor.fetchone())}
    servers.update(tuple(s.rows(_WHERE)[0]) for s in sessions)
    if len(servers) > 1:
        raise SourceError("its connections lead to different servers, whose snapshots are not of one moment")
