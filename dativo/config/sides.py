"""A job's source or target with its recipe laid under it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from dativo.config.cloud import check_paths
from dativo.config.connection import Connection
from dativo.config.connection_fields import connections
from dativo.config.decode import decode
from dativo.config.dsn import dsn_settings
from dativo.config.job import Source, Target
from dativo.config.nodes import Node, map_of, merge, scalar_of
from dativo.config.reading import Reading
from dativo.config.recipe import Recipe, incremental_defaults, source_defaults, target_defaults
from dativo.config.registry import Connector, RegistryFile, check_connector
from dativo.config.secret_files import secret_name, with_template
from dativo.config.secrets import Secrets

S = TypeVar("S", bound=msgspec.Struct)
Role = Literal["source", "target"]

CUSTOM = {"source": "custom_reader", "target": "custom_writer"}
# Categories of connectors that have streams of their own.
_SERVICES = ("crm", "payments", "api")
# Settings of these blocks count as absent while a variable of theirs is set nowhere: connectors have further places to look.
_FALLBACK = ("connection", "credentials", "catalog")


@dataclass(slots=True, frozen=True)
class Side(Generic[S]):
    """Source or target: its connector's type, its settings, the document they came from, its entry in the registry.

    `unset` has the settings whose variables are set nowhere, with their paths, `secrets` the tenant's, and among them the
    one that its credentials name.
    """

    type: str
    spec: S
    node: Node
    connector: Connector | None
    unset: tuple[tuple[str, Node], ...]
    connections: dict[str, Connection] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)


def read_source(reading: Reading, registry: RegistryFile) -> Side[Source] | None:
    """The job's source, or None after its mistakes were noted."""
    recipe = _recipe(reading, "source")
    if recipe is None:
        return None
    merged = _merged(reading, "source", source_defaults(recipe), recipe)
    side = _side(reading, "source", Source, _with_incremental(merged, recipe), recipe, registry)
    return _with_objects(side) if side is not None else None


def read_target(reading: Reading, registry: RegistryFile) -> Side[Target] | None:
    """The job's target, or None after its mistakes were noted."""
    recipe = _recipe(reading, "target")
    if recipe is None:
        return None
    merged = _merged(reading, "target", target_defaults(recipe), recipe)
    return _side(reading, "target", Target, merged, recipe, registry)


def _recipe(reading: Reading, role: Role) -> Recipe | None:
    field = f"{role}_connector_path"
    where = reading.head.get(field)
    if where is None or where.value is None or not where.text:
        return None  # decoding the job tells it
    path = reading.find(where, field, "Connector recipe", ship=True)
    recipe = reading.library.recipe(path, reading.problems) if path is not None else None
    if recipe is not None and recipe.roles is not None and role not in recipe.roles:
        reading.problems.add(
            f"the recipe '{recipe.name}' cannot be a {role}, only a {' or '.join(recipe.roles)}",
            where.mark,
            field,
            f"name a {role} recipe",
        )
        return None
    return recipe


def _merged(reading: Reading, role: Role, defaults: Node, recipe: Recipe) -> Node:
    """The job's block laid over the recipe's defaults, both in one layout; variables are not put in yet."""
    own = reading.node.get(role)
    if own is not None and own.kind != "map":
        if not own.is_null():
            reading.problems.add(f"expected a map, got a {own.kind}", own.mark, role, "write the settings below it")
        own = None
    own = own or map_of({}, reading.node.mark)
    custom = own.get(CUSTOM[role])
    lift = custom is None or custom.is_null()
    type_ = own.get("type")
    connector = type_.text if type_ is not None else recipe.connector
    merged = merge(*(_one_layout(n, connector, lift=lift and connector != "iceberg") for n in (defaults, own)))
    assert merged is not None
    return merged


def _one_layout(node: Node, connector: str, *, lift: bool) -> Node:
    """`engine` as a map with flat options, and with `lift` a flat connection: two spellings of one setting merge so."""
    entries = dict(node.value)
    engine = entries.get("engine")
    if engine is not None and engine.kind == "scalar" and not engine.is_null():
        entries["engine"] = map_of({"type": engine}, engine.mark)
    elif engine is not None and engine.kind == "map":
        options = engine.get("options")
        type_ = engine.get("type")
        if options is not None and options.kind == "map":
            # Every known connector runs natively, so what stands under `native` wins over another engine's.
            names = [type_.text, "native"] if type_ is not None and type_.kind == "scalar" else ["native"]
            entries["engine"] = engine.having({**engine.value, "options": _lifted(options, names)})
    connection = entries.get("connection")
    if lift and connection is not None and connection.kind == "map":
        entries["connection"] = _lifted(connection, [connector], inner_wins=True)
    return node.having(entries)


