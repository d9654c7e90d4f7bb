"""What dativo can connect to: the registry's connectors, which of them this version runs, and what each needs installed."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import msgspec

from dativo import connectors
from dativo.config.resolve import Resolver
from dativo.errors import ConfigError


class ConnectorOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A connector of the registry. `source` and `target` are `ready`, `not built`, or empty where it has not the role.

    `extra` is what to install for it, as `dativo[postgres]`, and `missing` the packages of it that are not there.
    """

    name: str
    category: str
    description: str
    source: str
    target: str
    incremental: str
    extra: str
    missing: tuple[str, ...] = ()


def list_connectors(folder: Path | None = None) -> list[ConnectorOffer]:
    """Every connector of the project's registry, what can be run first. Raises ConfigError when the registry is wrong."""
    resolver = Resolver()
    registry = resolver.registry(folder or Path.cwd())
    if registry is None:
        raise ConfigError(resolver.problems.found)
    offers = []
    for name, entry in registry.connectors.items():
        built = name in connectors.SOURCES or name in connectors.TARGETS
        offers.append(
            ConnectorOffer(
                name=name,
                category=entry.category or "",
                description=entry.description or "",
                source=_role("source" in entry.roles, name in connectors.SOURCES),
                target=_role("target" in entry.roles, name in connectors.TARGETS),
                incremental=entry.incremental_strategy_default or "" if entry.supports_incremental else "",
                extra=f"dativo[{name}]" if built else "",
                missing=missing_packages(name) if built else (),
            )
        )
    return sorted(offers, key=lambda o: ("ready" not in (o.source, o.target), o.category, o.name))


def missing_packages(extra: str) -> tuple[str, ...]:
    """The packages that an extra of dativo brings and that are not installed."""
    wanted = extra.replace("_", "-").lower()
    named = [
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for requirement in metadata.requires("dativo") or []
        if re.search(rf"extra\s*==\s*['\"]{re.escape(wanted)}['\"]", requirement.replace("_", "-"))
    ]
    return tuple(name for name in named if not _installed(name))


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _role(allowed: bool, built: bool) -> str:
    return ("ready" if built else "not built") if allowed else ""
