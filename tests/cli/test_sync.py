"""`dativo sync`: which jobs run, what is shown of them, which exit code a script gets."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.conftest import ROWS, Dativo, people
from tests.project import RECIPES, Project

GOOD = "id,name,email,score,born\n1,Ada,ada@example.com,1.50,1815-12-10\n"


def demo(project: Project) -> None:
    """The demo's files, as the repository has them."""
    repository = RECIPES.parent
    for folder in ("jobs/demo", "assets/csv/v1.0", "data/demo"):
        shutil.copytree(repository / folder, project.root / folder)


def good(project: Project, name: str = "people", **more: object) -> None:
    """A job of one good row."""
    project.write("data/good.csv", GOOD)
    people(project, name, source={"files": [{"path": "data/good.csv"}]}, **more)


# -- which jobs --------------------------------------------------------------------------------------------------------


def test_without_a_job_the_demo_runs_and_a_second_run_finds_nothing_new(project: Project, dativo: Dativo) -> None:
    demo(project)
    first = dativo("sync")
    assert "989" in first.out and "try next:" in first.out
    assert "dativo show employees_to_iceberg" in first.out
    second = dativo("sync")
    assert "hr.employees: nothing new in 1 file; no snapshot was made" in second.out
    assert project.snapshots("hr.employees", "demo") == 1


