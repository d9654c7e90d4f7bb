"""The JSON schemas of `schemas/`: fresh, local, and of one mind with the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft201909Validator, Draft202012Validator

from dativo.config import schema
from dativo.config.asset import read_asset
from dativo.config.asset_file import AssetFile
from dativo.config.decode import decode
from dativo.config.documents import parse
from dativo.config.environment import Environment
from dativo.config.job import JobFile
from dativo.config.policy import read_policy
from dativo.config.problems import Problems
from dativo.config.recipe import read_recipe
from dativo.config.registry import read_registry
from dativo.config.runner import read_runner
from dativo.config.shapes import shape
from dativo.receipt import Receipt, RuleCount, StreamReceipt, as_builtins, to_json

ROOT = Path(__file__).resolve().parents[2]
COMPAT = ROOT / "tests" / "compat" / "project"
ASSET = "odcs/dativo-odcs-3.0.2-extended.schema.json"
STANDARD = "odcs/odcs-json-schema-v3.0.2.json"
ENVIRONMENT = Environment([{}], ["t"])


def validator(name: str) -> Any:
    draft = Draft201909Validator if name == STANDARD else Draft202012Validator
    return draft(json.loads((schema.FOLDER / name).read_text(encoding="utf-8")))


def kind(path: Path, document: dict[str, Any]) -> str:
    parts = path.parts
    if "jobs" in parts:
        return "job.schema.json"
    if "assets" in parts:
        return STANDARD if "native" in parts else ASSET
    if "connectors" in parts:
        return "recipe.schema.json"
    if "registry" in parts:
        return "registry.schema.json"
    return "policy.schema.json" if "policy" in path.stem else "runner.schema.json"


FILES = sorted(
    path
    for root in (ROOT, COMPAT)
    for folder in ("jobs", "assets", "connectors", "registry", "configs")
    for ending in ("*.yaml", "*.yml")
    for path in (root / folder).rglob(ending)
)


@pytest.mark.parametrize("name", sorted(schema.schemas()))
def test_the_files_are_what_the_structs_say(name: str) -> None:
    assert (schema.FOLDER / name).read_text(encoding="utf-8") == schema.text(schema.schemas()[name]), (
        "run `python -m dativo.config.schema`"
    )


@pytest.mark.parametrize("name", sorted(schema.schemas()))
def test_every_schema_is_one_and_fetches_nothing(name: str) -> None:
    found = schema.schemas()[name]
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["$id"].startswith("urn:dativo:schema:")
    references = [node["$ref"] for node in walk(found) if "$ref" in node]
    assert references == [r for r in references if r.startswith("#/$defs/")]
    assert {r.removeprefix("#/$defs/") for r in references} == set(found["$defs"])


def walk(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_of_the_repository_fits_its_schema(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    errors = [f"{e.json_path}: {e.message}" for e in validator(kind(path, document)).iter_errors(document)]
    assert errors == []


def test_the_standards_own_schema_fetches_nothing() -> None:
    standard = json.loads((schema.FOLDER / STANDARD).read_text(encoding="utf-8"))
    assert "$id" not in standard
    assert all(node["$ref"].startswith("#/") for node in walk(standard) if "$ref" in node)


@pytest.mark.parametrize("name", ["job.schema.json", ASSET])
def test_every_setting_is_described(name: str) -> None:
    found = schema.schemas()[name]
    for struct in (JobFile, AssetFile):
        block = found if name.startswith("job") else found["$defs"]["Contract"]
        if (struct is JobFile) == name.startswith("job"):
            assert set(block["properties"]) == {*shape(struct).settings, *shape(struct).aliases}
    bare = [p for d in found["$defs"].values() for p, s in d.get("properties", {}).items() if "description" not in s]
    assert set(bare) <= {"owner", "tags", "classification", "retention_days", "kind"}


def test_defaults_and_choices_are_told() -> None:
    mode = schema.job()["properties"]["schema_validation_mode"]
    assert mode["default"] == "strict"
    assert {"enum": ["strict", "warn", "quarantine"]} in mode["anyOf"]
    assert schema.job()["$defs"]["Retry"]["properties"]["retryable_exit_codes"]["default"] == [1, 2]


# Each is refused by the loader, and so by the schema.
REFUSED = {
    "job.schema.json": [
        ("tennant_id", "acme"), ("tenant_id", ""), ("tenant_id", [1]), ("schema_validation_mode", "lenient"),
        ("source", [1]),
        ("source", {"files": [{"path": [1]}]}), ("source", {"tables": [{}]}), ("source", {"files": {}}),
        ("source", {"queries": [{"name": "q"}]}), ("source", {"incremental": {"lookback_days": -1}}),
        ("source", {"incremental": {"strategy": "nightly"}}), ("target", {"parquet_target_size_mb": 0}),
        ("target", {"partitioning": "a"}), ("target", {"markdown_kv_storage": {}}),
        ("target", {"markdown_kv_storage": {"mode": "structured"}}), ("target", {"write_mode": "merge"}),
        ("catalog", {"type": "openmetadata"}), ("catalog", {"type": "atlas", "connection": {}}), ("observability", {}),
        ("observability", {"aws": {"region": "r"}}), ("plugins", {"sandbox": {"cpu_limit": 2}}), ("mode", "hosted"),
        ("retry_config", {"max_attempts": 11}), ("logging", {"level": "INF"}), ("logging", {"redaction": "perhaps"}),
        ("engine", {"memory_limit": "lots"}), ("asset_path", None), ("assets", "a.yaml"),
        ("finops", {"business_tags": "hr"}),
    ],
    ASSET: [
        ("schema", []), ("schema", None), ("schema", [{"type": "integer"}]), ("schema", [{"name": ""}]), ("name", None),
        ("version", None), ("kind", "Report"), ("target", {"mode": "loose"}), ("schema", [{"name": "a", "precision": 40}]),
        ("schema", [{"name": "a", "properties": {}}]), ("data_quality", {"monitoring": {}}),
        ("data_quality", {"monitoring": {"enabled": True}}), ("compliance", {"retention_days": -1}),
        ("change_management", {"policy": "any"}), ("privacy", {"warehouse": {"default": "shred"}}),
    ],
    "recipe.schema.json": [
        ("name", None), ("type", None), ("engine", None), ("roles", ["sink"]), ("credentials", {"type": "magic"}),
        ("incremental", {"lookback_days_default": -1}),
    ],
    "registry.schema.json": [
        ("connectors", None), ("connectors", {"a": {}}), ("version", 4),
        ("connectors", {"a": {"roles": [], "default_engine": "native", "engines_supported": ["native"]}}),
        ("connectors", {"a": {"roles": ["source"], "default_engine": "pandas", "engines_supported": ["native"]}}),
    ],
    "runner.schema.json": [
        ("mode", "daemon"), ("orchestrator", {"type": "airflow"}), ("orchestrator", {"concurrency_per_tenant": 0}),
        ("orchestrator", {"schedules": [{"config": "x"}]}), ("runner", [1]), ("retry_config", {"backoff_multiplier": 0}),
    ],
    "policy.schema.json": [
        ("retention_days", -1), ("pii_fields", "email"), ("classification_rules", [{"field": "a"}]), ("policy", [1]),
        ("contract_enforcement", "always"),
    ],
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "job.schema.json": {
        "tenant_id": "a",
        "source_connector_path": "s",
        "target_connector_path": "t",
        "asset_path": "c",
    },
    ASSET: {"name": "a", "version": "1", "schema": [{"name": "x"}], "team": {"owner": "o"}},
    "recipe.schema.json": {"name": "a", "type": "csv", "engine": "native"},
    "registry.schema.json": {"version": 3, "connectors": {}},
    "runner.schema.json": {"mode": "oneshot"},
    "policy.schema.json": {"retention_days": 1},
}


def loads(name: str, document: dict[str, Any]) -> bool:
    """Whether the loader takes a document of a kind, its structure and the checks that come with it."""
    node = ENVIRONMENT.node(parse(msgspec.json.encode(document).decode(), "f"))
    problems = Problems()
    if name == "job.schema.json":
        from dativo.config.observability import one_shape

        found = decode(one_shape(node), JobFile, problems)
        assert found is None or found.observability is None or "observability" in document
        sinks = found.observability if found is not None else None
        empty = sinks is not None and sinks.aws is None and sinks.gcp is None
        storage = found.target.markdown_kv_storage if found is not None else None
        shapeless = storage is not None and storage.mode == "structured" and storage.structured_pattern is None
        named = found is not None and (found.asset_path or found.assets or found.asset_paths)
        return bool(found is not None and named and not empty and not shapeless)
    if name == ASSET:
        return read_asset(node, problems) is not None
    if name == "recipe.schema.json":
        return read_recipe(node, "sources", ENVIRONMENT, problems) is not None
    reader = {"registry": read_registry, "runner": read_runner, "policy": read_policy}[name.split(".")[0]]
    reader(node, problems)
    return not problems.errors()


@pytest.mark.parametrize("name", GOOD)
def test_the_schema_and_the_loader_take_what_is_good(name: str) -> None:
    assert validator(name).is_valid(GOOD[name]) and loads(name, GOOD[name])


@pytest.mark.parametrize(("name", "key", "value"), [(n, k, v) for n, cases in REFUSED.items() for k, v in cases])
def test_what_the_loader_refuses_the_schema_refuses_too(name: str, key: str, value: Any) -> None:
    document = {**GOOD[name], key: value}
    if value is None:
        del document[key]
    assert not loads(name, document)
    assert not validator(name).is_valid(document)


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, v in REFUSED[ASSET] if v is not None])
def test_a_wrapped_contract_is_judged_like_a_flat_one(key: str, value: Any) -> None:
    assert validator(ASSET).is_valid({"asset": GOOD[ASSET]})
    document = {"asset": {**GOOD[ASSET], key: value}}
    assert not loads(ASSET, document)
    assert not validator(ASSET).is_valid(document)


@pytest.mark.parametrize(
    "change",
    [
        {"retry_config": {"max_retries": "3"}},
        {"retry_config": {"max_retries": "${N:-3}"}},
        {"logging": {"level": "${LEVEL:-INFO}", "redaction": "yes"}},
        {"engine": {"memory_limit": "${MEMORY:-1GB}", "threads": None}},
        {"source": {"files": [{"file_path": "x", "unknown_thing": 1}], "incremental": {}}},
        {"target": {"catalog": {"name": "rest"}, "engine": "native"}},
        {"finops": None, "max_rejects": "0.1%"},
        {"observability": {"provider": "aws", "aws": {"region": "r"}}},
        {"environment": 1, "asset_path": None, "assets": ["a"]},
    ],
)
def test_the_schema_takes_what_the_loader_takes(change: dict[str, Any]) -> None:
    document = {**GOOD["job.schema.json"], **change}
    assert loads("job.schema.json", document)
    assert validator("job.schema.json").is_valid(document)


def test_a_receipt_fits_its_schema_short_and_in_full() -> None:
    stream = StreamReceipt(stream="s", table="t", status="loaded", rules=(RuleCount(column="c", rule="enum", count=1),))
    receipt = Receipt(
        run_id="r", job="j", tenant_id="t", status="loaded", exit_code=0, started_at="2026-01-01T00:00:00Z", seconds=1.5,
        streams=(stream,),
    )  # fmt: skip
    found = validator("receipt.schema.json")
    assert [e.message for e in found.iter_errors(json.loads(to_json(receipt)))] == []
    assert [e.message for e in found.iter_errors(as_builtins(receipt))] == []
    assert not found.is_valid({**as_builtins(receipt), "status": "fine"})
    assert not found.is_valid({**as_builtins(receipt), "rows": 1})
