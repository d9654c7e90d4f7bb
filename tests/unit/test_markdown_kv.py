"""Markdown-KV documents, read back by a parser that knows the grammar and nothing of the writer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dativo.config.asset import Asset
from dativo.config.column_names import usable
from dativo.config.field import Field
from dativo.render.markdown_kv import document

# -- an independent reader ---------------------------------------------------------------------------------------------

_PAIR = re.compile(r"^([^:]+)::\s*(.*)$", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} ")


@dataclass
class Document:
    front: dict[str, Any]
    pairs: dict[str, str]


def documents(text: str) -> list[Document]:
    """The documents of a file: one begins at a `---` line that an identity follows, at the start or after a blank line."""
    lines = text.split("\n")
    starts = [
        i
        for i, line in enumerate(lines)
        if line == "---"
        and re.match(r"(doc_id|id):", lines[i + 1] if i + 1 < len(lines) else "")
        and (i == 0 or lines[i - 1] == "")
    ]
    assert starts[:1] == [0], "a file begins with front matter"
    ends = [*starts[1:], len(lines)]
    return [parse("\n".join(lines[a:b])) for a, b in zip(starts, ends, strict=True)]


def parse(text: str) -> Document:
    """Front matter, then pairs; the dialect's own rules hold where the front matter says `markdown_kv: 1`."""
    lines = text.split("\n")
    assert lines[0] == "---"
    end = lines.index("---", 1)
    front = yaml.safe_load("\n".join(lines[1:end]))
    assert front["markdown_kv"] == 1
    pairs: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines[end + 1 :]:
        match = _PAIR.match(line)
        if match is not None and not _HEADING.match(line):
            key = unquote(match[1].strip())
            assert key not in pairs, f"'{key}' stands twice"
            current = pairs[key] = [match[2]]
        elif line == "" or line[0] in " \t":
            if current is not None:
                current.append(line.removeprefix("  "))
        else:
            current = None
    return Document(front, {k: _value("\n".join(v)) for k, v in pairs.items()})


def _value(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith('"'):
        decoded = json.loads(stripped)
        assert isinstance(decoded, str)
        return decoded
    return stripped


# -- rendering ---------------------------------------------------------------------------------------------------------


def contract(fields: list[Field]) -> Asset:
    nothing: dict[str, Any] = dict.fromkeys(Asset.__struct_fields__)
    return Asset(**{**nothing, "name": "things", "version": "1", "fields": tuple(fields)})


def render(rows: list[dict[str, Any]], fields: list[Field], schema: dict[str, Any]) -> str:
    asset = contract(fields)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return "\n\n".join(frame.select(document(fields, asset)).to_series()) + "\n"


TEXT = st.text(
    st.one_of(
        st.sampled_from(list("\n\n\n  \t:#-*\"\\'`{}[],.ab0%&|>!?@")),
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            [chr(i) for i in range(0xA0)] + ["\u2028", "\u2029", "\ufeff", "\u202e", "\uffff", "\xa0", "\u3000"]
        ),
    ),
    max_size=40,
)


@given(TEXT, TEXT)
@example("", " ")
@example("a:: b", "a\nb:: c")
@example("---", "\n---\ndoc_id: x\n---\n")
@example("x\n---\n\n---\ndoc_id: 1", '"quoted"')
@example("a\n\nb", "a\n  b\n\tc")
@example("- a:: b", "**a**:: b")
@example("# heading", "a\n# heading\nb")
@example("::", ":")
@example("null", "true")
@example("{}", "[1, 2]")
@example("a ", "\u3000a")
@example("a \nb ", "\u2028")
@example('"', '"a" b')
@example("\x85\x9b\x7f", "\r\n")
def test_any_text_survives(first: str, second: str) -> None:
    fields = [Field(name="id", kind="long"), Field(name="first", kind="string"), Field(name="second", kind="string")]
    schema = {"id": pl.Int64, "first": pl.String, "second": pl.String}
    rows = [{"id": 1, "first": first, "second": second}, {"id": 2, "first": second, "second": None}]
    found = documents(render(rows, fields, schema))
    assert [d.front["id"] for d in found] == [1, 2]
    assert found[0].pairs == {"first": first, "second": second}
    assert found[1].pairs == {"first": second}


@given(TEXT)
@example("2024-01-01")
@example("yes")
@example("\x9b: {")
def test_any_text_survives_as_an_identity_and_a_title(text: str) -> None:
    fields = [Field(name="doc_id", kind="string"), Field(name="title", kind="string")]
    found = documents(render([{"doc_id": text, "title": text}], fields, {"doc_id": pl.String, "title": pl.String}))
    assert [d.front for d in found] == [{"doc_id": text, "title": text, "markdown_kv": 1}]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda n: n != "id" and usable(n))
)
@example("a:b")
@example("# a")
@example("- a")
@example("**a**")
@example(" a ")
@example("100%")
@example("%41")
@example("a\nb")
@example("\x85")
def test_any_name_of_a_column_survives(name: str) -> None:
    if name in ("title", "doc_id"):
        return
    fields = [Field(name="id", kind="long"), Field(name=name, kind="string")]
    found = documents(render([{"id": 1, name: "x"}], fields, {"id": pl.Int64, name: pl.String}))
    assert [d.pairs for d in found] == [{name: "x"}]


