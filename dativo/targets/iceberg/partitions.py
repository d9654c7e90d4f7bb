"""Partition transforms: as Iceberg's specification of a table, as Polars expressions, and as a manifest stores values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any
from uuid import UUID

import polars as pl
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)

from dativo.config.asset import Field
from dativo.config.partition import INGEST_DATE, Partition
from dativo.config.types import Kind
from dativo.errors import Mark, SchemaChangeRefused, TargetError

_EPOCH = dt.date(1970, 1, 1)
_SIMPLE: dict[str, Callable[[], Transform[Any, Any]]] = {
    "identity": IdentityTransform,
    "year": YearTransform,
    "month": MonthTransform,
    "day": DayTransform,
    "hour": HourTransform,
}


def transform(part: Partition) -> Transform[Any, Any]:
    if part.transform == "bucket":
        return BucketTransform(part.width)
    return TruncateTransform(part.width) if part.transform == "truncate" else _SIMPLE[part.transform]()


def partition_spec(parts: Sequence[Partition], schema: Schema) -> PartitionSpec:
    """The partition spec of a new table over its schema."""
    fields = [
        PartitionField(schema.find_field(p.column).field_id, 1000 + i, transform(p), p.name)
        for i, p in enumerate(parts)
    ]
    return PartitionSpec(*fields)


def check_partitioning(table: Table, parts: Sequence[Partition], mark: Mark | None) -> None:
    """Raises SchemaChangeRefused when a table is not partitioned as the job at `mark` wants it."""
    schema = table.schema()
    have = [(schema.find_column_name(f.source_id) or "?", str(f.transform)) for f in table.spec().fields]
    wanted = [(p.column, str(transform(p))) for p in parts]
    if have != wanted:
        raise SchemaChangeRefused(
            f"the table {'.'.join(table.name())} is partitioned by {_listed(have)}, the job wants {_listed(wanted)}",
            hint="set target.partitioning to what the table has, or load into another table",
            mark=mark,
            field="target.partitioning",
        )


def _listed(parts: list[tuple[str, str]]) -> str:
    return ", ".join(c if t == "identity" else f"{t}({c})" for c, t in parts) or "nothing"


def partition_key(part: Partition, field: Field) -> pl.Expr:
    """The partition value of a row, as Iceberg's specification defines each transform.

    Dates count days, months and years from 1970, timestamps microseconds; bucket is Murmur3 x86-32 of the value's single-
    value serialisation modulo the width (Iceberg specification, appendix B).
    """
    value = pl.col(part.column)
    if part.transform == "year":
        return value.dt.year() - 1970
    if part.transform == "month":
        return (value.dt.year() - 1970) * 12 + value.dt.month().cast(pl.Int32) - 1
    if part.transform == "day":
        return value.dt.date().to_physical()
    if part.transform == "hour":
        return (value.to_physical() // 3_600_000_000).cast(pl.Int32)
    if part.transform == "bucket":
        return _by_core(value, "bucket", part.width, field, pl.Int32())
    if part.transform == "truncate":
        return _truncated(value, part.width, field)
    return value


def _truncated(value: pl.Expr, width: int, field: Field) -> pl.Expr:
    if field.kind in ("string", "json"):
        return value.str.slice(0, width)
    if field.kind == "binary":
        return value.bin.slice(0, width)
    if field.kind == "long":
        return value - ((value % width) + width) % width
    return _by_core(value, "truncate", width, field, pl.Decimal(field.precision, field.scale))


def _by_core(value: pl.Expr, name: str, width: int, field: Field, dtype: pl.DataType) -> pl.Expr:
    def apply(series: pl.Series) -> pl.Series:
        core = import_module("pyiceberg_core").transform
        array = series.to_arrow()
        plain = {"string": "string", "json": "string", "binary": "binary", "uuid": "binary"}.get(field.kind)
        found = getattr(core, name)(array if plain is None else array.cast(plain), width)
        return pl.Series(series.name, pl.from_arrow(found)).cast(dtype)

    return value.map_batches(apply, return_dtype=dtype, is_elementwise=True)


def partition_record(parts: Sequence[Partition], columns: Sequence[Field], values: dict[str, Any]) -> list[Any]:
    """Partition values as a manifest stores them: dates as days, times as microseconds, uuids as such."""
    kinds = {f.name: f.kind for f in columns}
    return [_physical(values[p.name], kinds[p.column], p) for p in parts]


def _physical(value: Any, kind: Kind, part: Partition) -> Any:
    if isinstance(value, dt.datetime):
        naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return (naive - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - _EPOCH).days
    if isinstance(value, dt.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if kind == "uuid" and part.transform == "identity" and isinstance(value, bytes):
        return UUID(bytes=value)
    return value


def day_value(part: Partition, day: dt.date) -> Any:
    """The partition value of rows whose column holds this day."""
    if part.transform == "year":
        return day.year - 1970
    if part.transform == "month":
        return (day.year - 1970) * 12 + day.month - 1
    return (day - _EPOCH).days if part.transform == "day" else day


def shown(part: Partition, value: Any) -> str:
    """A partition value as folder names have it."""
    if value is None:
        return "null"
    if part.transform == "year":
        return f"{value + 1970:04d}"
    if part.transform == "month":
        return f"{value // 12 + 1970:04d}-{value % 12 + 1:02d}"
    if part.transform == "day":
        return (_EPOCH + dt.timedelta(days=value)).isoformat()
    if part.transform == "hour":
        return f"{_EPOCH + dt.timedelta(days=value // 24)}-{value % 24:02d}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def replaces_day(schema: Schema, day: dt.date, table: str) -> Callable[[DataFile], bool]:
    """Tells the data files whose rows were loaded on a day, by the bounds of their ingest date.

    The rows of one run have one ingest date, so a file is of one day, unless something else has rewritten it.
    """
    number = schema.find_field(INGEST_DATE).field_id
    wanted = (day - _EPOCH).days

    def replaced(file: DataFile) -> bool:
        low, high = (
            int.from_bytes(b[number], "little", signed=True) if b and number in b else None
            for b in (file.lower_bounds, file.upper_bounds)
        )
        if low is None or high is None:
            return False
        if low <= wanted <= high and low != high:
            raise TargetError(
                f"the rows of {day} in {table} cannot be replaced: {file.file_path} holds rows of other days too",
                hint="partition the table by ingest_date, or use target.write_mode: append",
            )
        return low == high == wanted

    return replaced
