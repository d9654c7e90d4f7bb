"""Errors of the server and of the way to it, in dativo's words. No message has a password; queries are not repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from dativo.config.connection import Connection
from dativo.config.logins import address
from dativo.errors import DativoError, SourceError

_PRIVILEGE = (1142, 1143, 1227, 1370)
_GONE = (1927, 1053, 2006, 2013, 1152, 1159, 1161, 4031)
_TIMEOUT = (1969, 3024)
_LASTING = (*_PRIVILEGE, 1044, 1049, 1146, 1054, 1064)


@contextmanager
def translated(connection: Connection, what: str) -> Iterator[None]:
    """Raises SourceError for what goes wrong inside; `what` is what was being done, as `reading shop.orders`."""
    try:
        yield
    except DativoError:
        raise
    except pymysql.MySQLError as error:
        raise explained(error, connection, what) from None
    except (OSError, RuntimeError, EOFError, AttributeError) as error:
        raise explained(pymysql.OperationalError(2013, str(error)), connection, what) from None


def code_of(error: BaseException) -> int:
    """The server's number of an error; 0 where it has none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def explained(error: pymysql.MySQLError, connection: Connection, what: str) -> SourceError:
    """What the server or the way to it said, and the remedy."""
    code = code_of(error)
    said = str(error.args[1] if len(error.args) > 1 else error).strip()
    message, hint = _told(code, said, connection, what)
    found = SourceError(message, hint=hint)
    found.lasting = code in _LASTING
    return found


def _told(code: int, said: str, connection: Connection, what: str) -> tuple[str, str]:
    server = address(connection)
    if code in (1049, 1044):
        return f"{server}: {said}", f"database is {connection.origin('database')}"
    if code in (1146, 1051, 1356):
        return f"{what} failed: {said}", "was it renamed or dropped? `dativo discover` lists what is there"
    if code in (1054, 1060, 1052):
        return f"{what} failed: {said}", "check the columns that the job and the contract name"
    if code == 1064:
        return f"{what} failed: the server does not understand the SQL: {said}", "check the query, or `where`"
    if code in _PRIVILEGE:
        return f"{what} failed: {said}", f"grant SELECT to the account; user is {connection.origin('user')}"
    if code == 1412:
        return f"{what} failed: the table was altered while it was read", "run again: a new snapshot sees the new table"
    if code in _TIMEOUT:
        return f"{what} failed: the statement took longer than it may", "raise source.engine.options.statement_timeout"
    if code == 1317:
        return f"{what} failed: somebody ended the statement (KILL QUERY)", "run again"
    if code in (1153, 1301, 2020, 3):
        return f"{what} failed: a row is larger than the server sends: {said}", "raise max_allowed_packet on the server"
    if code in _GONE:
        hint = "run again; if it happens again, look into the server's log, at its time-outs and its max_allowed_packet"
        return f"{what} failed: the connection to {server} was lost: {_reason(said)}", hint
    return f"{what} failed: {said} (MySQL error {code})", ""


def _reason(said: str) -> str:
    """A reason without PyMySQL's frame around it."""
    inside = said[said.find("(") + 1 : said.rfind(")")] if said.endswith(")") else said
    inside = re.sub(r"^\[Errno -?\d+\] ", "", inside)
    return inside.strip() or "it closed the connection"
