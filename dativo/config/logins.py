"""How the program logs in to a database: what its driver is told, the same for reading from it and for loading into it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from dativo.config.connection import Connection
from dativo.config.tls import context, mode_of, readable

CONNECT_SECONDS = 10
# A host that is gone without a word is noticed after two minutes, not after the two hours of most systems.
PROBES = {"idle": 60, "interval": 10, "count": 6}
SILENT_SECONDS = 120
_LIBPQ = {
    "user": "user", "password": "password", "database": "dbname", "sslrootcert": "sslrootcert", "sslcert": "sslcert",
    "sslkey": "sslkey", "sslpassword": "sslpassword", "channel_binding": "channel_binding",
    "application_name": "application_name", "options": "options",
}  # fmt: skip


def libpq(connection: Connection, silent: float = SILENT_SECONDS) -> str:
    """How libpq is told where to connect: a connection string of keywords and quoted values.

    What is sent may stay without an answer for `silent` seconds. BadCertificate for a certificate that cannot be read.
    """
    # Without a word libpq would do without it.
    readable(connection, "sslcert")
    parts = {"host": host_of(connection), "port": connection.get("port") or "", "application_name": "dativo"}
    parts |= {theirs: value for ours, theirs in _LIBPQ.items() if (value := connection.get(ours))}
    if mode := connection.get("sslmode"):
        parts["sslmode"] = mode.lower().replace("_", "-")
    parts |= {"connect_timeout": str(connect_seconds(connection)), "client_encoding": "UTF8"}
    parts |= {f"keepalives_{name}": str(value) for name, value in PROBES.items()}
    parts["tcp_user_timeout"] = str(round(silent * 1000))
    return " ".join(f"{name}={_quoted(value)}" for name, value in parts.items() if value)


def pymysql(connection: Connection) -> dict[str, Any]:
    """PyMySQL's arguments for a connection, text in utf8mb4; BadCertificate for files of TLS that cannot be used, OSError
    for a socket that is not there.

    Reading gives up as early as connecting does, because a server that hangs never greets: see `patient`.
    """
    seconds, path, mode = connect_seconds(connection), socket_of(connection), mode_of(connection)
    if path is not None:
        # PyMySQL would leave a socket open that leads nowhere.
        Path(path).stat()
    found: dict[str, Any] = {
        "host": host_of(connection) if path is None else "localhost",
        "port": int(connection.get("port") or 3306),
        "unix_socket": path,
        "user": connection.get("user"),
        # PyMySQL would write text in Latin-1.
        "password": (connection.get("password") or "").encode(),
        "database": connection.get("database"),
        "charset": "utf8mb4",
        "connect_timeout": seconds,
        "read_timeout": seconds,
        "program_name": "dativo",
    }
    files = any(connection.get(name) for name in ("ssl_ca", "ssl_cert", "ssl_key"))
    if mode == "disabled":
        found["ssl_disabled"] = True
    elif mode != "preferred" or files:
        found["ssl"] = context(connection, mode)
    # Without both PyMySQL speaks TLS where the server has it.
    return found


def patient(client: Any, seconds: float, silent: float = SILENT_SECONDS) -> None:
    """From now on a server of MySQL may think for so many seconds, while its host has to answer within `silent`."""
    client._read_timeout = seconds
    options = {"TCP_KEEPIDLE": PROBES["idle"], "TCP_KEEPINTVL": PROBES["interval"], "TCP_KEEPCNT": PROBES["count"]}
    options["TCP_USER_TIMEOUT"] = round(silent * 1000)
    for name, value in options.items():
        # Not every system has all of them, nor has a socket of the file system.
        with suppress(OSError, AttributeError):
            client._sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def connect_seconds(connection: Connection) -> int:
    """How long connecting may take."""
    return int(connection.get("connect_timeout") or CONNECT_SECONDS)


def host_of(connection: Connection) -> str:
    """The host; an address of IPv6 without the brackets that it has in a URL."""
    host = connection.get("host") or "localhost"
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def socket_of(connection: Connection) -> str | None:
    """The file of a server's socket, where it is reached by one; of Postgres the host is its folder."""
    host = host_of(connection)
    if connection.kind == "postgres":
        return f"{host}/.s.PGSQL.{connection.get('port')}" if host.startswith("/") else None
    return connection.get("unix_socket") or (host if host.startswith("/") else None)


def address(connection: Connection) -> str:
    """Where a database is, for people: `db.example.com:5432`, `[::1]:5432` or the file of a socket."""
    if (path := socket_of(connection)) is not None:
        return path
    host, port = host_of(connection), connection.get("port") or ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
