"""Which secrets a job's connectors need and have nowhere: neither as a secret, nor in the job, nor in a variable."""

from __future__ import annotations

from collections.abc import Iterator

from dativo.config.resolved import ResolvedJob
from dativo.config.secrets import Secrets
from dativo.errors import Problem

# By connector: the settings that it cannot do without, and the names that a secret with them may have.
_NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # Accounts of databases may have no password, or one in a file of the client's own.
    "postgres": (("user",), ("postgres",)),
    "mysql": (("user",), ("mysql",)),
    "s3": (("access_key_id", "secret_access_key"), ("s3",)),
    "minio": (("access_key_id", "secret_access_key"), ("minio", "s3")),
    "azure_blob": (("account_name", "account_key"), ("azure_blob",)),
    "nessie": (("uri",), ("iceberg", "nessie", "nessie_uri")),
}
_SERVICES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "stripe": (("STRIPE_API_KEY",), ("stripe", "stripe_api_key", "api_key")),
    "hubspot": (("HUBSPOT_API_KEY", "HUBSPOT_TOKEN"), ("hubspot", "hubspot_api_key", "api_key")),
}


def missing_secrets(job: ResolvedJob, variables: set[str]) -> Iterator[Problem]:
    """A warning for each connector of a job that misses its secrets; `variables` are those that are set."""
    for role, type_ in (("source", job.source_type), ("target", job.target_type)):
        wanted = _wanted(job, role, type_, variables)
        if not wanted or any(_has(job.secrets, name) for name in wanted):
            continue
        place = f"looked in {job.secrets.place}" if job.secrets.place else ""
        yield Problem(
            f"Missing required secrets for connector '{type_}': {' or '.join(wanted)}",
            job.mark(f"{role}_connector_path"),
            hint="\n".join(t for t in (place, "secrets/README.md shows what each of them holds") if t),
            severity="warning",
            code="secrets_warning",
        )


def _wanted(job: ResolvedJob, role: str, type_: str, variables: set[str]) -> tuple[str, ...]:
    """The names of the secrets, one of which a connector needs; none where it has what it needs."""
    if type_ in _SERVICES:
        names, wanted = _SERVICES[type_]
        block = job.source.credentials if role == "source" else None
        own = isinstance(block, dict) and any(block.get(k) for k in ("api_key", "secret_key", "secret", *names))
        return () if own or variables & set(names) else wanted
    kind = "nessie" if type_ == "iceberg" else type_
    connection = job.connections.get("nessie" if type_ == "iceberg" else role)
    if kind not in _NEEDS or connection is None or (type_ == "iceberg" and not _wants_nessie(job)):
        return ()
    settings, wanted = _NEEDS[kind]
    return () if connection.has(*settings) else wanted


def _wants_nessie(job: ResolvedJob) -> bool:
    catalog = job.target.catalog
    kind = catalog.get("type") or catalog.get("name") if isinstance(catalog, dict) else catalog
    inside = isinstance(catalog, dict) and catalog.get("uri")
    return str(kind or "").lower() == "nessie" and not inside


def _has(secrets: Secrets, name: str) -> bool:
    return any(known.startswith(name) for known in secrets.values)
