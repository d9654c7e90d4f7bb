"""Tags of a table: classification, governance, cost and asset facts as table properties and column comments.

Precedence from low to high: asset, job. Nothing is classified by itself; classifications are lower case, other values
keep their case; every value is text.
"""

from __future__ import annotations

from dativo.config.asset import Asset
from dativo.config.resolve import ResolvedJob


def table_properties(job: ResolvedJob, asset: Asset) -> dict[str, str]:
    """The table's tags; a value that nobody gave has no property."""
    file = job.file
    overrides = file.classification_overrides
    tags: dict[str, str] = {}

    def put(name: str, value: object) -> None:
        if value is not None and value not in ("", (), []):
            tags[name] = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    default = overrides.get("default") or next(iter(asset.classification), None)
    put("classification.default", default.lower() if default else None)
    for field in asset.fields:
        found = overrides.get(field.name, field.classification)
        put(f"classification.fields.{field.name}", found.lower() if found else None)
    governance = file.governance_overrides
    put("governance.retention_days", _first(governance and governance.retention_days, asset.retention_days))
    put("governance.owner", _first(governance and governance.owner, asset.owner))
    put("governance.domain", _first(governance and governance.domain, asset.domain))
    put("governance.data_product", _first(governance and governance.data_product, asset.data_product))
    put("governance.regulations", _first(governance and governance.regulations, list(asset.regulations)))
    for name in ("cost_center", "business_tags", "project", "environment"):
        own = getattr(file.finops, name) if file.finops else None
        put(f"finops.{name}", _first(own, getattr(asset.finops, name) if asset.finops else None))
    put("asset.name", asset.name)
    put("asset.version", asset.version)
    put("asset.domain", asset.domain)
    put("asset.data_product", asset.data_product)
    put("asset.source_type", asset.source_type or job.source_type)
    put("asset.object", asset.object)
    return tags


def column_comment(description: str | None, classification: str | None) -> str | None:
    """A column's comment: what it is, and its class in brackets."""
    tag = f"[{classification}]" if classification else None
    return " ".join(p for p in (description, tag) if p) or None


def _first(*values: object) -> object:
    return next((v for v in values if v is not None), None)
