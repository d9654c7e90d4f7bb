"""`dativo validate`: every mistake of every file at once, and what is valid but not built yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dativo import validate
from tests.cli.conftest import FIELDS, Dativo, people
from tests.project import RECIPES, Project

MISTAKES = {
    "jobs/acme/typo.yaml": ("tenant_id: acme\nsorce: {}\n", "sorce"),
    "jobs/acme/syntax.yaml": ("tenant_id: [acme\n", "syntax.yaml"),
    "assets/wrong.yaml": (
        "name: wrong\nversion: '1'\nteam: {owner: a@b.c}\nschema:\n  - {name: x, type: intger}\n",
        "intger",
    ),
    "connectors/sources/odd.yaml": ("name: odd\ntype: 5\nroles: [sideways]\n", "sideways"),
    "configs/runner.yaml": ("runner: {mode: sometimes}\n", "sometimes"),
    "configs/policy.yaml": ("policy: {retention_days: never}\n", "never"),
    "registry/connectors.yaml": ("connectors: {csv: {roles: [sideways]}}\n", "sideways"),
    "jobs/acme/latin.yaml": (b"tenant_id: caf\xe9\n", "latin.yaml"),
}


def mistakes(project: Project) -> None:
    for path, (content, _) in MISTAKES.items():
        project.write(path, content)


def test_a_project_without_mistakes_is_said_to_have_none(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("validate")
    assert answer.out == "1 job, 1 asset: no mistakes\n" and answer.err == ""
    found = dativo("validate", "--json").json()
    assert found == {
        "version": 1, "ok": True, "errors": 0, "warnings": 0, "files": {"job": 1, "asset": 1}, "problems": [],
    }  # fmt: skip


def test_the_mistakes_of_every_kind_of_file_are_told_at_once(project: Project, dativo: Dativo) -> None:
    mistakes(project)
    answer = dativo("validate", code=2)
    found = dativo("validate", "--json", code=2).json()
    assert found["ok"] is False and found["errors"] >= len(MISTAKES)
    for path, (_, word) in MISTAKES.items():
        told = [p for p in found["problems"] if p["file"] == path]
        assert told and any(word in f"{p['message']} {p['field']} {p['hint']} {p['file']}" for p in told), path
        assert path in answer.out
    assert answer.err == "" and re.search(r"\d+ errors, \d+ warnings?\n$", answer.out)


def test_only_what_is_named_is_looked_at(project: Project, dativo: Dativo) -> None:
    mistakes(project)
    found = dativo("validate", "assets", "configs/runner.yaml", "--json", code=2).json()
    assert {p["file"] for p in found["problems"]} == {"assets/wrong.yaml", "configs/runner.yaml"}
    assert found["files"] == {"asset": 1, "runner": 1}


def test_a_place_in_a_file_is_line_and_column(project: Project, dativo: Dativo) -> None:
    people(project)
    project.write("jobs/acme/people.yaml", "tenant_id: acme\nsource_connector_path: connectors/sources/csv.yaml\n"
                  "target_connector_path: connectors/targets/iceberg.yaml\nasset_path: assets/people.yaml\n"
                  "source:\n  files: [{path: data/people.csv}]\ntarget: {partitioning: [nmae]}\n")  # fmt: skip
    answer = dativo("validate", code=2)
    assert "jobs/acme/people.yaml:7:25" in answer.out and "did you mean 'name'" in answer.out


def test_annotations_for_github_name_file_line_and_column(project: Project, dativo: Dativo) -> None:
    project.write("assets/odd, name:1.yaml", MISTAKES["assets/wrong.yaml"][0])
    people(project, retry_config={"max_retries": 1}, target={"publish": "branch"})
    lines = dativo("validate", "--format", "github", code=2).lines
    form = re.compile(r"::(error|warning)( file=[^:,]+,line=\d+,col=\d+)?::(.+)")
    found = [form.fullmatch(line) for line in lines]
    assert all(found), lines
    errors = [m for m in found if m is not None and m[1] == "error"]
    assert any("file=assets/odd%2C name%3A1.yaml,line=5" in (m[2] or "") for m in errors)
    assert all(m is not None and "\r" not in m[3] for m in found)
    strict = dativo("validate", "jobs", "--format", "github", "--strict", code=2).lines
    assert all(line.startswith("::error") for line in strict)


def test_strict_counts_warnings_as_errors(project: Project, dativo: Dativo) -> None:
    people(project, target={"publish": "branch"})
    found = dativo("validate", "--json").json()
    assert (found["errors"], found["warnings"]) == (0, 1)
    strict = dativo("validate", "--json", "--strict", code=2).json()
    assert (strict["errors"], strict["warnings"], strict["ok"]) == (1, 0, False)


UNBUILT: list[tuple[dict[str, Any], str]] = [
    ({"target": {"markdown_kv_storage": {"mode": "string"}}}, "Markdown-KV"),
    ({"target": {"file_format": "orc"}}, "file_format 'orc'"),
    ({"target": {"catalog": "hive"}}, "hive"),
    ({"target": {"catalog": "glue"}}, "glue"),
    ({"target": {"catalog": {"type": "hive"}}}, "hive"),
    ({"target": {"custom_writer": "plugins/writer.py:Writer"}}, "custom writers"),
    (
        {"source": {"files": [{"path": "data/people.csv"}], "custom_reader": "plugins/reader.py:Reader"}},
        "custom readers",
    ),
    ({"source": {"type": "stripe", "objects": ["people"]}}, "'stripe'"),
    ({"engine": {"type": "spark"}}, "'spark'"),
    ({"privacy": {"treat_findings": True}}, "treat_findings"),
    ({"privacy": {"warehouse": {"columns": {"name": "tokenise"}}}}, "tokenise"),
]


def test_publishing_by_a_branch_needs_a_catalog_that_has_them(project: Project, dativo: Dativo) -> None:
    people(project, target={"publish": "branch"})
    assert "publish: branch" in dativo("validate", "jobs", code=None).out
    answer = dativo("sync", "people", code=2)
    assert "publish: branch" in answer.err and "Nessie" in answer.err
    assert not (project.root / ".local/warehouse").exists()


@pytest.mark.parametrize(("block", "text"), UNBUILT, ids=[t for _, t in UNBUILT])
def test_what_is_valid_and_not_built_is_a_warning_here_and_refused_by_a_run(
    project: Project, dativo: Dativo, block: dict[str, Any], text: str
) -> None:
    people(project, **block)
    project.write(
        "connectors/sources/sqlite.yaml",
        "name: sqlite\ntype: sqlite\nroles: [source]\ndefault_engine: {type: native}\n",
    )
    found = dativo("validate", "jobs", "--json", code=None).json()
    told = [p for p in found["problems"] if text in p["message"]]
    assert told, found
    assert told[0]["severity"] == "warning" and "not built yet" in told[0]["message"]
    answer = dativo("sync", "people", code=2)
    assert text in answer.err and "not built yet" in answer.err
    assert not (project.root / ".local/warehouse").exists()


HARMLESS: list[tuple[str, dict[str, Any]]] = [
    ("catalog", {"catalog": {"type": "file", "connection": {"path": "lineage.json"}}}),
    ("observability", {"observability": {"aws": {"region": "eu-central-1", "log_group": "/jobs"}}}),
    ("plugins", {"plugins": {"sandbox": {"enabled": True}}}),
    ("infrastructure", {"infrastructure": {"provider": "aws"}}),
    ("target.export", {"target": {"export": {"format": "jsonl"}}}),
]


@pytest.mark.parametrize(("name", "block"), HARMLESS, ids=[n for n, _ in HARMLESS])
def test_a_block_that_does_nothing_yet_is_told_once_and_the_run_goes_on(
    project: Project, dativo: Dativo, name: str, block: dict[str, Any]
) -> None:
    people(project, **block)
    dativo("validate", "jobs")
    answer = dativo("sync", "people", code=1)
    assert [line for line in (answer.err + answer.out).splitlines() if "does nothing yet" in line] == [
        f"  note  does nothing yet in this version: {name}"
    ]
    assert name in dativo("plan", "people").out
    assert project.rows().height == 3


def test_a_policy_is_held_against_the_contracts(project: Project, dativo: Dativo) -> None:
    people(project)
    project.write("strict.yaml", "policy: {pii_fields: [score], contract_enforcement: strict}\n")
    assert dativo("validate").out.endswith("no mistakes\n")
    answer = dativo("validate", "--policy", "strict.yaml", code=2)
    assert "score" in answer.out
    project.write("configs/policy.yaml", "policy: {pii_fields: [score], contract_enforcement: strict}\n")
    assert dativo("validate", "--json").json()["warnings"] == 1


def test_governance_may_be_demanded(project: Project, dativo: Dativo) -> None:
    people(project)
    project.asset(FIELDS, team={})
    dativo("validate", code=None)
    assert dativo("validate", "--strict-governance", code=2).out != ""


def test_two_jobs_of_one_name_are_told(project: Project, dativo: Dativo) -> None:
    path = people(project)
    project.write("jobs/again/people.yaml", path.read_text())
    assert "two jobs of tenant 'acme' have the name 'people'" in dativo("validate", code=2).out


def test_files_with_control_characters_move_nothing_on_a_terminal(project: Project, dativo: Dativo) -> None:
    project.write("jobs/acme/evil.yaml", 'tenant_id: "\\e[31mred\\x9b2J\\u202e"\n')
    out = dativo("validate", code=2, terminal=True).out
    assert not any(c in out for c in "\x1b\x9b\u202e")


@pytest.mark.parametrize(
    "content",
    [
        "", "5", "[]", "- a\n- b", "text", "a: &a [*a]", "a: 1\na: 2", "? [x]\n: y", "!!python/object:os.system {}",
        "\t", "\0",
        "%YAML 9.9\n---\n", "a: " + "[" * 5000, "---\na: 1\n---\nb: 2\n", "tenant_id: !!binary x\n", "2024-01-01",
        "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)),
    ],
)  # fmt: skip
def test_no_content_of_a_file_gives_more_than_a_sentence(project: Project, dativo: Dativo, content: str) -> None:
    project.write("jobs/acme/job.yaml", content)
    project.write("assets/asset.yaml", content)
    dativo("validate", code=2)
    dativo("sync", "job", code=2)
    dativo("run", "--job-dir", "jobs", code=2)
    dativo("preview", "job", code=2)


@pytest.mark.parametrize(
    "arguments",
    [("lost",), ("lost", "jobs"), ("--format", "xml"), ("--mode", "x"), ("--policy", "lost.yaml"), ("a\0b",), ("n" * 300,),
     ("--policy", "jobs")],
)  # fmt: skip
def test_wrong_arguments_are_refused(project: Project, dativo: Dativo, arguments: tuple[str, ...]) -> None:
    people(project)
    answer = dativo("validate", *arguments, code=2)
    assert answer.err and answer.out == ""


def test_where_there_is_no_configuration_that_is_told(
    tmp_path: Path, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no configuration was found" in dativo("validate", code=2).err


def test_what_ships_has_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECIPES.parent)
    found = validate()
    assert found.problems == ()
    assert found.kinds["job"] >= 1 and found.kinds["recipe"] >= 3 and found.kinds["registry"] == 1
