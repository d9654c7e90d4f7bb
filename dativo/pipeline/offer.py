"""What dativo can connect to: the registry's connectors, and which of them this version runs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dativo import connectors
from dativo.config.resolve import Resolver
from dativo.errors import ConfigError


class ConnectorOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A connector of the registry. `source` and `target` are `ready`, `not built`, or empty where it has not the role."""

    name: str
    category: str
    description: str
    source: str
    target: str
    incremental: str
    extra: str


def list_connectors(folder: Path | None = None) -> list[ConnectorOffer]:
    """Every connector of the project's registry, what can be run first. Raises ConfigError when the registry is wrong."""
    resolver = Resolver()
    registry = resolver.registry(folder or Path.cwd())
    if registry is None:
        raise ConfigError(resolver.problems.found)
    offers = [
        ConnectorOffer(
            name=name,
            category=entry.category or "",
            description=entry.description or "",
            source=_role("source" in entry.roles, name in connectors.SOURCES),
            target=_role("target" in entry.roles, name in connectors.TARGETS),
            incremental=entry.incremental_strategy_default or "" if entry.supports_incremental else "",
            extra=f"dativo[{name}]" if name in connectors.SOURCES or name in connectors.TARGETS else "",
        )
        for name, entry in registry.connectors.items()
    ]
    return sorted(offers, key=lambda o: ("ready" not in (o.source, o.target), o.category, o.name))


def _role(allowed: bool, built: bool) -> str:
    return ("ready" if built else "not built") if allowed else ""
