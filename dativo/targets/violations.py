"""What is kept of rows that broke their contract: the columns of every table of rejects, whatever the target."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from dativo.config.field import Field

TARGET_BYTES = 150 << 20

REJECT_COLUMNS = (
    Field(name="run", kind="string", description="token of the run that found it"),
    Field(name="job", kind="string", description="tenant.job"),
    Field(name="action", kind="string", description="rejected, nulled (loaded with null) or refused (nothing loaded)"),
    Field(name="file", kind="string", description="source file"),
    Field(name="row", kind="long", description="number of the record in its file, from 1"),
    Field(name="column", kind="string", description="column of the contract; null when the whole record is bad"),
    Field(name="rule", kind="string", description="rule that was broken"),
    Field(name="value", kind="string", description="original value"),
    Field(name="record", kind="string", description="the whole row as JSON, or the record's text if it cannot be read"),
    Field(name="found_at", kind="timestamptz", description="when the run began"),
)


def of_run(violations: pl.LazyFrame, *, token: str, job: str, action: str, found: datetime) -> pl.LazyFrame:
    """Violations with the run that found them, as REJECT_COLUMNS has them."""
    return violations.with_columns(
        run=pl.lit(token),
        job=pl.lit(job),
        action=pl.lit(action),
        found_at=pl.lit(found).cast(pl.Datetime("us", "UTC")),
    )
