"""Values of a cursor that lie in the future: by a wrong clock, or as a mark for "never".

Rows that have one are read, again by each run, and never move the saved cursor: after it nothing else would be new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from dativo.config.resolved import Relation
from dativo.sources.database.cursor import entry, entry_key
from dativo.sources.database.names import shown
from dativo.sources.database.window import Bounds, Later, advanced
from dativo.state.cursor import Cursor

# The zone that is furthest ahead of UTC: a time without a zone may be one of there.
_ZONES = timedelta(hours=14)
# So far clocks that are kept right may be apart.
_CLOCKS = timedelta(minutes=1)


@dataclass(slots=True, frozen=True)
class Horizon:
    """How late a cursor can be, as its database writes values of the column.

    `now` is the server's time in UTC, not after the snapshot that is read: no later value is saved. What lies after
    `certain` is in the future wherever it was written; None where values cannot be told to be times.
    """

    now: str
    certain: str | None


def horizon(now: datetime, write: Callable[[datetime], str], *, zoned: bool) -> Horizon:
    """The horizon of a column, `zoned` where its values are moments; `write` spells a time as the column has it."""
    utc = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    return Horizon(write(utc), write(utc + (_CLOCKS if zoned else _ZONES)))


# The horizon for a value of the cursor; None where the column has no dates and no times.
Limit = Callable[[str], Horizon | None]


class Asked(Protocol):
    """The cursor column of what is read of a relation, asked in the snapshot of the reading."""

    def greatest(self, most: str | None = None) -> str | None:
        """The greatest value, with `most` of those up to it; None where there is none."""
        ...

    def later(self, a: str, b: str) -> bool: ...

    def count_after(self, value: str) -> int:
        """How many rows have a later value."""
        ...


def reached(asked: Asked, relation: Relation, bounds: Bounds, limit_of: Limit, notes: list[str]) -> str | None:
    """The value to be saved after a reading; a note tells of rows that lie in the future."""
    found = asked.greatest()
    limit = limit_of(found) if found is not None else None
    if found is None or limit is None or not asked.later(found, limit.now):
        return advanced(bounds, found, asked.later)
    if limit.certain is not None and asked.later(found, limit.certain):
        rows = asked.count_after(limit.certain)
        told = f"{rows:,} rows of {shown(relation)} have" if rows != 1 else f"a row of {shown(relation)} has"
        note = (
            f"{told} a '{bounds.column}' in the future, up to {found}: read again by each run until then, and not counted "
            "when the cursor is saved; set right what is wrong in the database"
        )
        if note not in notes:
            notes.append(note)
    return advanced(bounds, asked.greatest(limit.now), asked.later)


def healed(bounds: Bounds | None, limit_of: Limit, later: Later) -> Bounds | None:
    """The bounds without a saved value that lies in the future: rows that changed before it may never have been read.

    A run that begins elsewhere by its own `since` leaves it to another one.
    """
    if bounds is None or bounds.saved is None or bounds.since:
        return bounds
    limit = limit_of(bounds.saved)
    if limit is None or limit.certain is None or not later(bounds.saved, limit.certain):
        return bounds
    return replace(bounds, lower=None, saved=None, ahead=bounds.saved)


def saved_after(since: Cursor | None, reached: Iterable[tuple[Relation, Bounds, str | None]]) -> Cursor:
    """The cursor with the values that relations were read to; a saved one that was not obeyed goes where there is none."""
    entries = dict(since.entries) if since is not None else {}
    for relation, bounds, value in reached:
        key = entry_key(relation.object, bounds.column)
        if value is not None:
            entries[key] = entry(value, relation)
        elif bounds.ahead is not None:
            entries.pop(key, None)
    return Cursor(entries=entries)


def tell_healed(relation: Relation, bounds: Bounds | None, notes: list[str]) -> None:
    """Adds a note where a saved value was not obeyed."""
    if bounds is not None and bounds.ahead is not None:
        notes.append(
            f"{shown(relation)} is read from the beginning: its saved cursor {bounds.ahead} lies in the future, and rows "
            "that changed before it may be missing"
        )
