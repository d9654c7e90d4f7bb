"""`just schema-validate`: every YAML file of the repository against its JSON schema, and by `dativo validate`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from jsonschema import Draft201909Validator, Draft202012Validator

from dativo import validate
from dativo.config.documents import DocumentError, load
from dativo.config.odcs import is_native
from dativo.pipeline.validate import kind_of

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = ROOT / "schemas"
ASSET, STANDARD = "odcs/dativo-odcs-3.0.2-extended.schema.json", "odcs/odcs-json-schema-v3.0.2.json"
BY_KIND = {kind: f"{kind}.schema.json" for kind in ("job", "recipe", "registry", "runner", "policy")}
# Projects, each of which is validated by itself; what must fail is left out.
# Where a path of theirs is looked for first: the working directory.
PROJECTS = {".": ".", "tests/fixtures": ".", "tests/compat/project": "tests/compat/project"}
FOLDERS = ("jobs", "assets", "connectors", "registry", "configs")


def files(project: Path) -> list[Path]:
    """The configuration files of a project."""
    found = [p for folder in FOLDERS for p in sorted((project / folder).rglob("*.y*ml"))]
    return [*found, *sorted(project.glob("runner.y*ml"))]


def faults(path: Path) -> Iterator[str]:
    """What the schema of a file's kind has against it."""
    try:
        node = load(path, str(path))
    except DocumentError as error:
        yield error.problem.render()
        return
    kind = kind_of(node, path)
    if kind is None:
        yield f"{path}: of no kind that is known"
        return
    # Two registries of older versions have a shape of their own, which only the loader knows.
    if kind == "registry" and node.get("connectors") is None:
        return
    name = BY_KIND.get(kind) or (STANDARD if is_native(node) else ASSET)
    draft = Draft201909Validator if name == STANDARD else Draft202012Validator
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for found in draft(json.loads((SCHEMAS / name).read_text(encoding="utf-8"))).iter_errors(_plain(document)):
        yield f"{path}: {found.json_path}: {found.message[:300]} ({name})"


def _plain(document: object) -> object:
    """A document as JSON has it: dates are texts there."""
    return json.loads(json.dumps(document, default=str))


def main() -> int:
    found = 0
    count = 0
    for project, place in PROJECTS.items():
        chosen = files(ROOT / project)
        count += len(chosen)
        for path in chosen:
            for fault in faults(path):
                print(fault)
                found += 1
        with contextlib.chdir(ROOT / place):
            checked = validate(chosen)
        for problem in checked.problems:
            if problem.severity == "error":
                print(problem.render())
        found += sum(p.severity == "error" for p in checked.problems)
    print(f"{count} files, {found} mistakes" if found else f"{count} files, no mistake")
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())
