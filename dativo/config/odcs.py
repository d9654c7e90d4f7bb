"""Native contracts of the Open Data Contract Standard 3.0.2, laid out as dativo's flat form.

One object of `schema` is taken: the one whose `name` or `physicalName` is the job's object, else the only one.
Source of the names: the standard's JSON schema, tag v3.0.2.
"""

from __future__ import annotations

from dativo.config.nodes import Node, map_of, scalar_of
from dativo.config.problems import Problems
from dativo.config.types import has_time, strftime_of
from dativo.errors import listed

# `version` too, but that is required of every contract.
REQUIRED = ("apiVersion", "kind", "id", "status")

_EXAMPLES = {
    "apiVersion": "as `apiVersion: v3.0.2`",
    "kind": "write `kind: DataContract`",
    "id": "a name that stays, as a UUID",
    "status": "as `status: active`",
}
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
_ITEM = ("type", "physicalType", "items", "properties")
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
            problems.add(f"'{name}' is required by ODCS", node.mark, name, _EXAMPLES[name])
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
    # Tables of one contract must not share its name.
    entries["name"] = (node.get("name") if len(object_names(node)) == 1 else None) or chosen.value["name"]
    entries.setdefault("object", chosen.value["name"])
    team = node.get("team")
    owner = _owner(team) or custom.get("owner")
    if owner is not None:
        entries["team"] = map_of({"owner": owner}, owner.mark)
    elif team is not None and team.kind == "map":
        entries["team"] = team
    properties = chosen.value["properties"]
    entries["schema"] = _columns(properties)
    partitioning = _partitioning(properties)
    if partitioning and "target" not in entries:
        entries["target"] = map_of({"partitioning": Node("list", partitioning, properties.mark)}, properties.mark)
    return map_of(entries, node.mark, {k: node.keys.get(k, v.mark) for k, v in entries.items()})


def object_names(node: Node) -> list[str]:
    """The names of a native contract's objects."""
    return [name.text for e in _objects(node) if (name := e.get("name")) is not None]


def _objects(node: Node) -> list[Node]:
    return [e for e in node.value["schema"].value if e.get("properties") is not None]


def _choose(node: Node, object: str | None, problems: Problems) -> Node | None:
    usable: list[Node] = []
    for position, entry in enumerate(_objects(node)):
        name, properties = entry.get("name"), entry.value["properties"]
        if name is None or not name.text or properties.kind != "list" or not properties.value:
            problems.add(
                "every object of 'schema' needs a name and a list of properties",
                entry.mark,
                f"schema[{position}]",
                "as `- {name: orders, properties: [{name: id, logicalType: integer}]}`",
            )
        else:
            usable.append(entry)
    if len(usable) != len(_objects(node)):
        return None
    for entry in usable:
        physical = entry.get("physicalName")
        if object and object in (entry.value["name"].text, physical.text if physical else None):
            return entry
    if len(usable) == 1:
        return usable[0]
    problems.add(
        f"the contract has {len(usable)} objects and "
        + (f"none is called '{object}'" if object else "the job names none of them"),
        node.mark_of("schema"),
        "schema",
        f"set the job's object to one of: {listed(object_names(node))}",
    )
    return None


def _columns(properties: Node) -> Node:
    """Properties as flat columns; what is none is left for decoding to refuse."""
    if properties.kind != "list":
        return properties
    return Node("list", [_column(p) if p.kind == "map" else p for p in properties.value], properties.mark)


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
        entries["properties"] = _columns(node.value["properties"])
    items = node.get("items")
    if items is not None and items.kind == "map":
        inner = _column(items)
        entries["items"] = inner.having({k: v for k, v in inner.value.items() if k in _ITEM})
    return node.having(entries)


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
