"""A table's memory of a job, emptied by a commit like any other: the cursor is gone, and runs under way lose to it."""

from __future__ import annotations

from contextlib import suppress

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.objects.columns import contract_field
from dativo.targets.objects.commit import commit
from dativo.targets.objects.located import located
from dativo.targets.objects.manifest import load
from dativo.targets.objects.memory import decode_state, encode_state
from dativo.targets.objects.plan import Plan
from dativo.targets.saved import DamagedState


def forget(job: ResolvedJob, stream: StreamConfig, token: str, expected: str | None, receipt: StreamReceipt) -> None:
    """Commits an empty cursor under a new token; nothing happens where the table does not exist.

    `expected` is the newest token that the person was told of. Raises CommitConflict when a run has committed since,
    StateError for a memory that a newer version of the program wrote, StoreError when it cannot be done.
    """
    where = located(job, stream)
    found = load(where)
    if found is None:
        return
    manifest = found[0]
    key = f"{job.tenant_id}.{job.name}.{stream.name}"
    # A memory that cannot be read is what a person wants to be rid of; a newer version's is another matter.
    with suppress(DamagedState):
        decode_state(manifest, key, where, job.name)
    plan = Plan(
        place=where,
        token=token,
        key=key,
        job=f"{job.tenant_id}.{job.name}",
        expected=expected,
        check_expected=True,
        format=manifest.format,
        style=manifest.style,
        wanted=tuple(contract_field(c) for c in manifest.columns),
        mode="merge",
        before=manifest.columns,
        written=None,
        partitioning=manifest.partitioning,
        state=encode_state(Cursor(), "", receipt, where, token),
    )
    commit(plan)
