"""The columns that a write mode adds to a table: when a version of a row held, and when a row left its source."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from dativo.config.asset import Field
from dativo.config.resolve import ResolvedJob
from dativo.errors import UnsupportedError

if TYPE_CHECKING:
    import polars as pl

    from dativo.pipeline.plan import StreamPlan

VALID_FROM = Field(name="valid_from", kind="timestamptz", description="when this version of the row begins")
VALID_TO = Field(name="valid_to", kind="timestamptz", description="when this version of the row ended; null: it holds")
IS_CURRENT = Field(name="is_current", kind="boolean", description="whether this is the row's last version")
DELETED_AT = Field(name="_deleted_at", kind="timestamptz", description="when the row was found gone from its source")


def added_fields(job: ResolvedJob) -> tuple[Field, ...]:
    """The columns that the job's write mode adds to its tables."""
    if job.write_mode == "scd2":
        return VALID_FROM, VALID_TO, IS_CURRENT
    return (DELETED_AT,) if job.write_mode == "upsert" and job.target.detect_deletes == "soft" else ()


def check_names(job: ResolvedJob, columns: Iterable[str]) -> None:
    """Raises UnsupportedError where a column has the name of one that the write mode adds."""
    taken = {f.name for f in added_fields(job)}
    for name in columns:
        if name.casefold() in taken:
            soft = name.casefold() == DELETED_AT.name
            what, field = ("detect_deletes: soft", "detect_deletes") if soft else ("write_mode scd2", "write_mode")
            raise UnsupportedError(
                f"{what} adds a column '{name.casefold()}' of its own to the table, and the rows have one of this name",
                hint="give the column another name in the contract, and name the source's with `physicalName`",
                field=f"target.{field}",
                mark=job.mark(f"target.{field}"),
            )


def cursor_column(plan: StreamPlan) -> Field | None:
    """The contract's column that orders the versions of a row: the one that the stream's cursor feeds."""
    job, stream = plan.job, plan.stream
    name = job.cursor_field(stream.relations[0] if stream.relations else None)
    if name is None:
        return None
    fields = [f for f in stream.asset.fields if f.name not in plan.enforced.absent]
    return next((f for f in fields if f.source_name == name), None) or next((f for f in fields if f.name == name), None)


def begins(plan: StreamPlan, started: datetime) -> pl.Expr:
    """When a row's version begins: at its cursor where that is a time, else when the run began."""
    import polars as pl

    now = pl.lit(started, dtype=pl.Datetime("us", "UTC"))
    cursor = cursor_column(plan)
    if cursor is None or cursor.kind not in ("date", "timestamp", "timestamptz"):
        return now
    value = plan.enforced.value(cursor.name)
    if cursor.kind != "timestamptz":
        value = value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.coalesce(value, now)


def first_values(plan: StreamPlan, started: datetime) -> tuple[pl.Expr, ...]:
    """The added columns of rows that are each the only version of theirs."""
    import polars as pl

    names = [f.name for f in added_fields(plan.job)]
    nothing = pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    if VALID_FROM.name in names:
        return history(begins(plan, started), nothing)
    return (nothing.alias(DELETED_AT.name),) if names else ()


def history(since: pl.Expr, until: pl.Expr) -> tuple[pl.Expr, ...]:
    """The columns of a version that holds since one time until another, which is null for the last."""
    return since.alias(VALID_FROM.name), until.alias(VALID_TO.name), until.is_null().alias(IS_CURRENT.name)
