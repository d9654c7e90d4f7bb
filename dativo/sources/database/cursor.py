"""How far a relation has been read: the entry `{object}.{cursor_field}` with its `last_value`, as text of the database.

With a filter or a query the entry has a hash of it, too: rows that another one lets in were never read.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from dativo.config.resolved import Relation
from dativo.errors import StateError
from dativo.state.cursor import Cursor


def entry_key(object_: str, column: str) -> str:
    return f"{object_}.{column}"


def last_value(cursor: Cursor, object_: str, column: str) -> str | None:
    """The value that a relation was read up to; None when it was not. StateError when it is no value."""
    entry = cursor.entries.get(entry_key(object_, column))
    value = entry.get("last_value") if entry is not None else None
    if value is None:
        return None
    # Another program wrote numbers as numbers.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise StateError(
            f"the state of '{entry_key(object_, column)}' has no value that a column can be compared with",
            hint="mend `last_value` in the state, or read all again with `--full-refresh`",
        )
    return str(value)


def entry(value: str, relation: Relation) -> dict[str, Any]:
    """The entry of a value that was reached now."""
    made = {"last_value": value, "updated_at": datetime.now(UTC).isoformat(timespec="seconds")}
    chosen = _filter(relation)
    return {**made, "filter": chosen} if chosen else made


def filter_changed(cursor: Cursor, relation: Relation, column: str) -> bool:
    """Whether the value was reached by another filter or query, so that rows before it may be new.

    A filter where there was none lets in nothing that was not read.
    """
    known = cursor.entries.get(entry_key(relation.object, column), {}).get("filter")
    return known is not None and known != _filter(relation)


def _filter(relation: Relation) -> str:
    text = " ".join((relation.sql or relation.where or "").split())
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""
