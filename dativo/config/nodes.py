"""The tree of a document: maps, lists and scalars, each with its place in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from dativo.config.scalars import Scalar
from dativo.errors import Mark


class Node(msgspec.Struct, frozen=True):
    """One value of a document.

    `value` is a dict of nodes, a list of nodes or a scalar. `text` is a scalar as it was written, so that a version
    `1.10` does not become `1.1`; `plain` tells that it stood without quotes. `keys` has the place of each key of a map.
    Once variables are put in, `written` is how the file has it, which may be shown where the value may not, and `unset`
    names the variables that are set nowhere and so still stand in the text.
    """

    kind: Literal["map", "list", "scalar"]
    value: Any
    mark: Mark
    text: str = ""
    plain: bool = False
    keys: dict[str, Mark] = {}
    written: str = ""
    unset: tuple[str, ...] = ()

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

    def is_empty(self) -> bool:
        """Whether this is null, an empty map or an empty list."""
        return self.value is None or (self.kind != "scalar" and not self.value)

    def plain_value(self) -> Any:
        """The tree as plain dicts, lists and scalars."""
        if self.kind == "map":
            return {k: v.plain_value() for k, v in self.value.items()}
        if self.kind == "list":
            return [v.plain_value() for v in self.value]
        return self.value

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """This node and every one below it with its path, as `source.files[0].path`."""
        yield path, self
        if self.kind == "map":
            for key, child in self.value.items():
                yield from child.walk(f"{path}.{key}" if path else key)
        elif self.kind == "list":
            for position, child in enumerate(self.value):
                yield from child.walk(f"{path}[{position}]")

    def having(self, entries: dict[str, Node]) -> Node:
        """This map with other entries, standing where it stands; the places of its own keys stay known."""
        return Node("map", entries, self.mark, keys={k: self.keys.get(k, v.mark) for k, v in entries.items()})


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
        merged[key] = merge(merged.get(key), value)
        keys[key] = over.keys.get(key, value.mark)
    return Node("map", merged, over.mark, keys=keys)
