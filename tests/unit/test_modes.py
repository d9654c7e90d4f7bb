"""The three validation modes: what is loaded, what is kept of what is not, and how a run ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dativo import Receipt
from dativo.config.resolve import MaxRejects
from tests.project import Project

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "age", "type": "integer", "minimum": 0},
    {"name": "name"},
]
GOOD = "id,age,name\n1,30,Ann\n2,40,Bob\n"
BAD = "id,age,name,more\n1,30,Ann,x\n,40,Bob,y\n3,old,Cid,z\n4,-1,Dan,\n5,50\n6,60,Eve,w\n"


def run(project: Project, mode: str, text: str = BAD, max_rejects: str | int | None = None, **options: Any) -> Receipt:
    project.write("data/people.csv", text)
    project.asset(FIELDS)
    project.job(schema_validation_mode=mode, **({} if max_rejects is None else {"max_rejects": max_rejects}))
    return project.sync(**options)


def counts(receipt: Receipt) -> tuple[int, int, int, int]:
    stream = receipt.streams[0]
    return stream.extracted, stream.loaded, stream.rejected, stream.violations


def kept(project: Project) -> list[tuple[int, str | None, str, str | None, str]]:
    """Row, column, rule, value and action of every violation that is kept, in order."""
    frame = project.rejects().sort("found_at", "row", "column", "rule", nulls_last=True)
    return frame.select("row", "column", "rule", "value", "action").rows()


VIOLATIONS = [
    (2, "id", "missing_required", None),
    (3, "age", "type_mismatch", "old"),
    (4, "age", "minimum", "-1"),
    (5, None, "ragged", "2 fields, expected 4"),
]


@pytest.mark.parametrize("mode", ["strict", "quarantine", "warn"])
def test_good_rows_are_loaded_and_end_with_zero_in_every_mode(project: Project, mode: str) -> None:
    receipt = run(project, mode, GOOD)
    assert (receipt.status, receipt.exit_code, counts(receipt)) == ("loaded", 0, (2, 2, 0, 0))
    assert project.rows().rows() == [(1, 30, "Ann"), (2, 40, "Bob")]
    assert not project.catalog().table_exists("default.people__rejects")


def test_strict_refuses_all_and_keeps_every_violation(project: Project) -> None:
    receipt = run(project, "strict")
    assert (receipt.status, receipt.exit_code) == ("refused", 2)
    assert counts(receipt) == (6, 2, 4, 4)
    assert "4 of 6 rows break people 1.0; nothing was committed" in receipt.streams[0].error
    assert "dativo rejects show job" in receipt.streams[0].error
    assert not project.catalog().table_exists("default.people")
    assert kept(project) == [(*v, "refused") for v in VIOLATIONS]


def test_strict_leaves_a_table_that_is_there_as_it_was(project: Project) -> None:
    run(project, "strict", GOOD)
    before = project.table().metadata
    assert run(project, "strict").exit_code == 2
    assert project.table().metadata == before
    assert project.rows().height == 2
    # Nothing was taken note of: mended, the file is read again.
    assert counts(run(project, "strict", GOOD.replace("Bob", "Ben"))) == (2, 2, 0, 0)
    assert project.rows()["name"].to_list() == ["Ann", "Ben"]


def test_quarantine_loads_the_good_rows_and_sets_the_others_aside(project: Project) -> None:
    receipt = run(project, "quarantine")
    assert (receipt.status, receipt.exit_code) == ("loaded", 1)
    assert counts(receipt) == (6, 2, 4, 4)
    assert project.rows().rows() == [(1, 30, "Ann"), (6, 60, "Eve")]
    assert kept(project) == [(*v, "rejected") for v in VIOLATIONS]
    record = project.rejects().filter(project.rejects()["row"] == 3)["record"][0]
    assert json.loads(record) == {"id": "3", "age": "old", "name": "Cid", "more": "z"}
    assert any("1 column that is not in the contract left out: more" in w for w in receipt.streams[0].warnings)


def test_warn_loads_every_row_with_null_for_what_breaks_a_rule(project: Project) -> None:
    receipt = run(project, "warn")
    assert (receipt.status, receipt.exit_code) == ("loaded", 1)
    assert counts(receipt) == (6, 6, 0, 4)
    assert project.rows().rows() == [
        (1, 30, "Ann", "x"),
        (None, 40, "Bob", "y"),
        (3, None, "Cid", "z"),
        (4, None, "Dan", None),
        (5, 50, None, None),
        (6, 60, "Eve", "w"),
    ]
    assert kept(project) == [(*v, "nulled") for v in VIOLATIONS]
    assert all(not f.required for f in project.table().schema().fields)


@pytest.mark.parametrize(
    ("limit", "code", "rows"),
    [
        (4, 0, 2),
        ("4", 0, 2),
        ("70%", 0, 2),
        ("66.7%", 0, 2),
        (3, 2, None),
        (0, 2, None),
        ("66.6%", 2, None),
        ("0.1%", 2, None),
    ],
)
def test_quarantine_ends_by_the_declared_limit(project: Project, limit: str | int, code: int, rows: int | None) -> None:
    receipt = run(project, "quarantine", max_rejects=limit)
    assert receipt.exit_code == code
    assert receipt.status == ("loaded" if code == 0 else "refused")
    assert project.rejects().height == 4
    if rows is None:
        assert f"4 of 6 rows were rejected, more than max_rejects {limit} allows" in receipt.streams[0].error
        assert not project.catalog().table_exists("default.people")
    else:
        assert project.rows().height == rows


def test_the_contract_may_declare_the_limit_and_the_job_comes_first(project: Project) -> None:
    project.write("data/people.csv", BAD)
    project.asset(FIELDS, data_quality={"max_rejects": 4})
    project.job(schema_validation_mode="quarantine")
    assert project.sync().exit_code == 0
    project.job(schema_validation_mode="quarantine", max_rejects=3)
    assert project.sync(full_refresh=True).exit_code == 2


@pytest.mark.parametrize("limit", [None, 100, "100%"])
def test_quarantine_commits_nothing_when_no_row_is_good(project: Project, limit: str | int | None) -> None:
    receipt = run(project, "quarantine", "id,age,name\nx,1,a\ny,2,b\n", max_rejects=limit)
    assert (receipt.status, receipt.exit_code) == ("refused", 2)
    assert "none of 2 rows was good" in receipt.streams[0].error
    assert not project.catalog().table_exists("default.people")
    assert [v[4] for v in kept(project)] == ["refused", "refused"]


@pytest.mark.parametrize("limit", [4, "100%"])
@pytest.mark.parametrize(("mode", "code"), [("strict", 2), ("warn", 1)])
def test_a_limit_of_rejects_is_for_quarantine_only(project: Project, mode: str, code: int, limit: str | int) -> None:
    assert run(project, mode, max_rejects=limit).exit_code == code


@pytest.mark.parametrize("mode", ["strict", "quarantine", "warn"])
def test_a_source_without_rows_loads_none_and_ends_with_zero(project: Project, mode: str) -> None:
    receipt = run(project, mode, "id,age,name\n")
    assert (receipt.status, receipt.exit_code, counts(receipt)) == ("loaded", 0, (0, 0, 0, 0))
    assert project.rows().height == 0


@pytest.mark.parametrize("mode", ["strict", "quarantine", "warn"])
def test_the_receipt_sums_the_rules_up_with_an_example_each(project: Project, mode: str) -> None:
    text = BAD + "x,1,Fay,\ny,2,Gil,\n"
    rules = {(r.column, r.rule): (r.count, r.file, r.row, r.value) for r in run(project, mode, text).streams[0].rules}
    assert rules == {
        ("id", "type_mismatch"): (2, "data/people.csv", 7, "x"),
        ("id", "missing_required"): (1, "data/people.csv", 2, None),
        ("age", "type_mismatch"): (1, "data/people.csv", 3, "old"),
        ("age", "minimum"): (1, "data/people.csv", 4, "-1"),
        ("", "ragged"): (1, "data/people.csv", 5, "2 fields, expected 4"),
    }


def test_each_run_adds_its_violations_under_its_own_token(project: Project) -> None:
    first = run(project, "quarantine")
    second = run(project, "quarantine", full_refresh=True)
    found = project.rejects().group_by("run").len().sort("run").rows()
    assert found == sorted([(first.run_id, 4), (second.run_id, 4)])
    assert project.rows().height == 2


@pytest.mark.parametrize(
    ("share", "extracted", "most"),
    [("29%", 100, 29), ("0.7%", 1000, 7), ("0.1%", 999, 0), ("33.3%", 3, 0), ("7%", 100, 7)],
)
def test_a_share_of_rejects_is_exact(project: Project, share: str, extracted: int, most: int) -> None:
    project.write("data/people.csv", GOOD)
    project.asset(FIELDS)
    project.job(schema_validation_mode="quarantine", max_rejects=share)
    limit = project.load().streams[0].max_rejects
    assert isinstance(limit, MaxRejects)
    assert limit.allows(most, extracted)
    assert not limit.allows(most + 1, extracted)
