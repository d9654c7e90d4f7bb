"""Work in a thread of its own, so that signals are heard and progress is drawn while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from dativo.errors import CommitUnknown, DativoError, Interrupted
from dativo.observe.listener import Listener
from dativo.sources.protocol import Meter

T = TypeVar("T")

_PAUSE = 0.1
NOTHING = "interrupted; nothing of this stream was committed"


def in_background(work: Callable[[], T], listener: Listener, meter: Meter) -> T:
    """What `work` gives, or raises.

    Ctrl-C asks the source to stop at its next block, and the work is waited for: nothing is cleaned up under the feet of
    a thread that still writes. Work that ends well in spite of it (a commit that was on its way) is not lost: it is
    given back, and `meter.stop` stays set for whoever comes next. A second Ctrl-C is the caller's: it is raised at once.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="dativo-work", daemon=True)
    try:
        thread.start()
        _wait(thread, listener)
    except KeyboardInterrupt:
        meter.stop.set()
        listener.event("interrupting")
        _wait(thread, listener)
    if failure:
        told = isinstance(failure[0], DativoError) and not isinstance(failure[0], CommitUnknown)
        if meter.stop.is_set() and told:
            raise Interrupted(NOTHING) from failure[0]
        raise failure[0]
    if not result:
        raise Interrupted(NOTHING)  # the thread never began
    return result[0]


def _wait(thread: threading.Thread, listener: Listener) -> None:
    while thread.is_alive():
        thread.join(_PAUSE)
        listener.tick()
