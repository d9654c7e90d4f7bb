"""What the tables remember of a job, and the state file that is its cache."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob
from dativo.errors import StateError
from dativo.state.store import RESERVED, read_state, state_path, write_state


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream's table remembers: the last run, and the cursor's entries."""

    stream: str
    table: str
    run: str | None
    cursor: dict[str, Any]
    loaded: int
    contract: str


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """A job's state.

    `file` is `current`, `missing`, `stale` where it does not say what the tables say, or `damaged`.
    """

    job: str
    tenant_id: str
    path: str
    file: Literal["current", "missing", "stale", "damaged"]
    streams: tuple[StreamState, ...]
    notes: tuple[str, ...]


def show_state(job: ResolvedJob) -> JobState:
    """The state of a job as its tables have it, and whether the state file agrees. Raises StateError, TargetError."""
    notes: list[str] = []
    saved = {s.name: connectors.reader(job, s).saved() for s in job.streams}
    path = state_path(job)
    there = path.exists()
    entries = read_state(job, notes, keep=False) if there else {}
    expected = {k: v for one in saved.values() if one is not None for k, v in one.cursor.entries.items()}
    runs = {one.token for one in saved.values() if one is not None}
    block = entries.get(RESERVED)
    run = block.get("run_id") if isinstance(block, dict) else None
    agrees = all(entries.get(k) == v for k, v in expected.items()) and (not runs or run in runs)
    return JobState(
        job=job.name,
        tenant_id=job.tenant_id,
        path=str(path),
        file="missing" if not there else "damaged" if notes else "current" if agrees else "stale",
        streams=tuple(
            StreamState(
                stream=s.name,
                table=f"{s.namespace}.{s.table}",
                run=one.token if one is not None else None,
                cursor=one.cursor.entries if one is not None else {},
                loaded=one.receipt.loaded if one is not None and one.receipt is not None else 0,
                contract=one.receipt.contract if one is not None and one.receipt is not None else s.asset.label,
            )
            for s in job.streams
            for one in [saved[s.name]]
        ),
        notes=tuple(notes),
    )


def rebuild_state(job: ResolvedJob) -> JobState:
    """Writes the state file anew from the tables alone, and gives the state. Raises StateError when no table has one."""
    saved = {s.name: connectors.reader(job, s).saved() for s in job.streams}
    known = {name: one for name, one in saved.items() if one is not None}
    if not known:
        raise StateError(
            f"no table remembers the job '{job.name}'", hint=f"nothing was loaded yet: run `dativo sync {job.name}`"
        )
    newest = max(one.token for one in known.values())
    notes: list[str] = []
    before = read_state(job, notes) if state_path(job).exists() else {}
    write_state(job, {name: one.cursor for name, one in known.items()}, newest, before)
    return show_state(job)
