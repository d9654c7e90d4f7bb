"""How a connector reaches its system: every setting with its value and where that value came from.

A setting is looked for in the job and its recipe (variables put in), then in the secret called like the connector, then
in the connector's variables, then it has its default. Messages name the place; values of secrets they never show.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dativo.config.environment import Environment
from dativo.config.nodes import Node
from dativo.config.secrets import Secrets
from dativo.errors import Mark


class SettingField(msgspec.Struct, frozen=True):
    """A setting that a connector knows: its name, other spellings, the variables that may hold it, its default."""

    name: str
    aliases: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    default: str | None = None
    secret: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


Source = Literal["configured", "secret", "variable", "default"]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A value and its origin, as `target.connection.s3.bucket (jobs/acme/orders.yaml:14:15)`.

    `source` tells which of the places it was: the configuration, a secret, a variable, or the default; `field` and `mark`
    are where the configuration has it.
    """

    value: str
    origin: str
    source: Source = "configured"
    secret: bool = False
    field: str = ""
    mark: Mark | None = None

    def __repr__(self) -> str:
        return f"Setting(value={'****' if self.secret else repr(self.value)}, origin={self.origin!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("value", "****" if self.secret else self.value), ("origin", self.origin)]


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one system. `kind` is that of its fields, `looked` the places of each setting that has no value."""

    kind: str
    settings: dict[str, Setting] = {}
    looked: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        found = self.settings.get(name)
        return found.value if found is not None else None

    def flag(self, name: str) -> bool | None:
        """A setting that is true or false; None when it is not set."""
        found = self.get(name)
        return None if found is None else found.strip().lower() in ("true", "1", "yes", "on")

    def origin(self, name: str) -> str:
        """Where a value came from, or where it was looked for in vain."""
        found = self.settings.get(name)
        return found.origin if found is not None else f"set nowhere; looked at {self.looked.get(name, 'nothing')}"

    def has(self, *names: str) -> bool:
        return all(name in self.settings for name in names)

    def given(self, name: str) -> bool:
        """Whether a setting was given for this job: in its configuration or in a secret, and not by a variable alone."""
        found = self.settings.get(name)
        return found is not None and found.source in ("configured", "secret")


def read_connection(
    kind: str,
    fields: tuple[SettingField, ...],
    blocks: list[tuple[str, Node]],
    environment: Environment,
    secrets: Secrets,
    names: tuple[str, ...],
) -> Connection:
    """A connection from its blocks in the job (`field path, node`; the first that has a setting wins), the secrets of
    these names, and variables. Settings of the blocks that no field knows are kept as they are."""
    settings: dict[str, Setting] = {}
    looked: dict[str, str] = {}
    for field in fields:
        found = (
            _from_blocks(field, blocks) or _from_secrets(field, secrets, names) or _from_variables(field, environment)
        )
        if found is None and field.default is not None:
            found = Setting(value=field.default, origin="the default", source="default", secret=field.secret)
        if found is not None:
            settings[field.name] = found
        else:
            looked[field.name] = _places(field, blocks, names)
    known = {spelling for field in fields for spelling in field.spellings}
    for path, block in blocks:
        for key, node in block.value.items():
            if key not in known and node.kind == "scalar" and not node.is_null() and not node.unset:
                settings.setdefault(key, _configured(path, key, node))
    return Connection(kind=kind, settings=settings, looked=looked)


def _from_blocks(field: SettingField, blocks: list[tuple[str, Node]]) -> Setting | None:
    for path, block in blocks:
        for spelling in field.spellings:
            node = block.get(spelling)
            if node is not None and node.kind == "scalar" and not node.is_null() and not node.unset and _text(node):
                return _configured(path, spelling, node, secret=field.secret)
    return None


def _configured(path: str, key: str, node: Node, *, secret: bool = False) -> Setting:
    """A setting that a block has; one of a connection URL stands where the URL does."""
    field = path if path.endswith(".dsn") else f"{path}.{key}"
    origin = _place(_named(path, key), node)
    return Setting(value=_text(node), origin=origin, secret=secret, field=field, mark=node.mark)


def _from_secrets(field: SettingField, secrets: Secrets, names: tuple[str, ...]) -> Setting | None:
    wanted = [*field.spellings, *field.variables]
    for name in names:
        entries = {k.lower(): v for k, v in secrets.fields(name).items()}
        for spelling in wanted:
            value = entries.get(spelling.lower())
            if value:
                origin = f"{spelling} in {secrets.origins.get(name, name)}"
                return Setting(value=value, origin=origin, source="secret", secret=field.secret)
    return None


def _from_variables(field: SettingField, environment: Environment) -> Setting | None:
    for name in field.variables:
        value = environment.get(name)
        if value:
            origin = f"{name} in {environment.origin(name)}"
            return Setting(value=value, origin=origin, source="variable", secret=field.secret)
    return None


def _places(field: SettingField, blocks: list[tuple[str, Node]], names: tuple[str, ...]) -> str:
    places = [_named(path, field.name) for path, _ in blocks[:1]]
    places += [f"the secret '{name}'" for name in names[:1]]
    places += [f"the variable {name}" for name in field.variables]
    return ", ".join(places)


def _text(node: Node) -> str:
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return node.text or str(node.value)


def _named(path: str, key: str) -> str:
    """A setting as messages call it; those of a connection URL have no place of their own."""
    return f"{key} in {path}" if path.endswith(".dsn") else f"{path}.{key}"


def _place(path: str, node: Node) -> str:
    written = f", written {node.written}" if node.written and "$" in node.written else ""
    return f"{path} ({node.mark}{written})"
