"""A proxy before a REST catalog that loses replies to commits or merges, or answers in the server's stead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

# What happens to a commit: whether the server hears of it, and what the client is answered (None: the line is cut).
Fate = tuple[bool, int | None]


class Proxy:
    """Passes requests on; the next commits meet the fates in `fates`, first to last, further ones pass unharmed.

    `before` is called once, before the first of these commits, and `after` once, when the last fate was met: what a
    rival does at that moment. With `merges` all this is about Nessie's merges instead of commits to tables.
    """

    def __init__(self, uri: str) -> None:
        self.server = urlparse(uri).netloc
        self.merges = False
        self.fates: list[Fate] = []
        self.before: Callable[[], object] | None = None
        self.after: Callable[[], object] | None = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        parts = urlparse(request.path).path.strip("/").split("/")
        meant = parts[-1] == "merge" if self.merges else parts[-2] == "tables"
        if request.command != "POST" or not meant:
            self._reply(request, *self._forward(request, body))
            return
        if self.before is not None:
            called, self.before = self.before, None
            called()
        if not self.fates:
            self._reply(request, *self._forward(request, body))
            return
        heard, status = self.fates.pop(0)
        if heard:
            self._forward(request, body)
        if not self.fates and self.after is not None:
            called, self.after = self.after, None
            called()
        if status is None:
            request.close_connection = True
            request.connection.close()
        else:
            self._reply(request, status, b'{"error": {"message": "made up", "type": "MadeUp", "code": %d}}' % status)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection(self.server, timeout=30)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "accept-encoding")}
            connection.request(request.command, request.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _reply(self, request: BaseHTTPRequestHandler, status: int, content: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


@contextmanager
def proxy(uri: str) -> Iterator[tuple[str, Proxy]]:
    """A proxy before the server at `uri`, and its own URI."""
    between = Proxy(uri)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (OSError, ValueError):
                self.close_connection = True

        def do_GET(self) -> None:
            between.answer(self)

        do_POST = do_HEAD = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", between
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
