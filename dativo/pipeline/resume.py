"""Where a run goes on from: what the table remembers of the job, else an older tool's state file, else the beginning."""

from __future__ import annotations

from typing import Any

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.pipeline.plan import plan_hash
from dativo.state.cursor import Cursor
from dativo.state.store import RESERVED, cursor_of
from dativo.targets.protocol import Saved


def resume_point(
    job: ResolvedJob, stream: StreamConfig, saved: Saved | None, *, exists: bool, state: dict[str, Any], today: str
) -> Cursor | None:
    """The cursor to read from, or None to read everything.

    A table without a memory of the job takes the entries of an older tool's state file once, where the job loads
    incrementally; a state file of our own is a copy of what another table remembered. A full load is repeated when the
    contract or the job changed since, whatever the source's files say.
    """
    if saved is None:
        older = exists and job.incremental is not None and RESERVED not in state
        return cursor_of(state) if older else None
    if job.incremental is None and saved.plan_hash != plan_hash(job, stream, today):
        return None
    return saved.cursor