def test_without_a_job_and_without_a_demo_the_jobs_are_listed(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("sync", code=2)
    assert answer.out == ""
    assert "no job was named" in answer.err and "acme/people" in answer.err


def test_in_an_empty_folder_the_way_to_a_project_is_told(project: Project, dativo: Dativo) -> None:
    answer = dativo("sync", code=2)
    assert "dativo init" in answer.err and "dativo init demo" in answer.err


@pytest.mark.parametrize(
    "name", ["people", "acme/people", "people.yaml", "jobs/acme/people.yaml", "jobs/acme", "jobs", "./jobs/"]
)
def test_a_job_is_found_by_name_file_and_folder(project: Project, dativo: Dativo, name: str) -> None:
    good(project)
    assert dativo("sync", name, "--json").json()["jobs"][0]["job"] == "people"


def test_a_job_is_found_from_a_folder_below_the_project(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(project)
    monkeypatch.chdir(project.root / "data")
    assert dativo("sync", "people", "--json").json()["exit_code"] == 0
    assert project.rows().height == 1


def test_a_job_that_is_not_there_is_told_with_the_nearest_name(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("sync", "peopel", code=2)
    assert "there is no job 'peopel'" in answer.err and "did you mean 'people'?" in answer.err
    assert answer.out == ""


def test_a_name_of_two_jobs_is_refused_with_both_files(project: Project, dativo: Dativo) -> None:
    path = people(project)
    project.write("jobs/other/people.yaml", path.read_text().replace("acme", "other"))
    answer = dativo("sync", "people", code=2)
    assert "'people' names 2 jobs" in answer.err
    assert "jobs/acme/people.yaml" in answer.err and "jobs/other/people.yaml" in answer.err


def test_all_that_is_wrong_with_the_names_is_told_at_once(project: Project, dativo: Dativo) -> None:
    (project.root / "empty").mkdir()
    answer = dativo("sync", "one", "two", "empty", code=2)
    assert "'one'" in answer.err and "'two'" in answer.err and "the folder holds no YAML file" in answer.err


def test_one_job_named_twice_runs_once(project: Project, dativo: Dativo) -> None:
    good(project)
    assert len(dativo("sync", "people", "people", "--json").json()["jobs"]) == 1


# -- options -----------------------------------------------------------------------------------------------------------


def two_streams(project: Project) -> None:
    project.asset([{"name": "id", "type": "integer"}], "first", object="first")
    project.asset([{"name": "id", "type": "integer"}], "second", object="second")
    project.write("data/first.csv", "id\n1\n")
    project.write("data/second.csv", "id\n1\n2\n")
    files = [{"path": "data/first.csv", "object": "first"}, {"path": "data/second.csv", "object": "second"}]
    project.job("both", asset_path=None, assets=["assets/first.yaml", "assets/second.yaml"], source={"files": files})


def test_streams_runs_only_those(project: Project, dativo: Dativo) -> None:
    two_streams(project)
    jobs = dativo("sync", "both", "--streams", " second ,", "--json").json()["jobs"]
    assert [(s["stream"], s["loaded"]) for s in jobs[0]["streams"]] == [("second", 2)]
    jobs = dativo("sync", "both", "--json").json()["jobs"]
    assert [(s["stream"], s["status"]) for s in jobs[0]["streams"]] == [("first", "loaded"), ("second", "unchanged")]


def test_a_stream_that_is_not_there_is_told_with_those_that_are(project: Project, dativo: Dativo) -> None:
    two_streams(project)
    answer = dativo("sync", "both", "--streams", "third", code=2)
    assert "the job has no stream 'third'" in answer.err and "first, second" in answer.err


def test_limit_reads_so_many_rows_and_leaves_the_rest_for_the_next_run(project: Project, dativo: Dativo) -> None:
    people(project)
    assert dativo("sync", "people", "--limit", "2", "--json").json()["jobs"][0]["streams"][0]["loaded"] == 2
    assert project.rows().height == 2
    dativo("sync", "people", code=1)
    assert sorted(project.rows()["id"]) == [1, 2, 3]


def test_limit_after_a_full_load_is_followed_by_a_full_load(project: Project, dativo: Dativo) -> None:
    people(project)
    dativo("sync", "people", code=1)
    dativo("sync", "people", "--full-refresh", "--limit", "1")
    assert project.rows().height == 1
    assert dativo("sync", "people", "--json", code=1).json()["jobs"][0]["streams"][0]["loaded"] == 3


@pytest.mark.parametrize("write_mode", ["append", "replace"])
def test_limit_of_an_incremental_job_loses_nothing(project: Project, dativo: Dativo, write_mode: str) -> None:
    files = {"files": [{"path": "data/*.csv"}], "incremental": {"strategy": "file_modified_time"}}
    people(project, source=files, target={"write_mode": write_mode})
    dativo("sync", "people", code=1)
    dativo("sync", "people", "--full-refresh", "--limit", "1")
    dativo("sync", "people", code=None)
    assert sorted(project.rows()["id"]) == [1, 2, 3]


def test_full_refresh_reads_again_what_has_not_changed(project: Project, dativo: Dativo) -> None:
    good(project)
    dativo("sync", "people")
    assert dativo("sync", "people", "--json").json()["jobs"][0]["status"] == "unchanged"
    again = dativo("sync", "people", "--full-refresh", "--json").json()["jobs"][0]
    assert again["status"] == "loaded" and again["streams"][0]["write_mode"] == "replace"
    assert project.rows().height == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--limit", "0"), ("--limit", "-1"), ("--limit", "many"), ("--limit", "1.5"), ("--limit",),
        ("--mode", "hosted"), ("--progress", "loud"), ("--log-format", "xml"), ("--nonsense",), ("--jsn",),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused_before_anything_runs(
    project: Project, dativo: Dativo, options: tuple[str, ...]
) -> None:
    good(project)
    answer = dativo("sync", "people", *options, code=2)
    assert answer.out == "" and options[0] in answer.err
    assert not (project.root / ".local").exists()


# -- exit codes --------------------------------------------------------------------------------------------------------


def codes(project: Project) -> None:
    """Jobs that end with 0, 1 and 2, and one that cannot be read."""
    good(project, "good")
    people(project, "partly", target={"write_mode": "replace"})
    people(project, "refused", schema_validation_mode="strict")
    project.write("jobs/acme/broken.yaml", "tenant_id: [acme\n")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good"], 0), (["partly"], 1), (["refused"], 2), (["jobs/acme/broken.yaml"], 2),
        (["good", "partly"], 1), (["good", "refused"], 1), (["partly", "refused"], 1),
        (["refused", "jobs/acme/broken.yaml"], 2), (["good", "jobs/acme/broken.yaml"], 1),
    ],
)  # fmt: skip
def test_the_exit_code_says_whether_all_some_or_none_succeeded(
    project: Project, dativo: Dativo, names: list[str], code: int
) -> None:
    codes(project)
    answer = dativo("sync", *names, "--json", code=code)
    assert answer.json()["exit_code"] == code and answer.json()["version"] == 1


@pytest.mark.parametrize(
    ("mode", "max_rejects", "code", "rows"),
    [
        ("strict", None, 2, None),
        ("warn", None, 1, 5),
        ("quarantine", None, 1, 3),
        ("quarantine", 2, 0, 3),
        ("quarantine", "40%", 0, 3),
        ("quarantine", 1, 2, None),
        ("quarantine", "39%", 2, None),
    ],
)
def test_rows_that_break_the_contract_decide_the_exit_code(
    project: Project, dativo: Dativo, mode: str, max_rejects: int | str | None, code: int, rows: int | None
) -> None:
    people(project)
    project.job("people", schema_validation_mode=mode, **({} if max_rejects is None else {"max_rejects": max_rejects}))
    dativo("sync", "people", code=code)
    if rows is not None:
        assert project.rows().height == rows
    else:
        assert not project.catalog().table_exists("default.people")


def test_a_run_without_one_good_row_is_refused(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", "id,name,email,score,born\n,,,,\nx,,,,\n")
    people(project)
    assert "none of 2 rows was good" in dativo("sync", "people", code=2).err


def test_a_source_without_rows_is_loaded_as_an_empty_table(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", "id,name,email,score,born\n")
    people(project)
    dativo("sync", "people")
    assert project.rows().height == 0


def test_in_one_of_several_jobs_a_failure_leaves_the_others_alone(project: Project, dativo: Dativo) -> None:
    good(project, "good")
    people(project, "lost", source={"files": [{"path": "data/lost.csv"}]})
    answer = dativo("sync", "lost", "good", code=1)
    assert "file not found: 'data/lost.csv'" in answer.err
    assert project.rows().height == 1


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_what_goes_on_is_told_on_standard_error_and_the_figures_on_standard_output(
    project: Project, dativo: Dativo
) -> None:
    people(project)
    answer = dativo("sync", "people", code=1)
    assert "people · tenant acme" in answer.err and "quarantine" in answer.err
    assert "people · tenant acme" not in answer.out
    assert "extracted" in answer.out and "see them:  dativo rejects show people" in answer.out
    assert "ada@example.com" not in answer.out + answer.err and "not an address" not in answer.out + answer.err


@pytest.mark.parametrize("width", [80, 160])
def test_no_number_is_broken_at_any_usual_width(project: Project, dativo: Dativo, width: int) -> None:
    project.asset([{"name": "id", "type": "integer"}], "a_rather_long_name_of_a_contract")
    project.write("data/people.csv", "id\n" + "".join(f"{i}\n" for i in range(1_234_567)))
    project.job("long", asset_path="assets/a_rather_long_name_of_a_contract.yaml")
    dativo.width = width
    answer = dativo("sync", "long")
    row = next(line for line in answer.lines if "1,234,567" in line)
    assert row.count("1,234,567") == 2
    assert str(project.table("default.a_rather_long_name_of_a_contract").current_snapshot().snapshot_id) in answer.out


def test_json_has_the_whole_receipt_and_the_problems(project: Project, dativo: Dativo) -> None:
    codes(project)
    found = dativo("sync", "jobs/acme", "--json", code=1).json()
    assert sorted(j["job"] for j in found["jobs"]) == ["good", "partly", "refused"]
    partly = next(j for j in found["jobs"] if j["job"] == "partly")["streams"][0]
    assert (partly["extracted"], partly["loaded"], partly["rejected"], partly["deduplicated"]) == (5, 3, 2, 0)
    assert {r["rule"] for r in partly["rules"]} == {"missing_required", "pattern", "minimum"}
    assert "jobs/acme/broken.yaml" in found["problems"][0]["place"]


def test_json_tells_why_a_job_did_not_run_at_all(project: Project, dativo: Dativo) -> None:
    good(project, target={"file_format": "orc"})
    found = dativo("sync", "people", "--json", code=2).json()
    assert found["jobs"] == [] and "orc" in found["problems"][0]["message"]


def test_blocks_that_do_nothing_yet_are_told_once_a_run(project: Project, dativo: Dativo) -> None:
    catalog = {"type": "file", "connection": {"path": "lineage.json"}}
    good(project, plugins={"sandbox": {"enabled": True}}, catalog=catalog)
    answer = dativo("sync", "people")
    told = [line for line in (answer.err + answer.out).splitlines() if "does nothing yet" in line]
    assert len(told) == 1 and "catalog" in told[0] and "plugins" in told[0]


def test_names_and_values_of_the_data_move_nothing_on_the_terminal(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", "id\n1\n\x1b[31mred\x07\x9b2J\u202eevil\n".encode())
    people(project)
    project.asset([{"name": "id", "type": "integer"}])
    answer = dativo("sync", "people", code=1, terminal=True)
    for text in (answer.out, answer.err):
        assert not any(c in text for c in ("\x1b[31mred", "\x07", "\x9b", "\u202e"))
    assert r"'\x1b[31mred\x07\x9b2J\u202eevil'" in answer.out


def test_a_missing_variable_is_told_with_its_name_and_place(project: Project, dativo: Dativo) -> None:
    good(project, "people")
    project.job("people", source={"files": [{"path": "${NOT_SET_ANYWHERE}/people.csv"}]})
    answer = dativo("sync", "people", code=2)
    assert "Missing required environment variable: NOT_SET_ANYWHERE" in answer.err
    assert "jobs/acme/people.yaml:" in answer.err


def test_the_folder_of_a_run_is_gone_afterwards(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", ROWS)
    people(project)
    dativo("sync", "people", code=1)
    assert list((project.root / ".local/staging").iterdir()) == []
