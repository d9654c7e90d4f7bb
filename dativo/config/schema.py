"""The JSON schemas that editors check configuration with: `python -m dativo.config.schema` writes them into `schemas/`.

Their `$id`s are names, not addresses: nothing is fetched. A contract in the standard's own form is described by the
standard's schema, which lies beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from dativo.config.asset_file import AssetFile
from dativo.config.job import JobFile
from dativo.config.json_schema import DRAFT, Definitions, Schema, summary
from dativo.config.policy import PolicyFile
from dativo.config.recipe import RecipeFile
from dativo.config.registry import RegistryFile
from dativo.config.runner import RunnerFile
from dativo.config.types import KNOWN
from dativo.receipt import Receipt

FOLDER = Path(__file__).resolve().parents[2] / "schemas"


def schemas() -> dict[str, Schema]:
    """Every schema by its path below `schemas/`."""
    return {
        "job.schema.json": job(),
        "recipe.schema.json": recipe(),
        "registry.schema.json": registry(),
        "runner.schema.json": _below("runner", RunnerFile, "Runner configuration"),
        "policy.schema.json": _below("policy", PolicyFile, "Governance policy"),
        "odcs/dativo-odcs-3.0.2-extended.schema.json": asset(),
        "receipt.schema.json": receipt(),
    }


def job() -> Schema:
    """Schema of a job file."""
    found = Definitions(variables=True)
    made = found.struct(JobFile)
    made["anyOf"] = [{"required": [key]} for key in ("asset_path", "asset_paths", "assets")]
    # Two older shapes name a provider; they are brought into the one that the definition describes.
    made["properties"]["observability"] = {
        "if": {"type": "object", "required": ["provider"]},
        "then": {"type": "object"},
        "else": made["properties"]["observability"],
    }
    # Existing files write these with capitals too.
    catalog = found.found["Catalog"]["properties"]["type"]
    catalog["anyOf"].append({"type": "string", "pattern": _any_case(catalog["anyOf"][0]["enum"])})
    found.found["Observability"]["anyOf"] = [{"required": ["aws"]}, {"required": ["gcp"]}]
    found.found["MarkdownKv"] |= {
        "if": {"properties": {"mode": {"const": "structured"}}, "required": ["mode"]},
        "then": {"required": ["structured_pattern"]},
    }
    return _document("job", "Job", made, found)


def _any_case(words: list[str]) -> str:
    """A pattern of words in capitals or not; JSON Schema's patterns have no flag for that."""
    folded = ("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word) for word in words)
    return f"^({'|'.join(folded)})$"


def recipe() -> Schema:
    """Schema of a connector recipe."""
    found = Definitions(variables=True)
    made = found.struct(RecipeFile)
    made["anyOf"] = [{"required": [key]} for key in ("default_engine", "engine")]
    return _document("recipe", "Connector recipe", made, found)


def registry() -> Schema:
    """Schema of the registry, with the two maps of its first versions."""
    found = Definitions()
    made = found.struct(RegistryFile)
    made.pop("required")
    old = {"type": "object", "additionalProperties": {"type": "object"}}
    made["properties"] |= {role: {**old, "description": f"versions 1 and 2: {role}"} for role in ("sources", "targets")}
    made["anyOf"] = [{"required": [key]} for key in ("connectors", "sources", "targets")]
    return _document("registry", "Connector registry", made, found)


def asset() -> Schema:
    """Schema of a data contract in the flat form, and below `asset:`."""
    found = Definitions()
    flat = found.struct(AssetFile)
    columns = flat["properties"]["schema"]
    columns["minItems"] = 1
    flat["properties"]["kind"] = {"const": "DataContract", "default": "DataContract"}
    found.found["FieldEntry"]["properties"]["type"]["examples"] = list(KNOWN)
    found.found["Monitoring"] |= {
        "if": {"properties": {"enabled": {"const": True}}, "required": ["enabled"]},
        "then": {"required": ["oncall_rotation"]},
    }
    governance = {
        "type": "object",
        "description": "fills what `team`, `tags` and `compliance` leave open",
        "properties": {
            "owner": {"type": ["string", "null"]},
            "tags": {"type": ["array", "null"], "items": {"type": "string"}},
            "classification": {"type": ["array", "string", "null"]},
            "retention_days": {"type": ["integer", "null"], "minimum": 0},
        },
    }
    wrapped = {**flat, "properties": {**flat["properties"], "governance": governance}}
    found.found |= {"Contract": flat, "WrappedContract": wrapped}
    made = {
        "description": flat["description"],
        "if": {"required": ["asset"]},
        "then": {"type": "object", "properties": {"asset": {"$ref": "#/$defs/WrappedContract"}}},
        "else": {"$ref": "#/$defs/Contract"},
    }
    return _document("asset", "Data contract", made, found)


def receipt() -> Schema:
    """Schema of the receipt of a run, as `--json` prints it and tables keep it."""
    found = Definitions(exact=True)
    return _document("receipt", "Receipt of a run", found.struct(Receipt), found)


def _below(key: str, cls: type[msgspec.Struct], title: str) -> Schema:
    """Schema of a document that stands below a key of its own or bare."""
    found = Definitions(variables=True)
    reference = found.reference(cls)
    made = {
        "description": summary(cls),
        "type": "object",
        "if": {"required": [key]},
        "then": {"properties": {key: reference}},
        "else": reference,
    }
    return _document(key, title, made, found)


def _document(name: str, title: str, made: Schema, found: Definitions) -> Schema:
    head: dict[str, Any] = {"$schema": DRAFT, "$id": f"urn:dativo:schema:{name}", "title": title}
    return {**head, **made, "$defs": dict(sorted(found.found.items()))}


def text(schema: Schema) -> str:
    """A schema as its file has it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes every schema and tells where."""
    for name, schema in schemas().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(schema), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
