"""Personal data: stored as it is unless a privacy block says otherwise, masked where a person looks, withheld in rejects."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from dativo import preview
from dativo.errors import UnsupportedError
from tests.project import Project

KEY = "a-key-of-the-tenant"
FIELDS = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "email", "classification": "PII"},
    {"name": "phone", "classification": "PII"},
    {"name": "city"},
]
CONTENT = (
    "id,email,phone,city\n1,ann@example.com,+49 30 12345,Rome\n2,bob@example.com,,Oslo\nx,eve@example.com,+1 5,Bern\n"
)


def people(project: Project, warehouse: dict[str, Any] | None = None) -> Project:
    project.asset(FIELDS)
    project.write("data/people.csv", CONTENT)
    privacy = {} if warehouse is None else {"privacy": {"warehouse": warehouse}}
    project.job(schema_validation_mode="quarantine", max_rejects=1, **privacy)
    return project


def stored(project: Project, warehouse: dict[str, Any] | None = None) -> dict[str, list[Any]]:
    assert people(project, warehouse).sync().exit_code == 0
    found: dict[str, list[Any]] = project.rows().to_dict(as_series=False)
    return found


def test_nothing_is_masked_in_the_warehouse_by_surprise(project: Project) -> None:
    assert stored(project)["email"] == ["ann@example.com", "bob@example.com"]


def test_columns_are_tagged_in_properties_and_comments(project: Project) -> None:
    stored(project)
    table = project.table()
    assert table.properties["classification.fields.email"] == "pii"
    assert table.schema().find_field("email").doc == "[PII]"


def test_a_hash_is_an_hmac_under_the_tenants_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATIVO_SECRET__ACME__PRIVACY_KEY", KEY)
    found = stored(project, {"columns": {"email": "hash", "phone": "hash"}})
    want = [
        hmac.new(KEY.encode(), t.encode(), hashlib.sha256).hexdigest() for t in ("ann@example.com", "bob@example.com")
    ]
    assert found["email"] == want
    assert found["phone"][1] is None


def test_hashing_without_a_key_is_refused_before_anything_is_written(project: Project) -> None:
    receipt = people(project, {"columns": {"email": "hash"}}).sync
    try:
        error = receipt().streams[0].error
    except UnsupportedError as raised:
        error = raised.render()
    assert "DATIVO_SECRET__ACME__PRIVACY_KEY" in error
    assert not list((project.root / ".local").rglob("*.parquet"))


def test_redacted_partial_and_dropped_columns(project: Project) -> None:
    found = stored(project, {"columns": {"email": "partial", "phone": "redact"}})
    assert found["email"] == ["a***@example.com", "b***@example.com"]
    assert found["phone"] == ["[redacted]", None]


def test_a_dropped_column_is_not_in_the_table(project: Project) -> None:
    assert list(stored(project, {"columns": {"email": "drop"}})) == ["id", "phone", "city"]


def test_a_class_is_treated_as_a_whole(project: Project) -> None:
    assert list(stored(project, {"classes": {"PII": "drop"}})) == ["id", "city"]


def test_what_the_warehouse_may_not_hold_is_in_no_file_of_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATIVO_SECRET__ACME__PRIVACY_KEY", KEY)
    stored(project, {"columns": {"email": "hash", "phone": "drop"}})
    assert "withheld" in project.rejects()["record"][0]
    for path in Path(project.root / ".local").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"eve@example" not in content and b"ann@example" not in content, path
        assert KEY.encode() not in content, path


def test_previews_mask_and_show_when_asked(project: Project) -> None:
    job = people(project).load()
    assert preview(job).rows["email"].to_list() == ["a***@example.com", "b***@example.com"]
    assert preview(job).masked == ("email", "phone")
    assert "eve@example.com" not in str(preview(job).rejects.to_dicts())
    assert preview(job, show_pii=True).rows["email"].to_list() == ["ann@example.com", "bob@example.com"]


def test_examples_in_receipts_are_masked(project: Project) -> None:
    project.asset([FIELDS[0], {**FIELDS[1], "pattern": "^never$"}, *FIELDS[2:]])
    project.write("data/people.csv", CONTENT)
    project.job(schema_validation_mode="quarantine", max_rejects="100%")
    text = str(project.sync())
    assert "a***@example.com" in text and "ann@example.com" not in text
