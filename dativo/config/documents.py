"""YAML files as trees that remember where every value stands.

PyYAML's loaders take the last of two equal keys in silence and expand aliases without limit; its constructors forget
lines. So the tree is built here from the parser's events: duplicate keys, tags, endless aliases, deep nesting and huge
files are refused, and every node keeps its line and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dativo.config.nodes import Node, map_of, merge, scalar_of
from dativo.config.scalars import resolve_scalar
from dativo.errors import Mark, Problem

__all__ = ["DocumentError", "Node", "load", "map_of", "merge", "parse", "scalar_of"]

MAX_BYTES = 4 << 20
MAX_DEPTH = 60
MAX_ALIASES = 100
MAX_NODES = 200_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "map", "seq")}


class DocumentError(Exception):
    """The file is not a document that can be read; carries the Problem to report."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


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
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            place = Mark(self.name, line, column)
            raise _failed(f"not YAML: {_first_line(error)}", place, "write it as \\x.. inside double quotes") from None
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
                raise _failed(
                    "a map or list cannot be a key", key.mark, "put quotes around text that starts with { or ["
                )
            name = key.text if key.value is not None else "null"
            if name == "<<" and key.plain:
                under += value.value if value.kind == "list" else [value]
            elif name in entries:
                first = keys[name]
                raise _failed(
                    f"the key {name!r} stands twice in one map",
                    key.mark,
                    f"it stands first in line {first.line}; keep one",
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


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
