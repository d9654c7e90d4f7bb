"""From a document's tree to a frozen struct, with every mistake found in one go.

msgspec stops at the first mistake and knows no lines, so the walk is done here; the types, limits and defaults are the
struct's own, which is what the editors' JSON schemas are made of too.

A struct says what happens to keys it does not know by its class variable `unknown`:

- `"error"`: refused, with the nearest name;
- `"keep"`: kept in the field `extra` with one warning each, but refused when one slip away from a known key;
- `"free"`: kept in `extra` and never judged.

Its class variable `aliases` has other names of known keys.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from dativo.config.choice import fits, preference, takes_null
from dativo.config.labels import label, limits_text, missing_hint, shown
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.config.scalars import resolve_scalar
from dativo.errors import listed, nearest, one_slip

__all__ = ["Problems", "decode", "shape"]

S = TypeVar("S", bound=msgspec.Struct)

_FAILED: Any = object()
# Reads the value of one type from a node that stands at a path; _FAILED after its mistakes were noted.
_Reader = Callable[[Node, str, Problems], Any]


class Shape(NamedTuple):
    """What decoding knows of a struct: its fields by the names that files use, their other names, the rule for the rest."""

    fields: dict[str, inspect.Field]
    aliases: dict[str, str]
    unknown: str


@functools.cache
def shape(cls: type[msgspec.Struct]) -> Shape:
    """The shape of a struct; the field `extra` is not a setting."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    known = {f.encode_name: f for f in info.fields if f.name != "extra"}
    return Shape(known, getattr(cls, "aliases", {}), getattr(cls, "unknown", "error"))


def decode(node: Node, type_: type[S], problems: Problems, path: str = "") -> S | None:
    """The struct that `node` describes, or None when a mistake kept it from being made; all mistakes go to `problems`."""
    value = _struct_reader(type_)(node, path, problems)
    return None if value is _FAILED else cast(S, value)


def _fail(node: Node, path: str, problems: Problems, expected: str, hint: str = "") -> Any:
    for name in node.unset:
        problems.add(
            f"Missing required environment variable: {name}",
            node.mark,
            path,
            f"it is set nowhere; set it, or write a default as ${{{name}:-value}}",
            code="env_missing",
        )
    if not node.unset:
        problems.add(f"expected {expected}, got {shown(node)}", node.mark, path, hint)
    return _FAILED


def _reader(info: inspect.Type) -> _Reader:
    if isinstance(info, inspect.Metadata):
        return _reader(info.type)
    if isinstance(info, inspect.StructType):
        return _struct_reader(info.cls)
    make = _READERS.get(type(info))
    if make is None:
        raise TypeError(f"no decoder for {info!r}")
    return make(info)


def _any(_info: inspect.AnyType) -> _Reader:
    return lambda node, _path, _problems: node.plain_value()


def _null(_info: inspect.NoneType) -> _Reader:
    return lambda node, path, problems: None if node.is_null() else _fail(node, path, problems, "null")


def _text(info: inspect.StrType) -> _Reader:
    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "scalar" or node.value is None:
            hint = f"put quotes around it: {node.text} without quotes is nothing" if node.text else ""
            return _fail(node, path, problems, "text", hint)
        text = node.text if node.plain else str(node.value)
        if info.min_length and len(text) < info.min_length:
            return _fail(node, path, problems, "text that is not empty")
        if info.pattern and not re.search(info.pattern, text):
            return _fail(node, path, problems, f"text like {info.pattern}")
        return text

    return read


def _boolean(_info: inspect.BoolType) -> _Reader:
    def read(node: Node, path: str, problems: Problems) -> Any:
        value = _resolved(node)
        return value if isinstance(value, bool) else _fail(node, path, problems, "true or false")

    return read


def _number(info: inspect.IntType | inspect.FloatType) -> _Reader:
    whole = isinstance(info, inspect.IntType)
    expected = label(info) + limits_text(info)

    def read(node: Node, path: str, problems: Problems) -> Any:
        value = _resolved(node)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return _fail(node, path, problems, expected)
        outside = (
            (info.ge is not None and value < info.ge)
            or (info.gt is not None and value <= info.gt)
            or (info.le is not None and value > info.le)
            or not abs(value) < 1 << 63  # infinity and NaN too
        )
        if outside:
            return _fail(node, path, problems, expected)
        return value if whole else float(value)

    return read


def _resolved(node: Node) -> Any:
    """A scalar's value; text is read as if it stood without quotes, because variables and people put quotes on numbers."""
    return resolve_scalar(node.value) if isinstance(node.value, str) else node.value


def _literal(info: inspect.LiteralType) -> _Reader:
    values = {str(v): v for v in info.values}

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "scalar" or node.value is None:
            return _fail(node, path, problems, label(info))
        text = node.text if node.plain else str(node.value)
        found = values.get(text, values.get(text.lower()))
        if found is not None:
            return found
        guess = nearest(text, values)
        return _fail(node, path, problems, label(info), f"did you mean '{guess}'?" if guess else "")

    return read


