"""Connector recipes in their three layouts, brought into one.

- unified: `connectors/NAME.yaml` with a list `roles`;
- split: `connectors/sources|targets/NAME.yaml` without `roles`, `type` is the connector type;
- guide: the same folders, but `type` is `source` or `target`, the connector type is `name`, `engine` a word.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.decode import decode
from dativo.config.environment import Environment
from dativo.config.job import Engine, Incremental
from dativo.config.nodes import Node, map_of
from dativo.config.problems import Problems
from dativo.errors import Mark

Role = Literal["source", "target"]
ENGINES = ("native", "airbyte", "meltano", "singer", "jdbc", "spark")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Where a connector's credentials come from."""

    unknown: ClassVar[str] = "free"
    type: Annotated[
        Literal["none", "api_key", "basic", "service_account", "oauth2"] | None, Meta(description="kind of credentials")
    ] = None
    from_env: Annotated[str | None, Meta(description="variable that holds them")] = None
    file_template: Annotated[str | None, Meta(description="path with {tenant}")] = None
    extra: dict[str, Any] = {}


class RecipeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A connector recipe: defaults that every job of the connector shares."""

    unknown: ClassVar[str] = "keep"
    editor_schema: Annotated[str | None, Meta(description="hint for editors, ignored")] = msgspec.field(
        name="$schema", default=None
    )
    name: Annotated[str, Meta(min_length=1, description="the recipe's name")]
    type: Annotated[str, Meta(min_length=1, description="connector type; in the guide's layout the role")]
    roles: Annotated[list[Role] | None, Meta(description="unified layout: what the connector can be")] = None
    description: Annotated[str | None, Meta(description="for people")] = None
    default_engine: Annotated[Engine | str | None, Meta(description="engine and its options")] = None
    engine: Annotated[Engine | str | None, Meta(description="the guide's spelling of `default_engine`")] = None
    credentials: Annotated[Credentials | None, Meta(description="where credentials come from")] = None
    connection_template: Annotated[dict[str, Any] | None, Meta(description="default connection")] = None
    incremental: Annotated[Incremental | None, Meta(description="defaults of incremental loading")] = None
    incremental_strategy: Annotated[str | None, Meta(description="the guide's spelling of `incremental.strategy`")] = (
        None
    )
    rate_limits: Annotated[dict[str, Any] | None, Meta(description="requests a second and retries")] = None
    catalog: Annotated[str | dict[str, Any] | None, Meta(description="target: default Iceberg catalog")] = None
    file_format: Annotated[str | None, Meta(description="target: default file format")] = None
    partitioning_default: Annotated[list[str] | None, Meta(description="target: default partitioning")] = None
    streams_default: Annotated[list[str] | None, Meta(description="source: default streams")] = None
    objects: Annotated[list[str] | None, Meta(description="source: default streams")] = None
    options: Annotated[dict[str, Any] | None, Meta(description="default options")] = None
    extra: dict[str, Any] = {}


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe in the one layout the rest of the program knows."""

    name: str
    connector: str
    roles: tuple[Role, ...] | None
    node: Node
    mark: Mark


def read_recipe(node: Node, folder: str, environment: Environment, problems: Problems) -> Recipe | None:
    """The recipe in a document; `folder` is the name of the directory that holds it, which may tell the role.

    It is judged with its variables put in, and kept as it is written: a job may replace what holds them.
    """
    file = decode(environment.node(node), RecipeFile, problems)
    if file is None:
        return None
    guide = file.roles is None and file.type in ("source", "target")
    if file.default_engine is None and file.engine is None:
        problems.add(
            "'default_engine' is required",
            node.mark,
            "default_engine",
            f"one of {', '.join(ENGINES)}, as `type: native`",
        )
        return None
    roles: tuple[Role, ...] | None = tuple(file.roles) if file.roles is not None else None
    if guide:
        roles = ("source",) if file.type == "source" else ("target",)
    elif roles is None and folder in ("sources", "targets"):
        roles = ("source",) if folder == "sources" else ("target",)
    connector = file.name if guide else file.type
    return Recipe(name=file.name, connector=connector, roles=roles, node=node, mark=node.mark)


def source_defaults(recipe: Recipe) -> Node:
    """The recipe's part of a job's `source`, laid out as the job would write it."""
    return _defaults(
        recipe,
        {
            "connection": ("connection_template",),
            "credentials": ("credentials",),
            "rate_limits": ("rate_limits",),
            "engine": ("default_engine", "engine"),
            "objects": ("objects", "streams_default"),
        },
    )


def target_defaults(recipe: Recipe) -> Node:
    """The recipe's part of a job's `target`, laid out as the job would write it."""
    return _defaults(
        recipe,
        {
            "connection": ("connection_template",),
            "credentials": ("credentials",),
            "engine": ("default_engine", "engine"),
            "catalog": ("catalog",),
            "file_format": ("file_format",),
            "partitioning": ("partitioning_default",),
        },
    )


def incremental_defaults(recipe: Recipe) -> dict[str, Node]:
    """The recipe's `strategy`, `cursor_field` and `lookback_days`, which fill the gaps of a job's own."""
    block = recipe.node.get("incremental")
    found: dict[str, Node] = {}
    for name in ("strategy", "cursor_field", "lookback_days"):
        for key in (name, f"{name}_default"):
            value = block.get(key) if block is not None else None
            if value is not None and not value.is_null():
                found[name] = value
    strategy = recipe.node.get("incremental_strategy")
    if strategy is not None and not strategy.is_null():
        found.setdefault("strategy", strategy)
    return found


def _defaults(recipe: Recipe, names: dict[str, tuple[str, ...]]) -> Node:
    entries: dict[str, Node] = {}
    for ours, theirs in names.items():
        found = next((n for n in (recipe.node.get(t) for t in theirs) if n is not None and not n.is_null()), None)
        if found is not None:
            entries[ours] = found
    return map_of(entries, recipe.mark)
