"""`dativo runs`: what ran, one run, and what changed between two of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cli.conftest import Dativo, people
from tests.project import Project

CHANGED = """\
id,name,email,score,born
1,Ada Lovelace,ada@example.org,98.75,1815-12-10
2,Alan Turing,alan@example.com,97.25,1912-06-23
6,Barbara Liskov,barbara@example.com,95.00,1939-11-07
"""


@pytest.fixture
def twice(loaded: Project, dativo: Dativo) -> Project:
    """A job that has run twice: one row was added, one removed, one changed."""
    loaded.write("data/people.csv", CHANGED)
    dativo("sync", "people")
    return loaded


def listed(dativo: Dativo) -> list[dict[str, Any]]:
    found = dativo("runs", "list", "people", "--json").json()
    assert found["version"] == 1
    runs: list[dict[str, Any]] = found["runs"]
    return runs


def test_the_runs_of_a_table_are_listed_the_newest_first(twice: Project, dativo: Dativo) -> None:
    new, old = listed(dativo)
    assert (new["what"], new["rows_added"], new["rows_removed"], new["current"]) == ("loaded", 3, 3, True)
    assert (old["what"], old["rows_added"], old["rows_removed"], old["current"]) == ("loaded", 3, 0, False)
    for name in ("people", "default.people"):
        lines = dativo("runs", "list", name).lines
        assert "→" in lines[2] and new["run"][:13] in lines[2] and str(new["snapshot"]) in lines[2]
        assert old["run"][:13] in lines[3]
    assert "1 more" in dativo("runs", "list", "people", "--limit", "1").out


def test_the_list_fits_into_a_narrow_terminal(twice: Project, dativo: Dativo) -> None:
    twice.table().delete("id == 6")
    twice.write("data/people.csv", "id,name\nx,y\n")
    dativo("sync", "people", code=2)
    for width in (80, 100, 120, 200):
        dativo.width = width
        lines = dativo("runs", "list", "people").lines
        assert len(lines) == 6, "no cell is broken into two lines"
        assert max(map(len, lines)) <= width
    assert "other program" in lines[3] and "refused" in lines[2]


def test_a_job_that_never_ran_has_no_runs(project: Project, dativo: Dativo) -> None:
    people(project)
    assert "no run yet" in dativo("runs", "list", "people").out and listed(dativo) == []
    assert not (project.root / ".local").exists()
    assert "nothing was loaded" in dativo("runs", "show", "latest", code=2).err


def test_one_run_is_shown_with_its_receipt(twice: Project, dativo: Dativo) -> None:
    run = listed(dativo)[1]["run"]
    found = dativo("runs", "show", run[:18], "--json").json()
    assert found["receipt"]["run_id"] == run and found["tables"][0]["rows_added"] == 3
    text = dativo("runs", "show", run).out
    assert f"run {run} of acme.people: loaded" in text and "2 rows set aside" in text
    text = dativo("runs", "show", "latest", "--table", "default.people").out
    command = re.search(r"what it changed: +dativo (.*)$", text, re.MULTILINE)
    assert command is not None and "1 added, 1 removed, 1 changed" in dativo(*command[1].split()).out


def test_a_run_without_a_receipt_is_shown_from_the_table(twice: Project, dativo: Dativo) -> None:
    for receipt in (twice.root / ".local/state/acme/runs").rglob("*.json"):
        receipt.unlink()
    assert "its receipt is not kept any more" in dativo("runs", "show", "latest").out
    twice.table().delete("id == 1")
    assert "made by another program" in dativo("runs", "show", "latest").out


def test_the_difference_between_two_runs(twice: Project, dativo: Dativo) -> None:
    found = dativo("runs", "diff", "previous", "latest", "--json").json()
    assert found["rows"] == {"added": 1, "removed": 1, "changed": 1, "key": ["id"]}
    assert found["examples"]["added"] == [
        {"id": 6, "name": "B***v", "email": "b***@example.com", "score": "95.00", "born": "1939-11-07"}
    ]
    assert found["examples"]["changed"] == [
        {
            "key": {"id": 1},
            "before": {"email": "a***@example.com", "score": "98.50"},
            "after": {"email": "a***@example.org", "score": "98.75"},
        }
    ]
    assert found["masked"] == ["name", "email"] and found["columns"] == []
    assert found["files"]["added"]["rows"] == found["files"]["removed"]["rows"] == 3


def test_the_difference_is_drawn_for_people(twice: Project, dativo: Dativo) -> None:
    for width in (80, 120):
        dativo.width = width
        text = dativo("runs", "diff", "previous", "latest").out
        assert "rows     1 added, 1 removed, 1 changed (by id)" in text
        assert "columns  no difference" in text and "files    1 file added" in text
        assert "* masked here: name, email" in text and "Barbara" not in text
        assert all(len(line) <= width for line in text.splitlines() if not line.startswith("  "))
    assert "Barbara Liskov" in dativo("runs", "diff", "previous", "latest", "--show-pii").out
    assert "added\n" not in dativo("runs", "diff", "previous", "latest", "--rows", "0").out
    same = dativo("runs", "diff", "latest", "latest").out
    assert same.count("no difference") == 3


def test_personal_values_are_in_no_output_unless_asked_for(twice: Project, dativo: Dativo) -> None:
    for form in ((), ("--json",)):
        text = dativo("runs", "diff", "previous", "latest", *form).out
        assert not any(name in text for name in ("Barbara", "barbara", "Lovelace", "Hopper"))


def test_a_run_that_is_not_there_is_told_with_those_that_are(twice: Project, dativo: Dativo) -> None:
    runs = [r["run"] for r in listed(dativo)]
    err = dativo("runs", "diff", "ffff", "latest", code=2).err
    assert "'ffff'" in err and all(r[:13] in err for r in runs)
    err = dativo("runs", "show", "0", "--table", "people", code=2).err
    assert "is the beginning of 2 runs" in err
    assert "no job or table is called" in dativo("runs", "list", "nobody", code=2).err


def test_a_table_that_nobody_named_is_asked_for(twice: Project, dativo: Dativo) -> None:
    twice.asset([{"name": "id"}], name="others")
    twice.job("others", asset_path="assets/others.yaml")
    assert dativo("runs", "diff", "previous", "latest").out.startswith("default.people"), "the other was never loaded"
    twice.sync("others")
    err = dativo("runs", "diff", "previous", "latest", code=2).err
    assert "--table" in err and "default.others, default.people" in err
    assert dativo("runs", "diff", "previous", "latest", "--table", "people").out.startswith("default.people")
