"""Drafts of contracts: each is a valid contract that says what the source says, whatever its names and comments are."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dativo.config.asset import Asset, Field, read_asset
from dativo.config.documents import parse
from dativo.config.problems import Problems
from dativo.pipeline.draft import Draft, draft, slug, written
from dativo.sources.discovery import FoundColumn, FoundStream


def column(name: str, kind: Any = "string", **more: Any) -> FoundColumn:
    field = more.pop("field", None) or Field(name=name, kind=kind)
    return FoundColumn(name=name, native=more.pop("native", kind), field=field, **more)


def made(*columns: FoundColumn, samples: dict[str, list[str]] | None = None, **more: Any) -> tuple[Draft, Asset]:
    stream = FoundStream(**{"object": "orders", "name": "public.orders", "kind": "table", "columns": columns, **more})
    found = draft("postgres", stream, samples or {})
    return found, contract(found.text)


def contract(text: str) -> Asset:
    problems = Problems()
    asset = read_asset(parse(text, "draft.yaml"), problems)
    assert asset is not None, "\n".join(p.render() for p in problems.found)
    assert {p.code for p in problems.found} <= {"governance_incomplete"}, problems.found
    return asset


NESTED = Field(
    name="lines",
    kind="list",
    item=Field(name="element", kind="struct", fields=(Field(name="sku", kind="string"), Field(name="n", kind="long"))),
)
WHOLE = Field(name="element", kind="long")
PLACE = (Field(name="lat", kind="double"), Field(name="at", kind="timestamptz"))
TYPES = [
    ("id", Field(name="id", kind="long")),
    ("total", Field(name="total", kind="decimal", precision=12, scale=2)),
    ("rate", Field(name="rate", kind="double")),
    ("paid", Field(name="paid", kind="boolean")),
    ("day", Field(name="day", kind="date")),
    ("at", Field(name="at", kind="time")),
    ("seen", Field(name="seen", kind="timestamp")),
    ("changed", Field(name="changed", kind="timestamptz")),
    ("token", Field(name="token", kind="uuid")),
    ("raw", Field(name="raw", kind="binary")),
    ("payload", Field(name="payload", kind="json")),
    ("tags", Field(name="tags", kind="list", item=Field(name="element", kind="string"))),
    ("matrix", Field(name="matrix", kind="list", item=Field(name="element", kind="list", item=WHOLE))),
    ("place", Field(name="place", kind="struct", fields=PLACE)),
    ("lines", NESTED),
    ("code", Field(name="code", kind="string", max_length=3)),
]  # fmt: skip


def test_every_type_comes_back_as_it_was_found() -> None:
    _, asset = made(*(column(name, field=field) for name, field in TYPES))
    assert [(f.name, f.type_text()) for f in asset.fields] == [(n, f.type_text()) for n, f in TYPES]
    assert asset.fields[-1].max_length == 3


def test_keys_nulls_and_comments_become_rules_and_descriptions() -> None:
    found, asset = made(
        column("id", "long", nullable=False),
        column("email", nullable=False, comment="where invoices go"),
        column("note", comment='a "quoted" # comment: with\nlines, \\ and 🦊'),
        key=("id",),
        unique=(("id",), ("email",), ("email", "note")),
        cursors=("id",),
        comment="Orders of the shop",
    )
    one, email, note = asset.fields
    assert (one.primary_key, one.required, one.unique) == (True, True, False)
    assert (email.primary_key, email.required, email.unique) == (False, True, True)
    assert (note.required, note.unique, note.description) == (
        False,
        False,
        'a "quoted" # comment: with\nlines, \\ and 🦊',
    )
    assert (asset.name, asset.object, asset.version, asset.status, asset.source_type) == (
        "orders", "orders", "1.0", "draft", "postgres",
    )  # fmt: skip
    assert asset.description == "Purpose: Orders of the shop"
    assert "incremental.cursor_field` of the job): id" in found.text


def test_what_a_column_holds_is_guessed_by_name_and_values_and_marked_as_a_guess() -> None:
    found, asset = made(
        column("email"),
        column("contact"),
        column("total", "decimal", field=Field(name="total", kind="decimal", precision=9, scale=2)),
        samples={"contact": ["a@b.example", "c@d.example", "e@f.example"]},
    )
    assert [f.classification for f in asset.fields] == ["PII", "PII", None]
    assert {c: g.reason for c, g in found.guesses.items()} == {"email": "its name", "contact": "3 of 3 values"}
    assert "classification: PII  # a guess: email, by 3 of 3 values" in found.text
    tags = [entry.get("tags") for entry in yaml.safe_load(found.text)["schema"]]
    assert tags == [["classification-guessed"], ["classification-guessed"], None]
    assert "# Classes are guesses where the tag classification-guessed stands" in found.text
    assert "a@b.example" not in found.text


def test_a_draft_without_a_guess_says_nothing_of_guesses() -> None:
    found, _ = made(column("total"))
    assert found.guesses == {} and "guess" not in found.text


def test_a_column_that_no_type_holds_says_so() -> None:
    found, _ = made(column("big", native="numeric(1000,5)", lossless=False))
    assert "type: string  # numeric(1000,5), read as text" in found.text


ODD = [
    "first name",
    "Straße",
    "1st",
    "a.b",
    "a-b",
    "a b",
    "ID",
    "id",
    "Id",
    "🦊",
    "x" * 63,
    "yes",
    "null",
    'q"uote',
    "tab\tbed",
    " pad ",
]


def test_columns_of_odd_names_get_names_of_their_own_and_keep_their_sources() -> None:
    _, asset = made(*map(column, ODD))
    assert [f.source_name for f in asset.fields] == ODD
    names = [f.name for f in asset.fields]
    assert names == [
        "first_name", "Straße", "c_1st", "a_b", "a_b_2", "a_b_3", "ID", "id_2", "Id_3", "c_", "x" * 63, "yes", "null",
        "q_uote", "tab_bed", "pad",
    ]  # fmt: skip
    assert len({n.casefold() for n in names}) == len(names)


def test_columns_that_cannot_be_are_left_out_and_named() -> None:
    found, asset = made(column("id"), column("__dativo_row"), column("^x$"))
    assert [f.name for f in asset.fields] == ["id"]
    assert found.left_out == ("__dativo_row", "^x$")
    assert found.text.count("# left out, for no column can be called so") == 2


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("orders", "orders"),
        ("Order Lines", "order_lines"),
        ("bestellungen-2024", "bestellungen_2024"),
        ("日本", "日本"),
    ],
)
def test_a_tables_name_becomes_one_that_files_and_tables_can_have(name: str, wanted: str) -> None:
    assert slug(name) == wanted


def test_a_name_of_nothing_but_signs_gets_one() -> None:
    assert slug("🦊") == "stream_1f98a" and slug("--") == "stream_2d_2d"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "yes",
        "NO",
        "null",
        "1.0",
        "a: b",
        "# x",
        "- x",
        "{a}",
        "",
        " x ",
        'a"b\\c',
        "\x00\x7f\x85\u2028\ufeff",
        "🦊",
        "é",
    ],
)
def test_a_text_is_the_same_to_yaml(text: str) -> None:
    assert yaml.safe_load(f"v: {written(text)}") == {"v": text}


def test_no_name_and_no_comment_writes_anything_else_into_the_contract() -> None:
    evil = 'x\n    primary_key: true\n  - name: injected"'
    found, asset = made(column(evil, native=evil, comment=evil), comment=evil, name=evil, object="o", cursors=(evil,))
    assert len(asset.fields) == 1
    assert (asset.fields[0].source_name, asset.fields[0].primary_key, asset.fields[0].description) == (
        evil,
        False,
        evil,
    )
    assert found.columns == 1
