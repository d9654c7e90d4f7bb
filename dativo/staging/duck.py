"""A DuckDB connection that can read and write one folder and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from dativo.errors import TargetError

DEFAULT_MEMORY = "512MB"


def connect(folder: Path, *, memory_limit: str | None = None, threads: int | None = None) -> Any:
    """A connection in memory that may touch `folder` only, and spills into it.

    Its defaults are open, so extensions, other paths and further settings are locked before the first query.
    """
    spill = folder / "spill"
    spill.mkdir(mode=0o700, parents=True, exist_ok=True)
    con = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": memory_limit or DEFAULT_MEMORY,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **({"threads": threads} if threads else {}),
        },
    )
    con.execute("SET allowed_directories = ?", [[str(folder)]])
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


@contextmanager
def connected(folder: Path, *, memory_limit: str | None = None, threads: int | None = None) -> Iterator[Any]:
    """`connect`, closed at the end; DuckDB's errors come out of it in dativo's words."""
    try:
        with connect(folder, memory_limit=memory_limit, threads=threads) as con:
            yield con
    except duckdb.Error as error:
        raise translated(error) from None


def parquet(*paths: Path) -> str:
    """Parquet files as DuckDB reads them, all of which have the same columns."""
    return "read_parquet([" + ", ".join("'" + str(p).replace("'", "''") + "'" for p in paths) + "])"


def translated(error: Exception) -> TargetError:
    """A DuckDB error in dativo's words."""
    text = str(error).splitlines()[0]
    if "No space left" in text:
        return TargetError("no space left on the disk while keys were compared", hint="free space below .local/")
    if "Out of Memory" in text or "could not allocate" in text.lower():
        return TargetError(
            f"keys did not fit into the memory limit: {text}", hint="raise engine.memory_limit of the job"
        )
    return TargetError(f"comparing keys failed: {text}")
