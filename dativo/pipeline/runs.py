"""The runs of a table: what its snapshots, its memory of the job and the kept receipts tell of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.pipeline.purposes import one_stream
from dativo.pipeline.refuse import refuse_missing
from dativo.receipt import Receipt, StreamReceipt
from dativo.state.receipts import jobs_with_receipts, receipts
from dativo.targets.reading import TableReader, TableSnapshot

What = Literal["loaded", "unchanged", "refused", "failed", "interrupted", "withheld", "reset", "compacted", "other"]

SHORT = 13


class TableRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what it did to one table; or, without `run`, upkeep, or a change that another program made.

    `at` is when it ended, ISO 8601 in UTC. `snapshot` is the one that it made, `readable` whether the table still keeps
    it. Counts of rows and files are None where nothing tells them any more.
    """

    table: str
    stream: str
    run: str | None
    job: str | None
    at: str
    what: What
    snapshot: int | None = None
    parent: int | None = None
    readable: bool = False
    current: bool = False
    rows_added: int | None = None
    rows_removed: int | None = None
    files_added: int | None = None
    files_removed: int | None = None
    seconds: float | None = None

    @property
    def label(self) -> str:
        """What a person calls it by."""
        return self.run[:SHORT] if self.run is not None else f"snapshot {self.snapshot}"


def list_runs(job: ResolvedJob, *, stream: str | None = None) -> list[TableRun]:
    """The runs of the tables of a job, or of one stream's, the newest first. Raises TargetError, SourceError."""
    chosen = job.streams if stream is None else (one_stream(job, stream),)
    found = [run for each in chosen for run in runs_of(job, each)]
    return sorted(found, key=lambda r: r.at, reverse=True)


def runs_of(job: ResolvedJob, stream: StreamConfig, reader: TableReader | None = None) -> list[TableRun]:
    """The runs of a stream's table, those of other jobs and other programs too, the newest first.

    `reader` looks at the table, if there is one already.
    """
    refuse_missing(job)
    reader = reader or connectors.reader(job, stream)
    told = _told(reader, job, stream)
    found: list[TableRun] = []
    for snapshot in reader.snapshots():
        receipt, part = told.pop(snapshot.run or "", (None, None))
        found.append(_of_snapshot(snapshot, receipt, part, job, stream))
    tokens = reader.tokens()
    found += [_of_receipt(r, p, stream, landed=r.run_id in tokens) for r, p in told.values()]
    known = {r.run for r in found}
    found += [_of_token(t, job, stream) for t in tokens if t not in known]
    return sorted(found, key=lambda r: r.at, reverse=True)


def _told(reader: TableReader, job: ResolvedJob, stream: StreamConfig) -> dict[str, tuple[Receipt, StreamReceipt]]:
    """The kept receipts of the runs that went to the stream's table, by token."""
    facts = reader.facts()
    loads = {*(facts.jobs if facts is not None else ()), f"{job.tenant_id}.{job.name}.{stream.name}"}
    name = f"{stream.namespace}.{stream.table}"
    found = {}
    for other in jobs_with_receipts(job):
        own = f"{job.tenant_id}.{other}."
        if not any(each.startswith(own) for each in loads):
            continue
        for receipt in receipts(job, of=other):
            for part in receipt.streams:
                if part.table == name and own + part.stream in loads:
                    found[receipt.run_id] = (receipt, part)
    return found


def _of_snapshot(
    snapshot: TableSnapshot,
    receipt: Receipt | None,
    part: StreamReceipt | None,
    job: ResolvedJob,
    stream: StreamConfig,
) -> TableRun:
    what: What = "loaded" if snapshot.run is not None else "compacted" if snapshot.upkeep else "other"
    return TableRun(
        table=f"{stream.namespace}.{stream.table}",
        stream=part.stream if part is not None else stream.name,
        run=snapshot.run,
        job=snapshot.job,
        at=snapshot.at,
        what="reset" if part is not None and part.write_mode == "reset" else what,
        snapshot=snapshot.id,
        parent=snapshot.parent,
        readable=True,
        current=snapshot.current,
        rows_added=snapshot.rows_added,
        rows_removed=snapshot.rows_removed,
        files_added=snapshot.files_added,
        files_removed=snapshot.files_removed,
        seconds=receipt.seconds if receipt is not None else None,
    )


def _of_receipt(receipt: Receipt, part: StreamReceipt, stream: StreamConfig, *, landed: bool) -> TableRun:
    """A run that made no snapshot, or one that is no longer kept."""
    done = landed or part.status == "loaded"
    what: What = "reset" if part.write_mode == "reset" else "loaded" if done else part.status
    replaced = done and part.write_mode == "replace" and part.snapshot_id is not None
    ended = datetime.fromisoformat(receipt.started_at) + timedelta(seconds=receipt.seconds)
    return TableRun(
        table=f"{stream.namespace}.{stream.table}",
        stream=part.stream,
        run=receipt.run_id,
        job=f"{receipt.tenant_id}.{receipt.job}",
        at=ended.isoformat(timespec="milliseconds"),
        what=what,
        snapshot=part.snapshot_id if done else None,
        rows_added=part.loaded if done else 0,
        rows_removed=None if replaced else 0,
        files_added=part.files if done else 0,
        files_removed=None if replaced else 0,
        seconds=receipt.seconds,
    )


def _of_token(token: str, job: ResolvedJob, stream: StreamConfig) -> TableRun:
    """A run of which the table knows nothing but that it committed."""
    return TableRun(
        table=f"{stream.namespace}.{stream.table}",
        stream=stream.name,
        run=token,
        job=f"{job.tenant_id}.{job.name}",
        at=_began(token),
        what="loaded",
    )


def _began(token: str) -> str:
    """The time in a token, which is a UUID of version 7; the beginning of time where it is something else."""
    digits = token.replace("-", "")
    try:
        moment = datetime.fromtimestamp(int(digits[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat(timespec="milliseconds")
