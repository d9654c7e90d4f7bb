"""How far a stream has been read, as entries that the state file and the table both keep.

Keys and values are those of the formats: `file_{id or path}` with `last_modified`, `glob_{pattern}` with a watermark and
the files inside the lookback, `{object}.{cursor_field}` with `last_value`. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from dativo.errors import StateError


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one stream, and a fingerprint of everything that was read for them."""

    entries: dict[str, dict[str, Any]] = {}
    fingerprint: str = ""

    def to_json(self) -> str:
        return msgspec.json.encode(self, order="deterministic").decode()


def cursor_from_json(text: str) -> Cursor:
    """The cursor that `to_json` wrote; StateError when it is damaged."""
    try:
        return msgspec.json.decode(text, type=Cursor)
    except msgspec.DecodeError as error:
        raise StateError(f"a stored cursor cannot be read: {error}") from error


def iso(moment_ns: int) -> str:
    """Nanoseconds since the epoch as ISO 8601 in UTC, to the microsecond, cut rather than rounded."""
    seconds, nanos = divmod(moment_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
    return moment.isoformat(timespec="microseconds")


def is_moment(text: str) -> bool:
    """Whether there is such a day and time: the thirtieth of February has the form of one."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def moment(text: str) -> datetime:
    """The time that an entry holds; a time without a zone counts as UTC. StateError when it is no time."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise StateError(f"the state holds '{text}' where a time is expected") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
