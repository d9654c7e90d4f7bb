"""Which files a job's paths stand for, and which of them are new."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from dativo.errors import SourceError
from dativo.sources.files import LocalFile, list_files
from dativo.sources.selection import select
from dativo.state.cursor import Cursor
from tests.project import Project

DAY = 86_400


def files(project: Project, *paths: str, **source: Any) -> list[LocalFile]:
    job = resolved(project, *paths, **source)
    return list_files(job, job.streams[0])


def resolved(project: Project, *paths: str, **source: Any) -> Any:
    project.asset([{"name": "a"}])
    project.job(source={"files": [{"path": p} for p in paths], **source})
    return project.load()


def names(found: list[LocalFile]) -> list[str]:
    return [f.name for f in found]


def refusal(project: Project, path: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        files(project, path)
    assert caught.value.field == "source.files[0].path"
    assert caught.value.mark is not None
    return caught.value


# -- paths and globs ---------------------------------------------------------------------------------------------------


def test_globs_give_files_by_name_and_each_file_once(project: Project) -> None:
    for name in ("b.csv", "a.csv", "c.txt", "sub/d.csv", ".hidden.csv", ".git/e.csv"):
        project.write(f"data/{name}", "a\n")
    (project.root / "data/folder.csv").mkdir()
    (project.root / "data/z.csv").symlink_to("a.csv")
    assert names(files(project, "data/*.csv")) == ["data/a.csv", "data/b.csv"]
    assert names(files(project, "data/b.csv", "data/*.csv")) == ["data/b.csv", "data/a.csv"]
    assert names(files(project, "data/**/*.csv")) == ["data/a.csv", "data/b.csv", "data/sub/d.csv"]
    assert names(files(project, "data/**")) == ["data/a.csv", "data/b.csv", "data/c.txt", "data/sub/d.csv"]
    assert names(files(project, "data/.hidden*")) == ["data/.hidden.csv"]
    assert names(files(project, str(project.root / "data/[ab].csv"))) == ["data/a.csv", "data/b.csv"]


def test_a_file_with_a_pattern_for_a_name_is_that_file(project: Project) -> None:
    project.write("data/[ab].csv", "a\n")
    project.write("data/a.csv", "a\n")
    assert names(files(project, "data/[ab].csv")) == ["data/[ab].csv"]


def test_a_pattern_works_below_a_folder_with_brackets_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "pro[j]ect"
    root.mkdir()
    monkeypatch.chdir(root)
    project = Project(root)
    project.write("data/a.csv", "a\n")
    assert names(files(project, "data/*.csv")) == ["data/a.csv"]
    assert names(files(project, "data/**/*.csv")) == ["data/a.csv"]


def test_paths_are_looked_for_in_the_project_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("data/a.csv", "a\n")
    job = resolved(project, "data/a.csv", "/app/data/*.csv")
    (project.root / "elsewhere").mkdir()
    monkeypatch.chdir(project.root / "elsewhere")
    assert [f.path for f in list_files(job, job.streams[0])] == [project.root / "data/a.csv"]


@pytest.mark.parametrize("pattern", ["data/**/*.csv", "data/*/*.csv"])
def test_links_in_a_circle_are_not_followed_for_ever(project: Project, pattern: str) -> None:
    project.write("data/sub/a.csv", "a\n")
    for number in range(3):
        (project.root / f"data/sub/loop{number}").symlink_to("..")
    started = time.monotonic()
    assert {f.path.resolve() for f in files(project, pattern)} == {project.root / "data/sub/a.csv"}
    assert time.monotonic() - started < 10


# -- what is no file to read -------------------------------------------------------------------------------------------


def test_a_missing_file_is_told_with_the_nearest_name(project: Project) -> None:
    project.write("data/people.csv", "a\n")
    error = refusal(project, "data/peple.csv")
    assert error.message == "file not found: 'data/peple.csv'"
    assert "looked at: data/peple.csv" in error.hint
    assert "did you mean data/people.csv?" in error.hint


def test_a_missing_file_with_no_name_like_it_tells_what_there_is(project: Project) -> None:
    project.write("data/people.csv", "a\n")
    assert "in that folder: people.csv" in refusal(project, "data/zzz.csv").hint
    assert refusal(project, "nowhere/at/all.csv").message == "file not found: 'nowhere/at/all.csv'"
    assert refusal(project, "data/*.tsv").message == "no file matches 'data/*.tsv'"


def test_a_folder_is_refused(project: Project) -> None:
    (project.root / "data/x.csv").mkdir()
    error = refusal(project, "data/x.csv")
    assert error.message == "'data/x.csv' is a directory"
    assert "data/x.csv/*.csv" in error.hint


def test_a_link_in_a_circle_is_told(project: Project) -> None:
    (project.root / "data/x.csv").symlink_to("y.csv")
    (project.root / "data/y.csv").symlink_to("x.csv")
    for path in ("data/x.csv", "data/x*.csv"):
        error = refusal(project, path)
        assert error.message == "'data/x.csv' cannot be read: Too many levels of symbolic links"
        assert "it is a link to 'y.csv'" in error.hint


def test_a_link_to_nowhere_is_told(project: Project) -> None:
    (project.root / "data/x.csv").symlink_to("gone.csv")
    error = refusal(project, "data/x.csv")
    assert error.message == "'data/x.csv' cannot be read: No such file or directory"
    assert "it is a link to 'gone.csv'" in error.hint


def test_a_pipe_a_socket_and_a_device_are_refused_without_waiting(project: Project) -> None:
    os.mkfifo(project.root / "data/pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("data/socket.csv")
        for path in ("data/pipe.csv", "data/socket.csv", "/dev/null", "data/p*.csv"):
            assert "is a pipe, a socket or a device" in refusal(project, path).message


def test_a_file_without_permission_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("data/x.csv", "a\n")
    (project.root / "data/x.csv").chmod(0)
    # The superuser may read everything, so what the system would answer anyone else is answered here.
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).stat().st_mode & 0o400 != 0 and real(path, mode))
    assert refusal(project, "data/x.csv").message == "'data/x.csv' cannot be read: no permission to read it"


@pytest.mark.parametrize("path", ["data/" + "x" * 300 + ".csv", "~nobody-here/x.csv", "data/a.csv/b.csv"])
def test_a_path_that_cannot_be_is_a_missing_file(project: Project, path: str) -> None:
    project.write("data/a.csv", "a\n")
    assert refusal(project, path).message.startswith("file not found")


def test_a_name_that_is_no_utf8_can_be_read_and_stored(project: Project) -> None:
    Path(os.fsdecode(os.fsencode(project.root) + b"/data/caf\xe9.csv")).write_text("a\n1\n")
    assert names(files(project, "data/*.csv")) == ["data/caf\\xe9.csv"]
    receipt = project.sync()
    assert (receipt.status, receipt.loaded) == ("loaded", 1)
    project.job(source={"files": [{"path": "data/*.csv"}], "incremental": {"strategy": "file_modified_time"}})
    assert project.sync().exit_code == 0
    assert project.sync().status == "unchanged"


# -- what is new since a cursor ----------------------------------------------------------------------------------------


def choose(
    project: Project, path: str, since: Cursor | None, **incremental: Any
) -> tuple[list[str], Cursor, list[str]]:
    job = resolved(project, path, incremental={"strategy": "file_modified_time", **incremental})
    found = select(list_files(job, job.streams[0]), job, since, full=False)
    return sorted(f.path.name for f in found.files), found.cursor, found.notes


def put(project: Project, name: str, age: float, content: str = "a\n") -> None:
    path = project.write(f"data/{name}", content)
    when = time.time() - age
    os.utime(path, (when, when))


def test_a_named_file_is_new_when_its_time_or_size_differs(project: Project) -> None:
    put(project, "x.csv", 100)
    status = (project.root / "data/x.csv").stat()
    first, cursor, _ = choose(project, "data/x.csv", None)
    assert first == ["x.csv"]
    assert choose(project, "data/x.csv", cursor)[0] == []
    put(project, "x.csv", 200)
    assert choose(project, "data/x.csv", cursor)[0] == ["x.csv"]
    project.write("data/x.csv", "a\n1\n")
    os.utime(project.root / "data/x.csv", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert choose(project, "data/x.csv", cursor)[0] == ["x.csv"]


def test_a_glob_remembers_its_newest_time_and_the_files_of_that_time(project: Project) -> None:
    put(project, "1.csv", 300)
    put(project, "2.csv", 200)
    first, cursor, _ = choose(project, "data/*.csv", None)
    assert first == ["1.csv", "2.csv"]
    assert choose(project, "data/*.csv", cursor)[0] == []
    put(project, "3.csv", 100)
    again, later, _ = choose(project, "data/*.csv", cursor)
    assert again == ["3.csv"]
    put(project, "4.csv", 100)
    newest = (project.root / "data/3.csv").stat().st_mtime_ns
    os.utime(project.root / "data/4.csv", ns=(newest, newest))
    assert choose(project, "data/*.csv", later)[0] == ["4.csv"]


def test_a_file_older_than_the_watermark_that_appears_is_told(project: Project) -> None:
    put(project, "1.csv", 100)
    _, cursor, _ = choose(project, "data/*.csv", None)
    put(project, "0.csv", 5000)
    found, _, notes = choose(project, "data/*.csv", cursor)
    assert found == []
    assert "1 file(s) appeared with a time before the watermark" in notes[0]


def test_files_inside_the_lookback_are_read_again(project: Project) -> None:
    put(project, "old.csv", 5 * DAY)
    put(project, "young.csv", DAY)
    _, cursor, _ = choose(project, "data/*.csv", None, lookback_days=2)
    assert choose(project, "data/*.csv", cursor, lookback_days=2)[0] == ["young.csv"]
    assert choose(project, "data/*.csv", cursor, lookback_days=0)[0] == []


def test_without_incremental_loading_everything_or_nothing_is_read(project: Project) -> None:
    put(project, "1.csv", 100)
    put(project, "2.csv", 200)
    job = resolved(project, "data/*.csv")
    first = select(list_files(job, job.streams[0]), job, None, full=False)
    assert len(first.files) == 2
    assert select(list_files(job, job.streams[0]), job, first.cursor, full=False).files == []
    put(project, "2.csv", 50)
    assert len(select(list_files(job, job.streams[0]), job, first.cursor, full=False).files) == 2
