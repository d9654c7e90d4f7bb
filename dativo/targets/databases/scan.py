"""A table's rows as a lazy frame: what is not asked for is not fetched, and never more than some batches are in memory."""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
from polars.io.plugins import register_io_source

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.contract.dtypes import polars_type
from dativo.targets.databases.commit import session
from dativo.targets.databases.dialect import Dialect, Present, Session, quoted
from dativo.targets.databases.place import Place

ROWS = 50_000


def has_rows(opened: Session, table: Place) -> bool:
    return bool(opened.rows(f"SELECT 1 FROM {table.sql} LIMIT 1"))


def scanned(
    dialect: Dialect, connection: Connection, table: Place, present: Sequence[Present], columns: Sequence[Field]
) -> pl.LazyFrame:
    """Columns of a table's rows with the contract's dtypes; one that the table does not have is null.

    Each reading is one query with a session of its own, and so one picture of the table.
    """
    here = {p.name: p for p in present}

    def batches(
        wanted: list[str] | None, predicate: pl.Expr | None, limit: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        fields = [f for f in columns if wanted is None or f.name in wanted]
        asked = [f for f in fields if f.name in here]
        parts = [dialect.selected(f, here[f.name]) for f in asked] or [f"1 AS {quoted('__dativo_one')}"]
        until = f" LIMIT {limit}" if limit is not None and predicate is None else ""
        sql = f"SELECT {', '.join(parts)} FROM {table.sql}{until}"
        values = [
            (dialect.received(f, here[f.name]) if f.name in here else pl.lit(None, dtype=polars_type(f))).alias(f.name)
            for f in fields
        ]
        left = limit
        with session(dialect, connection) as opened:
            for batch in opened.batches(sql, size or ROWS):
                found = batch.with_columns(values).select(f.name for f in fields)
                if predicate is not None:
                    found = found.filter(predicate)
                if left is not None:
                    found = found.head(left)
                    left -= found.height
                yield found
                if left == 0:
                    return

    schema = {f.name: polars_type(f) for f in columns}
    return register_io_source(batches, schema=schema, validate_schema=True)
