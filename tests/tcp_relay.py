"""A relay between a client and a server that cuts, swallows or holds the line when certain bytes pass."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

What = Literal["cut the reply", "swallow", "go silent"]


@dataclass
class Trap:
    """What happens when `marks` have passed from the client in this order, so many `times`.

    With "cut the reply" the server gets the bytes, and the client a closed line; with "swallow" the server gets a closed
    line, too; with "go silent" the server's side stays open, as it does when a cable is pulled. `closed` turns away
    everybody who comes later.
    """

    marks: tuple[bytes, ...]
    what: What
    times: int = 1
    closed: bool = False
    sprung: int = 0


class Relay:
    """Listens at `port`; what passes goes to the server's port."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.trap: Trap | None = None
        self.lines: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.lines.append(client)
                if self.trap is not None and self.trap.closed and self.trap.sprung:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self.lines.append(server)
                threading.Thread(target=self._upstream, args=(client, server), daemon=True).start()
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()

    def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        seen, tail = 0, b""
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                trap = self.trap
                tail = tail[-200:] + piece
                while trap is not None and seen < len(trap.marks) and trap.marks[seen] in tail:
                    tail = tail[tail.index(trap.marks[seen]) + len(trap.marks[seen]) :]
                    seen += 1
                if trap is not None and seen == len(trap.marks) and trap.sprung < trap.times:
                    trap.sprung += 1
                    self._spring(trap, client, server, piece)
                    return
                server.sendall(piece)
        _shut(server)

    def _spring(self, trap: Trap, client: socket.socket, server: socket.socket, piece: bytes) -> None:
        # The client is gone first, so that no answer can reach it.
        _shut(client)
        if trap.what == "cut the reply":
            server.sendall(piece)
            server.settimeout(2)
            with contextlib.suppress(OSError):
                server.recv(1)
        if trap.what != "go silent":
            _shut(server)

    def close(self) -> None:
        self.listener.close()
        for line in self.lines:
            _shut(line)


def _pump(server: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := server.recv(65536):
            client.sendall(piece)
        _shut(client)


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        line.close()


@contextmanager
def relay(server_port: int) -> Iterator[Relay]:
    """A relay in front of a server."""
    found = Relay(server_port)
    try:
        yield found
    finally:
        found.close()