def test_values_of_every_kind_are_exact_text() -> None:
    fields = [
        Field(name="id", kind="long"),
        Field(name="amount", kind="decimal", precision=20, scale=4),
        Field(name="ratio", kind="double"),
        Field(name="on", kind="date"),
        Field(name="at", kind="timestamp"),
        Field(name="zoned", kind="timestamptz"),
        Field(name="clock", kind="time"),
        Field(name="raw", kind="binary"),
        Field(name="yes", kind="boolean"),
        Field(name="items", kind="list", item=Field(name="element", kind="decimal", precision=5, scale=2)),
        Field(name="inner", kind="struct", fields=(Field(name="a", kind="string"), Field(name="at", kind="timestamp"))),
    ]
    schema = {
        "id": pl.Int64, "amount": pl.Decimal(20, 4), "ratio": pl.Float64, "on": pl.Date, "at": pl.Datetime("us"),
        "zoned": pl.Datetime("us", "UTC"), "clock": pl.Time, "raw": pl.Binary, "yes": pl.Boolean,
        "items": pl.List(pl.Decimal(5, 2)), "inner": pl.Struct({"a": pl.String, "at": pl.Datetime("us")}),
    }  # fmt: skip
    row = {
        "id": 9_007_199_254_740_993, "amount": Decimal("12345678901234.5000"), "ratio": 0.1 + 0.2, "on": date(1, 1, 1),
        "at": datetime(2024, 5, 6, 7, 8, 9, 10), "zoned": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        "clock": time(23, 59, 59, 500_000), "raw": b"\x00\xff", "yes": True, "items": [Decimal("1.50"), None],
        "inner": {"a": 'x"\n', "at": datetime(2024, 1, 1)},
    }  # fmt: skip
    empty = dict.fromkeys(row) | {"id": 1}
    first, second = documents(render([row, empty], fields, schema))
    assert second.pairs == {}
    nested = {k: first.pairs.pop(k) for k in ("items", "inner")}
    assert json.loads(nested["items"]) == ["1.50", None]
    assert json.loads(nested["inner"]) == {"a": 'x"\n', "at": "2024-01-01T00:00:00"}
    assert first.pairs == {
        "amount": "12345678901234.5000", "ratio": "0.30000000000000004", "on": "0001-01-01",
        "at": "2024-05-06T07:08:09.000010", "zoned": "9999-12-31T23:59:59+00:00", "clock": "23:59:59.500",
        "raw": "00ff", "yes": "true",
    }  # fmt: skip
    assert first.front["id"] == 9_007_199_254_740_993


@pytest.mark.parametrize(
    ("names", "key", "required", "expected"),
    [
        (["doc_id", "id", "code"], ("code",), None, "of doc_id"),
        (["id", "code"], ("code",), None, "of code"),
        (["code", "b"], ("code", "b"), None, "of code-of b"),
        (["id", "customerid"], (), None, "of customerid"),
        (["id", "code"], (), "code", "of id"),
        (["a", "code"], (), "code", "of code"),
    ],
)
def test_a_document_is_called_by_the_first_identity_that_there_is(
    names: list[str], key: tuple[str, ...], required: str | None, expected: str
) -> None:
    fields = [Field(name=n, kind="string", required=n == required, primary_key=n in key) for n in names]
    text = render([{n: f"of {n}" for n in names}], fields, dict.fromkeys(names, pl.String))
    assert documents(text)[0].front["doc_id"] == expected


def test_a_row_without_an_identity_is_called_by_its_content() -> None:
    fields = [Field(name="a", kind="string"), Field(name="b", kind="long")]
    rows = [{"a": "x", "b": 1}, {"a": "x", "b": 2}, {"a": "x", "b": 1}]
    first, second, third = documents(render(rows, fields, {"a": pl.String, "b": pl.Int64}))
    assert first.front["doc_id"] == third.front["doc_id"] != second.front["doc_id"]


def test_the_parser_here_reads_what_people_write() -> None:
    text = "---\nid: 7\nmarkdown_kv: 1\n---\n\nname:: Ada\n  and Charles\n\n  too\nother text\nborn::1815\n"
    found = documents(text)[0]
    assert found.front["id"] == 7
    assert found.pairs == {"name": "Ada\nand Charles\n\ntoo", "born": "1815"}
