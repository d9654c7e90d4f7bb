"""Which variables a run will miss: those set nowhere whose value it would use."""

from __future__ import annotations

import re

from dativo.config.job import Source, Target
from dativo.config.nodes import Node
from dativo.config.reading import Reading
from dativo.config.sides import Side

# Sources that read local files and open no connection.
LOCAL_SOURCES = ("csv", "parquet", "jsonl", "markdown_kv")
CATALOGS = ("nessie", "glue", "hive", "rest", "sql")
# Their failure never fails a run, so neither does a variable that they miss.
_HARMLESS = ("catalog.", "observability.", "infrastructure.")
_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def missing_variables(reading: Reading, source: Side[Source], target: Side[Target]) -> tuple[str, ...]:
    """The names of the variables that the run would use and that are set nowhere, each noted as a warning."""
    used: list[tuple[str, Node]] = [
        (field, node) for field, node in reading.head.walk() if node.unset and not field.startswith(_HARMLESS)
    ]
    used += [(field, node) for field, node in source.unset if _source_uses(field, source)]
    used += [(field, node) for field, node in target.unset if _target_uses(field, target, reading)]
    return _noted(used, reading)


def missing_of_source(reading: Reading, source: Side[Source]) -> tuple[str, ...]:
    """As `missing_variables`, of what reads the source and nothing else."""
    return _noted([(field, node) for field, node in source.unset if _source_uses(field, source)], reading)


def _noted(used: list[tuple[str, Node]], reading: Reading) -> tuple[str, ...]:
    for field, node in used:
        reading.needs(node, field, error=False)
    return tuple(dict.fromkeys(name for _, node in used for name in node.unset))


def _source_uses(field: str, source: Side[Source]) -> bool:
    local = source.spec.custom_reader is None and source.type in LOCAL_SOURCES
    return not local or not field.startswith(("source.connection.", "source.credentials.", "source.rate_limits."))


def _target_uses(field: str, target: Side[Target], reading: Reading) -> bool:
    if target.type != "iceberg" or target.spec.custom_writer is not None:
        return True
    block = field.removeprefix("target.").split(".")
    catalog = catalog_kind(target.spec) or ("nessie" if names_nessie(target) else "sql")
    if block[0] == "connection":
        key = re.split(r"[.\[]", field.removeprefix("target.connection."))[0]
        if key in CATALOGS:
            return key == catalog
        return keeps_tables_remotely(target, catalog)
    if block[0] == "branch":
        return catalog == "nessie"
    return block[0] != "credentials"


def catalog_kind(target: Target) -> str:
    """The kind of Iceberg catalog that a target names, in lower case, or empty text."""
    if isinstance(target.catalog, dict):
        return str(target.catalog.get("type") or target.catalog.get("name") or "").lower()
    return (target.catalog or "").lower()


def names_nessie(target: Side[Target]) -> bool:
    """Whether a Nessie server is named: by the connection, a secret or a variable."""
    nessie = target.connections.get("nessie")
    return nessie is not None and nessie.has("uri")


def nessie_branch(target: Side[Target], tenant: str) -> str | None:
    """The branch of a target: its own, its connection's, the tenant's where the catalog is Nessie, else none."""
    kind = catalog_kind(target.spec)
    if target.type != "iceberg" or not (kind == "nessie" or (not kind and names_nessie(target))):
        return target.spec.branch
    return target.spec.branch or target.connections["nessie"].get("ref") or tenant


def keeps_tables_remotely(target: Side[Target], catalog: str) -> bool:
    """Whether an Iceberg target's files lie in an object store: by its warehouse, its bucket, or its catalog."""
    if target.spec.warehouse:
        return bool(_REMOTE.match(target.spec.warehouse))
    store = target.connections.get("target")
    return catalog in ("nessie", "glue", "hive") or (store is not None and store.given("bucket"))
