"""Several jobs in one process, one after another or some at a time: one failed job does not stop the others.

Jobs that run at a time are threads: they share the engine's pool of threads, so that together they take no more cores
than one, and the memory that the program itself takes is there once. What a job may use for comparing keys is divided.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from dativo.config.job import Retry
from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError
from dativo.observe.listener import Listener, Several, Silence
from dativo.pipeline.publish import Publication
from dativo.pipeline.retry import with_retries
from dativo.pipeline.run import sync, together
from dativo.receipt import Receipt

_PAUSE = 0.2
# What the comparison of keys gets where no job says otherwise, as in `staging.duck`, and the least that it can work with.
DEFAULT_MEMORY = "512MB"
LEAST_MEMORY = 64 << 20
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are run. `at_once` is how many run at a time, `fail_fast` begins no job after one that failed, `atomic`
    publishes those that share catalog and branch together, `retry` is for jobs without a `retry_config`."""

    streams: tuple[str, ...] = ()
    limit: int | None = None
    full_refresh: bool = False
    since: str | None = None
    until: str | None = None
    at_once: int = 1
    fail_fast: bool = False
    atomic: bool = False
    keep_branch: bool = False
    retry: Retry | None = None


class Ended(msgspec.Struct, kw_only=True):
    """How a job ended: with its receipt, with an error before it came to one, or (neither) it was not begun."""

    job: ResolvedJob
    receipt: Receipt | None = None
    error: DativoError | None = None

    @property
    def exit_code(self) -> int:
        if self.receipt is not None:
            return self.receipt.exit_code
        return self.error.exit_code if self.error is not None else 2


class Watch(Protocol):
    """Hears of the jobs; called from the thread that the job runs in."""

    def begins(self, job: ResolvedJob) -> Listener:
        """A job begins; what is given back hears of its steps."""
        ...

    def ends(self, ended: Ended) -> None:
        """A job ended. Of one that is published with others it is known only later what became of it."""
        ...


class _Stop(Silence):
    """Brings the wish to stop into a job: where its thread waits for work, Ctrl-C is raised there, once."""

    def __init__(self, wish: threading.Event) -> None:
        self._wish = wish
        self._told = False

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type in ("interrupting", "interrupted"):
            self._told = True
            self._wish.set()

    def tick(self) -> None:
        if self._wish.is_set() and not self._told:
            self._told = True
            raise KeyboardInterrupt


def run_jobs(jobs: Sequence[ResolvedJob], options: RunOptions, watch: Watch) -> tuple[list[Ended], bool]:
    """How each job ended, in their order, and whether all of it was done (False when the person interrupted).

    Raises UnsupportedError when jobs are to be published together whose catalog has no branches.
    """
    fleet = _Fleet(jobs, options, watch)
    fleet.run()
    fleet.publish()
    return fleet.ended, fleet.finished()


class _Fleet:
    """Jobs that wait for their turn, and what came of those that had it."""

    def __init__(self, jobs: Sequence[ResolvedJob], options: RunOptions, watch: Watch) -> None:
        self.options = options
        self.watch = watch
        self.workers = max(min(options.at_once, len(jobs)), 1)
        self.ended = [Ended(job=job) for job in jobs]
        self.waiting = iter(self.ended)
        self.lock = threading.Lock()
        self.wish = threading.Event()
        self.failed = False
        self.bug: BaseException | None = None
        shared = together(jobs, keep_branch=options.keep_branch) if options.atomic else {}
        self.publications: dict[str, Publication] = shared
        self.joined: dict[int, list[Ended]] = {}

    def run(self) -> None:
        """Runs all jobs; Ctrl-C ends those that run and begins no more."""
        if self.workers == 1:
            try:
                self.work()
            except KeyboardInterrupt:
                self.wish.set()
        else:
            threads = [
                threading.Thread(target=self.guarded, name="dativo-job", daemon=True) for _ in range(self.workers)
            ]
            for thread in threads:
                thread.start()
            self.wait(threads)
        if self.bug is not None:
            raise self.bug

    def wait(self, threads: list[threading.Thread]) -> None:
        for thread in threads:
            while thread.is_alive():
                try:
                    thread.join(_PAUSE)
                except KeyboardInterrupt:
                    self.wish.set()

    def guarded(self) -> None:
        try:
            self.work()
        except KeyboardInterrupt:
            self.wish.set()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the threads
            self.bug = self.bug or error
            self.wish.set()

    def work(self) -> None:
        """Runs jobs until none waits."""
        while (turn := self.next()) is not None:
            self.one(turn)
            self.failed = self.failed or turn.exit_code == 2

    def next(self) -> Ended | None:
        if self.wish.is_set() or (self.failed and self.options.fail_fast):
            return None
        with self.lock:
            return next(self.waiting, None)

    def one(self, turn: Ended) -> None:
        job = shared_budget(turn.job, self.workers)
        listener = Several(self.watch.begins(turn.job), _Stop(self.wish))
        try:
            turn.receipt = self.tried(job, listener, turn)
        except DativoError as error:
            turn.error = error
        finally:
            self.watch.ends(turn)

    def tried(self, job: ResolvedJob, listener: Listener, turn: Ended) -> Receipt:
        options = self.options
        publication = self.publications.get(job.path)

        def attempt(names: Sequence[str] | None) -> Receipt:
            return sync(
                job,
                streams=names or None,
                limit=options.limit,
                full_refresh=options.full_refresh,
                since=options.since,
                until=options.until,
                listener=listener,
                keep_branch=options.keep_branch,
                publication=publication,
            )

        if publication is None:
            default = options.retry
            return with_retries(job, attempt, listener, default=default, names=options.streams, wait=self.pause)
        receipt = attempt(options.streams)
        with self.lock:
            self.joined.setdefault(id(publication), []).append(turn)
        return receipt

    def pause(self, seconds: float) -> None:
        if self.wish.wait(seconds):
            raise KeyboardInterrupt

    def finished(self) -> bool:
        """Whether the person let all of it be done; a commit that landed in spite of Ctrl-C is done."""
        if not self.wish.is_set():
            return True
        statuses = [turn.receipt.status for turn in self.ended if turn.receipt is not None]
        return len(statuses) == len(self.ended) and "interrupted" not in statuses

    def publish(self) -> None:
        """Publishes what was to be published together, each with the receipts that count."""
        for turn in self.ended:
            publication = self.publications.get(turn.job.path)
            if publication is not None and turn.receipt is None and turn.error is None:
                publication.fail(f"the job '{turn.job.name}' was not run")
        for publication in {id(p): p for p in self.publications.values()}.values():
            receipts = publication.finish()
            joined = {turn.job.name: turn for turn in self.joined.get(id(publication), ())}
            for receipt in receipts:
                joined[receipt.job].receipt = receipt


def shared_budget(job: ResolvedJob, parts: int) -> ResolvedJob:
    """The job with its part of what one job may use, where several run at a time."""
    if parts == 1:
        return job
    budget = job.budget
    memory = max(size_in_bytes(budget.memory_limit or DEFAULT_MEMORY) // parts, LEAST_MEMORY)
    threads = max(budget.threads // parts, 1) if budget.threads else budget.threads
    return msgspec.structs.replace(
        job, budget=msgspec.structs.replace(budget, memory_limit=f"{memory // 1024}KiB", threads=threads)
    )


def size_in_bytes(text: str) -> int:
    """`512MB`, `1.5 GiB` as bytes."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]?i?)b?\s*", text.lower())
    if match is None:
        raise ValueError(f"'{text}' is no amount of memory")
    return int(float(match[1]) * _UNITS[match[2]])
