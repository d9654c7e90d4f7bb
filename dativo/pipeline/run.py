"""A run of a job: each stream read, enforced, compared, written, and committed in one step with its state."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ContractError, DativoError, Interrupted, SourceError, StateError, TargetError, listed
from dativo.observe.listener import Listener, Silence
from dativo.pipeline.plan import StreamPlan, build, plan_hash, privacy_key, table_shape
from dativo.pipeline.refuse import refuse_unbuilt
from dativo.pipeline.staging import staging_folder
from dativo.receipt import Receipt, RuleCount, Status, StreamReceipt, as_builtins
from dativo.sources.protocol import Extract, Meter
from dativo.state.cursor import Cursor
from dativo.state.store import cursor_of, read_state, state_root, write_json, write_state
from dativo.targets.protocol import Opened, Target, Written

_WORST: tuple[Status, ...] = ("failed", "interrupted", "refused", "loaded", "unchanged")


def sync(
    job: ResolvedJob,
    *,
    streams: Sequence[str] | None = None,
    limit: int | None = None,
    full_refresh: bool = False,
    listener: Listener | None = None,
) -> Receipt:
    """Runs a job and gives its receipt; `exit_code` there is 0, 1 (some rows broke the contract) or 2.

    `streams` runs some of its streams only, `limit` reads no more than so many rows of each (and leaves the cursor where
    it is), `full_refresh` reads everything again and replaces the table's rows. What goes wrong with one stream stands in
    the receipt; ConfigError and UnsupportedError are raised, before anything is read.
    """
    return _Run(job, limit=limit, full_refresh=full_refresh, listener=listener or Silence()).run(streams)


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
        self.notes: list[str] = []
        self.state: dict[str, Any] = {}
        self.cursors: dict[str, Cursor] = {}

    def run(self, streams: Sequence[str] | None) -> Receipt:
        refuse_unbuilt(self.job)
        chosen = self.chosen(streams)
        self.state = read_state(self.job, self.notes)
        source = connectors.source(self.job)
        self.listener.event("job_started", run_id=self.token)
        done: list[StreamReceipt] = []
        for stream in chosen:
            receipt = self.stream(source, stream)
            done.append(receipt)
            if receipt.status == "interrupted":
                break
        self.save_state()
        receipt = self.receipt(done)
        self.keep(receipt)
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

    def stream(self, source: Any, stream: StreamConfig) -> StreamReceipt:
        """One stream's receipt, whatever happened to it."""
        blank = StreamReceipt(
            stream=stream.name,
            table=f"{stream.namespace}.{stream.table}",
            status="failed",
            write_mode="replace" if self.full_refresh else self.job.write_mode,
            mode=self.job.validation_mode,
            contract=stream.asset.label,
            contract_hash=stream.asset.hash,
            warnings=tuple(self.notes),
        )
        step = _StreamRun(self, source, stream, blank)
        try:
            return step.run()
        except (KeyboardInterrupt, Interrupted):
            step.abort()
            return msgspec.structs.replace(
                step.receipt, status="interrupted", error="interrupted; nothing of this stream was committed"
            )
        except ContractError as error:
            step.abort()
            return msgspec.structs.replace(step.receipt, status="refused", error=error.render().removeprefix("error: "))
        except DativoError as error:
            step.abort()
            self.listener.event("job_error", error=error.message)
            return msgspec.structs.replace(step.receipt, status="failed", error=error.render().removeprefix("error: "))

    def save_state(self) -> None:
        """Writes the state file; it is a cache, so failing to write it is a warning and no more."""
        if not self.cursors:
            return
        try:
            write_state(self.job, self.cursors, self.token, self.state)
        except StateError as error:
            self.listener.event("state_warning", error=error.message)

    def receipt(self, streams: list[StreamReceipt]) -> Receipt:
        status: Status = next((s for s in _WORST if any(r.status == s for r in streams)), "unchanged")
        return Receipt(
            run_id=self.token,
            job=self.job.name,
            tenant_id=self.job.tenant_id,
            status=status,
            exit_code=max((_exit_code(r, self.job) for r in streams), default=0),
            started_at=self.started.isoformat(timespec="milliseconds"),
            seconds=round(time.perf_counter() - self.clock, 3),
            peak_memory=peak_memory(),
            streams=tuple(streams),
        )

    def keep(self, receipt: Receipt) -> None:
        """Keeps the receipt beside the state: what `rejects` and `show` know of runs that committed nothing."""
        folder = state_root(self.job) / self.job.tenant_id / "runs" / self.job.name
        try:
            write_json(folder / f"{self.token}.json", as_builtins(receipt))
            for old in sorted(folder.glob("*.json"))[:-50]:
                old.unlink(missing_ok=True)
        except (StateError, OSError) as error:
            self.listener.event("state_warning", error=str(error))


