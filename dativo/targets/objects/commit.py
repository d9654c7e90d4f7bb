"""One commit, exactly once: files, columns, state and run token together, or nothing.

The manifest is read anew, changed, and written on the condition that it is still the one that was read. Another writer,
or no answer at all, leads to another round, and every round begins by looking whether our own token already stands there.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from dativo.config.field import Field
from dativo.contract.evolve import Change, SchemaMode, changes
from dativo.errors import CommitConflict, CommitUnknown, DativoError, SchemaChangeRefused, StoreError
from dativo.stores.store import Changed
from dativo.targets.objects.columns import Column, bare, changed, column, stored_column
from dativo.targets.objects.layout import Format, Place
from dativo.targets.objects.manifest import (
    INLINE,
    SNAPSHOTS,
    STANDARD,
    TOKENS,
    Commit,
    CsvStyle,
    Entry,
    Manifest,
    Segment,
    encoded,
    load,
    split,
    write_segments,
)

# Rounds that failed for reasons unknown, and rounds in which another writer was known to be faster.
ROUNDS = 4
CONFLICTS = 200
LONGEST_WAIT = 5.0
LONGEST_CONFLICT_WAIT = 1.0
# Seconds after which no further round begins.
PATIENCE = 300.0


@dataclass(slots=True)
class Replacing:
    """Which files a replacing run takes out, and in which segments there may be some."""

    goes: Callable[[Entry], bool]
    touches: Callable[[Segment], bool]


@dataclass(slots=True)
class Plan:
    """What a commit is to do.

    `key` is `tenant.job.stream`; `expected` the token that was its newest when the run began. `written` are the columns
    that the files in `files` have; the number of their schema is found here. `wanted` are the
    columns that the job wants, `before` those that the table had when the run began (None: no table).
    """

    place: Place
    token: str
    key: str
    job: str
    expected: str | None
    check_expected: bool
    format: Format
    wanted: tuple[Field, ...]
    mode: SchemaMode
    before: tuple[Column, ...] | None
    written: tuple[Column, ...] | None
    partitioning: tuple[str, ...]
    properties: dict[str, str] = field(default_factory=dict)
    files: list[Entry] = field(default_factory=list)
    next_number: int = 1
    state: dict[str, Any] | None = None
    replace: Replacing | None = None
    style: CsvStyle = STANDARD


def commit(plan: Plan) -> Manifest:
    """Carries the plan out, once; gives the manifest that it is in.

    Raises CommitConflict when another run of the job committed first or changed the table's shape, CommitUnknown when
    it cannot be told whether the commit landed, StoreError when it cannot be done.
    """
    return _Commit(plan).run()


class _Unsure(Exception):
    """A request failed of which nobody knows whether it was done."""

    def __init__(self, reason: DativoError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Commit:
    """The rounds of one commit.

    `doubt` is why nobody knows what became of a manifest that was sent, `segments` are the keys of all that were written
    for one.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.place = plan.place
        self.doubt: DativoError | None = None
        self.doubts = 0
        self.conflicts = 0
        self.segments: set[str] = set()

    def run(self) -> Manifest:
        begun = time.monotonic()
        while True:
            try:
                landed = self._round()
                self._drop({self.place.key(s.path) for s in landed.segments})
            except Changed:
                self.conflicts += 1
            except _Unsure as unsure:
                self.doubt = unsure.reason
                self.doubts += 1
            except CommitConflict:
                self._drop(set())
                raise
            else:
                return landed
            self._wait(time.monotonic() - begun)

    def _wait(self, passed: float) -> None:
        """Waits for the next round, or raises when there is to be none."""
        late = passed > PATIENCE
        if self.doubt is not None and (self.doubts >= ROUNDS or late):
            raise _unknown(self.plan, self.doubt) from self.doubt
        if self.conflicts >= CONFLICTS or late:
            raise CommitConflict(
                f"{self.conflicts} times another writer of {self.place.name} was faster; this run changed nothing",
                hint="run again when fewer jobs load this table",
            )
        longest = LONGEST_WAIT if self.doubt is not None else LONGEST_CONFLICT_WAIT
        step = 0.05 * 2 ** min(self.doubts + self.conflicts, 10)
        time.sleep(random.uniform(0.2, 1) * min(longest, step))  # noqa: S311 - no secret hangs on it

    def _round(self) -> Manifest:
        plan, place = self.plan, self.place
        try:
            found = load(place)
        except DativoError as error:
            if self.doubt is not None:
                raise _Unsure(error) from error
            raise
        now, etag = found if found is not None else (None, None)
        if now is not None and plan.token in now.runs.get(plan.key, ()):
            _clean(place, now.removed)
            return now
        newest = now.newest(plan.key) if now is not None else None
        if plan.check_expected and newest != plan.expected:
            raise CommitConflict(
                f"another run of this job committed to {place.name} while this one was reading; this one changed nothing",
                hint="run again: it goes on from what the other run committed",
            )
        following, segments = _next(plan, now, f"{plan.token}-{self.doubts + self.conflicts}")
        self.segments |= {place.key(s.path) for s in segments}
        self._send(encoded(following), etag)
        _clean(place, [*following.removed, *(now.removed if now is not None else ())])
        return following

    def _send(self, manifest: bytes, etag: str | None) -> None:
        """Puts the manifest in place of the one that was read; Changed when that is not there any more."""
        try:
            self.place.store.write(
                self.place.manifest,
                manifest,
                only_if=etag,
                only_if_absent=etag is None,
                content_type="application/json",
            )
        except StoreError as error:
            if error.refused:
                raise
            raise _Unsure(error) from error

    def _drop(self, used: set[str]) -> None:
        """Removes segments of manifests that are known not to have become the table's."""
        with contextlib.suppress(DativoError):
            self.place.store.delete(sorted(self.segments - used))


