"""The sources that the conformance suite is run over: one entry each, a function that writes a small table as a file.

A further source joins by one entry in SOURCES.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from dativo.sources.protocol import Extract, Meter, Source
from tests.project import Project

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


def _csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    path.write_text(csv_text(rows, columns), encoding="utf-8")


def _csv_gz(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    path.write_bytes(gzip.compress(csv_text(rows, columns).encode()))


def _csv_utf16(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    path.write_bytes(csv_text(rows, columns, ";").encode("utf-16"))


def _jsonl(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    path.write_text(jsonl_text(rows, columns), encoding="utf-8")


def _jsonl_zst(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    path.write_bytes(zstandard.compress(jsonl_text(rows, columns).encode()))


def _parquet(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    schema = {c: DTYPES.get(c, pl.String()) for c in columns}
    pl.DataFrame([{c: row.get(c) for c in columns} for row in rows], schema=schema).write_parquet(path)


def _parquet_text(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    schema = dict.fromkeys(columns, pl.String())
    pl.DataFrame([{c: text(row.get(c)) for c in columns} for row in rows], schema=schema).write_parquet(path)


@dataclass(frozen=True)
class SourceKind:
    """A source: its connector, how its files are named and written, and the options that it needs for them.

    `named` tells that a file without rows still names its columns.
    """

    name: str
    connector: str
    suffix: str
    write: Callable[[Path, Sequence[Row], Sequence[str]], None]
    options: dict[str, Any] = field(default_factory=dict)
    named: bool = True


SOURCES = [
    SourceKind("csv", "csv", "csv", _csv),
    SourceKind("csv-gzip", "csv", "csv.gz", _csv_gz),
    SourceKind("csv-utf16-semicolon", "csv", "csv", _csv_utf16, {"delimiter": ";"}),
    SourceKind("jsonl", "jsonl", "jsonl", _jsonl, named=False),
    SourceKind("jsonl-zstd", "jsonl", "jsonl.zst", _jsonl_zst, named=False),
    SourceKind("parquet", "parquet", "parquet", _parquet),
    SourceKind("parquet-of-text", "parquet", "parquet", _parquet_text),
]


class Bench:
    """A project whose job reads files of one kind."""

    def __init__(self, project: Project, kind: SourceKind) -> None:
        self.project = project
        self.kind = kind
        project.asset(FIELDS)
        self.job()

    def job(self, *paths: str, options: dict[str, Any] | None = None, incremental: bool = False, **more: Any) -> None:
        """A job over some files of `data/`, all of the kind's unless told otherwise."""
        source: dict[str, Any] = {
            "files": [{"path": f"data/{p}"} for p in paths or (f"*.{self.kind.suffix}",)],
            "engine": {"type": "native", "options": {**self.kind.options, **(options or {})}},
        }
        if incremental:
            source["incremental"] = {"strategy": "file_modified_time"}
        connector = f"connectors/sources/{self.kind.connector}.yaml"
        self.project.job(source_connector_path=connector, source=source, **more)

    def file(self, stem: str) -> Path:
        return self.project.root / "data" / f"{stem}.{self.kind.suffix}"

    def write(self, stem: str, rows: Sequence[Row] = ROWS, columns: Sequence[str] | None = None) -> Path:
        """A file of the kind in `data/`."""
        path = self.file(stem)
        self.kind.write(path, rows, list(columns or DTYPES))
        return path

    def source(self) -> Source:
        from dativo import connectors

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
