"""What a configuration may not do in cloud mode, where its author is not the owner of the machine.

It reads no variables of the process but those of the connectors, and names no file outside its project.
"""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from pathlib import Path

from dativo.config.dsn import SCHEMES, BadUrl, parse_dsn
from dativo.config.environment import Environment
from dativo.config.nodes import Node
from dativo.config.reading import Reading

VARIABLES = frozenset({
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
    "S3_ENDPOINT", "S3_BUCKET", "S3_PREFIX", "S3_REGION", "MINIO_ENDPOINT", "MINIO_BUCKET", "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY", "NESSIE_URI", "NESSIE_REF", "NESSIE_BRANCH", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER",
    "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGCONNECT_TIMEOUT", "PGCHANNELBINDING",
    "PGAPPNAME", "PGOPTIONS",
    "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD",
    "MYSQL_HOST", "MYSQL_PORT", "MYSQL_DATABASE", "MYSQL_DB", "MYSQL_USER", "MYSQL_PASSWORD", "SQLITE_DATABASE_PATH",
    "STRIPE_API_KEY", "HUBSPOT_API_KEY", "HUBSPOT_TOKEN", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONTAINER", "GDRIVE_CREDENTIALS_PATH", "GSHEETS_CREDENTIALS_PATH", "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT", "OPENMETADATA_API_URL", "OPENMETADATA_AUTH_TOKEN", "DATABRICKS_WORKSPACE_URL",
    "DATABRICKS_ACCESS_TOKEN", "DATABRICKS_CATALOG", "DATABRICKS_WAREHOUSE_ID",
})  # fmt: skip

_CERTIFICATES = ("sslrootcert", "sslcert", "sslkey", "ssl_ca", "ssl_cert", "ssl_key")
_FILES = frozenset({"database_path", *_CERTIFICATES})
# Settings that name files of this machine; positions in lists are left out.
_PATHS = frozenset({
    "source_connector_path", "target_connector_path", "asset_path", "assets", "asset_paths", "source.files.path",
    "source.files.file", "source.files.file_path", "source.incremental.state_path", "source.custom_reader",
    "source.connection.database_path", "source.connection.sqlite.database_path", "source.dsn",
    *(f"{role}.connection.{name}" for role in ("source", "target") for name in _CERTIFICATES),
    "target.custom_writer", "target.warehouse", "target.export.out", "target.catalog.uri", "target.catalog.warehouse",
})  # fmt: skip


def cloud_environment(environment: Environment) -> Environment:
    """The part of an environment that a configuration may read in cloud mode: never a `.env` file."""
    values = [{k: v for k, v in found.items() if k in VARIABLES} for found in environment.values[:1]]
    return Environment(list(values), ["the variables of the connectors (cloud mode reads no others)"])


def check_paths(node: Node, prefix: str, reading: Reading) -> None:
    """Notes the paths below a node that lead out of the project."""
    for field, found in node.walk(prefix):
        if found.kind != "scalar" or not isinstance(found.value, str) or re.sub(r"\[\d+\]", "", field) not in _PATHS:
            continue
        url = field == "source.dsn"
        for text in _files(found.value) if url else [_local(found.value)]:
            if text is not None and not _inside(text, reading):
                # A URL of a server may have a password in it.
                shown = text if url else found.written or found.value
                reading.problems.add(
                    f"'{shown}' leaves the project, which cloud mode does not allow",
                    found.mark,
                    field,
                    "use a path below the project",
                )


def _files(text: str) -> list[str]:
    """The files that a connection URL names."""
    for type_ in SCHEMES:
        with suppress(BadUrl):
            return [value for name, value in parse_dsn(type_, text).items() if name in _FILES]
    return []


def _local(text: str) -> str | None:
    """The path that a setting means on this machine, or None for another machine's address."""
    for scheme in ("file://", "sqlite:///"):
        if text.startswith(scheme):
            return text.removeprefix(scheme)
    return None if re.match(r"[a-z][a-z0-9+.-]*://", text) else text


def _inside(text: str, reading: Reading) -> bool:
    relative = text.removeprefix("/app/")
    if "\0" in relative or relative.startswith("~") or os.path.normpath(relative).startswith(".."):
        return False
    homes = [_real(reading.root), _real(Path.cwd())]
    # Behind a wildcard nothing is known but the text; before it, links are followed.
    fixed = Path(*_before_magic(Path(relative)))
    return all(any(_real(home / fixed).is_relative_to(inside) for inside in homes) for home in homes)


def _before_magic(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return parts


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
