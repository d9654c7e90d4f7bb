"""What types and values are called in messages."""

from __future__ import annotations

from typing import Any

from msgspec import inspect

from dativo.config.nodes import Node
from dativo.errors import nearest


def limits_text(info: Any) -> str:
    parts = [(">=", info.ge), (">", info.gt), ("<=", info.le)]
    return "".join(f" {sign} {limit:g}" for sign, limit in parts if limit is not None)


def label(info: inspect.Type) -> str:
    """What a type is called in a message."""
    if isinstance(info, inspect.Metadata):
        return label(info.type)
    if isinstance(info, inspect.LiteralType):
        return "one of " + ", ".join(f"'{v}'" for v in info.values)
    if isinstance(info, inspect.UnionType):
        return " or ".join(dict.fromkeys(label(t) for t in info.types if not isinstance(t, inspect.NoneType)))
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return f"a list of {plural(label(info.item_type))}"
    if isinstance(info, inspect.StructType):
        names = [f.encode_name for f in info.fields if f.required] or [f.encode_name for f in info.fields][:4]
        return "with " + ", ".join(names)
    return _NOUNS.get(type(info), "a value")


_NOUNS: dict[type, str] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.DictType: "a map",
    inspect.NoneType: "null",
}


def plural(label: str) -> str:
    return {"a whole number": "whole numbers", "a number": "numbers", "a map": "maps"}.get(
        label, f"maps {label}" if label.startswith("with ") else label
    )


def shown(node: Node) -> str:
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.value is None:
        return "nothing"
    text = node.written or (node.text if node.plain else str(node.value))
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"


def missing_hint(node: Node, name: str) -> str:
    guess = nearest(name, node.value)
    return f"there is '{guess}' in line {node.keys[guess].line}: is it meant?" if guess and guess != name else ""
