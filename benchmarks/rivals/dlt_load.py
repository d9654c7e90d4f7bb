"""dlt: the CSV file read by its DuckDB reader as Arrow batches, loaded to a folder as Parquet files or an Iceberg table.

    python dlt_load.py INPUT OUTPUT parquet|iceberg|pyarrow

The reader is told the types, as the contract tells dativo, so nothing is guessed. `pyarrow` yields the batches of
pyarrow's CSV reader instead. All of dlt's own files stay below OUTPUT.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

BATCH = 100_000
TYPES = {
    "order_id": "BIGINT", "customer_id": "BIGINT", "email": "VARCHAR", "first_name": "VARCHAR", "last_name": "VARCHAR",
    "phone": "VARCHAR", "amount": "DECIMAL(12,2)", "currency": "VARCHAR", "status": "VARCHAR",
    "created_at": "TIMESTAMP", "updated_at": "TIMESTAMP", "notes": "VARCHAR",
}  # fmt: skip


def main() -> None:
    """Loads INPUT into the folder OUTPUT."""
    source, output, what = sys.argv[1:]
    folder = Path(output).resolve()
    folder.mkdir(parents=True)
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from dlt.sources.filesystem import filesystem, read_csv_duckdb

    if what == "pyarrow":
        rows = dlt.resource(_batches(source), name="orders")
    else:
        path = Path(source).resolve()
        files = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name)
        reader = read_csv_duckdb(chunk_size=BATCH, use_pyarrow=True, header=True, dtype=TYPES)
        rows = (files | reader).with_name("orders")
    pipeline = dlt.pipeline(
        pipeline_name="orders",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=(folder / "lake").as_uri()),
        dataset_name="bench",
    )
    table_format = "iceberg" if what == "iceberg" else None
    print(pipeline.run(rows, table_name="orders", loader_file_format="parquet", table_format=table_format))


def _batches(source: str) -> Iterator[object]:
    import pyarrow as pa
    from pyarrow import csv

    types = {
        "order_id": pa.int64(), "customer_id": pa.int64(), "amount": pa.decimal128(12, 2),
        "created_at": pa.timestamp("us"), "updated_at": pa.timestamp("us"),
    }  # fmt: skip
    for name in TYPES:
        types.setdefault(name, pa.string())
    options = csv.ConvertOptions(column_types=types)
    yield from csv.open_csv(source, read_options=csv.ReadOptions(block_size=16 << 20), convert_options=options)


if __name__ == "__main__":
    main()
