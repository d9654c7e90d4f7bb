"""The key index on disk: a cache that is believed for one version of one table, and never changes what a run does."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dativo.pipeline import keys, known
from dativo.staging.index import KeyIndex
from tests.project import Project
from tests.unit.test_write_modes import HEADER, counts, ran, setup, table, write

MODES = ("append", "upsert", "scd2")


def folder(project: Project) -> Path:
    return project.root / ".local" / "keys" / "acme" / "job" / "people"


def manifest(project: Project) -> dict[str, Any]:
    found = json.loads((folder(project) / "manifest.json").read_bytes())
    assert isinstance(found, dict)
    return found


def version(project: Project) -> str:
    made = project.table()
    return f"{made.metadata.table_uuid}:{made.current_snapshot().snapshot_id}"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many columns of the table each reading of it asked for."""
    from dativo.targets.iceberg.target import IcebergTarget

    found: list[int] = []
    existing = IcebergTarget.existing

    def noted(self: IcebergTarget, columns: Any) -> Any:
        found.append(len(columns))
        return existing(self, columns)

    monkeypatch.setattr(IcebergTarget, "existing", noted)
    return found


@pytest.mark.parametrize("mode", MODES)
def test_it_is_kept_for_the_tables_version_and_nobody_else_may_read_it(project: Project, mode: str) -> None:
    setup(project, mode)
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b")])
    project.sync()
    assert manifest(project)["version"] == version(project)
    write(project, [(1, "2024-01-02", "c"), (2, "2024-01-01", "b")])
    assert ran(project.sync()).loaded == 1
    assert manifest(project)["version"] == version(project)
    assert len(manifest(project)["files"]) == 2
    assert stat.S_IMODE(folder(project).stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder(project).iterdir()} == {0o600}


@pytest.mark.parametrize("mode", MODES)
def test_with_it_the_tables_rows_are_not_read(project: Project, readings: list[int], mode: str) -> None:
    setup(project, mode)
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    readings.clear()
    write(project, [(1, "2024-01-02", "c"), (2, "2024-01-01", "b")])
    assert ran(project.sync()).loaded == 2
    # One look whether there is any row; nothing is read for that.
    assert readings == [1]


def corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def segment(project: Project) -> Path:
    return next(folder(project).glob("*.parquet"))


DAMAGE = {
    "gone": lambda p: shutil.rmtree(folder(p)),
    "a file gone": lambda p: segment(p).unlink(),
    "a file cut short": lambda p: segment(p).write_bytes(segment(p).read_bytes()[:-20]),
    "a flipped bit": lambda p: corrupt(segment(p)),
    "no manifest": lambda p: (folder(p) / "manifest.json").unlink(),
    "a manifest cut short": lambda p: (folder(p) / "manifest.json").write_text('{"format": 1, "fi'),
    "another manifest": lambda p: (folder(p) / "manifest.json").write_text("[]"),
    "nothing in the manifest": lambda p: (folder(p) / "manifest.json").write_text("{}"),
    "a path in the manifest": lambda p: outside(p),
}


def outside(project: Project) -> None:
    found = manifest(project)
    found["files"][0]["name"] = "../../../../../data/a.csv"
    (folder(project) / "manifest.json").write_text(json.dumps(found))


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_damaged_counts_as_nothing_and_is_built_anew(project: Project, mode: str, damage: str) -> None:
    setup(project, mode)
    write(project, [(1, "2024-01-02", "a"), (2, "2024-01-02", "b")])
    project.sync()
    DAMAGE[damage](project)
    write(project, [(1, "2024-01-02", "a"), (2, "2024-01-03", "c")])
    receipt = ran(project.sync())
    assert (receipt.loaded, receipt.deduplicated) == (1, 1)
    assert manifest(project)["version"] == version(project)


@pytest.mark.parametrize("mode", MODES)
def test_a_table_that_another_program_changed_is_read_anew(project: Project, mode: str) -> None:
    from pyiceberg.expressions import EqualTo

    setup(project, mode)
    write(project, [(1, "2024-01-02", "a"), (2, "2024-01-02", "b")])
    project.sync()
    project.table().delete(EqualTo("id", 1))
    write(project, [(1, "2024-01-02", "a"), (2, "2024-01-02", "b")])
    assert counts(project.sync()) == (1, 1, 0, 0)
    assert table(project) == [(1, "2024-01-02", "a"), (2, "2024-01-02", "b")]


@pytest.mark.parametrize("mode", MODES)
def test_a_table_that_was_rolled_back_is_read_anew(project: Project, mode: str) -> None:
    setup(project, mode)
    write(project, [(1, "2024-01-02", "a")])
    project.sync()
    first = project.table().current_snapshot().snapshot_id
    write(project, [(2, "2024-01-02", "b")])
    project.sync()
    made = project.table()
    with made.manage_snapshots() as change:
        change.rollback_to_snapshot(first)
    write(project, [(1, "2024-01-02", "a"), (2, "2024-01-02", "b")])
    assert ran(project.sync()).loaded == 1
    assert table(project) == [(1, "2024-01-02", "a"), (2, "2024-01-02", "b")]


