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

from pyiceberg.io import FileIO
from pyiceberg.table import Table

from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.iceberg.plan import newest_token
from dativo.targets.protocol import Saved
from dativo.targets.saved import LARGEST, VERSION, saved, state_in, state_of, state_text

RUN = "dativo.run."
STATE = "dativo.state."


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
    text = state_text(state_of(cursor, plan_hash, receipt, token))
    if len(text.encode()) <= LARGEST:
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

    def read() -> dict[str, Any]:
        state: dict[str, Any] = json.loads(text)
        if "file" not in state:
            return state
        path = state["file"]
        with io.new_input(path).open() as stream:
            content = stream.read()
        return state_in(content, state["sha256"], f"the state file '{path}' is not the one that the table names")

    return saved(token, job, read, OSError)