def _lifted(block: Node, names: list[str], *, inner_wins: bool = False) -> Node:
    """A map whose inner maps called `names` come up one level."""
    inner: dict[str, Node] = {}
    for name in names:
        found = block.get(name)
        if found is not None and found.kind == "map":
            inner.update(found.value)
    if not inner:
        return block
    direct = {k: v for k, v in block.value.items() if k not in names or v.kind != "map"}
    return block.having({**direct, **inner} if inner_wins else {**inner, **direct})


def _with_incremental(merged: Node, recipe: Recipe) -> Node:
    """Fills the gaps of a job's `incremental` from the recipe; without a block of its own the job loads fully."""
    own = merged.get("incremental")
    if own is None or own.kind != "map" or own.is_empty():
        if own is None or not own.is_empty():
            return merged
        return merged.having({k: v for k, v in merged.value.items() if k != "incremental"})
    given = {k.removesuffix("_default") for k in own.value}
    gaps = {k: v for k, v in incremental_defaults(recipe).items() if k not in given}
    return merged.having({**merged.value, "incremental": own.having({**own.value, **gaps})})


def _with_objects(side: Side[Source]) -> Side[Source]:
    """The streams of a service whose job names none: those of the recipe's engine, else all that the registry knows."""
    spec = side.spec
    named = (spec.objects, spec.files, spec.tables, spec.table, spec.queries, spec.sheets, spec.spreadsheet_id)
    if any(found is not None for found in named) or side.connector is None:
        return side
    listed = side.node.at("engine", "options", "streams_default")
    found = [n.text for n in listed.value if n.text] if listed is not None and listed.kind == "list" else None
    if found is None and side.connector.category in _SERVICES:
        found = side.connector.objects_supported
    return replace(side, spec=msgspec.structs.replace(spec, objects=found)) if found else side


def _side(
    reading: Reading, role: Role, struct: type[S], merged: Node, recipe: Recipe, registry: RegistryFile
) -> Side[S] | None:
    type_text = merged.get("type")
    named_type = type_text.text if type_text is not None and type_text.kind == "scalar" else ""
    secrets = with_template(
        reading.secrets, merged, reading.root, reading.variables(recipe.connector), literal=reading.mode != "cloud"
    )
    variables = reading.environment.below(secrets.layers(named_type or recipe.connector))
    node = variables.node(merged)
    unset = tuple((path, found) for path, found in node.walk(role) if found.unset)
    node = node.having({k: _without_unset(v) if k in _FALLBACK else v for k, v in node.value.items()})
    if reading.mode == "cloud":
        check_paths(node, role, reading)
    spec = decode(node, struct, reading.problems, role)
    type_node = node.get("type")
    named = type_node is not None and type_node.kind == "scalar" and type_node.text
    type_ = named or recipe.connector
    custom = node.get(CUSTOM[role])
    connector = None
    if custom is None or custom.is_null():
        where = type_node if type_node is not None and named else reading.head.get(f"{role}_connector_path")
        field = f"{role}.type" if named else f"{role}_connector_path"
        place = where or scalar_of(type_, recipe.mark)
        connector = check_connector(registry, type_, role, place, reading.problems, field)
        if connector is None:
            return None
        if reading.mode == "cloud" and not connector.allowed_in_cloud:
            reading.problems.add(
                f"connector '{type_}' is not allowed in cloud mode", place.mark, field, "run with --mode self_hosted"
            )
    if spec is None:
        return None
    dsn = dsn_settings(type_, node, reading.problems) if role == "source" and connector is not None else None
    found = connections(role, type_, node, variables, secrets, _secret_names(node, type_), dsn)
    return Side(type_, spec, node, connector, unset, found, secrets)


def _secret_names(node: Node, type_: str) -> tuple[str, ...]:
    """The secrets that may hold a connector's settings: the one that its `file_template` names, and its own."""
    template = node.at("credentials", "file_template")
    stem = [secret_name(Path(template.text))] if template is not None and template.text else []
    return tuple(dict.fromkeys([*stem, type_.lower()]))


def _without_unset(block: Node) -> Node:
    """A block without the settings whose variables are set nowhere; a map that loses its `uri` so goes as a whole."""
    if block.kind != "map":
        return block
    kept: dict[str, Node] = {}
    for key, value in block.value.items():
        if value.unset:
            continue
        lost_uri = value.kind == "map" and (uri := value.get("uri")) is not None and bool(uri.unset)
        if not lost_uri:
            kept[key] = _without_unset(value)
    return block.having(kept)
