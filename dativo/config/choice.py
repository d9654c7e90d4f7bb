"""Which member of a union a value is meant for."""

from __future__ import annotations

from msgspec import inspect

from dativo.config.nodes import Node
from dativo.config.scalars import resolve_scalar


def fits(node: Node, info: inspect.Type) -> bool:
    """Whether a value of this shape can be meant for a member of a union."""
    if isinstance(info, inspect.AnyType):
        return True
    if isinstance(info, inspect.StructType | inspect.DictType):
        return node.kind == "map"
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return node.kind == "list"
    if node.kind != "scalar":
        return False
    if node.is_null() or isinstance(info, inspect.NoneType):
        return node.is_null() and isinstance(info, inspect.NoneType)
    value = resolve_scalar(node.value) if isinstance(node.value, str) else node.value
    if isinstance(info, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(info, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(info, inspect.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def preference(node: Node, info: inspect.Type) -> int:
    """Which fitting member of a union is taken: the narrowest, but text for what was written in quotes."""
    if isinstance(info, inspect.StrType | inspect.LiteralType):
        return 3 if node.plain else 0
    order = (inspect.NoneType, inspect.BoolType, inspect.IntType, inspect.FloatType, inspect.StructType)
    return next((i for i, kind in enumerate(order) if type(info) is kind), 2)


def takes_null(info: inspect.Type) -> bool:
    return isinstance(info, inspect.AnyType | inspect.NoneType) or (
        isinstance(info, inspect.UnionType) and info.includes_none
    )
