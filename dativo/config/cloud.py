"""What a configuration may not do in cloud mode, where its author is not the owner of the machine.

It reads no variables of the process but those of the connectors, and names no file outside its project.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from dativo.config.environment import Environment
from dativo.config.nodes import Node
from dativo.config.reading import Reading

VARIABLES = re.compile(
    r"(?:AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|DEFAULT_REGION)"
    r"|S3_(?:ENDPOINT|BUCKET|PREFIX|REGION)|MINIO_(?:ENDPOINT|BUCKET|ACCESS_KEY|SECRET_KEY)|NESSIE_(?:URI|REF|BRANCH)"
    r"|PG(?:HOST|PORT|DATABASE|USER|PASSWORD|SSLMODE)|POSTGRES_(?:HOST|PORT|DB|USER|PASSWORD)"
    r"|MYSQL_(?:HOST|PORT|DATABASE|DB|USER|PASSWORD)|SQLITE_DATABASE_PATH|STRIPE_API_KEY|HUBSPOT_(?:API_KEY|TOKEN)"
    r"|AZURE_STORAGE_(?:ACCOUNT_NAME|ACCOUNT_KEY|CONTAINER)|GDRIVE_CREDENTIALS_PATH|GSHEETS_CREDENTIALS_PATH"
    r"|GOOGLE_(?:APPLICATION_CREDENTIALS|CLOUD_PROJECT)|OPENMETADATA_(?:API_URL|AUTH_TOKEN)"
    r"|DATABRICKS_(?:WORKSPACE_URL|ACCESS_TOKEN|CATALOG|WAREHOUSE_ID))\Z"
)

_PATHS = re.compile(
    r"(?:source_connector_path|target_connector_path|asset_path|assets?(?:_paths)?\[\d+\]"
    r"|source\.files\[\d+\]\.(?:path|file|file_path)|source\.incremental\.state_path|source\.custom_reader"
    r"|source\.connection(?:\.sqlite)?\.database_path|target\.custom_writer|target\.warehouse|target\.export\.out"
    r"|target\.catalog\.(?:uri|warehouse))\Z"
)


def cloud_environment(environment: Environment) -> Environment:
    """The part of an environment that a configuration may read in cloud mode: never a `.env` file."""
    values = [{k: v for k, v in found.items() if VARIABLES.match(k)} for found in environment.values[:1]]
    return Environment(list(values), ["the variables of the connectors (cloud mode reads no others)"])


def check_paths(node: Node, prefix: str, reading: Reading) -> None:
    """Notes the paths below a node that lead out of the project."""
    for field, found in node.walk(prefix):
        if found.kind != "scalar" or not isinstance(found.value, str) or not _PATHS.match(field):
            continue
        text = _local(found.value)
        if text is not None and not _inside(text, reading):
            reading.problems.add(
                f"'{found.written or found.value}' leaves the project, which cloud mode does not allow",
                found.mark,
                field,
                "use a path below the project",
            )


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
