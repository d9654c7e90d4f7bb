"""The manifest that follows another by a commit: pure but for the segments that it writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from dativo.contract.evolve import Change, changes
from dativo.errors import CommitConflict, SchemaChangeRefused
from dativo.targets.objects.columns import Column, bare, changed, column, stored_column
from dativo.targets.objects.manifest import (
    INLINE,
    SNAPSHOTS,
    TOKENS,
    Commit,
    Entry,
    Manifest,
    Segment,
    split,
    write_segments,
)
from dativo.targets.objects.plan import Plan


def following(plan: Plan, now: Manifest | None, name: str) -> tuple[Manifest, list[Segment]]:
    """The manifest after the commit, and the segments that were written for it."""
    place = plan.place
    columns = _columns(plan, now)
    schemas, added = _added(plan, now)
    segments, kept, gone, removed = _left(plan, now)
    kept += added
    fresh: list[Segment] = []
    if len(kept) > INLINE:
        fresh = write_segments(place.store, place, kept, name)
        segments, kept = [*segments, *fresh], []
    runs, states, forgotten = _memory(plan, now)
    generation = now.generation + 1 if now is not None else 1
    return (
        Manifest(
            table=place.table,
            generation=generation,
            format=plan.format,
            columns=columns,
            schemas=schemas,
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
            removed=(*removed, *forgotten),
            style=plan.style,
        ),
        fresh,
    )


def _added(plan: Plan, now: Manifest | None) -> tuple[tuple[tuple[Column, ...], ...], list[Entry]]:
    """The schemas that files of the table have after the commit, and the files that it adds."""
    schemas = now.schemas if now is not None else ()
    if plan.written is None or not plan.files:
        return schemas, []
    written = bare(plan.written)
    if written not in schemas:
        schemas = (*schemas, written)
    return schemas, [msgspec.structs.replace(e, schema=schemas.index(written)) for e in plan.files]


def _left(plan: Plan, now: Manifest | None) -> tuple[list[Segment], list[Entry], list[Entry], list[str]]:
    """What the commit leaves of the table's segments and of its other files; the files that go; the paths of what goes."""
    if now is None:
        return [], [], [], []
    if plan.replace is None:
        return list(now.segments), list(now.entries), [], []
    segments, kept, gone, apart = split(plan.place, now, plan.replace.goes, plan.replace.touches)
    return segments, kept, gone, [*(e.path for e in gone), *(s.path for s in apart)]


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
