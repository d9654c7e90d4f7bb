"""From a document's tree to a frozen struct, with every mistake found in one go.

msgspec stops at the first mistake and knows no lines, so the walk is done here; the types, limits and defaults are the
struct's own, which is what the editors' JSON schemas are made of too.

A struct says what happens to keys it does not know by its class variable `unknown`:

- `"error"`: refused, with the nearest name;
- `"keep"`: kept in the field `extra` with one warning each, but refused when one slip away from a known key;
- `"free"`: kept in `extra` and never judged.
"""

from __future__ import annotations

import functools
import re
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from dativo.config.choice import fits, preference, takes_null
from dativo.config.labels import label, limits_text, missing_hint, shown
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.config.scalars import resolve_scalar
from dativo.errors import listed, nearest, one_slip

__all__ = ["Problems", "decode"]

S = TypeVar("S", bound=msgspec.Struct)

_FAILED: Any = object()


def decode(node: Node, type_: type[S], problems: Problems, path: str = "") -> S | None:
    """The struct that `node` describes, or None when a mistake kept it from being made; all mistakes go to `problems`."""
    value = _Walk(problems).value(node, _info(type_), path)
    return None if value is _FAILED else cast(S, value)


@functools.cache
def _info(type_: type) -> inspect.Type:
    return inspect.type_info(type_)


@functools.cache
def _fields(cls: type) -> tuple[dict[str, inspect.Field], dict[str, str], str]:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    known = {f.encode_name: f for f in info.fields if f.name != "extra"}
    return known, getattr(cls, "aliases", {}), getattr(cls, "unknown", "error")


