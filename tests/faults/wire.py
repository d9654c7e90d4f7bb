"""A proxy that passes HTTP through byte for byte, and meets chosen requests with a fate: cut, answered falsely, held up.

Nothing of a request is changed on its way, its Host header neither: requests to S3 are signed. A `Fate` is for the requests
that match its pattern (`POST /iceberg/.*/tables/people`), from its `nth` one on, `times` of them.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

ALWAYS = 1_000_000
PATIENCE = 120.0
SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)


@dataclass
class Fate:
    """What happens to some requests.

    `heard`: the server gets the request. `answer`: what the client is told; a status, `None` for the server's own answer,
    0 for none at all (the line is cut). `after_bytes` cuts the server's answer so many bytes after its head; `reset` cuts
    with RST. `before` is called when such a request has come, `then` when the server has answered and the client waits.
    """

    pattern: str
    heard: bool = True
    answer: int | None = None
    nth: int = 1
    times: int = 1
    body: bytes = b""
    after_bytes: int | None = None
    reset: bool = False
    delay: float = 0.0
    before: Callable[[], object] | None = None
    then: Callable[[], object] | None = None
    met: int = 0
    seen: int = 0

    def takes(self, line: str) -> bool:
        if re.search(self.pattern, line) is None:
            return False
        self.seen += 1
        taken = self.nth <= self.seen < self.nth + self.times
        self.met += taken
        return taken


class Closed(Exception):
    """The other side closed the line."""


@dataclass
class _Message:
    head: bytes
    body: bytes = b""

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    def header(self, name: str) -> str:
        match = re.search(rb"\r\n" + name.encode() + rb":[ \t]*([^\r\n]*)", self.head, re.IGNORECASE)
        return match[1].decode("latin-1").strip() if match else ""

    @property
    def status(self) -> int:
        return int(self.line.split()[1])


class Wire:
    """The proxy before a port of this machine. `fates` are looked through in order for every request."""

    def __init__(self, upstream: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = upstream
        self.tls = tls
        self.fates: list[Fate] = []
        self.log: list[str] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept()

    def meet(self, pattern: str, **what: object) -> Fate:
        """Adds a fate."""
        fate = Fate(pattern, **what)  # type: ignore[arg-type]
        self.fates.append(fate)
        return fate

    def clear(self) -> None:
        self.fates.clear()
        self.log.clear()

    def accept(self) -> None:
        """Listens, on the same port as ever."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuses connections from now on, and cuts those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            held = list(self._open)
        for line in held:
            _cut(line)

    # -- passing on --------------------------------------------------------------------------------------------------

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.ExitStack() as lines:
            with self._lock:
                self._open.add(client)
            lines.callback(self._open.discard, client)
            lines.callback(_cut, client)
            with contextlib.suppress(OSError, Closed, ValueError):
                if self.tls is not None:
                    bare, client = client, self.tls.wrap_socket(client, server_side=True)
                    with self._lock:
                        self._open.discard(bare)
                        self._open.add(client)
                    lines.callback(self._open.discard, client)
                    lines.callback(_cut, client)
                incoming = lines.enter_context(client.makefile("rb"))
                server = socket.create_connection(("127.0.0.1", self.upstream), timeout=PATIENCE)
                lines.callback(_cut, server)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                outgoing = lines.enter_context(server.makefile("rb"))
                while self._request(client, incoming, server, outgoing):
                    pass

    def _request(self, client: socket.socket, incoming: BinaryIO, server: socket.socket, outgoing: BinaryIO) -> bool:
        """Passes one request on; whether the line stays open."""
        request = _Message(_head(incoming))
        with self._lock:
            fate = next((f for f in self.fates if f.takes(request.line)), None)
            self.log.append(request.line.rsplit(" ", 1)[0])
        if fate is None:
            fate = Fate("")
        if request.header("expect").lower() == "100-continue":
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = _body(incoming, request)
        if fate.before is not None:
            fate.before()
        time.sleep(fate.delay)
        answer = None
        if fate.heard:
            server.sendall(request.head + request.body)
            answer = _Message(_head(outgoing))
            while answer.status == 100:
                answer = _Message(_head(outgoing))
            answer.body = _body(outgoing, answer, request.line.split()[0])
        if fate.then is not None:
            fate.then()
        return _deliver(client, request, answer, fate)


def _deliver(client: socket.socket, request: _Message, answer: _Message | None, fate: Fate) -> bool:
    if fate.answer == 0:
        _cut(client, reset=fate.reset)
        return False
    if fate.answer is not None:
        client.sendall(_made_up(fate))
        return True
    assert answer is not None, "a request that the server does not hear needs an answer"
    if fate.after_bytes is not None:
        client.sendall(answer.head + answer.body[: fate.after_bytes])
        _cut(client, reset=fate.reset)
        return False
    client.sendall(answer.head + answer.body)
    close = "close" in (request.header("connection").lower(), answer.header("connection").lower())
    return not close


def _made_up(fate: Fate) -> bytes:
    json = b'{"error": {"message": "made up", "type": "MadeUp", "code": %d}}' % (fate.answer or 0)
    body = fate.body or json
    kind = b"application/xml" if body.startswith(b"<") else b"application/json"
    return b"HTTP/1.1 %d Made Up\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
        fate.answer or 0, kind, len(body),
    ) + body  # fmt: skip


def _head(stream: BinaryIO) -> bytes:
    lines = []
    while True:
        line = stream.readline()
        if not line:
            raise Closed
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)


def _body(stream: BinaryIO, message: _Message, method: str = "") -> bytes:
    """The rest of a request (no method given), or of the answer to a request of that method."""
    if method and (method == "HEAD" or message.status in (204, 304)):
        return b""
    if "chunked" in message.header("transfer-encoding").lower():
        return _chunks(stream)
    length = message.header("content-length")
    if length:
        found = stream.read(int(length))
        if len(found) < int(length):
            raise Closed
        return found
    return stream.read() if method else b""


def _chunks(stream: BinaryIO) -> bytes:
    found = []
    while True:
        size = stream.readline()
        if not size:
            raise Closed
        found.append(size)
        number = int(size.split(b";")[0], 16)
        if number:
            found.append(stream.read(number + 2))
            continue
        while (line := stream.readline()) not in (b"\r\n", b""):
            found.append(line)
        return b"".join((*found, b"\r\n"))


def _cut(line: socket.socket, *, reset: bool = False) -> None:
    with contextlib.suppress(OSError):
        if reset:
            # Closed for good, whoever else holds a reference: what is to be read on it is forgotten, and RST is sent.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(line.detach())
            return
        line.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        line.close()


@contextmanager
def wire(upstream: int, *, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """A proxy before `upstream` on a free port."""
    between = Wire(upstream, tls=tls)
    try:
        yield between
    finally:
        between.refuse()
