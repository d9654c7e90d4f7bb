"""`dativo init`: a new project that works at once, and never over somebody's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Dativo


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file() and ".local" not in p.parts
    }


def test_a_new_project_is_valid_and_runs_at_once(empty: Path, dativo: Dativo) -> None:
    made = dativo("init").out
    assert dativo("validate", "--strict").out.endswith("no mistakes\n")
    assert dativo("preview", "people_to_iceberg", "--json").json()["rejected"] == 0
    assert dativo("sync", "people_to_iceberg", "--json").json()["jobs"][0]["streams"][0]["loaded"] == 3
    for path in contents(empty):
        assert f"made  {path}" in made
    assert "now:  dativo preview people_to_iceberg" in made and "dativo sync people_to_iceberg" in made


def test_the_commands_of_the_new_readme_work(empty: Path, dativo: Dativo) -> None:
    dativo("init")
    commands = [
        line.split("#")[0].split() for line in (empty / "README.md").read_text().splitlines() if line[:4] == "    "
    ]
    assert len(commands) == 4
    for command in commands:
        assert command[0] == "dativo"
        dativo(*command[1:])


def test_the_demo_runs_at_once(empty: Path, dativo: Dativo) -> None:
    assert "dativo sync\n" in dativo("init", "demo").out
    assert dativo("sync", "--json").json()["jobs"][0]["streams"][0]["loaded"] == 989


def test_another_folder_is_made_and_named(empty: Path, dativo: Dativo, monkeypatch: pytest.MonkeyPatch) -> None:
    out = dativo("init", "--dir", "new/project").out
    assert (empty / "new/project/jobs/example/people_to_iceberg.yaml").is_file()
    assert "cd new/project" in out
    monkeypatch.chdir(empty / "new/project")
    dativo("sync", "people_to_iceberg")


@pytest.mark.parametrize("kind", ["skeleton", "demo"])
def test_nothing_is_overwritten(empty: Path, dativo: Dativo, kind: str) -> None:
    dativo("init", kind)
    for path in list(contents(empty)):
        (empty / path).write_text("mine")
    before = contents(empty)
    answer = dativo("init", kind, code=2)
    assert all(path in answer.err for path in before) and answer.out == ""
    assert contents(empty) == before


def test_one_file_in_the_way_is_enough_to_write_nothing(empty: Path, dativo: Dativo) -> None:
    (empty / "README.md").write_text("mine")
    assert "README.md" in dativo("init", code=2).err
    assert contents(empty) == {"README.md": "mine"}


@pytest.mark.parametrize(
    "arguments",
    [("example",), ("--dir",), ("--dir", "taken"), ("--dir", "taken/below"), ("--dir", "n" * 300), ("--dir", "a\0b"),
     ("--dir", "/proc/no"), ("skeleton", "extra")],
)  # fmt: skip
def test_wrong_arguments_and_places_are_refused(empty: Path, dativo: Dativo, arguments: tuple[str, ...]) -> None:
    (empty / "taken").write_text("a file")
    assert dativo("init", *arguments, code=2).err
    assert contents(empty) == {"taken": "a file"}
