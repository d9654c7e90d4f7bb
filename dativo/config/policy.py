"""The governance policy (`configs/policy.yaml`), with or without its top key `policy`.

A policy checks contracts; it never adds a tag and never deletes a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.asset import Asset, Field
from dativo.config.below import below
from dativo.config.decode import decode
from dativo.config.job import NotNegative
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.errors import Severity


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
    body, path = below(node, "policy", problems)
    return decode(body, PolicyFile, problems, path)


def check_asset(policy: PolicyFile, asset: Asset, problems: Problems, *, strict: bool) -> None:
    """Holds a contract against the policy; findings are warnings, errors where `strict`."""
    severity: Severity = "error" if strict else "warning"
    for path, field in _columns(asset.fields, "schema"):
        for message, wanted in _findings(policy, field):
            hint = f"add `classification: {wanted}`"
            problems.add(message, field.mark, path, hint, severity=severity, code="policy")
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


def _columns(fields: Iterable[Field], path: str) -> Iterator[tuple[str, Field]]:
    """Every column, and every field inside one, with its path."""
    for field in fields:
        inner = f"{path}.{field.name}"
        yield inner, field
        yield from _columns(field.fields or (field.item.fields if field.item else ()), inner)


def _findings(policy: PolicyFile, field: Field) -> Iterator[tuple[str, str]]:
    """What the policy says against a column, and the class that would do."""
    if not field.classification and _folded(field.name) in {_folded(n) for n in policy.pii_fields}:
        yield f"the policy lists '{field.name}' as personal data, but the contract gives it no classification", "PII"
    have = {c.strip().lower() for c in (field.classification or "").split(",")}
    for rule in policy.classification_rules:
        if _folded(rule.field) == _folded(field.name) and rule.classification.lower() not in have:
            found = field.classification or "nothing"
            yield (
                f"the policy wants '{field.name}' classified as {rule.classification}, the contract says {found}",
                rule.classification,
            )


def _folded(name: str) -> str:
    return "".join(name.split()).replace("_", "").casefold()
