"""Violations summed up: how often each rule was broken, with one example."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.pipeline.purposes import hidden_columns
from dativo.pipeline.shield import WITHHELD
from dativo.privacy.mask import shown
from dativo.receipt import RuleCount

MOST_RULES = 100
MOST_TEXT = 80


def rule_counts(violations: Path, job: ResolvedJob, stream: StreamConfig) -> tuple[RuleCount, ...]:
    """Each rule that was broken, the most frequent first; an example of personal data is masked as in a preview."""
    value = text = pl.col("value").str.slice(0, MOST_TEXT)
    for name, treatment in hidden_columns(job, stream).items():
        hidden = (pl.col("column") == name) & (text != WITHHELD)
        value = pl.when(hidden).then(shown(text, treatment)).otherwise(value)
    found = (
        pl.scan_parquet(violations)
        .with_columns(value=value)
        .group_by("column", "rule")
        .agg(pl.len().alias("count"), pl.col("file", "row", "value").sort_by("file", "row").first())
        .sort("count", "column", "rule", descending=[True, False, False], nulls_last=True)
        .head(MOST_RULES)
        .collect(engine="streaming")
    )
    return tuple(
        RuleCount(
            column=row["column"] or "",
            rule=row["rule"],
            count=row["count"],
            file=row["file"],
            row=row["row"],
            value=row["value"],
        )
        for row in found.iter_rows(named=True)
    )
