"""The Iceberg catalog of a job: chosen by its configuration, opened through pyiceberg.

Order: `target.catalog`, then `connection.nessie` or `NESSIE_URI`, else an embedded catalog on SQLite with its warehouse
in the bucket of the connection or in a local folder, one for each tenant.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import msgspec

from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError, TargetError, UnsupportedError
from dativo.state.store import state_root
from dativo.targets.iceberg.failure import translated
from dativo.targets.iceberg.storage import bucket_uri, store_properties

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

# A SQL catalog keeps this name in every row: other tools must open it under the same one.
NAME = "dativo"
OPENING_ROUNDS = 5
UNBUILT = ("glue", "hive")


class NessieSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A Nessie server's own interface: `api` is its address with `/api/v2`, `branch` where the job's tables are.

    A branch that does not exist is made from `default_branch`.
    """

    api: str
    branch: str
    default_branch: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"NessieSettings(api={self.api!r}, branch={self.branch!r})"


class CatalogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a catalog is opened: pyiceberg's properties, and whether it is the embedded one.

    `nessie` is set where the catalog is a Nessie server; `properties["uri"]` is its Iceberg address then, without a branch.
    """

    properties: dict[str, str]
    embedded: bool
    label: str
    nessie: NessieSettings | None = None

    def __repr__(self) -> str:
        return f"CatalogSettings({self.label!r})"


def settings(job: ResolvedJob, *, make: bool = True) -> CatalogSettings:
    """The job's catalog; with `make` the local folders that it needs are there afterwards.

    Raises UnsupportedError for kinds that are not built yet, TargetError for settings that lack.
    """
    configured = job.target.catalog
    block: dict[str, Any] = {"type": configured} if isinstance(configured, str) else dict(configured or {})
    kind = str(block.pop("type", block.pop("name", "")) or "").lower()
    nessie = job.connections.get("nessie")
    if not kind and nessie is not None and nessie.has("uri"):
        kind = "nessie"
    if kind in UNBUILT:
        raise UnsupportedError(
            f"the catalog '{kind}' is not built yet",
            mark=job.mark("target.catalog"),
            field="target.catalog",
            hint="leave the catalog out for the embedded one, or use `{type: rest, uri: …}` or `{type: sql, uri: …}`",
        )
    if kind == "nessie":
        return _nessie(job, block)
    if kind == "rest":
        return _rest(job, block)
    if kind in ("sql", ""):
        return _sql(job, block, make)
    raise TargetError(
        f"unknown catalog '{kind}'",
        mark=job.mark("target.catalog"),
        field="target.catalog",
        hint="sql, rest, or none for the embedded catalog",
    )


def unbuilt(job: ResolvedJob) -> Iterator[UnsupportedError]:
    """Why this version cannot use the job's catalog; nothing when it can, or when the run will tell a mistake in it."""
    try:
        settings(job, make=False)
    except UnsupportedError as error:
        yield error
    except TargetError:
        return


def _sql(job: ResolvedJob, block: dict[str, Any], make: bool) -> CatalogSettings:
    embedded = not block.get("uri")
    if embedded:
        folder = state_root(job) / job.tenant_id
        database = folder / "catalog.db"
        if make:
            _make(folder, "the state folder")
        uri = f"sqlite:///{quote(str(database))}"
    else:
        uri = _absolute_sqlite(str(block["uri"]), Path(job.root), make)
        uri = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", uri)
    store = job.connections.get("target")
    local = str(Path(job.root) / ".local" / "warehouse" / job.tenant_id)
    warehouse = job.target.warehouse or block.pop("warehouse", None) or bucket_uri(store) or local
    warehouse = _warehouse(warehouse, job, make)
    properties = {
        "type": "sql",
        "uri": uri,
        "warehouse": warehouse,
        **({} if warehouse.startswith("file:") else store_properties(store)),
        **{k: str(v) for k, v in block.items() if k != "uri"},
    }
    label = "embedded catalog" if embedded else f"sql catalog {_without_password(uri)}"
    return CatalogSettings(properties=properties, embedded=embedded, label=label)


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite catalog; None for other catalogs."""
    match = re.fullmatch(r"sqlite:///(?:file:)?([^?]+)(\?.*)?", uri)
    return Path(unquote(match[1])) if match is not None else None


def _rest(job: ResolvedJob, block: dict[str, Any]) -> CatalogSettings:
    uri = block.get("uri")
    if not uri:
        raise TargetError(
            "a rest catalog needs a 'uri'",
            mark=job.mark("target.catalog"),
            field="target.catalog.uri",
            hint="as `catalog: {type: rest, uri: http://localhost:8181}`",
        )
    properties = {"type": "rest", **store_properties(job.connections.get("target"))}
    properties |= {k: str(v) for k, v in block.items()}
    if job.target.warehouse:
        properties["warehouse"] = job.target.warehouse
    return CatalogSettings(properties=properties, embedded=False, label=f"rest catalog {_without_password(str(uri))}")


def _nessie(job: ResolvedJob, block: dict[str, Any]) -> CatalogSettings:
    connection = job.connections["nessie"]
    uri = str(block.pop("uri", None) or connection.get("uri") or "")
    if not uri:
        raise TargetError(
            "the Nessie catalog has no address",
            mark=job.mark("target.catalog"),
            field="target.connection.nessie.uri",
            hint=f"as `http://localhost:19120`; it is {connection.origin('uri')}",
        )
    if not re.match(r"https?://[^/]", uri):
        raise TargetError(
            f"'{_without_password(uri)}' is no address of a Nessie server",
            field="target.connection.nessie.uri",
            mark=job.mark("target.connection.nessie"),
            hint=f"as `http://localhost:19120`; it comes from {connection.origin('uri')}",
        )
    # Older configurations name Nessie's own interface; the Iceberg one is beside it on the same server.
    base = re.sub(r"/(api/v[12]|iceberg)(/.*)?$", "", uri.rstrip("/"))
    token = connection.get("token")
    warehouse = job.target.warehouse or block.pop("warehouse", None)
    properties = {
        "type": "rest",
        "uri": f"{base}/iceberg",
        **store_properties(job.connections.get("target")),
        **({"warehouse": str(warehouse)} if warehouse else {}),
        **({"token": token} if token else {}),
        **{k: str(v) for k, v in block.items() if k not in ("ref", "default_branch", "branch")},
    }
    nessie = NessieSettings(
        api=f"{base}/api/v2",
        branch=job.branch or job.tenant_id,
        default_branch=connection.get("default_branch") or "main",
        token=token,
    )
    label = f"Nessie {_without_password(base)}, branch {nessie.branch}"
    return CatalogSettings(properties=properties, embedded=False, label=label, nessie=nessie)


def _absolute_sqlite(uri: str, root: Path, make: bool) -> str:
    """A SQLite URI whose relative path is taken from the project's root."""
    if re.fullmatch(r"sqlite(\+\w+)?:(//)?(/|/:memory:(\?.*)?)?", uri):
        raise TargetError(
            "a catalog in memory would be lost with the run",
            field="target.catalog.uri",
            hint="as `sqlite:///catalog.db`",
        )
    match = re.fullmatch(r"sqlite:///(?!file:)([^?]+)(\?.*)?", uri)
    if match is None:
        return uri
    database = root / unquote(match[1])
    if make:
        _make(database.parent, "the catalog's folder")
    return f"sqlite:///{quote(str(database))}{match[2] or ''}"


