"""Which process it is: its number and start time, which together no other process of the machine has."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def identity(pid: int) -> str:
    """A process's number and start time; where that is not told, its number and whether it is there."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return f"{pid}-{fields[19]}"
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return f"{pid}-alive"
    return f"{pid}-gone"


def lives(owner: str) -> bool:
    """Whether the process of this identity is still there; ValueError for a text that is none."""
    return owner == identity(int(owner.split("-")[0]))
