"""Violations without what may not be seen: personal values masked or withheld, in the value and in the whole record."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import polars as pl

from dativo.config.asset import Asset
from dativo.privacy.mask import partial

if TYPE_CHECKING:
    from dativo.pipeline.plan import StreamPlan

WITHHELD = "[withheld]"


def withheld(plan: StreamPlan) -> pl.LazyFrame:
    """The violations of a plan; values that the warehouse may not hold as they are do not get there this way either."""
    frame = plan.enforced.violations(plan.extract.files)
    return hide(frame, plan.stream.asset, plan.treatments, lambda _: pl.lit(WITHHELD))


def masked(plan: StreamPlan, hidden: Collection[str]) -> pl.LazyFrame:
    """The violations of a plan for a person's eye: values of hidden columns are masked, records hold none of them."""
    return hide(plan.enforced.violations(plan.extract.files), plan.stream.asset, hidden, partial)


def hide(
    frame: pl.LazyFrame, asset: Asset, hidden: Collection[str], change: Callable[[pl.Expr], pl.Expr]
) -> pl.LazyFrame:
    """Violations with the values of the hidden columns changed, and withheld in the records."""
    if not hidden:
        return frame
    sources = {f.source_name for f in asset.fields if f.name in hidden}
    value = pl.col("value")
    return frame.with_columns(
        value=pl.when(pl.col("column").is_in(list(hidden))).then(change(value)).otherwise(value),
        record=pl.col("record").map_batches(
            lambda records: _without(records, sources), return_dtype=pl.String, is_elementwise=True
        ),
    )


def _without(records: pl.Series, names: set[str]) -> pl.Series:
    """Records as JSON with some fields withheld; the text of a record that could not be read is withheld as a whole."""
    return pl.Series(records.name, [_shielded(text, names) for text in records], dtype=pl.String)


def _shielded(text: str | None, names: set[str]) -> str:
    try:
        fields: Any = json.loads(text or "null")
    except ValueError:
        return WITHHELD
    if not isinstance(fields, dict):
        return WITHHELD
    shown = {k: WITHHELD if k in names and v is not None else v for k, v in fields.items()}
    return json.dumps(shown, ensure_ascii=False)
