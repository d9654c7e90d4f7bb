"""Where a manifest keeps what it remembers of a job's stream: beside the run tokens, or in an object of its own."""

from __future__ import annotations

import hashlib
from typing import Any

from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.stores.store import NoSuchObject
from dativo.targets.objects.layout import Place
from dativo.targets.objects.manifest import Manifest
from dativo.targets.protocol import Saved
from dativo.targets.saved import LARGEST, VERSION, saved, state_in, state_of, state_text


def encode_state(cursor: Cursor, plan_hash: str, receipt: StreamReceipt, place: Place, token: str) -> dict[str, Any]:
    """A state as the manifest has it; a long one is written to its object first."""
    state = state_of(cursor, plan_hash, receipt, token)
    text = state_text(state).encode()
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

    def read() -> dict[str, Any]:
        if "file" not in state:
            return state
        name = state["file"]
        return state_in(
            place.store.read(name)[0], state["sha256"], f"the object '{name}' is not the one that the manifest names"
        )

    return saved(token, job, read, NoSuchObject)
