"""Native contracts of the Open Data Contract Standard 3.0.2, laid out as dativo's flat form.

One object of `schema` is taken: the one whose `name` or `physicalName` is the job's object, else the only one.
Source of the names: the standard's JSON schema, tag v3.0.2.
"""

from __future__ import annotations

from typing import cast

from dativo.config.nodes import Node, map_of, scalar_of
from dativo.config.problems import Problems
from dativo.config.types import has_time, strftime_of
from dativo.errors import listed

REQUIRED = ("version", "apiVersion", "kind", "id", "status")

_RENAMED = {
    "primaryKey": "primary_key",
    "name": "name",
    "required": "required",
    "unique": "unique",
    "classification": "classification",
    "description": "description",
    "physicalName": "physicalName",
    "quality": "quality",
    "tags": "tags",
}
_OPTIONS = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "minimum": "minimum",
    "maximum": "maximum",
}
_KEPT = (
    "apiVersion",
    "kind",
    "id",
    "version",
    "status",
    "tenant",
    "tags",
    "domain",
    "dataProduct",
    "description",
    "$schema",
)
_STANDARD = {
    *_KEPT, "name", "schema", "servers", "support", "price", "team", "roles", "slaDefaultElement", "slaProperties",
    "authoritativeDefinitions", "customProperties", "contractCreatedTs",
}  # fmt: skip


def is_native(node: Node) -> bool:
    """Whether a contract is in the standard's own form: an entry of `schema` has `properties` and is no typed column."""
    schema = node.get("schema")
    if schema is None or schema.kind != "list":
        return False
    return any(e.get("properties") is not None and e.get("type") is None for e in schema.value)


def flattened(node: Node, object: str | None, problems: Problems) -> Node | None:
    """The contract's chosen object as a flat document, or None when it cannot be chosen."""
    for name in REQUIRED:
        if node.get(name) is None:
            problems.add(f"'{name}' is required by ODCS", node.mark, name)
    chosen = _choose(node, object, problems)
    if chosen is None:
        return None
    entries: dict[str, Node] = {k: node.value[k] for k in _KEPT if k in node.value}
    custom = _custom_properties(node)
    for name in ("source_type", "object", "target", "privacy", "data_quality", "finops", "compliance"):
        found = node.get(name) or custom.get(name)
        if found is not None:
            entries[name] = found
    entries.update({k: v for k, v in node.value.items() if k not in _STANDARD and k not in entries})
    entries["name"] = node.get("name") or chosen.get("physicalName") or chosen.value["name"]
    entries.setdefault("object", chosen.value["name"])
    owner = _owner(node.get("team")) or custom.get("owner")
    if owner is not None:
        entries["team"] = map_of({"owner": owner}, owner.mark)
    properties = chosen.value["properties"]
    entries["schema"] = Node("list", [_column(p) for p in properties.value if p.kind == "map"], properties.mark)
    partitioning = _partitioning(properties)
    if partitioning and "target" not in entries:
        entries["target"] = map_of({"partitioning": Node("list", partitioning, properties.mark)}, properties.mark)
    return map_of(entries, node.mark, {k: node.keys.get(k, v.mark) for k, v in entries.items()})


def _choose(node: Node, object: str | None, problems: Problems) -> Node | None:
    candidates = [e for e in node.value["schema"].value if e.kind == "map" and e.get("properties") is not None]
    usable = [e for e in candidates if e.get("name") is not None and e.value["properties"].kind == "list"]
    if len(usable) != len(candidates):
        problems.add("every object of 'schema' needs a name and a list of properties", node.mark_of("schema"), "schema")
        return None
    names = [e.value["name"].text for e in usable]
    entry: Node
    for entry in usable:
        physical = entry.get("physicalName")
        if object and object in (entry.value["name"].text, physical.text if physical else None):
            return entry
    if len(usable) == 1:
        return cast(Node, usable[0])
    problems.add(
        f"the contract has {len(usable)} objects and none is called '{object}'",
        node.mark_of("schema"),
        "schema",
        f"set the job's object to one of: {listed(names)}",
    )
    return None


def _column(node: Node) -> Node:
    """One property as a flat column."""
    entries = {ours: node.value[theirs] for theirs, ours in _RENAMED.items() if theirs in node.value}
    options = node.get("logicalTypeOptions")
    logical, physical = node.get("logicalType"), node.get("physicalType")
    kind = logical or physical or scalar_of("string", node.mark)
    if physical is not None:
        entries["physicalType"] = physical
    if options is not None and options.kind == "map":
        entries.update({ours: options.value[theirs] for theirs, ours in _OPTIONS.items() if theirs in options.value})
        for bound, ours in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            _exclusive(entries, options.get(bound), ours)
        form = options.get("format")
        if form is not None and kind.text == "date":
            entries["format"] = form
            if has_time(strftime_of(form.text)):
                kind = scalar_of("timestamp", form.mark)
    entries["type"] = kind
    if node.get("properties") is not None:
        inner = node.value["properties"]
        entries["properties"] = Node("list", [_column(p) for p in inner.value if p.kind == "map"], inner.mark)
    if node.get("items") is not None and node.value["items"].kind == "map":
        entries["items"] = _column(node.value["items"])
    return map_of(entries, node.mark, {k: node.keys.get(k, v.mark) for k, v in entries.items()})


def _exclusive(entries: dict[str, Node], bound: Node | None, ours: str) -> None:
    """An exclusive bound: a number of its own, or `true` beside the plain one."""
    if bound is None or bound.value is False:
        return
    if bound.value is not True:
        entries[ours] = bound
    entries[f"exclusive_{ours}"] = scalar_of(True, bound.mark)


def _partitioning(properties: Node) -> list[Node]:
    found = [p for p in properties.value if (flag := p.get("partitioned")) is not None and flag.value is True]

    def position(node: Node) -> int:
        where = node.get("partitionKeyPosition")
        return where.value if where is not None and isinstance(where.value, int) else 1 << 30

    return [p.value["name"] for p in sorted(found, key=position) if p.get("name") is not None]


def _owner(team: Node | None) -> Node | None:
    """The first member whose role is owner, else the first."""
    if team is None or team.kind != "list" or not team.value:
        return None
    members = [m for m in team.value if m.kind == "map"]
    owners = [m for m in members if (role := m.get("role")) is not None and role.text.lower() == "owner"]
    chosen = (owners or members or [None])[0]
    return (chosen.get("username") or chosen.get("name")) if chosen else None


def _custom_properties(node: Node) -> dict[str, Node]:
    block = node.get("customProperties")
    if block is None or block.kind != "list":
        return {}
    pairs = [(e.get("property"), e.get("value")) for e in block.value if e.kind == "map"]
    return {k.text: v for k, v in pairs if k is not None and v is not None}
