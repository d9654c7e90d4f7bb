"""An environment of its own for an independent reader of Iceberg tables: DuckDB 1.4 with its Iceberg extension.

dativo itself uses DuckDB 2, for which no extension is on PyPI. The environment is made once, with uv, in
`.local/readers` of the repository; uv is found by the variable UV or on the PATH.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(__file__).with_name("duck_reader.py")
PACKAGES = (
    "duckdb==1.4.4",
    "duckdb-ext-iceberg==1.4.4.20260205",
    "duckdb-ext-avro==1.4.4.20260205",
    "duckdb-ext-httpfs==1.4.4.20260205",
)


def reader_python() -> Path:
    """The interpreter of the reader's environment, which is made if it is not there."""
    folder = REPOSITORY / ".local" / "readers" / f"duckdb-1.4.4-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not python.exists():
        uv = os.environ.get("UV") or shutil.which("uv")
        assert uv, "the independent reader needs uv: on the PATH, or named by the variable UV"
        making = folder.with_name(f"{folder.name}.making-{os.getpid()}")
        run(uv, "venv", "-q", "--python", sys.executable, str(making))
        run(uv, "pip", "install", "-q", "--python", str(making / "bin" / "python"), *PACKAGES)
        if not folder.exists():
            making.rename(folder)
        shutil.rmtree(making, ignore_errors=True)
    return python


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


def duckdb_rows(*queries: str) -> list[list[tuple[Any, ...]]]:
    """What DuckDB 1.4 answers to each query, as Python values."""
    done = subprocess.run([reader_python(), PROGRAM], input=pickle.dumps(queries), capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    answers: list[list[tuple[Any, ...]]] = pickle.loads(done.stdout)
    return answers
