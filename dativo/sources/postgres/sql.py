"""SELECTs over a relation, put together from parts: identifiers quoted, values as literals of the column's type."""

# Names are quoted and values are literals: see `names`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dativo.sources.database.names import identifier, literal
from dativo.sources.database.window import Bounds
from dativo.sources.postgres.columns import Column
from dativo.sources.postgres.decode import Taken
from dativo.sources.postgres.types import Rule

_DATES = ("date", "timestamp", "timestamptz")
_NOT_NUMBERS = ("float4", "float8", "numeric")


@dataclass(slots=True, frozen=True)
class Columns:
    """What a SELECT gives, and how its batches are taken apart."""

    sql: str
    taken: tuple[Taken, ...]


def columns(wanted: Sequence[tuple[str, Rule]]) -> Columns:
    """The expressions of columns, each under the number of its position; faults that the server finds behind them."""
    parts = [r.sql.replace("{}", identifier(name)) for name, r in wanted]
    taken = []
    for position, (name, found) in enumerate(wanted):
        fault = None
        if found.fault:
            fault = len(parts)
            parts.append(found.fault.replace("{}", identifier(name)))
        taken.append(Taken(name, found, position, fault))
    return Columns(", ".join(f"{part} AS c{i}" for i, part in enumerate(parts)), tuple(taken))


def select(what: str, source: str, conditions: Sequence[str], tail: str = "") -> str:
    where = " AND ".join(f"({c})" for c in conditions if c)
    return f"SELECT {what} FROM {source}" + (f" WHERE {where}" if where else "") + tail


def pages(first: int, end: int) -> str:
    """The rows of pages from `first` up to `end`, exclusively."""
    return f"ctid >= '({first},0)'::tid AND ctid < '({end},0)'::tid"


def value(text: str, column: Column) -> str:
    """A value of a column's type, to be compared with the column."""
    cast = f"CAST({literal(text)} AS {column.type.sql})"
    return f"{cast} COLLATE {column.collation}" if column.collation else cast


def window(bounds: Bounds | None, column: Column | None) -> str:
    """The condition that rows of a window fulfil, empty where all do."""
    if bounds is None or column is None or bounds.open:
        return ""
    name = identifier(bounds.column)
    parts = []
    if bounds.lower is not None:
        parts.append(f"{name} >= {_lower(bounds.lower, bounds.lookback_days, column)}")
    if bounds.upper is not None:
        parts.append(f"{name} < {value(bounds.upper, column)}")
    within = " AND ".join(parts)
    return f"({within}) OR {name} IS NULL" if bounds.nulls else within


def is_date(column: Column) -> bool:
    """Whether values are dates or times of a day, which a clock can be held against."""
    return column.type.builtin and column.type.name in _DATES


def count_after(source: str, conditions: Sequence[str], column: Column, text: str) -> str:
    """The query for how many rows have a later date or time than a value."""
    limits = [f"{identifier(column.name)} > {value(text, column)}", _before_ever(column)]
    return select("count(*)", source, [*conditions, *limits])


def _before_ever(column: Column) -> str:
    return f"{identifier(column.name)} < {value('10000-01-01', column)}"


def _lower(text: str, days: int, column: Column) -> str:
    found = value(text, column)
    if days and is_date(column):
        back = str(int(days)) if column.type.name == "date" else f"INTERVAL '{int(days)} days'"
        return f"{found} - {back}"
    return found


def greatest(source: str, conditions: Sequence[str], column: Column, most: str | None = None) -> str:
    """The query for the greatest value of a cursor column, as text; with `most` of those up to it.

    Infinity, NaN and years beyond 9999, after which no value would ever be new, do not count.
    """
    name = identifier(column.name)
    limits = [f"{name} IS NOT NULL"]
    if is_date(column):
        limits.append(f"{name} <= {value(most, column)}" if most is not None else _before_ever(column))
    elif column.type.builtin and column.type.name in _NOT_NUMBERS:
        limits.append(f"{name} < {value('NaN' if column.type.name == 'numeric' else 'Infinity', column)}")
    # Not max(), which some types lack. A text with the column's name would be what it is ordered by.
    last = select(f"{name} AS v", source, [*conditions, *limits], f" ORDER BY {name} DESC LIMIT 1")
    return f"SELECT CAST(v AS pg_catalog.text) FROM ({last}) AS last"
