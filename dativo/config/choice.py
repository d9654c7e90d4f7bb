"""Which member of a union a value is meant for."""

from __future__ import annotations

from typing import Any

from dativo.config.nodes import Node
from dativo.config.scalars import resolve_number
from dativo.config.shapes import Type

_NARROW = ("null", "bool", "int", "float", "struct")


def resolved(node: Node) -> Any:
    """A scalar's value; text is read as if it stood without quotes, because variables and people put quotes on numbers."""
    return resolve_number(node.value) if isinstance(node.value, str) else node.value


def fits(node: Node, type_: Type) -> bool:
    """Whether a value of this shape can be meant for a member of a union."""
    if type_.kind == "any":
        return True
    if type_.kind in ("struct", "map"):
        return node.kind == "map"
    if type_.kind in ("list", "tuple"):
        return node.kind == "list"
    if node.kind != "scalar":
        return False
    if node.is_null() or type_.kind == "null":
        return node.is_null() and type_.kind == "null"
    value = resolved(node)
    if type_.kind == "bool":
        return isinstance(value, bool)
    if type_.kind in ("int", "float"):
        return isinstance(value, int if type_.kind == "int" else (int, float)) and not isinstance(value, bool)
    return True


def preference(node: Node, type_: Type) -> int:
    """Which fitting member of a union is taken: the narrowest, but text for what was written in quotes."""
    if type_.kind in ("text", "literal"):
        return len(_NARROW) + 1 if node.plain else -1
    return _NARROW.index(type_.kind) if type_.kind in _NARROW else len(_NARROW)
