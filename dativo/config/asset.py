"""Data contracts (assets) in their three forms, brought into one.

- flat: the contract's keys at the top, `schema` a list of columns;
- wrapped: the same below `asset:`, with a `governance` block;
- native ODCS 3.0.2: `schema` a list of objects with `properties`.

What the rest of the program sees is `Asset` with its `Field`s; where each came from in the file stays with it.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import msgspec

from dativo.config.asset_file import AssetFile, Compliance, TargetHints
from dativo.config.columns import read_columns
from dativo.config.decode import decode
from dativo.config.field import Field
from dativo.config.governance import Finops
from dativo.config.nodes import Node, map_of
from dativo.config.odcs import flattened, is_native
from dativo.config.privacy import Privacy
from dativo.config.problems import Problems
from dativo.errors import Mark

__all__ = ["Asset", "Field", "read_asset"]

ODCS_VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v2.2.0", "v2.2.1", "v2.2.2")


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A data contract in the one form the rest of the program knows."""

    name: str
    version: str
    id: str
    status: str
    domain: str | None
    data_product: str | None
    tenant: str | None
    description: str
    tags: tuple[str, ...]
    source_type: str | None
    object: str | None
    fields: tuple[Field, ...]
    partitioning: tuple[str, ...] | None
    mode: str | None
    file_format: str | None
    owner: str | None
    classification: tuple[str, ...]
    regulations: tuple[str, ...]
    retention_days: int | None
    finops: Finops | None
    max_rejects: str | int | None
    privacy: Privacy | None
    hash: str
    mark: Mark

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key, in order."""
        return tuple(f.name for f in self.fields if f.primary_key)

    def field(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    @property
    def label(self) -> str:
        """The contract as messages name it."""
        return f"{self.name} {self.version}"


def read_asset(node: Node, problems: Problems, *, object: str | None = None, tenant: str = "") -> Asset | None:
    """The contract in a document.

    `object` chooses among several objects of a native ODCS contract. None when a mistake kept it from being made; all
    mistakes go to `problems`.
    """
    own = Problems()
    asset = _read(node, own, object, tenant)
    problems.extend(own.found)
    return None if own.errors() else asset


def _read(node: Node, problems: Problems, object: str | None, tenant: str) -> Asset | None:
    if node.kind != "map":
        problems.add(f"expected a data contract (a map), got a {node.kind}", node.mark)
        return None
    if is_native(node):
        flat = flattened(node, object, problems)
        if flat is None:
            return None
        node = flat
    wrapped = node.get("asset")
    if wrapped is not None and wrapped.kind == "map":
        node = _unwrapped(node, wrapped)
    schema = node.get("schema")
    if schema is None or (schema.kind == "list" and not schema.value) or schema.is_null():
        problems.add(
            "Asset definition has empty 'schema' field",
            schema.mark if schema else node.mark,
            "schema",
            "list the columns, as `- {name: id, type: integer, required: true}`",
        )
        return None
    file = decode(node, AssetFile, problems)
    if file is None:
        return None
    _check_heads(file, node, problems)
    fields = read_columns(file.schema, schema, problems)
    return None if fields is None else _asset(file, fields, node, tenant)


def _unwrapped(outer: Node, inner: Node) -> Node:
    """The wrapped form as flat: `governance` fills what `team`, `tags` and `compliance` leave open."""
    entries = {**{k: v for k, v in outer.value.items() if k != "asset"}, **inner.value}
    keys = {**outer.keys, **inner.keys}
    governance = entries.pop("governance", None)
    if governance is not None and governance.kind == "map":
        _fill(entries, "team", "owner", governance.get("owner"))
        for name in ("classification", "retention_days"):
            _fill(entries, "compliance", name, governance.get(name))
        if "tags" not in entries and governance.get("tags") is not None:
            entries["tags"] = governance.value["tags"]
        rest = {
            k: v for k, v in governance.value.items() if k not in ("owner", "tags", "classification", "retention_days")
        }
        if rest:
            entries["governance"] = Node("map", rest, governance.mark, keys=governance.keys)
    return Node("map", entries, inner.mark, keys={k: keys.get(k, v.mark) for k, v in entries.items()})


def _fill(entries: dict[str, Node], block: str, name: str, value: Node | None) -> None:
    if value is None or value.is_null():
        return
    before = entries.get(block)
    if before is None or before.is_null():
        entries[block] = map_of({name: value}, value.mark)
    elif before.kind == "map" and (before.get(name) is None or before.value[name].is_null()):
        entries[block] = Node("map", {**before.value, name: value}, before.mark, keys={**before.keys, name: value.mark})


def _asset(file: AssetFile, fields: tuple[Field, ...], node: Node, tenant: str) -> Asset:
    compliance = file.compliance or Compliance()
    classes = compliance.classification or ()
    target = file.target or TargetHints()
    return Asset(
        name=file.name,
        version=file.version,
        id=file.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"dativo:{tenant}:{file.name}")),
        status=file.status,
        domain=file.domain,
        data_product=file.data_product,
        tenant=file.tenant,
        description=_description(file.description),
        tags=tuple(file.tags),
        source_type=file.source_type,
        object=file.object,
        fields=fields,
        partitioning=tuple(target.partitioning) if target.partitioning is not None else None,
        mode=target.mode,
        file_format=target.file_format,
        owner=file.team.owner if file.team else None,
        classification=(classes,) if isinstance(classes, str) else tuple(classes),
        regulations=tuple(compliance.regulations or ()),
        retention_days=compliance.retention_days,
        finops=file.finops,
        max_rejects=file.data_quality.max_rejects if file.data_quality else None,
        privacy=file.privacy,
        hash=_hash(file, fields),
        mark=node.mark,
    )


def _check_heads(file: AssetFile, node: Node, problems: Problems) -> None:
    if file.kind != "DataContract":
        problems.add(
            f"kind is '{file.kind}', not 'DataContract'", node.mark_of("kind"), "kind", "write `kind: DataContract`"
        )
    if file.api_version not in ODCS_VERSIONS:
        problems.warn(
            f"apiVersion '{file.api_version}' is not known",
            node.mark_of("apiVersion"),
            "apiVersion",
            f"known: {', '.join(ODCS_VERSIONS)}",
        )
    monitoring = file.data_quality.monitoring if file.data_quality else None
    if monitoring and monitoring.enabled and not monitoring.oncall_rotation:
        problems.add(
            "'oncall_rotation' is required when monitoring is enabled",
            node.mark_of("data_quality", "monitoring"),
            "data_quality.monitoring.oncall_rotation",
            "name who is called, or set `enabled: false`",
        )
    # A draft says by itself that it is not complete.
    if file.status.lower() != "draft" and (file.team is None or not file.team.owner):
        problems.warn(
            "the contract names no owner",
            node.mark_of("team"),
            "team.owner",
            "add `team: {owner: you@example.com}`",
            code="governance_incomplete",
        )


def _description(value: dict[str, Any] | str | None) -> str:
    if isinstance(value, dict):
        wanted = ("purpose", "usage", "limitations")
        return "\n".join(f"{k.capitalize()}: {value[k]}" for k in wanted if value.get(k))
    return value or ""


def _hash(file: AssetFile, fields: tuple[Field, ...]) -> str:
    """A hash of what decides how data is read and stored: two contracts with equal hashes load alike."""
    bare = [_bare(f) for f in fields]
    text = msgspec.json.encode([file.name, file.version, bare, file.privacy], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:32]


def _bare(field: Field) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(field)
    plain.pop("mark", None)
    plain.pop("description", None)
    plain["item"] = _bare(field.item) if field.item else None
    plain["fields"] = [_bare(f) for f in field.fields]
    return plain
