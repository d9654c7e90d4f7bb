"""What a manifest remembers of a job's stream: cursor, contract and receipt of the newest run, as JSON.

State over 64 KiB is an object of its own, named and hashed in the manifest.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from dativo.errors import StateError
from dativo.receipt import StreamReceipt, stream_from_json, to_json
from dativo.state.cursor import Cursor
from dativo.stores.store import NoSuchObject
from dativo.targets.objects.layout import Place
from dativo.targets.objects.manifest import Manifest
from dativo.targets.protocol import Saved

VERSION = 1
LARGEST = 64 * 1024


class DamagedState(StateError):
    """A table's memory of a job that cannot be read; one of a newer version is not damaged."""


def encode_state(cursor: Cursor, plan_hash: str, receipt: StreamReceipt, place: Place, token: str) -> dict[str, Any]:
    """A state as the manifest has it; a long one is written to its object first."""
    state = {
        "version": VERSION,
        "token": token,
        "cursor": msgspec.to_builtins(cursor),
        "contract": {"name": receipt.contract, "hash": receipt.contract_hash},
        "plan": plan_hash,
        "receipt": json.loads(to_json(receipt)),
    }
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) <= LARGEST:
        return state
    key = place.hidden(f"state-{token}.json")
    place.store.write(key, text, content_type="application/json")
    return {"version": VERSION, "token": token, "file": key, "sha256": hashlib.sha256(text).hexdigest()}


def decode_state(manifest: Manifest, key: str, place: Place, job: str) -> Saved | None:
    """What a table remembers of a job's stream, or None.

    Raises DamagedState when it cannot be read, StateError when it is of a newer version.
    """
    state = manifest.states.get(key)
    token = manifest.newest(key)
    if state is None or token is None:
        return None
    try:
        if "file" in state:
            state = _from_object(state["file"], state["sha256"], place)
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
    except (ValueError, KeyError, TypeError, AttributeError, NoSuchObject) as error:
        raise DamagedState(
            f"the table's state of job '{job}' cannot be read: {str(error) or type(error).__name__}",
            hint="run `dativo sync --full-refresh` to load everything again",
        ) from error


def _from_object(key: str, digest: str, place: Place) -> dict[str, Any]:
    text, _ = place.store.read(key)
    if hashlib.sha256(text).hexdigest() != digest:
        raise ValueError(f"the object '{key}' is not the one that the manifest names")
    found: dict[str, Any] = json.loads(text)
    return found
