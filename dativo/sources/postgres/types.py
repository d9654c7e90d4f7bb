"""The types of Postgres: the SQL that reads them, the dtype that it gives, the contract field that holds all values.

A value is read as it is where Arrow has its type, and as the text that Postgres writes for it where it has none. Text is
written with these settings: DateStyle ISO, IntervalStyle iso_8601, TimeZone UTC, the shortest exact digits of floats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from dativo.config.asset import Field
from dativo.config.types import Kind

# What a value must be looked at for, because its dtype cannot hold all that the database's type can.
Check = Literal["date", "time", "timestamp", "decimal", "list"]

MAX_DECIMAL = 38


@dataclass(slots=True, frozen=True)
class PgType:
    """A type of the catalog, domains resolved. `modifier` is its typmod, -1 without one; `element` is an array's."""

    name: str
    sql: str
    category: Literal["base", "enum", "range", "composite", "array"] = "base"
    modifier: int = -1
    builtin: bool = True
    element: PgType | None = None


@dataclass(slots=True, frozen=True)
class Rule:
    """How values of a type are read: `sql` over the column, which stands for `{}`, and the dtype of what comes of it.

    `kind` (with `precision` and `scale`) is the contract field that holds all values; `lossless` is false where it is text
    for want of a better one. `fault` is SQL that is true for a value that `sql` cannot read.
    """

    sql: str
    dtype: pl.DataType
    kind: Kind
    check: Check | None = None
    lossless: bool = True
    precision: int = 0
    scale: int = 0
    fault: str = ""
    item: Rule | None = None


_STRING = pl.String()
_AS_TEXT = "CAST({} AS pg_catalog.text)"
_AS_JSON = "CAST(pg_catalog.to_json({}) AS pg_catalog.text)"
TEXT = Rule(_AS_TEXT, _STRING, "string", lossless=False)
JSON = Rule(_AS_JSON, _STRING, "json", lossless=False)

# Types by their names in pg_catalog. What is not here, types of extensions and ranges among them, is TEXT; enums are text
# that loses nothing, composites JSON; numeric and arrays have functions of their own below.
TYPES: dict[str, Rule] = {
    "bool": Rule("{}", pl.Boolean(), "boolean"),
    "int2": Rule("{}", pl.Int16(), "long"),
    "int4": Rule("{}", pl.Int32(), "long"),
    "int8": Rule("{}", pl.Int64(), "long"),
    # Arrow would have it signed.
    "oid": Rule("CAST({} AS pg_catalog.int8)", pl.Int64(), "long"),
    "float4": Rule("{}", pl.Float32(), "double"),
    "float8": Rule("{}", pl.Float64(), "double"),
    # Cents as a number would be all that the binary format tells.
    "money": Rule("CAST(CAST({} AS pg_catalog.numeric) AS pg_catalog.text)", _STRING, "decimal", precision=19, scale=2),
    "text": Rule("{}", _STRING, "string"),
    "varchar": Rule("{}", _STRING, "string"),
    "name": Rule("{}", _STRING, "string"),
    "bpchar": Rule(_AS_TEXT, _STRING, "string"),
    "char": Rule(_AS_TEXT, _STRING, "string"),
    "bytea": Rule("{}", pl.Binary(), "binary"),
    "date": Rule("{}", pl.Date(), "date", "date"),
    "time": Rule("{}", pl.Time(), "time", "time"),
    "timestamp": Rule("{}", pl.Datetime("us"), "timestamp", "timestamp"),
    "timestamptz": Rule("{}", pl.Datetime("us", "UTC"), "timestamptz", "timestamp"),
    "uuid": Rule(_AS_TEXT, _STRING, "uuid"),
    "json": Rule("{}", _STRING, "json"),
    "jsonb": Rule("{}", _STRING, "json"),
    "xml": Rule(_AS_TEXT, _STRING, "string"),
    # The cast to text would add a netmask that the value does not show.
    "inet": replace(TEXT, sql="pg_catalog.textin(pg_catalog.inet_out({}))"),
    "cidr": replace(TEXT, sql="pg_catalog.textin(pg_catalog.cidr_out({}))"),
}
# Elements that Arrow's lists hold as they are; others are lists of text.
_ELEMENTS = ("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bytea")
# Elements whose cast to text is not what a column gets: money has a currency's sign, inet a netmask that it does not show.
_TEXTS_OF_ELEMENTS = {
    "money": "CAST(CAST(({})[:] AS pg_catalog.numeric[]) AS pg_catalog.text[])",
    "inet": "CAST(pg_catalog.textin(pg_catalog.array_out(({})[:])) AS pg_catalog.text[])",
}
_JSON_OF_MONEY = replace(JSON, sql="CAST(pg_catalog.to_json(CAST({} AS pg_catalog.numeric[])) AS pg_catalog.text)")
_VECTORS = ("int2vector", "oidvector")


