"""The library as a program meets it: what is public, what importing it costs, what it gives."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dativo
from dativo import ConfigError, DativoError, Preview, Receipt, ResolvedJob, StreamReceipt, load_job, plan, preview, sync
from dativo.errors import ContractError, SourceError, StateError, UnsupportedError
from dativo.receipt import RuleCount, as_builtins, receipt_from_json, stream_from_json, to_json
from tests.project import Project

CLI = Path(dativo.__file__).parent / "cli"
# What the command line needs besides the public names: error values, and the listeners that only it shows.
ALLOWED = {
    "dativo.errors",
    "dativo.observe.listener",
    "dativo.observe.logs",
    "dativo.observe.progress",
    "dativo.observe.redact",
    "dativo.receipt",
}


@pytest.fixture
def job(project: Project) -> ResolvedJob:
    project.asset(
        [
            {"name": "id", "type": "integer", "required": True, "primary_key": True},
            {"name": "email", "type": "string", "classification": "PII"},
        ]
    )
    project.write("data/people.csv", "id,email\n1,ada@example.com\n1,ada@example.com\nx,y@example.com\n")
    project.job(schema_validation_mode="quarantine")
    return project.load()


# -- names -------------------------------------------------------------------------------------------------------------


def test_every_public_name_is_there_documented_and_typed() -> None:
    for name in dativo.__all__:
        found = getattr(dativo, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(found), name
        if inspect.isfunction(found):
            assert set(inspect.signature(found).parameters) | {"return"} == set(inspect.get_annotations(found)), name


def test_the_names_are_those_of_the_lazy_table_and_of_the_types() -> None:
    assert sorted(dativo.__all__) == dativo.__all__
    assert set(dativo._WHERE) | {"__version__"} == set(dativo.__all__)
    tree = ast.parse(Path(dativo.__file__).read_text())
    typed = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert set(dativo.__all__) - {"__version__"} <= typed


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'dativo' has no attribute 'nothing'"):
        _ = dativo.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import dativo", ["polars", "typer", "pyarrow", "pyiceberg", "duckdb", "msgspec", "yaml", "rich"]),
        ("from dativo import load_job, find_jobs, validate, DativoError", ["polars", "typer", "pyarrow", "pyiceberg"]),
        ("from dativo import sync, plan, preview, export, show_table", ["typer", "rich", "duckdb", "pyiceberg"]),
    ],
)  # fmt: skip
def test_importing_costs_no_more_than_what_is_used(program: str, absent: list[str]) -> None:
    check = f"{program}\nimport sys\nprint([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_uses_public_names_only() -> None:
    """Whatever the command line can do, a program can do too."""
    seen = set()
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}: {ast.unparse(node)}"
                names = [node.module or ""]
                if node.module == "dativo":
                    assert {a.name for a in node.names} <= set(dativo.__all__), f"{path.name}: {ast.unparse(node)}"
            for name in names:
                if name.split(".")[0] == "dativo" and name != "dativo" and not name.startswith("dativo.cli"):
                    assert name in ALLOWED, f"{path.name} imports {name}"
                    seen.add(name)
    assert seen == ALLOWED


# -- what the functions give -------------------------------------------------------------------------------------------


def test_a_job_is_loaded_looked_at_and_synced(job: ResolvedJob, project: Project) -> None:
    assert isinstance(job, ResolvedJob) and (job.name, job.tenant_id) == ("job", "acme")
    lazy = plan(job)
    assert isinstance(lazy, pl.LazyFrame) and lazy.collect_schema() == {"id": pl.Int64, "email": pl.String}
    assert lazy.collect()["id"].to_list() == [1, 1]
    seen = preview(job)
    assert isinstance(seen, Preview) and (seen.read, seen.rejected, seen.masked) == (3, 1, ("email",))
    assert not (project.root / ".local").exists()
    receipt = sync(job)
    assert isinstance(receipt, Receipt) and receipt.exit_code == 1
    assert (receipt.extracted, receipt.loaded, receipt.rejected) == (3, 1, 1)
    stream = receipt.streams[0]
    assert isinstance(stream, StreamReceipt) and stream.deduplicated == 1
    assert stream.snapshot_id == project.table().current_snapshot().snapshot_id


def test_a_plan_is_treated_for_its_purpose(job: ResolvedJob) -> None:
    assert plan(job, purpose="llm").collect()["email"].to_list() == ["[redacted]"] * 2
    assert plan(job, purpose="preview").collect()["email"].to_list() == ["a***@example.com"] * 2


def test_a_plan_is_the_user_s_to_go_on_with(job: ResolvedJob, project: Project) -> None:
    found = (
        plan(job).filter(pl.col("email").str.ends_with("example.com")).group_by("id").len().collect(engine="streaming")
    )
    assert found.to_dicts() == [{"id": 1, "len": 2}]


def test_the_lines_of_a_preview_are_text(job: ResolvedJob) -> None:
    seen = preview(job, rows=1)
    assert seen.lines("jsonl") == ['{"id":1,"email":"a***@example.com"}']
    assert seen.lines("csv") == ["id,email\n1,a***@example.com"]
    assert seen.lines("markdown-kv")[0].startswith('---\ndoc_id: "1"\n')


def test_errors_have_message_place_and_remedy(project: Project) -> None:
    with pytest.raises(ConfigError) as caught:
        load_job("jobs/nowhere.yaml")
    assert isinstance(caught.value, DativoError) and caught.value.exit_code == 2
    assert caught.value.problems()[0].severity == "error"
    project.asset([{"name": "id", "type": "integer"}])
    project.job(target={"publish": "branch"})
    for function in (sync, plan, preview):
        with pytest.raises(UnsupportedError) as refused:
            function(project.load())
        assert refused.value.hint and refused.value.mark is not None and "jobs/acme/job.yaml" in refused.value.mark.file
    project.job()
    with pytest.raises(SourceError, match="no stream"):
        sync(project.load(), streams=["nothing"])
    receipt = sync(project.load())  # what goes wrong with a stream stands in the receipt
    assert receipt.status == "failed" and "file not found" in receipt.streams[0].error


# -- receipts ----------------------------------------------------------------------------------------------------------

COUNT = st.integers(0, 2**53)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RULES = st.builds(RuleCount, column=TEXT, rule=TEXT, count=COUNT, file=TEXT, row=COUNT, value=st.none() | TEXT)
STREAMS = st.builds(
    StreamReceipt, stream=TEXT, table=TEXT,
    status=st.sampled_from(["loaded", "unchanged", "refused", "failed", "interrupted"]),
    extracted=COUNT, loaded=COUNT, rejected=COUNT, deduplicated=COUNT, violations=COUNT, bytes=COUNT, error=TEXT,
    rules=st.lists(RULES, max_size=3).map(tuple), snapshot_id=st.none() | st.integers(0, 2**63 - 1),
    warnings=st.lists(TEXT, max_size=2).map(tuple),
)  # fmt: skip
RECEIPTS = st.builds(
    Receipt, run_id=TEXT, job=TEXT, tenant_id=TEXT, status=st.just("loaded"), exit_code=st.integers(0, 2), started_at=TEXT,
    seconds=st.floats(0, 1e9), peak_memory=COUNT, streams=st.lists(STREAMS, max_size=3).map(tuple),
)  # fmt: skip


@given(RECEIPTS)
def test_a_receipt_survives_json_in_both_forms(receipt: Receipt) -> None:
    assert receipt_from_json(to_json(receipt)) == receipt
    assert receipt_from_json(json.dumps(as_builtins(receipt))) == receipt
    for stream in receipt.streams:
        assert stream_from_json(to_json(stream)) == stream


@given(STREAMS)
def test_counts_that_do_not_add_up_are_refused(stream: StreamReceipt) -> None:
    total = stream.loaded + stream.rejected + stream.deduplicated
    msgspec.structs.replace(stream, extracted=total).check_balance()
    with pytest.raises(ContractError, match="the counts do not balance"):
        msgspec.structs.replace(stream, extracted=total + 1).check_balance()


def test_the_receipt_with_every_field_is_what_json_shows(job: ResolvedJob) -> None:
    found: dict[str, Any] = as_builtins(sync(job))
    assert set(found) == set(Receipt.__struct_fields__)
    assert set(found["streams"][0]) == set(StreamReceipt.__struct_fields__)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"version": 1}', "\x00", '{"run_id": 5}'])
def test_a_damaged_receipt_is_a_state_error(text: str) -> None:
    with pytest.raises(StateError, match="a stored receipt cannot be read"):
        receipt_from_json(text)
    with pytest.raises(StateError, match="a stored receipt cannot be read"):
        stream_from_json(text)


def test_a_receipt_of_a_newer_version_is_refused() -> None:
    receipt = Receipt(run_id="r", job="j", tenant_id="t", status="loaded", exit_code=0, started_at="", seconds=0)
    newer = json.dumps({**as_builtins(receipt), "version": 2, "something": "new"})
    with pytest.raises(StateError, match="has version 2, this program knows 1"):
        receipt_from_json(newer)


def test_each_run_keeps_its_receipt(job: ResolvedJob, project: Project) -> None:
    receipt = sync(job)
    kept = project.root / f".local/state/acme/runs/job/{receipt.run_id}.json"
    assert receipt_from_json(kept.read_text()) == receipt
    assert os.stat(kept).st_mode & 0o077 == 0
