"""What types and values are called in messages."""

from __future__ import annotations

from dativo.config.nodes import Node
from dativo.config.shapes import Type, shape
from dativo.errors import nearest

_NOUNS = {"text": "text", "bool": "true or false", "int": "a whole number", "float": "a number", "map": "a map"}
_PLURALS = {
    "text": "texts", "int": "whole numbers", "float": "numbers", "map": "maps", "struct": "maps", "list": "lists"
}  # fmt: skip


def label(type_: Type) -> str:
    """What a type is called in a message."""
    if type_.kind == "literal":
        return "one of " + ", ".join(f"'{v}'" for v in type_.values)
    if type_.kind == "union":
        return " or ".join(dict.fromkeys(label(m) for m in type_.members if m.kind != "null"))
    if type_.kind in ("list", "tuple") and type_.item is not None:
        return f"a list of {plural(type_.item)}"
    if type_.kind == "struct" and type_.struct is not None:
        settings = shape(type_.struct).settings
        keys = [k for k, s in settings.items() if s.required] or list(settings)[:4]
        return f"a map with {', '.join(keys)}"
    return _NOUNS.get(type_.kind, "a value") + type_.limits


def plural(type_: Type) -> str:
    """What several of a type are called."""
    if type_.kind == "union":
        return " or ".join(dict.fromkeys(plural(m) for m in type_.members if m.kind != "null"))
    return "values, each " + label(type_) if type_.kind == "literal" else _PLURALS.get(type_.kind, "values")


def shown(node: Node) -> str:
    """A value as a message may show it: with variables as they are written, never what they hold."""
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.value is None:
        return "nothing"
    text = node.written or (node.text if node.plain else str(node.value))
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"


def missing_hint(node: Node, name: str) -> str:
    """Where a key of a like name stands, when a required one does not."""
    guess = nearest(name, node.value)
    return f"there is '{guess}' in line {node.keys[guess].line}: is it meant?" if guess and guess != name else ""
