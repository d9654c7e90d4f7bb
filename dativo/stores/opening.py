"""Clients of object stores, made from a connection: for obstore, and for Polars, with the same settings and limits."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from dativo.config.connection import Connection
from dativo.config.connection_fields import endpoint_url
from dativo.errors import StoreError

CONNECT_SECONDS = 10
READ_SECONDS = 60
RETRIES = 5
RETRY_SECONDS = 60
# A request ends when nothing was read for READ_SECONDS; one that goes on reading may take this long.
WHOLE_SECONDS = 3600
ROLE_BUCKET = {"s3": "bucket", "az": "container"}


def opened(connection: Connection, *, hashed: bool = True) -> Any:
    """The obstore client of a connection; StoreError when it names no bucket or gives no credentials.

    Without `hashed` the requests to S3 carry no hash of their content.
    """
    from obstore.store import AzureStore, S3Store

    limits: Any = {
        "client_options": {
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(seconds=WHOLE_SECONDS),
            "allow_http": True,
        },
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {
                "init_backoff": timedelta(milliseconds=200),
                "max_backoff": timedelta(seconds=8),
                "base": 2,
            },
        },
    }
    if connection.kind == "azure_blob":
        container = _needed(connection, "container")
        return AzureStore(container, **{**_azure(connection), **limits})
    return S3Store(_needed(connection, "bucket"), **{**_s3(connection), **limits, "unsigned_payload": not hashed})


def polars_options(connection: Connection) -> dict[str, str]:
    """The same for Polars, as its `storage_options`."""
    options = _azure(connection) if connection.kind == "azure_blob" else _s3(connection)
    vendor = "azure_storage" if connection.kind == "azure_blob" else "aws"
    names = {"endpoint": "endpoint_url"} if vendor == "aws" else {}
    found = {f"{vendor}_{names.get(k, k)}": v for k, v in options.items()}
    found[f"{vendor.split('_', 1)[0]}_allow_http"] = "true"
    return {
        **found,
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "read_timeout": f"{READ_SECONDS}s",
        "timeout": f"{WHOLE_SECONDS}s",
    }


def _s3(connection: Connection) -> dict[str, Any]:
    endpoint = endpoint_url(connection)
    # On an endpoint of its own nobody hands out roles; on Amazon the machine may have one.
    if endpoint is not None or connection.has("access_key_id") or connection.has("secret_access_key"):
        _needed(connection, "access_key_id")
        _needed(connection, "secret_access_key")
    names = ("access_key_id", "secret_access_key", "session_token", "region")
    options = {name: value for name in names if (value := connection.get(name))}
    bucket = _needed(connection, "bucket")
    path_style = connection.flag("path_style_access")
    virtual = (endpoint is None and "." not in bucket) if path_style is None else not path_style
    if endpoint is not None:
        scheme, _, rest = endpoint.partition("://")
        options["endpoint"] = f"{scheme}://{bucket}.{rest}" if virtual else endpoint
    return {**options, "virtual_hosted_style_request": "true"} if virtual else options


def _azure(connection: Connection) -> dict[str, Any]:
    account = _needed(connection, "account_name")
    options = {"account_name": account}
    if key := connection.get("account_key"):
        options["account_key"] = key
    endpoint = (connection.get("endpoint") or "").strip().rstrip("/")
    if endpoint:
        if not re.match(r"https?://", endpoint):
            endpoint = f"https://{endpoint}"
        parts = urlsplit(endpoint)
        # The emulator, and every server without a name per account, has the account as the first part of its paths.
        if parts.path == "" and not (parts.hostname or "").startswith(f"{account}."):
            endpoint = f"{endpoint}/{account}"
        options["endpoint"] = endpoint
        if "account_key" not in options:
            _needed(connection, "account_key")
    return options


def _needed(connection: Connection, name: str) -> str:
    value = connection.get(name)
    if not value:
        raise StoreError(
            f"the {connection.kind} store has no {name}: {connection.origin(name)}",
            hint=f"set {name} in one of these places",
            field=f"connection.{name}",
        )
    return value
