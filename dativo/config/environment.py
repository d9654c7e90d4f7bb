"""Environment variables in configuration text.

The grammar: `$NAME`, `${NAME}`, `${NAME:-default}` (when unset or empty), `${NAME-default}` (when unset), `$$` for a
dollar sign. NAME is `[A-Za-z_][A-Za-z0-9_]*`, case counts, a default may be empty and does not nest. Anything else with
a dollar sign stays as it is, so `^a$` and `$5` survive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dativo.config.documents import Node
from dativo.errors import Mark

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<op>:?-)(?P<default>[^{}]*))?\})"
)


@dataclass(slots=True)
class Missing:
    """A variable that is used, has no default, and is set nowhere."""

    name: str
    mark: Mark
    field: str


@dataclass(slots=True)
class Environment:
    """Where variables come from: `values` in order, the first that has the name wins.

    `names` says what each of them is called in messages, as "the process environment".
    """

    values: list[Mapping[str, str]]
    names: list[str]
    missing: list[Missing] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        for values in self.values:
            if name in values:
                return values[name]
        return None

    def text(self, text: str, mark: Mark, field: str) -> str:
        """`text` with its variables put in; those that are set nowhere stay as written and are noted in `missing`."""
        if "$" not in text:
            return text

        def value(match: re.Match[str]) -> str:
            if match["dollar"]:
                return "$"
            name = match["bare"] or match["name"]
            found = self.get(name)
            if found is not None and not (match["op"] == ":-" and not found):
                return found
            if match["op"]:
                return str(match["default"])
            self.missing.append(Missing(name, mark, field))
            return match[0]

        return _REFERENCE.sub(value, text)

    def node(self, node: Node, path: str = "") -> Node:
        """`node` with the variables of every string value put in; keys stay as they are."""
        if node.kind == "map":
            entries = {k: self.node(v, f"{path}.{k}" if path else k) for k, v in node.value.items()}
            return Node("map", entries, node.mark, keys=node.keys)
        if node.kind == "list":
            return Node("list", [self.node(v, f"{path}[{i}]") for i, v in enumerate(node.value)], node.mark)
        if not isinstance(node.value, str) or "$" not in node.value:
            return node
        text = self.text(node.value, node.mark, path)
        # What a variable holds may be meant as a number or a boolean: decoding decides by the field's type.
        return Node("scalar", text, node.mark, text=text, plain=text != node.value, written=node.value)


def process_environment(folder: Path | None = None) -> Environment:
    """The process environment, and below it the `.env` file of the working directory."""
    dotenv = (folder or Path.cwd()) / ".env"
    values: list[Mapping[str, str]] = [os.environ]
    names = ["the process environment"]
    if dotenv.is_file():
        values.append(read_dotenv(dotenv.read_text(encoding="utf-8", errors="replace")))
        names.append(str(dotenv))
    return Environment(values, names)


def read_dotenv(text: str) -> dict[str, str]:
    """`KEY=VALUE` lines; `#` lines and lines without `=` are skipped, surrounding quotes and `export ` removed."""
    values = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or "=" not in stripped:
            continue
        name, _, value = stripped.removeprefix("export ").partition("=")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[name.strip()] = value
    return values
