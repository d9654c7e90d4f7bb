"""A TCP proxy that counts what passes, and does something at a chosen moment: after so many bytes from the server, or when
the client sends some text. While it does that, nothing passes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BLOCK = 1 << 14
# Small buffers: what the client has not read yet is still the server's to send.
BUFFER = 1 << 16


@dataclass
class Moment:
    """When `work` is done, once: `text` is what the client must send, `after` the bytes that must have come since."""

    work: Callable[[], object]
    after: int = 0
    text: bytes = b""
    met: bool = False
    seen: bool = False
    since: int = 0
    failure: BaseException | None = None


@dataclass
class Strait:
    """The proxy before a port of this machine. `down` are the bytes that came from the server, of all connections."""

    upstream: int
    port: int = 0
    down: int = 0
    connections: int = 0
    moment: Moment | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _open: set[socket.socket] = field(default_factory=set)
    _listener: socket.socket | None = None

    def at(self, work: Callable[[], object], *, after: int = 0, text: bytes = b"") -> Moment:
        """Does the work at a moment of what comes next."""
        with self._lock:
            self.down = self.connections = 0
            self.moment = Moment(work, after, text, seen=not text)
            return self.moment

    def calm(self) -> None:
        """Nothing happens any more; the counters begin anew."""
        with self._lock:
            self.moment, self.down, self.connections = None, 0, 0

    def cut(self) -> None:
        """Resets every connection."""
        for line in list(self._open):
            with contextlib.suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _shut(line)

    def listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            _shut(self._listener)
        self.cut()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            try:
                server.connect(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            with self._lock:
                self.connections += 1
                self._open |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        try:
            while block := source.recv(BLOCK):
                with self._lock:
                    self._look(block, up)
                sink.sendall(block)
        except OSError:
            pass
        finally:
            self._open -= {source, sink}
            for line in (source, sink):
                _shut(line)

    def _look(self, block: bytes, up: bool) -> None:
        if not up:
            self.down += len(block)
        moment = self.moment
        if moment is None or moment.met:
            return
        if up and moment.text and moment.text in block:
            moment.seen = True
        elif not up and moment.seen:
            moment.since += len(block)
        if moment.seen and moment.since >= moment.after:
            moment.met = True
            try:
                moment.work()
            except BaseException as error:  # noqa: BLE001 - the test raises it
                moment.failure = error


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


@contextmanager
def strait(upstream: int) -> Iterator[Strait]:
    """A proxy, closed at the end."""
    made = Strait(upstream)
    made.listen()
    try:
        yield made
    finally:
        made.close()
