"""What a target remembers of a job's stream, as JSON: cursor, contract and receipt of the newest run.

Each kind of target says where the text is kept; what stands in it, and what a damaged one is, is the same for all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec

from dativo.errors import StateError
from dativo.receipt import StreamReceipt, stream_from_json, to_json
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Saved

VERSION = 1
# In bytes: a longer state is a file of its own, named and hashed where the state would be.
LARGEST = 64 * 1024


class DamagedState(StateError):
    """A table's memory of a job that cannot be read; one of a newer version is not damaged."""


def state_of(cursor: Cursor, plan_hash: str, receipt: StreamReceipt, token: str) -> dict[str, Any]:
    """The state after a run."""
    return {
        "version": VERSION,
        "token": token,
        "cursor": msgspec.to_builtins(cursor),
        "contract": {"name": receipt.contract, "hash": receipt.contract_hash},
        "plan": plan_hash,
        "receipt": json.loads(to_json(receipt)),
    }


def state_text(state: dict[str, Any]) -> str:
    """A state as one line."""
    return json.dumps(state, separators=(",", ":"), ensure_ascii=False)


def state_in(text: bytes, digest: str, what: str) -> dict[str, Any]:
    """The state in a file of its own; ValueError where `what` it is does not have this SHA-256."""
    if hashlib.sha256(text).hexdigest() != digest:
        raise ValueError(what)
    found: dict[str, Any] = json.loads(text)
    return found


def saved(token: str, job: str, read: Callable[[], dict[str, Any]], *unreadable: type[Exception]) -> Saved:
    """What the state that `read` gives remembers; `unreadable` is what it raises where its file cannot be read.

    Raises DamagedState when it cannot be read, StateError when it is of a newer version.
    """
    damaged: tuple[type[Exception], ...] = (ValueError, KeyError, TypeError, AttributeError, *unreadable)
    try:
        state = read()
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
    except damaged as error:
        raise DamagedState(
            f"the table's state of job '{job}' cannot be read: {str(error) or type(error).__name__}",
            hint="run `dativo sync --full-refresh` to load everything again",
        ) from error