def _warehouse(text: str, job: ResolvedJob, make: bool) -> str:
    if re.match(r"(?!file:)[a-z0-9+.-]+://", text):
        return text
    path = Path(unquote(local_path(text))) if text.startswith("file:") else Path(text).expanduser()
    path = path if path.is_absolute() else Path(job.root) / path
    odd = next((c for c in "?#" if c in str(path)), None)
    if odd is not None:
        raise TargetError(
            f"the warehouse '{path}' has a '{odd}' in its path, which readers of Iceberg tables take for the path's end",
            hint="move the project, or set target.warehouse to another folder",
            mark=job.mark("target.warehouse"),
        )
    if make:
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
    doubt: Exception | None = None
    for turn in range(OPENING_ROUNDS):
        time.sleep(0.05 * turn)
        try:
            if chosen.nessie is not None:
                from dativo.targets.iceberg.nessie import NessieCatalog

                api, branch, default = chosen.nessie.api, chosen.nessie.branch, chosen.nessie.default_branch
                return NessieCatalog(NAME, api=api, branch=branch, default_branch=default, **chosen.properties)
            if chosen.properties["type"] == "rest":
                from dativo.targets.iceberg.rest import PatientRestCatalog

                return PatientRestCatalog(NAME, **chosen.properties)
            return _sql_catalog(chosen.properties)
        except DativoError:
            raise
        except Exception as error:  # noqa: BLE001 - raised below in dativo's words
            doubt = error
            # Another run makes the catalog's tables at the same moment.
            if "already exists" not in str(error):
                break
    assert doubt is not None
    raise translated(doubt, f"opening the {chosen.label}") from doubt


def _sql_catalog(properties: dict[str, str]) -> Catalog:
    database = sqlite_file(properties["uri"])
    if database is not None and "?" not in properties["uri"] and "file:" not in properties["uri"]:
        from dativo.targets.iceberg.sqlite import SqliteCatalog

        return SqliteCatalog(NAME, database, **properties)  # type: ignore[abstract]
    from pyiceberg.catalog.sql import SqlCatalog

    try:
        return SqlCatalog(NAME, **{**properties, "uri": _with_patience(properties["uri"])})
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the catalog's database needs the package '{error.name}'",
            hint="for Postgres: pip install 'dativo[postgres]'; for others the driver that SQLAlchemy names",
            field="target.catalog.uri",
        ) from None


def _with_patience(uri: str) -> str:
    """The address of a Postgres catalog with limits to the waiting for it, which its driver does not have itself."""
    if not uri.startswith("postgresql+psycopg") or "connect_timeout" in uri:
        return uri
    limits = "connect_timeout=10&tcp_user_timeout=60000&options=-c%20statement_timeout%3D60000"
    return f"{uri}{'&' if '?' in uri else '?'}{limits}"


def is_local(location: str) -> bool:
    """Whether a location is a path of this machine."""
    return location.startswith(("file:", "/"))


def local_path(location: str) -> str:
    """The path of a local location. Nothing in it is decoded: pyiceberg takes it as it is, too."""
    return re.sub(r"^file:(//)?(?=/)", "", location)
