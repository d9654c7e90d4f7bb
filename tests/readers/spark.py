"""Spark 4.1 with the Iceberg runtime as a reader of tables, in an environment of its own.

pyspark comes from PyPI, the jars from Maven Central, each checked against the SHA-256 in `spark.jars`; both are kept in
`.local/readers` of the repository. Java 17 or 21 is taken from JAVA_HOME, the PATH or /usr/lib/jvm.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.readers.environment import REPOSITORY, run

VERSION = "4.1.4"
PROGRAM = Path(__file__).with_name("spark_reader.py")
LIST = Path(__file__).with_name("spark.jars")
CENTRAL = os.environ.get("MAVEN_CENTRAL", "https://repo1.maven.org/maven2")
# Spark 4.1 asks for one of these; a later Java took away what its Hadoop client calls.
JAVAS = (17, 21)


def spark_rows(catalogs: dict[str, dict[str, str]], *queries: str) -> list[list[tuple[Any, ...]]]:
    """What Spark answers to each query; `catalogs` are Iceberg catalogs by the names that queries call them."""
    asked = {"catalogs": catalogs, "queries": queries, "jars": [str(p) for p in jars()]}
    python = spark_python()
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers"
        settings = {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"}
        done = subprocess.run(
            [python, PROGRAM, answers],
            input=pickle.dumps(asked),
            capture_output=True,
            timeout=300,
            env={**os.environ, **settings},
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-4000:]
        found: list[list[tuple[Any, ...]]] = pickle.loads(answers.read_bytes())
    return found


def spark_python() -> Path:
    """The interpreter of Spark's environment, which is made if it is not there."""
    folder = REPOSITORY / ".local" / "readers" / f"spark-{VERSION}-{sys.version_info.major}.{sys.version_info.minor}"
    if not folder.exists():
        uv = os.environ.get("UV") or shutil.which("uv")
        assert uv, "Spark's environment needs uv: on the PATH, or named by the variable UV"
        making = folder.with_name(f"{folder.name}.making-{os.getpid()}")
        run(uv, "venv", "-q", "--python", sys.executable, str(making))
        run(uv, "pip", "install", "-q", "--python", str(making / "bin" / "python"), f"pyspark=={VERSION}")
        if not folder.exists():
            making.rename(folder)
        shutil.rmtree(making, ignore_errors=True)
    return folder / "bin" / "python"


def jars() -> list[Path]:
    """The jars of the Iceberg runtime, fetched where they are missing."""
    folder = REPOSITORY / ".local" / "readers" / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    entries = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [_jar(folder, digest, place) for digest, place in entries]


def _jar(folder: Path, digest: str, place: str) -> Path:
    kept = folder / place.rsplit("/", 1)[1]
    if not kept.exists():
        with urllib.request.urlopen(f"{CENTRAL}/{place}", timeout=300) as answer:
            content = answer.read()
        found = hashlib.sha256(content).hexdigest()
        assert found == digest, f"{place} is not the file that was listed: its SHA-256 is {found}"
        making = kept.with_name(f"{kept.name}.{os.getpid()}")
        making.write_bytes(content)
        making.rename(kept)
    return kept


def java_home() -> Path:
    """The home of a Java that Spark 4.1 runs on."""
    looked = []
    for home in _homes():
        looked.append(str(home))
        told = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False).stderr
        match = re.search(r'version "(\d+)', told)
        if match and int(match[1]) in JAVAS:
            return home
    raise AssertionError(f"Spark needs Java 17 or 21 (Debian: openjdk-17-jre-headless); looked at {looked}")


def _homes() -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    program = shutil.which("java")
    if program:
        yield Path(program).resolve().parent.parent
    for home in sorted(Path("/usr/lib/jvm").glob("*")):
        if (home / "bin" / "java").exists():
            yield home
