"""Contract columns as Iceberg's and back, and the arithmetic of partition transforms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import polars as pl
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
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
from dativo.config.types import Kind
from dativo.contract.dtypes import polars_type
from dativo.contract.evolve import Change, StoredColumn
from dativo.errors import SchemaChangeRefused

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
}


def iceberg_type(field: Field, ids: Iterable[int], *, nested: bool = False) -> IcebergType:
    """The Iceberg type of a column; fields inside it take the next ids.

    A uuid inside a list or struct is text: Polars cannot write 16-byte values there.
    """
    numbers = iter(ids)
    if field.kind == "decimal":
        return DecimalType(field.precision, field.scale)
    if field.kind == "list":
        assert field.item is not None
        element_id = next(numbers)
        element = iceberg_type(field.item, numbers, nested=True)
        return ListType(element_id=element_id, element_type=element, element_required=False)
    if field.kind == "struct":
        own = [next(numbers) for _ in field.fields]
        return StructType(
            *(
                NestedField(i, f.name, iceberg_type(f, numbers, nested=True), required=f.required, doc=f.description)
                for i, f in zip(own, field.fields, strict=True)
            )
        )
    return _TO_ICEBERG["string" if nested and field.kind == "uuid" else field.kind]


def iceberg_schema(columns: Sequence[Field]) -> Schema:
    """A new table's schema: ids from 1 by position, then those inside nested columns."""
    inner = count(len(columns) + 1)
    return Schema(
        *(
            NestedField(i, f.name, iceberg_type(f, inner), required=f.required, doc=f.description)
            for i, f in enumerate(columns, 1)
        )
    )


def table_columns(schema: Schema) -> tuple[StoredColumn, ...]:
    """A table's columns in the contract's terms."""
    return tuple(_column(f.name, f.field_type, f.required, f.doc) for f in schema.fields)


def check_identifiers(table: Table, found: Sequence[Change]) -> None:
    """Raises SchemaChangeRefused when a column that another program made an identifier of rows would become nullable."""
    identifiers = table.schema().identifier_field_names()
    lost = [".".join(c.path) for c in found if c.action == "relax" and ".".join(c.path) in identifiers]
    if lost:
        raise SchemaChangeRefused(
            f"the table {'.'.join(table.name())} identifies its rows by {', '.join(lost)}, which may not be null there, and "
            "the contract lets it be null or lacks it",
            hint="make the column required in the contract, or take it out of the table's identifier fields",
        )


def contract_fields(schema: Schema) -> tuple[Field, ...]:
    """A table's columns as a contract would have them; those of a type that no contract has are left out."""
    return tuple(f for f in map(_as_field, table_columns(schema)) if f is not None)


def _as_field(column: StoredColumn) -> Field | None:
    item = _as_field(column.item) if column.item is not None else None
    inner = [_as_field(c) for c in column.fields]
    if column.kind is None or None in inner or (column.item is not None and item is None):
        return None
    return Field(
        name=column.name,
        kind=column.kind,
        precision=column.precision,
        scale=column.scale,
        item=item,
        fields=tuple(f for f in inner if f is not None),
        required=column.required,
        description=column.description,
    )


def readable(column: StoredColumn) -> pl.Expr:
    """A table's column with the contract's dtype, as it is where no contract has its type."""
    field = _as_field(column)
    return pl.col(column.name) if field is None else restored(field, column)


def _column(name: str, type_: IcebergType, required: bool, doc: str | None = None) -> StoredColumn:
    text = str(type_)
    if isinstance(type_, DecimalType):
        text = f"decimal({type_.precision},{type_.scale})"
        return StoredColumn(name, "decimal", text, required, doc, precision=type_.precision, scale=type_.scale)
    if isinstance(type_, ListType):
        return StoredColumn(name, "list", text, required, doc, item=_column("element", type_.element_type, False))
    if isinstance(type_, StructType):
        inner = tuple(_column(f.name, f.field_type, f.required, f.doc) for f in type_.fields)
        return StoredColumn(name, "struct", text, required, doc, fields=inner)
    narrow = isinstance(type_, IntegerType | FloatType)
    return StoredColumn(name, _FROM_ICEBERG.get(type(type_)), text, required, doc, narrow=narrow)


def stored(field: Field, type_: IcebergType) -> pl.Expr:
    """A contract column's value as a data file holds it for the table's type.

    A uuid is 16 bytes there; fields inside a column stand in the table's order, those that the contract lacks are null.
    """
    value = pl.col(field.name)
    if field.kind == "uuid":
        return value.str.replace_all("-", "", literal=True).str.decode("hex").alias(field.name)
    return _laid_out(field, value, type_).alias(field.name)


def _laid_out(field: Field, value: pl.Expr, type_: IcebergType) -> pl.Expr:
    if _same_layout(field, type_):
        return value
    if isinstance(type_, ListType) and field.item is not None:
        return value.list.eval(_laid_out(field.item, pl.element(), type_.element_type))
    assert isinstance(type_, StructType)
    inner = {f.name: f for f in field.fields}
    parts = [
        (
            _laid_out(inner[f.name], value.struct.field(f.name), f.field_type)
            if f.name in inner
            else pl.lit(None, dtype=_dtype(f.field_type))
        ).alias(f.name)
        for f in type_.fields
    ]
    return pl.when(value.is_not_null()).then(pl.struct(parts))


def _same_layout(field: Field, type_: IcebergType) -> bool:
    """Whether the fields inside a column are those of the table, in its order."""
    if isinstance(type_, ListType) and field.item is not None:
        return _same_layout(field.item, type_.element_type)
    if not isinstance(type_, StructType):
        return True
    names = [f.name for f in field.fields] == [f.name for f in type_.fields]
    return names and all(_same_layout(f, t.field_type) for f, t in zip(field.fields, type_.fields, strict=True))


def _dtype(type_: IcebergType) -> pl.DataType:
    """The Polars type of a table's values."""
    empty = schema_to_pyarrow(Schema(NestedField(1, "value", type_))).empty_table()
    frame = pl.from_arrow(empty)
    assert isinstance(frame, pl.DataFrame)
    return frame.schema["value"]


def restored(field: Field, have: StoredColumn | None) -> pl.Expr:
    """A table's value as the contract's column holds it; null where the table does not have the column yet."""
    value = pl.col(field.name)
    if field.kind == "uuid" and have is not None:
        digits = value.bin.encode("hex")
        parts = [digits.str.slice(a, b) for a, b in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
        return pl.concat_str(parts, separator="-").alias(field.name)
    return _shaped(field, value, have).alias(field.name)


def _shaped(field: Field, value: pl.Expr, have: StoredColumn | None) -> pl.Expr:
    if have is None:
        return pl.lit(None, dtype=polars_type(field))
    if field.kind == "list" and field.item is not None:
        return value.list.eval(_shaped(field.item, pl.element(), have.item))
    if field.kind == "struct":
        inner = {c.name: c for c in have.fields}
        parts = [_shaped(f, value.struct.field(f.name), inner.get(f.name)).alias(f.name) for f in field.fields]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return value.cast(polars_type(field))
