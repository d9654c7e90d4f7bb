"""One stream of a run, step by step: looked at, opened, compared, loaded, judged, committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dativo import connectors
from dativo.config.resolve import StreamConfig
from dativo.errors import CommitUnknown, DativoError, Interrupted
from dativo.pipeline import gates
from dativo.pipeline.background import NOTHING, in_background
from dativo.pipeline.comparing import Compared, check_listing, check_shared, comparing
from dativo.pipeline.history import cursor_column, first_values
from dativo.pipeline.judgement import refused
from dativo.pipeline.order import Order
from dativo.pipeline.plan import StreamPlan, build, plan_hash, privacy_key
from dativo.pipeline.prepare import prepare
from dativo.pipeline.publish import Ready
from dativo.pipeline.staging import staging_folder, staging_root
from dativo.receipt import StreamReceipt
from dativo.sources.protocol import Extract, Meter, Source
from dativo.state.cursor import Cursor
from dativo.targets.protocol import APPEND, FILL, REPLACE, Committed, Opened, Revision, Target, UnseenTarget

if TYPE_CHECKING:
    from dativo.pipeline.passes import Loaded

T = TypeVar("T")


class StreamRun:
    """One stream of a run. `receipt` is up to date after each step, `cursor` is set once the stream is visible.

    `ready` is set instead when it is committed to the branch of a publication.

    `undecided` is true from the moment a commit begins until it is known to have failed: what was written may belong to
    a table from then on.
    """

    def __init__(self, order: Order, source: Source, stream: StreamConfig) -> None:
        self.order = order
        self.job = order.job
        self.source = source
        self.stream = stream
        self.meter = Meter()
        self.reading = ExitStack()
        self.target: Target | None = None
        self.unseen: UnseenTarget | None = None
        self.cursor: Cursor | None = None
        self.undecided = False
        self.ready: Ready | None = None
        self.compared: Compared | None = None
        self.partial = False
        self.stays = ExitStack()
        self.receipt = StreamReceipt(
            stream=stream.name,
            table=f"{stream.namespace}.{stream.table}",
            status="failed",
            write_mode="replace" if order.full_refresh else self.job.write_mode,
            mode=self.job.validation_mode,
            contract=stream.asset.label,
            contract_hash=stream.asset.hash,
            warnings=order.notes,
        )

    @property
    def failed(self) -> bool:
        """Whether the stream ended without being committed, though it had something to commit."""
        return self.cursor is None and self.ready is None and self.receipt.status != "unchanged"

    def run(self) -> StreamReceipt:
        """Loads the stream and gives its receipt; what it wrote and did not commit is removed when it fails."""
        try:
            return self._steps()
        except BaseException:
            # Where it is undecided, the next run finds out whether the files are part of the table. A publication removes
            # them with its branch.
            if self.target is not None and not self.undecided and self.order.publication is None:
                self.target.abort()
            raise
        finally:
            self.reading.close()

    def _steps(self) -> StreamReceipt:
        target = self.target = self._target()
        check_listing(self.job, self.source)
        prepared = prepare(self.order, self.source, self.stream, target, self.meter, self.reading)
        extract, opened, plan = prepared.extract, prepared.opened, prepared.plan
        self.partial = prepared.partial
        self._note(files_read=len(extract.files), files_skipped=extract.skipped)
        self._note(warnings=(*self.order.notes, *extract.notes))
        if plan is None:
            self._note(status="unchanged")
            return self.receipt
        self._note(warnings=(*self.order.notes, *plan.notes, *opened.changes))
        check_shared(self, opened)
        with ExitStack() as stack:
            name = f"{self.order.token}-{self.stream.name}"
            folder = stack.enter_context(staging_folder(staging_root(self.job), name))
            with self._kept(plan) as plan:
                found, cursor = self._loaded(target, extract, opened, plan, folder)
                receipt = self._judged(target, cursor, found, plan)
            if self.ready is not None:
                # What becomes of the table's rows stands there, and is read again when the branch is renewed.
                self.stays = stack.pop_all()
            return receipt

    @contextmanager
    def _kept(self, plan: StreamPlan) -> Iterator[StreamPlan]:
        """The plan over rows that were read once and are kept on disk, where the source is expensive to read."""
        if plan.extract.pieces is None:
            yield plan
            return
        from dativo.pipeline.spool import spooled

        partial = self.order.full_refresh or self.order.limit is not None
        with spooled(self.job, self.stream, plan.extract, self.order.token, partial=partial) as spool:
            yield build(self.job, self.stream, spool.over(plan.extract, self.meter), "warehouse")

    def close(self) -> None:
        """Lets go what a stream on a branch keeps until its publication has ended."""
        self.stays.close()

    def _target(self) -> Target:
        order, publication = self.order, self.order.publication
        if publication is None:
            return connectors.target(self.job, self.stream, order.token, order.started)
        target = self.unseen = publication.target(
            self, lambda branch: branch.target(self.job, self.stream, order.token, order.started)
        )
        return target

    def _plan_hash(self) -> str:
        return plan_hash(self.job, self.stream, self.order.today)

    def _loaded(
        self, target: Target, extract: Extract, opened: Opened, plan: StreamPlan, folder: Path
    ) -> tuple[Loaded, Cursor]:
        """Compares keys where that is needed, then loads; the counts go into the receipt."""
        from dativo.pipeline import passes

        key = privacy_key(self.job, plan.treatments)
        how = comparing(self, target, opened, folder, key)
        final = replace(plan, added=first_values(plan, self.order.started))
        if passes.needs_keys(plan, how.mode, has_rows=how.table):
            from dativo.pipeline import keys, merging

            compare = merging.merge if how.mode in ("upsert", "scd2") else keys.compare_keys
            wanted = replace(how, cursor=cursor_column(plan))
            self.compared = self._phase("comparing keys", lambda: compare(final, target, wanted))
            final = self.compared.plan
            self.meter.bytes = self.meter.rows = 0
        found = self._phase("loading", lambda: passes.load(final, target, folder, key))
        self._account(found)
        cursor = extract.cursor() if self.order.limit is None else self._same_cursor(opened)
        # What a source finds out only while it reads.
        late = (note for note in extract.notes if note not in self.receipt.warnings)
        self._note(warnings=(*self.receipt.warnings, *late))
        return found, cursor

    def _same_cursor(self, opened: Opened) -> Cursor:
        """Where a run that read only some rows leaves the stream: where it was, and never where nothing is left to read."""
        if opened.saved is None or self.receipt.write_mode == "replace":
            return Cursor()
        return msgspec.structs.replace(opened.saved.cursor, fingerprint="")

    def _phase(self, name: str, work: Callable[[], T]) -> T:
        listener = self.order.listener
        begin = partial(listener.phase, self.stream.name, name, self.meter)
        return in_background(work, listener, self.meter, begin)

    def _decided(self, name: str, work: Callable[[], T]) -> T:
        """A phase that hands something over to the catalog; `undecided` is set until it is known to have failed."""

        def handed_over() -> T:
            self.undecided = True
            return work()

        try:
            return self._phase(name, handed_over)
        except CommitUnknown:
            raise
        except DativoError:
            self.undecided = False
            raise

    def _account(self, found: Loaded) -> None:
        """Puts the counts into the receipt."""
        from dativo.pipeline.summary import rule_counts

        self._note(
            extracted=found.extracted,
            loaded=found.written.rows,
            rejected=0 if self.job.validation_mode == "warn" else found.bad,
            deduplicated=found.duplicates,
            violations=found.bad,
            rules=rule_counts(found.violations, self.job, self.stream) if found.bad else (),
            files=len(found.written.files),
            bytes=found.written.bytes,
        )
        if self.compared is not None:
            self._note(updated=self.compared.updated, deleted=self.compared.deleted)
            self._note(warnings=(*self.receipt.warnings, *self.compared.notes))

    def _judged(self, target: Target, cursor: Cursor, found: Loaded, plan: StreamPlan) -> StreamReceipt:
        """Commits what the mode allows; the violations are kept whatever happens."""
        import polars as pl

        refusal = refused(self.job, self.stream, self.receipt)
        if self.meter.stop.is_set():
            raise Interrupted(NOTHING)
        if found.bad:
            action = "refused" if refusal else ("nulled" if self.job.validation_mode == "warn" else "rejected")
            rejects = pl.scan_parquet(found.violations)
            self._decided("keeping rejects", lambda: target.keep_rejects(rejects, action))
            self.undecided = False
        if refusal:
            raise refusal
        self.receipt.check_balance()
        if self.meter.stop.is_set():
            raise Interrupted(NOTHING)
        return self._committed(target, cursor, found, plan)

    def _committed(self, target: Target, cursor: Cursor, found: Loaded, plan: StreamPlan) -> StreamReceipt:
        receipt = msgspec.structs.replace(self.receipt, status="loaded")
        revision = self._revision()

        def commit() -> Committed:
            landed = target.commit(found.written, cursor, self._plan_hash(), receipt, revision)
            self._remember(landed.version)
            return landed

        if self.unseen is not None:
            landed = self._phase("committing", commit)
            self.receipt = msgspec.structs.replace(receipt, snapshot_id=landed.snapshot_id)
            checked = gates.Commit(
                self.job, self.stream, self.order.token, receipt, plan.columns, gates.keys_of(plan), self.unseen
            )
            self.ready = Ready(commit, checked, cursor, self.receipt)
            return self.receipt
        landed = self._decided("committing", commit)
        self.cursor = cursor
        self.receipt = msgspec.structs.replace(receipt, snapshot_id=landed.snapshot_id)
        self.order.listener.event("commit_success", stream=self.stream.name, snapshot_id=landed.snapshot_id)
        return self.receipt

    def _revision(self) -> Revision:
        """What the commit does to the rows that are in the table."""
        if self.receipt.write_mode == "replace":
            # A table with one row a key has all of them replaced, whatever day they were loaded on.
            return replace(REPLACE, whole=self.job.write_mode in ("upsert", "scd2"))
        if self.compared is not None:
            return self.compared.revision
        # Keys were not compared because there was nothing to compare them with.
        return FILL if self.job.write_mode in ("upsert", "scd2") else APPEND

    def _remember(self, version: str | None) -> None:
        """Tells the key index what was committed. It is only a cache: what goes wrong with it is no failure of the run."""
        if self.compared is not None:
            try:
                self.compared.remember(version)
            except DativoError as error:
                self.order.listener.event("state_warning", error=error.message)

    def _note(self, **fields: Any) -> None:
        self.receipt = msgspec.structs.replace(self.receipt, **fields)
