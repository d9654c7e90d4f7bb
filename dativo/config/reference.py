"""The configuration reference: `python -m dativo.config.reference` writes it to `docs/configuration.md`.

Tables are made of the structs, so they cannot say what the program does not do.
"""

from __future__ import annotations

import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dativo.config.json_schema import summary
from dativo.config.reference_intro import INTRO
from dativo.config.shapes import Setting, Type, shape

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


class Part(NamedTuple):
    """A file, or a block that stands by itself: its title, the struct, where it stands, and words about it."""

    title: str
    struct: str
    path: str
    text: str


# Structs by name: the options of sources belong to a floor above, which configuration does not know.
PARTS = (
    Part(
        "Job", "dativo.config.job:JobFile", "",
        "`jobs/TENANT/SOURCE_ASSET_to_TARGET.yaml`. The job's name is the file's stem. One of `asset_path`, `asset_paths` "
        "and `assets` is required. `source` and `target` are laid over their recipes.",
    ),
    Part(
        "Options of CSV sources", "dativo.sources.options:CsvOptions", "source.engine.options",
        "In `source.engine.options`, or there below `native`.",
    ),
    Part(
        "Options of JSON lines sources", "dativo.sources.options:JsonlOptions", "source.engine.options",
        "In `source.engine.options`, or there below `native`.",
    ),
    Part(
        "Options of Parquet sources", "dativo.sources.options:ParquetOptions", "source.engine.options",
        "In `source.engine.options`, or there below `native`.",
    ),
    Part(
        "Options of database sources", "dativo.sources.database_options:DatabaseOptions", "source.engine.options",
        "In `source.engine.options`, or there below `native`.",
    ),
    Part(
        "Asset", "dativo.config.asset_file:AssetFile", "",
        "A data contract: `assets/SOURCE_TYPE/vVERSION/OBJECT.yaml`. Three forms are read: flat, as here; the same below a "
        "key `asset:`, where a block `governance` (`owner`, `tags`, `classification`, `retention_days`) fills what `team`, "
        "`tags` and `compliance` leave open; and the standard's own, where `schema` lists objects with `properties`.",
    ),
    Part(
        "Recipe", "dativo.config.recipe:RecipeFile", "",
        "`connectors/NAME.yaml` with `roles`, or `connectors/sources/NAME.yaml` and `connectors/targets/NAME.yaml`, where "
        "the folder is the role. `default_engine` or `engine` is required. A job's `source` and `target` are laid over it.",
    ),
    Part(
        "Registry", "dativo.config.registry:RegistryFile", "",
        "`registry/connectors.yaml`, or the file that `DATIVO_REGISTRY` names; without one, the one that ships.",
    ),
    Part(
        "Runner", "dativo.config.runner:RunnerFile", "",
        "`configs/runner.yaml`, below a key `runner:` or bare. A schedule has `cron` or `interval_seconds`, not both.",
    ),
    Part(
        "Policy", "dativo.config.policy:PolicyFile", "",
        "`configs/policy.yaml`, below a key `policy:` or bare. Found by itself it only warns; named with `--policy`, its "
        "`strict` makes findings errors. It adds no tags and deletes nothing.",
    ),
)  # fmt: skip


def page() -> str:
    """The whole page as Markdown."""
    contents = "\n".join(f"- [{part.title}](#{slug(part.title)})" for part in PARTS)
    bodies = "\n\n".join(_Chapter(part).text() for part in PARTS)
    return f"{INTRO.strip()}\n\n## Blocks\n\n{contents}\n\n{bodies}\n"


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class _Chapter:
    """One part with a table for its struct and for every struct inside it, each where it is first met."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.headings: dict[type[msgspec.Struct], str] = {}
        self.waiting: list[type[msgspec.Struct]] = []

    def text(self) -> str:
        cls = pkgutil.resolve_name(self.part.struct)
        blocks = [f"## {self.part.title}", self.part.text, self.table(cls, self.part.path)]
        while self.waiting:
            inner = self.waiting.pop(0)
            path = self.headings[inner]
            blocks += [f"### {self.heading(inner)}", _sentence(summary(inner)), self.table(inner, path)]
        return "\n\n".join(blocks)

    def heading(self, cls: type[msgspec.Struct]) -> str:
        return f"{self.part.title}: {self.headings[cls]}"

    def table(self, cls: type[msgspec.Struct], path: str) -> str:
        known = shape(cls)
        rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
        for key, setting in known.settings.items():
            others = [other for other, of in known.aliases.items() if of == key]
            meaning = setting.description + (f"; also `{'`, `'.join(others)}`" if others else "")
            cells = (f"`{key}`", self.type(setting.type, _joined(path, key)), _default(setting), meaning)
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(rows)

    def type(self, type_: Type, path: str) -> str:
        if type_.kind == "struct" and type_.struct is not None:
            if type_.struct not in self.headings:
                self.headings[type_.struct] = path
                self.waiting.append(type_.struct)
            return f"[map](#{slug(self.heading(type_.struct))})"
        if type_.kind == "union":
            return " or ".join(dict.fromkeys(self.type(m, path) for m in type_.members if m.kind != "null"))
        if type_.kind in ("list", "tuple") and type_.item is not None:
            return f"list of {self.type(type_.item, f'{path}[]')}"
        if type_.kind == "map" and type_.item is not None:
            inner = self.type(type_.item, _joined(path, "NAME"))
            return "map" if inner == "any" else f"map to {inner}"
        if type_.kind == "literal":
            return ", ".join(f"`{v}`" for v in type_.values)
        names = {"any": "any", "text": "text", "bool": "boolean", "int": "integer", "float": "number"}
        return names[type_.kind] + type_.limits


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _default(setting: Setting) -> str:
    if setting.required:
        return "required"
    value: Any = setting.default
    if value is None or isinstance(value, msgspec.Struct) or value in ({}, [], ()):
        return "–"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _sentence(text: str) -> str:
    return text if text.endswith((".", ":")) else f"{text}."


def links(markdown: str) -> Iterator[tuple[str, bool]]:
    """Every link inside a page, and whether it leads to one of its headings."""
    anchors = {slug(line.lstrip("# ")) for line in markdown.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(#([^)]*)\)", markdown):
        yield target, target in anchors


def main() -> None:
    """Writes the page and tells where."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
