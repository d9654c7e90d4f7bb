"""Keys of JSON lines: which are columns, and what becomes of the others."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.sources.protocol import FAULT, FILE
from tests.project import Project
from tests.reading import extracted, file_job, jsonl_rows, lines

FIELDS = [{"name": "id", "type": "integer"}, {"name": "name"}]


def filler(size: int) -> bytes:
    """Lines that a file's keys are told by, and more."""
    return b'{"id": 1, "name": "filler"}\n' * (size // 28)


def test_a_contract_column_that_appears_late_is_read(project: Project) -> None:
    project.asset([*FIELDS, {"name": "late", "type": "decimal(9,2)"}, {"name": "never"}])
    file_job(project, "jsonl")
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "late": 1.50}\n')
    receipt = project.sync()
    assert receipt.exit_code == 0
    assert project.rows().filter(pl.col("id") == 2).rows() == [(2, None, Decimal("1.50"), None)]


def test_a_foreign_key_that_appears_late_is_noted(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "extra": 1}\n' * 3)
    extract = extracted(project)
    assert extract.notes == []
    extract.frame.collect(engine="streaming")
    extract.frame.collect(engine="streaming")
    assert len(extract.notes) == 1
    assert "'extra'" in extract.notes[0]


def test_late_foreign_keys_stand_in_the_receipt(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "extra": 1}\n')
    assert any("'extra'" in w for w in project.sync().streams[0].warnings)


def test_warn_mode_keeps_a_foreign_key_wherever_it_appears(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl", schema_validation_mode="warn")
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "extra": {"a": 1.0}}\n')
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert project.rows().filter(pl.col("id") == 2).rows() == [(2, None, '{"a": 1.0}')]


def test_a_column_is_missing_only_when_every_line_was_looked_at(project: Project) -> None:
    project.asset([*FIELDS, {"name": "wanted", "required": True}])
    file_job(project, "jsonl")
    project.write("data/a.jsonl", lines({"id": 1, "name": "x", "wnated": 1}))
    error = project.sync().streams[0].error
    assert "the source lacks a required column" in error
    assert "wnated" in error
    project.write("data/a.jsonl", filler(400 << 10))
    receipt = project.sync()
    assert "missing_required" in {r.rule for r in receipt.streams[0].rules}
    assert receipt.streams[0].status == "refused"


def test_columns_of_files_are_united_and_counted(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl", "data/*.jsonl")
    project.write("data/a.jsonl", lines({"id": 1, "x": 1}))
    project.write("data/b.jsonl", lines({"y": 2, "id": 2}))
    extract = extracted(project)
    assert [(c.name, c.files) for c in extract.columns] == [("id", 2), ("x", 1), ("y", 1)]
    assert extract.frame.select("id", "x", "y", FILE).collect().rows() == [("1", "1", None, 0), ("2", None, "2", 1)]


def test_keys_without_end_are_cut_off_with_a_note(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", lines(*({"id": i, f"key{i}": i} for i in range(3000))))
    extract = extracted(project)
    assert len(extract.columns) < 1100
    assert any("keys are not in the contract" in n for n in extract.notes)
    assert extract.frame.select("id").collect()["id"].to_list() == [str(i) for i in range(3000)]


def test_names_that_no_column_can_have_are_left_out_with_a_note(project: Project) -> None:
    project.asset(FIELDS)
    for mode in ("strict", "warn"):
        file_job(project, "jsonl", schema_validation_mode=mode)
        project.write("data/a.jsonl", lines({"id": 1, "__dativo_row": 99, "*": 1, "^id$": 2, "": 3, " ": 4}))
        extract = extracted(project)
        assert [c.name for c in extract.columns] == ["id"]
        assert any(all(f"'{n}'" in note for n in ("__dativo_row", "*", "^id$", "", " ")) for note in extract.notes)
        assert project.sync(full_refresh=True).exit_code == 0
    assert project.rows()["id"].to_list() == [1]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(json.dumps([{"id": 1}], indent=1), "jq -c '.[]'"), (json.dumps({"id": 1, "name": "x"}, indent=1), "jq -c '.'")],
    ids=["array", "pretty"],
)
def test_json_that_is_not_in_lines_is_recognised(project: Project, content: str, remedy: str) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", content)
    extract = extracted(project)
    assert extract.frame.collect()[FAULT].null_count() == 0
    assert any(remedy in n for n in extract.notes)
    (finding,) = connectors.source(project.load()).check(project.load().streams[0])
    assert not finding["ok"]
    assert remedy in finding["hint"]


def test_odd_keys_are_columns(project: Project) -> None:
    odd = ["a b", 'quo"te', "back\\slash", "päß", "a.b", "$x", "1", "**", "^a", "a|b$", "tab\t", "😀", "true", " x "]
    project.asset(FIELDS)
    file_job(project, "jsonl")
    escaped = json.dumps(dict.fromkeys(odd, 0.5))
    bare = json.dumps(dict.fromkeys(odd, 1.25), ensure_ascii=False)
    project.write("data/a.jsonl", f"{escaped}\n{bare}\n" * 50)
    frame = extracted(project).frame.collect(engine="streaming")
    assert frame[FAULT].null_count() == 100
    for key in odd:
        assert frame[key].to_list() == ["0.5", "1.25"] * 50


def test_a_key_inside_a_value_is_not_the_column(project: Project) -> None:
    content = b'{"in": {"price": 1.5, "n": [{"price": 2.5}]}, "t": "\\"price\\": 9.75,", "price": 3.50, "n": [7.0]}\n'
    assert (
        jsonl_rows(project, content * 100, "price", "n", "in")
        == [("3.50", "[7.0]", '{"price": 1.5, "n": [{"price": 2.5}]}')] * 100
    )


def test_wide_and_deep_lines_are_read(project: Project) -> None:
    wide = {f"c{i}": i / 8 for i in range(700)}
    deep: Any = 1.5
    for _ in range(60):
        deep = {"d": [deep]}
    found = jsonl_rows(project, lines({**wide, "deep": deep}) * 30, "c0", "c699", "deep", FAULT)
    assert found == [("0.0", "87.375", json.dumps(deep), None)] * 30
