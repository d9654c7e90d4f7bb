"""Hive-style partitions: the text of a folder for each row, as programs expect it in `column=value/`."""

from __future__ import annotations

import datetime as dt

import polars as pl

from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.targets.objects.layout import UNKNOWN

_TIMES = ("date", "timestamp", "timestamptz")
_STRFTIME = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H"}


def segment(part: Partition, field: Field) -> pl.Expr:
    """The value of a folder: dates and times as ISO dates, other text in lower case with `_` for what is no letter.

    No value is `unknown`. Different values may share a folder: files hold the columns themselves, too.
    """
    value = pl.col(part.column)
    if part.transform in _STRFTIME:
        text = value.dt.to_string(_STRFTIME[part.transform])
    elif part.transform in ("bucket", "truncate"):
        # Iceberg's own arithmetic, which needs a library that other partitions do without.
        from dativo.targets.iceberg.partitions import partition_key

        found = partition_key(part, field)
        text = _cleaned(found.cast(pl.String) if field.kind != "binary" or part.transform == "bucket" else _hex(found))
    elif field.kind in _TIMES:
        text = value.dt.to_string("%Y-%m-%d")
    else:
        text = _cleaned(_hex(value) if field.kind == "binary" else value.cast(pl.String))
    return text.fill_null(UNKNOWN)


def _hex(value: pl.Expr) -> pl.Expr:
    return value.bin.encode("hex")


def _cleaned(text: pl.Expr) -> pl.Expr:
    found = text.str.to_lowercase().str.replace_all("[^a-z0-9_-]", "_").str.slice(0, 200)
    return pl.when(found == "").then(pl.lit("_")).otherwise(found)


def day_text(part: Partition, day: dt.date) -> str:
    """The folder of rows whose column holds this day."""
    return day.strftime(_STRFTIME.get(part.transform, "%Y-%m-%d"))
