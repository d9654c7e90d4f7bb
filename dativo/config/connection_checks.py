"""Mistakes in the connection of a database, which is read from or loaded into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from dativo.config.connection import Connection
from dativo.config.connection_fields import FIELDS
from dativo.config.job import Source, Target
from dativo.config.problems import Problems
from dativo.config.relations import DATABASES
from dativo.config.sides import Side
from dativo.errors import Problem, listed, nearest, one_slip

SSL_MODES = {
    "postgres": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "mysql": ("disabled", "preferred", "required", "verify_ca", "verify_identity"),
}
LONGEST_WAIT = 3600
# What a target's connection has besides the way to its server.
_PLACE = ("schema",)


def check_connection(side: Side[Source] | Side[Target], role: Literal["source", "target"], problems: Problems) -> None:
    """Notes what is missing in a database's connection, wrong, or does nothing; nothing for other sides."""
    if side.type in DATABASES and side.connector is not None and role in side.connections:
        problems.extend(_Connection(side, role).mistakes())


class _Connection:
    """The connection of one side."""

    def __init__(self, side: Side[Source] | Side[Target], role: Literal["source", "target"]) -> None:
        self.side = side
        self.role = role
        self.connection: Connection = side.connections[role]

    def mistakes(self) -> Iterator[Problem]:
        yield from self.unknown()
        if self.side.type == "sqlite":
            yield from self.file()
            return
        yield from self.numbers()
        yield from self.mode()
        for name, found in self.connection.settings.items():
            if "\0" in found.value:
                yield self.wrong(f"{name} has a NUL, which no server takes", name, self.hint("leave it out", name))

    def wrong(self, message: str, name: str, hint: str) -> Problem:
        found = self.connection.settings.get(name)
        mark = found.mark if found is not None else None
        mark = mark or self.side.node.mark_of("connection", name)
        return Problem(message, mark, f"{self.role}.connection.{name}", hint)

    def hint(self, remedy: str, name: str) -> str:
        """A remedy, and where the value comes from, unless the mark tells it."""
        found = self.connection.settings.get(name)
        told = found is not None and found.mark is not None
        return remedy if told else "\n".join((remedy, f"it is {self.connection.origin(name)}"))

    def file(self) -> Iterator[Problem]:
        unset = any(path.endswith((".database_path", ".dsn")) for path, _ in self.side.unset)
        # A URL that cannot be read is told by itself.
        told = getattr(self.side.spec, "dsn", None) is not None
        if not self.connection.has("database_path") and not unset and not told:
            yield self.wrong(
                f"a sqlite source needs a database_path: {self.connection.origin('database_path')}",
                "database_path",
                "add `database_path: data/shop.db` to source.connection",
            )

    def numbers(self) -> Iterator[Problem]:
        port = self.connection.get("port") or ""
        if not _whole(port, 65535):
            yield self.wrong(f"'{port}' is no port", "port", self.hint("a number from 1 to 65535", "port"))
        wait = self.connection.get("connect_timeout")
        if wait is not None and not _whole(wait, LONGEST_WAIT):
            hint = self.hint(f"a whole number of seconds from 1 to {LONGEST_WAIT}", "connect_timeout")
            yield self.wrong(f"'{wait}' is no time to wait for a connection", "connect_timeout", hint)

    def mode(self) -> Iterator[Problem]:
        name = "sslmode" if self.side.type == "postgres" else "ssl_mode"
        mode, known = self.connection.get(name), SSL_MODES[self.side.type]
        if mode is not None and _folded(mode) not in map(_folded, known):
            guess = nearest(_folded(mode), known)
            hint = f"did you mean '{guess}'?" if guess else f"one of {', '.join(known)}"
            yield self.wrong(f"unknown {name} '{mode}'", name, self.hint(hint, name))

    def unknown(self) -> Iterator[Problem]:
        """Settings that nobody reads: an error where one was misspelt, since what it was to switch on stays off."""
        fields = FIELDS[self.side.type]
        extra = _PLACE if self.role == "target" else ()
        known = {spelling for field in fields for spelling in field.spellings} | set(extra)
        names = [*(field.name for field in fields), *extra]
        for name, found in self.connection.settings.items():
            if name in known:
                continue
            slip = one_slip(name, [n for n in sorted(known) if not self.connection.has(n) or n not in names])
            field = found.field or f"{self.role}.connection.{name}"
            hint = f"known here: {listed(names, 20)}"
            if slip is not None:
                hint = f"did you mean '{slip}'?   {hint}"
                yield Problem(f"unknown setting '{name}'", found.mark, field, hint, code="config_unknown_key")
            else:
                text = f"the setting '{name}' of a {self.side.type} {self.role} does nothing"
                yield Problem(text, found.mark, field, hint, "warning", "config_unknown_key")


def _whole(text: str, most: int) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) <= most


def _folded(mode: str) -> str:
    return mode.lower().replace("_", "-")
