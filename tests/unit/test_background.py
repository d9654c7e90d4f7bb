"""Work in a thread of its own: what it gives, what it raises, and what an interrupt does to it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dativo.errors import CommitUnknown, Interrupted, SourceError
from dativo.observe.listener import Silence
from dativo.pipeline.background import in_background
from dativo.sources.protocol import Meter

LONGEST = 60.0


class Presses(Silence):
    """Presses Ctrl-C at the first tick, or at each of several."""

    def __init__(self, times: int = 1) -> None:
        self.times = times
        self.events: list[str] = []

    def event(self, event_type: str, **fields: Any) -> None:
        self.events.append(event_type)

    def tick(self) -> None:
        if self.times:
            self.times -= 1
            signal.raise_signal(signal.SIGINT)


def once(event: threading.Event, work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, a moment after something has happened."""

    def later() -> Any:
        assert event.wait(LONGEST)
        time.sleep(0.1)
        return work()

    return later


def fails(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


def test_the_result_is_given_back() -> None:
    assert in_background(lambda: 7, Silence(), Meter()) == 7


def test_a_failure_is_raised_as_it_is() -> None:
    error = SourceError("no such file")
    with pytest.raises(SourceError) as caught:
        in_background(fails(error), Silence(), Meter())
    assert caught.value is error


def test_work_that_ends_well_in_spite_of_an_interrupt_is_not_lost() -> None:
    meter, listener = Meter(), Presses()
    assert in_background(once(meter.stop, lambda: 7), listener, meter) == 7
    assert meter.stop.is_set() and listener.events == ["interrupting"]


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.15])
def test_a_signal_that_comes_while_it_waits_does_not_end_the_waiting(delay: float) -> None:
    """A signal from outside, in the middle of a wait: the thread still runs, and is waited for."""
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.12 + delay, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    running, meter = threading.Event(), Meter()

    def work() -> int:
        running.set()
        assert meter.stop.wait(LONGEST)  # the signal has come
        time.sleep(0.3)
        running.clear()
        return 7

    assert in_background(work, Silence(), meter) == 7
    assert not running.is_set()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (SourceError("stopped"), Interrupted),
        (KeyboardInterrupt(), Interrupted),
        (CommitUnknown("no answer"), CommitUnknown),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_a_failure_after_an_interrupt_is_the_interrupt_unless_it_says_more(
    error: BaseException, raised: type[BaseException]
) -> None:
    meter = Meter()
    with pytest.raises(raised):
        in_background(once(meter.stop, fails(error)), Presses(), meter)


def test_an_interrupt_before_the_work_begins_keeps_it_from_beginning() -> None:
    done: list[int] = []
    meter = Meter()
    with pytest.raises(Interrupted):
        in_background(lambda: done.append(1), Presses(), meter, lambda: signal.raise_signal(signal.SIGINT))
    assert done == [] and meter.stop.is_set()


def test_a_second_interrupt_is_raised_at_once() -> None:
    over, ended = threading.Event(), threading.Event()

    def work() -> None:
        over.wait(LONGEST)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        in_background(work, Presses(2), Meter())
    assert not ended.is_set()
    over.set()
    assert ended.wait(LONGEST)


def test_a_listener_that_fails_does_not_leave_the_work_behind() -> None:
    class Fails(Silence):
        def tick(self) -> None:
            raise ZeroDivisionError

    ended: list[int] = []
    meter = Meter()
    with pytest.raises(ZeroDivisionError):
        in_background(once(meter.stop, lambda: ended.append(1)), Fails(), meter)
    assert ended == [1]


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    for _ in range(20):
        in_background(lambda: None, Silence(), Meter())
        with pytest.raises(Interrupted):
            in_background(lambda: None, Silence(), Meter(), lambda: signal.raise_signal(signal.SIGINT))
    end = time.monotonic() + LONGEST
    while threading.active_count() > before + 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert threading.active_count() <= before + 1
