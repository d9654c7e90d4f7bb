"""Work in a thread of its own, so that signals are heard and progress is drawn while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from dativo.errors import CommitUnknown, DativoError, Interrupted
from dativo.observe.listener import Listener
from dativo.sources.protocol import Meter

T = TypeVar("T")

_PAUSE = 0.1
NOTHING = "interrupted; nothing of this stream was committed"


def _nothing() -> None:
    return None


def in_background(work: Callable[[], T], listener: Listener, meter: Meter, begin: Callable[[], None] = _nothing) -> T:
    """What `work` gives, or raises; `begin` tells that it begins.

    Ctrl-C asks the source to stop at its next block, and the work is waited for: nothing is cleaned up under the feet of
    a thread that still writes. Work that ends well in spite of it (a commit that was on its way) is not lost: it is
    given back, and `meter.stop` stays set for whoever comes next. A second Ctrl-C is the caller's: it is raised at once.
    """
    thread = _Worker(work)
    thread.start()
    try:
        begin()
        thread.go.set()
        _wait(thread, listener)
    except KeyboardInterrupt:
        meter.stop.set()
        listener.event("interrupting")
        if thread.let_go():
            raise Interrupted(NOTHING) from None
        _wait(thread, listener)
    except BaseException:  # a listener failed
        meter.stop.set()
        thread.let_go()
        thread.done.wait()
        raise
    if thread.failure is not None:
        told = isinstance(thread.failure, DativoError) and not isinstance(thread.failure, CommitUnknown)
        if meter.stop.is_set() and told:
            raise Interrupted(NOTHING) from thread.failure
        raise thread.failure
    return thread.result[0]


class _Worker(threading.Thread, Generic[T]):
    """Does its work once `go` is set, and sets `done` after it.

    Whether it is done is not asked of `is_alive`: a `join` that Ctrl-C interrupts marks a thread that still runs as
    ended, in Python before 3.13.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="dativo-work", daemon=True)
        self.work = work
        self.go = threading.Event()
        self.done = threading.Event()
        self.wanted = True
        self.result: list[T] = []
        self.failure: BaseException | None = None

    def let_go(self) -> bool:
        """Ends the thread if its work has not begun, and tells whether that was so."""
        if self.go.is_set():
            return False
        self.wanted = False
        self.go.set()
        return True

    def run(self) -> None:
        self.go.wait()
        try:
            if self.wanted:
                self.result.append(self.work())
        except KeyboardInterrupt:
            # Only Polars raises it here, when a signal comes while it is at work.
            self.failure = Interrupted(NOTHING)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self.failure = error
        finally:
            self.done.set()


def _wait(thread: _Worker[T], listener: Listener) -> None:
    while not thread.done.wait(_PAUSE):
        listener.tick()
