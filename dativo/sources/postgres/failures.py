"""What Postgres and its driver say when something fails, in dativo's words, with the setting to look at.

Nothing that they say holds a password; queries, which they repeat, are left out.
"""

from __future__ import annotations

import re
from typing import Any

from dativo.config.connection import Connection
from dativo.config.postgres_refusals import refusal_of
from dativo.config.refusals import Refusal, refused
from dativo.config.resolved import ResolvedJob
from dativo.config.tls import BadCertificate
from dativo.errors import SourceError

AGAIN = "run again; `retry_config` of the job does it by itself"
_STATES = (
    ("conflict with recovery", "40001"),
    ("due to statement timeout", "57014"),
    ("due to user request", "57014"),
    ("read-only transaction", "25006"),
    ("terminating connection", "57P01"),
    ("too many clients", "53300"),
    ("invalid byte sequence", "22021"),
    ("division by zero", "22012"),
    ("invalid input syntax", "22P02"),
    ("out of range", "22003"),
)


class NoRoom(SourceError):
    """The server takes no further connection."""


def unreached(connection: Connection, error: Any) -> SourceError:
    """Why no connection was made, with the setting that it comes from."""
    if isinstance(error, BadCertificate) or not refusal_of(error, connection)[0].full:
        return refused(error, connection, "source", SourceError, refusal_of)
    return refused(error, connection, "source", NoRoom, _full)


def _full(error: Exception, connection: Connection) -> tuple[Refusal, str]:
    """That the server has no connection left, with what a source can do about it."""
    refusal, said = refusal_of(error, connection)
    return refusal._replace(remedy=f"lower source.engine.options.connections, or wait; {AGAIN}"), said


def failed(job: ResolvedJob, error: Any, doing: str, *, field: str = "") -> SourceError:
    """Why a statement failed; `doing` names what was done, as `reading public.orders`."""
    said, state = _said(error), _state(error)
    if state in ("57P01", "57P02", "57P03") or state.startswith("08") or _cut(said):
        return SourceError(
            f"{doing} failed: the connection to Postgres was lost ({said}); nothing was committed", hint=AGAIN
        )
    if state == "40001" or "conflict with recovery" in said:
        return SourceError(
            f"{doing} failed: {said}; nothing was committed",
            hint="a standby ends reads that stand in the way of what its primary did: read from the primary, or set "
            "hot_standby_feedback = on or a longer max_standby_streaming_delay there",
        )
    if state == "57014":
        hint = "raise source.engine.options.statement_timeout, or read less at a time" if "timeout" in said else AGAIN
        field = field or "source.engine.options.statement_timeout"
    elif state == "42501":
        hint = "grant SELECT on it to the user of the job"
    elif state in ("42P01", "3F000"):
        hint = "is it there, and is its schema named or in the search_path?"
    elif state.startswith("53"):
        hint = f"the server has not enough of what it needs; {AGAIN}"
    elif state == "25006":
        hint = "a source is only read: nothing it runs may write"
    elif state == "22021":
        hint = "there are bytes that are no text: mend them, or read the column by convert_from in a query"
    elif state.startswith(("42", "22", "0A")) or field.endswith((".sql", ".where")):
        hint = "mend the query, the filter or the column that is named there"
    else:
        hint = "the server's log tells more"
    return SourceError(f"{doing} failed: {said}", hint=hint, mark=job.mark(field) if field else None, field=field)


def _state(error: Any) -> str:
    """The SQLSTATE, by the sentence where the driver does not tell it: it does not for what fails while rows arrive."""
    told = getattr(error, "sqlstate", None) or next(iter(re.findall(r"SQLSTATE: (\w{5})", str(error))), "")
    return str(told) or next((state for mark, state in _STATES if mark in str(error)), "")


def _cut(said: str) -> bool:
    """Whether the connection broke."""
    marks = ("server closed the connection", "terminating connection", "no connection to the server", "SSL SYSCALL")
    return any(
        mark in said for mark in (*marks, "could not receive data", "Connection reset", "connection has been closed")
    )


def _said(error: Any) -> str:
    """The server's own sentence: without the driver's preface, the query and its place in it."""
    text = str(error).partition("Query was:")[0]
    text = re.sub(r"^[A-Z_]+: ", "", text)
    found = re.search(r"(?:ERROR|FATAL|PANIC):\s+(.*)", text)
    line = found[1] if found else next((x for x in text.splitlines() if x.strip()), "no reason given")
    line = re.sub(r"^\[libpq\] (?:Failed to \w+(?: \w+)*: )?", "", line)
    line = re.sub(r"\s*SQLSTATE: \w+\s*$", "", line).strip()
    detail = re.search(r"DETAIL:\s+(.*)", text)
    return line.rstrip(".") + (f" ({detail[1].rstrip('.')})" if detail else "")
