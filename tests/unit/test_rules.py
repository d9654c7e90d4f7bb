"""The rules of a contract: which values break them, and which do not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dativo.errors import ConfigError, DativoError
from tests.enforced import enforced
from tests.project import Project


def broken(project: Project, values: list[str], **field: Any) -> list[tuple[str, str]]:
    """Which of the values break which rule, in order. An `id` beside them keeps blank ones from being blank lines."""
    text = "id,x\n" + "".join(f'{n},"{v}"\n' if v else f"{n},\n" for n, v in enumerate(values))
    found = enforced(project, text, [{"name": "id"}, {"name": "x", **field}])
    assert found.accepted.height == len(values) - len({row for row, *_ in found.rules()})
    return [(values[row - 1], rule) for row, _, rule, _ in found.rules()]


def test_required_values_are_there(project: Project) -> None:
    assert broken(project, ["a", "", "NULL", "None", " ", "null"], required=True) == [
        ("", "missing_required"), ("NULL", "missing_required"), ("None", "missing_required"), ("null", "missing_required"),
    ]  # fmt: skip


def test_a_required_value_that_cannot_be_read_is_a_mismatch_and_not_missing(project: Project) -> None:
    assert broken(project, ["1", "", "x"], type="integer", required=True) == [
        ("", "missing_required"),
        ("x", "type_mismatch"),
    ]


def test_null_breaks_no_rule_but_required(project: Project) -> None:
    rules: dict[str, Any] = {
        "enum": ["a"],
        "pattern": "^a$",
        "minimum": "a",
        "maximum": "a",
        "min_length": 1,
        "max_length": 1,
    }
    assert broken(project, ["a", "", "NULL"], **rules) == []
    assert broken(project, ["", "5"], type="integer", minimum=1, maximum=9, enum=[5]) == []


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 4}, ["2", "3", "4.0"], ["1", "5", "-9"]),
        ({"type": "integer", "minimum": 2, "exclusive_minimum": True}, ["3"], ["2", "1"]),
        ({"type": "integer", "maximum": 4, "exclusive_maximum": True}, ["3"], ["4", "5"]),
        ({"type": "decimal(12,2)", "minimum": 0.1, "maximum": "10.50"}, ["0.10", "10.5"], ["0.09", "10.51", "-0.1"]),
        ({"type": "double", "minimum": 0}, ["0", "-0.0", "1e300", "inf"], ["-1e-300", "-inf", "nan"]),
        ({"type": "double", "maximum": 1}, ["1", "-inf"], ["1.0000000001", "inf", "nan"]),
        ({"type": "double", "minimum": 0, "exclusive_minimum": True}, ["1e-300"], ["0", "-0.0", "nan"]),
        ({"type": "date", "minimum": "2024-01-01", "maximum": "2024-12-31"}, ["2024-01-01", "2024-12-31"],
         ["2023-12-31", "2025-01-01"]),
        ({"type": "timestamp", "minimum": "2024-01-01T00:00:00+02:00"}, ["2023-12-31 22:00:00"], ["2023-12-31 21:59:59"]),
        ({"type": "timestamptz", "maximum": "2024-01-01T00:00:00+02:00"}, ["2024-01-01T00:00:00+02:00"],
         ["2024-01-01T00:00:00Z"]),
        ({"type": "timestamptz", "minimum": "2024-01-01"}, ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00+01:00"]),
        ({"type": "time", "minimum": "08:00", "maximum": "17:30:00"}, ["08:00", "17:30"], ["07:59:59", "17:30:01"]),
        ({"minimum": "b", "maximum": "d"}, ["b", "c", "d"], ["a", "da", "B"]),
        ({"min_length": 2, "max_length": 3}, ["é€", "abc", "😀😀"], ["a", "abcd", "😀"]),
        ({"type": "binary", "min_length": 2, "max_length": 3}, ["ab", "é"], ["a", "éé"]),
        ({"type": "array", "items": "integer", "min_length": 1, "max_length": 2}, ["[1]", "[1,null]"], ["[]", "[1,2,3]"]),
        ({"enum": ["a", "b"]}, ["a", "b"], ["A", " a", "ab"]),
        ({"enum": ["yes", "no"]}, ["yes", "no"], ["true", "True"]),
        ({"type": "integer", "enum": [1, 2]}, ["1", "2.0", " 1 "], ["3", "12"]),
        ({"type": "decimal(5,2)", "enum": [1.5, "2"]}, ["1.50", "2"], ["1.51"]),
        ({"type": "boolean", "enum": [True]}, ["yes", "1"], ["no"]),
        ({"type": "date", "enum": ["2024-01-01"]}, ["2024-1-1"], ["2024-01-02"]),
        ({"type": "uuid", "physicalType": "uuid", "enum": ["123E4567-E89B-12D3-A456-426614174000"]},
         ["123e4567-e89b-12d3-a456-426614174000"], ["223e4567-e89b-12d3-a456-426614174000"]),
        ({"pattern": "^[a-z]+@x$"}, ["a@x"], ["A@x", "a@xy", "@x"]),
        ({"pattern": "b"}, ["abc", "b"], ["ac"]),
    ],
    ids=str,
)  # fmt: skip
def test_bounds_lengths_patterns_and_lists(
    project: Project, field: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    rows = [v.replace('"', '""') for v in (*good, *bad)]
    assert [v for v, _ in broken(project, rows, **field)] == bad


@given(
    st.lists(st.decimals(-99, 99, places=2), min_size=1, max_size=12),
    st.decimals(-99, 99, places=2),
    st.decimals(-99, 99, places=2),
    st.booleans(),
    st.booleans(),
)
def test_bounds_of_decimals_are_those_of_arithmetic(
    project: Project, values: list[Decimal], low: Decimal, high: Decimal, above: bool, below: bool
) -> None:
    field = {
        "type": "decimal(4,2)",
        "minimum": str(low),
        "maximum": str(high),
        "exclusive_minimum": above,
        "exclusive_maximum": below,
    }
    wanted = []
    for value in values:
        if value >= high if below else value > high:
            wanted.append((str(value), "maximum"))
        if value <= low if above else value < low:
            wanted.append((str(value), "minimum"))
    assert broken(project, [str(v) for v in values], **field) == wanted


def test_a_bound_holds_for_a_default_too(project: Project) -> None:
    assert broken(project, ["5", ""], type="integer", default=1, minimum=3) == [("", "minimum")]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"type": "integer", "minimum": 0.5}, "'0.5' is no long"),
        ({"type": "integer", "maximum": 2**63}, "expected a whole number"),
        ({"type": "decimal(5,2)", "minimum": 0.005}, "'0.005' is no decimal(5,2)"),
        ({"type": "decimal(5,2)", "maximum": 1000}, "'1000' is no decimal(5,2)"),
        ({"type": "date", "minimum": "01/02/2024"}, "is no date"),
        ({"type": "integer", "enum": ["one"]}, "'one' is no long"),
        ({"type": "integer", "default": "none"}, "'none' is no long"),
        ({"type": "integer", "min_length": 2}, "min_length"),
        ({"type": "integer", "pattern": "^1"}, "pattern"),
        ({"pattern": "(?=a)"}, "pattern"),
        ({"pattern": "("}, "is no regular expression: unclosed group"),
    ],
    ids=str,
)
def test_a_rule_that_does_not_fit_its_column_is_a_mistake(
    project: Project, field: dict[str, Any], message: str
) -> None:
    with pytest.raises(DativoError) as caught:
        enforced(project, "id,x\n1,1\n", [{"name": "id"}, {"name": "x", **field}])
    assert isinstance(caught.value, ConfigError)
    assert message in caught.value.render()
    assert "people.yaml" in caught.value.render()


def test_allowed_words_that_yaml_takes_for_something_else_are_words(project: Project) -> None:
    project.asset([{"name": "x"}])
    path = project.root / "assets/people.yaml"
    path.write_text(path.read_text().replace("- name: x", "- name: x\n  enum: [yes, no, 1.10, 007]"))
    project.job(schema_validation_mode="quarantine")
    project.write("data/people.csv", "x\nyes\nno\n1.10\n007\ntrue\n1.1\n7\n")
    receipt = project.sync()
    assert (receipt.loaded, receipt.rejected) == (4, 3)
    assert sorted(project.rows()["x"]) == ["007", "1.10", "no", "yes"]
