"""The governance policy (`configs/policy.yaml`), with or without its top key `policy`.

A policy checks contracts; it never adds a tag and never deletes a row.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.asset import Asset
from dativo.config.decode import decode
from dativo.config.job import NotNegative
from dativo.config.nodes import Node
from dativo.config.problems import Problems


class ClassificationRule(msgspec.Struct, frozen=True, kw_only=True):
    """A column that must carry a class."""

    unknown: ClassVar[str] = "keep"
    field: Annotated[str, Meta(min_length=1, description="column name")]
    classification: Annotated[str, Meta(min_length=1, description="the class it must have")]
    extra: dict[str, Any] = {}


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True):
    """The policy's document."""

    unknown: ClassVar[str] = "keep"
    retention_days: Annotated[NotNegative, Meta(description="advice only: deletes nothing")] = 30
    pii_fields: Annotated[
        list[str], Meta(description="names that must be classified; spaces and case are ignored")
    ] = []
    classification_rules: Annotated[list[ClassificationRule], Meta(description="classes that columns must have")] = []
    contract_enforcement: Annotated[
        Literal["strict", "warn", "off"] | None, Meta(description="strict makes findings errors")
    ] = None
    extra: dict[str, Any] = {}


def read_policy(node: Node, problems: Problems) -> PolicyFile | None:
    """The policy in a document; what is wrong goes to `problems`."""
    inner = node.get("policy")
    body, path = (inner, "policy") if inner is not None and inner.kind == "map" else (node, "")
    return decode(body, PolicyFile, problems, path)


def check_asset(policy: PolicyFile, asset: Asset, problems: Problems, *, strict: bool) -> None:
    """Holds a contract against the policy; findings are warnings, errors where `strict`."""
    tell = problems.add if strict else problems.warn
    wanted = {_folded(n) for n in policy.pii_fields}
    for field in asset.fields:
        if _folded(field.name) in wanted and not field.classification:
            tell(
                f"the policy lists '{field.name}' as personal data, but the contract gives it no classification",
                field.mark,
                f"schema.{field.name}",
                "add `classification: PII`",
                code="policy",
            )
        for rule in policy.classification_rules:
            if _folded(rule.field) == _folded(field.name):
                have = {c.strip().lower() for c in (field.classification or "").split(",")}
                if rule.classification.lower() not in have:
                    tell(
                        f"the policy wants '{field.name}' classified as {rule.classification}, the contract says "
                        f"{field.classification or 'nothing'}",
                        field.mark,
                        f"schema.{field.name}",
                        f"add `classification: {rule.classification}`",
                        code="policy",
                    )
    if strict and not asset.owner:
        problems.add("the contract names no owner", asset.mark, "team.owner", "add `team: {owner: …}`", code="policy")
    if strict and not asset.classification and asset.retention_days is None:
        problems.add(
            "the contract has no compliance block",
            asset.mark,
            "compliance",
            "add `compliance: {classification: […], retention_days: …}`",
            code="policy",
        )


def _folded(name: str) -> str:
    return "".join(name.split()).replace("_", "").casefold()
