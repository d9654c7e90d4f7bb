"""What stands between a job and reading from Postgres: the connection, the database, each relation, column and cursor."""

from __future__ import annotations

from typing import Any

from dativo.config.logins import address
from dativo.config.refusals import hinted
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError
from dativo.sources.database.names import shown
from dativo.sources.database_options import DatabaseOptions
from dativo.sources.postgres.looked import Looked, look
from dativo.sources.postgres.session import Session
from dativo.sources.protocol import Meter

Finding = dict[str, Any]


def findings(job: ResolvedJob, stream: StreamConfig, options: DatabaseOptions) -> list[Finding]:
    """One entry for the connection, then one for each relation of the stream."""
    connection = job.connections["source"]
    place = address(connection)
    try:
        session = Session(job, options)
    except DativoError as error:
        return [_wrong(place, error)]
    version = f"Postgres {session.version // 10000}"
    role = ", a standby" if session.standby else ""
    found = [_right(place, f"{version}{role}, database '{session.database}', user '{session.user}'")]
    session.close()
    for relation in stream.relations:
        # Each in a session of its own: a statement that fails ends the session's transaction.
        session = Session(job, options)
        try:
            looked = look(session, stream, relation, None, Meter(), full=True)
            found.append(_right(looked.reading.found.name, _message(looked)))
        except DativoError as error:
            found.append(_wrong(shown(relation), error))
        finally:
            session.close()
    return found


def _message(looked: Looked) -> str:
    found = looked.reading.found
    rows = f", about {found.rows:,} rows" if found.rows else ""
    cursor = f", loaded by {looked.cursor.name} ({looked.cursor.type.sql})" if looked.cursor is not None else ""
    return f"{found.kind}, {len(looked.reading.rules)} of {len(found.columns)} columns{rows}{cursor}"


def _right(name: str, message: str) -> Finding:
    return {"name": name, "ok": True, "message": message, "hint": ""}


def _wrong(name: str, error: DativoError) -> Finding:
    return {"name": name, "ok": False, "message": error.message, "hint": hinted(error)}
