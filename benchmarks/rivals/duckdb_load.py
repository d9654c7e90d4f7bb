"""DuckDB: a typed COPY of the CSV file to Parquet, zstd level 1; no contract, no table, no commit.

    python duckdb_load.py INPUT OUTPUT load|dedup|rejects [EXISTING]

`dedup` keeps the newest row of each key, and with EXISTING (a Parquet file) only keys that are not in it. `rejects` sets
aside rows that cannot be read as their types, with DuckDB's own `store_rejects`. The order of the rows is given up, as
it is in dativo.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

TYPES = {
    "order_id": "BIGINT", "customer_id": "BIGINT", "email": "VARCHAR", "first_name": "VARCHAR", "last_name": "VARCHAR",
    "phone": "VARCHAR", "amount": "DECIMAL(12,2)", "currency": "VARCHAR", "status": "VARCHAR",
    "created_at": "TIMESTAMP", "updated_at": "TIMESTAMP", "notes": "VARCHAR",
}  # fmt: skip
PARQUET = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"


def main() -> None:
    """Loads INPUT into the folder OUTPUT."""
    source, output, what, *existing = sys.argv[1:]
    more = ", store_rejects=true, force_not_null=['order_id']" if what == "rejects" else ""
    rows = (
        f"read_csv('{source}', header=true, auto_detect=false, delim=',', quote='\"', dateformat='%Y-%m-%d', "
        f"timestampformat='%Y-%m-%d %H:%M:%S', columns={TYPES!r}{more})"
    )
    query = f"SELECT * FROM {rows}"
    if existing:
        query += f" ANTI JOIN read_parquet('{existing[0]}') USING (order_id)"
    if what == "dedup":
        query += " QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY updated_at DESC) = 1"
    Path(output).mkdir(parents=True)
    with duckdb.connect() as con:
        con.execute("SET preserve_insertion_order = false")
        con.execute(f"COPY ({query}) TO '{output}/orders.parquet' {PARQUET}")
        if what == "rejects":
            con.execute(f"COPY (SELECT * FROM reject_errors) TO '{output}/rejects.parquet' {PARQUET}")


if __name__ == "__main__":
    main()
