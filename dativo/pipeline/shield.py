"""Violations without what may not be seen: personal values masked or withheld, in the value and in the whole record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from dativo.config.asset import Asset
from dativo.config.privacy import Treatment
from dativo.privacy.mask import shown

if TYPE_CHECKING:
    from dativo.pipeline.plan import StreamPlan

WITHHELD = "[withheld]"


def withheld(plan: StreamPlan) -> pl.LazyFrame:
    """The violations of a plan; values that the warehouse may not hold as they are do not get there this way either."""
    frame = plan.enforced.violations(plan.extract.files)
    return hide(frame, plan.stream.asset, plan.treatments, lambda *_: pl.lit(WITHHELD))


def masked(plan: StreamPlan) -> pl.LazyFrame:
    """The violations of a plan for a person's eye: values of treated columns are masked, records hold none of them."""
    return hide(plan.enforced.violations(plan.extract.files), plan.stream.asset, plan.treatments)


def hide(
    frame: pl.LazyFrame,
    asset: Asset,
    hidden: Mapping[str, Treatment],
    change: Callable[[pl.Expr, Treatment], pl.Expr] = shown,
) -> pl.LazyFrame:
    """Violations with the values of the hidden columns changed, and withheld in the records.

    A record that could not be read is withheld as a whole: nobody knows what stands where in it.
    """
    if not hidden:
        return frame
    sources = {f.source_name.strip() for f in asset.fields if f.name in hidden}
    column, value = pl.col("column"), pl.col("value")
    fields = pl.col("record").map_batches(
        lambda records: _without(records, sources), return_dtype=pl.String, is_elementwise=True
    )
    for name, treatment in hidden.items():
        value = pl.when(column == name).then(change(pl.col("value"), treatment)).otherwise(value)
    return frame.with_columns(value=value, record=pl.when(column.is_null()).then(pl.lit(WITHHELD)).otherwise(fields))


def _without(records: pl.Series, names: set[str]) -> pl.Series:
    """Records as JSON with some fields withheld."""
    return pl.Series(records.name, [_shielded(text, names) for text in records], dtype=pl.String)


def _shielded(text: str | None, names: set[str]) -> str:
    try:
        fields: Any = json.loads(text or "null")
    except ValueError:
        return WITHHELD
    if not isinstance(fields, dict):
        return WITHHELD
    # Columns are matched but for white space around their names.
    kept = {k: WITHHELD if k.strip() in names and v is not None else v for k, v in fields.items()}
    return json.dumps(kept, ensure_ascii=False)
