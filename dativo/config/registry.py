"""The connector registry (`registry/connectors.yaml`, version 3; the older layouts are read too)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.decode import decode
from dativo.config.nodes import Node, map_of
from dativo.config.problems import Problems
from dativo.errors import nearest

EngineName = Literal["airbyte", "singer", "meltano", "native", "jdbc", "spark"]


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector can be and do."""

    unknown: ClassVar[str] = "keep"
    roles: Annotated[list[Literal["source", "target"]], Meta(min_length=1, description="source, target or both")]
    category: Annotated[str | None, Meta(description="crm, payments, files, database, lake, storage, api, …")] = None
    description: Annotated[str | None, Meta(description="for people")] = None
    default_engine: Annotated[EngineName, Meta(description="engine")]
    engines_supported: Annotated[list[EngineName], Meta(min_length=1, description="engines")]
    allowed_in_cloud: Annotated[bool, Meta(description="whether cloud mode may use it")] = True
    supports_incremental: Annotated[bool, Meta(description="whether it can load incrementally")] = False
    incremental_strategy_default: Annotated[
        Literal["updated_after", "updated_at", "created", "file_modified_time", "spreadsheet_modified_time", "cdc"]
        | None,
        Meta(description="default strategy"),
    ] = None
    objects_supported: Annotated[list[str] | None, Meta(description="streams")] = None
    requires_tables: Annotated[bool, Meta(description="whether a job must name tables")] = False
    supports_queries: Annotated[bool, Meta(description="whether a job may give SQL")] = False
    file_formats: Annotated[
        list[Literal["parquet", "orc", "csv", "json", "markdown_kv"]] | None, Meta(description="formats it writes")
    ] = None
    supports_schema_evolution: Annotated[bool, Meta(description="whether tables can grow columns")] = False
    extra: dict[str, Any] = {}


class RegistryFile(msgspec.Struct, frozen=True, kw_only=True):
    """The registry's document."""

    unknown: ClassVar[str] = "keep"
    version: Annotated[int, Meta(ge=1, le=3, description="format version")] = 3
    connectors: Annotated[dict[str, Connector], Meta(description="connectors by name")]
    extra: dict[str, Any] = {}


def read_registry(node: Node, problems: Problems) -> RegistryFile | None:
    """The registry in a document; the maps `sources` and `targets` of versions 1 and 2 become one map with roles."""
    if node.kind == "map" and "connectors" not in node.value and ("sources" in node.value or "targets" in node.value):
        node = _upgraded(node, problems)
    return decode(node, RegistryFile, problems)


def _upgraded(node: Node, problems: Problems) -> Node:
    connectors: dict[str, Node] = {}
    for key, role in (("sources", "source"), ("targets", "target")):
        block = node.get(key)
        if block is None or block.is_null():
            continue
        if block.kind != "map":
            problems.add(f"expected a map, got a {block.kind}", block.mark, key, "as `csv: {default_engine: native}`")
            continue
        for name, entry in block.value.items():
            connectors[name] = _with_role(connectors.get(name, entry), role)
    version = node.get("version") or Node("scalar", 2, node.mark, text="2")
    return map_of({"version": version, "connectors": map_of(connectors, node.mark)}, node.mark)


def _with_role(entry: Node, role: str) -> Node:
    """An entry of an older registry with one role more, and with the engine that it was run by; null is an empty entry."""
    if entry.kind != "map" and not entry.is_null():
        return entry  # decoding tells it
    entries = dict(entry.value or {})
    before = entries["roles"].value if "roles" in entries and entries["roles"].kind == "list" else []
    entries["roles"] = Node("list", [*before, Node("scalar", role, entry.mark, text=role)], entry.mark)
    entries.setdefault("default_engine", Node("scalar", "native", entry.mark, text="native"))
    entries.setdefault("engines_supported", Node("list", [entries["default_engine"]], entry.mark))
    return map_of(entries, entry.mark, {k: entry.keys.get(k, v.mark) for k, v in entries.items()})


def check_connector(
    registry: RegistryFile, name: str, role: str, node: Node, problems: Problems, field: str
) -> Connector | None:
    """The registry's entry of a connector that can take a role; what is wrong goes to `problems`."""
    connector = registry.connectors.get(name)
    if connector is None:
        guess = nearest(name, registry.connectors)
        problems.add(
            f"Connector '{name}' not found in registry",
            node.mark,
            field,
            f"did you mean '{guess}'?" if guess else "run `dativo connectors` for the list",
        )
        return None
    if role not in connector.roles:
        problems.add(
            f"connector '{name}' cannot be a {role}, only a {' or '.join(connector.roles)}",
            node.mark,
            field,
            "run `dativo connectors` for the list",
        )
        return None
    return connector
