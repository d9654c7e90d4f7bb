"""Where a stream's table is in its database, and whether the database can have what it is called."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from dativo.config.field import Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ConfigError, Mark, Problem
from dativo.targets.databases.dialect import Dialect, quoted

REJECTS_SUFFIX = "__rejects"
STATE = "dativo_state"


class Place(msgspec.Struct, frozen=True):
    """A table: its schema (in MySQL: its database) and its name. A temporary one has no schema."""

    schema: str
    table: str

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}" if self.schema else quoted(self.table)

    @property
    def state(self) -> str:
        """The table of states beside it, in SQL."""
        return Place(self.schema, STATE).sql

    def rejects(self) -> Place:
        return Place(self.schema, self.table + REJECTS_SUFFIX)


def place(job: ResolvedJob, stream: StreamConfig, dialect: Dialect) -> Place:
    """A stream's table; ConfigError where the database cannot have its name."""
    connection = job.connections["target"]
    found = Place(dialect.default_schema(connection, stream.namespace), stream.table)
    asset = stream.asset
    faults = [
        _fault(dialect, found.schema, "schema", "target.connection.schema", job.mark("target.connection.schema")),
        _fault(dialect, found.rejects().table, "table", "name", asset.mark),
    ]
    if found.table == STATE:
        hint = "give the contract another name"
        faults.append(Problem(f"'{STATE}' is where dativo keeps its own state", asset.mark, "name", hint))
    if wrong := [f for f in faults if f is not None]:
        raise ConfigError(wrong)
    return found


def check_columns(columns: Sequence[Field], dialect: Dialect, mark: Mark | None) -> None:
    """ConfigError for columns whose names the database cannot have, or not beside each other."""
    faults = [f for c in columns if (f := _fault(dialect, c.name, "column", f"schema.{c.name}", mark, column=True))]
    seen: dict[str, str] = {}
    for column in columns:
        other = seen.setdefault(dialect.same_name(column.name), column.name)
        if other != column.name:
            text = f"the columns '{other}' and '{column.name}' are the same for {dialect.kind}"
            faults.append(Problem(text, mark, f"schema.{column.name}", "give one of them another name"))
    if faults:
        raise ConfigError(faults)


def _fault(
    dialect: Dialect, name: str, what: str, field: str, mark: Mark | None, *, column: bool = False
) -> Problem | None:
    if re.search(r"[\x00-\x1f\x7f]", name):
        why: str | None = "it has a control character"
    elif not name:
        why = "it is empty"
    else:
        why = dialect.name_fault(name, column=column)
    if why is None:
        return None
    return Problem(
        f"{name!r} cannot name a {what} of {dialect.kind}: {why}", mark, field, f"give the {what} another name"
    )
