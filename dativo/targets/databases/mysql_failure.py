"""What MySQL and MariaDB refuse, as sentences: which setting is wrong, where it came from, what to do."""

from __future__ import annotations

from typing import NamedTuple

from dativo.config.connection import Connection
from dativo.config.refusals import named, origins
from dativo.errors import TargetError
from dativo.targets.databases.dialect import Lost


class LocalForbidden(TargetError):
    """The server, or this client, does not allow LOAD DATA LOCAL."""


class Refusal(NamedTuple):
    """A kind of refusal: its numbers, what it means, the settings to look at, the remedy; `passes` as it says."""

    numbers: tuple[int, ...]
    meaning: str
    settings: tuple[str, ...]
    remedy: str
    passes: bool = False


_FORBIDDEN = (1148, 2068, 3948, 4166, 4250)
_REFUSALS = (
    Refusal((1049,), "it has no such database", ("database",), "make it first, or correct its name"),
    Refusal((1044, 1142, 1143, 1227, 1370), "the user may not do this", ("user", "database"),
            "grant it to the user, or name another user"),
    Refusal((1040, 1203, 1226), "it has as many connections as it takes", (), "close some, or raise max_connections",
            passes=True),
    Refusal((1205, 3572), "another session holds the table for longer than a run waits", (), "see SHOW PROCESSLIST",
            passes=True),
    Refusal((1213, 1020), "another session was in the way", (), "run again", passes=True),
    Refusal((1021, 1114, 1030, 28), "its disk is full", (), "free space there", passes=True),
    Refusal((1290, 1836, 1792), "it is read-only: a replica", ("host",), "name the primary server"),
    Refusal((1153,), "a row is larger than its max_allowed_packet", (), "raise max_allowed_packet"),
    Refusal((1118, 1071), "the columns of a row or of its key are too long together", (), "make the key of fewer columns"),
    Refusal((3024, 1969, 1317), "it ended the statement", (), "raise max_statement_time for this user"),
)  # fmt: skip
_LOST = (0, 1053, 1077, 1079, 1080, 1927, 2006, 2013, 2055, 4031)
_MISFITS = (1048, 1062, 1264, 1265, 1292, 1366, 1406, 1411, 3140, 3819, 4025)


def translated(error: Exception, connection: Connection, doing: str) -> TargetError:
    """What the driver raised, as a TargetError; Lost when the connection broke."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else -1
    said = str(error.args[1] if len(error.args) > 1 else error) or type(error).__name__
    if number in _FORBIDDEN:
        return LocalForbidden(f"{doing} failed: {said}")
    if number in _LOST or (number == -1 and isinstance(error, OSError)):
        return Lost(
            f"{doing} failed: the connection to {named(connection)} was lost ({said or 'it was closed'})",
            hint="look at the server, then run again: what was not committed is not there",
        )
    if number in _MISFITS:
        return misfit(doing.removeprefix("loading "), said)
    refusal = next((r for r in _REFUSALS if number in r.numbers), None)
    if refusal is None:
        return TargetError(f"{doing} failed: {said}", hint="see the server's log")
    lines = [refusal.remedy, *origins(refusal.settings, connection)]
    found = TargetError(f"{doing} failed: {named(connection)}: {refusal.meaning} ({said})", hint="\n".join(lines))
    found.lasting = bool(refusal.settings) and not refusal.passes
    return found


def misfit(table: str, told: str) -> TargetError:
    """That a value does not fit into its column."""
    return TargetError(
        f"loading {table} failed: a value does not fit: {told}; nothing was loaded",
        hint="mend the data, or the table's columns",
    )
