"""When the next try of a commit begins: later from try to try, by chance, and one after another within a process."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_WAIT = 5.0
FIRST_WAIT = 1.0

_guard = threading.Lock()
_queues: dict[str, threading.Lock] = {}


def after_doubt(doubts: int, longest: float = LONGEST_WAIT) -> float:
    """Seconds to wait for a server that is in trouble."""
    return float(min(0.05 * 2**doubts, longest) * (0.5 + random.random()))  # noqa: S311 - no secret


def after_conflict(conflicts: int, took: float, longest: float = LONGEST_WAIT) -> float:
    """Seconds to wait when another writer was faster: as long as a few tries take, so that someone gets through."""
    return float(min(took * 2 ** min(conflicts, 3), longest) * random.random())  # noqa: S311 - no secret


@contextmanager
def queued(name: str, wanted: bool) -> Iterator[None]:
    """A turn among the threads of this process that lost a try at the same thing.

    Who has not lost one does not go ahead of those that have. No turn is waited for long.
    """
    with _guard:
        turn = _queues.setdefault(name, threading.Lock())
    had = (wanted or turn.locked()) and turn.acquire(timeout=LONGEST_WAIT if wanted else FIRST_WAIT)
    try:
        yield
    finally:
        if had:
            turn.release()
