"""Columns that have types already, as the contract's types: no cast where the type is there, an exact one elsewhere."""

from __future__ import annotations

import polars as pl

from dativo.config.asset import Field
from dativo.contract.cast import from_text
from dativo.contract.dtypes import polars_type
from dativo.contract.moments import in_utc
from dativo.contract.shown import as_text
from dativo.contract.text import TextRules


def from_typed(field: Field, raw: pl.Expr, dtype: pl.DataType, rules: TextRules) -> pl.Expr | None:
    """The field's value from a column of a dtype, null where it cannot be kept exactly.

    None when no value of the dtype can be one of the field's type.
    """
    wanted = polars_type(field)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        raw, dtype = raw.cast(pl.String), pl.String()
    if dtype == pl.String():
        return from_text(field, raw, rules)
    if dtype == wanted and field.kind == "timestamp":
        return in_utc(raw, rules)
    if dtype == wanted and field.kind not in ("uuid", "json") and not (_is_nested(field) and rules.timezone != "UTC"):
        return raw
    if field.kind in ("string", "json", "uuid"):
        return _as_text(field, raw, dtype)
    if field.kind in ("long", "double", "decimal"):
        return _as_number(field, raw, dtype)
    if field.kind in ("date", "timestamp", "timestamptz"):
        return _as_moment(field, raw, dtype, rules)
    if field.kind == "boolean" and dtype.is_integer():
        return pl.when(raw == 1).then(pl.lit(True)).when(raw == 0).then(pl.lit(False))
    return _as_nested(field, raw, dtype, rules)


def _is_nested(field: Field) -> bool:
    return field.kind in ("list", "struct")


def _as_text(field: Field, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    if field.kind == "uuid":
        if dtype == pl.Binary():
            return from_text(field, _uuid_text(raw), TextRules())
        return None
    if isinstance(dtype, pl.List | pl.Array | pl.Struct):
        return as_text(raw, dtype)
    if dtype == pl.Binary():
        return raw.map_batches(_utf8, return_dtype=pl.String, is_elementwise=True)
    if dtype == pl.Boolean():
        return pl.when(raw).then(pl.lit("true")).when(~raw).then(pl.lit("false"))
    return raw.cast(pl.String)


def _uuid_text(raw: pl.Expr) -> pl.Expr:
    digits = raw.bin.encode("hex")
    parts = [digits.str.slice(a, b) for a, b in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return pl.when(raw.bin.size() == 16).then(pl.concat_str(parts, separator="-"))


def _utf8(values: pl.Series) -> pl.Series:
    def text(value: bytes | None) -> str | None:
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            return None

    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(values.name, [text(v) for v in values], dtype=pl.String)


def _as_number(field: Field, raw: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    wanted = polars_type(field)
    if not dtype.is_numeric():
        return None
    if field.kind == "double":
        return raw.cast(pl.Float64, strict=False)
    if dtype.is_integer():
        return raw.cast(wanted, strict=False)
    cast = raw.cast(wanted, strict=False)
    if dtype.is_float() and field.kind == "decimal":
        # The shortest text of a float is what was meant by it: 0.1 is decimal 0.1, not 0.1000000000000000055.
        return from_text(field, raw.cast(pl.String), TextRules())
    return pl.when(cast.cast(dtype, strict=False) == raw).then(cast)


def _as_moment(field: Field, raw: pl.Expr, dtype: pl.DataType, rules: TextRules) -> pl.Expr | None:
    if field.kind == "date":
        if not isinstance(dtype, pl.Datetime):
            return None
        return pl.when(raw.dt.time() == pl.time(0, 0, 0)).then(raw.dt.date())
    if isinstance(dtype, pl.Date):
        utc = in_utc(raw.cast(pl.Datetime("us")), rules)
    elif isinstance(dtype, pl.Datetime):
        micros = raw.dt.cast_time_unit("us")
        if dtype.time_unit == "ns":
            micros = pl.when(micros.dt.cast_time_unit("ns") == raw).then(micros)
        if dtype.time_zone is None:
            utc = in_utc(micros, rules)
        else:
            utc = micros.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    else:
        return None
    return utc.dt.replace_time_zone("UTC") if field.kind == "timestamptz" else utc


def _as_nested(field: Field, raw: pl.Expr, dtype: pl.DataType, rules: TextRules) -> pl.Expr | None:
    if field.kind == "list" and isinstance(dtype, pl.List) and field.item is not None:
        inner = from_typed(field.item, pl.element(), dtype.inner, rules)  # type: ignore[arg-type]
        if inner is None:
            return None
        # An element that cannot be kept makes the whole list one that cannot.
        kept = raw.list.eval(inner)
        return pl.when(_nulls(kept) == _nulls(raw)).then(kept)
    if field.kind == "struct" and isinstance(dtype, pl.Struct):
        have = {f.name: f.dtype for f in dtype.fields}
        parts, lost = [], [raw.is_null()]
        for child in field.fields:
            name = child.source_name or child.name
            if name not in have:
                parts.append(pl.lit(None, dtype=polars_type(child)).alias(child.name))
                continue
            value = from_typed(child, raw.struct.field(name), have[name], rules)  # type: ignore[arg-type]
            if value is None:
                return None
            parts.append(value.alias(child.name))
            lost.append(raw.struct.field(name).is_not_null() & value.is_null())
        return pl.when(~pl.any_horizontal(lost)).then(pl.struct(parts))
    if field.kind == "binary" and dtype == pl.String():
        return raw.cast(pl.Binary)
    return None


def _nulls(value: pl.Expr) -> pl.Expr:
    """How many elements of a list are null."""
    return value.list.eval(pl.element().is_null()).list.sum()