class _StreamRun:
    """One stream of a run, step by step."""

    def __init__(self, run: _Run, source: Any, stream: StreamConfig, receipt: StreamReceipt) -> None:
        self.r = run
        self.source = source
        self.stream = stream
        self.receipt = receipt
        self.meter = Meter()
        self.target: Target | None = None
        self.committed = False

    def run(self) -> StreamReceipt:
        job = self.r.job
        target = self.target = connectors.target(job, self.stream, self.r.token, self.r.started)
        extract, opened, plan = self.prepared(target)
        self.note(files_read=len(extract.files), files_skipped=extract.skipped, warnings=(*self.r.notes, *extract.notes))
        if extract.unchanged:
            return msgspec.structs.replace(self.receipt, status="unchanged")
        assert plan is not None
        self.note(warnings=(*self.r.notes, *plan.notes, *opened.changes))
        self.check_shared(opened)
        with staging_folder(_staging_root(job), f"{self.r.token}-{self.stream.name}") as folder:
            return self.loaded(target, extract, opened, plan, folder)

    def prepared(self, target: Target) -> tuple[Extract, Opened, StreamPlan | None]:
        """What is to be read since the last commit, and how; nothing is read yet but headers."""
        job, stream = self.r.job, self.stream
        # A first look at the columns tells the table's shape, which opening the table needs.
        looked = self.source.read(stream, None, meter=Meter(), limit=self.r.limit, full=True)
        plan = build(job, stream, looked, "warehouse")
        opened = target.open(table_shape(job, stream, plan.columns))
        since = self.since(opened)
        extract = self.source.read(
            stream, since, meter=self.meter, limit=self.r.limit, full=self.r.full_refresh or since is None
        )
        if extract.unchanged:
            return extract, opened, None
        plan = build(job, stream, extract, "warehouse")
        return extract, opened, plan

    def since(self, opened: Opened) -> Cursor | None:
        """Where the last commit ended: what the table says, else an older tool's state file."""
        if self.r.full_refresh:
            return None
        saved = opened.saved
        if saved is None:
            return cursor_of(self.r.state) if opened.exists and self.r.job.incremental is not None else None
        changed = saved.plan_hash != self.plan_hash()
        if self.r.job.incremental is None and changed:
            return None
        return saved.cursor

    def plan_hash(self) -> str:
        return plan_hash(self.r.job, self.stream, self.r.started.date().isoformat())

    def check_shared(self, opened: Opened) -> None:
        """A table that another job loads too is not replaced unless the job says so."""
        asked = self.r.job.target.write_mode is not None
        if opened.shared and self.receipt.write_mode == "replace" and not asked and not self.r.full_refresh:
            raise TargetError(
                f"the table {opened.name} is also loaded by {listed(opened.shared)}, and this job would replace its rows",
                hint="set target.write_mode: append, or replace if that is meant",
                field="target.write_mode", mark=self.r.job.mark("target"),
            )

    def loaded(
        self, target: Target, extract: Extract, opened: Opened, plan: StreamPlan, folder: Path
    ) -> StreamReceipt:
        from dativo.pipeline import passes

        job, listener = self.r.job, self.r.listener
        key = privacy_key(job, plan)
        mode = self.receipt.write_mode
        if passes.needs_keys(plan, mode, has_rows=opened.exists and mode == "append"):
            listener.phase(self.stream.name, "comparing keys", self.meter)
            given = plan
            plan = self.background(
                lambda: passes.compare_keys(
                    given, target, folder, key, write_mode=mode,
                    cursor_field=job.incremental.cursor_field if job.incremental else None,
                    memory_limit=job.budget.memory_limit, threads=job.budget.threads,
                )
            )  # fmt: skip
            self.meter.bytes = self.meter.rows = 0
        listener.phase(self.stream.name, "loading", self.meter)
        final = plan
        found = self.background(lambda: passes.load(final, target, folder, key))
        cursor = extract.cursor() if self.r.limit is None else (opened.saved.cursor if opened.saved else Cursor())
        self.account(found, folder)
        return self.judged(target, cursor, found)

    def background(self, work: Any) -> Any:
        from dativo.pipeline.passes import in_background

        try:
            return in_background(work, self.r.listener, self.meter)
        except KeyboardInterrupt:
            self.meter.stop.set()
            raise

    def account(self, found: Any, folder: Path) -> None:
        """Puts the counts into the receipt."""
        from dativo.pipeline.summary import rule_counts

        warn = self.r.job.validation_mode == "warn"
        self.note(
            extracted=found.extracted,
            loaded=found.written.rows,
            rejected=0 if warn else found.bad,
            deduplicated=found.duplicates,
            violations=found.bad,
            rules=rule_counts(found.violations, self.r.job, self.stream) if found.bad else (),
            files=len(found.written.files),
            bytes=found.written.bytes,
        )

    def judged(self, target: Target, cursor: Cursor, found: Any) -> StreamReceipt:
        """Commits what the mode allows; the violations are kept whatever happens."""
        import polars as pl

        refusal = self.refusal()
        if found.bad:
            action = "refused" if refusal else ("nulled" if self.r.job.validation_mode == "warn" else "rejected")
            target.keep_rejects(pl.scan_parquet(found.violations), action)
        if refusal:
            raise refusal
        self.receipt.check_balance()
        self.r.listener.phase(self.stream.name, "committing", self.meter)
        replace = self.receipt.write_mode == "replace"
        written: Written = found.written
        receipt = msgspec.structs.replace(self.receipt, status="loaded")
        landed = target.commit(written, cursor, self.plan_hash(), receipt, replace=replace)
        self.committed = True
        self.r.cursors[self.stream.name] = cursor
        self.r.listener.event("commit_success", stream=self.stream.name, snapshot_id=landed.snapshot_id)
        return msgspec.structs.replace(receipt, snapshot_id=landed.snapshot_id)

    def refusal(self) -> ContractError | None:
        """Why the mode does not let this run commit, or None."""
        mode, receipt = self.r.job.validation_mode, self.receipt
        show = f"dativo rejects show {self.r.job.name}"
        if mode == "strict" and receipt.violations:
            return ContractError(
                f"{receipt.violations} of {receipt.extracted} rows break {receipt.contract}; nothing was committed "
                "(schema_validation_mode is strict)",
                hint=f"see them with `{show}`, or set the mode to quarantine to load the good rows",
            )
        if mode == "quarantine" and receipt.rejected:
            limit = self.stream.max_rejects
            if limit is not None and not limit.allows(receipt.rejected, receipt.extracted):
                return ContractError(
                    f"{receipt.rejected} of {receipt.extracted} rows were rejected, more than max_rejects {limit} allows; "
                    "nothing was committed",
                    hint=f"see them with `{show}`, then mend the data or raise max_rejects",
                )
            if receipt.rejected == receipt.extracted:
                return ContractError(
                    f"none of {receipt.extracted} rows was good; nothing was committed", hint=f"see why with `{show}`"
                )
        return None

    def note(self, **fields: Any) -> None:
        self.receipt = msgspec.structs.replace(self.receipt, **fields)

    def abort(self) -> None:
        self.meter.stop.set()
        if self.target is not None and not self.committed:
            self.target.abort()


def _exit_code(receipt: StreamReceipt, job: ResolvedJob) -> int:
    if receipt.status in ("failed", "refused", "interrupted"):
        return 2
    if receipt.violations and receipt.status == "loaded":
        declared = any(s.name == receipt.stream and s.max_rejects is not None for s in job.streams)
        return 0 if job.validation_mode == "quarantine" and declared else 1
    return 0


def _staging_root(job: ResolvedJob) -> Path:
    return Path(job.root) / ".local" / "staging"


def run_token(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562): the time in milliseconds, then random bits; tokens sort by time."""
    milliseconds = int(now.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds << 80) | (0x7 << 76) | ((random >> 64 & 0xFFF) << 64) | (0b10 << 62) | (random & (1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def peak_memory() -> int:
    """The process's peak resident memory in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
