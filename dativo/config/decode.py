"""From a document's tree to a frozen struct, with every mistake found in one go.

msgspec stops at the first mistake and knows no lines, so the walk is done here; the types, limits and defaults are the
struct's own. A struct says what happens to keys it does not know by its class variable `unknown`:

- `"error"`: refused, with the nearest name;
- `"keep"`: kept in the field `extra` with one warning each, but refused when one slip away from a known key;
- `"free"`: kept in `extra` and never judged.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from dativo.config.choice import fits, preference, resolved
from dativo.config.labels import label, missing_hint, shown
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.config.shapes import Shape, Type, shape
from dativo.errors import listed, nearest, one_slip

__all__ = ["Problems", "decode"]

S = TypeVar("S", bound=msgspec.Struct)

_FAILED: Any = object()
# Reads the value of one type from a node that stands at a path; _FAILED after its mistakes were noted.
_Reader = Callable[[Node, str, Problems], Any]


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


def _any(_type: Type) -> _Reader:
    return lambda node, _path, _problems: node.plain_value()


def _null(_type: Type) -> _Reader:
    return lambda node, path, problems: None if node.is_null() else _fail(node, path, problems, "null")


def _text(type_: Type) -> _Reader:
    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "scalar" or node.value is None:
            hint = f"put quotes around it: {node.text} without quotes is nothing" if node.text else ""
            return _fail(node, path, problems, "text", hint)
        text = node.text if node.plain else str(node.value)
        if type_.min_length and len(text) < type_.min_length:
            return _fail(node, path, problems, "text that is not empty")
        if type_.pattern and not re.search(type_.pattern, text):
            return _fail(node, path, problems, f"text like {type_.pattern}")
        return text

    return read


def _boolean(_type: Type) -> _Reader:
    def read(node: Node, path: str, problems: Problems) -> Any:
        value = resolved(node)
        return value if isinstance(value, bool) else _fail(node, path, problems, "true or false")

    return read


def _number(type_: Type) -> _Reader:
    whole = type_.kind == "int"

    def read(node: Node, path: str, problems: Problems) -> Any:
        value = resolved(node)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return _fail(node, path, problems, label(type_))
        outside = (
            (type_.ge is not None and value < type_.ge)
            or (type_.gt is not None and value <= type_.gt)
            or (type_.le is not None and value > type_.le)
            or not abs(value) < 1 << 63  # infinity and NaN too
        )
        if outside:
            return _fail(node, path, problems, label(type_))
        return value if whole else float(value)

    return read


def _literal(type_: Type) -> _Reader:
    values = {str(v): v for v in type_.values}

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "scalar" or node.value is None:
            return _fail(node, path, problems, label(type_))
        text = node.text if node.plain else str(node.value)
        found = values.get(text, values.get(text.lower()))
        if found is not None:
            return found
        guess = nearest(text, values)
        return _fail(node, path, problems, label(type_), f"did you mean '{guess}'?" if guess else "")

    return read


def _sequence(type_: Type) -> _Reader:
    item = _reader(cast(Type, type_.item))
    make = tuple if type_.kind == "tuple" else list

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "list":
            return _fail(node, path, problems, label(type_))
        if len(node.value) < (type_.min_length or 0):
            problems.add(
                f"a list of at least {type_.min_length} is expected, this one has {len(node.value)}", node.mark, path
            )
            return _FAILED
        items = [item(child, f"{path}[{i}]", problems) for i, child in enumerate(node.value)]
        return _FAILED if any(i is _FAILED for i in items) else make(items)

    return read


def _mapping(type_: Type) -> _Reader:
    inner = _reader(cast(Type, type_.item))

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "map":
            return _fail(node, path, problems, label(type_))
        values = {k: inner(v, f"{path}.{k}" if path else k, problems) for k, v in node.value.items()}
        return _FAILED if any(v is _FAILED for v in values.values()) else values

    return read


def _union(type_: Type) -> _Reader:
    others = [m for m in type_.members if m.kind != "null"]
    if len(others) == 1 and type_.takes_null:
        only = _reader(others[0])
        return lambda node, path, problems: None if node.is_null() else only(node, path, problems)
    readers = [(member, _reader(member)) for member in type_.members]

    def read(node: Node, path: str, problems: Problems) -> Any:
        fitting = [(member, reader) for member, reader in readers if fits(node, member)]
        if not fitting:
            return _fail(node, path, problems, label(type_))
        _, reader = min(fitting, key=lambda pair: preference(node, pair[0]))
        return reader(node, path, problems)

    return read


def _block(type_: Type) -> _Reader:
    cls = cast(type[msgspec.Struct], type_.struct)
    # Made when it is first used: structs may hold themselves, and most of them are in no file.
    return lambda node, path, problems: _struct_reader(cls)(node, path, problems)


_READERS: dict[str, Callable[[Type], _Reader]] = {
    "any": _any, "null": _null, "text": _text, "bool": _boolean, "int": _number, "float": _number, "literal": _literal,
    "list": _sequence, "tuple": _sequence, "map": _mapping, "union": _union, "struct": _block,
}  # fmt: skip


def _reader(type_: Type) -> _Reader:
    return _READERS[type_.kind](type_)


@functools.cache
def _struct_reader(cls: type[msgspec.Struct]) -> _Reader:
    known = shape(cls)
    readers = {key: _reader(s.type) for key, s in known.settings.items()}
    absent = {key for key, s in known.settings.items() if not s.required and not s.type.takes_null}
    keeps = "extra" in cls.__struct_fields__

    def read(node: Node, path: str, problems: Problems) -> Any:
        if node.kind != "map":
            return _fail(node, path, problems, label(Type("struct", struct=cls)))
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        failed = False
        for key, child in node.value.items():
            name = known.aliases.get(key, key)
            setting = known.settings.get(name)
            inner = f"{path}.{key}" if path else key
            if setting is None:
                failed |= _unknown_key(key, node, inner, known, extra, problems)
            elif setting.name in values:
                failed |= _named_twice(key, name, node, inner, known, problems)
            elif name not in absent or not child.is_null():
                values[setting.name] = readers[name](child, inner, problems)
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
    lacking = [key for key, s in known.settings.items() if s.required and s.name not in values]
    for name in lacking:
        problems.add(f"'{name}' is required", node.mark, f"{path}.{name}" if path else name, missing_hint(node, name))
    return bool(lacking)


def _unknown_key(key: str, node: Node, path: str, known: Shape, extra: dict[str, Any], problems: Problems) -> bool:
    """Judges a key that the struct does not have; whether it is an error."""
    child = node.value[key]
    mark = node.keys.get(key, child.mark)
    names = [*known.settings, *known.aliases]
    slip = None if known.unknown == "free" else one_slip(key, [n for n in names if n not in node.value])
    if known.unknown == "error" or slip:
        guess = slip or nearest(key, names)
        hint = f"known here: {listed(known.settings, 12 if guess else 40)}"
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
