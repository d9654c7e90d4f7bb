"""`dativo preview`: the rows before they are loaded, in every format, without a trace."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.cli.conftest import BIN, Dativo, environment, people
from tests.project import Project

EVIL = "<script>alert('1')</script>&amp;\"\x1b[31m\x9b2J\u202e"


class Texts(HTMLParser):
    """Collects the elements of a page and the text of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def places(project: Project) -> dict[str, float]:
    return {str(p): p.stat().st_mtime_ns for p in project.root.rglob("*")}


@pytest.mark.parametrize("format", ["table", "json", "csv", "markdown-kv", "html"])
def test_nothing_is_written_and_no_catalog_made(project: Project, dativo: Dativo, format: str) -> None:
    people(project)
    before = places(project)
    answer = dativo("preview", "people", "--format", format)
    assert answer.out
    assert places(project) == before


@pytest.mark.parametrize("format", ["table", "json", "csv", "markdown-kv", "html"])
def test_personal_values_are_masked_unless_they_are_asked_for(project: Project, dativo: Dativo, format: str) -> None:
    people(project)
    masked, open_ = (
        dativo("preview", "people", "--format", format),
        dativo("preview", "people", "--show-pii", "--format", format),
    )
    assert "Ada Lovelace" not in masked.out + masked.err and "A***e" in masked.out
    assert "not an address" not in masked.out + masked.err
    assert "Ada Lovelace" in open_.out and "A***e" not in open_.out


def test_the_table_marks_what_is_masked_and_shows_what_would_be_rejected(project: Project, dativo: Dativo) -> None:
    people(project)
    out = dativo("preview", "people").out
    assert "default.people: 3 rows of 5 records, 2 rejected" in out
    assert "name*" in out and "* masked here: name, email (--show-pii shows the values)" in out
    assert "would be rejected:" in out and "missing_required" in out and "98.50" in out


def test_json_has_rows_rejects_and_what_is_masked(project: Project, dativo: Dativo) -> None:
    people(project)
    found = dativo("preview", "people", "--json", "--show-pii").json()
    assert found["version"] == 1 and found["read"] == 5 and found["rejected"] == 2 and found["masked"] == []
    ada = {"id": 1, "name": "Ada Lovelace", "email": "ada@example.com", "score": "98.50", "born": "1815-12-10"}
    assert found["rows"][0] == ada
    assert [(r["row"], r["column"], r["rule"], r["value"]) for r in found["rejects"]] == [
        (4, "name", "missing_required", None),
        (5, "email", "pattern", "not an address"),
        (5, "score", "minimum", "-1.00"),
    ]
    assert dativo("preview", "people", "--format", "json").json()["masked"] == ["name", "email"]


