"""The three modes, as they are promised: what is loaded, what is kept for reading, and the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from tests.project import Project

FIELDS = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "name", "required": True},
    {"name": "score", "type": "decimal(5,2)", "minimum": 0},
    {"name": "grade", "enum": ["a", "b"]},
]
CONTENT = "id,name,score,grade,more\n1,Ann,1.50,a,x\n2,,2.00,b,y\n3,Cid,oops,c,z\n4,Dan,-1,a,w\n5,Eve,,,\n"
BROKEN = [(2, "name", "missing_required"), (3, "grade", "enum"), (3, "score", "type_mismatch"), (4, "score", "minimum")]


def run(project: Project, mode: str, content: str = CONTENT, **more: Any) -> Any:
    project.asset(FIELDS)
    project.write("data/people.csv", content)
    project.job(schema_validation_mode=mode, **more)
    return project.sync()


def kept(project: Project) -> list[tuple[int, str, str]]:
    rows = project.rejects().select("row", "column", "rule").sort("row", "column")
    return [tuple(r) for r in rows.iter_rows()]


def test_strict_commits_nothing_and_keeps_the_violations(project: Project) -> None:
    receipt = run(project, "strict")
    assert (receipt.exit_code, receipt.status) == (2, "refused")
    assert "3 of 5 rows break people 1.0; nothing was committed" in receipt.streams[0].error
    assert kept(project) == BROKEN
    assert set(project.rejects()["action"]) == {"refused"}
    with pytest.raises(Exception, match="does not exist"):
        project.table()


def test_strict_loads_a_file_without_a_fault(project: Project) -> None:
    receipt = run(project, "strict", "id,name,score,grade\n1,Ann,1.50,a\n")
    assert (receipt.exit_code, receipt.loaded) == (0, 1)


def test_quarantine_loads_the_good_rows_and_sets_the_bad_ones_aside(project: Project) -> None:
    receipt = run(project, "quarantine")
    assert (receipt.exit_code, receipt.loaded, receipt.rejected) == (1, 2, 3)
    assert receipt.streams[0].violations == 3
    assert project.rows()["id"].to_list() == [1, 5]
    assert project.rows().columns == ["id", "name", "score", "grade"]
    assert kept(project) == BROKEN
    assert {r["record"] for r in project.rejects().filter(row=3).to_dicts()} == {
        '{"id":"3","name":"Cid","score":"oops","grade":"c","more":"z"}'
    }


@pytest.mark.parametrize(
    ("limit", "code", "loaded"), [(3, 0, 2), ("60%", 0, 2), (2, 2, 0), ("59.9%", 2, 0), (0, 2, 0), ("100%", 0, 2)]
)
def test_max_rejects_decides_between_success_and_nothing(
    project: Project, limit: int | str, code: int, loaded: int
) -> None:
    receipt = run(project, "quarantine", max_rejects=limit)
    assert receipt.exit_code == code
    assert (receipt.loaded if code == 0 else 0) == loaded
    if code == 2:
        assert "more than max_rejects" in receipt.streams[0].error
        assert set(project.rejects()["action"]) == {"refused"}


def test_quarantine_with_no_good_row_commits_nothing(project: Project) -> None:
    receipt = run(project, "quarantine", "id,name,score,grade\nx,Ann,1,a\n", max_rejects="100%")
    assert receipt.exit_code == 2
    assert "none of 1 rows was good" in receipt.streams[0].error


def test_warn_loads_all_rows_and_what_does_not_fit_becomes_null(project: Project) -> None:
    receipt = run(project, "warn")
    assert (receipt.exit_code, receipt.loaded, receipt.rejected) == (1, 5, 0)
    rows = project.rows()
    assert rows.columns == ["id", "name", "score", "grade", "more"]
    assert rows["name"].to_list() == ["Ann", None, "Cid", "Dan", "Eve"]
    assert [None if s is None else str(s) for s in rows["score"]] == ["1.50", "2.00", None, None, None]
    assert rows["grade"].to_list() == ["a", "b", None, "a", None]
    assert rows["more"].to_list() == ["x", "y", "z", "w", None]
    assert kept(project) == BROKEN
    assert set(project.rejects()["action"]) == {"nulled"}
    assert not any(f.required for f in project.table().schema().fields)


def test_warn_without_a_violation_exits_with_0(project: Project) -> None:
    assert run(project, "warn", "id,name,score,grade\n1,Ann,1.50,a\n").exit_code == 0


@pytest.mark.parametrize("mode", ["strict", "quarantine"])
def test_a_column_that_the_contract_does_not_know_is_left_out_and_told_once(project: Project, mode: str) -> None:
    receipt = run(project, mode, "id,name,score,grade,more\n1,Ann,1.50,a,x\n")
    assert receipt.exit_code == 0
    assert project.rows().columns == ["id", "name", "score", "grade"]
    assert [w for w in receipt.streams[0].warnings if "more" in w] == [
        "1 column that is not in the contract left out: more"
    ]


@pytest.mark.parametrize("mode", ["strict", "warn", "quarantine"])
def test_a_column_that_the_source_lacks_is_null_and_told_once(project: Project, mode: str) -> None:
    receipt = run(project, mode, "id,name,grades\n1,Ann,a\n")
    assert receipt.exit_code == 0
    assert project.rows()["grade"].to_list() == [None]
    assert any("lacks 'grade' (the source has 'grades'" in w for w in receipt.streams[0].warnings)


def test_the_receipt_balances_and_stands_in_the_commit(project: Project) -> None:
    import json

    receipt = run(project, "quarantine").streams[0]
    assert receipt.extracted == receipt.loaded + receipt.rejected + receipt.deduplicated == 5
    state = json.loads(project.table().properties["dativo.state.acme.job.people"])
    assert state["receipt"]["extracted"] == 5
    assert state["receipt"]["rejected"] == 3
