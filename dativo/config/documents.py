"""YAML files as trees that remember where every value stands.

PyYAML's loaders take the last of two equal keys in silence and expand aliases without limit; its constructors forget
lines. So the tree is built here from the parser's events: duplicate keys, tags, endless aliases, deep nesting and huge
files are refused, and every node keeps its line and column.

Scalars follow YAML 1.1 as its users know it (`yes`, `on` are booleans), without the parts that surprise: `12:30` is
text, not a number in base 60, and a date is text until a field asks for a date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from dativo.errors import Mark, Problem

MAX_BYTES = 4 << 20
MAX_DEPTH = 60
MAX_ALIASES = 100
MAX_NODES = 200_000

Scalar = str | int | float | bool | None

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEANS = {w: b for words, b in (("yes true on", True), ("no false off", False)) for w in words.split()}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_STANDARD_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "map", "seq")}


class DocumentError(Exception):
    """The file is not a document that can be read; carries the Problem to report."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True, frozen=True)
class Node:
    """One value of a document.

    `value` is a dict of nodes, a list of nodes or a scalar. `text` is a scalar as it was written, so that a version
    `1.10` does not become `1.1`; `plain` tells that it stood without quotes. `keys` has the place of each key of a map.
    """

    kind: Literal["map", "list", "scalar"]
    value: Any
    mark: Mark
    text: str = ""
    plain: bool = False
    keys: dict[str, Mark] = field(default_factory=dict)
    written: str = ""  # with variables put in: how the file has it, which may be shown where the value may not

    def get(self, key: str) -> Node | None:
        """The value under `key`, or None when there is none or this is not a map."""
        return self.value.get(key) if self.kind == "map" else None

    def at(self, *path: str | int) -> Node | None:
        """The node at a path of keys and positions, or None."""
        node: Node | None = self
        for step in path:
            if node is None:
                return None
            if isinstance(step, int):
                node = node.value[step] if node.kind == "list" and step < len(node.value) else None
            else:
                node = node.get(step)
        return node

    def mark_of(self, *path: str | int) -> Mark:
        """The place of the value at `path`, or of the nearest thing around it that exists."""
        for end in range(len(path), -1, -1):
            found = self.at(*path[:end])
            if found is not None:
                return found.mark
        return self.mark

    def is_null(self) -> bool:
        return self.kind == "scalar" and self.value is None

    def plain_value(self) -> Any:
        """The tree as plain dicts, lists and scalars."""
        if self.kind == "map":
            return {k: v.plain_value() for k, v in self.value.items()}
        if self.kind == "list":
            return [v.plain_value() for v in self.value]
        return self.value

    def scalars(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Every scalar below this node with its path, as `source.files[0].path`."""
        if self.kind == "map":
            for key, child in self.value.items():
                yield from child.scalars(f"{path}.{key}" if path else key)
        elif self.kind == "list":
            for position, child in enumerate(self.value):
                yield from child.scalars(f"{path}[{position}]")
        else:
            yield path, self


def map_of(entries: dict[str, Node], mark: Mark, keys: dict[str, Mark] | None = None) -> Node:
    """A map node made by the program, standing at `mark`."""
    return Node("map", entries, mark, keys=keys or {k: v.mark for k, v in entries.items()})


def scalar_of(value: Scalar, mark: Mark) -> Node:
    """A scalar node made by the program, standing at `mark`."""
    return Node("scalar", value, mark, text="" if value is None else str(value))


def merge(under: Node | None, over: Node | None) -> Node | None:
    """`over` laid upon `under`: maps merge recursively, lists and scalars replace, a `null` takes the value away."""
    if over is None:
        return under
    if under is None or under.kind != "map" or over.kind != "map":
        return over
    merged, keys = dict(under.value), dict(under.keys)
    for key, value in over.value.items():
        if value.is_null():
            merged.pop(key, None)
            merged[key] = value
        else:
            merged[key] = merge(merged.get(key), value)
        keys[key] = over.keys.get(key, value.mark)
    return Node("map", merged, over.mark, keys=keys)


def load(path: Path, shown: str | None = None) -> Node:
    """The document in a file.

    `shown` is how the file is named in messages. Raises DocumentError when the file is missing, empty, too large, not
    UTF-8, not YAML, or uses what is refused (duplicate keys, tags of other languages, endless aliases).
    """
    name = shown or str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _failed(f"the file has more than {MAX_BYTES >> 20} MiB", Mark(name), "split it, or check the path")
        data = path.read_bytes()
    except FileNotFoundError:
        raise _failed("file not found", Mark(name)) from None
    except IsADirectoryError:
        raise _failed("this is a directory, not a file", Mark(name)) from None
    except OSError as error:
        raise _failed(f"cannot be read: {error.strerror}", Mark(name)) from None
    return parse(data, name)


def parse(data: bytes | str, name: str) -> Node:
    """The document in `data`, named `name` in messages; raises DocumentError as `load` does."""
    text = data if isinstance(data, str) else _decode(data, name)
    root = _Builder(name).build(text)
    if root is None or root.is_null():
        raise _failed("the file is empty", Mark(name), "write the document, or remove the file")
    return root


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _failed("the file is not UTF-8", Mark(name, line, 1), "save it as UTF-8") from None


def _failed(message: str, mark: Mark, hint: str = "") -> DocumentError:
    return DocumentError(Problem(message, mark, hint=hint, code="yaml"))


class _Builder:
    """Builds one document from the parser's events."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.aliases = 0
        self.nodes = 0
        self.events: Iterator[Any] = iter(())

    def build(self, text: str) -> Node | None:
        root = None
        try:
            self.events = yaml.parse(text, Loader=_Loader)
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        raise _failed("a second document starts here", self.mark(event), "keep one document a file")
                    root = self.node(next(self.events), 0)
        except yaml.MarkedYAMLError as error:
            raise self.syntax(error) from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise _failed(f"not YAML: {_first_line(error)}", Mark(self.name)) from None
        return root

    def mark(self, event: Any) -> Mark:
        return Mark(self.name, event.start_mark.line + 1, event.start_mark.column + 1)

    def syntax(self, error: yaml.MarkedYAMLError) -> DocumentError:
        place = error.problem_mark or error.context_mark
        mark = Mark(self.name, place.line + 1, place.column + 1) if place else Mark(self.name)
        problem = error.problem or _first_line(error)
        hint = ""
        if "cannot start any token" in problem:
            hint = "indent with spaces, not tabs, and put quotes around text that starts with %, @ or `"
        elif "mapping values are not allowed" in problem:
            hint = "check the indentation, and put quotes around text that holds ': '"
        elif "did not find expected" in problem or "could not find expected" in problem:
            hint = "check the indentation and the quotes of the lines above"
        return _failed(f"not YAML: {problem}", mark, hint)

    def count(self, mark: Mark, depth: int, more: int = 1) -> None:
        self.nodes += more
        if depth > MAX_DEPTH:
            raise _failed(f"nested deeper than {MAX_DEPTH} levels", mark, "flatten the document")
        if self.nodes > MAX_NODES:
            raise _failed(f"the document has more than {MAX_NODES:,} values, aliases counted", mark, "split the file")

    def node(self, event: Any, depth: int) -> Node:
        mark = self.mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, mark, depth)
        before = self.nodes
        self.count(mark, depth)
        if event.tag is not None and event.tag not in _STANDARD_TAGS and event.tag != "!":
            raise _failed(f"the tag {event.tag!r} is not allowed", mark, "write plain values, maps and lists")
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event, mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(mark, depth)
        else:
            node = self.mapping(mark, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.nodes - before)
        return node

    def alias(self, event: Any, mark: Mark, depth: int) -> Node:
        self.aliases += 1
        if event.anchor not in self.anchors:
            raise _failed(f"the alias *{event.anchor} has no anchor before it", mark, f"add &{event.anchor} above")
        if self.aliases > MAX_ALIASES:
            raise _failed(f"more than {MAX_ALIASES} aliases", mark, "write the values out")
        node, size = self.anchors[event.anchor]
        self.count(mark, depth, size)
        return node

    def scalar(self, event: Any, mark: Mark) -> Node:
        plain = event.style is None or event.style == ""
        text = event.value
        if event.tag == "tag:yaml.org,2002:str" or (not plain and event.tag is None) or event.tag == "!":
            return Node("scalar", text, mark, text=text)
        return Node("scalar", resolve_scalar(text), mark, text=text, plain=True)

    def sequence(self, mark: Mark, depth: int) -> Node:
        items = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self.node(event, depth + 1))
        return Node("list", items, mark)

    def mapping(self, mark: Mark, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        under: list[Node] = []
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if key.kind != "scalar":
                raise _failed("a map or list cannot be a key", key.mark, "put quotes around text that starts with { or [")
            name = key.text if key.value is not None else "null"
            if name == "<<" and key.plain:
                under += value.value if value.kind == "list" else [value]
            elif name in entries:
                first = keys[name]
                raise _failed(
                    f"the key {name!r} stands twice in one map", key.mark, f"it stands first in line {first.line}; keep one"
                )
            else:
                entries[name], keys[name] = value, key.mark
        for base in under:
            if base.kind != "map":
                raise _failed("'<<' takes a map or a list of maps", base.mark)
            for name, value in base.value.items():
                if name not in entries:
                    entries[name], keys[name] = value, base.keys[name]
        return Node("map", entries, mark, keys=keys)


def resolve_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _NULLS:
        return None
    if text.lower() in _BOOLEANS and text in (text.lower(), text.upper(), text.capitalize()):
        return _BOOLEANS[text.lower()]
    try:
        if _INT.match(text):
            return int(text.replace("_", ""))
        if _HEX.match(text):
            return int(text.replace("_", ""), 16)
        if _FLOAT.match(text):
            return float(text.replace("_", ""))
    except ValueError:
        return text
    if _SPECIAL_FLOAT.match(text):
        return float(text.replace(".", "", 1))
    return text


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
