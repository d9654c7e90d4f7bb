"""Measures loads from databases and upserts, and writes docs/benchmarks-databases.md.

    python -m benchmarks.databases.run [--size small|1m|5m] [--repeat N] [--only SCENARIO…] [--json FILE]

Postgres and MariaDB are started for it. Processes run in turn after one round that is not counted; what each wrote is read
back every time. With --only or --json the page is not written. Exit code 1: an output was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import environments, measure
from benchmarks.databases import data, page
from benchmarks.databases.scenarios import AS, SCALES, SCENARIOS, SIZES, STEP, TABLES
from benchmarks.databases.servers import Servers, servers
from benchmarks.environments import BENCH
from benchmarks.measure import Failed, Measured
from benchmarks.page import plain_table, results_of
from benchmarks.run import _commit, _inputs, in_turn
from benchmarks.scenarios import SCENARIOS as FILES
from benchmarks.scenarios import Bench

REPEATS = {"small": 2, "1m": 3, "5m": 5}
DLT = ("dlt[filesystem,parquet,sql_database,pyiceberg]==1.31.0", "connectorx==0.4.6", "psycopg2-binary", "pymysql")
OF_FILES = ("upsert", "keys")


def main() -> int:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.databases.run", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--repeat", type=int, help="counted rounds; 2 to 5 by default")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="these scenarios; no page is written")
    parser.add_argument("--json", type=Path, help="write the figures to this file instead")
    given = parser.parse_args()
    try:
        document = measured(given.size, given.repeat or REPEATS[given.size], given.only or list(SCENARIOS))
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    kept = given.json or (None if given.only else page.kept_at(given.size))
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(document, indent=1) + "\n")
    if kept and not given.json:
        page.write()
    print(plain_table(results_of(document), {n: s.title for n, s in SCENARIOS.items()}))
    return 0


def measured(size: str, repeat: int, names: Sequence[str]) -> dict[str, Any]:
    """The figures of a size as they are kept: see page.py for what is in them."""
    load_before = os.getloadavg()[0]
    core = environments.core(("postgres", "mysql"))
    dlt = environments.apart("dlt-databases", *DLT)
    found: dict[str, dict[str, Measured]] = {}
    told: list[str] = []
    lineitem = 0
    loads = [n for n in names if n not in OF_FILES]
    if loads:
        with servers() as made:
            bench = _of_databases(made, Bench(BENCH, core, dlt), size)
            lineitem = bench.facts["lineitem"]["rows"]
            found |= {n: in_turn(bench, AS[size], n, SCENARIOS[n], repeat) for n in loads}
            told = _versions(made)
    tables = [n for n in names if n in OF_FILES]
    if tables:
        bench = _of_files(Bench(BENCH, core, None), TABLES[size])
        found |= {n: in_turn(bench, AS[size], n, SCENARIOS[n], repeat) for n in tables}
    return {
        "format": 1,
        "size": size,
        "rows": SIZES[size],
        "scale": SCALES[size],
        "lineitem": lineitem,
        "table": TABLES[size],
        "repeat": repeat,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": environments.machine(),
        "load_average_before": round(load_before, 2),
        "environments": {
            "dativo": {"made_by": core.made_by, "versions": core.versions},
            "dlt": {"made_by": dlt.made_by, "versions": dlt.versions},
        },
        "servers": told,
        "scenarios": {n: {k: measure.as_plain(m) for k, m in found[n].items()} for n in names if n in found},
    }


def _of_databases(made: Servers, bench: Bench, size: str) -> Bench:
    """The bench with the tables of a size loaded into both servers."""
    rows = SIZES[size]
    _inputs(bench, rows, {})
    orders = data.orders(made, bench.files["plain"], rows)
    lineitem, bench.facts["lineitem"] = data.lineitem(made, bench.core, SCALES[size])
    bench.variables = {
        **made.variables(orders), "BENCH_ORDERS": orders, "BENCH_LINEITEM": lineitem, "PATH": data.client_path()
    }  # fmt: skip
    return bench


def _of_files(bench: Bench, rows: int) -> Bench:
    """The bench with the files of the tables that are changed."""
    _inputs(bench, rows, {"append": FILES["append"]})
    bench.files["changes"], bench.facts["changed"] = data.changes(bench.core, bench.files["loaded"], STEP)
    return bench


def _versions(made: Servers) -> list[str]:
    postgres = made.postgres.sql("SHOW server_version")[0][0].split()[0]
    mariadb = made.mariadb.sql("SELECT version()")[0][0].split("-")[0]
    return [f"Postgres {postgres}", f"MariaDB {mariadb}"]


if __name__ == "__main__":
    sys.exit(main())
