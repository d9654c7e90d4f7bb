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
    TOKENS,
    Commit,
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


def commit(plan: Plan) -> Manifest:
    """Carries the plan out, once; gives the manifest that it is in.

    Raises CommitConflict when another run of the job committed first or changed the table's shape, CommitUnknown when
    it cannot be told whether the commit landed, StoreError when it cannot be done.
    """
    doubts = conflicts = 0
    unsure: StoreError | None = None
    begun = time.monotonic()
    while True:
        try:
            landed = _round(plan, f"{plan.token}-{doubts + conflicts}", unsure is not None)
        except Changed:
            conflicts += 1
            landed = None
        except _Unsure as error:
            unsure = error.reason
            doubts += 1
            landed = None
        if landed is not None:
            return landed
        late = time.monotonic() - begun > PATIENCE
        if unsure is not None and (doubts >= ROUNDS or late):
            raise _unknown(plan, unsure) from unsure
        if conflicts >= CONFLICTS or late:
            raise CommitConflict(
                f"{conflicts} times another writer of {plan.place.name} was faster; this run changed nothing",
                hint="run again when fewer jobs load this table",
            )
        longest = LONGEST_WAIT if unsure is not None else LONGEST_CONFLICT_WAIT
        time.sleep(random.uniform(0.2, 1) * min(longest, 0.05 * 2 ** min(doubts + conflicts, 10)))  # noqa: S311


class _Unsure(Exception):
    """A request failed of which nobody knows whether it was done."""

    def __init__(self, reason: StoreError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _round(plan: Plan, name: str, unsure: bool) -> Manifest:
    place = plan.place
    try:
        found = load(place)
    except StoreError as error:
        if unsure:
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
    following, segments = _next(plan, now, name)
    try:
        place.store.write(
            place.manifest,
            encoded(following),
            only_if=etag,
            only_if_absent=etag is None,
            content_type="application/json",
        )
    except StoreError as error:
        if error.refused:
            raise
        raise _Unsure(error) from error
    except Changed:
        # An earlier try of the very same write may be what changed it: the next round looks.
        if not _is_there(plan):
            place.store.delete([place.key(s.path) for s in segments])
        raise
    _clean(place, [*following.removed, *(now.removed if now is not None else ())])
    return following


def _is_there(plan: Plan) -> bool:
    found = load(plan.place)
    return found is not None and plan.token in found[0].runs.get(plan.key, ())


def _unknown(plan: Plan, reason: StoreError) -> CommitUnknown:
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
    runs = dict(now.runs) if now is not None else {}
    runs[plan.key] = (plan.token, *runs.get(plan.key, ())[: TOKENS - 1])
    states = dict(now.states) if now is not None else {}
    old = states.get(plan.key, {}).get("file")
    if plan.state is not None:
        states[plan.key] = plan.state
        removed += [old.removeprefix(f"{place.base}/")] if old else []
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
        ),
        fresh,
    )


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
