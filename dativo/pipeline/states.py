"""What the tables remember of a job, and the state file that is its cache."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from dativo import connectors
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import StateError
from dativo.pipeline.kept import discard, left_over
from dativo.pipeline.purposes import one_stream
from dativo.pipeline.refuse import refuse_missing
from dativo.pipeline.run import run_token
from dativo.pipeline.staging import key_index
from dativo.receipt import Receipt, StreamReceipt
from dativo.state.receipts import keep_receipt
from dativo.state.store import RESERVED, read_state, reference_path, state_path, write_state

RESET = "reset"


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream's table remembers: the last run, and the cursor's entries."""

    stream: str
    table: str
    run: str | None
    cursor: dict[str, Any]
    loaded: int
    contract: str
    reset: bool = False


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
    refuse_missing(job)
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
                reset=one is not None and one.receipt is not None and one.receipt.write_mode == RESET,
            )
            for s in job.streams
            for one in [saved[s.name]]
        ),
        notes=tuple(notes),
    )


def rebuild_state(job: ResolvedJob) -> JobState:
    """Writes the state file anew from the tables alone, and gives the state. Raises StateError when no table has one."""
    refuse_missing(job)
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


# -- forgetting ---------------------------------------------------------------------------------------------------------


class StreamReset(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be forgotten of a stream: the cursor that its table remembers, as the run `run` left it.

    `exists` tells whether the table is there, `damaged` why its memory cannot be read, `kept` whether rows lie on the disk
    that a run read and did not load, because it did not end.
    """

    stream: str
    table: str
    exists: bool
    run: str | None
    cursor: dict[str, Any]
    damaged: str = ""
    kept: bool = False


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """What a reset will forget, and in `next_run` what the job's next run will do then.

    `path` is the state file, `older` the one of the reference implementation; None where there is none.
    """

    job: str
    tenant_id: str
    path: str | None
    older: str | None
    streams: tuple[StreamReset, ...]
    next_run: str

    @property
    def empty(self) -> bool:
        """Whether nothing is remembered at all."""
        known = any(s.run is not None or s.damaged or s.kept for s in self.streams)
        return not known and self.path is None and not (self.older and any(s.exists for s in self.streams))


_NEXT = {
    "append": "reads everything again; rows that are in the table are recognised and not loaded again",
    "upsert": "reads everything again; rows that the table has as they are stay untouched",
    "scd2": "reads everything again; versions that the table has as they are stay untouched",
    "replace": "reads everything again and replaces rows as every run of the job does",
}


def plan_reset(job: ResolvedJob, *, stream: str | None = None) -> Reset:
    """What resetting the state of a job, or of one of its streams, will forget. Nothing is changed."""
    refuse_missing(job)
    chosen = job.streams if stream is None else (one_stream(job, stream),)
    path, older = state_path(job), reference_path(job)
    return Reset(
        job=job.name,
        tenant_id=job.tenant_id,
        path=str(path) if path.exists() else None,
        older=str(older) if older.exists() and older != path else None,
        streams=tuple(_remembered(job, s) for s in chosen),
        next_run=_NEXT.get(job.write_mode, "reads everything again"),
    )


def _remembered(job: ResolvedJob, stream: StreamConfig) -> StreamReset:
    reader = connectors.reader(job, stream)
    damaged = ""
    saved = None
    try:
        saved = reader.saved()
    except StateError as error:
        damaged = error.message
    return StreamReset(
        stream=stream.name,
        table=f"{stream.namespace}.{stream.table}",
        exists=reader.fields() is not None,
        run=next(iter(reader.tokens()), None),
        cursor=saved.cursor.entries if saved is not None else {},
        damaged=damaged,
        kept=bool(left_over(job, stream)),
    )


def reset_state(job: ResolvedJob, what: Reset) -> JobState:
    """Forgets what `plan_reset` told, in the tables first, then in the state file; gives the state afterwards.

    What is kept on the disk to read or compare less goes, too: the next run begins from nothing.

    Raises CommitConflict when a run committed after that was told: nothing of that stream is forgotten then.
    """
    started = datetime.now(UTC)
    token = run_token(started)
    streams = {s.name: s for s in job.streams}
    done = []
    for each in what.streams:
        receipt = StreamReceipt(
            stream=each.stream,
            table=each.table,
            status="unchanged",
            write_mode=RESET,
            contract=streams[each.stream].asset.label,
            contract_hash=streams[each.stream].asset.hash,
        )
        if each.exists:
            connectors.forget(job, streams[each.stream], token, each.run, receipt)
            done.append(receipt)
        discard(job, streams[each.stream])
        key_index(job, streams[each.stream], "").forget()
    if what.path is not None:
        _forget_in_file(job, {s.stream for s in what.streams}, token)
    if done:
        keep_receipt(job, _receipt(job, token, started, done))
    return show_state(job)


def _receipt(job: ResolvedJob, token: str, started: datetime, streams: list[StreamReceipt]) -> Receipt:
    return Receipt(
        run_id=token,
        job=job.name,
        tenant_id=job.tenant_id,
        status="unchanged",
        exit_code=0,
        started_at=started.isoformat(timespec="milliseconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
        streams=tuple(streams),
    )


def _forget_in_file(job: ResolvedJob, streams: set[str], token: str) -> None:
    """Writes the state file with what is left: what the tables remember of the other streams, and nothing else."""
    saved = {s.name: connectors.reader(job, s).saved() for s in job.streams if s.name not in streams}
    kept = {name: one.cursor for name, one in saved.items() if one is not None}
    write_state(job, kept, token, {})
