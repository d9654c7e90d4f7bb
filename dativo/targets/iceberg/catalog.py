"""The Iceberg catalog of a job: chosen by its configuration, opened through pyiceberg.

Order: `target.catalog`, then `connection.nessie` or `NESSIE_URI`, else an embedded catalog on SQLite with its warehouse
in a local folder, one for each tenant.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import msgspec
from pyiceberg.catalog import Catalog, load_catalog

from dativo.config.resolve import ResolvedJob
from dativo.errors import TargetError, UnsupportedError
from dativo.state.store import state_root

# A SQL catalog keeps this name in every row: other tools must open it under the same one.
NAME = "dativo"
UNBUILT = ("nessie", "glue", "hive")


class CatalogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a catalog is opened: pyiceberg's properties, and whether it is the embedded one."""

    properties: dict[str, str]
    embedded: bool
    label: str


def settings(job: ResolvedJob) -> CatalogSettings:
    """The job's catalog; UnsupportedError for kinds that are not built yet, TargetError for settings that lack."""
    configured = job.target.catalog
    block: dict[str, Any] = {"type": configured} if isinstance(configured, str) else dict(configured or {})
    kind = str(block.pop("type", block.pop("name", "")) or "").lower()
    nessie = job.target.connection.get("nessie") or os.environ.get("NESSIE_URI")
    if not kind and nessie:
        kind = "nessie"
    if kind in UNBUILT:
        raise UnsupportedError(
            f"the catalog '{kind}' is not built yet", mark=job.mark("target.catalog"), field="target.catalog",
            hint="leave the catalog out for the embedded one, or use `{type: rest, uri: …}` or `{type: sql, uri: …}`",
        )
    if kind == "rest":
        return _rest(job, block)
    if kind in ("sql", ""):
        return _sql(job, block)
    raise TargetError(
        f"unknown catalog '{kind}'", mark=job.mark("target.catalog"), field="target.catalog",
        hint="sql, rest, or none for the embedded catalog",
    )


def _sql(job: ResolvedJob, block: dict[str, Any]) -> CatalogSettings:
    embedded = not block.get("uri")
    if embedded:
        folder = state_root(job) / job.tenant_id
        database = folder / "catalog.db"
        _make(folder, "the state folder")
        uri = f"sqlite:///{database}"
    else:
        uri = _absolute_sqlite(str(block["uri"]), Path(job.root))
    warehouse = job.target.warehouse or str(Path(job.root) / ".local" / "warehouse" / job.tenant_id)
    warehouse = _warehouse(warehouse, job)
    properties = {
        "type": "sql",
        "uri": uri,
        "warehouse": warehouse,
        **{k: str(v) for k, v in block.items() if k != "uri"},
    }
    label = "embedded catalog" if embedded else f"sql catalog {_without_password(uri)}"
    return CatalogSettings(properties=properties, embedded=embedded, label=label)


def _rest(job: ResolvedJob, block: dict[str, Any]) -> CatalogSettings:
    uri = block.get("uri")
    if not uri:
        raise TargetError(
            "a rest catalog needs a 'uri'", mark=job.mark("target.catalog"), field="target.catalog.uri",
            hint="as `catalog: {type: rest, uri: http://localhost:8181}`",
        )
    properties = {"type": "rest", **{k: str(v) for k, v in block.items()}}
    if job.target.warehouse:
        properties["warehouse"] = job.target.warehouse
    return CatalogSettings(properties=properties, embedded=False, label=f"rest catalog {uri}")


def _absolute_sqlite(uri: str, root: Path) -> str:
    """A SQLite URI whose relative path is taken from the project's root."""
    match = re.fullmatch(r"sqlite:///(?!/)(.+)", uri)
    if match is None or match[1] == ":memory:":
        return uri
    database = root / match[1]
    _make(database.parent, "the catalog's folder")
    return f"sqlite:///{database}"


def _warehouse(text: str, job: ResolvedJob) -> str:
    if re.match(r"(?!file:)[a-z0-9+.-]+://", text):
        return text
    path = Path(local_path(text)) if text.startswith("file:") else Path(text).expanduser()
    path = path if path.is_absolute() else Path(job.root) / path
    _make(path, "the warehouse")
    return f"file://{path}"


def _make(folder: Path, what: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(
            f"{what} '{folder}' cannot be made: {error.strerror}", hint="check the path and its permissions"
        ) from None


def _without_password(uri: str) -> str:
    return re.sub(r"://([^:/@]*):[^@]*@", r"://\1:****@", uri)


def open_catalog(chosen: CatalogSettings) -> Catalog:
    """The catalog; TargetError when it cannot be opened."""
    try:
        return load_catalog(NAME, **chosen.properties)
    except Exception as error:
        raise TargetError(f"the {chosen.label} cannot be opened: {first_line(error)}") from error


def is_local(location: str) -> bool:
    """Whether a location is a path of this machine."""
    return location.startswith(("file:", "/"))


def local_path(location: str) -> str:
    """The path of a local location."""
    return unquote(urlparse(location).path) if location.startswith("file:") else location


def first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
