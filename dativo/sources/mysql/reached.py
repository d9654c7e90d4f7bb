"""How far a relation was read: the cursor of what was read of it, asked of the server in the snapshot of the reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dativo.mysql.wire import WireColumn
from dativo.sources.database.future import Horizon, healed, horizon, reached
from dativo.sources.database.window import Bounds
from dativo.sources.mysql.relation import Described, greatest
from dativo.sources.mysql.session import Session
from dativo.sources.mysql.sql import Condition, quoted
from dativo.sources.mysql.values import Order, is_value, later, parameter

# The type of a column whose values are moments, whatever zone they are written in.
_TIMESTAMP = 7


@dataclass(slots=True, frozen=True)
class CursorColumn:
    """The cursor column of what is read of a relation."""

    session: Session
    described: Described
    order: Order

    def greatest(self, most: str | None = None) -> str | None:
        found = greatest(self.session, self.described if most is None else self._where("<=", most))
        # A zero date is none.
        return found if found is not None and is_value(self.order, found) else None

    def later(self, a: str, b: str) -> bool:
        if self.order == Order.TEXT:
            [[found]] = self.session.asked("SELECT ? > ?", [a, b], "comparing values of the cursor")
            return bool(found)
        return later(self.order, a, b)

    def count_after(self, value: str) -> int:
        sql, values = self._where(">", value).select.sql("count(*)")
        [[found]] = self.session.asked(sql, values, f"counting rows of {self.described.name}")
        return int(found or 0)

    def _where(self, sign: str, value: str) -> Described:
        assert self.described.bounds is not None
        column = self.described.bounds.column
        condition = Condition(f"{quoted(column)} {sign} {parameter(self.described.wire[column])}", (value,))
        return replace(self.described, select=self.described.select.where(condition))


def horizon_of(session: Session, wire: WireColumn, order: Order, _: str) -> Horizon | None:
    """How late values of a column can be; None where they are no dates and no times."""
    if order == Order.DATE:
        return horizon(session.now, lambda moment: moment.date().isoformat(), zoned=False)
    if order == Order.MOMENT:
        return horizon(session.now, lambda m: m.replace(tzinfo=None).isoformat(" "), zoned=wire.type == _TIMESTAMP)
    return None


def described_anew(session: Session, described: Described, describe: Callable[[Bounds], Described]) -> Described:
    """What is read of a relation once a saved cursor that lies in the future is not obeyed."""
    bounds, order = described.bounds, described.cursor_order()
    if bounds is None or order is None:
        return described
    mended = healed(bounds, partial(horizon_of, session, described.wire[bounds.column], order), partial(later, order))
    return described if mended is bounds or mended is None else describe(mended)


def reached_value(session: Session, described: Described, notes: list[str]) -> str | None:
    """The value of the cursor to be saved; None where there is none. A note tells of rows that lie in the future."""
    bounds, order = described.bounds, described.cursor_order()
    if bounds is None or order is None:
        return None
    limit = partial(horizon_of, session, described.wire[bounds.column], order)
    return reached(CursorColumn(session, described, order), described.relation, bounds, limit, notes)
