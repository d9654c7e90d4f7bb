"""Apache Iceberg's own REST catalog, the one its compatibility tests run against, over a catalog on SQLite.

Its jars come from Maven Central once, each checked against the SHA-256 in `rest_catalog.jars`, and stay in `.services/`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.services.java import ROOT, java

LIST = Path(__file__).with_name("rest_catalog.jars")
CENTRAL = os.environ.get("MAVEN_CENTRAL", "https://repo1.maven.org/maven2")
PATIENCE = 90.0


def jars() -> Path:
    """The folder with the server's jars, fetched where it is missing."""
    text = LIST.read_text()
    folder = ROOT / "rest-catalog" / hashlib.sha256(text.encode()).hexdigest()[:12]
    if not folder.is_dir():
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        wanted = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda entry: _fetch(entry[1], entry[0], making), wanted))
        if folder.is_dir():
            shutil.rmtree(making)
        else:
            making.rename(folder)
    return folder


def _fetch(place: str, digest: str, folder: Path) -> None:
    with urllib.request.urlopen(f"{CENTRAL}/{place}", timeout=120) as answer:
        content = answer.read()
    found = hashlib.sha256(content).hexdigest()
    assert found == digest, f"{place} is not the file that was listed: its SHA-256 is {found}"
    (folder / place.rsplit("/", 1)[1]).write_bytes(content)


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """The server's process, once it answers; its catalog, warehouse and log are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog",
        "CATALOG_URI": f"jdbc:sqlite:{folder}/rest.db",
        "CATALOG_JDBC_SCHEMA__VERSION": "V1",
        "CATALOG_WAREHOUSE": f"file://{folder}/warehouse",
        "CATALOG_REST_PORT": str(port),
    }
    command = [
        java(),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-cp",
        f"{jars()}/*",
        "org.apache.iceberg.rest.RESTCatalogServer",
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **settings}
        )
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if answers(port):
            return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError(f"the REST catalog did not start:\n{(folder / 'server.log').read_text()}")


def answers(port: int) -> bool:
    """Whether a REST catalog answers on a port of this machine."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/config", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def rest_catalog(folder: Path) -> Iterator[str]:
    """The URI of a server of the caller's own on a free port; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(folder, port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
