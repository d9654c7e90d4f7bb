"""Why a database did not let the program in, as an error of whoever asked: a sentence, the setting at fault, the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from dativo.config.connection import Connection
from dativo.config.logins import address
from dativo.config.tls import BadCertificate
from dativo.errors import DativoError

E = TypeVar("E", bound=DativoError)

_NAMES = {"postgres": "Postgres", "mysql": "MySQL"}


class Refusal(NamedTuple):
    """A kind of refusal.

    `what` goes on after the server's name; `{said}` in it is what the server or the driver said, other names are settings.
    The first of `settings` is the one at fault, the others belong to it. `passes` tells that the same settings may do when
    they are tried again, `full` that the server has no connection left.
    """

    what: str
    settings: tuple[str, ...] = ()
    remedy: str = ""
    passes: bool = False
    full: bool = False


# What kind of refusal a driver's error tells, and what was said.
Reader = Callable[[Exception, Connection], tuple[Refusal, str]]


def refused(error: Exception, connection: Connection, role: str, kind: type[E], reader: Reader) -> E:
    """Why the server did not let us in, with the setting that it comes from; `reader` knows what its driver says."""
    if isinstance(error, BadCertificate):
        found, lasting = kind(**_unusable(error, connection, role)), True
    else:
        refusal, said = reader(error, connection)
        found, lasting = kind(**told(refusal, connection, role, said)), not refusal.passes
    found.lasting = lasting
    return found


def told(refusal: Refusal, connection: Connection, role: str, said: str) -> dict[str, Any]:
    """The arguments of a DativoError. A setting at fault is its field; of settings that may be right the hint tells."""
    shown = {name: s.value for name, s in connection.settings.items() if not s.secret}
    what = refusal.what.format_map(_Shown({**shown, "said": said.rstrip(".")}))
    message = f"{named(connection)} {what}"
    settings = tuple(n for n in refusal.settings if connection.has(n))
    if refusal.passes or not refusal.settings:
        return {"message": message, "hint": _hint(refusal.remedy, settings, connection)}
    settings = tuple(dict.fromkeys((refusal.settings[0], *settings)))
    place = placed(settings[0], connection, role)
    # A field with its mark says already where the setting is.
    others = settings[1:] if place["mark"] is not None else settings
    return {"message": message, "hint": _hint(refusal.remedy, others, connection), **place}


def named(connection: Connection) -> str:
    """A server as sentences call it."""
    return f"{_NAMES[connection.kind]} at {address(connection)}"


def _unusable(error: BadCertificate, connection: Connection, role: str) -> dict[str, Any]:
    """The same for a file of TLS that cannot be used."""
    place = placed(error.setting, connection, role)
    settings = () if place["mark"] is not None else (error.setting,)
    return {"message": str(error), "hint": _hint(error.remedy, settings, connection), **place}


def placed(name: str, connection: Connection, role: str) -> dict[str, Any]:
    """The field of a setting, and its mark where a file of the configuration has it; none of one that is set nowhere."""
    found = connection.settings.get(name)
    if found is None:
        return {"field": "", "mark": None}
    return {"field": found.field or f"{role}.connection.{name}", "mark": found.mark}


def hinted(error: DativoError) -> str:
    """The hint of an error after the place that it is about, for what shows no place of its own."""
    problem = error.problems()[0]
    where = f"{problem.field} ({problem.mark})" if problem.field and problem.mark else ""
    return "\n".join(text for text in (where, problem.hint) if text)


def origins(settings: tuple[str, ...], connection: Connection) -> list[str]:
    """Where the values of settings came from, or where they were looked for; values that are no secrets are shown."""
    lines = []
    for name in settings:
        found = connection.settings.get(name)
        if found is not None:
            value = "" if found.secret else f" '{found.value}'"
            lines.append(f"{name}{value} is {found.origin}")
        elif name in connection.looked:
            lines.append(f"{name} is {connection.origin(name)}")
    return lines


def _hint(remedy: str, settings: tuple[str, ...], connection: Connection) -> str:
    return "\n".join(line for line in (remedy, *origins(settings, connection)) if line)


class _Shown(dict[str, str]):
    """Settings for a sentence; what is not set is nameless there."""

    def __missing__(self, name: str) -> str:
        return ""
