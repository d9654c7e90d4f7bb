"""The settings that connectors know, and the variables that may hold them: the first that is set wins."""

from __future__ import annotations

import re

from dativo.config.connection import Connection, SettingField, read_connection
from dativo.config.environment import Environment
from dativo.config.nodes import Node
from dativo.config.secrets import Secrets

F = SettingField


def _s3(first: str, second: str) -> tuple[SettingField, ...]:
    """The settings of S3 and of what speaks its protocol; the variables of `first` come before those of `second`."""

    def either(*suffixes: str) -> tuple[str, ...]:
        prefixes = (first, second)
        return tuple(f"{p}_{s}" for p in prefixes for s in suffixes)

    key, secret = ("AWS_ACCESS_KEY_ID", "MINIO_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "MINIO_SECRET_KEY")
    if first == "MINIO":
        key, secret = key[::-1], secret[::-1]
    return (
        F("endpoint", (), either("ENDPOINT")),
        F("bucket", (), either("BUCKET")),
        F("prefix", (), either("PREFIX")),
        F("access_key_id", ("access_key",), key),
        F("secret_access_key", ("secret_key",), secret, secret=True),
        F("session_token", (), ("AWS_SESSION_TOKEN",), secret=True),
        F("region", (), ("AWS_REGION", "AWS_DEFAULT_REGION", "S3_REGION"), "us-east-1"),
        F("path_style_access", (), (), None),
        F("secure", (), (), None),
    )


FIELDS: dict[str, tuple[SettingField, ...]] = {
    "s3": _s3("S3", "MINIO"),
    "minio": _s3("MINIO", "S3"),
    "azure_blob": (
        F("account_name", (), ("AZURE_STORAGE_ACCOUNT_NAME",)),
        F("account_key", (), ("AZURE_STORAGE_ACCOUNT_KEY",), secret=True),
        F("container", ("bucket",), ("AZURE_STORAGE_CONTAINER",)),
        F("prefix"),
        F("endpoint", (), ("AZURE_STORAGE_ENDPOINT",)),
    ),
    "nessie": (
        F("uri", (), ("NESSIE_URI",)),
        F("ref"),
        F("default_branch", (), (), "main"),
        F("token", (), ("NESSIE_TOKEN",), secret=True),
    ),
    "postgres": (
        F("host", (), ("PGHOST", "POSTGRES_HOST"), "localhost"),
        F("port", (), ("PGPORT", "POSTGRES_PORT"), "5432"),
        F("database", ("dbname",), ("PGDATABASE", "POSTGRES_DB"), "postgres"),
        F("user", ("username",), ("PGUSER", "POSTGRES_USER")),
        F("password", (), ("PGPASSWORD", "POSTGRES_PASSWORD"), secret=True),
        F("sslmode", (), ("PGSSLMODE",)),
        F("sslrootcert", (), ("PGSSLROOTCERT",)),
        F("sslcert", (), ("PGSSLCERT",)),
        F("sslkey", (), ("PGSSLKEY",)),
        F("sslpassword", secret=True),
        F("connect_timeout", (), ("PGCONNECT_TIMEOUT",)),
        F("channel_binding", (), ("PGCHANNELBINDING",)),
        F("application_name", (), ("PGAPPNAME",)),
        F("options", (), ("PGOPTIONS",)),
    ),
    "mysql": (
        F("host", (), ("MYSQL_HOST",), "localhost"),
        F("port", (), ("MYSQL_PORT",), "3306"),
        F("database", ("db",), ("MYSQL_DATABASE", "MYSQL_DB")),
        F("user", ("username",), ("MYSQL_USER",)),
        F("password", ("passwd",), ("MYSQL_PASSWORD",), secret=True),
        F("charset", (), (), "utf8mb4"),
        F("ssl_mode", ("sslmode",)),
        F("ssl_ca"),
        F("ssl_cert"),
        F("ssl_key"),
        F("ssl_key_password", ("sslpassword",), secret=True),
        F("connect_timeout"),
        F("unix_socket", ("socket",)),
        F("auth_plugin"),
        F("use_native_auth"),
        F("autocommit"),
    ),
    "sqlite": (F("database_path", (), ("SQLITE_DATABASE_PATH",)),),
}
STORES = ("s3", "minio", "azure_blob")


def connections(
    role: str,
    type_: str,
    node: Node,
    environment: Environment,
    secrets: Secrets,
    names: tuple[str, ...],
    dsn: Node | None = None,
) -> dict[str, Connection]:
    """The connections of a side, by the role that they play for it: `source` or `target`, for Iceberg `nessie` too.

    `node` is the side's block, variables put in; `names` are the secrets to look into; `dsn` has what stands in a connection
    URL, which comes after the settings of the same file and before those of a recipe.
    """
    block = node.get("connection")
    flat = [(f"{role}.connection", block)] if block is not None and block.kind == "map" else []
    if type_ != "iceberg":
        fields = FIELDS.get(type_)
        if fields is None:
            return {}
        top = [(role, node)] if type_ in STORES else []  # `source.bucket` and `source.prefix` are settings, too
        blocks = [*_nested(role, flat, (type_,)), *flat, *top_level(top, fields)]
        if dsn is not None:
            blocks = _around(dsn, f"{role}.dsn", blocks)
        return {role: read_connection(type_, fields, blocks, environment, secrets, names)}
    nested = _nested(role, flat, ("s3", "minio"))
    store = read_connection("s3", FIELDS["s3"], [*nested, *flat], environment, secrets, names)
    nessie = _nessie(role, flat, environment, secrets, (*names, "nessie"))
    return {role: store, "nessie": nessie}


def _around(dsn: Node, path: str, blocks: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """The blocks with a connection URL between what its own file says and what comes from another."""
    near, far = [], []
    for name, block in blocks:
        own = {k: v for k, v in block.value.items() if v.mark.file == dsn.mark.file}
        near.append((name, block.having(own)))
        far.append((name, block.having({k: v for k, v in block.value.items() if k not in own})))
    return [*near, (path, dsn), *far]


def _nested(role: str, flat: list[tuple[str, Node]], names: tuple[str, ...]) -> list[tuple[str, Node]]:
    """The blocks inside `connection` that are called like a connector."""
    found = [(f"{role}.connection.{n}", b) for n in names if flat and (b := flat[0][1].get(n)) is not None]
    return [(path, block) for path, block in found if block.kind == "map"]


def top_level(blocks: list[tuple[str, Node]], fields: tuple[SettingField, ...]) -> list[tuple[str, Node]]:
    """The part of a side's own block that is about where its store is."""
    wanted = {"bucket", "prefix", "container"} & {s for f in fields for s in f.spellings}
    return [(path, n.having({k: v for k, v in n.value.items() if k in wanted})) for path, n in blocks]


def _nessie(
    role: str, flat: list[tuple[str, Node]], environment: Environment, secrets: Secrets, names: tuple[str, ...]
) -> Connection:
    block = flat[0][1].get("nessie") if flat else None
    path = f"{role}.connection.nessie"
    blocks = []
    if block is not None and block.kind == "map":
        blocks = [(path, block)]
    elif block is not None and block.kind == "scalar" and not block.is_null():
        blocks = [(path, block.having({"uri": block}))] if not block.unset else []
    return read_connection("nessie", FIELDS["nessie"], blocks, environment, secrets, names)


def endpoint_url(connection: Connection) -> str | None:
    """The endpoint with its scheme: `https://` where `secure` or the host is Amazon's, else `http://`; None for Amazon."""
    text = (connection.get("endpoint") or "").strip().rstrip("/")
    if not text:
        return None
    if re.match(r"https?://", text):
        return text
    secure = connection.flag("secure")
    if secure is None:
        secure = text.split("/")[0].split(":")[0].endswith(".amazonaws.com")
    return f"{'https' if secure else 'http'}://{text}"