class _Walk:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def fail(self, node: Node, path: str, expected: str, hint: str = "") -> Any:
        got = shown(node)
        self.problems.add(f"expected {expected}, got {got}", node.mark, path, hint)
        return _FAILED

    def value(self, node: Node, info: inspect.Type, path: str) -> Any:
        if isinstance(info, inspect.Metadata):
            return self.value(node, info.type, path)
        method = _METHODS.get(type(info))
        if method is None:
            raise TypeError(f"no decoder for {info!r}")
        return method(self, node, info, path)

    def any(self, node: Node, info: inspect.Type, path: str) -> Any:
        return node.plain_value()

    def null(self, node: Node, info: inspect.Type, path: str) -> Any:
        return None if node.is_null() else self.fail(node, path, "null")

    def text(self, node: Node, info: inspect.StrType, path: str) -> Any:
        if node.kind != "scalar" or node.value is None:
            return self.fail(node, path, "text")
        text = node.text if node.plain else str(node.value)
        if info.min_length and len(text) < info.min_length:
            return self.fail(node, path, "text that is not empty")
        if info.pattern and not re.search(info.pattern, text):
            return self.fail(node, path, f"text like {info.pattern}")
        return text

    def boolean(self, node: Node, info: inspect.Type, path: str) -> Any:
        value = resolve_scalar(node.value) if isinstance(node.value, str) else node.value
        return value if isinstance(value, bool) else self.fail(node, path, "true or false")

    def integer(self, node: Node, info: inspect.IntType, path: str) -> Any:
        value = resolve_scalar(node.value) if isinstance(node.value, str) else node.value
        if isinstance(value, bool) or not isinstance(value, int):
            return self.fail(node, path, "a whole number" + limits_text(info))
        return self.limits(value, node, info, path, "a whole number")

    def number(self, node: Node, info: inspect.FloatType, path: str) -> Any:
        value = resolve_scalar(node.value) if isinstance(node.value, str) else node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.fail(node, path, "a number" + limits_text(info))
        return self.limits(float(value), node, info, path, "a number")

    def limits(self, value: Any, node: Node, info: Any, path: str, noun: str) -> Any:
        outside = (
            (info.ge is not None and value < info.ge)
            or (info.gt is not None and value <= info.gt)
            or (info.le is not None and value > info.le)
        )
        return self.fail(node, path, noun + limits_text(info)) if outside else value

    def literal(self, node: Node, info: inspect.LiteralType, path: str) -> Any:
        if node.kind != "scalar":
            return self.fail(node, path, label(info))
        value = node.text if node.plain and node.value is not None else node.value
        if value in info.values:
            return value
        if isinstance(value, str) and value.lower() in info.values:
            return value.lower()
        guess = nearest(str(value), [str(v) for v in info.values])
        return self.fail(node, path, label(info), f"did you mean '{guess}'?" if guess else "")

    def sequence(self, node: Node, info: Any, path: str) -> Any:
        if node.kind != "list":
            return self.fail(node, path, label(info))
        items = [self.value(child, info.item_type, f"{path}[{i}]") for i, child in enumerate(node.value)]
        if any(item is _FAILED for item in items):
            return _FAILED
        return tuple(items) if isinstance(info, inspect.VarTupleType) else items

    def mapping(self, node: Node, info: inspect.DictType, path: str) -> Any:
        if node.kind != "map":
            return self.fail(node, path, label(info))
        values = {k: self.value(v, info.value_type, f"{path}.{k}" if path else k) for k, v in node.value.items()}
        return _FAILED if any(v is _FAILED for v in values.values()) else values

    def union(self, node: Node, info: inspect.UnionType, path: str) -> Any:
        members = [m.type if isinstance(m, inspect.Metadata) else m for m in info.types]
        fitting = [m for m in members if fits(node, m)]
        if not fitting:
            return self.fail(node, path, label(info))
        return self.value(node, min(fitting, key=lambda m: preference(node, m)), path)

    def struct(self, node: Node, info: inspect.StructType, path: str) -> Any:
        if node.kind != "map":
            return self.fail(node, path, f"a map ({label(info)})")
        known, aliases, unknown = _fields(info.cls)
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        failed = False
        for key, child in node.value.items():
            name = aliases.get(key, key)
            inner = f"{path}.{key}" if path else key
            if name not in known:
                failed |= self.unknown_key(key, child, node, inner, (known, aliases, unknown), extra)
                continue
            wanted = known[name]
            if wanted.name in values:
                other = next((k for k in node.value if k != key and aliases.get(k, k) == name), name)
                self.problems.add(
                    f"'{key}' and '{other}' are two names of one setting", node.keys[key], inner, "keep one"
                )
                failed = True
                continue
            if child.is_null() and not wanted.required and not takes_null(wanted.type):
                continue
            value = self.value(child, wanted.type, inner)
            values[wanted.name] = value
            failed |= value is _FAILED
        for name, wanted in known.items():
            if wanted.required and wanted.name not in values:
                self.problems.add(
                    f"'{name}' is required", node.mark, f"{path}.{name}" if path else name, missing_hint(node, name)
                )
                failed = True
        if failed:
            return _FAILED
        return info.cls(**values, **({"extra": extra} if "extra" in info.cls.__struct_fields__ else {}))

    def unknown_key(
        self,
        key: str,
        child: Node,
        node: Node,
        path: str,
        rules: tuple[dict[str, inspect.Field], dict[str, str], str],
        extra: dict[str, Any],
    ) -> bool:
        """Judges a key that the struct does not have; whether it is an error."""
        known, aliases, unknown = rules
        mark = node.keys.get(key, child.mark)
        names = [*known, *aliases]
        slip = None if unknown == "free" else one_slip(key, [n for n in names if n not in node.value])
        if unknown == "error" or slip:
            guess = slip or nearest(key, names)
            hint = (
                f"did you mean '{guess}'?   known here: {listed(known, 12)}"
                if guess
                else f"known here: {listed(known, 40)}"
            )
            self.problems.add(f"unknown key '{key}'", mark, path, hint, code="config_unknown_key")
            return True
        extra[key] = child.plain_value()
        if unknown == "keep":
            self.problems.warn(
                f"unknown key '{key}' is kept, but dativo itself does nothing with it",
                mark,
                path,
                "remove it, or check its spelling",
                code="config_unknown_key",
            )
        return False


_METHODS: dict[type, Any] = {
    inspect.AnyType: _Walk.any,
    inspect.NoneType: _Walk.null,
    inspect.StrType: _Walk.text,
    inspect.BoolType: _Walk.boolean,
    inspect.IntType: _Walk.integer,
    inspect.FloatType: _Walk.number,
    inspect.LiteralType: _Walk.literal,
    inspect.ListType: _Walk.sequence,
    inspect.VarTupleType: _Walk.sequence,
    inspect.DictType: _Walk.mapping,
    inspect.UnionType: _Walk.union,
    inspect.StructType: _Walk.struct,
}
