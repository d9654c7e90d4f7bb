"""Treatments of personal data: what each leaves behind, what rejects and receipts show of it, and what keys become."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
from typing import Any

import polars as pl
import pytest

from dativo import Receipt, preview
from dativo.config.asset import Field
from dativo.errors import ConfigError
from dativo.pipeline.rejects import show_rejects
from dativo.privacy.mask import treated, treated_field
from tests.project import Project

KEY = "canary-7f3a-privacy-key-of-acme"
SECRET = "DATIVO_SECRET__ACME__PRIVACY_KEY"


@pytest.fixture(autouse=True)
def tenant_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, KEY)


FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "ssn", "type": "integer", "classification": "PII", "minimum": 1000},
    {"name": "mail", "physicalName": "E-Mail", "classification": "PII", "pattern": "@"},
]
# The header has spaces around the name, one record cannot be read, and one looks like JSON.
CONTENT = (
    'id, E-Mail ,ssn\n1,ann@example.com,471108150\n2,bob.example.com,12\n{"ssn": 815100471},canary\n'
    "x,eve@example.com,987001234\n"
    "4,dan@example.com,none-of-yours\n"
)
VALUES = ("ann@", "bob.", "eve@", "dan@", "471108150", "815100471", "987001234", "none-of-yours", "canary")


def run(project: Project, privacy: dict[str, Any], content: str = CONTENT, **more: Any) -> Receipt:
    project.asset(FIELDS)
    project.write("data/people.csv", content)
    project.job(schema_validation_mode="quarantine", privacy=privacy, **more)
    return project.sync()


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


# -- one treatment after the other -------------------------------------------------------------------------------------

KINDS: list[tuple[Field, list[Any], list[str | None]]] = [
    (Field(name="x", kind="string"), ["é", "", None], ["é", "", None]),
    (Field(name="x", kind="long"), [-5, None], ["-5", None]),
    (Field(name="x", kind="boolean"), [True, None], ["true", None]),
    (Field(name="x", kind="binary"), [b"\0\xff", None], ["00ff", None]),
    (
        Field(name="x", kind="list", item=Field(name="element", kind="binary")),
        [[b"\0"], [], None],
        ['["00"]', "[]", None],
    ),
    (Field(name="x", kind="struct", fields=(Field(name="k", kind="string"),)), [{"k": "v"}, None], ['{"k":"v"}', None]),
]


@pytest.mark.parametrize(("field", "values", "texts"), KINDS, ids=lambda p: getattr(p, "kind", ""))
def test_a_hash_is_of_the_values_text_and_null_stays_null(
    field: Field, values: list[Any], texts: list[str | None]
) -> None:
    from dativo.contract.dtypes import polars_type

    column = treated_field(field, "hash")
    assert column is not None and column.kind == "string"
    frame = pl.DataFrame({"x": pl.Series(values, dtype=polars_type(field))})
    expression = treated(field, pl.col("x"), "hash", KEY)
    assert expression is not None
    assert frame.select(expression).to_series().to_list() == [None if t is None else hashed(t) for t in texts]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("ann@example.com", "a***@example.com"), ("a@b@example.com", "a***m"), ("@example.com", "@***m"),
     ("call @ 555 0199", "c***9"), ("Anna", "A***a"),
     ("Ann", "***"), ("", "***"), (None, None), ("éàü€", "é***€")],
)  # fmt: skip
def test_a_part_of_a_text_is_little(text: str | None, shown: str | None) -> None:
    expression = treated(Field(name="x", kind="string"), pl.col("x"), "partial", None)
    assert expression is not None
    assert pl.DataFrame({"x": [text]}, schema={"x": pl.String}).select(expression)["x"].to_list() == [shown]


def test_each_treatment_in_the_warehouse(project: Project) -> None:
    receipt = run(project, {"warehouse": {"columns": {"ssn": "redact", "mail": "redact"}}})
    assert (receipt.loaded, receipt.rejected) == (1, 4)
    assert project.rows().rows() == [(1, None, "[redacted]")]
    project.catalog().drop_table("default.people")
    run(project, {"warehouse": {"columns": {"ssn": "hash", "mail": "partial"}}})
    assert project.rows().rows() == [(1, hashed("471108150"), "a***@example.com")]
    project.catalog().drop_table("default.people")
    run(project, {"warehouse": {"classes": {"PII": "drop"}}})
    assert project.rows().columns == ["id"]


def test_a_treatment_that_cannot_be_carried_out_is_refused_before_anything_is_read(project: Project) -> None:
    for treatment, message in (("tokenise", "not built yet"), ("partial", "keeps part of a text")):
        with pytest.raises(ConfigError) as caught:
            receipt = run(project, {"warehouse": {"columns": {"ssn": treatment}}})
            raise AssertionError(receipt)
        assert message in caught.value.render()
    assert not (project.root / ".local/warehouse").exists()


# -- what else is written ----------------------------------------------------------------------------------------------


def everything_written(project: Project) -> bytes:
    """All that a run left below the project, Parquet files as the text of their values; its input is left out."""
    parts = []
    for path in sorted(project.root.rglob("*")):
        if path.is_file() and "data" not in path.relative_to(project.root).parts[:1]:
            parts.append(path.read_bytes())
            if path.suffix == ".parquet":
                parts.append(json.dumps(pl.read_parquet(path).to_dicts(), default=str, ensure_ascii=False).encode())
    return b"\n".join(parts)


@pytest.mark.parametrize("treatment", ["hash", "redact", "drop"])
def test_values_that_the_warehouse_may_not_hold_get_there_no_other_way(project: Project, treatment: str) -> None:
    receipt = run(project, {"warehouse": {"default": treatment}})
    assert receipt.rejected == 4
    written = everything_written(project)
    assert b"ragged" in written
    for value in VALUES:
        assert value.encode() not in written, value
    kept = project.rejects().sort("row", "column", nulls_last=True)
    assert kept.select("row", "column", "rule", "value").rows() == [
        (2, "mail", "pattern", "[withheld]"),
        (2, "ssn", "minimum", "[withheld]"),
        (3, None, "ragged", "2 fields, expected 3"),
        (4, "id", "type_mismatch", "x"),
        (5, "ssn", "type_mismatch", "[withheld]"),
    ]
    assert kept["record"].to_list()[2] == "[withheld]"
    assert json.loads(kept["record"][3]) == {"id": "x", " E-Mail ": "[withheld]", "ssn": "[withheld]"}


def test_without_a_treatment_rejects_hold_the_values_and_receipts_a_part_of_them(project: Project) -> None:
    receipt = run(project, {})
    assert project.rejects().filter(pl.col("rule") == "pattern")["value"].to_list() == ["bob.example.com"]
    shown = {r.rule: r.value for r in receipt.streams[0].rules}
    assert shown["pattern"] == "b***m"
    assert shown["minimum"] == "***"
    assert shown["ragged"] == "2 fields, expected 3"


@pytest.mark.parametrize("treatment", ["redact", "hash", "drop"])
def test_what_previews_do_not_show_receipts_and_rejects_do_not_show_either(project: Project, treatment: str) -> None:
    receipt = run(project, {"preview": {"default": treatment}})
    shown = {r.rule: r.value for r in receipt.streams[0].rules if r.column in ("mail", "ssn")}
    assert set(shown.values()) == {"[redacted]"}
    text = repr(preview(project.load(), rows=10).rejects.to_dicts()) + repr(show_rejects(project.load()).to_dicts())
    assert "[redacted]" in text
    for value in VALUES:
        assert value not in text, value


def test_the_tenants_key_is_written_nowhere(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # The run's own folder is kept for the test, so that what is gone at the end is looked at too.
    kept: list[str] = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: kept.append(str(path)))
    for number in range(2):
        run(
            project,
            {"warehouse": {"default": "hash"}},
            CONTENT + "9,zoe@example.com,5000\n" * (number + 1),
            target={"write_mode": "append"},
        )
    monkeypatch.undo()
    assert kept
    written = everything_written(project)
    assert hashed("471108150").encode() in written
    raw = KEY.encode()
    for form in (
        raw,
        raw.hex().encode(),
        raw.hex().upper().encode(),
        base64.b64encode(raw)[:-4],
        hashlib.sha256(raw).hexdigest().encode(),
    ):
        assert form not in written


# -- keys --------------------------------------------------------------------------------------------------------------


def keyed(project: Project, treatment: str, rows: list[tuple[str, str]]) -> Receipt:
    fields = [{"name": "mail", "primary_key": True, "classification": "PII"}, {"name": "day", "type": "date"}]
    project.asset(fields)
    path = project.write("data/people.csv", "mail,day\n" + "".join(f"{m},{d}\n" for m, d in rows))
    when = 1_700_000_000 + len(rows)
    os.utime(path, (when, when))
    incremental = {"strategy": "file_modified_time", "cursor_field": "day"}
    source = {"files": [{"path": "data/people.csv"}], "incremental": incremental}
    project.job(source=source, target={"write_mode": "append"}, privacy={"warehouse": {"columns": {"mail": treatment}}})
    return project.sync()


PEOPLE = [("ann@x", "2024-01-01"), ("bob@x", "2024-01-01"), ("ann@x", "2024-01-02")]


def test_a_hashed_key_is_a_key(project: Project) -> None:
    assert keyed(project, "hash", PEOPLE).loaded == 3
    second = keyed(project, "hash", [*PEOPLE, ("ann@x", "2024-01-02"), ("eve@x", "2024-01-01")]).streams[0]
    assert (second.loaded, second.deduplicated) == (1, 4)


@pytest.mark.parametrize("treatment", ["redact", "partial", "drop"])
def test_a_key_that_a_treatment_blurs_never_makes_one_row_of_two_people(project: Project, treatment: str) -> None:
    assert keyed(project, treatment, PEOPLE).loaded == 3
    second = keyed(project, treatment, [*PEOPLE, ("abe@x", "2024-01-01")]).streams[0]
    assert (second.loaded, second.deduplicated) == (1, 3)
    assert project.rows().height == 4
