"""A session with a database that lasts as long as a reading does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from dativo.sources.protocol import Extract
from dativo.state.cursor import Cursor


class Session(Protocol):
    """What sees one state of a database until it is closed."""

    def close(self) -> None: ...


def reading(
    session: Session, extract: Callable[[Cursor | None, bool], Extract], since: Cursor | None, full: bool
) -> Extract:
    """The extract since a cursor, or with `full` of everything, that `extract` makes in a session.

    What it gives `since` another cursor is made in the same session. The session ends with it, or when making it fails.
    """
    try:
        found = extract(since, full)
    except BaseException:
        session.close()
        raise
    return replace(found, since=lambda cursor: extract(cursor, False), close=session.close)
