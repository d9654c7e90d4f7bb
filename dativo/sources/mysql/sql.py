"""The statements that read a relation. Names are quoted, values are parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dativo.config.resolved import Relation, ResolvedJob
from dativo.sources.database.names import identifier
from dativo.sources.database.query import one_select


def quoted(name: str) -> str:
    return identifier(name, "`")


@dataclass(slots=True, frozen=True)
class Condition:
    """A condition and the values of its parameters."""

    sql: str
    values: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Select:
    """A SELECT over one relation: what stands after FROM, and conditions that all must be true."""

    source: str
    conditions: tuple[Condition, ...] = field(default=())

    def where(self, *more: Condition) -> Select:
        return Select(self.source, (*self.conditions, *more))

    def sql(self, what: str, tail: str = "") -> tuple[str, list[str]]:
        """The statement that selects something, and the values of its parameters."""
        text = f"SELECT {what} FROM {self.source}"  # noqa: S608 - names are quoted, values are parameters
        if self.conditions:
            text += " WHERE " + " AND ".join(f"({c.sql})" for c in self.conditions)
        return f"{text} {tail}".rstrip(), [v for c in self.conditions for v in c.values]


def relation_source(job: ResolvedJob, relation: Relation, database: str | None) -> str:
    """What stands for a relation after FROM."""
    if relation.sql is not None:
        return f"({one_select(job, relation, 'mysql')}) AS `dativo_query`"
    assert relation.table is not None
    schema = relation.schema or database
    return f"{quoted(schema)}.{quoted(relation.table)}" if schema else quoted(relation.table)


def names(columns: Sequence[str]) -> str:
    return ", ".join(quoted(c) for c in columns)


def beyond(key: Sequence[str], places: Sequence[str], values: Sequence[str]) -> Condition:
    """Rows whose key comes after some values, written so that the server can use the key's index.

    A row constructor, `(a, b) > (1, 2)`, would read the whole table. `places` are the typed parameters of the columns.
    """
    return _compared(key, places, values, ">", "")


def up_to(key: Sequence[str], places: Sequence[str], values: Sequence[str]) -> Condition:
    """Rows whose key comes before some values or is equal to them."""
    return _compared(key, places, values, "<", "=")


def _compared(key: Sequence[str], places: Sequence[str], values: Sequence[str], sign: str, equal: str) -> Condition:
    parts: list[str] = []
    used: list[str] = []
    for depth, column in enumerate(key):
        equals = [f"{quoted(k)} = {p}" for k, p in zip(key[:depth], places[:depth], strict=True)]
        last = equal if depth == len(key) - 1 else ""
        parts.append(" AND ".join([*equals, f"{quoted(column)} {sign}{last} {places[depth]}"]))
        used += values[: depth + 1]
    if len(parts) == 1:
        return Condition(parts[0], tuple(used))
    first = f"{quoted(key[0])} {sign}= {places[0]}"
    return Condition(f"{first} AND ({' OR '.join(f'({p})' for p in parts)})", (values[0], *used))
