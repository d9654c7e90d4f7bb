"""The Polars dtype of each contract type: what an enforced column has.

A `uuid` is its canonical text and `json` is text too; a target stores them as it can.
"""

from __future__ import annotations

import polars as pl

from dativo.config.asset import Field

_SIMPLE: dict[str, pl.DataType] = {
    "string": pl.String(),
    "uuid": pl.String(),
    "json": pl.String(),
    "long": pl.Int64(),
    "double": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "binary": pl.Binary(),
}


def polars_type(field: Field) -> pl.DataType:
    """The dtype of a column that holds the field's type."""
    if field.kind == "decimal":
        return pl.Decimal(field.precision, field.scale)
    if field.kind == "list":
        assert field.item is not None
        return pl.List(polars_type(field.item))
    if field.kind == "struct":
        return pl.Struct([pl.Field(f.name, polars_type(f)) for f in field.fields])
    return _SIMPLE[field.kind]
