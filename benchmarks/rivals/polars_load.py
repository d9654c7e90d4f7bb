"""Polars: the CSV file scanned as text, cast to types, sunk to Parquet, zstd level 1; no contract, no table, no commit.

python polars_load.py INPUT OUTPUT load
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

COLUMNS = (
    "order_id", "customer_id", "email", "first_name", "last_name", "phone",
    "amount", "currency", "status", "created_at", "updated_at", "notes",
)  # fmt: skip


def typed(source: str) -> pl.LazyFrame:
    """The rows of a CSV file with their types."""
    rows = pl.scan_csv(source, schema=dict.fromkeys(COLUMNS, pl.String))
    return rows.with_columns(
        pl.col("order_id", "customer_id").cast(pl.Int64, strict=False),
        pl.col("amount").cast(pl.Decimal(12, 2), strict=False),
        pl.col("created_at", "updated_at").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False),
    )


def main() -> None:
    """Loads INPUT into the folder OUTPUT."""
    source, output, _ = sys.argv[1:]
    Path(output).mkdir(parents=True)
    file = f"{output}/orders.parquet"
    typed(source).sink_parquet(file, compression="zstd", compression_level=1, maintain_order=False)


if __name__ == "__main__":
    main()
