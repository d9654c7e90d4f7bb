"""One job file, resolved step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from dativo.config import paths
from dativo.config.checks import TENANT, check_retries, check_sinks, check_source, check_target, check_tenant
from dativo.config.cloud import check_paths, cloud_environment
from dativo.config.connection_checks import check_connection
from dativo.config.contracts import Contract, read_contracts
from dativo.config.database_checks import check_database_source
from dativo.config.decode import decode
from dativo.config.environment import Environment
from dativo.config.incremental import resolve_incremental
from dativo.config.job import Budget, JobFile, Source, Target
from dativo.config.library import Library
from dativo.config.needs import missing_variables, nessie_branch
from dativo.config.nodes import Node, scalar_of
from dativo.config.observability import one_shape
from dativo.config.problems import Problems
from dativo.config.reading import Reading
from dativo.config.resolved import Mode, ResolvedJob
from dativo.config.secrets import Secrets
from dativo.config.sides import Side, read_source, read_target
from dativo.config.store_checks import check_store_source
from dativo.config.streams import read_streams
from dativo.errors import Mark


def read_job(
    path: Path, library: Library, environment: Environment, mode: Mode | None, problems: Problems
) -> ResolvedJob | None:
    """The job in a file, or None when a mistake kept it from being resolved; mistakes go to `problems`, which is empty.

    `mode` is what the command line asks for; the job's own is taken otherwise.
    """
    node = library.document(path, problems)
    if node is None:
        return None
    if node.kind != "map":
        problems.add(f"expected a job (a map), got a {node.kind}", node.mark, "", "write `tenant_id: …` and so on")
        return None
    reading = reading_of(path, node, library, environment, mode, problems)
    file = decode(reading.head, JobFile, problems)
    tenant = check_tenant(reading.head.get("tenant_id"), problems)
    registry = library.registry(reading.folder, problems)
    if registry is None:
        return None
    source, target = read_source(reading, registry), read_target(reading, registry)
    contracts = read_contracts(reading, source.spec if source is not None else None, tenant)
    if file is None or source is None or target is None or contracts is None:
        return None
    job = _resolved(reading, file, source, target, contracts)
    return None if problems.errors() else msgspec.structs.replace(job, warnings=tuple(problems.warnings()))


def reading_of(
    path: Path, node: Node, library: Library, environment: Environment, mode: Mode | None, problems: Problems
) -> Reading:
    """What the steps of resolving a job share, from its document; `mode` is what the command line asks for."""
    own = node.get("mode")
    mode = mode or ("cloud" if own is not None and own.value == "cloud" else "self_hosted")
    if mode == "cloud":
        environment = cloud_environment(environment)
    tenant = environment.node(node.get("tenant_id") or scalar_of(None, node.mark)).text
    secrets = library.secrets(tenant) if TENANT.match(tenant) else Secrets()
    own_variables = environment.below(secrets.layers())
    head = own_variables.node(node.having({k: v for k, v in node.value.items() if k not in ("source", "target")}))
    reading = Reading(path, node, one_shape(head), mode, environment, library, problems, secrets)
    if mode == "cloud":
        check_paths(reading.head, "", reading)
    return reading


def _resolved(
    reading: Reading, file: JobFile, source: Side[Source], target: Side[Target], contracts: list[Contract]
) -> ResolvedJob:
    spec, goal = source.spec, target.spec
    incremental = resolve_incremental(source, reading.problems)
    streams = read_streams(file, contracts, source, target, reading)
    check_source(source, reading.problems)
    check_store_source(source, len(streams), reading.problems)
    check_database_source(source, streams, incremental, reading.problems)
    check_target(target, streams, reading.problems)
    check_connection(target, "target", reading.problems)
    check_retries(file, reading.node, reading.problems)
    check_sinks(file, reading.node, reading.problems)
    return ResolvedJob(
        name=reading.path.stem,
        path=paths.shown(reading.path),
        root=str(reading.root),
        tenant_id=file.tenant_id,
        environment=file.environment,
        mode=reading.mode,
        source_type=source.type,
        source=spec,
        target_type=target.type,
        target=goal,
        registry_source=source.connector,
        registry_target=target.connector,
        streams=streams,
        validation_mode=file.schema_validation_mode,
        incremental=incremental,
        write_mode=goal.write_mode or ("append" if incremental is not None else "replace"),
        schema_mode=_schema_mode(goal, contracts),
        branch=nessie_branch(target, file.tenant_id),
        file=msgspec.structs.replace(file, source=spec, target=goal),
        budget=file.engine or Budget(),
        missing=missing_variables(reading, source, target),
        unbuilt=_unbuilt(file, goal),
        warnings=(),
        marks=marks_of(("", reading.node), ("source", source.node), ("target", target.node)),
        connections={**source.connections, **target.connections},
        secrets=source.secrets.with_those_of(target.secrets),
    )


def _schema_mode(target: Target, contracts: list[Contract]) -> Literal["strict", "merge", "relaxed"]:
    modes = [target.mode, *(c.asset.mode for c in contracts)]
    mode = next((m for m in modes if m), "merge")
    if mode == "strict":
        return "strict"
    return "merge" if mode == "merge" else "relaxed"


def marks_of(*documents: tuple[str, Node]) -> dict[str, Mark]:
    """Where every setting stands, by the path that its document has; the later documents win."""
    return {field: found.mark for path, node in documents for field, found in node.walk(path) if field}


def _unbuilt(file: JobFile, target: Target) -> tuple[str, ...]:
    """Blocks that are valid and do nothing yet, and whose absence does not change the data."""
    blocks = (
        ("observability", file.observability),
        ("catalog", file.catalog),
        ("plugins", file.plugins),
        ("infrastructure", file.infrastructure),
        ("target.export", target.export),
    )
    return tuple(name for name, value in blocks if value is not None)
