"""A run of a job: each stream read, enforced, compared, written, and committed in one step with its state."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import (
    ContractError,
    DativoError,
    Interrupted,
    SourceError,
    StateError,
    listed,
)
from dativo.observe.listener import Listener, Silence
from dativo.observe.redact import redactor
from dativo.pipeline.background import NOTHING
from dativo.pipeline.memory import peak_memory
from dativo.pipeline.order import Order
from dativo.pipeline.outcome import exit_code, kind_of, worst
from dativo.pipeline.publish import Outcome, Publication, publications, publishes_by_branch
from dativo.pipeline.refuse import refuse_unbuilt
from dativo.pipeline.staging import staging_root, sweep
from dativo.pipeline.stream import StreamRun
from dativo.pipeline.window import windowed
from dativo.receipt import Receipt, Status, StreamReceipt
from dativo.sources.protocol import Source
from dativo.state.cursor import Cursor
from dativo.state.lock import RunLock
from dativo.state.receipts import keep_receipt
from dativo.state.store import read_state, write_state

UNDECIDED = "interrupted during the commit: the next run finds out whether it landed, and does nothing twice"


def sync(
    job: ResolvedJob,
    *,
    streams: Sequence[str] | None = None,
    limit: int | None = None,
    full_refresh: bool = False,
    since: str | None = None,
    until: str | None = None,
    listener: Listener | None = None,
    keep_branch: bool = False,
    publication: Publication | None = None,
) -> Receipt:
    """Runs a job and gives its receipt; `exit_code` there is 0, 1 (some rows broke the contract) or 2.

    `streams` runs some of its streams only, `limit` reads no more than so many rows of each (and leaves the cursor where
    it is), `full_refresh` reads everything again and replaces the table's rows, `since` and `until` read the rows of a
    database whose cursor lies between them (`until` not included), or the files that were modified then. What goes wrong
    with one stream stands in the receipt; ConfigError, UnsupportedError, and JobIsRunning when another run of the job goes
    on, are raised before anything is read.

    A job that publishes by a branch shows all of its streams or none; `keep_branch` leaves the branch of a run that
    failed. With a `publication` (see `together`) nothing is visible before its `finish`, which gives the receipts that
    count; the one given here tells only how far the run came.
    """
    if publication is not None:
        try:
            job = windowed(job, since=since, until=until, streams=streams, full_refresh=full_refresh)
            run = _Run(job, limit=limit, full_refresh=full_refresh, listener=listener or Silence())
            return run.into(publication, streams)
        except DativoError as error:
            publication.fail(f"the job '{job.name}' did not run: {error.message}")
            raise
    refuse_unbuilt(job)
    job = windowed(job, since=since, until=until, streams=streams, full_refresh=full_refresh)
    run = _Run(job, limit=limit, full_refresh=full_refresh, listener=listener or Silence())
    if not publishes_by_branch(job):
        return run.alone(streams)
    own = Publication([job], run.token, keep_branch=keep_branch)
    run.into(own, streams)
    return own.finish()[0]


def together(jobs: Sequence[ResolvedJob], *, keep_branch: bool = False) -> dict[str, Publication]:
    """A publication for each job, by the job's path: those that share catalog and branch become visible by one merge.

    Give `sync` each job's publication, in any order and from any thread, then call each publication's `finish` once; it
    gives the receipts of its runs in the order in which they began. `fail` tells it that a job could not even begin.
    Raises UnsupportedError for a job whose catalog has no branches.
    """
    return publications(jobs, lambda: run_token(datetime.now(UTC)), keep_branch=keep_branch)


class _Run:
    """One run of one job."""

    def __init__(self, job: ResolvedJob, *, limit: int | None, full_refresh: bool, listener: Listener) -> None:
        self.job = job
        self.limit = limit
        self.full_refresh = full_refresh
        self.listener = listener
        self.started = datetime.now(UTC)
        self.clock = time.perf_counter()
        self.token = run_token(self.started)
        self.cursors: dict[str, Cursor] = {}
        self.redactor = redactor(job)
        self.lock = RunLock(job, self.token, self.started)
        self.state: dict[str, Any] = {}
        self.done: list[tuple[StreamReceipt, StreamRun | None]] = []

    def alone(self, names: Sequence[str] | None) -> Receipt:
        """Runs the job; each stream is visible once it is committed."""
        try:
            self.run(names, None)
            return self.ended()
        finally:
            self.lock.release()

    def into(self, publication: Publication, names: Sequence[str] | None) -> Receipt:
        """Runs the job up to its publication, which ends it by `settle`."""
        refuse_unbuilt(self.job)
        try:
            self.run(names, publication)
        except BaseException:
            self.close()
            raise
        publication.join(self)
        return self.receipt([receipt for receipt, _ in self.done])

    def settle(self, outcome: Outcome) -> Receipt:
        """The run's end, once it is known what became of its publication."""
        try:
            self.done = [(self.settled(receipt, step, outcome), step) for receipt, step in self.done]
            return self.ended()
        finally:
            self.close()

    def close(self) -> None:
        """Lets go what the run holds."""
        for _, step in self.done:
            if step is not None:
                step.close()
        self.lock.release()

    def run(self, names: Sequence[str] | None, publication: Publication | None) -> None:
        refuse_unbuilt(self.job)
        chosen = self.chosen(names)
        hindered = self.lock.take()
        if hindered:
            self.listener.event("state_warning", error=hindered)
        sweep(staging_root(self.job))
        notes: list[str] = []
        self.state = read_state(self.job, notes)
        order = Order(
            job=self.job,
            token=self.token,
            started=self.started,
            listener=self.listener,
            limit=self.limit,
            full_refresh=self.full_refresh,
            state=self.state,
            notes=tuple(notes),
            publication=publication,
        )
        source = connectors.source(self.job)
        self.listener.event("job_started", run_id=self.token)
        stopped = False
        for stream in chosen:
            if stopped:
                self.done.append((self.not_run(stream, "interrupted", "the run was interrupted before"), None))
            elif publication is not None and publication.failure:
                self.done.append((self.not_run(stream, "withheld", publication.failure), None))
            else:
                stopped = self.stream(order, source, stream)

    def ended(self) -> Receipt:
        """The run's receipt, which is kept, with the state file."""
        done = [receipt for receipt, _ in self.done]
        if self.cursors:
            self.told(lambda: write_state(self.job, self.cursors, self.token, self.state))
        receipt = self.receipt(done)
        self.told(lambda: keep_receipt(self.job, receipt))
        self.listener.event(
            "job_finished",
            total_records=receipt.extracted,
            valid_records=receipt.loaded,
            files_written=sum(s.files for s in done),
            total_bytes=sum(s.bytes for s in done),
            exit_code=receipt.exit_code,
        )
        return receipt

    def chosen(self, names: Sequence[str] | None) -> list[StreamConfig]:
        if not names:
            return list(self.job.streams)
        known = {s.name: s for s in self.job.streams}
        unknown = [n for n in names if n not in known]
        if unknown:
            raise SourceError(f"the job has no stream '{unknown[0]}'", hint=f"its streams: {listed(known)}")
        return [known[n] for n in names]

    def stream(self, order: Order, source: Source, stream: StreamConfig) -> bool:
        """Runs one stream and notes its receipt, whatever happened to it; whether the run was asked to stop."""
        step = StreamRun(order, source, stream)
        stopped = False
        try:
            receipt = step.run()
        except (KeyboardInterrupt, Interrupted):
            stopped = True
            receipt = step.receipt
            if step.cursor is None:
                text = UNDECIDED if step.undecided else NOTHING
                receipt = msgspec.structs.replace(receipt, status="interrupted", error=text)
        except DativoError as error:
            self.listener.event("job_error", stream=stream.name, error=self.redactor.mask(error.message))
            receipt = self.failed(step.receipt, error)
        if step.cursor is not None:
            self.cursors[stream.name] = step.cursor
        stopped = stopped or step.meter.stop.is_set()
        self.done.append((receipt, step))
        if order.publication is not None and (stopped or step.failed):
            what = "was interrupted" if stopped else receipt.status
            order.publication.fail(f"stream '{stream.name}' of job '{self.job.name}' {what}")
        return stopped

    def failed(self, receipt: StreamReceipt, error: DativoError) -> StreamReceipt:
        status: Status = "refused" if isinstance(error, ContractError) else "failed"
        error = connectors.explained(self.job, error)
        text = self.redactor.mask(error.render().removeprefix("error: "))
        if status == "failed":
            # What was written on the way is in no table.
            receipt = msgspec.structs.replace(receipt, loaded=0, files=0, bytes=0)
        return msgspec.structs.replace(receipt, status=status, error=text, error_code=kind_of(error))

    def not_run(self, stream: StreamConfig, status: Status, why: str) -> StreamReceipt:
        """The receipt of a stream that was left out."""
        table = f"{stream.namespace}.{stream.table}"
        return StreamReceipt(stream=stream.name, table=table, status=status, error=f"not run: {why}")

    def settled(self, receipt: StreamReceipt, step: StreamRun | None, outcome: Outcome) -> StreamReceipt:
        """A stream's receipt after the publication of what it committed to the branch."""
        if outcome.note:
            receipt = msgspec.structs.replace(receipt, warnings=(*receipt.warnings, outcome.note))
        if step is None or step.ready is None:
            return receipt
        name = step.stream.name
        if outcome.published:
            self.cursors[name] = step.ready.cursor
            found = step.ready.receipt.snapshot_id
            self.listener.event("commit_success", stream=name, snapshot_id=found)
            return msgspec.structs.replace(receipt, snapshot_id=found)
        receipt = msgspec.structs.replace(receipt, snapshot_id=None)
        if outcome.error is not None and outcome.culprit in (None, step):
            self.listener.event("commit_failed", stream=name, error=self.redactor.mask(outcome.error.message))
            return self.failed(receipt, outcome.error)
        status: Status = "interrupted" if outcome.status == "interrupted" else "withheld"
        why = self.redactor.mask(outcome.why)
        text = why if status == "interrupted" else f"not published: {why}"
        return msgspec.structs.replace(receipt, status=status, error=text)

    def told(self, work: Callable[[], None]) -> None:
        """Does what is only a cache of the tables' own state: failing to is told, and is no failure of the run."""
        try:
            work()
        except StateError as error:
            self.listener.event("state_warning", error=error.message)

    def receipt(self, streams: list[StreamReceipt]) -> Receipt:
        return Receipt(
            run_id=self.token,
            job=self.job.name,
            tenant_id=self.job.tenant_id,
            status=worst(streams),
            exit_code=exit_code(streams, self.job),
            started_at=self.started.isoformat(timespec="milliseconds"),
            seconds=round(time.perf_counter() - self.clock, 3),
            peak_memory=peak_memory(),
            streams=tuple(streams),
        )


def run_token(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562): the time in milliseconds, then random bits; tokens sort by time."""
    milliseconds = int(now.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (milliseconds << 80) | (0x7 << 76) | ((random >> 64 & 0xFFF) << 64) | (0b10 << 62) | (random & (1 << 62) - 1)
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
