"""pyiceberg's own `Table.upsert`, in a catalog and a table of its own.

python pyiceberg_upsert.py build FOLDER ROWS.parquet       makes the table with these rows
python pyiceberg_upsert.py upsert FOLDER CHANGES.parquet   brings in changed and new rows by `order_id`
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog

BATCH = 1_000_000


def main() -> None:
    """Does one of the two."""
    what, folder, source = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog("rival", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
    rows = pq.read_table(source)
    rows = rows.cast(pa.schema([f.with_nullable(f.name != "order_id") for f in rows.schema]))
    if what == "build":
        catalog.create_namespace("default")
        table = catalog.create_table("default.orders", rows.schema)
        for begin in range(0, len(rows), BATCH):
            table.append(rows.slice(begin, BATCH))
    else:
        print(catalog.load_table("default.orders").upsert(rows, join_cols=["order_id"]))


if __name__ == "__main__":
    main()
