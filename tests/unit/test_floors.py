"""The floors of the program: each module imports from its own floor or from floors below, and what is heavy comes late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What the program offers to others, its own command line among them; names are imported when they are first used.
PUBLIC = "dativo"

# From the ground up. A package stands for all of its modules.
FLOORS = (
    ("dativo.errors", "dativo.receipt"),
    ("dativo.config",),
    (
        "dativo.contract", "dativo.privacy", "dativo.render", "dativo.staging", "dativo.state", "dativo.secret_managers",
        "dativo.observe", "dativo.stores", "dativo.mysql",
    ),
    ("dativo.sources", "dativo.targets"),
    ("dativo.connectors",),
    ("dativo.pipeline",),
    (PUBLIC,),
    ("dativo.cli", "dativo.__main__"),
)  # fmt: skip
# Protocols say what adapters must do: they are contracts and stand with them.
PROTOCOLS = ("dativo.sources.protocol", "dativo.targets.protocol", "dativo.targets.reading")
PROTOCOL_FLOOR = 2

HEAVY = ("polars", "polars_hash", "duckdb", "pyarrow", "pyiceberg", "numpy", "pandas")
LIGHT = (
    "dativo.config",
    "dativo.errors",
    "dativo.receipt",
    "dativo.connectors",
    "dativo.cli.app",
    "dativo",
    "dativo.__main__",
)


class Import(NamedTuple):
    """One module that a module imports, and where it says so."""

    name: str
    line: int
    at_once: bool


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "dativo").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[Import]:
    """What a module imports, anywhere in it; `at_once` is what importing it imports, types of annotations left out."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, node not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(whole if whole in MODULES else str(node.module), node.lineno, node not in late)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def floor(module: str) -> int | None:
    if module in PROTOCOLS:
        return PROTOCOL_FLOOR
    for number, packages in enumerate(FLOORS):
        if any(module == p or (p != PUBLIC and module.startswith(f"{p}.")) for p in packages):
            return number
    return None


def own(module: str) -> list[Import]:
    return [found for found in imports(module) if found.name.split(".")[0] == "dativo"]


def test_every_module_stands_on_a_floor() -> None:
    assert len(MODULES) > 80
    assert [module for module in MODULES if floor(module) is None] == []
    assert all(protocol in MODULES for protocol in PROTOCOLS)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_floor_or_below(module: str) -> None:
    here = floor(module)
    above = [
        f"{MODULES[module].relative_to(ROOT)}:{found.line} imports {found.name}"
        for found in own(module)
        if (floor(found.name) or 0) > (here or 0)
    ]
    assert above == []


def test_sources_and_targets_do_not_know_each_other() -> None:
    for one, other in (("dativo.sources", "dativo.targets"), ("dativo.targets", "dativo.sources")):
        crossing = [
            f"{module}:{found.line}"
            for module in MODULES
            if module.startswith(one)
            for found in own(module)
            if found.name.startswith(other) and found.name not in PROTOCOLS
        ]
        assert crossing == []


def test_packages_do_not_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        if module in PROTOCOLS:
            continue
        here = _package(module)
        edges.setdefault(here, set())
        for found in own(module):
            if found.name not in PROTOCOLS and _package(found.name) != here:
                edges[here].add(_package(found.name))
    order: list[str] = []
    while edges:
        free = sorted(package for package, needs in edges.items() if not needs - set(order))
        assert free, f"a circle among {sorted(edges)}"
        order += free
        edges = {package: needs for package, needs in edges.items() if package not in free}


def _package(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """At import time: a circle would make the order of imports matter."""
    edges = {m: {f.name for f in own(m) if f.at_once and f.name != m and f.name in MODULES} for m in MODULES}
    done: set[str] = set()
    while edges:
        free = {module for module, needs in edges.items() if not needs - done}
        assert free, f"a circle among {sorted(edges)}"
        done |= free
        edges = {module: needs for module, needs in edges.items() if module not in free}


@pytest.mark.parametrize("module", [m for m in MODULES if any(m == x or m.startswith("dativo.config.") for x in LIGHT)])
def test_what_is_heavy_is_not_imported_where_it_may_not_be_needed(module: str) -> None:
    heavy = [f"{f.name} in line {f.line}" for f in imports(module) if f.at_once and f.name.split(".")[0] in HEAVY]
    assert heavy == []


@pytest.mark.parametrize(
    "module", ["dativo", "dativo.config.resolve", "dativo.connectors", "dativo.cli.app", "dativo.receipt"]
)
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    """Of all that comes with it, in a fresh interpreter."""
    program = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
