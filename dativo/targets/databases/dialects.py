"""Which kind of database a job's target is, and what of its settings no database has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dativo.config.partition import INGEST_DATE, Partition
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
    for stream in job.streams:
        yield from partitioned(job, stream.partitioning)


def partitioned(job: ResolvedJob, partitioning: Sequence[Partition]) -> Iterator[UnsupportedError]:
    """Why a database's table cannot be as the job wants it: only the ingest date is a partition there, by its column."""
    for part in partitioning:
        if part.column != INGEST_DATE or part.transform != "identity":
            yield UnsupportedError(
                f"tables in {job.target_type} are not partitioned by dativo, and the job wants {part}",
                hint="leave partitioning out, or set it to [ingest_date], which is a column there",
                mark=job.mark("target.partitioning"),
                field="target.partitioning",
            )
