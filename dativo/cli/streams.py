"""The standard streams, made so that whoever started the program cannot hold up a run by them.

One that was closed leads nowhere, instead of into the first file that is opened. Messages that nobody takes out of their
pipe are dropped after a while, and that is told once they are taken again.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys
from typing import Any

# Seconds that a reader of messages has to take some of them.
PATIENCE = 5.0


def make_ready() -> None:
    """Puts the standard streams in order; to be called before any file is opened."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _writer(1)
    if sys.stderr is None:
        sys.stderr = _writer(2)
    elif _is_pipe(sys.stderr):
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Unhurried(sys.stderr.fileno())), encoding=sys.stderr.encoding, line_buffering=True
        )


def _writer(number: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding="utf-8")


def _is_pipe(stream: Any) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class _Unhurried(io.RawIOBase):
    """Writes to a pipe as long as its reader takes something now and then, and else to nowhere."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.dropped = 0

    def fileno(self) -> int:
        return self.number

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        # So much goes into a pipe at once when it can take anything.
        content = bytes(data[: select.PIPE_BUF])
        if not self._taken(0 if self.dropped else PATIENCE):
            self.dropped += len(content)
            return len(content)
        if self.dropped:
            content = b"warning: %d bytes of messages were dropped: nobody took them\n%b" % (self.dropped, content)
            content = content[: select.PIPE_BUF]
            self.dropped = 0
        # A reader that has gone away ends the messages, not the run.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.number, content)
        return min(len(data), select.PIPE_BUF)

    def _taken(self, seconds: float) -> bool:
        """Whether the reader takes something within some seconds; one that is gone takes everything."""
        poll = select.poll()
        poll.register(self.number, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))