def test_what_was_kept_for_another_contract_or_mode_is_not_believed(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    held = manifest(project)["holds"]
    fields = [{"name": "id", "type": "integer", "primary_key": True}, {"name": "at", "type": "date"}]
    setup(project, fields=fields)
    write(project, [(1, "2024-01-01")], header=HEADER[:2])
    assert counts(project.sync()) == (0, 1, 0, 0)
    assert manifest(project)["holds"] != held
    setup(project, "append")
    write(project, [(1, "2024-01-01", "a")])
    assert counts(project.sync()) == (0, 1, 0, 0)


def test_many_files_become_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (keys, known):
        monkeypatch.setattr(module, "MOST_FILES", 4)
    for mode in MODES:
        shutil.rmtree(project.root / ".local", ignore_errors=True)
        setup(project, mode)
        for number in range(keys.MOST_FILES + 3):
            write(project, [(number % 3, f"2024-01-{number + 1:02}", "x")])
            assert ran(project.sync()).loaded == 1
        assert len(manifest(project)["files"]) <= keys.MOST_FILES
        assert len(list(folder(project).glob("*.parquet"))) == len(manifest(project)["files"])
        write(project, [(n % 3, f"2024-01-{n + 1:02}", "x") for n in range(keys.MOST_FILES + 3)])
        assert ran(project.sync()).loaded == 0


def test_a_full_refresh_begins_it_anew(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    write(project, [(2, "2024-01-01", "b")])
    project.sync(full_refresh=True)
    assert manifest(project)["version"] == version(project)
    write(project, [(1, "2023-01-01", "a"), (2, "2023-01-01", "b")])
    assert counts(project.sync()) == (1, 1, 0, 0)


def test_a_folder_that_cannot_be_written_is_no_failure(project: Project) -> None:
    (project.root / ".local").mkdir()
    (project.root / ".local" / "keys").write_text("in the way")
    setup(project)
    write(project, [(1, "2024-01-01", "a")])
    assert ran(project.sync()).loaded == 1
    write(project, [(1, "2024-01-01", "a"), (2, "2024-01-01", "b")])
    assert counts(project.sync()) == (1, 1, 0, 0)


def test_a_run_that_fails_leaves_what_was_known_before(project: Project) -> None:
    setup(project)
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    before = manifest(project)
    write(project, [(2, "soon", "b")])
    assert project.sync().exit_code == 2
    assert manifest(project) == before
    write(project, [(2, "2024-01-01", "b")])
    assert ran(project.sync()).loaded == 1


def test_it_stands_beside_the_state_where_that_is_elsewhere(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("STATE_DIR", str(place))
    setup(project)
    write(project, [(1, "2024-01-01", "a")])
    project.sync()
    assert (place / ".keys" / "acme" / "job" / "people" / "manifest.json").exists()
    assert not (project.root / ".local" / "keys").exists()


def test_a_commit_on_something_else_than_was_compared_keeps_nothing(tmp_path: Path) -> None:
    index = KeyIndex(tmp_path / "index", "x")
    file, mine = tmp_path / "some.parquet", tmp_path / "mine"
    mine.mkdir()
    file.write_bytes(b"anything")
    index.begin("1", file)
    assert len(index.files("1", mine)) == 1
    assert index.files("2", mine) == []
    assert index.files(None, mine) == []
    assert KeyIndex(tmp_path / "index", "y").files("1", mine) == []
    index.add("1", "2", file)
    assert len(index.files("2", mine)) == 2
    index.add("2", None, file)
    assert not (tmp_path / "index").exists()


def test_files_that_a_run_uses_stay_when_another_run_keeps_others(tmp_path: Path) -> None:
    index = KeyIndex(tmp_path / "index", "x")
    file, mine = tmp_path / "some.parquet", tmp_path / "mine"
    mine.mkdir()
    file.write_bytes(b"of version 1")
    index.begin("1", file)
    (used,) = index.files("1", mine)
    file.write_bytes(b"of version 2")
    KeyIndex(tmp_path / "index", "x").begin("2", file)
    assert used.read_bytes() == b"of version 1"
    assert used.parent == mine
    # Another run has put the files of its version in the place of those that this one was to add to.
    index.add("1", "3", file)
    assert index.files("3", mine) == []


def test_files_are_copied_where_no_link_can_be_made(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        shared = tmp_path
    with tempfile.TemporaryDirectory(dir=shared) as other:
        index = KeyIndex(Path(other) / "index", "x")
        file = tmp_path / "some.parquet"
        file.write_bytes(b"anything")
        index.begin("1", file)
        (used,) = index.files("1", tmp_path)
        index.forget()
        assert used.read_bytes() == b"anything"
