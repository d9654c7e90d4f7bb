"""The connection URL of a database, `source.dsn`, as the settings that it stands for.

Messages never show the URL: it holds a password.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from dativo.config.nodes import Node, map_of, scalar_of
from dativo.config.problems import Problems

FIELD = "source.dsn"
SCHEMES = {
    "postgres": ("postgres", "postgresql"),
    "mysql": ("mysql", "mariadb"),
    "sqlite": ("sqlite", "sqlite3"),
}
EXAMPLES = {
    "postgres": "postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=require",
    "mysql": "mysql://USER:PASSWORD@HOST:3306/DATABASE",
    "sqlite": "sqlite:///data/shop.db, with four slashes where the path begins at the root",
}
_ESCAPE = "in it, write `@`, `:`, `/`, `?`, `#` and `%` of a password as %40, %3A, %2F, %3F, %23 and %25"
_LOGIN = re.compile(r"^([^:/?#]*://)[^/]*@")


class BadUrl(ValueError):
    """What is wrong with a URL, without anything that stands in it."""


def dsn_settings(type_: str, node: Node, problems: Problems) -> Node | None:
    """The settings of a source's `dsn` as a map that stands where the URL does; None without one that can be read."""
    dsn = node.get("dsn")
    if dsn is None or dsn.kind != "scalar" or dsn.is_null() or dsn.unset:
        return None
    if type_ not in SCHEMES:
        problems.warn(f"'dsn' does nothing for a {type_} source", dsn.mark, FIELD, "use `connection`")
        return None
    try:
        found = parse_dsn(type_, dsn.text)
    except BadUrl as error:
        problems.add(str(error), dsn.mark, FIELD, f"as {EXAMPLES[type_]}\n{_ESCAPE}")
        return None
    return map_of({name: scalar_of(value, dsn.mark) for name, value in found.items()}, dsn.mark)


def parse_dsn(type_: str, text: str) -> dict[str, str]:
    """The settings in a database's URL by the names of its connector; BadUrl for text that is none."""
    scheme, sign, rest = text.strip().partition("://")
    named = scheme.lower().partition("+")[0]
    if not sign or not named:
        raise BadUrl(f"this is no URL of a {type_} database")
    if named not in SCHEMES[type_]:
        other = next((kind for kind, names in SCHEMES.items() if named in names), None)
        what = f"a URL of a {other} database" if other else "no URL of a database that dativo knows"
        raise BadUrl(f"this is {what}, and the source is {type_}")
    rest, _, fragment = rest.partition("#")
    if fragment:
        raise BadUrl("a '#' ends a URL")
    rest, _, query = rest.partition("?")
    # As libpq reads it: a plus is a plus. MySQL's own URLs have hyphens in names, as in `ssl-mode`.
    pairs = (pair.partition("=") for pair in query.split("&"))
    found = {unquote(k).replace("-", "_"): unquote(v) for k, _, v in pairs if k and v}
    if type_ == "sqlite":
        return {**found, "database_path": _sqlite_path(rest)}
    place, _, database = rest.partition("/")
    login, _, address = place.rpartition("@")
    if "/" in database or "@" in database:
        raise BadUrl("the name of the database has a '/' or '@'")
    user, _, password = login.partition(":")
    host, port = _address(address)
    parts = {"user": user, "password": password, "host": host, "port": port, "database": database}
    return {**found, **{name: unquote(value) for name, value in parts.items() if value}}


def without_login(text: str) -> str:
    """A URL without user and password."""
    return _LOGIN.sub(r"\1", text)


def _sqlite_path(rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host or not slash or not path:
        raise BadUrl("this names no file")
    return unquote(path)


def _address(address: str) -> tuple[str, str]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise BadUrl("the host's address has no end")
        return host, _port(rest[1:])
    if "," in address:
        raise BadUrl("several hosts are not supported")
    host, _, port = address.partition(":")
    return host, _port(port)


def _port(text: str) -> str:
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise BadUrl("the port is no number from 1 to 65535")
    return text
