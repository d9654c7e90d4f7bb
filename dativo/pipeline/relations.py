"""What of a database a stream would read, told in words: relations, columns, and the rows by their cursor."""

from __future__ import annotations

import msgspec

from dativo.config.resolve import Relation, ResolvedJob, StreamConfig
from dativo.sources.database.window import Bounds, bounds
from dativo.sources.database_options import database_options
from dativo.state.cursor import Cursor


class RelationOutline(msgspec.Struct, frozen=True, kw_only=True):
    """A table, view or query of a database as it would be read.

    `columns` is empty where those of the contract are read, `rows` tells which rows by their cursor, `where` is the job's
    own filter.
    """

    name: str
    columns: tuple[str, ...]
    rows: str
    where: str | None


def outlined(job: ResolvedJob, stream: StreamConfig, since: Cursor | None) -> tuple[RelationOutline, ...]:
    """The relations of a stream as a run that goes on from `since` would read them."""
    return tuple(_outline(job, relation, since) for relation in stream.relations)


def connections(job: ResolvedJob, stream: StreamConfig) -> int | None:
    """How many connections the job wants to read a table with; None where the source chooses, or is no database."""
    return database_options(job).connections if stream.relations else None


def _outline(job: ResolvedJob, relation: Relation, since: Cursor | None) -> RelationOutline:
    found = bounds(job, relation, since, full=since is None)
    return RelationOutline(
        name=relation.label,
        columns=relation.columns or (),
        rows="all" if found is None else rows(found),
        where=relation.where,
    )


def rows(found: Bounds) -> str:
    """Bounds as a condition: `updated_at >= 2024-01-01 less 1 day, or null`."""
    if found.open:
        return "all"
    less = f" less {found.lookback_days} day{'s' if found.lookback_days > 1 else ''}" if found.lookback_days else ""
    low = f"{found.column} >= {found.lower}{less}" if found.lower is not None else ""
    high = f"{found.column} < {found.upper}" if found.upper is not None else ""
    return " and ".join(part for part in (low, high) if part) + (", or null" if found.nulls else "")
