"""Write, audit, publish: streams of one or several jobs commit to a branch, and become visible together or not at all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import CommitUnknown, ContractError, DativoError, Interrupted, TargetError, UnsupportedError
from dativo.observe.listener import Listener
from dativo.pipeline import gates
from dativo.pipeline.background import in_background
from dativo.receipt import Receipt, Status, StreamReceipt
from dativo.sources.protocol import Meter
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Committed, Publisher, Target, UnseenTarget

# How often a rival may change one of the tables between our branch and its merge.
ROUNDS = 20
LONGEST_WAIT = 2.0
UNDECIDED = "interrupted while it was being published: the next run finds out whether it was, and does nothing twice"


@dataclass(slots=True)
class Ready:
    """A stream that is committed to the branch; `commit` does it again, on a new one."""

    commit: Callable[[], Committed]
    checked: gates.Commit
    cursor: Cursor
    receipt: StreamReceipt


class Step(Protocol):
    """A stream of a run, as far as a publication is concerned."""

    job: ResolvedJob
    stream: StreamConfig
    target: Target | None
    undecided: bool
    ready: Ready | None


class Member(Protocol):
    """A run whose streams are published together with those of others."""

    listener: Listener

    def settle(self, outcome: Outcome) -> Receipt: ...


@dataclass(slots=True, frozen=True)
class Outcome:
    """What became of a publication: published, or why it was not, and the stream that was the reason, if one was.

    `note` tells of a branch that is still there.
    """

    published: bool
    status: Status = "loaded"
    error: DativoError | None = None
    culprit: Step | None = None
    why: str = ""
    note: str = ""


def publishes_by_branch(job: ResolvedJob) -> bool:
    """Whether the job's streams are published together: as it says, else where there are several and branches for them.

    Raises UnsupportedError for a job that asks for it and whose catalog has no branches.
    """
    wanted = job.target.publish
    if wanted == "direct" or (wanted is None and len(job.streams) < 2):
        return False
    able = connectors.publisher(job) is not None
    if wanted == "branch" and not able:
        raise UnsupportedError(
            "publish: branch needs a catalog with branches, which is Nessie",
            field="target.publish",
            mark=job.mark("target.publish"),
            hint="set target.catalog to nessie, or target.publish to direct",
        )
    return able


def publications(
    jobs: Sequence[ResolvedJob], token: Callable[[], str], *, keep_branch: bool = False
) -> dict[str, Publication]:
    """A publication for each job, by its path; jobs that share catalog and branch share theirs.

    Raises UnsupportedError for a job whose catalog has no branches.
    """
    groups: dict[str, list[ResolvedJob]] = {}
    for job in jobs:
        found = connectors.publisher(job)
        if found is None:
            raise UnsupportedError(
                f"the job '{job.name}' cannot be published together with others: its catalog has no branches",
                field="target.catalog",
                mark=job.mark("target.catalog"),
                hint="use a Nessie catalog, or run it without --atomic",
            )
        groups.setdefault(found.place, []).append(job)
    made: dict[str, Publication] = {}
    for group in groups.values():
        publication = Publication(group, token(), keep_branch=keep_branch)
        made |= {job.path: publication for job in group}
    return made


class Publication:
    """The branch that runs share, and what is published from it. Runs may join it from several threads.

    `failure` tells why nothing will be published, as soon as that is known.
    """

    def __init__(self, jobs: Sequence[ResolvedJob], token: str, *, keep_branch: bool = False) -> None:
        publisher = connectors.publisher(jobs[0])
        assert publisher is not None
        self.jobs = tuple(jobs)
        self.token = token
        self.keep_branch = keep_branch
        self.publisher: Publisher = publisher
        self.members: list[Member] = []
        self.steps: list[Step] = []
        self.failure = ""
        self.merging = False
        self._lock = threading.Lock()
        self._begun = False

    def join(self, run: Member) -> None:
        with self._lock:
            self.members.append(run)

    def fail(self, why: str) -> None:
        """Nothing is published any more; the first reason counts."""
        with self._lock:
            self.failure = self.failure or why

    def target(self, step: Step, make: Callable[[Publisher], UnseenTarget]) -> UnseenTarget:
        """A stream's target on the branch, which is made with the first one."""
        with self._lock:
            if not self._begun:
                names = [s.namespace for job in self.jobs for s in job.streams]
                more = f"-and-{len(self.jobs) - 1}-more" if len(self.jobs) > 1 else ""
                self.publisher.begin(self.jobs[0].tenant_id, f"{self.jobs[0].name}{more}", self.token, names)
                self._begun = True
            self.steps.append(step)
            return make(self.publisher)

    def finish(self) -> list[Receipt]:
        """Publishes, or discards what was written when anything failed; the receipts of all runs, in their order."""
        outcome = Outcome(False, "withheld", why=self.failure) if self.failure else self._published()
        outcome = replace(outcome, note=self._cleaned(outcome))
        return [run.settle(outcome) for run in self.members]

    def _published(self) -> Outcome:
        ready = [s for s in self.steps if s.ready is not None]
        if not ready:
            return Outcome(True)
        blamed: list[Step] = []
        listener, meter = self.members[0].listener, Meter()
        begin = lambda: listener.phase(ready[0].stream.name, "publishing", meter)  # noqa: E731
        try:
            in_background(lambda: self._publish(ready, blamed), listener, meter, begin)
        except (KeyboardInterrupt, Interrupted) as error:
            # A second Ctrl-C leaves the work to itself.
            self.merging = self.merging or isinstance(error, KeyboardInterrupt)
            why = UNDECIDED if self.merging else "interrupted; nothing was published"
            return Outcome(False, "interrupted", why=why)
        except DativoError as error:
            status: Status = "refused" if isinstance(error, ContractError) else "failed"
            culprit = blamed[-1] if blamed else None
            named = f"stream '{culprit.stream.name}' of job '{culprit.job.name}': " if culprit is not None else ""
            return Outcome(False, status, error, culprit, f"{named}{error.message}")
        return Outcome(True)

    def _publish(self, ready: list[Step], blamed: list[Step]) -> None:
        """Checks and merges; when a rival changed a table, once more on top of it. `blamed` ends with who failed."""

        def each(work: Callable[[Ready], None]) -> None:
            for step in ready:
                blamed.append(step)
                assert step.ready is not None
                work(step.ready)
                blamed.pop()

        for turn in range(ROUNDS):
            if turn:
                time.sleep(min(0.05 * 2**turn, LONGEST_WAIT) * random.random())  # noqa: S311 - no secret
                self.publisher.renew()
                each(_commit_again)
            self.publisher.seal()
            each(lambda r: gates.check(r.checked))
            self.merging = True
            published = self._merged()
            if published:
                return
        raise TargetError(
            f"other writers changed the tables {ROUNDS} times while they were being published; nothing was published",
            hint="run again",
        )

    def _merged(self) -> bool:
        try:
            published = self.publisher.publish()
        except CommitUnknown:
            raise
        except DativoError:
            self.merging = False
            raise
        self.merging = published
        return published

    def _cleaned(self, outcome: Outcome) -> str:
        """Removes what is not needed any more; what is to be told about that."""
        if not self._begun:
            return ""
        keep = self.keep_branch and not outcome.published
        if not outcome.published and self.merging:
            # The branch shows the next run, and people, what was to be published.
            return f"the run's branch {self.publisher.branch} is still there"
        gone = self.publisher.discard(keep=keep)
        if outcome.published:
            return ""
        if gone:
            for step in self.steps:
                if step.target is not None and not step.undecided:
                    step.target.abort()
            return ""
        return f"the run's branch {self.publisher.branch} {'is kept' if keep else 'could not be removed'}"


def _commit_again(ready: Ready) -> None:
    landed = ready.commit()
    ready.receipt = msgspec.structs.replace(ready.receipt, snapshot_id=landed.snapshot_id)
