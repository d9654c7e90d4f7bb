"""Apache Iceberg's own REST catalog, the one its compatibility tests run against, over a catalog on SQLite.

Its jars come from Maven Central once, each checked against the SHA-256 in `rest_catalog.jars`, and stay in `.services/`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.services.java import java
from tests.services.process import Recipe, answers, free_port, running
from tests.services.programs import CENTRAL, ROOT

LIST = Path(__file__).with_name("rest_catalog.jars")


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


def recipe(folder: Path, port: int) -> Recipe:
    return Recipe(
        name="rest-catalog",
        folder=folder,
        command=[
            java(), "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{jars()}/*", "org.apache.iceberg.rest.RESTCatalogServer",
        ],
        ready=lambda: answers(f"http://127.0.0.1:{port}/v1/config"),
        environment={
            "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog",
            "CATALOG_URI": f"jdbc:sqlite:{folder}/rest.db",
            "CATALOG_JDBC_SCHEMA__VERSION": "V1",
            "CATALOG_WAREHOUSE": f"file://{folder}/warehouse",
            "CATALOG_REST_PORT": str(port),
        },
    )  # fmt: skip


@contextmanager
def rest_catalog(folder: Path) -> Iterator[str]:
    """The URI of a server of the caller's own; it is stopped at the end."""
    port = free_port()
    with running(recipe(folder, port)):
        yield f"http://127.0.0.1:{port}"
