"""What stands between a job and its Iceberg tables: catalog, branch, namespaces, store or warehouse folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dativo.config.connection import Connection, Setting
from dativo.config.connection_fields import endpoint_url
from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError
from dativo.targets.iceberg.catalog import CatalogSettings, is_local, local_path, settings, sqlite_file
from dativo.targets.iceberg.check_catalog import address_origin, answers, error_finding
from dativo.targets.reach import Unreachable, finding, knock_at, unreachable

Found = Iterator[dict[str, Any]]


def check(job: ResolvedJob) -> list[dict[str, Any]]:
    """Findings, the first that is not ok being the one to mend first. Nothing is made but an object that is removed."""
    try:
        chosen = settings(job, make=False)
    except DativoError as error:
        return [error_finding("catalog", error)]
    told: dict[str, Any] = {}
    sql = chosen.properties["type"] == "sql"
    found = list(_sql(job, chosen) if sql else answers(job, chosen, told))
    if all(entry["ok"] is not False for entry in found):
        found += _files(job, chosen, str(told.get("warehouse") or chosen.properties.get("warehouse") or ""))
    return found


def _sql(job: ResolvedJob, chosen: CatalogSettings) -> Found:
    uri = chosen.properties["uri"]
    database = sqlite_file(uri)
    if database is not None:
        yield _writable("catalog", database, f"{chosen.label}, {database}", address_origin(job, chosen))
        return
    parts = urlsplit(uri)
    origin = address_origin(job, chosen)
    try:
        knock_at(uri if parts.port else uri.replace(f"@{parts.hostname}", f"@{parts.hostname}:5432", 1))
    except Unreachable as error:
        yield unreachable("catalog", error, opening="the catalog's database", origin=origin)
        return
    yield _login(chosen, origin)


def _login(chosen: CatalogSettings, origin: str) -> dict[str, Any]:
    """Whether the catalog's database lets the job in; no table is made."""
    from dativo.targets.iceberg.catalog import open_catalog

    try:
        without = msgspec.structs.replace(chosen, properties={**chosen.properties, "init_catalog_tables": "false"})
        engine: Any = getattr(open_catalog(without), "engine", None)
        if engine is not None:
            engine.connect().close()
    except DativoError as error:
        found = error_finding("catalog", error)
        return {**found, "hint": "\n".join(t for t in (found["hint"], origin) if t)}
    except Exception as error:
        if type(error).__module__.split(".")[0] != "sqlalchemy":
            raise
        text = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        hint = f"check user, password and database\n{origin}"
        return finding("catalog", False, f"the catalog's database refuses: {text}", hint, code="credentials")
    return finding("catalog", True, f"{chosen.label} answers")


def _files(job: ResolvedJob, chosen: CatalogSettings, warehouse: str) -> Found:
    """Where the tables' files go: a folder that can be written, or a bucket."""
    if chosen.properties["type"] == "sql" and is_local(warehouse):
        folder = Path(local_path(warehouse))
        yield _writable("warehouse", folder / "x", str(folder), f"target.warehouse ({job.mark('target.warehouse')})")
        return
    connection = job.connections.get("target")
    if connection is None or not (connection.has("access_key_id") or connection.has("secret_access_key")):
        yield finding("store", None, "not asked: the job gives no keys of its own, so the catalog hands them out")
        return
    parts = urlsplit(warehouse)
    bucket = parts.netloc if parts.scheme in ("s3", "s3a") else ""
    own = connection.get("bucket") if connection.given("bucket") else None
    if not (own or bucket):
        yield finding("store", None, f"not asked: the catalog knows the bucket; bucket: {connection.origin('bucket')}")
        return
    if own:
        yield from store(connection)
    if bucket and bucket != own:
        if own:
            message = f"the tables' files go to {warehouse}, the catalog's warehouse, and not to the bucket '{own}'"
            yield finding("store", None, message, f"bucket: {connection.origin('bucket')}", code="bucket")
        yield from store(_at(connection, bucket, parts.path.strip("/")))


def store(connection: Connection) -> Found:
    """Whether the bucket of a connection is there and can be written: an object is put there and removed again."""
    from dativo.stores.store import open_store

    url = endpoint_url(connection)
    try:
        if url is not None:
            knock_at(url)
    except Unreachable as error:
        origin = f"endpoint: {connection.origin('endpoint')}"
        yield unreachable(
            "store", error, opening=f"S3 connectivity failed: Cannot connect to S3 at {url}", origin=origin
        )
        return
    try:
        open_store(connection).check()
    except ModuleNotFoundError as error:
        yield finding("store", None, f"not asked: that needs the package '{error.name}', `pip install 'dativo[s3]'`")
        return
    except DativoError as error:
        yield error_finding("store", error)
        return
    yield finding("store", True, f"s3://{connection.get('bucket')} can be written" + (f", {url}" if url else ""))


def _at(connection: Connection, bucket: str, prefix: str) -> Connection:
    """The connection to another bucket, which is that of the warehouse."""
    place = {"bucket": bucket, "prefix": prefix}
    settings = {name: Setting(value=value, origin="the warehouse") for name, value in place.items()}
    return msgspec.structs.replace(connection, settings={**connection.settings, **settings})


def _writable(name: str, path: Path, label: str, origin: str) -> dict[str, Any]:
    """Whether a file can be made or changed, without doing so."""
    if path.exists():
        ok = path.is_file() and os.access(path, os.R_OK | os.W_OK)
        return finding(name, ok, label if ok else f"{path} cannot be written", "" if ok else f"check it\n{origin}",
                       code="" if ok else "local")  # fmt: skip
    there = next(p for p in path.parents if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "is no folder" if not there.is_dir() else "may not be written"
        return finding(name, False, f"{path.parent} cannot be made: {there} {reason}",
                       f"check its permissions, or choose another place\n{origin}", code="local")  # fmt: skip
    return finding(name, True, label)
