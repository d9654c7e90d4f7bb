"""What Postgres refuses, as sentences: which setting is wrong, where it came from, what to do."""

from __future__ import annotations

import re
from typing import NamedTuple

from dativo.config.connection import Connection
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
    Refusal(("password authentication failed", "28P01"), "it does not take user and password", ("user", "password"),
            "give the password of this user"),
    Refusal(("no password supplied",), "it wants a password, and none is set", ("password",), "set the password"),
    Refusal(("no pg_hba.conf entry",), "it lets this user not in from this machine, or not without TLS",
            ("user", "database", "sslmode"), "allow it in pg_hba.conf, or set sslmode: require"),
    Refusal(("server does not support SSL",), "it does not speak TLS", ("sslmode",), "set sslmode: prefer, or let it"),
    Refusal(("certificate", "SSL error"), "its certificate is not one to trust", ("sslmode", "sslrootcert"),
            "set sslrootcert to the certificate of its authority"),
    Refusal(("28000",), "it does not take the user", ("user",), "give another user"),
    Refusal(("3D000", "FATAL:  database"), "it has no such database", ("database",), "make it first, or correct its name"),
    Refusal(("could not translate host name",), "its host is not known", ("host",), "correct the host's name"),
    Refusal(("Connection refused", "No such file or directory"), "nobody listens there", ("host", "port"),
            "start the server, or correct host and port", passes=True),
    Refusal(("timeout expired", "Network is unreachable", "No route to host"), "it does not answer", ("host", "port"),
            "look at the server and at the network between", passes=True),
    Refusal(("invalid sslmode", "invalid port", "invalid integer value", "invalid connection option"),
            "a setting of the connection is wrong", ("port", "sslmode"), "correct it"),
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
    told = _first(text)
    connecting = "Failed to connect" in text or "could not parse" in text
    if not connecting and (state in ("57P01", "57P02") or any(s in text for s in _LOST)):
        found: TargetError = Lost(
            f"{doing} failed: the connection to {address(connection)} was lost ({told})",
            hint="look at the server, then run again: what was not committed is not there",
        )
        return found
    refusal = next((r for r in _REFUSALS if any(s == state or (len(s) > 5 and s in text) for s in r.signs)), None)
    if refusal is not None:
        lines = [refusal.remedy, *setting_lines(refusal.settings, connection)]
        found = TargetError(f"{doing} failed: {address(connection)}: {refusal.meaning} ({told})", hint="\n".join(lines))
        found.lasting = bool(refusal.settings) and not refusal.passes
        return found
    if state == _DENIED:
        lines = ["grant it to the user, or name another user", *setting_lines(("user",), connection)]
        return TargetError(f"{doing} failed: the user may not do this: {told}", hint="\n".join(lines))
    if state.startswith(("22", "23")):
        return TargetError(
            f"{doing} failed: a value does not fit: {told}", hint="mend the data, or the table's columns"
        )
    return TargetError(f"{doing} failed: {told}", hint="see the server's log")


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


def address(connection: Connection) -> str:
    """The database as a person names it."""
    host, port, database = (connection.get(n) or "?" for n in ("host", "port", "database"))
    return f"{database} at {host}:{port}"


def setting_lines(settings: tuple[str, ...], connection: Connection) -> list[str]:
    """The settings to look at, with values that are no secrets and with where each came from."""
    lines = []
    for name in settings:
        found = connection.settings.get(name)
        if found is not None:
            lines.append(f"{name}: {'****' if found.secret else found.value} from {found.origin}")
        elif name in connection.looked:
            lines.append(f"{name}: {connection.origin(name)}")
    return lines
