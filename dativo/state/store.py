"""State files: a cache of what the tables remember, readable by people and by older versions.

`{STATE_DIR or .local/state}/{tenant}/{job}.json`. Written after the commit, never before it; if it is lost or wrong, the
tables win.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dativo.config.resolve import ResolvedJob
from dativo.errors import StateError
from dativo.state.cursor import Cursor

VERSION = 1
RESERVED = "_dativo"


def state_root(job: ResolvedJob) -> Path:
    """The folder of all state: `STATE_DIR`, else `.local/state` of the project."""
    chosen = os.environ.get("STATE_DIR")
    path = Path(chosen).expanduser() if chosen else Path(".local") / "state"
    return path if path.is_absolute() else Path(job.root) / path


def state_path(job: ResolvedJob) -> Path:
    """The job's state file."""
    own = job.incremental.state_path if job.incremental else None
    if own:
        path = Path(own).expanduser()
        return path if path.is_absolute() else Path(job.root) / path
    return state_root(job) / job.tenant_id / f"{job.name}.json"


def read_state(job: ResolvedJob, notes: list[str], *, keep: bool = True) -> dict[str, Any]:
    """The entries of the state file; of the reference implementation's file when ours does not exist; else none.

    A corrupt file is told in `notes` and, with `keep`, put aside as `.corrupt`. Raises StateError for a file of a newer
    version.
    """
    path = state_path(job)
    if not path.exists():
        older = reference_path(job)
        return _read(older, notes, keep) if older.exists() else {}
    return _read(path, notes, keep)


def reference_path(job: ResolvedJob) -> Path:
    """Where the reference implementation kept the state: by connector type and first object."""
    source = job.source
    named = [f.object for f in (source.files or [])[:1]] + [t.object for t in (source.tables or [])[:1]]
    object_ = next(iter(source.objects or []), None) or next((n for n in named if n), None) or "default"
    return state_root(job) / job.tenant_id / f"{job.source_type}.{object_}.state.json"


def _read(path: Path, notes: list[str], keep: bool) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise StateError(f"the state file '{path}' cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        _put_aside(path, notes, keep)
        return {}
    version = found.get(RESERVED, {}).get("version", 1) if isinstance(found.get(RESERVED), dict) else 1
    if isinstance(version, int) and version > VERSION:
        raise StateError(
            f"the state file '{path}' has version {version}, this program knows {VERSION}", hint="use a newer dativo"
        )
    return found


def _put_aside(path: Path, notes: list[str], keep: bool) -> None:
    if not keep:
        notes.append("the state file is damaged; the table's own state is used")
        return
    kept = path.with_name(path.name + ".corrupt")
    with contextlib.suppress(OSError):
        path.replace(kept)
    notes.append(f"the state file was damaged and is kept as {kept.name}; the table's own state is used")


def cursor_of(entries: dict[str, Any]) -> Cursor | None:
    """The cursor in a state file's entries, or None when there is none."""
    plain = {k: v for k, v in entries.items() if k != RESERVED and isinstance(v, dict)}
    return Cursor(entries=plain) if plain else None


def write_state(job: ResolvedJob, cursors: dict[str, Cursor], run_id: str, before: dict[str, Any]) -> None:
    """Writes the state file after a commit; entries that are not dativo's are kept. Raises StateError."""
    entries: dict[str, Any] = {k: v for k, v in before.items() if k != RESERVED}
    for cursor in cursors.values():
        entries.update(cursor.entries)
    entries[RESERVED] = {
        "version": VERSION,
        "run_id": run_id,
        "streams": {name: {"fingerprint": c.fingerprint} for name, c in cursors.items()},
    }
    write_json(state_path(job), entries)


def write_json(path: Path, value: Any) -> None:
    """Writes a file as a whole or not at all: temporary file, fsync, rename. StateError when it cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(value, stream, indent=2, ensure_ascii=False)
                stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise StateError(f"'{path}' cannot be written: {error.strerror}", hint="check the state folder") from None
