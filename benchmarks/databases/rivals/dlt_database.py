"""dlt: a table read by its `sql_database` source, loaded to a folder as Parquet files or an Iceberg table.

    python dlt_database.py postgres|mysql TABLE OUTPUT connectorx|pyarrow parquet|iceberg

The server is that of PGHOST… or MYSQL_HOST…; all of dlt's own files stay below OUTPUT.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

BATCH = 100_000


def main() -> None:
    """Loads TABLE into the folder OUTPUT."""
    database, table, output, backend, what = sys.argv[1:]
    folder = Path(output).resolve()
    folder.mkdir(parents=True)
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from dlt.sources.sql_database import sql_table

    prefix, driver = ("PG", "psycopg2") if database == "postgres" else ("MYSQL_", "pymysql")
    user, password, host, port, name = (
        os.environ[prefix + k] for k in ("USER", "PASSWORD", "HOST", "PORT", "DATABASE")
    )
    dialect = "postgresql" if database == "postgres" else "mysql"
    address = f"{dialect}://{user}:{password}@{host}:{port}/{name}"
    url = address.replace("://", f"+{driver}://")
    options = {"return_type": "arrow_stream", "batch_size": BATCH, "conn": address} if backend == "connectorx" else {}
    rows = sql_table(
        url,
        table=table,
        backend=backend,
        chunk_size=BATCH,
        backend_kwargs=options,
        reflection_level="full_with_precision",
    )
    pipeline = dlt.pipeline(
        pipeline_name="orders",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=(folder / "lake").as_uri()),
        dataset_name="bench",
    )
    table_format = "iceberg" if what == "iceberg" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(pipeline.run(rows, table_name=table, loader_file_format="parquet", table_format=table_format))


if __name__ == "__main__":
    main()
