"""The sources that the conformance suite is run over: one entry each, a function that makes a small table's file.

A further source joins by one entry in SOURCES.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from dativo import connectors
from dativo.config.connection_fields import STORES
from dativo.sources.protocol import Extract, Meter, Source
from tests.project import Project
from tests.store_folder import StoreFolder

# The contract of the table that every source is asked for: a column of each kind that all of them can hold.
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "name", "type": "string"},
    {"name": "amount", "type": "decimal(12,2)"},
    {"name": "ratio", "type": "double"},
    {"name": "day", "type": "date"},
    {"name": "at", "type": "timestamp"},
    {"name": "ok", "type": "boolean"},
]
DTYPES: dict[str, pl.DataType] = {
    "id": pl.Int64(),
    "name": pl.String(),
    "amount": pl.Decimal(12, 2),
    "ratio": pl.Float64(),
    "day": pl.Date(),
    "at": pl.Datetime("us"),
    "ok": pl.Boolean(),
}
Row = Mapping[str, Any]
ROWS: list[Row] = [
    {"id": 1, "name": "Anna", "amount": Decimal("10.50"), "ratio": 0.1, "day": date(2024, 2, 29),
     "at": datetime(2024, 2, 29, 23, 59, 59), "ok": True},
    {"id": 2, "name": "Zoë, \"née\" 李 🦆", "amount": Decimal("-9999999999.99"), "ratio": -1e300, "day": date(1900, 1, 1),
     "at": datetime(1969, 12, 31, 0, 0, 0, 123456), "ok": False},
    {"id": 3, "name": None, "amount": None, "ratio": None, "day": None, "at": None, "ok": None},
    {"id": 9007199254740993, "name": "line\nbreak\ttab", "amount": Decimal("0.00"), "ratio": 0.30000000000000004,
     "day": date(9999, 12, 31), "at": datetime(2038, 1, 19, 3, 14, 8), "ok": True},
    {"id": -5, "name": "'; drop table", "amount": Decimal("12.30"), "ratio": 5.0, "day": date(2000, 1, 1),
     "at": datetime(2000, 1, 1), "ok": False},
]  # fmt: skip


def text(value: Any) -> str | None:
    """A value as a text format has it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def csv_text(rows: Sequence[Row], columns: Sequence[str], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([text(row.get(c)) for c in columns] for row in rows)
    return out.getvalue()


def jsonl_text(rows: Sequence[Row], columns: Sequence[str]) -> str:
    def value(found: Any) -> str:
        """Numbers and booleans bare, with the digits that they have; everything else as a string."""
        if found is None or isinstance(found, bool | int | float):
            return json.dumps(found)
        return str(found) if isinstance(found, Decimal) else json.dumps(text(found), ensure_ascii=False)

    lines = (", ".join(f"{json.dumps(c)}: {value(row.get(c))}" for c in columns) for row in rows)
    return "".join(f"{{{line}}}\n" for line in lines)


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return csv_text(rows, columns).encode()


def _csv_gz(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return gzip.compress(csv_text(rows, columns).encode())


def _csv_utf16(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return csv_text(rows, columns, ";").encode("utf-16")


def _jsonl(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return jsonl_text(rows, columns).encode()


def _jsonl_zst(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return zstandard.compress(jsonl_text(rows, columns).encode())


def _parquet(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    schema = {c: DTYPES.get(c, pl.String()) for c in columns}
    return _as_parquet(pl.DataFrame([{c: row.get(c) for c in columns} for row in rows], schema=schema))


def _parquet_text(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    schema = dict.fromkeys(columns, pl.String())
    return _as_parquet(pl.DataFrame([{c: text(row.get(c)) for c in columns} for row in rows], schema=schema))


def _as_parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


@dataclass(frozen=True)
class SourceKind:
    """A source: its connector, how its files are named and made, and the options that it needs for them.

    `named` tells that a file without rows still names its columns.
    """

    name: str
    connector: str
    suffix: str
    content: Callable[[Sequence[Row], Sequence[str]], bytes]
    options: dict[str, Any] = field(default_factory=dict)
    named: bool = True

    @property
    def stored(self) -> bool:
        """Whether its files lie in an object store."""
        return self.connector in STORES


FILES = [
    SourceKind("csv", "csv", "csv", _csv),
    SourceKind("csv-gzip", "csv", "csv.gz", _csv_gz),
    SourceKind("csv-utf16-semicolon", "csv", "csv", _csv_utf16, {"delimiter": ";"}),
    SourceKind("jsonl", "jsonl", "jsonl", _jsonl, named=False),
    SourceKind("jsonl-zstd", "jsonl", "jsonl.zst", _jsonl_zst, named=False),
    SourceKind("parquet", "parquet", "parquet", _parquet),
    SourceKind("parquet-of-text", "parquet", "parquet", _parquet_text),
]
STORED = [
    SourceKind("s3-csv", "s3", "csv", _csv),
    SourceKind("minio-csv-gzip", "minio", "csv.gz", _csv_gz),
    SourceKind("s3-jsonl", "s3", "jsonl", _jsonl, named=False),
    SourceKind("s3-parquet", "s3", "parquet", _parquet),
    SourceKind("azure-csv", "azure_blob", "csv", _csv),
    SourceKind("azure-jsonl-zstd", "azure_blob", "ndjson.zst", _jsonl_zst, named=False),
    SourceKind("azure-parquet", "azure_blob", "parquet", _parquet),
]
SOURCES = [
    *(pytest.param(kind, id=kind.name) for kind in FILES),
    *(pytest.param(kind, id=kind.name, marks=pytest.mark.server) for kind in STORED),
]


class Bench:
    """A project whose job reads files of one kind, which lie in `data/`: on the disk, or in a bucket of the test's own."""

    def __init__(self, project: Project, kind: SourceKind, folder: StoreFolder | None) -> None:
        self.project = project
        self.kind = kind
        self.folder = folder
        project.asset(FIELDS)
        self.job()

    def job(self, *paths: str, options: dict[str, Any] | None = None, incremental: bool = False, **more: Any) -> None:
        """A job over some files of `data/`, all of the kind's unless told otherwise."""
        source: dict[str, Any] = {
            "files": [{"path": f"data/{p}"} for p in paths or (f"*.{self.kind.suffix}",)],
            "engine": {"type": "native", "options": {**self.kind.options, **(options or {})}},
        }
        if self.folder is not None:
            source["connection"] = self.folder.connection
        if incremental:
            source["incremental"] = {"strategy": "file_modified_time"}
        connector = f"connectors/sources/{self.kind.connector}.yaml"
        self.project.job(source_connector_path=connector, source=source, **more)

    def name(self, stem: str) -> str:
        return f"{stem}.{self.kind.suffix}"

    def path(self, stem: str) -> Path:
        return self.project.root / "data" / self.name(stem)

    def write(self, stem: str, rows: Sequence[Row] = ROWS, columns: Sequence[str] | None = None) -> str:
        """A file of the kind in `data/`; gives its name."""
        return self.put(stem, self.kind.content(rows, list(columns or DTYPES)))

    def put(self, stem: str, content: bytes) -> str:
        """A file with any content."""
        if self.folder is None:
            self.path(stem).write_bytes(content)
        else:
            self.folder.put(f"data/{self.name(stem)}", content)
        return self.name(stem)

    def make_folder(self, stem: str) -> None:
        """A folder that is called like a file."""
        if self.folder is None:
            self.path(stem).mkdir()
        else:
            self.folder.put(f"data/{self.name(stem)}/inside", b"")

    def remove(self, stem: str) -> None:
        if self.folder is None:
            self.path(stem).unlink()
        else:
            self.folder.remove(f"data/{self.name(stem)}")

    def size(self, stem: str) -> int:
        return self.path(stem).stat().st_size if self.folder is None else self.folder.size(f"data/{self.name(stem)}")

    def later(self, stem: str, seconds: float = 5) -> None:
        """Moves a file's time on; in a store every object that is written is later than those before."""
        if self.folder is None:
            status = self.path(stem).stat()
            os.utime(self.path(stem), ns=(status.st_atime_ns, status.st_mtime_ns + int(seconds * 1e9)))

    def source(self) -> Source:
        return connectors.source(self.project.load())

    def read(self, since: Any = None, meter: Meter | None = None, **options: Any) -> Extract:
        stream = self.project.load().streams[0]
        return self.source().read(stream, since, meter=meter or Meter(), **options)

    def values(self, extract: Extract) -> list[dict[str, Any]]:
        """The rows of an extract as its contract makes them."""
        from dativo.pipeline.plan import build

        job = self.project.load()
        plan = build(job, job.streams[0], extract, "warehouse")
        return plan.accepted().collect(engine="streaming").to_dicts()
