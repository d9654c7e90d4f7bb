"""What memory the process takes."""

from __future__ import annotations

import resource
import sys


def peak_memory() -> int:
    """The process's peak resident memory in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