def test_csv_is_csv_and_tells_rejects_on_standard_error(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("preview", "people", "--format", "csv", "--show-pii")
    rows = list(csv.reader(io.StringIO(answer.out)))
    assert rows[0] == ["id", "name", "email", "score", "born"] and len(rows) == 4
    assert rows[1] == ["1", "Ada Lovelace", "ada@example.com", "98.50", "1815-12-10"]
    assert "2 records would be rejected" in answer.err


def test_rows_says_how_many_records_are_looked_at(project: Project, dativo: Dativo) -> None:
    people(project)
    found = dativo("preview", "people", "--rows", "2", "--json").json()
    assert found["read"] == 2 and [r["id"] for r in found["rows"]] == [1, 2]


def test_a_stream_is_chosen_by_its_name(project: Project, dativo: Dativo) -> None:
    project.asset([{"name": "id", "type": "integer"}], "first", object="first")
    project.asset([{"name": "id", "type": "integer"}], "second", object="second")
    project.write("data/first.csv", "id\n1\n")
    project.write("data/second.csv", "id\n2\n")
    files = [{"path": "data/first.csv", "object": "first"}, {"path": "data/second.csv", "object": "second"}]
    project.job("both", asset_path=None, assets=["assets/first.yaml", "assets/second.yaml"], source={"files": files})
    assert dativo("preview", "both", "--json").json()["rows"] == [{"id": 1}]
    assert dativo("preview", "both", "--stream", "second", "--json").json()["rows"] == [{"id": 2}]
    assert "its streams: first, second" in dativo("preview", "both", "--stream", "third", code=2).err


def test_a_page_shows_markup_in_the_data_as_text(project: Project, dativo: Dativo) -> None:
    project.asset([{"name": "text", "type": "string"}])
    project.write("data/people.csv", io.BytesIO(_csv(["text"], [[EVIL]])).getvalue())
    project.job("evil")
    out = dativo("preview", "evil", "--format", "html").out
    page = Texts()
    page.feed(out)
    assert "script" not in page.elements and "<script" not in out
    assert not any(c in out for c in "\x1b\x9b\u202e")
    assert any(c.startswith("<script>alert('1')</script>&amp;\"") for c in page.cells)


@pytest.mark.parametrize("format", ["table", "json", "csv", "markdown-kv", "html"])
def test_data_moves_nothing_on_a_terminal(project: Project, dativo: Dativo, format: str) -> None:
    project.asset([{"name": "text", "type": "string"}])
    project.write("data/people.csv", _csv(["text"], [[EVIL]]))
    project.job("evil")
    out = dativo("preview", "evil", "--format", format, terminal=True).out
    assert not any(c in out for c in ("\x1b[31m", "\x9b", "\u202e"))
    if format == "json":
        assert json.loads(out)["rows"] == [{"text": EVIL}]


def test_values_are_shown_as_exports_write_them(project: Project, dativo: Dativo) -> None:
    project.asset(
        [
            {"name": "at", "type": "timestamptz"},
            {"name": "data", "type": "binary"},
            {"name": "yes", "type": "boolean"},
            {"name": "items", "type": "array", "items": {"type": "integer"}},
        ]
    )
    project.write(
        "data/people.csv", _csv(["at", "data", "yes", "items"], [["2024-05-06T07:08:09.5Z", "AP8=", "true", "[1, 2]"]])
    )
    project.job("kinds")
    row = dativo("preview", "kinds").lines[3]
    assert row.split("   ") == ["2024-05-06T07:08:09.500000+00:00", "4150383d", "true", "[1, 2]"]


@pytest.mark.parametrize("width", [80, 160])
def test_a_table_fits_the_terminal_and_breaks_no_number(project: Project, dativo: Dativo, width: int) -> None:
    names = [f"a_column_with_a_long_name_{i}" for i in range(9)]
    project.asset([{"name": n, "type": "integer"} for n in names])
    project.write("data/people.csv", _csv(names, [["123456789012345678"] * 9]))
    project.job("wide")
    dativo.width = width
    lines = dativo("preview", "wide").lines
    assert max(map(len, lines)) <= width
    assert next(line for line in lines if "123" in line).split() == ["123456789012345678"] * (width // 30)
    assert any("more columns" in line for line in lines)


@pytest.mark.parametrize(
    "options",
    [("--rows", "0"), ("--rows", "x"), ("--rows", "100001"), ("--format", "xml"), ("--stream",), ("--limit", "3"), ()],
)
def test_wrong_options_are_refused(project: Project, dativo: Dativo, options: tuple[str, ...]) -> None:
    people(project)
    answer = dativo("preview", *(["people"] if options else []), *options, code=2)
    assert answer.out == "" and answer.err


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "file not found"),
        (b"", "empty"),
        (b"\xff\xfe\x00\x01\xff", "data/people.csv"),
        (b"id,id\n1,2\n", "id"),
    ],
)
def test_a_source_that_cannot_be_read_is_told_in_a_sentence(
    project: Project, dativo: Dativo, data: bytes | None, text: str
) -> None:
    people(project)
    path = project.root / "data/people.csv"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    answer = dativo("preview", "people", code=2)
    assert text in answer.err and answer.out == ""


def test_a_folder_with_several_jobs_is_no_job(project: Project, dativo: Dativo) -> None:
    people(project, "one")
    people(project, "two")
    assert "'jobs' holds 2 jobs" in dativo("preview", "jobs", code=2).err


@pytest.mark.slow
def test_only_the_beginning_of_a_large_file_is_read(project: Project, dativo: Dativo) -> None:
    people(project)
    line = b"7,Grace Hopper,grace@example.com,99.00,1906-12-09\n"
    with (project.root / "data/people.csv").open("wb") as file:
        file.write(b"id,name,email,score,born\n")
        for _ in range(200):
            file.write(line * (1_000_000 // len(line)))
    assert (project.root / "data/people.csv").stat().st_size > 190_000_000
    dativo("preview", "people")  # what is imported is not what is measured
    began, cpu = time.perf_counter(), time.process_time()
    found = dativo("preview", "people", "--json").json()
    assert found["read"] == 20
    assert min(time.perf_counter() - began, time.process_time() - cpu) < 1.5


def _csv(names: list[str], rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue().encode()


def test_a_preview_as_a_process_ends_when_its_reader_does(project: Project) -> None:
    people(project)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [str(BIN / "dativo"), "preview", "people"], cwd=project.root, env=environment(), stdout=writing,
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["people/x", "", " ", "a" * 5000, "a\0b", "~no_such_person/x", "ju\udce9"])
def test_what_is_no_name_of_a_job_is_told_in_a_sentence(project: Project, dativo: Dativo, name: str) -> None:
    people(project)
    assert "error:" in dativo("preview", name, code=2).err
