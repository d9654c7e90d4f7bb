"""The private folder of a run: keys, violations and spilled rows, gone when the run ends.

A run that was killed leaves its folder behind; the next run of anyone sweeps the folders whose owner is dead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError
from dativo.staging.identity import SCHEME
from dativo.staging.index import KeyIndex
from dativo.state.process import identity, lives
from dativo.state.store import state_root

TOKEN_LENGTH = 36


def staging_root(job: ResolvedJob) -> Path:
    """The folder of all runs' staging folders."""
    return Path(job.root) / ".local" / "staging"


def key_index(job: ResolvedJob, stream: StreamConfig, holds: str) -> KeyIndex:
    """What is kept of the keys of a stream's table: beside the state, `.local/keys/{tenant}/{job}/{stream}`."""
    root = state_root(job)
    keys = root / ".keys" if os.environ.get("STATE_DIR") else root.with_name("keys")
    return KeyIndex(keys / job.tenant_id / job.name / quote(stream.name, safe=""), f"{SCHEME}: {holds}")


@contextmanager
def staging_folder(root: Path, token: str) -> Iterator[Path]:
    """A folder of mode 0700 below `root`, whose name tells its owner; TargetError when it cannot be made."""
    folder = root / f"{token}~{identity(os.getpid())}"
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise TargetError(
            f"the staging folder '{folder}' cannot be made: {error.strerror}", hint="check the disk and its permissions"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> int:
    """Removes the folders of runs that are dead; how many."""
    swept = 0
    for folder in root.glob("*~*-*"):
        owner = folder.name.rpartition("~")[2]
        with contextlib.suppress(ValueError):
            if not lives(owner):
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept


def alive(root: Path) -> frozenset[str]:
    """The tokens of the runs that go on on this machine and have their staging folder below `root`."""
    found = set()
    for folder in root.glob("*~*-*"):
        name, _, owner = folder.name.rpartition("~")
        with contextlib.suppress(ValueError):
            if lives(owner):
                found.add(name[:TOKEN_LENGTH])
    return frozenset(found)
