"""The program itself: help, versions, mistakes in commands, and what it does with the terminal it is given."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dativo.cli.app import COMMANDS
from tests.cli.conftest import BIN, PYTHON, Dativo, environment, people, process
from tests.project import Project


def test_help_names_every_command_with_its_line(dativo: Dativo) -> None:
    out = dativo("--help").out
    for name, command in COMMANDS.items():
        assert f"  {name} " in out and command.summary.split(":")[0][:40] in " ".join(out.split())
    assert dativo(code=2).out == out


@pytest.mark.parametrize("name", [*COMMANDS, "rejects list", "rejects show", "state show", "state rebuild"])
def test_every_command_has_help_and_a_sentence_for_every_option(dativo: Dativo, name: str) -> None:
    dativo.width = 200
    out = dativo(*name.split(), "--help").out
    assert out.startswith("Usage: dativo")
    options = re.findall(r"^  --[a-z-]+(?: <[^>]+>)?\s+(.*)", out, re.MULTILINE)
    assert options and all(len(sentence) > 8 for sentence in options)


def test_the_version_is_the_package_s(dativo: Dativo) -> None:
    from importlib.metadata import version

    assert dativo("--version").out == f"dativo {version('dativo')}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("snyc",), "Did you mean 'sync'?"),
        (("nothing_like_it",), "there is no command 'nothing_like_it'"),
        (("--nothing",), "--nothing"),
        (("sync", "--stream", "x"), "--streams"),
        (("\x1b[31mred",), "there is no command"),
        (("",), ""),
    ],
)
def test_a_mistake_in_a_command_is_told_with_the_nearest(dativo: Dativo, arguments: tuple[str, ...], text: str) -> None:
    answer = dativo(*arguments, code=2)
    assert text in answer.err + answer.out and "\x1b" not in answer.err


def test_help_is_quick_because_nothing_is_imported_for_it() -> None:
    program = (
        "import sys; sys.argv = ['dativo', '--help']\n"
        "from dativo.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('polars', 'pyarrow', 'pyiceberg', 'duckdb', 'yaml', 'msgspec', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([PYTHON, "-c", program], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("where", [("--debug", "preview", "nobody"), ("preview", "nobody", "--debug")])
def test_debug_shows_where_an_error_came_from(project: Project, dativo: Dativo, where: tuple[str, ...]) -> None:
    people(project)
    assert "Traceback" not in dativo("preview", "nobody", code=2).err
    answer = dativo(*where, code=2)
    assert "Traceback" in answer.err and "ConfigError" in answer.err


def test_debug_may_be_set_in_the_environment(project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch) -> None:
    people(project)
    monkeypatch.setenv("DATIVO_DEBUG", "1")
    assert "Traceback" in dativo("preview", "nobody", "--debug", code=2).err


def test_an_error_that_nobody_foresaw_is_one_sentence_too(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes: a library that is broken."""
    people(project)
    import dativo.pipeline.doctor as module

    monkeypatch.setattr(module.platform, "python_version", lambda: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["dativo", "doctor"])
    with pytest.raises(AssertionError, match="does not know: ZeroDivisionError"):
        dativo("doctor", code=2)


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_a_terminal_that_cannot_show_a_character_is_no_failure(project: Project, dativo: Dativo, encoding: str) -> None:
    project.asset([{"name": "text", "type": "string"}])
    project.write("data/people.csv", "text\nnaïve 日本 😀\n")
    project.job("words")
    project.sync("words")
    dativo.encoding = encoding
    for command in (("show", "words"), ("preview", "words"), ("plan", "words"), ("sync", "words"), ("doctor",)):
        assert dativo(*command).data.decode(encoding)
    found = dativo("preview", "words", "--json")
    assert found.json()["rows"] == [{"text": "naïve 日本 😀"}]


def test_output_that_nobody_reads_is_no_failure(project: Project) -> None:
    people(project)
    project.sync("people")
    for command in (["show", "people"], ["sync", "people"], ["connectors"], ["--help"], ["validate", "--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = process(*command, cwd=project.root, stdout=writing, stderr=subprocess.PIPE, capture_output=False)
        os.close(writing)
        assert done.returncode == 0 and "Broken" not in done.stderr and "Traceback" not in done.stderr, command


def test_a_run_whose_messages_nobody_reads_goes_on(project: Project) -> None:
    people(project)
    reading, writing = os.pipe()
    os.close(reading)
    done = process(
        "sync",
        "people",
        "--progress",
        "log",
        cwd=project.root,
        stderr=writing,
        stdout=subprocess.PIPE,
        capture_output=False,
    )
    os.close(writing)
    assert done.returncode == 1 and project.rows().height == 3


def test_output_onto_a_full_disk_is_told(project: Project) -> None:
    people(project)
    with Path("/dev/full").open("wb") as full:
        done = process("plan", "people", cwd=project.root, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 2 and done.stderr == "error: the output cannot be written: no space left on the device\n"


def _obeys_permissions() -> None:
    """Takes from a process of root's the right to read whatever it likes."""
    if os.geteuid() == 0:
        drop, libc = 24, ctypes.CDLL(None)
        for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            assert libc.prctl(drop, right, 0, 0, 0) == 0


def test_a_folder_that_may_not_be_read_is_told(project: Project) -> None:
    people(project)
    (project.root / "jobs").chmod(0o000)
    try:
        for arguments in (
            ["sync", "people"],
            ["validate"],
            ["doctor"],
            ["run", "--job-dir", "jobs"],
            ["preview", "jobs/acme/people.yaml"],
        ):
            done = process(*arguments, cwd=project.root, preexec_fn=_obeys_permissions)
            assert "Traceback" not in done.stderr and "does not know" not in done.stderr, done.stderr
            assert done.returncode == 2, done.stdout
            assert re.search(r"error: .*read|✗ +jobs +.*read", done.stderr + done.stdout, re.IGNORECASE), done.stderr
    finally:
        (project.root / "jobs").chmod(0o755)


def test_every_name_of_the_program_is_in_the_same_folder() -> None:
    assert all((BIN / name).exists() for name in ("dativo", "dativo-ingest", "dativo_ingest"))
