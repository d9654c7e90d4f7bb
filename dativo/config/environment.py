"""Environment variables in configuration text.

The grammar: `$NAME`, `${NAME}`, `${NAME:-default}` (when unset or empty), `${NAME-default}` (when unset), `$$` for a
dollar sign. NAME is `[A-Za-z_][A-Za-z0-9_]*`, case counts, a default may be empty and does not nest. Anything else with
a dollar sign stays as it is, so `^a$` and `$5` survive. What a variable holds is never expanded again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dativo.config.nodes import Node
from dativo.errors import ConfigError, Mark, Problem

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<op>:?-)(?P<default>[^{}]*))?\})"
)


@dataclass(slots=True)
class Environment:
    """Where variables come from: `values` in order, the first that has the name wins.

    `names` says what each of them is called in messages, as "the process environment".
    """

    values: list[Mapping[str, str]]
    names: list[str]

    def get(self, name: str) -> str | None:
        for values in self.values:
            if name in values:
                return values[name]
        return None

    def origin(self, name: str) -> str:
        """Where a variable is set, as "the process environment"; empty text where it is not."""
        return next((called for values, called in zip(self.values, self.names, strict=True) if name in values), "")

    def below(self, layers: Sequence[tuple[Mapping[str, str], str]]) -> Environment:
        """This environment with further places in front of it, each with what it is called."""
        return Environment([v for v, _ in layers] + self.values, [n for _, n in layers] + self.names)

    def text(self, text: str) -> tuple[str, tuple[str, ...]]:
        """`text` with its variables put in, and the names of those that are set nowhere: they stay as written."""
        unset: list[str] = []

        def value(match: re.Match[str]) -> str:
            if match["dollar"]:
                return "$"
            name = match["bare"] or match["name"]
            found = self.get(name)
            if found is not None and not (match["op"] == ":-" and not found):
                return found
            if match["op"]:
                return str(match["default"])
            unset.append(name)
            return match[0]

        return _REFERENCE.sub(value, text), tuple(dict.fromkeys(unset))

    def node(self, node: Node) -> Node:
        """`node` with the variables of every string value put in; keys stay as they are. To be done once for a node."""
        if node.kind == "map":
            entries = {k: self.node(v) for k, v in node.value.items()}
            same = all(entries[k] is v for k, v in node.value.items())
            return node if same else Node("map", entries, node.mark, keys=node.keys)
        if node.kind == "list":
            items = [self.node(v) for v in node.value]
            return (
                node if all(a is b for a, b in zip(items, node.value, strict=True)) else Node("list", items, node.mark)
            )
        if not isinstance(node.value, str) or "$" not in node.value:
            return node
        text, unset = self.text(node.value)
        # What a variable holds may be meant as a number or a boolean: decoding decides by the field's type.
        return Node("scalar", text, node.mark, text=text, plain=text != node.value, written=node.value, unset=unset)


def process_environment(folder: Path | None = None) -> Environment:
    """The process environment, and below it the `.env` file of the working directory.

    Raises ConfigError when there is a `.env` file that cannot be read.
    """
    dotenv = (folder or Path.cwd()) / ".env"
    values: list[Mapping[str, str]] = [os.environ]
    names = ["the process environment"]
    if dotenv.is_file():
        try:
            text = dotenv.read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            hint = "check its permissions, or remove it"
            raise ConfigError([Problem(f"cannot be read: {error.strerror}", Mark(str(dotenv)), hint=hint)]) from None
        values.append(read_dotenv(text))
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
