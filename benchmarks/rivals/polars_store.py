"""Polars: the CSV file scanned as text, cast to types, sunk to one Parquet file of an object store, zstd level 1.

python polars_store.py INPUT URI OPTIONS      OPTIONS is JSON, as Polars' storage_options
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parent))  # benchmarks are started with -P
from polars_load import typed


def main() -> None:
    """Loads INPUT into the object at URI."""
    source, uri, options = sys.argv[1:]
    rows: pl.LazyFrame = typed(source)
    rows.sink_parquet(
        uri, compression="zstd", compression_level=1, maintain_order=False, storage_options=json.loads(options)
    )


if __name__ == "__main__":
    main()
