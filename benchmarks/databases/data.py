"""The tables that are measured, loaded once into both databases and found again by later runs.

`orders` has the rows of the CSV benchmark's file; `lineitem` is TPC-H's, made by the generator `tpchgen-cli` of PyPI.
Each size is a database of its own. What a correct load must give is counted by DuckDB from the files.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks import measure
from benchmarks.databases.servers import Servers
from benchmarks.environments import BENCH, Environment, apart
from benchmarks.measure import Failed
from tests.services import mariadb, postgres

TPCH = "tpchgen-cli==4.0.0"
# Columns and types that both databases know.
ORDERS = """
  order_id bigint NOT NULL PRIMARY KEY, customer_id bigint NOT NULL, email varchar(60) NOT NULL,
  first_name varchar(20) NOT NULL, last_name varchar(20) NOT NULL, phone varchar(20) NOT NULL,
  amount numeric(12,2) NOT NULL, currency char(3) NOT NULL, status varchar(10) NOT NULL,
  created_at {moment} NOT NULL, updated_at {moment} NOT NULL, notes text NOT NULL
"""
LINEITEM = """
  l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber int NOT NULL,
  l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
  l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL,
  l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL,
  l_comment varchar(44) NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber)
"""
# A progress bar would stand in the output.
_COUNTED = """
import duckdb, json, sys
duckdb.execute("SET enable_progress_bar = false")
rows, cents = duckdb.sql(f"SELECT count(*), sum({sys.argv[2]} * 100)::BIGINT FROM '{sys.argv[1]}'").fetchall()[0]
print(json.dumps({"rows": rows, "cents": cents}))
"""
_CHANGES = """
import json, sys, duckdb
duckdb.execute("SET enable_progress_bar = false")
rows, step, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
base = f"'{rows}'"
total = duckdb.sql(f"SELECT count(*) FROM {base}").fetchall()[0][0]
duckdb.execute(f'''COPY (
  SELECT * REPLACE ((amount + 0.01)::DECIMAL(12,2) AS amount, 'paid' AS status, updated_at + INTERVAL 2 YEAR AS updated_at)
    FROM {base} WHERE order_id % {step} = 0
  UNION ALL
  SELECT * REPLACE (order_id + {total} AS order_id, updated_at + INTERVAL 2 YEAR AS updated_at)
    FROM {base} WHERE order_id % {step} = 1
) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)''')
query = f'''SELECT count(*), sum(amount * 100)::BIGINT FROM (
  SELECT amount FROM {base} ANTI JOIN '{target}' USING (order_id) UNION ALL SELECT amount FROM '{target}')'''
rows, cents = duckdb.sql(query).fetchall()[0]
print(json.dumps({"rows": rows, "cents": cents}))
"""


def orders(made: Servers, csv: Path, rows: int) -> str:
    """Loads the CSV file's rows into `orders` of both, where they are not yet; the database's name."""
    name = f"orders_{rows}"
    _postgres(made, name, "orders", ORDERS.format(moment="timestamp"), csv, rows)
    _mariadb(made, name, "orders", ORDERS.format(moment="datetime"), csv, rows)
    return name


def lineitem(made: Servers, core: Environment, scale: float) -> tuple[str, dict[str, int]]:
    """Loads TPC-H's largest table at a scale into both; the database's name, its rows and the sum of its prices in cents."""
    name = f"tpch_{scale:g}".replace(".", "_")
    folder = BENCH / name
    csv = folder / "lineitem.csv"
    if not csv.exists():
        generator = apart("tpch", TPCH).python.parent / "tpchgen-cli"
        making = folder.with_name(f"{name}.making")
        command = [
            str(generator),
            "csv",
            "--scale-factor",
            f"{scale:g}",
            "--tables",
            "lineitem",
            "--output-dir",
            str(making),
        ]
        subprocess.run([*command, "--overwrite", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        making.rename(folder)
    facts: dict[str, int] = measure.run_json([str(core.python), "-c", _COUNTED, str(csv), "l_extendedprice"], cwd=BENCH)
    _postgres(made, name, "lineitem", LINEITEM, csv, facts["rows"])
    _mariadb(made, name, "lineitem", LINEITEM, csv, facts["rows"])
    return name, facts


def changes(core: Environment, rows: Path, step: int) -> tuple[Path, dict[str, int]]:
    """A Parquet file that changes every `step`-th of the rows of another and adds as many; what the table holds then."""
    path = rows.with_name(f"{rows.stem}-changes-{step}.parquet")
    command = [str(core.python), "-c", _CHANGES, str(rows), str(step), str(path)]
    facts: dict[str, int] = measure.run_json(command, cwd=path.parent)
    return path, facts


def _postgres(made: Servers, database: str, table: str, columns: str, csv: Path, rows: int) -> None:
    own = made.postgres
    if [database] not in own.sql("SELECT datname FROM pg_database"):
        own.make_database(database)
    if own.sql(f"SELECT to_regclass('{table}') IS NOT NULL", database) == [["t"]]:
        if own.sql(f"SELECT count(*) FROM {table}", database) == [[str(rows)]]:
            return
        own.sql(f"DROP TABLE {table}", database)
    # In one transaction, so that a load that was broken off leaves nothing, and nothing goes to the log.
    load = f"\\copy {table} FROM '{csv}' (FORMAT csv, HEADER)"
    own.sql(f"BEGIN;\nCREATE TABLE {table} ({columns});\n{load}\nCOMMIT;\nVACUUM (ANALYZE, FREEZE) {table};", database)


def _mariadb(made: Servers, database: str, table: str, columns: str, csv: Path, rows: int) -> None:
    own = made.mariadb
    if [database] not in own.sql("SHOW DATABASES"):
        own.make_database(database)
    if [table] in own.sql("SHOW TABLES", database):
        if own.sql(f"SELECT count(*) FROM {table}", database) == [[str(rows)]]:
            return
        own.sql(f"DROP TABLE {table}", database)
    own.sql(f"CREATE TABLE {table} ({columns})", database)
    load = f"""SET unique_checks=0; SET foreign_key_checks=0;
LOAD DATA LOCAL INFILE '{csv}' INTO TABLE {table} CHARACTER SET utf8mb4
FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '"' LINES TERMINATED BY '\\n' IGNORE 1 LINES;
ANALYZE TABLE {table};"""
    program = mariadb.programs()
    command = [program.client, "--no-defaults", "--skip-ssl", "--local-infile=1", f"--host={own.host}", f"--port={own.port}",
               f"--user={own.user}", database]  # fmt: skip
    variables = {**os.environ, **program.environment, "MYSQL_PWD": own.password}
    done = subprocess.run(command, input=load, capture_output=True, text=True, check=False, env=variables)
    if done.returncode or own.sql(f"SELECT count(*) FROM {table}", database) != [[str(rows)]]:
        raise Failed(f"{csv} did not load into MariaDB:\n{done.stderr}")


def client_path() -> str:
    """The PATH with Postgres' own clients on it."""
    return f"{postgres.programs()}:{os.environ.get('PATH', '')}"
