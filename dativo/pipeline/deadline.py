"""Several questions asked at once, none of which may keep the others waiting for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from dativo.errors import DativoError

K = TypeVar("K")
V = TypeVar("V")


class NoAnswer(DativoError):
    """A question was not answered in time."""

    code = "timeout"


class _Asking(threading.Thread, Generic[V]):
    """Asks one question; a thread that never ends does not keep the program from ending."""

    def __init__(self, question: Callable[[], V]) -> None:
        super().__init__(name="dativo-check", daemon=True)
        self.question = question
        self.answer: list[V] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer.append(self.question())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asked
            self.failure = error


def ask_all(questions: Mapping[K, Callable[[], V]], seconds: float) -> dict[K, V | DativoError]:
    """The answers, or the DativoError that a question ended with; NoAnswer for those that took longer than `seconds`."""
    threads = {key: _Asking(question) for key, question in questions.items()}
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + seconds
    found: dict[K, V | DativoError] = {}
    for key, thread in threads.items():
        thread.join(max(end - time.monotonic(), 0))
        if isinstance(thread.failure, DativoError):
            found[key] = thread.failure
        elif thread.failure is not None:
            raise thread.failure
        elif thread.answer:
            found[key] = thread.answer[0]
        else:
            found[key] = NoAnswer(f"no answer within {seconds:g} s", hint="look at the server and at the network")
    return found
