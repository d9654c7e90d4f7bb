"""A source by itself: its connection as a job or a recipe has it, without a contract and a target.

What looks at a source before there is a contract needs no more.
"""

from __future__ import annotations

from pathlib import Path

from dativo.config import paths
from dativo.config.checks import check_tenant
from dativo.config.connection_checks import check_connection
from dativo.config.environment import Environment
from dativo.config.job import Budget, JobFile, Source, Target
from dativo.config.job_reader import marks_of, reading_of
from dativo.config.library import Library
from dativo.config.needs import missing_of_source
from dativo.config.nodes import Node, map_of, scalar_of
from dativo.config.problems import Problems
from dativo.config.reading import Reading
from dativo.config.registry import RegistryFile, check_connector
from dativo.config.resolved import Mode, ResolvedJob
from dativo.config.sides import Side, read_source
from dativo.errors import Mark

PLACE = Mark("the command line")


def read_source_of_job(
    path: Path, library: Library, environment: Environment, mode: Mode | None, problems: Problems
) -> ResolvedJob | None:
    """The source of a job's file as a job that has no streams; None when a mistake kept it from being made."""
    node = library.document(path, problems)
    if node is None:
        return None
    if node.kind != "map":
        problems.add(f"expected a job (a map), got a {node.kind}", node.mark, "", "write `tenant_id: …` and so on")
        return None
    for name in ("tenant_id", "source_connector_path"):
        if node.get(name) is None:
            problems.add(f"'{name}' is required", node.mark, name)
    return _of_document(path, node, library, environment, mode, problems)


def read_source_of_connector(
    name: str, tenant: str, library: Library, environment: Environment, mode: Mode | None, problems: Problems
) -> ResolvedJob | None:
    """The source that a connector's recipe, a tenant's secrets and variables make; None after its mistakes were noted."""
    path = Path.cwd() / f"{name}.yaml"
    registry = library.registry(path.parent, problems)
    if registry is None or check_connector(registry, name, "source", scalar_of(name, PLACE), problems, "") is None:
        return None
    settings = {"tenant_id": tenant, "source_connector_path": f"connectors/sources/{name}.yaml"}
    node = map_of({key: scalar_of(value, PLACE) for key, value in settings.items()}, PLACE)
    return _of_document(path, node, library, environment, mode, problems)


def _of_document(
    path: Path, node: Node, library: Library, environment: Environment, mode: Mode | None, problems: Problems
) -> ResolvedJob | None:
    reading = reading_of(path, node, library, environment, mode, problems)
    tenant = check_tenant(reading.head.get("tenant_id"), problems)
    registry = library.registry(reading.folder, problems)
    source = read_source(reading, registry) if registry is not None else None
    if source is not None:
        check_connection(source, "source", problems)
    if source is None or registry is None or problems.errors():
        return None
    return _job(reading, tenant, source, registry)


def _job(reading: Reading, tenant: str, source: Side[Source], registry: RegistryFile) -> ResolvedJob:
    missing = missing_of_source(reading, source)
    return ResolvedJob(
        name=reading.path.stem,
        path=paths.shown(reading.path),
        root=str(reading.root),
        tenant_id=tenant,
        environment=None,
        mode=reading.mode,
        source_type=source.type,
        source=source.spec,
        target_type="",
        target=Target(),
        registry_source=registry.connectors.get(source.type),
        registry_target=None,
        streams=(),
        validation_mode="strict",
        incremental=None,
        write_mode="replace",
        schema_mode="merge",
        branch=None,
        file=JobFile(tenant_id=tenant, source_connector_path="", target_connector_path="", source=source.spec),
        budget=Budget(),
        missing=missing,
        unbuilt=(),
        warnings=tuple(reading.problems.warnings()),
        marks=marks_of(("", reading.node), ("source", source.node)),
        connections=dict(source.connections),
        secrets=source.secrets,
    )
