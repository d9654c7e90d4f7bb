"""The rows of a relation that a reading is asked for, by its cursor.

Values are text as the database writes them. How they are compared and what a day of lookback is, is the dialect's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dativo.config.resolved import Relation, ResolvedJob, StreamConfig
from dativo.sources.database.cursor import filter_changed, last_value
from dativo.sources.database.names import shown
from dativo.state.cursor import Cursor

Later = Callable[[str, str], bool]


@dataclass(slots=True, frozen=True)
class Bounds:
    """Rows with `lower - lookback_days <= column < upper`, and with `nulls` those that have no value there, too.

    An end that is None is open. The lookback is for dates and timestamps; other columns have none. `saved` is the value
    that an earlier reading came to, `since` whether this one was asked to begin elsewhere; `ahead` is a value that was
    saved and is not obeyed, because it lies in the future.
    """

    column: str
    lower: str | None = None
    upper: str | None = None
    lookback_days: int = 0
    nulls: bool = True
    saved: str | None = None
    since: bool = False
    ahead: str | None = None

    @property
    def open(self) -> bool:
        """Whether all rows are asked for."""
        return self.lower is None and self.upper is None


def bounds(job: ResolvedJob, relation: Relation, since: Cursor | None, *, full: bool) -> Bounds | None:
    """What of a relation is to be read; None when it has no cursor.

    A run's own window is obeyed by a full reading, too; the saved cursor is not, nor is one that was reached by another
    filter.
    """
    column = job.cursor_field(relation)
    if column is None:
        return None
    again = since is None or full or filter_changed(since, relation, column)
    saved = None if since is None or again else last_value(since, relation.object, column)
    own = job.window
    days = (job.incremental.lookback_days or 0) if job.incremental is not None else 0
    return Bounds(
        column,
        lower=saved if own.since is None else own.since,
        upper=own.until,
        lookback_days=days if own.since is None else 0,
        nulls=own.until is None,
        saved=saved,
        since=own.since is not None,
    )


def advanced(bounds: Bounds, found: str | None, later: Later) -> str | None:
    """The value to be saved: the greatest that was read, never one below the saved one.

    It stays where it was when the reading began above it, because the rows between were left out. `later(a, b)` tells
    whether a comes after b, as the database compares them.
    """
    saved = bounds.saved
    if found is None:
        return saved
    if bounds.since and bounds.lower is not None and (saved is None or later(bounds.lower, saved)):
        return saved
    return saved if saved is not None and not later(found, saved) else found


def notes(job: ResolvedJob, stream: StreamConfig, since: Cursor | None, *, full: bool) -> list[str]:
    """What a person should know of the bounds of a stream's relations."""
    if since is None or full:
        return []
    columns = [(r, job.cursor_field(r)) for r in stream.relations]
    return [
        f"{shown(r)} is read from the beginning: {'its text' if r.sql is not None else 'its filter'} is not what it was"
        for r, column in columns
        if column is not None and filter_changed(since, r, column)
    ]
