"""Reading ahead: what an iterator gives is fetched by a thread of its own while the last of it is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from dativo.errors import Interrupted

T = TypeVar("T")

_WAIT = 0.1


def ahead(
    items: Generator[T, None, None], stop: threading.Event, end: Callable[[threading.Thread], None], depth: int
) -> Generator[T, None, None]:
    """The items in their order, up to `depth` of them before they are asked for.

    Their error is raised where they end with one. `stop` set raises Interrupted. Closed early, the items are closed by the
    thread that fetches them. `end` waits for that thread, which fetches nothing more, and sees to it that it does not wait
    for the next item for ever.
    """
    held: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    closed = threading.Event()
    thread = threading.Thread(target=_fetch, args=(items, held, closed), name="dativo-ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item, error = held.get(timeout=_WAIT)
            except queue.Empty:
                if stop.is_set():
                    raise Interrupted("stopped while reading; nothing was committed") from None
                continue
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        closed.set()
        end(thread)


def _fetch(
    items: Generator[T, None, None], held: queue.Queue[tuple[T | None, BaseException | None]], closed: threading.Event
) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(held, (item, None), closed):
                items.close()
                return
    # Whatever it is, it belongs to whoever asks for the next item.
    except BaseException as caught:  # noqa: BLE001
        error = caught
    _put(held, (None, error), closed)


def _put(
    held: queue.Queue[tuple[T | None, BaseException | None]],
    entry: tuple[T | None, BaseException | None],
    closed: threading.Event,
) -> bool:
    while not closed.is_set():
        try:
            held.put(entry, timeout=_WAIT)
        except queue.Full:
            continue
        return True
    return False
