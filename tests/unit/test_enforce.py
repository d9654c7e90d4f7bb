"""Rows under a contract: every value of its type, every broken rule known, no row lost."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dativo.errors import ContractError, SourceError
from tests.enforced import Found, enforced
from tests.project import Project

# -- columns -----------------------------------------------------------------------------------------------------------


def test_columns_come_in_the_contracts_order_by_the_sources_names(project: Project) -> None:
    fields = [{"name": "b", "type": "integer"}, {"name": "a", "physicalName": "First Name"}]
    found = enforced(project, "First Name,x, b \nAnn,?,1\n", fields)
    assert found.accepted.columns == ["b", "a"]
    assert found.accepted.rows() == [(1, "Ann")]
    assert found.notes == ["1 column that is not in the contract left out: x"]


def test_the_exact_name_wins_over_one_with_spaces(project: Project) -> None:
    assert enforced(project, " a,a\n1,2\n", [{"name": "a"}]).accepted.rows() == [("2",)]


def test_one_source_column_can_feed_two_of_the_contract(project: Project) -> None:
    fields = [{"name": "text", "physicalName": "x"}, {"name": "number", "physicalName": "x", "type": "integer"}]
    found = enforced(project, "x\n1\nz\n", fields)
    assert found.accepted.rows() == [("1", 1)]
    assert found.rules() == [(2, "number", "type_mismatch", "z")]


def test_a_column_that_the_source_lacks_is_null_or_its_default_and_told(project: Project) -> None:
    fields = [{"name": "a"}, {"name": "colour"}, {"name": "n", "type": "integer", "default": 7, "required": True}]
    found = enforced(project, "a,color\n1,red\n", fields)
    assert found.accepted.rows() == [("1", None, 7)]
    assert found.notes[:2] == [
        "the source lacks 'colour' (the source has 'color': is it meant?): it is loaded as null",
        "the source lacks 'n': it is loaded as its default",
    ]


@pytest.mark.parametrize("mode", ["strict", "quarantine"])
@pytest.mark.parametrize("rule", ["required", "primary_key"])
def test_a_required_column_that_the_source_lacks_is_refused_with_the_nearest(
    project: Project, mode: str, rule: str
) -> None:
    with pytest.raises(ContractError) as caught:
        enforced(project, "idd,a\n1,2\n", [{"name": "id", rule: True}, {"name": "a"}], mode)
    assert caught.value.message == (
        "the source lacks a required column of people 1.0: 'id' (the source has 'idd': is it meant?)"
    )
    assert "the source has: idd, a" in caught.value.hint


def test_in_warn_mode_a_required_column_that_the_source_lacks_is_null_and_told(project: Project) -> None:
    found = enforced(project, "a\n2\n", [{"name": "id", "required": True}, {"name": "a"}], "warn")
    assert found.accepted.rows() == [(None, "2")]
    assert found.notes == ["the source lacks 'id': it is loaded as null"]


def test_a_header_that_has_nothing_of_the_contract_is_refused(project: Project) -> None:
    with pytest.raises(SourceError) as caught:
        enforced(project, "x;y\n1;2\n", [{"name": "a"}, {"name": "b"}])
    assert caught.value.message == "none of the 2 columns of people 1.0 is in the source"
    assert "the source has: x;y" in caught.value.hint
    assert "the contract wants: a, b" in caught.value.hint
    assert "delimiter" in caught.value.hint


def test_in_warn_mode_other_columns_are_kept_as_text(project: Project) -> None:
    found = enforced(project, "n,z,y\n1,NULL,\n", [{"name": "n", "type": "integer"}], "warn")
    assert found.accepted.columns == ["n", "z", "y"]
    assert found.accepted.rows() == [(1, "NULL", None)]
    assert found.notes == ["2 columns that are not in the contract kept as text: z, y"]


@pytest.mark.parametrize(
    ("header", "field"), [("ID,id", {"name": "id", "physicalName": "ID"}), ("Id,x", {"name": "id"})]
)
def test_in_warn_mode_another_column_never_takes_a_name_of_the_contract(
    project: Project, header: str, field: dict[str, Any]
) -> None:
    with pytest.raises(ContractError) as caught:
        enforced(project, f"{header}\n1,2\n", [field, {"name": "x"}], "warn")
    assert "would be kept beside its column 'id'" in caught.value.message
    assert "physicalName" in caught.value.hint


# -- null, defaults ----------------------------------------------------------------------------------------------------


def test_texts_that_mean_null(project: Project) -> None:
    fields = [{"name": "a"}, {"name": "b", "null_values": ["-"]}, {"name": "c", "null_values": []}]
    text = 'a,b,c\nNULL,NULL,NULL\n-,-,-\nnull,,None\n"","",""\n NULL,none,x\n'
    assert enforced(project, text, fields).accepted.rows() == [
        (None, "NULL", "NULL"),
        ("-", None, "-"),
        (None, None, "None"),
        (None, "", ""),
        (" NULL", "none", "x"),
    ]


def test_the_sources_null_texts_replace_the_usual_ones(project: Project) -> None:
    fields = [{"name": "a"}, {"name": "n", "type": "integer"}]
    found = enforced(project, "a,n\nNULL,0\nn/a,n/a\nx,\n,NULL\n", fields, null_values=["n/a", "0"])
    assert found.accepted.rows() == [("NULL", None), (None, None), ("x", None)]
    assert found.rules() == [(4, "n", "type_mismatch", "NULL")]


def test_without_null_texts_an_empty_field_is_still_nothing_and_quotes_make_it_text(project: Project) -> None:
    found = enforced(project, 'a,n\n,1\n"",2\n', [{"name": "a"}, {"name": "n"}], null_values=[])
    assert found.accepted.rows() == [(None, "1"), ("", "2")]


def test_a_default_stands_for_what_is_not_given_and_not_for_what_is_wrong(project: Project) -> None:
    fields = [
        {"name": "id"},
        {"name": "n", "type": "integer", "default": 5, "required": True},
        {"name": "d", "type": "date", "default": "2024-01-02"},
        {"name": "p", "type": "decimal(5,2)", "default": 1.5},
        {"name": "s", "default": "none"},
        {"name": "f", "type": "boolean", "default": False},
    ]
    found = enforced(project, "id,n,d,p,s,f\n1,,,,,\n2,NULL,x,2,null,yes\n3,7,,1.234,s,\n", fields)
    assert found.accepted.rows() == [("1", 5, date(2024, 1, 2), Decimal("1.50"), "none", False)]
    assert found.rules() == [(2, "d", "type_mismatch", "x"), (3, "p", "type_mismatch", "1.234")]


# -- violations --------------------------------------------------------------------------------------------------------

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "amount", "type": "decimal(6,2)", "minimum": 0, "maximum": 100},
    {"name": "code", "pattern": "^[A-Z]+$", "max_length": 3, "enum": ["AB", "ABC", "ab"]},
]


def test_a_row_that_breaks_several_rules_is_one_reject_with_all_of_them(project: Project) -> None:
    found = enforced(project, "id,amount,code\n,-1,abcd\n1,50,AB\nx,101,ABCD\n", FIELDS)
    assert found.accepted.rows() == [(1, Decimal("50.00"), "AB")]
    assert found.rules() == [
        (1, "amount", "minimum", "-1"),
        (1, "code", "enum", "abcd"),
        (1, "code", "max_length", "abcd"),
        (1, "code", "pattern", "abcd"),
        (1, "id", "missing_required", None),
        (3, "amount", "maximum", "101"),
        (3, "code", "enum", "ABCD"),
        (3, "code", "max_length", "ABCD"),
        (3, "id", "type_mismatch", "x"),
    ]


def test_a_violation_has_its_file_its_original_value_and_the_whole_row(project: Project) -> None:
    found = enforced(project, 'id,amount,code,more\n1,2,AB,\n" x ",3,"A""B",é\n', FIELDS)
    row = found.violations.filter(found.violations["rule"] == "type_mismatch").to_dicts()[0]
    assert (row["file"], row["row"], row["value"]) == ("data/people.csv", 2, " x ")
    assert json.loads(row["record"]) == {"id": " x ", "amount": "3", "code": 'A"B', "more": "é"}


@pytest.mark.parametrize("mode", ["strict", "quarantine", "warn"])
def test_a_record_with_a_fault_is_one_violation_with_its_text(project: Project, mode: str) -> None:
    text = b'id,amount,code\n1,2\n2,3,AB,,\n3,"x"y,AB\n4,\xff,AB\n5,\0,AB\n6,7,AB\n7,"open\n8,9,AB\n'
    found = enforced(project, text, FIELDS, mode)
    assert found.rules() == [
        (1, None, "ragged", "2 fields, expected 3"),
        (2, None, "ragged", "5 fields, expected 3"),
        (3, None, "quote", "text follows a closing quote"),
        (4, None, "encoding", "bytes that are not UTF-8"),
        (5, None, "nul_byte", "a NUL character in the text"),
        (7, None, "unclosed_quote", "a quoted field does not end"),
    ]
    assert found.violations.sort("row")["record"].to_list() == [
        "1,2", "2,3,AB,,", '3,"x"y,AB', "4,\\xff,AB", "5,\0,AB", '7,"open',
    ]  # fmt: skip
    assert found.accepted.height == (8 if mode == "warn" else 2)


def test_in_warn_mode_what_breaks_a_rule_becomes_null_and_the_rest_stays(project: Project) -> None:
    found = enforced(project, "id,amount,code\nx,-1,abcd\n1,50,AB\n,100.5,ab\n", FIELDS, "warn")
    assert found.accepted.rows() == [(None, None, None), (1, Decimal("50.00"), "AB"), (None, None, None)]
    assert [(row, column, rule) for row, column, rule, _ in found.rules()] == [
        (1, "amount", "minimum"),
        (1, "code", "enum"),
        (1, "code", "max_length"),
        (1, "code", "pattern"),
        (1, "id", "type_mismatch"),
        (3, "amount", "maximum"),
        (3, "code", "pattern"),
        (3, "id", "missing_required"),
    ]


# -- against a model ---------------------------------------------------------------------------------------------------

MODEL: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "amount", "type": "decimal(4,1)", "minimum": 0},
    {"name": "day", "type": "date"},
    {"name": "flag", "type": "boolean", "default": True, "required": True},
    {"name": "code", "enum": ["x", "y"], "null_values": ["-"]},
]
CELLS = {
    "id": {"1": 1, " 2 ": 2, "3.0": 3, "": None, "NULL": None, "z": ..., "4.5": ...},
    "amount": {
        "0": Decimal(0),
        "1.5": Decimal("1.5"),
        "": None,
        "-1": Decimal(-1),
        "1.25": ...,
        "1000": ...,
        "1e2": Decimal(100),
    },
    "day": {"2024-02-29": date(2024, 2, 29), "2023-02-29": ..., "": None, "null": None, "soon": ...},
    "flag": {"yes": True, "OFF": False, "": None, "maybe": ...},
    "code": {"x": "x", "y": "y", "-": None, "": None, "NULL": "NULL", "X": "X"},
}
rows = st.lists(st.tuples(*(st.sampled_from(sorted(cells)) for cells in CELLS.values())), max_size=8)


def judged(row: tuple[str, ...]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The values of a row as warn mode loads them, and the rules that it breaks."""
    values: dict[str, Any] = {}
    broken: list[tuple[str, str]] = []
    for field, text in zip(MODEL, row, strict=True):
        name = field["name"]
        value = CELLS[name][text]
        if value is ...:
            broken.append((name, "type_mismatch"))
            value = None
        elif value is None and "default" in field:
            value = field["default"]
        elif value is None and field.get("required"):
            broken.append((name, "missing_required"))
        elif (name == "amount" and value is not None and value < 0) or (
            name == "code" and value not in ("x", "y", None)
        ):
            broken.append((name, "minimum" if name == "amount" else "enum"))
            value = None
        values[name] = value
    return values, broken


@given(rows, st.sampled_from(["strict", "quarantine", "warn"]))
@example([("z", "-1", "soon", "maybe", "X")], "quarantine")
def test_any_rows_are_judged_as_the_model_judges_them(project: Project, rows: list[tuple[str, ...]], mode: str) -> None:
    text = "id,amount,day,flag,code\n" + "".join(",".join(row) + "\n" for row in rows)
    found: Found = enforced(project, text, MODEL, mode)
    accepted, broken = [], []
    for number, row in enumerate(rows, 1):
        values, rules = judged(row)
        if mode == "warn" or not rules:
            accepted.append(values)
        broken += [(number, column, rule, row[[*CELLS].index(column)] or None) for column, rule in sorted(rules)]
    assert found.accepted.to_dicts() == accepted
    assert found.rules() == broken