def rule(type_: PgType, field: Field | None) -> Rule:
    """How a column of a type is read for a contract field; for a column outside the contract as text."""
    own = natural(type_)
    if field is not None and field.kind not in ("string", "json"):
        if isinstance(own.dtype, pl.List) and field.kind != "list":
            return _json(type_)
        return own
    if isinstance(own.dtype, pl.String | pl.Binary):
        return own
    return _json(type_) if isinstance(own.dtype, pl.List) else replace(TEXT, kind="string")


def _json(array: PgType) -> Rule:
    """How an array is read as JSON."""
    element = array.element
    return _JSON_OF_MONEY if element is not None and element.builtin and element.name == "money" else JSON


def natural(type_: PgType) -> Rule:
    """How a type is read by itself."""
    if type_.category == "array" and type_.element is not None:
        return _array(type_.element)
    if type_.category == "enum":
        return replace(TEXT, lossless=True)
    if type_.category == "composite":
        return JSON
    if type_.builtin and type_.name == "numeric":
        return _numeric(type_.modifier)
    return TYPES.get(type_.name, TEXT) if type_.builtin else TEXT


def _numeric(modifier: int) -> Rule:
    """numeric(p, s) as a decimal where one holds it, else as text, numeric without a precision too."""
    if modifier < 0:
        return TEXT
    packed = modifier - 4
    precision, scale = packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    # Since Postgres 15 a scale may be negative, or larger than the precision.
    digits, places = max(precision - min(scale, 0), scale), max(scale, 0)
    if digits > MAX_DECIMAL:
        return TEXT
    # The server writes the digits of a numeric faster than the driver does.
    return Rule(_AS_TEXT, pl.Decimal(digits, places), "decimal", "decimal", precision=digits, scale=places)


def _array(element: PgType) -> Rule:
    """A list of one dimension. A value of more dimensions is a fault in a list, and JSON where text is wanted.

    So are arrays whose elements are arrays by a domain.
    """
    if element.category in ("composite", "array") or element.name in _VECTORS:
        return JSON
    inner = natural(element)
    if element.builtin and element.name in _ELEMENTS and element.category == "base":
        sql = "({})[:]"
    else:
        # The contract reads the elements as it reads any text.
        sql = "CAST(({})[:] AS pg_catalog.text[])"
        if element.builtin:
            sql = _TEXTS_OF_ELEMENTS.get(element.name, sql)
        inner = replace(TEXT, kind=inner.kind, precision=inner.precision, scale=inner.scale, lossless=inner.lossless)
    flat = f"CASE WHEN pg_catalog.array_ndims({{}}) > 1 THEN NULL ELSE {sql} END"
    fault = "pg_catalog.array_ndims({}) > 1"
    return Rule(flat, pl.List(inner.dtype), "list", "list", lossless=inner.lossless, fault=fault, item=inner)


def field_of(name: str, found: Rule, *, required: bool = False, primary_key: bool = False, comment: str = "") -> Field:
    """The contract field that holds all values of a column."""
    item = field_of("item", found.item) if found.item is not None else None
    return Field(
        name=name,
        kind=found.kind,
        source_name=name,
        precision=found.precision,
        scale=found.scale,
        item=item,
        required=required,
        primary_key=primary_key,
        description=comment or None,
    )