def _sequence(info: inspect.ListType | inspect.VarTupleType) -> _Reader:
    item = _lazy(info.item_type)
    make = tuple if isinstance(info, inspect.VarTupleType) else list

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "list":
            return _fail(node, path, problems, label(info))
        items = [item(child, f"{path}[{i}]", problems) for i, child in enumerate(node.value)]
        return _FAILED if any(i is _FAILED for i in items) else make(items)

    return read


def _mapping(info: inspect.DictType) -> _Reader:
    inner = _lazy(info.value_type)

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "map":
            return _fail(node, path, problems, label(info))
        values = {k: inner(v, f"{path}.{k}" if path else k, problems) for k, v in node.value.items()}
        return _FAILED if any(v is _FAILED for v in values.values()) else values

    return read


def _union(info: inspect.UnionType) -> _Reader:
    members = [(m.type if isinstance(m, inspect.Metadata) else m) for m in info.types]
    others = [m for m in members if not isinstance(m, inspect.NoneType)]
    if len(others) == 1 and info.includes_none:
        only = _lazy(others[0])
        return lambda node, path, problems: None if node.is_null() else only(node, path, problems)
    readers = [(member, _lazy(member)) for member in members]

    def read(node: Node, path: str, problems: Problems) -> Any:
        fitting = [(member, reader) for member, reader in readers if fits(node, member)]
        if not fitting:
            return _fail(node, path, problems, label(info))
        _, reader = min(fitting, key=lambda pair: preference(node, pair[0]))
        return reader(node, path, problems)

    return read


def _lazy(info: inspect.Type) -> _Reader:
    """A reader made when it is first used: structs may hold themselves."""
    if not isinstance(info, inspect.StructType):
        return _reader(info)
    cls = info.cls
    return lambda node, path, problems: _struct_reader(cls)(node, path, problems)


_READERS: dict[type, Callable[[Any], _Reader]] = {
    inspect.AnyType: _any,
    inspect.NoneType: _null,
    inspect.StrType: _text,
    inspect.BoolType: _boolean,
    inspect.IntType: _number,
    inspect.FloatType: _number,
    inspect.LiteralType: _literal,
    inspect.ListType: _sequence,
    inspect.VarTupleType: _sequence,
    inspect.DictType: _mapping,
    inspect.UnionType: _union,
}


@functools.cache
def _struct_reader(cls: type[msgspec.Struct]) -> _Reader:
    known = shape(cls)
    readers = {name: _lazy(f.type) for name, f in known.fields.items()}
    absent = {name for name, f in known.fields.items() if not f.required and not takes_null(f.type)}
    keeps = "extra" in cls.__struct_fields__

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "map":
            return _fail(node, path, problems, f"a map ({label(inspect.type_info(cls))})")
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        failed = False
        for key, child in node.value.items():
            name = known.aliases.get(key, key)
            field = known.fields.get(name)
            inner = f"{path}.{key}" if path else key
            if field is None:
                failed |= _unknown_key(key, node, inner, known, extra, problems)
            elif field.name in values:
                failed |= _named_twice(key, name, node, inner, known, problems)
            elif name not in absent or not child.is_null():
                values[field.name] = readers[name](child, inner, problems)
        failed |= any(v is _FAILED for v in values.values())
        failed |= _lacks_required(node, path, known, values, problems)
        if failed:
            return _FAILED
        return cls(**values, extra=extra) if keeps else cls(**values)

    return read


def _named_twice(key: str, name: str, node: Node, path: str, known: Shape, problems: Problems) -> bool:
    other = next((k for k in node.value if k != key and known.aliases.get(k, k) == name), name)
    problems.add(f"'{key}' and '{other}' are two names of one setting", node.keys[key], path, "keep one")
    return True


def _lacks_required(node: Node, path: str, known: Shape, values: dict[str, Any], problems: Problems) -> bool:
    lacking = [name for name, field in known.fields.items() if field.required and field.name not in values]
    for name in lacking:
        problems.add(f"'{name}' is required", node.mark, f"{path}.{name}" if path else name, missing_hint(node, name))
    return bool(lacking)


def _unknown_key(key: str, node: Node, path: str, known: Shape, extra: dict[str, Any], problems: Problems) -> bool:
    """Judges a key that the struct does not have; whether it is an error."""
    child = node.value[key]
    mark = node.keys.get(key, child.mark)
    names = [*known.fields, *known.aliases]
    slip = None if known.unknown == "free" else one_slip(key, [n for n in names if n not in node.value])
    if known.unknown == "error" or slip:
        guess = slip or nearest(key, names)
        hint = f"known here: {listed(known.fields, 12 if guess else 40)}"
        hint = f"did you mean '{guess}'?   {hint}" if guess else hint
        problems.add(f"unknown key '{key}'", mark, path, hint, code="config_unknown_key")
        return True
    extra[key] = child.plain_value()
    if known.unknown == "keep":
        problems.warn(
            f"unknown key '{key}' is kept, but dativo itself does nothing with it",
            mark,
            path,
            "remove it, or check its spelling",
            code="config_unknown_key",
        )
    return False
