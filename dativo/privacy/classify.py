"""Which columns hold personal data, and what a purpose does to them. Nothing is ever classified by guessing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from dativo.config.asset import Asset, Field
from dativo.config.privacy import Privacy, Purpose, Treatment
from dativo.errors import ConfigError, Problem

PurposeName = Literal["warehouse", "llm", "preview"]

DEFAULTS: dict[str, Treatment] = {"warehouse": "none", "llm": "redact", "preview": "partial"}
BUILT: tuple[Treatment, ...] = ("none", "hash", "redact", "partial", "drop")

# Classes whose columns count as personal data where a purpose gives a default only.
PERSONAL = ("pii", "phi", "pci", "personal", "sensitive")


def classes(field: Field, overrides: Mapping[str, str]) -> tuple[str, ...]:
    """The column's classes, lower case: the job's override, else the contract's."""
    text = overrides.get(field.name, field.classification) or ""
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def is_personal(field: Field, overrides: Mapping[str, str]) -> bool:
    """Whether one of the column's classes names personal data."""
    words = {w for c in classes(field, overrides) for w in (c, *re.split(r"[^a-z0-9]+", c))}
    return any(w in words for w in PERSONAL)


def treatments(
    asset: Asset, privacy: Privacy | None, purpose: PurposeName, overrides: Mapping[str, str]
) -> dict[str, Treatment]:
    """What a purpose does to each column that it treats: a column's own treatment, else its class's, else the default.

    Raises ConfigError for a treatment that this version cannot carry out, because loading the values as they are would
    be a surprise.
    """
    block: Purpose | None = getattr(privacy, purpose) if privacy is not None else None
    default = block.default if block is not None and block.default is not None else DEFAULTS[purpose]
    by_class = {k.lower(): v for k, v in (block.classes if block is not None else {}).items()}
    found: dict[str, Treatment] = {}
    problems = []
    for field in asset.fields:
        chosen = _chosen(field, block, by_class, default, overrides)
        if chosen not in BUILT:
            problems.append(
                Problem(
                    f"the treatment '{chosen}' of '{field.name}' is not built yet",
                    field.mark,
                    f"privacy.{purpose}",
                    f"use one of: {', '.join(BUILT)}",
                    code="unsupported",
                )
            )
        elif chosen == "partial" and field.kind not in ("string", "json", "uuid") and purpose == "warehouse":
            problems.append(
                Problem(
                    f"'{field.name}' is {field.type_text()}: 'partial' keeps part of a text",
                    field.mark,
                    f"privacy.{purpose}",
                    "use hash, redact or drop",
                )
            )
        if chosen != "none":
            found[field.name] = chosen
    if problems:
        raise ConfigError(problems)
    return found


def _chosen(
    field: Field,
    block: Purpose | None,
    by_class: dict[str, Treatment],
    default: Treatment,
    overrides: Mapping[str, str],
) -> Treatment:
    if block is not None and field.name in block.columns:
        return block.columns[field.name]
    for name in classes(field, overrides):
        if name in by_class:
            return by_class[name]
    return default if is_personal(field, overrides) else "none"
