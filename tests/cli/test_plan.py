"""`dativo plan`: what a run would do, told before it does it, without doing it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import FIELDS, ROWS, Dativo, people
from tests.project import Project


def outline(dativo: Dativo, *options: str) -> dict[str, Any]:
    found = dativo("plan", "people", "--json", *options).json()
    assert found["version"] == 1
    return found["streams"][0]  # type: ignore[no-any-return]


def with_fields(project: Project, *fields: dict[str, Any]) -> None:
    project.asset(list(fields))


def test_a_first_run_makes_a_table(project: Project, dativo: Dativo) -> None:
    people(project, max_rejects="5%", target={"partitioning": ["year(born)"]})
    found = outline(dativo)
    assert (found["table"], found["table_exists"], found["write_mode"]) == ("default.people", False, "replace")
    assert found["files"] == ["data/people.csv"] and found["unchanged"] is False
    assert found["key"] == ["id"] and found["partitioning"] == ["year(born)"] and found["max_rejects"] == "5%"
    assert [c["name"] for c in found["columns"] if c["personal"]] == ["name", "email"]
    out = dativo("plan", "people").out
    assert "a new table" in out and "created" in out and "year(born)" in out and "at most 5% rejects" in out
    assert not (project.root / ".local").exists()


def test_after_a_run_nothing_is_to_be_done(loaded: Project, dativo: Dativo) -> None:
    assert outline(dativo)["unchanged"] is True
    assert "nothing: the source has not changed" in dativo("plan", "people").out
    loaded.write("data/people.csv", ROWS + "6,Barbara Liskov,barbara@example.com,9.00,1939-11-07\n")
    assert outline(dativo)["unchanged"] is False


def test_an_incremental_job_tells_where_it_goes_on_from(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", "".join(ROWS.splitlines(keepends=True)[:4]))
    people(project, source={"files": [{"path": "data/*.csv"}], "incremental": {"strategy": "file_modified_time"}})
    assert outline(dativo)["cursor"] == {}
    assert "from the beginning" in dativo("plan", "people").out
    dativo("sync", "people")
    project.write("data/more.csv", "id,name,email,score,born\n9,Zoe,zoe@example.com,1.00,2000-01-01\n")
    found = outline(dativo)
    assert list(found["cursor"]) == ["glob_data/*.csv"] and found["strategy"] == "file_modified_time"
    assert found["files"] == ["data/more.csv"] and found["files_unchanged"] == 1


def test_every_column_is_explained(project: Project, dativo: Dativo) -> None:
    fields = [*FIELDS, {"name": "alias", "type": "string", "physicalName": "also", "enum": ["a", "b"], "max_length": 9}]
    people(project, privacy={"warehouse": {"columns": {"email": "redact"}}})
    with_fields(project, *fields)
    columns = {c["name"]: c for c in outline(dativo)["columns"]}
    assert columns["id"]["rules"] == ["key", "required"]
    assert columns["score"] == {
        "name": "score", "source": "score", "type": "decimal(6,2)", "rules": [">= 0"], "classes": [],
        "personal": False, "treatment": "none",
    }  # fmt: skip
    assert columns["alias"]["source"] is None and columns["alias"]["rules"] == ["one of a, b", "length 0..9"]
    assert columns["email"]["treatment"] == "redact" and columns["email"]["classes"] == ["pii"]
    out = dativo("plan", "people", "--explain").out
    assert "(not in the source)" in out and "redact" in out and "one of a, b" in out


def test_the_plan_of_polars_is_shown_without_the_key_that_hashes(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATIVO_SECRET__ACME__PRIVACY_KEY", "canary-5f0c1d9e")
    people(project, privacy={"warehouse": {"columns": {"email": "hash"}}})
    answer = dativo("plan", "people", "--polars", "--debug")
    assert "FILTER" in answer.out and "hmac" in answer.out
    assert "canary-5f0c1d9e" not in answer.out + answer.err
    assert outline(dativo)["polars_plan"] == "" and "FILTER" in outline(dativo, "--polars")["polars_plan"]


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ([*FIELDS, {"name": "new", "type": "string"}], ["new"]),
        ([{**f, "type": "decimal(9,2)"} if f["name"] == "score" else f for f in FIELDS], ["score"]),
        ([{**f, "required": False} if f["name"] == "name" else f for f in FIELDS], ["name"]),
        (FIELDS, []),
    ],
)
def test_what_a_run_would_change_of_the_table_is_told_and_not_done(
    loaded: Project, dativo: Dativo, fields: list[dict[str, Any]], changes: list[str]
) -> None:
    before = loaded.table().metadata_location
    people(loaded, target={"mode": "relaxed"})
    with_fields(loaded, *fields)
    found = outline(dativo)
    assert found["refused"] is None and len(found["schema_changes"]) == len(changes)
    assert all(name in told for name, told in zip(changes, found["schema_changes"], strict=True))
    assert ("no change" in dativo("plan", "people").out) == (not changes)
    assert loaded.table().metadata_location == before
    assert loaded.sync("people").status == "loaded" if changes else "unchanged"


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ([{**f, "type": "integer"} if f["name"] == "score" else f for f in FIELDS], {}),
        ([{**f, "type": "decimal(5,1)"} if f["name"] == "score" else f for f in FIELDS], {}),
        ([*FIELDS, {"name": "new", "type": "string"}], {"mode": "strict"}),
    ],
)
def test_a_change_that_the_table_cannot_take_is_told_as_the_run_would(
    loaded: Project, dativo: Dativo, fields: list[dict[str, Any]], target: dict[str, Any]
) -> None:
    people(loaded, target=target)
    with_fields(loaded, *fields)
    refused = outline(dativo)["refused"]
    assert refused and refused in dativo("plan", "people").out
    receipt = loaded.sync("people")
    assert receipt.exit_code == 2 and refused in receipt.streams[0].error


def test_another_partitioning_than_the_table_has_is_told_as_the_run_would(loaded: Project, dativo: Dativo) -> None:
    people(loaded, target={"partitioning": ["born"]})
    refused = outline(dativo)["refused"]
    assert refused and "partitioned" in refused
    assert refused in loaded.sync("people").streams[0].error


@pytest.mark.parametrize("width", [80, 160])
def test_an_explanation_fits_the_terminal(project: Project, dativo: Dativo, width: int) -> None:
    people(project)
    dativo.width = width
    assert max(map(len, dativo("plan", "people", "--explain").lines)) <= width


@pytest.mark.parametrize("arguments", [(), ("nobody",), ("people", "--yaml"), ("people", "people"), ("jobs",)])
def test_wrong_arguments_are_refused(project: Project, dativo: Dativo, arguments: tuple[str, ...]) -> None:
    people(project)
    people(project, "other")
    assert dativo("plan", *arguments, code=2).err


def test_a_job_that_a_run_refuses_is_refused_here_too(project: Project, dativo: Dativo) -> None:
    people(project, target={"file_format": "orc"})
    assert "file_format 'orc' is not built yet" in dativo("plan", "people", code=2).err
