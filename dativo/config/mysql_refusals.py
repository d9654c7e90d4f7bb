"""What PyMySQL and servers of MySQL's protocol say when they do not let a program in."""

from __future__ import annotations

import re
import socket
import ssl

from dativo.config.connection import Connection
from dativo.config.refusals import Refusal

_TRUST = "set ssl_ca to the file of the authorities that sign this server's certificate"
_NUMBERED: tuple[tuple[tuple[int, ...], Refusal], ...] = (
    ((1040, 1203, 1226), Refusal(
        "has no connection left: {said}", (), "close some, or raise max_connections", passes=True, full=True)),
    ((1045, 1698), Refusal(
        "refuses the account {said}", ("password", "user"),
        "give the password of this account; it may also want TLS (ssl_mode: required) or a certificate (ssl_cert)")),
    ((1820, 1862), Refusal(
        "refuses the account '{user}': its password has expired", ("password", "user"), "set a new one")),
    ((1129, 1130), Refusal("does not let this machine in: {said}", ("user",), "allow the account from here")),
    ((1044,), Refusal(
        "does not let the account '{user}' into the database '{database}'", ("database", "user"),
        "grant it to the account, or name another database")),
    ((1049,), Refusal("has no database '{database}'", ("database",), "make it first, or correct its name")),
    ((3159, 4175), Refusal("takes no connection without TLS", ("ssl_mode",), "set ssl_mode: required")),
)  # fmt: skip
_NO_TLS = Refusal(
    "has no TLS, which {said} wants",
    (),
    "turn it on there, or set ssl_mode: preferred, without certificates, where the way there is safe",
)
_HOST = Refusal("cannot be reached: its host is not known", ("host",), "correct the host's name")
_LOOKUP = Refusal(
    "cannot be reached: its host's name cannot be looked up now", ("host",), "see the network", passes=True
)
_CLOSED = Refusal(
    "cannot be reached: nothing listens there", ("host", "port"), "start the server, or correct host and port", True
)
_SOCKET = Refusal(
    "cannot be reached: there is no such socket", ("unix_socket", "host"), "start the server, or correct the path", True
)
_SLOW = Refusal(
    "cannot be reached: it does not answer in time",
    ("host", "port"),
    "look at the server and at the network between, or raise connect_timeout",
    passes=True,
)
_LINE = Refusal("cannot be reached: {said}", ("host", "port"), "look at the server and at the network between", True)
_ENDED = Refusal(
    "ends the connection before it is made", ("host", "port"), "is it MySQL or MariaDB? see the server's log", True
)
_UNTRUSTED = Refusal("lets no TLS connection be made: {said}", ("ssl_ca", "ssl_mode"), _TRUST)
_NAME = Refusal(
    "lets no TLS connection be made: {said}",
    ("host", "ssl_mode"),
    "give the name that the certificate has, or set ssl_mode: verify_ca",
)
_TLS = Refusal("lets no TLS connection be made: {said}", ("ssl_mode", "ssl_cert", "ssl_ca"), "see the server's log")
_PLUGIN = "wants a way of authentication that cannot be used: {said}"
_UNKNOWN = Refusal("does not let us in: {said}", (), "see the server's log", passes=True)


def refusal_of(error: Exception, connection: Connection) -> tuple[Refusal, str]:
    """What kind of refusal a driver's error tells, and what was said."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = str(error.args[1] if len(error.args) > 1 else error).strip() or type(error).__name__
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, OSError):
        return _of_line(cause, said)
    for numbers, refusal in _NUMBERED:
        if number in numbers:
            return refusal, _account(said) if number in (1045, 1698) else said
    if number == 2026:
        wish = next((n for n in ("ssl_mode", "ssl_ca", "ssl_cert") if connection.has(n)), "ssl_key")
        return _NO_TLS._replace(settings=(wish,)), f"{wish} '{connection.get(wish)}'"
    if number == 2013:
        return (_SLOW if "timed out" in said else _ENDED), said
    if (plugin := _of_plugin(number, said)) is not None:
        return plugin, said
    if isinstance(error, EOFError | AttributeError):
        return _ENDED, said
    return _UNKNOWN, said


def _account(said: str) -> str:
    """The account as the server sees it, and whether it was given a password."""
    found = re.search(r"('.*'@'.*') \(using password: (YES|NO)\)", said)
    return f"{found[1]} {'with this' if found[2] == 'YES' else 'without a'} password" if found else f": {said}"


def _of_line(error: OSError, said: str) -> tuple[Refusal, str]:
    """Of what happened before there was a session."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or str(error)
        named = "mismatch" in why or "not valid for" in why
        return (_NAME if named else _UNTRUSTED), f"certificate verify failed: {why}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return _TLS, reason
    if isinstance(error, socket.gaierror):
        return (_LOOKUP if error.errno == socket.EAI_AGAIN else _HOST), said
    if isinstance(error, TimeoutError):
        return _SLOW, said
    if isinstance(error, FileNotFoundError):
        return _SOCKET, said
    if isinstance(error, ConnectionRefusedError):
        return _CLOSED, said
    return _LINE, error.strerror or said


def _of_plugin(number: int, said: str) -> Refusal | None:
    """Of an account whose way of proving its password needs something that is not here."""
    if "cryptography" in said:
        remedy = "connect with TLS (ssl_mode: required), or `pip install cryptography`"
    elif "pynacl" in said:
        remedy = "`pip install pynacl`"
    elif number in (1251, 1524, 2059, 2061) or "plugin" in said.lower():
        remedy = (
            "connect with TLS (ssl_mode: required), or give the account caching_sha2_password or mysql_native_password"
        )
    else:
        return None
    return Refusal(_PLUGIN, ("user",), remedy)
