"""Apache Iceberg's own REST catalog as a server of the tests: built from Maven Central's artifacts, started with `java`.

Needs `java` (17 or newer, with its compiler) and `mvn` on the PATH; the artifacts (82 MB) are kept in
`.local/rest-catalog` of the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent.parent / ".local" / "rest-catalog"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
PATIENCE = 60.0


def library() -> Path:
    """The folder with the server's jars, fetched once for each version of the list."""
    folder = LIBRARY / str(int((HERE / "pom.xml").stat().st_size))
    if not folder.is_dir():
        making = folder.with_name(folder.name + ".making")
        shutil.rmtree(making, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), COPY, f"-DoutputDirectory={making}"]
        subprocess.run(command, check=True, timeout=600)
        making.rename(folder)
    return folder


@contextmanager
def rest_catalog(folder: Path) -> Iterator[str]:
    """The URI of a server whose catalog and warehouse are in `folder`; it is stopped at the end."""
    log = folder / "server.log"
    command = [
        "java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{library()}/*", str(HERE / "RestCatalog.java"),
        str(folder / "rest.db"), f"file://{folder}/warehouse",
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{_port(process, log)}"
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("port "):
                return int(line.removeprefix("port "))
        time.sleep(0.05)
    raise AssertionError(f"the REST catalog did not start:\n{log.read_text()}")
