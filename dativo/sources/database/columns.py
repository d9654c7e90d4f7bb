"""Which columns of a relation a reading takes."""

from __future__ import annotations

from collections.abc import Sequence

from dativo.config.column_names import usable
from dativo.config.resolved import Relation, ResolvedJob, StreamConfig
from dativo.config.types import Kind
from dativo.contract.columns import match_columns, report_columns
from dativo.errors import SourceError, listed, nearest
from dativo.sources.database.names import shown

_TEXT = ("string", "uuid", "json")


def chosen(job: ResolvedJob, stream: StreamConfig, relation: Relation, available: Sequence[str]) -> tuple[str, ...]:
    """The columns to be read, in the order in which the relation has them.

    Those that the relation's entry names; else those that the contract needs, and in warn mode all. Columns whose names
    none can have here are left out. Raises SourceError for one that is named and not there, ContractError when a
    required column of the contract is missing and no other relation of the stream could have it.
    """
    matched = match_columns(stream.asset, available)
    wanted = {source for source in matched.values() if source is not None}
    if relation.columns is not None:
        for position, name in enumerate(relation.columns):
            if name not in available:
                raise missing(job, relation, name, available, f"{relation.field}.columns[{position}]")
        wanted = set(relation.columns)
        matched = {name: source if source in wanted else None for name, source in matched.items()}
    elif job.validation_mode == "warn":
        wanted = set(available)
    if len(stream.relations) == 1:
        extra = tuple(c for c in available if c not in matched.values())
        report_columns(stream.asset, matched, extra, available, job.validation_mode)
    return tuple(c for c in available if c in wanted and usable(c))


def check_cursor(job: ResolvedJob, relation: Relation, available: Sequence[str]) -> None:
    """Raises SourceError when the relation lacks the column by which it is loaded."""
    column = job.cursor_field(relation)
    if column is not None and column not in available:
        own = f"{relation.field}.cursor_field"
        raise missing(job, relation, column, available, own if own in job.marks else "source.incremental.cursor_field")


def as_text(stream: StreamConfig, column: str | None, available: Sequence[str]) -> bool:
    """Whether a relation's column becomes text by the contract, which is ordered by its bytes and not as it is there."""
    return fed_kind(stream, column, available) in _TEXT


def fed_kind(stream: StreamConfig, column: str | None, available: Sequence[str]) -> Kind | None:
    """The type that the contract gives a relation's column; None where it has no field for it."""
    fed = {source: name for name, source in match_columns(stream.asset, available).items()}
    field = stream.asset.field(fed.get(column) or "") if column is not None else None
    return field.kind if field is not None else None


def missing(job: ResolvedJob, relation: Relation, name: str, available: Sequence[str], field: str) -> SourceError:
    """What is said of a column that is named in the job and that the relation does not have."""
    guess = nearest(name, available)
    return SourceError(
        f"{shown(relation)} has no column '{name}'",
        hint=f"did you mean '{guess}'?" if guess else f"it has: {listed(available)}",
        mark=job.mark(field),
        field=field,
    )
