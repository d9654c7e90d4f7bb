"""What Postgres refuses, as sentences: which setting is wrong, where it came from, what to do."""

from __future__ import annotations

import re
from typing import NamedTuple

from dativo.config.connection import Connection
from dativo.config.refusals import named, origins
from dativo.errors import TargetError
from dativo.targets.databases.dialect import Lost


class Refusal(NamedTuple):
    """A kind of refusal: signs of it in the message or its SQLSTATE, what it means, the settings to look at, the remedy.

    `passes` tells that it may be over when it is tried again.
    """

    signs: tuple[str, ...]
    meaning: str
    settings: tuple[str, ...]
    remedy: str
    passes: bool = False


_REFUSALS = (
    Refusal(("53300", "too many clients", "remaining connection slots"), "it has as many connections as it takes", (),
            "close some, or raise max_connections", passes=True),
    Refusal(("53100", "No space left"), "its disk is full", (), "free space there", passes=True),
    Refusal(("53200",), "it has no memory left", (), "look at its log", passes=True),
    Refusal(("25006",), "it is read-only: a replica", ("host",), "name the primary server"),
    Refusal(("57P03",), "it is starting or stopping", (), "run again when it is up", passes=True),
    Refusal(("57014",), "it ended the statement", (), "raise statement_timeout for this user"),
    Refusal(("55P03",), "another session holds the table for longer than a run waits", (),
            "see pg_stat_activity and pg_locks", passes=True),
    Refusal(("40P01", "40001"), "another session was in the way", (), "run again", passes=True),
)  # fmt: skip
_LOST = ("57P01", "57P02", "server closed the connection", "terminating connection", "connection not open",
         "no connection to the server", "Connection reset", "Broken pipe", "could not receive data",
         "could not send data", "SSL connection has been closed", "SSL SYSCALL error", "Connection timed out")  # fmt: skip
_DENIED = "42501"


def translated(error: Exception, connection: Connection, doing: str) -> TargetError:
    """What the driver raised, as a TargetError; Lost when the connection broke."""
    text = str(error)
    state = getattr(error, "sqlstate", None) or ""
    said = _first(text)
    if state in ("57P01", "57P02") or any(s in text for s in _LOST):
        found: TargetError = Lost(
            f"{doing} failed: the connection to {named(connection)} was lost ({said})",
            hint="look at the server, then run again: what was not committed is not there",
        )
        return found
    refusal = next((r for r in _REFUSALS if any(s == state or (len(s) > 5 and s in text) for s in r.signs)), None)
    if refusal is not None:
        lines = [refusal.remedy, *origins(refusal.settings, connection)]
        found = TargetError(f"{doing} failed: {named(connection)}: {refusal.meaning} ({said})", hint="\n".join(lines))
        found.lasting = bool(refusal.settings) and not refusal.passes
        return found
    if state == _DENIED:
        lines = ["grant it to the user, or name another user", *origins(("user",), connection)]
        return TargetError(f"{doing} failed: the user may not do this: {said}", hint="\n".join(lines))
    if state.startswith(("22", "23")):
        return TargetError(
            f"{doing} failed: a value does not fit: {said}", hint="mend the data, or the table's columns"
        )
    return TargetError(f"{doing} failed: {said}", hint="see the server's log")


def _first(text: str) -> str:
    """The server's own sentence, with where it happened, without the statement."""
    found = re.search(r"(?:ERROR|FATAL):\s+(.*)", text)
    line = found[1] if found else (text.splitlines() or [""])[0]
    line = re.sub(r"^[A-Z_]+: (\[libpq\] )?", "", line).removeprefix("Failed to connect: ")
    context = re.search(r"CONTEXT:\s+COPY [^,\n]*, (line \d+, column [^:\n]+)", text)
    detail = re.search(r"DETAIL:\s+(.*)", text)
    more = "; ".join(m[1] for m in (context, detail) if m)
    line = re.sub(r"\.? ?SQLSTATE: \w+$", "", line).strip()
    return f"{line} ({more})" if more else line
