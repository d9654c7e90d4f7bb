"""Contract columns as Iceberg's and back, and the arithmetic of partition transforms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
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
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from dativo.config.asset import Field
from dativo.config.partition import Partition
from dativo.config.types import Kind

_TO_ICEBERG: dict[Kind, IcebergType] = {
    "string": StringType(),
    "json": StringType(),
    "uuid": UUIDType(),
    "long": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "time": TimeType(),
    "timestamp": TimestampType(),
    "timestamptz": TimestamptzType(),
    "binary": BinaryType(),
}
_FROM_ICEBERG: dict[type, Kind] = {
    StringType: "string",
    UUIDType: "uuid",
    LongType: "long",
    IntegerType: "long",
    DoubleType: "double",
    FloatType: "double",
    BooleanType: "boolean",
    DateType: "date",
    TimeType: "time",
    TimestampType: "timestamp",
    TimestamptzType: "timestamptz",
    BinaryType: "binary",
    FixedType: "binary",
}


def iceberg_type(field: Field, ids: Iterable[int]) -> IcebergType:
    """The Iceberg type of a column; fields inside it take the next ids."""
    if field.kind == "decimal":
        return DecimalType(field.precision, field.scale)
    if field.kind == "list":
        assert field.item is not None
        numbers = iter(ids)
        element_id = next(numbers)
        return ListType(
            element_id=element_id, element_type=iceberg_type(field.item, numbers), element_required=False
        )
    if field.kind == "struct":
        numbers = iter(ids)
        own = [next(numbers) for _ in field.fields]
        return StructType(
            *(
                NestedField(i, f.name, iceberg_type(f, numbers), required=f.required, doc=f.description)
                for i, f in zip(own, field.fields, strict=True)
            )
        )
    return _TO_ICEBERG[field.kind]


def iceberg_schema(columns: Sequence[Field]) -> Schema:
    """A new table's schema: ids from 1 by position, then those inside nested columns."""
    inner = count(len(columns) + 1)
    return Schema(
        *(
            NestedField(i, f.name, iceberg_type(f, inner), required=f.required, doc=f.description)
            for i, f in enumerate(columns, 1)
        )
    )


def contract_fields(schema: Schema) -> tuple[Field, ...]:
    """A table's columns in the contract's terms."""
    return tuple(_field(f.name, f.field_type, f.required) for f in schema.fields)


def _field(name: str, type_: IcebergType, required: bool) -> Field:
    if isinstance(type_, DecimalType):
        return Field(name=name, kind="decimal", precision=type_.precision, scale=type_.scale, required=required)
    if isinstance(type_, ListType):
        return Field(name=name, kind="list", item=_field("element", type_.element_type, False), required=required)
    if isinstance(type_, StructType):
        inner = tuple(_field(f.name, f.field_type, f.required) for f in type_.fields)
        return Field(name=name, kind="struct", fields=inner, required=required)
    return Field(name=name, kind=_FROM_ICEBERG.get(type(type_), "string"), required=required)


def transform(part: Partition) -> Transform[Any, Any]:
    return {
        "identity": IdentityTransform,
        "year": YearTransform,
        "month": MonthTransform,
        "day": DayTransform,
        "hour": HourTransform,
        "bucket": lambda: BucketTransform(part.width),
        "truncate": lambda: TruncateTransform(part.width),
    }[part.transform]()


def partition_spec(parts: Sequence[Partition], schema: Schema) -> PartitionSpec:
    """The partition spec of a new table over its schema."""
    fields = [
        PartitionField(schema.find_field(p.column).field_id, 1000 + i, transform(p), p.name) for i, p in enumerate(parts)
    ]
    return PartitionSpec(*fields)


def stored(field: Field) -> pl.Expr:
    """A contract column's value as the data file holds it: a uuid is 16 bytes there."""
    value = pl.col(field.name)
    if field.kind == "uuid":
        return value.str.replace_all("-", "", literal=True).str.decode("hex").alias(field.name)
    return value


def restored(field: Field) -> pl.Expr:
    """A data file's value as the contract's column holds it."""
    value = pl.col(field.name)
    if field.kind == "uuid":
        digits = value.bin.encode("hex")
        parts = [digits.str.slice(a, b) for a, b in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
        return pl.concat_str(parts, separator="-").alias(field.name)
    return value


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
        from pyiceberg_core import transform as core

        array = series.to_arrow()
        if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
            array = array.cast(pa.string())
        elif pa.types.is_large_binary(array.type) or pa.types.is_binary_view(array.type):
            array = array.cast(pa.binary())
        if field.kind == "uuid":
            array = array.cast(pa.binary(16))
        return pl.Series(series.name, pl.from_arrow(getattr(core, name)(array, width))).cast(dtype)

    return value.map_batches(apply, return_dtype=dtype, is_elementwise=True)


def partition_record(parts: Sequence[Partition], columns: Sequence[Field], values: dict[str, Any]) -> list[Any]:
    """Partition values as a manifest stores them: dates as days, times as microseconds, uuids as such."""
    kinds = {f.name: f.kind for f in columns}
    return [_physical(values[p.name], kinds.get(p.column, "date"), p) for p in parts]


def _physical(value: Any, kind: Kind, part: Partition) -> Any:
    if isinstance(value, dt.datetime):
        naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return (naive - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days
    if isinstance(value, dt.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if kind == "uuid" and part.transform == "identity" and isinstance(value, bytes):
        return UUID(bytes=value)
    return value
