"""What a table remembers of the jobs that load it: run tokens and state, as table properties.

`dativo.run.<tenant>.<job>.<stream>` has the last 8 run tokens, newest first; `dativo.state.<tenant>.<job>.<stream>` is
JSON with the cursor, the contract and the receipt of the newest. Both change in the transaction that adds the data, so
data and state cannot differ. State over 64 KiB is a file of its own in the table's metadata folder, named and hashed in
the property.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
from pyiceberg.io import FileIO
from pyiceberg.table import Table

from dativo.errors import StateError
from dativo.receipt import StreamReceipt, stream_from_json, to_json
from dativo.state.cursor import Cursor
from dativo.targets.iceberg.stage import newest_token
from dativo.targets.protocol import Saved

VERSION = 1
LARGEST_PROPERTY = 64 * 1024
RUN = "dativo.run."
STATE = "dativo.state."


class DamagedState(StateError):
    """A table's memory of a job that cannot be read; one of a newer version is not damaged."""


def run_key(tenant: str, job: str, stream: str) -> str:
    return f"{RUN}{tenant}.{job}.{stream}"


def state_key(tenant: str, job: str, stream: str) -> str:
    return f"{STATE}{tenant}.{job}.{stream}"


def other_jobs(properties: dict[str, str], own_run_key: str) -> tuple[str, ...]:
    """The other jobs that load a table, as `tenant.job.stream`."""
    return tuple(sorted(k.removeprefix(RUN) for k in properties if k.startswith(RUN) and k != own_run_key))


def other_loaders(table: Table, own_run_key: str) -> tuple[str, ...]:
    """Who else loads a table: other jobs, or another program where it has rows and no job has ever loaded it."""
    jobs = other_jobs(table.properties, own_run_key)
    snapshot = table.current_snapshot()
    if jobs or snapshot is None or any(k.startswith(RUN) for k in table.properties):
        return jobs
    rows = snapshot.summary.get("total-records") if snapshot.summary is not None else None
    return () if rows == "0" else ("another program",)


def encode_state(cursor: Cursor, plan_hash: str, receipt: StreamReceipt, location: str, token: str, io: FileIO) -> str:
    """The state property's text; a long state is written to a file first."""
    state = {
        "version": VERSION,
        "token": token,
        "cursor": msgspec.to_builtins(cursor),
        "contract": {"name": receipt.contract, "hash": receipt.contract_hash},
        "plan": plan_hash,
        "receipt": json.loads(to_json(receipt)),
    }
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) <= LARGEST_PROPERTY:
        return text
    path = f"{location}/metadata/dativo-state-{token}.json"
    with io.new_output(path).create(overwrite=True) as stream:
        stream.write(text.encode())
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"version": VERSION, "file": path, "sha256": digest}, separators=(",", ":"))


def decode_state(properties: dict[str, str], tenant: str, job: str, stream: str, io: FileIO) -> Saved | None:
    """What the table remembers of a job's stream, or None.

    Raises DamagedState when it cannot be read, StateError when it is of a newer version.
    """
    text = properties.get(state_key(tenant, job, stream))
    token = newest_token(properties, run_key(tenant, job, stream))
    if text is None or token is None:
        return None
    try:
        state = json.loads(text)
        if "file" in state:
            state = _from_file(state["file"], state["sha256"], io)
        if state["version"] > VERSION:
            raise StateError(
                f"the table's state has version {state['version']}, this program knows {VERSION}",
                hint="use a newer dativo",
            )
        return Saved(
            token=token,
            cursor=msgspec.convert(state["cursor"], Cursor),
            plan_hash=state.get("plan", ""),
            contract_hash=state.get("contract", {}).get("hash", ""),
            receipt=stream_from_json(json.dumps(state["receipt"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise _damaged(job, str(error) or type(error).__name__) from error


def _damaged(job: str, what: str) -> DamagedState:
    return DamagedState(
        f"the table's state of job '{job}' cannot be read: {what}",
        hint="run `dativo sync --full-refresh` to load everything again",
    )


def _from_file(path: str, digest: str, io: FileIO) -> dict[str, Any]:
    with io.new_input(path).open() as stream:
        text = stream.read()
    if hashlib.sha256(text).hexdigest() != digest:
        raise ValueError(f"the state file '{path}' is not the one that the table names")
    found: dict[str, Any] = json.loads(text)
    return found
