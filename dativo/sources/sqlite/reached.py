"""How far a relation was read: the cursor of what was read of it, asked in the transaction of the reading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dativo.config.resolved import StreamConfig
from dativo.sources.database.columns import fed_kind
from dativo.sources.database.future import Horizon, horizon
from dativo.sources.database.names import identifier
from dativo.sources.sqlite.relation import Described, is_number, later
from dativo.sources.sqlite.session import Session
from dativo.sources.sqlite.values import text_of
from dativo.state.cursor import is_moment

_DATES = ("date", "timestamp", "timestamptz")


@dataclass(slots=True, frozen=True)
class CursorColumn:
    """The cursor column of what is read of a relation."""

    session: Session
    described: Described

    def greatest(self, most: str | None = None) -> str | None:
        return text_of(self._asked("max({})", "<=", most))

    def later(self, a: str, b: str) -> bool:
        return later(a, b)

    def count_after(self, value: str) -> int:
        return int(self._asked("count(*)", ">", value))

    def _asked(self, what: str, sign: str, limit: str | None) -> Any:
        """An expression over the column's values, with a limit over those that compare with it."""
        assert self.described.bounds is not None
        column = identifier(self.described.bounds.column)
        sql, values = self.described.sql(what.format(column)), self.described.values
        if limit is not None:
            sql += (" AND " if self.described.conditions else " WHERE ") + f"{column} {sign} ?"
            values = (*values, limit)
        [[found]] = self.session.execute(sql, values, "asking for the greatest cursor").fetchall()
        return found


def horizon_of(session: Session, stream: StreamConfig, described: Described, sample: str) -> Horizon | None:
    """How late values of a cursor column can be; None where they are no texts of dates or times.

    Its declared type or the contract tells what they are, a value of it how they are written.
    """
    assert described.bounds is not None
    column = described.bounds.column
    declared = described.declared[column].upper()
    timely = "DATE" in declared or "TIME" in declared
    if is_number(sample) or not (timely or fed_kind(stream, column, list(described.declared)) in _DATES):
        return None
    if len(sample) == 10:
        limit = horizon(session.now, lambda moment: moment.date().isoformat(), zoned=False)
    else:
        between = "T" if sample[10:11] == "T" else " "
        limit = horizon(session.now, lambda moment: moment.replace(tzinfo=None).isoformat(between), zoned=False)
    return limit if is_moment(sample) else replace(limit, certain=None)
