"""Batches of Arrow as ADBC gives them, as frames of the rules' dtypes, with the faults of their rows.

ADBC hands infinity and years that Arrow cannot count on as numbers that wrapped around. They are all outside of the years
1 to 9999, so that looking at the numbers finds every one of them; such a value is null, and its row has a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import polars as pl
import pyarrow.lib as pa

from dativo.sources.postgres.types import Rule
from dativo.sources.protocol import FAULT

_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = (date.min - _EPOCH).days, (date.max - _EPOCH).days
# The numbers that a dtype holds, where the database's type has more.
_HELD = {"date": (_FIRST_DAY, _LAST_DAY), "timestamp": (_FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1)}
# Postgres counts from 2000; adding the difference wraps +infinity around.
_SHIFT_DAYS = 10_957
_DAY_INFINITY = {(1 << 31) - 1 + _SHIFT_DAYS - (1 << 32): "infinity", -(1 << 31) + _SHIFT_DAYS: "-infinity"}
_INFINITY = {
    (1 << 63) - 1 + _SHIFT_DAYS * _DAY - (1 << 64): "infinity",
    -(1 << 63) + _SHIFT_DAYS * _DAY: "-infinity",
}


@dataclass(slots=True, frozen=True)
class Taken:
    """A column that a query gives: its name, the rule that it was read by, and the positions of its value and its fault."""

    name: str
    rule: Rule
    position: int
    fault: int | None = None


def decoded(batch: pa.RecordBatch, columns: Sequence[Taken], *, faults: bool) -> pl.DataFrame:
    """The columns of a batch, those of equal name once; with `faults` the column FAULT too."""
    raw = _raw(batch)
    frame = raw.select((_number(c) if _all_held(c, raw) else _value(c)).alias(c.name) for c in columns)
    if not faults:
        return frame
    checked = [c for c in columns if c.rule.check is not None]
    if not any(_lost(c, raw, frame) for c in checked):
        return frame.with_columns(pl.lit(None, dtype=pl.String).alias(FAULT))
    bad = {c.name: _bad(c) for c in checked}
    told = pl.coalesce(pl.when(bad[c.name]).then(_told(c)) for c in checked)
    return frame.with_columns(raw.select(told.alias(FAULT)).to_series())


def _lost(column: Taken, raw: pl.DataFrame, frame: pl.DataFrame) -> bool:
    """Whether any value of a column could not be held."""
    if column.fault is not None:
        return bool(raw[str(column.fault)].any())
    return frame[column.name].null_count() > raw[str(column.position)].null_count()


def _raw(batch: pa.RecordBatch) -> pl.DataFrame:
    """The columns of a batch by their positions."""
    # All at once: one by one would cost half as much again.
    found = pl.from_arrow(
        pa.RecordBatch.from_arrays([_stored(c) for c in batch.columns], [str(i) for i in range(batch.num_columns)])
    )
    assert isinstance(found, pl.DataFrame)
    return found


def _stored(array: pa.Array[Any]) -> pa.Array[Any]:
    """An Arrow column as it is stored; dates and times as the numbers that they are."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array.type, pa.ListType) and isinstance(array.type.value_type, pa.BaseExtensionType):
        array = array.cast(pa.list_(array.type.value_type.storage_type))
    if isinstance(array.type, pa.TimestampType | pa.Time64Type):
        return array.view(pa.int64())
    return array.view(pa.int32()) if array.type == pa.date32() else array


def _all_held(column: Taken, raw: pl.DataFrame) -> bool:
    """Whether a column is of dates or timestamps that its dtype holds, as most are: looking is cheaper than choosing."""
    if column.rule.check not in _HELD:
        return False
    first, last = _HELD[column.rule.check]
    numbers = raw[str(column.position)]
    least, most = cast("int | None", numbers.min()), cast("int | None", numbers.max())
    return least is None or most is None or (first <= least and most <= last)


def _number(column: Taken) -> pl.Expr:
    return pl.col(str(column.position)).cast(column.rule.dtype)


def _value(column: Taken) -> pl.Expr:
    raw, rule = pl.col(str(column.position)), column.rule
    if rule.check in _HELD:
        return pl.when(raw.is_between(*_HELD[rule.check])).then(raw).cast(rule.dtype)
    if rule.check == "time":
        return pl.when(raw < _DAY).then(raw * 1000).cast(pl.Time)
    if rule.check == "decimal":
        return raw.cast(rule.dtype, strict=False)
    return raw


def _bad(column: Taken) -> pl.Expr:
    """Where a value is one that its dtype cannot hold."""
    raw, check = pl.col(str(column.position)), column.rule.check
    if check in _HELD:
        bad = ~raw.is_between(*_HELD[check])
    elif check == "time":
        bad = raw >= _DAY
    elif check == "decimal":
        bad = raw.is_not_null() & _value(column).is_null()
    else:
        bad = pl.col(str(column.fault))
    return bad.fill_null(False)


def _told(column: Taken) -> pl.Expr:
    """What is said of a value that its dtype cannot hold."""
    raw, check, name = pl.col(str(column.position)), column.rule.check, column.name
    if check == "time":
        return pl.lit(f"out_of_range: {name} is 24:00:00")
    if check == "decimal":
        return pl.lit(f"not_finite: {name} is NaN")
    if check == "list":
        return pl.lit(f"nested_array: {name} has more than one dimension")
    infinity = _DAY_INFINITY if check == "date" else _INFINITY
    # What wrapped around lies before what -infinity wrapped to.
    days = raw.cast(pl.Int128)
    if check == "timestamp":
        lowest = next(value for value, text in _INFINITY.items() if text == "-infinity")
        days = pl.when(days < lowest).then(days + (1 << 64)).otherwise(days) // _DAY
    named = raw.replace_strict(infinity, default=None, return_dtype=pl.String)
    year = _year(days)
    shown = pl.when(year > 0).then(year.cast(pl.String)).otherwise((1 - year).cast(pl.String) + " BC")
    return (
        pl.when(named.is_not_null())
        .then(pl.concat_str(pl.lit(f"not_finite: {name} is "), named))
        .otherwise(pl.concat_str(pl.lit(f"out_of_range: {name} is in the year "), shown))
    )


def _year(days: pl.Expr) -> pl.Expr:
    """The year of a day counted from 1970, in the proleptic Gregorian calendar, 0 being 1 BC.

    By eras of 400 years (H. Hinnant, chrono-compatible low-level date algorithms).
    """
    shifted = days.cast(pl.Int64) + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    # Its years begin in March.
    return year_of_era + era * 400 + (day_of_year >= 306).cast(pl.Int64)
