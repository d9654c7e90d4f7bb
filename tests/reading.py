"""Jobs over files, and what their sources read: shared by the tests of sources."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dativo import connectors
from dativo.sources.protocol import Extract, Meter
from tests.project import Project


def file_job(project: Project, kind: str, *paths: str, options: dict[str, Any] | None = None, **more: Any) -> None:
    """A job over files of a kind, all of them in `data/` unless told otherwise."""
    source = {
        "files": [{"path": p} for p in paths or (f"data/*.{kind}",)],
        "engine": {"type": "native", "options": options or {}},
    }
    project.job(source_connector_path=f"connectors/sources/{kind}.yaml", source=source, **more)


def extracted(project: Project, meter: Meter | None = None, **options: Any) -> Extract:
    """What the job's source gives of its only stream."""
    job = project.load()
    return connectors.source(job).read(job.streams[0], None, meter=meter or Meter(), **options)


def lines(*objects: Any) -> bytes:
    """Objects as JSON lines."""
    return "".join(json.dumps(o) + "\n" for o in objects).encode()


def jsonl_rows(
    project: Project, content: bytes, *columns: str | pl.Expr, fields: Sequence[dict[str, Any]] = ()
) -> list[tuple[Any, ...]]:
    """The columns asked for of a file with the content."""
    project.asset(list(fields) or [{"name": "id", "type": "integer"}, {"name": "name"}])
    file_job(project, "jsonl")
    project.write("data/a.jsonl", content)
    return extracted(project).frame.select(columns).collect(engine="streaming").rows()


def write_parquet(project: Project, name: str, table: pl.DataFrame | pa.Table, **options: Any) -> Path:
    """A table as `data/{name}.parquet`."""
    path = project.root / "data" / f"{name}.parquet"
    if isinstance(table, pl.DataFrame):
        table.write_parquet(path, **options)
    else:
        pq.write_table(table, path, **options)
    return path
