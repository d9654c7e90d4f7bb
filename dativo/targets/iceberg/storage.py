"""Where a table's files are, for Polars and for pyiceberg."""

from __future__ import annotations

from collections.abc import Mapping

from dativo.config.connection import Connection
from dativo.config.connection_fields import endpoint_url
from dativo.errors import UnsupportedError

_POLARS = {
    "s3.access-key-id": "aws_access_key_id",
    "s3.secret-access-key": "aws_secret_access_key",
    "s3.session-token": "aws_session_token",
    "s3.region": "aws_region",
    "s3.endpoint": "aws_endpoint_url",
}
_PYICEBERG = {
    "access_key_id": "s3.access-key-id",
    "secret_access_key": "s3.secret-access-key",
    "session_token": "s3.session-token",
    "region": "s3.region",
}
CONNECT_SECONDS = "10"
REQUEST_SECONDS = "60"


def storage_options(location: str, properties: Mapping[str, str]) -> dict[str, str] | None:
    """What Polars needs to reach a location, from pyiceberg's properties of its table; None for local files."""
    if location.startswith(("file:", "/")):
        return None
    if location.startswith(("s3:", "s3a:")):
        options = {ours: properties[theirs] for theirs, ours in _POLARS.items() if properties.get(theirs)}
        if options.get("aws_endpoint_url", "").startswith("http://"):
            options["aws_allow_http"] = "true"
        if properties.get("s3.force-virtual-addressing", "").lower() == "true":
            options["aws_virtual_hosted_style_request"] = "true"
        # Polars waits for ever by itself.
        return {**options, "connect_timeout": f"{CONNECT_SECONDS}s", "read_timeout": f"{REQUEST_SECONDS}s"}
    raise UnsupportedError(f"warehouses at {location.split(':')[0]}: are not built yet", hint="use file:// or s3://")


def store_properties(store: Connection | None) -> dict[str, str]:
    """pyiceberg's properties of an S3 store. What is not set is left to the catalog, which may hand it out."""
    if store is None:
        return {}
    found = {theirs: value for ours, theirs in _PYICEBERG.items() if (value := store.get(ours))}
    endpoint = endpoint_url(store)
    if endpoint is not None:
        found["s3.endpoint"] = endpoint
    path_style = store.flag("path_style_access")
    if path_style is not None:
        found["s3.force-virtual-addressing"] = "false" if path_style else "true"
    return {**found, "s3.connect-timeout": CONNECT_SECONDS, "s3.request-timeout": REQUEST_SECONDS}


def bucket_uri(store: Connection | None) -> str | None:
    """`s3://bucket/prefix` of a store that the job names; None where it names none."""
    if store is None or not store.given("bucket"):
        return None
    prefix = (store.get("prefix") or "").strip("/")
    return f"s3://{store.get('bucket')}" + (f"/{prefix}" if prefix else "")
