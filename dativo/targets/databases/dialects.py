"""Which kind of database a job's target is, and what of its settings no database has."""

from __future__ import annotations

from collections.abc import Iterator

from dativo.config.resolve import ResolvedJob
from dativo.errors import UnsupportedError
from dativo.targets.databases.dialect import Dialect


def dialect_of(job: ResolvedJob) -> Dialect:
    """The kind of the job's target."""
    if job.target_type == "mysql":
        from dativo.targets.databases.mysql_dialect import MySqlDialect

        return MySqlDialect()
    from dativo.targets.databases.postgres_dialect import PostgresDialect

    return PostgresDialect()


def unbuilt(job: ResolvedJob) -> Iterator[UnsupportedError]:
    """Settings that a table in a database cannot have."""
    for name in ("catalog", "warehouse", "parquet_target_size_mb", "branch"):
        if getattr(job.target, name) is not None:
            yield UnsupportedError(
                f"the target {job.target_type} has no {name}",
                field=f"target.{name}",
                mark=job.mark(f"target.{name}"),
                hint="leave it out, or use the target iceberg",
            )
