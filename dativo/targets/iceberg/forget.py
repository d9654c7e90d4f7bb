"""A table's memory of a job, emptied by a commit like any other: the cursor is gone, and runs under way lose to it."""

from __future__ import annotations

from contextlib import suppress

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.iceberg.catalog import open_catalog, settings
from dativo.targets.iceberg.commit import commit
from dativo.targets.iceberg.failure import translated
from dativo.targets.iceberg.lookup import load
from dativo.targets.iceberg.memory import decode_state, encode_state, run_key, state_key
from dativo.targets.iceberg.plan import Plan
from dativo.targets.saved import DamagedState


def forget(job: ResolvedJob, stream: StreamConfig, token: str, expected: str | None, receipt: StreamReceipt) -> None:
    """Commits an empty cursor under a new token; nothing happens where the table does not exist.

    `expected` is the newest token that the person was told of. Raises CommitConflict when a run has committed since,
    StateError for a memory that a newer version of the program wrote, TargetError when it cannot be done.
    """
    identifier = (stream.namespace, stream.table)
    try:
        catalog = open_catalog(settings(job, make=False))
        table = load(catalog, identifier)
        if table is None:
            return
        # A memory that cannot be read is what a person wants to be rid of; a newer version's is another matter.
        with suppress(DamagedState):
            decode_state(table.properties, job.tenant_id, job.name, stream.name, table.io)
        state = encode_state(Cursor(), "", receipt, table.location(), token, table.io)
        plan = Plan(
            identifier=identifier,
            token=token,
            token_key=run_key(job.tenant_id, job.name, stream.name),
            expected=expected,
            check_expected=True,
            properties={state_key(job.tenant_id, job.name, stream.name): state},
            files=[],
            schema=table.schema(),
            spec=table.spec(),
            summary={"dativo.run": token, "dativo.job": f"{job.tenant_id}.{job.name}"},
        )
        commit(catalog, plan)
    except DativoError:
        raise
    except Exception as error:
        raise translated(error, f"resetting the state in {'.'.join(identifier)}") from error