def _unknown(plan: Plan, reason: DativoError) -> CommitUnknown:
    return CommitUnknown(
        f"the store does not answer whether the commit to {plan.place.name} landed: {reason.message}",
        hint=f"{reason.hint}\nrun again when it is back: a run that landed is recognised and not repeated",
    )


def _next(plan: Plan, now: Manifest | None, name: str) -> tuple[Manifest, list[Segment]]:
    """The manifest after the commit, and the segments that were written for it."""
    place = plan.place
    columns = _columns(plan, now)
    schemas = list(now.schemas) if now is not None else []
    added: list[Entry] = []
    if plan.written is not None and plan.files:
        written = bare(plan.written)
        schemas += [] if written in schemas else [written]
        added = [msgspec.structs.replace(e, schema=schemas.index(written)) for e in plan.files]
    segments: list[Segment] = list(now.segments) if now is not None else []
    kept: list[Entry] = list(now.entries) if now is not None else []
    gone: list[Entry] = []
    removed: list[str] = []
    if plan.replace is not None and now is not None:
        segments, kept, gone, apart = split(place, now, plan.replace.goes, plan.replace.touches)
        removed = [*(e.path for e in gone), *(s.path for s in apart)]
    kept += added
    fresh: list[Segment] = []
    if len(kept) > INLINE:
        fresh = write_segments(place.store, place, kept, name)
        segments, kept = [*segments, *fresh], []
    runs, states, forgotten = _memory(plan, now)
    removed += forgotten
    generation = now.generation + 1 if now is not None else 1
    return (
        Manifest(
            table=place.table,
            generation=generation,
            format=plan.format,
            columns=columns,
            schemas=tuple(schemas),
            partitioning=plan.partitioning,
            properties={**(now.properties if now is not None else {}), **plan.properties},
            next_number=max(plan.next_number, now.next_number if now is not None else 1),
            files=sum(s.files for s in segments) + len(kept),
            rows=sum(s.rows for s in segments) + sum(e.rows for e in kept),
            bytes=sum(s.bytes for s in segments) + sum(e.bytes for e in kept),
            runs=runs,
            states=states,
            commits=(_commit(plan, generation, gone, now), *(now.commits if now is not None else ()))[:SNAPSHOTS],
            segments=tuple(segments),
            entries=tuple(kept),
            removed=tuple(removed),
            style=plan.style,
        ),
        fresh,
    )


def _memory(plan: Plan, now: Manifest | None) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The run tokens and states of the table's jobs after the commit, and the state files that nobody needs any more."""
    runs = dict(now.runs) if now is not None else {}
    runs[plan.key] = (plan.token, *runs.get(plan.key, ())[: TOKENS - 1])
    states = dict(now.states) if now is not None else {}
    old = states.get(plan.key, {}).get("file")
    if plan.state is None:
        return runs, states, []
    states[plan.key] = plan.state
    return runs, states, [old.removeprefix(f"{plan.place.base}/")] if old else []


def _commit(plan: Plan, generation: int, gone: list[Entry], now: Manifest | None) -> Commit:
    operation = "overwrite" if plan.replace is not None and now is not None and (gone or not plan.files) else "append"
    return Commit(
        id=generation,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        operation=operation,
        run=plan.token,
        job=plan.job,
        rows_added=sum(e.rows for e in plan.files),
        rows_removed=sum(e.rows for e in gone),
        files_added=len(plan.files),
        files_removed=len(gone),
    )


def _columns(plan: Plan, now: Manifest | None) -> tuple[Column, ...]:
    """The table's columns after the commit; CommitConflict when another writer gave it a shape that does not fit."""
    wanted = tuple(column(f) for f in plan.wanted)
    if now is None:
        return wanted
    moved = ""
    if (now.format, now.partitioning) != (plan.format, plan.partitioning):
        moved = "its partitioning" if now.format == plan.format else "its format"
    elif plan.before is None and bare(now.columns) != bare(wanted):
        moved = "its columns"
    found: tuple[Change, ...] = ()
    if not moved:
        try:
            found = changes([stored_column(c) for c in now.columns], plan.wanted, plan.mode, plan.place.name)
        except SchemaChangeRefused as error:
            moved = error.message
    if moved:
        raise CommitConflict(
            f"the shape of {plan.place.name} changed while this run was reading ({moved}); this run changed nothing",
            hint="run again",
        )
    return changed(now.columns, found)


def _clean(place: Place, paths: Sequence[str]) -> None:
    """Removes what commits took out: who reads it now reads again. What stays is named until the next commit."""
    with contextlib.suppress(DativoError):
        place.store.delete([place.key(path) for path in paths])
