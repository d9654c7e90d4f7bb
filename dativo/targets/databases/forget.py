"""A table's memory of a job, emptied by a commit like any other: the cursor is gone, and runs under way lose to it."""

from __future__ import annotations

from contextlib import suppress

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.databases.commit import Plan, commit, session
from dativo.targets.databases.dialects import dialect_of
from dativo.targets.databases.memory import remembered
from dativo.targets.databases.place import place
from dativo.targets.databases.staged import Staging
from dativo.targets.saved import DamagedState, state_of, state_text


def forget(job: ResolvedJob, stream: StreamConfig, token: str, expected: str | None, receipt: StreamReceipt) -> None:
    """Commits an empty cursor under a new token; nothing happens where the table does not exist.

    `expected` is the newest token that the person was told of. Raises CommitConflict when a run has committed since,
    StateError for a memory that a newer version of the program wrote, TargetError when it cannot be done.
    """
    dialect, connection = dialect_of(job), job.connections["target"]
    where = place(job, stream, dialect)
    key = f"{job.tenant_id}.{job.name}.{stream.name}"
    with session(dialect, connection) as opened:
        if dialect.columns(opened, where) is None:
            return
        memory = remembered(dialect, opened, where)
    # A memory that cannot be read is what a person wants to be rid of; a newer version's is another matter.
    with suppress(DamagedState):
        memory.saved(key, job.name)
    plan = Plan(
        dialect=dialect,
        connection=connection,
        table=where,
        token=token,
        job=key,
        expected=expected,
        check_expected=True,
        wanted=(),
        mode="merge",
        files=(),
        state=state_text(state_of(Cursor(), "", receipt, token)),
        staging=Staging(job, f"{token}-{stream.name}-reset"),
        alter=False,
    )
    commit(plan)
