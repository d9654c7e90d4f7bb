"""`dativo show`: a loaded table."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Dativo, people
from tests.project import Project


def test_a_table_is_shown_with_rows_columns_snapshots_tags_and_runs(loaded: Project, dativo: Dativo) -> None:
    found = dativo("show", "people", "--json").json()
    assert found["version"] == 1 and found["masked"] == ["name", "email"]
    table = found["table"]
    assert (table["name"], table["rows"], table["files"]) == ("default.people", 3, 1)
    assert [(c["name"], c["type"], c["required"]) for c in table["columns"]] == [
        ("id", "long", True), ("name", "string", True), ("email", "string", False), ("score", "decimal(6, 2)", False),
        ("born", "date", False),
    ]  # fmt: skip
    assert table["tags"]["classification.fields.email"] == "pii" and table["jobs"] == ["acme.people.people"]
    assert [s["rows_added"] for s in table["snapshots"]] == [3] and table["snapshots"][0]["current"] is True
    assert table["snapshots"][0]["id"] == loaded.table().current_snapshot().snapshot_id
    assert [r["id"] for r in found["rows"]] == [1, 2, 3]
    assert found["runs"][0]["run_id"] == table["snapshots"][0]["run"]
    assert found["rows"][0] == {
        "id": 1, "name": "A***e", "email": "a***@example.com", "score": "98.50", "born": "1815-12-10",
    }  # fmt: skip


def test_personal_values_are_masked_unless_they_are_asked_for(loaded: Project, dativo: Dativo) -> None:
    for arguments in ((), ("--json",)):
        assert "Ada Lovelace" not in dativo("show", "people", *arguments).out
        assert "Ada Lovelace" in dativo("show", "people", "--show-pii", *arguments).out


@pytest.mark.parametrize("name", ["people", "default.people", "jobs/acme/people.yaml", "acme/people"])
def test_a_table_is_found_by_its_name_and_by_its_job(loaded: Project, dativo: Dativo, name: str) -> None:
    assert dativo("show", name, "--json").json()["table"]["name"] == "default.people"


def test_a_table_of_two_tenants_is_named_by_its_job(loaded: Project, dativo: Dativo) -> None:
    path = loaded.root / "jobs/acme/people.yaml"
    loaded.write("jobs/other/theirs.yaml", path.read_text().replace("acme", "other"))
    err = dativo("show", "default.people", code=2).err
    assert "several tables are called 'default.people'" in err and "jobs/other/theirs.yaml" in err
    assert dativo("show", "jobs/acme/people.yaml", "--json").json()["table"]["rows"] == 3


def test_rows_is_the_number_of_rows(loaded: Project, dativo: Dativo) -> None:
    assert len(dativo("show", "people", "--rows", "2", "--json").json()["rows"]) == 2
    assert dativo("show", "people", "--rows", "0", "--json").json()["rows"] == []
    assert "Ada" not in dativo("show", "people", "--rows", "0").out


def test_every_snapshot_and_failed_run_is_listed(loaded: Project, dativo: Dativo) -> None:
    loaded.sync("people", full_refresh=True)
    people(loaded, schema_validation_mode="strict")
    failed = loaded.sync("people")
    assert failed.exit_code == 2
    found = dativo("show", "people", "--json").json()
    assert found["runs"][0]["status"] == "refused"
    assert [s["current"] for s in found["table"]["snapshots"]].count(True) == 1
    assert f"run {failed.run_id[:13]}" in dativo("show", "people").out


@pytest.mark.parametrize("width", [80, 160])
def test_no_number_is_broken_at_any_usual_width(loaded: Project, dativo: Dativo, width: int) -> None:
    dativo.width = width
    answer = dativo("show", "people")
    snapshot = loaded.table().current_snapshot()
    assert str(snapshot.snapshot_id) in answer.out
    assert f"file://{loaded.root}/.local/warehouse/acme/default/people" in answer.out
    lines = [line for line in answer.lines if not line.startswith("in embedded catalog")]
    assert max(map(len, lines)) <= width


def test_values_of_a_table_move_nothing_on_a_terminal(project: Project, dativo: Dativo) -> None:
    project.asset([{"name": "text", "type": "string", "description": "red \x1b[31m \u202e"}])
    project.write("data/people.csv", "text\n\x1b[31mred \x9b2J \u202eback\n".encode())
    project.job("evil")
    project.sync("evil")
    for arguments in ((), ("--json",)):
        out = dativo("show", "evil", *arguments, terminal=True).out
        assert not any(c in out for c in ("\x1b[31m", "\x9b", "\u202e")) and "red" in out


def test_a_table_that_was_not_loaded_is_told_with_what_to_do(project: Project, dativo: Dativo) -> None:
    people(project)
    err = dativo("show", "people", code=2).err
    assert "default.people does not exist yet" in err and "dativo sync people" in err
    assert not (project.root / ".local").exists()


def test_a_name_of_nothing_is_told_with_what_there_is(loaded: Project, dativo: Dativo) -> None:
    err = dativo("show", "default.poeple", code=2).err
    assert "no job or table is called 'default.poeple'" in err
    assert "did you mean 'default.people'?" in err and "tables: default.people" in err


def test_in_an_empty_folder_nothing_is_found(project: Project, dativo: Dativo) -> None:
    assert "no job or table is called 'people'" in dativo("show", "people", code=2).err


def test_a_catalog_that_is_no_catalog_is_told(loaded: Project, dativo: Dativo) -> None:
    (loaded.root / ".local/state/acme/catalog.db").write_bytes(b"this is no database, and it is long enough" * 100)
    assert dativo("show", "people", code=2).err.startswith("error:")


def test_data_files_that_are_gone_are_told(loaded: Project, dativo: Dativo) -> None:
    for path in (loaded.root / ".local/warehouse").rglob("*.parquet"):
        path.unlink()
    assert "cannot be read" in dativo("show", "people", code=2).err


@pytest.mark.parametrize(
    "options", [("--rows", "-1"), ("--rows", "x"), ("--rows", "10001"), ("--stream", "nobody"), ("--no",)]
)
def test_wrong_options_are_refused(loaded: Project, dativo: Dativo, options: tuple[str, ...]) -> None:
    assert dativo("show", "people", *options, code=2).err
