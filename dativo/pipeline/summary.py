"""Violations summed up: how often each rule was broken, with one example."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.privacy.classify import treatments
from dativo.privacy.mask import partial
from dativo.receipt import RuleCount

MOST_RULES = 100
MOST_TEXT = 80


def rule_counts(violations: Path, job: ResolvedJob, stream: StreamConfig) -> tuple[RuleCount, ...]:
    """Each rule that was broken, the most frequent first; an example of personal data is masked as in a preview."""
    hidden = list(treatments(stream.asset, stream.privacy, "preview", job.file.classification_overrides))
    text = pl.col("value").str.slice(0, MOST_TEXT)
    shown = pl.when(pl.col("column").is_in(hidden)).then(partial(text)).otherwise(text)
    found = (
        pl.scan_parquet(violations)
        .with_columns(value=shown)
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
