"""Where a table's files are, for Polars."""

from __future__ import annotations

from dativo.errors import UnsupportedError


def storage_options(location: str, properties: dict[str, str]) -> dict[str, str] | None:
    """What Polars needs to reach a location; None for local files."""
    if location.startswith(("file:", "/")):
        return None
    if location.startswith(("s3:", "s3a:")):
        names = {
            "s3.access-key-id": "aws_access_key_id",
            "s3.secret-access-key": "aws_secret_access_key",
            "s3.session-token": "aws_session_token",
            "s3.region": "aws_region",
            "s3.endpoint": "aws_endpoint_url",
        }
        options = {ours: properties[theirs] for theirs, ours in names.items() if theirs in properties}
        if options.get("aws_endpoint_url", "").startswith("http://"):
            options["aws_allow_http"] = "true"
        return options
    raise UnsupportedError(f"warehouses at {location.split(':')[0]}: are not built yet", hint="use file:// or s3://")
