"""Rows in files: how each format holds a contract's values, and how they come back as they went in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from dativo.config.field import Field
from dativo.contract.dtypes import polars_type
from dativo.contract.written import json_object, written
from dativo.targets.objects.columns import Column, contract_field
from dativo.targets.objects.layout import Format, Place
from dativo.targets.objects.manifest import Entry, Manifest

_NATIVE = ("long", "boolean")


def as_text(frame: pl.LazyFrame, columns: Sequence[Field], format: Format, keep: Sequence[str] = ()) -> pl.LazyFrame:
    """Rows as texts: of each value for CSV, of the whole row for JSON lines. The columns `keep` stay as they are."""
    if format == "csv":
        return frame.select(*(written(f, pl.col(f.name)).alias(f.name) for f in columns), *keep)
    return frame.select(json_object([(f, pl.col(f.name)) for f in columns]).alias("line"), *keep)


def scanned(
    place: Place, manifest: Manifest, entries: Iterable[Entry], columns: Sequence[Field]
) -> pl.LazyFrame | None:
    """Columns of the rows in some of a table's files, with the contract's dtypes; None when there is no file."""
    by_schema: dict[int, list[str]] = {}
    for entry in entries:
        by_schema.setdefault(entry.schema, []).append(place.store.uri(place.key(entry.path)))
    frames = [_scanned(place, manifest, manifest.schemas[n], uris, columns) for n, uris in by_schema.items()]
    return pl.concat(frames) if frames else None


def _scanned(
    place: Place, manifest: Manifest, have: Sequence[Column], uris: list[str], columns: Sequence[Field]
) -> pl.LazyFrame:
    options: Any = place.store.polars_options()
    known = {c.name: contract_field(c) for c in have}
    if manifest.format == "parquet":
        frame = pl.scan_parquet(uris, storage_options=options, hive_partitioning=False, glob=False)
        return frame.select(_restored(f, pl.col(f.name), known.get(f.name)).alias(f.name) for f in columns)
    if manifest.format == "csv":
        schema: dict[str, Any] = dict.fromkeys(known, pl.String())
        style = manifest.style
        frame = pl.scan_csv(
            uris,
            storage_options=options,
            schema=schema,
            glob=False,
            separator=style.delimiter,
            quote_char=style.quote,
            has_header=style.header,
        )
        values = {n: from_text(f, pl.col(n)) for n, f in known.items()}
    else:
        schema = {n: _json_type(f) for n, f in known.items()}
        frame = pl.scan_ndjson(uris, storage_options=options, schema=schema)
        values = {n: _from_json(f, pl.col(n)) for n, f in known.items()}
    return frame.select(
        _restored(f, values.get(f.name, pl.lit(None)), known.get(f.name)).alias(f.name) for f in columns
    )


def _restored(field: Field, value: pl.Expr, have: Field | None) -> pl.Expr:
    """A file's value as the column has it now: null where the file has no such column or field."""
    if have is None:
        return pl.lit(None, dtype=polars_type(field))
    if field.kind == "list" and field.item is not None:
        return value.list.eval(_restored(field.item, pl.element(), have.item))
    if field.kind == "struct":
        inner = {f.name: f for f in have.fields}
        parts = [_restored(f, value.struct.field(f.name), inner.get(f.name)).alias(f.name) for f in field.fields]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return value.cast(polars_type(field))


def _json_type(field: Field) -> pl.DataType:
    """The dtype in which a JSON value is read: numbers that JSON's readers could change are read as text."""
    if field.kind == "list" and field.item is not None:
        return pl.List(_json_type(field.item))
    if field.kind == "struct":
        return pl.Struct([pl.Field(f.name, _json_type(f)) for f in field.fields])
    return polars_type(field) if field.kind in _NATIVE else pl.String()


def _from_json(field: Field, value: pl.Expr) -> pl.Expr:
    if field.kind == "list" and field.item is not None:
        return value.list.eval(_from_json(field.item, pl.element()))
    if field.kind == "struct":
        parts = [_from_json(f, value.struct.field(f.name)).alias(f.name) for f in field.fields]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    return value if field.kind in _NATIVE else from_text(field, value)


def from_text(field: Field, value: pl.Expr) -> pl.Expr:
    """A text that `written` made, as the value that it was made from."""
    if field.kind in ("list", "struct"):
        return _from_json(field, value.str.json_decode(_json_type(field)))
    if field.kind == "boolean":
        return value == "true"
    if field.kind == "date":
        return value.str.to_date("%Y-%m-%d")
    if field.kind == "time":
        return value.str.to_time("%H:%M:%S%.f")
    if field.kind == "timestamp":
        return value.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
    if field.kind == "timestamptz":
        return value.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC")
    if field.kind == "binary":
        return value.str.decode("hex")
    return value.cast(polars_type(field))
