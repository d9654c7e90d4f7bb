"""`dativo rejects`: which runs found rows that break the contract, and what those rows are."""

from __future__ import annotations

import csv
import io
import subprocess

import pytest

from dativo.observe.listener import Silence
from tests.cli.conftest import FIELDS, PYTHON, ROWS, Dativo, environment, people
from tests.project import Project

DIES = """
import os
from dativo import load_job, sync
from dativo.observe.listener import Silence

class Dies(Silence):
    def phase(self, stream, phase, meter):
        if phase == "committing":
            os._exit(9)

sync(load_job("jobs/acme/people.yaml"), full_refresh=True, listener=Dies())
"""


def test_each_run_is_listed_with_what_it_found(loaded: Project, dativo: Dativo) -> None:
    loaded.sync("people", full_refresh=True)
    runs = dativo("rejects", "list", "people", "--json").json()
    assert runs["version"] == 1
    newest, oldest = runs["runs"]
    assert newest["run"] > oldest["run"]
    assert newest["rules"] == ["email pattern", "name missing_required", "score minimum"]
    assert (newest["rows"], newest["violations"], newest["action"]) == (2, 3, "rejected")


def test_a_job_without_rejects_says_so(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", "".join(ROWS.splitlines(keepends=True)[:3]))
    people(project)
    assert "no run of this job has rejects" in dativo("rejects", "list", "people").out
    dativo("sync", "people")
    assert dativo("rejects", "list", "people", "--json").json() == {"version": 1, "runs": []}
    assert "has no rejects" in dativo("rejects", "show", "people", code=2).err


@pytest.mark.parametrize(("mode", "action"), [("warn", "nulled"), ("strict", "refused"), ("quarantine", "rejected")])
def test_what_was_done_about_the_rows_is_told(project: Project, dativo: Dativo, mode: str, action: str) -> None:
    people(project, schema_validation_mode=mode)
    dativo("sync", "people", code=None)
    assert [r["action"] for r in dativo("rejects", "list", "people", "--json").json()["runs"]] == [action]
    found = dativo("rejects", "show", "people", "--json").json()["violations"]
    assert [(v["row"], v["column"], v["rule"]) for v in found] == [
        (4, "name", "missing_required"), (5, "email", "pattern"), (5, "score", "minimum"),
    ]  # fmt: skip


def test_personal_values_are_masked_in_values_and_records(loaded: Project, dativo: Dativo) -> None:
    for format in ("table", "json", "csv"):
        out = dativo("rejects", "show", "people", "--format", format).out
        assert "not an address" not in out and "Edsger" not in out and "-1.00" in out
    shown = dativo("rejects", "show", "people", "--show-pii", "--json").json()["violations"]
    assert shown[1]["value"] == "not an address" and "Edsger Dijkstra" in shown[1]["record"]


def test_json_and_csv_hold_the_same_violations(loaded: Project, dativo: Dativo) -> None:
    found = dativo("rejects", "show", "people", "--json").json()["violations"]
    assert list(found[0]) == ["run", "file", "row", "column", "rule", "value", "record", "action"]
    rows = list(csv.DictReader(io.StringIO(dativo("rejects", "show", "people", "--format", "csv").out)))
    assert [{**r, "row": int(r["row"]), "value": r["value"] or None} for r in rows] == found


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 3), (("--rule", "pattern"), 1), (("--rule", "nothing"), 0), (("--column", "score"), 1),
        (("--column", "id"), 0), (("--limit", "2"), 2), (("--stream", "people"), 3),
    ],
)  # fmt: skip
def test_violations_are_chosen_by_rule_column_stream_and_number(
    loaded: Project, dativo: Dativo, options: tuple[str, ...], count: int
) -> None:
    assert len(dativo("rejects", "show", "people", "--json", *options).json()["violations"]) == count
    text = dativo("rejects", "show", "people", *options).out
    assert f"{count} violation" in text and ("--limit shows more" in text) == ("--limit" in options)


def test_a_run_is_chosen_by_the_beginning_of_its_token(loaded: Project, dativo: Dativo) -> None:
    loaded.sync("people", full_refresh=True)
    tokens = [r["run"] for r in dativo("rejects", "list", "people", "--json").json()["runs"]]
    for token in tokens:
        found = dativo("rejects", "show", "people", "--run", token[:20], "--json").json()["violations"]
        assert {v["run"] for v in found} == {token}
    newest = dativo("rejects", "show", "people", "--json").json()["violations"]
    assert {v["run"] for v in newest} == {tokens[0]}
    err = dativo("rejects", "show", "people", "--run", "ffff", code=2).err
    assert "no rejects of run 'ffff'" in err and "dativo rejects list people" in err


def test_a_run_that_died_before_its_commit_is_unfinished_and_not_shown(loaded: Project, dativo: Dativo) -> None:
    first = dativo("rejects", "list", "people", "--json").json()["runs"][0]["run"]
    done = subprocess.run([PYTHON, "-c", DIES], cwd=loaded.root, env=environment(), check=False)
    assert done.returncode == 9
    runs = dativo("rejects", "list", "people", "--json").json()["runs"]
    assert [r["action"] for r in runs] == ["unfinished", "rejected"]
    assert {v["run"] for v in dativo("rejects", "show", "people", "--json").json()["violations"]} == {first}
    dead = runs[0]["run"]
    assert dativo("rejects", "show", "people", "--run", dead, "--json").json()["violations"][0]["run"] == dead


def test_a_run_that_failed_after_its_rejects_were_kept_is_unfinished_too(loaded: Project, dativo: Dativo) -> None:
    class Rival(Silence):
        """Commits another run of the same job while the first one is about to."""

        def phase(self, stream: str, phase: str, meter: object) -> None:
            if phase == "committing":
                loaded.sync("people", full_refresh=True)

    people(loaded, engine={"lock": 0})  # a lock that is stale at once: the rival is heeded at the commit alone
    receipt = loaded.sync("people", full_refresh=True, listener=Rival())
    assert receipt.status == "failed" and "another run of this job committed" in receipt.streams[0].error
    actions = {r["run"]: r["action"] for r in dativo("rejects", "list", "people", "--json").json()["runs"]}
    assert actions.pop(receipt.run_id) == "unfinished"
    assert set(actions.values()) == {"rejected"} and len(actions) == 2


def test_rejects_of_another_job_of_the_same_table_are_not_shown(loaded: Project, dativo: Dativo) -> None:
    loaded.asset(FIELDS)
    people(loaded, "others", target={"write_mode": "append"})
    dativo("sync", "others", code=1)
    for name in ("people", "others"):
        assert len(dativo("rejects", "list", name, "--json").json()["runs"]) == 1


@pytest.mark.parametrize("width", [80, 160])
def test_a_list_is_readable_at_any_usual_width(loaded: Project, dativo: Dativo, width: int) -> None:
    dativo.width = width
    listed = dativo("rejects", "list", "people")
    token = dativo("rejects", "list", "people", "--json").json()["runs"][0]["run"]
    assert token[:13] in listed.out and "email pattern" in listed.out
    assert max(map(len, listed.lines)) <= width
    assert max(map(len, dativo("rejects", "show", "people").lines)) <= width


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("lost",), ("list",), ("show",), ("list", "nobody"), ("show", "people", "--limit", "0"),
        ("show", "people", "--format", "xml"), ("show", "people", "--stream", "nobody"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(loaded: Project, dativo: Dativo, arguments: tuple[str, ...]) -> None:
    answer = dativo("rejects", *arguments, code=2)
    assert answer.err or "Usage" in answer.out
