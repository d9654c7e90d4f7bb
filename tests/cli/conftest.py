"""The command line as a person meets it: in this process where it is only asked, as a process where that matters."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dativo.cli.app import main
from tests.project import Project

PYTHON = sys.executable
BIN = Path(sys.executable).parent

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "name", "type": "string", "required": True, "classification": "PII"},
    {"name": "email", "type": "string", "pattern": "^[^@ ]+@[^@ ]+$", "classification": "PII"},
    {"name": "score", "type": "decimal(6,2)", "minimum": 0},
    {"name": "born", "type": "date"},
]
ROWS = """\
id,name,email,score,born
1,Ada Lovelace,ada@example.com,98.50,1815-12-10
2,Alan Turing,alan@example.com,97.25,1912-06-23
3,Grace Hopper,grace@example.com,99.00,1906-12-09
4,,nobody@example.com,1.00,1900-01-01
5,Edsger Dijkstra,not an address,-1.00,1930-05-11
"""


@dataclass(slots=True)
class Answer:
    """What a command gave: exit code, standard output as bytes and text, standard error."""

    code: int
    data: bytes
    err: str

    @property
    def out(self) -> str:
        return self.data.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    def json(self) -> Any:
        """The standard output as strict JSON: NaN and Infinity are no JSON."""

        def refuse(text: str) -> None:
            raise AssertionError(f"{text} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


class Output(io.BytesIO):
    """Takes what is written and claims to be a terminal where it is told to."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def close(self) -> None:
        """Stays open: it is read after whoever wrote it is gone."""


class Dativo:
    """Runs `dativo …` in this process. `width` is the terminal's, `terminal` whether the output is one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.width = 120
        self.encoding = "utf-8"

    def __call__(self, *arguments: str | Path, code: int | None = 0, terminal: bool = False) -> Answer:
        data, err = Output(terminal), Output(terminal)
        before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        with self.patch.context() as patch:
            patch.setenv("COLUMNS", str(self.width))
            patch.setenv("TERM", "xterm-256color" if terminal else "dumb")
            patch.setattr(sys, "argv", ["dativo", *map(str, arguments)])
            patch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding=self.encoding, write_through=True))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding=self.encoding, write_through=True))
            try:
                main()
            except SystemExit as ended:
                found = ended.code
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
        answer = Answer(found if isinstance(found, int) else 1, data.getvalue(), err.getvalue().decode(self.encoding))
        if code is not None:
            assert answer.code == code, f"exit code {answer.code}\n{answer.out}\n{answer.err}"
        if "--debug" not in arguments:
            assert "Traceback" not in answer.err + answer.data.decode(errors="replace"), answer.err
            assert "dativo does not know" not in answer.err, answer.err
        return answer


@pytest.fixture
def dativo(monkeypatch: pytest.MonkeyPatch) -> Dativo:
    return Dativo(monkeypatch)


def environment(**more: str) -> dict[str, str]:
    """The environment of a process of its own: the person's, without what changes dativo."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE",)}
    return {**kept, "COLUMNS": "120", **more}


def process(*arguments: str | Path, cwd: Path | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """`dativo …` as a process."""
    command = [str(BIN / "dativo"), *map(str, arguments)]
    options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120, "env": environment(), **more}
    return subprocess.run(command, cwd=cwd, check=False, **options)


def people(project: Project, name: str = "people", **more: Any) -> Path:
    """A job of five rows, two of which break the contract, set aside."""
    project.asset(FIELDS)
    if not (project.root / "data/people.csv").exists():
        project.write("data/people.csv", ROWS)
    return project.job(name, **{"schema_validation_mode": "quarantine", **more})


@pytest.fixture
def loaded(project: Project, dativo: Dativo) -> Iterator[Project]:
    """A project whose job `people` has run: three rows are in the table, two were set aside."""
    people(project)
    dativo("sync", "people", code=1)
    yield project
