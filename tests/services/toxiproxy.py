"""Toxiproxy, which stands before a server and harms its connections."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.process import Recipe, Server, answers, free_port, running
from tests.services.programs import go_program

VERSION = "v2.5.0"


@dataclass(frozen=True)
class Proxy:
    """One proxy before one server."""

    server: Toxiproxy
    name: str
    port: int

    def poison(self, kind: str, *, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> str:
        """Adds a toxic: `latency` (latency, jitter: ms), `bandwidth` (rate: KB/s), `timeout` (timeout: ms, 0 is
        for ever), `reset_peer` (timeout), `limit_data` (bytes), `slow_close` (delay), `slicer` (average_size, delay).

        `stream` is `downstream` (to the client) or `upstream`; `toxicity` is the share of connections that meet it.
        Gives the name by which `cure` removes it.
        """
        name = f"{kind}_{stream}"
        body = {"name": name, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        self.server.ask("POST", f"proxies/{self.name}/toxics", body)
        return name

    def cure(self, toxic: str) -> None:
        self.server.ask("DELETE", f"proxies/{self.name}/toxics/{toxic}")

    def close(self) -> None:
        """Refuses connections and cuts those there are, as a server that is down."""
        self.server.ask("POST", f"proxies/{self.name}", {"enabled": False})

    def open(self) -> None:
        self.server.ask("POST", f"proxies/{self.name}", {"enabled": True})


@dataclass(frozen=True)
class Toxiproxy:
    """Where the proxies are made and changed."""

    port: int
    process: Server | None = None

    def proxy(self, upstream: int) -> Proxy:
        """A proxy before a port of this machine, on a port of its own."""
        port = free_port()
        name = f"{upstream}-{port}"
        self.ask("POST", "proxies", {"name": name, "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream}",
                                     "enabled": True})  # fmt: skip
        return Proxy(self, name, port)

    def reset(self) -> None:
        """Opens all proxies and removes all toxics."""
        self.ask("POST", "reset")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error


def program() -> Path:
    return go_program("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server", VERSION)


def recipe(folder: Path, port: int) -> Recipe:
    return Recipe(
        name="toxiproxy",
        folder=folder,
        command=[str(program()), "-host", "127.0.0.1", "-port", str(port)],
        ready=lambda: answers(f"http://127.0.0.1:{port}/version"),
    )


@contextmanager
def toxiproxy(folder: Path) -> Iterator[Toxiproxy]:
    """A Toxiproxy of the caller's own."""
    port = free_port()
    with running(recipe(folder, port)) as server:
        yield Toxiproxy(port, server)
