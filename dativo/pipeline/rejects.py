"""Rows that broke a contract: which runs found some, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError, SourceError
from dativo.pipeline.purposes import hidden_columns
from dativo.state.receipts import receipts
from dativo.targets.reading import TableReader

if TYPE_CHECKING:
    import polars as pl


class RejectRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one run found in one stream. `rows` are records, `violations` broken rules; `found_at` is ISO 8601 in UTC.

    `action` is what was done about the rows: rejected (set aside), nulled (loaded with null in place of the value),
    refused (the whole run was), or unfinished (the run died before its commit, and another one did its work).
    """

    job: str
    stream: str
    run: str
    found_at: str
    action: str
    rows: int
    violations: int
    rules: tuple[str, ...]


def list_rejects(job: ResolvedJob) -> list[RejectRun]:
    """The runs of a job that found violations, the newest first."""
    found = [entry for stream in job.streams for entry in _runs(job, stream)]
    return sorted(found, key=lambda r: r.run, reverse=True)


def _runs(job: ResolvedJob, stream: StreamConfig) -> list[RejectRun]:
    import polars as pl

    reader = connectors.reader(job, stream)
    frame = _own(reader, job)
    if frame is None:
        return []
    rule = pl.when(pl.col("column").is_null()).then("rule").otherwise(pl.concat_str("column", "rule", separator=" "))
    grouped = _collected(
        frame.group_by("run").agg(
            pl.col("found_at").first(),
            pl.col("action").first(),
            pl.struct("file", "row").n_unique().alias("rows"),
            pl.len().alias("violations"),
            rule.unique().sort().alias("rules"),
        )
    )
    finished = _finished_runs(reader, job, stream)
    return [
        RejectRun(
            job=job.name,
            stream=stream.name,
            run=row["run"],
            found_at=row["found_at"].isoformat(timespec="seconds"),
            action=row["action"] if row["run"] in finished or row["action"] == "refused" else "unfinished",
            rows=row["rows"],
            violations=row["violations"],
            rules=tuple(row["rules"]),
        )
        for row in grouped.iter_rows(named=True)
    ]


def _finished_runs(reader: TableReader, job: ResolvedJob, stream: StreamConfig) -> set[str]:
    """The runs whose good rows are in the table, as far as anything still tells."""
    facts = reader.facts()
    committed = {s.run for s in facts.snapshots if s.run} if facts is not None else set()
    told = {r.run_id for r in receipts(job) for s in r.streams if s.stream == stream.name and s.status == "loaded"}
    return committed | set(reader.tokens()) | told


def show_rejects(
    job: ResolvedJob,
    *,
    stream: str | None = None,
    run: str | None = None,
    rule: str | None = None,
    column: str | None = None,
    limit: int | None = 50,
    show_pii: bool = False,
) -> pl.DataFrame:
    """The violations of one run: run, file, row, column, rule, value, record, action; ordered by file and row.

    Without `run` the newest that finished; `run` may be the beginning of a token. Personal values are masked unless
    `show_pii`. Raises SourceError when there is no such run.
    """
    known = [r for r in list_rejects(job) if stream is None or r.stream == stream]
    chosen = [r for r in known if (r.run.startswith(run) if run else r.action != "unfinished")][:1]
    if not chosen:
        hint = f"runs with rejects: `dativo rejects list {job.name}`" if known else "no run of this job found any"
        raise SourceError(f"no rejects of run '{run}'" if run else f"the job '{job.name}' has no rejects", hint=hint)
    picked = next(s for s in job.streams if s.name == chosen[0].stream)
    return _violations(job, picked, chosen[0].run, rule, column, limit, show_pii)


def _violations(
    job: ResolvedJob,
    stream: StreamConfig,
    run: str,
    rule: str | None,
    column: str | None,
    limit: int | None,
    show_pii: bool,
) -> pl.DataFrame:
    import polars as pl

    from dativo.pipeline.shield import hide

    frame = _own(connectors.reader(job, stream), job)
    assert frame is not None
    frame = frame.filter(pl.col("run") == run)
    if rule is not None:
        frame = frame.filter(pl.col("rule") == rule)
    if column is not None:
        frame = frame.filter(pl.col("column") == column)
    frame = frame.sort("file", "row", "column", nulls_last=True)
    if limit is not None:
        frame = frame.head(limit)
    hidden = {} if show_pii else hidden_columns(job, stream)
    return _collected(
        hide(frame, stream.asset, hidden).select("run", "file", "row", "column", "rule", "value", "record", "action")
    )


def _own(reader: TableReader, job: ResolvedJob) -> pl.LazyFrame | None:
    import polars as pl

    frame = reader.rejects()
    return None if frame is None else frame.filter(pl.col("job") == f"{job.tenant_id}.{job.name}")


def _collected(frame: pl.LazyFrame) -> pl.DataFrame:
    import polars as pl

    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DativoError(f"the rejects cannot be read: {str(error).splitlines()[0]}") from error
