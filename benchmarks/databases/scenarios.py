"""What is measured of databases: loads beside the databases' own clients and dlt, upserts beside pyiceberg.

A size is a number of rows of orders, and TPC-H's lineitem at a scale; upserts change a tenth of a table of that many rows,
at the largest size a million in ten million.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import measure
from benchmarks.databases.servers import drain
from benchmarks.scenarios import SCENARIOS as FILES
from benchmarks.scenarios import Bench, Check, Contender, Scenario, project

HERE = Path(__file__).resolve().parent
SIZES = {"small": 200_000, "1m": 1_000_000, "5m": 5_000_000}
SCALES = {"small": 0.1, "1m": 0.1, "5m": 1.0}
# The table that is changed, and that has the keys which are compared.
TABLES = {"small": 200_000, "1m": 1_000_000, "5m": 10_000_000}
CONNECTIONS = 2
# Every 20th row changes and as many are new: a tenth of the table, half of it known.
STEP = 20
# The sizes of the CSV benchmark, whose contenders are measured here too, that stand for these.
AS = {"small": "small", "1m": "1m", "5m": "10m"}
# pyiceberg's upsert takes a quarter of an hour for a million rows.
PATIENT = ("small", "1m")


def _loaded(text: str) -> bool:
    return "status='loaded'" in text


def _project(bench: Bench, folder: Path) -> None:
    """A project with the jobs and contracts of this folder beside the others."""
    project(bench, folder, "plain")
    shutil.copytree(HERE / "jobs", folder / "jobs" / "bench", dirs_exist_ok=True)
    shutil.copytree(HERE / "contracts", folder / "assets", dirs_exist_ok=True)


def _job(name: str, database: str) -> Callable[[Bench, Path], list[str]]:
    def ready(bench: Bench, folder: Path) -> list[str]:
        _project(bench, folder)
        return _in(bench, database, bench.script("dativo_load.py", f"jobs/bench/{name}.yaml"))

    return ready


def _in(bench: Bench, database: str, command: list[str]) -> list[str]:
    """A command that finds the database called `orders` or `lineitem` at this size."""
    name = bench.variables[f"BENCH_{database.upper()}"]
    return ["env", f"PGDATABASE={name}", f"MYSQL_DATABASE={name}", *command]


def _table(fact: str, *, table: str = "orders", column: str = "amount") -> Callable[[Bench, Path], list[Check]]:
    """dativo's table holds what `fact` says, and nothing was rejected."""

    def checks(bench: Bench, folder: Path) -> list[Check]:
        request = {"kind": "table", "project": str(folder), "name": f"default.{table}", "column": column}
        return [Check(request, {**_totals(bench, fact), "rejects": 0})]

    return checks


def _files(fact: str, table: str, column: str) -> Callable[[Bench, Path], list[Check]]:
    """The Parquet files that dlt wrote hold what `fact` says."""

    def checks(bench: Bench, folder: Path) -> list[Check]:
        files = str(folder / "out" / "lake" / "bench" / table / "**" / "*.parquet")
        return [Check({"kind": "parquet", "files": files, "column": column}, _totals(bench, fact))]

    return checks


def _totals(bench: Bench, fact: str) -> dict[str, int]:
    found = bench.facts[fact]
    return {"rows": found["rows"], "cents": found.get("cents", found.get("good_cents", 0))}


def _copy(table: str) -> Callable[[Bench, Path], list[str]]:
    def ready(bench: Bench, folder: Path) -> list[str]:
        return _in(bench, table, bench.script("databases/rivals/postgres_copy.py", table, CONNECTIONS))

    return ready


def _drain(table: str) -> Callable[[Bench, Path], list[str]]:
    return lambda bench, _folder: _in(bench, table, [str(drain()), f"SELECT * FROM {table}"])


def _dlt(database: str, backend: str, what: str, table: str) -> Callable[[Bench, Path], list[str]]:
    def ready(bench: Bench, folder: Path) -> list[str]:
        assert bench.dlt is not None
        command = bench.script("databases/rivals/dlt_database.py", database, table, folder / "out", backend, what)
        return _in(bench, table, [str(bench.dlt.python), *command[1:]])

    return ready


def _upsert(job: str) -> Callable[[Bench, Path], list[str]]:
    """The job has loaded the table; its changes are brought in."""

    def ready(bench: Bench, folder: Path) -> list[str]:
        _project(bench, folder)
        link = folder / "data" / "orders.parquet"
        command = bench.script("dativo_load.py", f"jobs/bench/{job}.yaml")
        for name in ("loaded", "changes"):
            link.unlink(missing_ok=True)
            link.symlink_to(bench.files[name])
            if name == "loaded":
                measure.run(command, cwd=folder)
        return command

    return ready


def _pyiceberg(bench: Bench, folder: Path) -> list[str]:
    script = bench.script("databases/rivals/pyiceberg_upsert.py")
    measure.run([*script, "build", str(folder / "out"), str(bench.files["loaded"])], cwd=folder)
    return [*script, "upsert", str(folder / "out"), str(bench.files["changes"])]


def _pyiceberg_table(bench: Bench, folder: Path) -> list[Check]:
    request = {"kind": "pyiceberg", "warehouse": str((folder / "out").resolve()), "name": "default.orders"}
    return [Check(request, _totals(bench, "changed"))]


def _load(database: str, label: str, job: str, table: str, column: str, fact: str) -> Scenario:
    rival = (
        Contender(f"COPY in binary to nowhere, {CONNECTIONS} connections", _copy(table))
        if database == "postgres"
        else Contender("SELECT drained by a C client", _drain(table))
    )
    backends = [("connectorx", "parquet"), ("connectorx", "iceberg"), ("pyarrow", "parquet")]
    return Scenario(
        f"{label} -> Iceberg",
        {
            "dativo": Contender("dativo", _job(job, table), _table(fact, table=table, column=column), _loaded),
            "client": rival,
            **{
                f"dlt_{backend}_{what}": Contender(
                    f"dlt to {what.capitalize()}, {backend}",
                    _dlt(database, backend, what, table),
                    _files(fact, table, column),
                    # At the largest size the fastest only.
                    sizes=(*PATIENT, "10m") if (backend, what) == backends[0] else PATIENT,
                )
                for backend, what in (backends if table == "orders" else backends[:1])
            },
        },
    )


SCENARIOS = {
    "postgres": _load("postgres", "Postgres, orders", "postgres", "orders", "amount", "plain"),
    "mysql": _load("mysql", "MariaDB, orders", "mysql", "orders", "amount", "plain"),
    "postgres_lineitem": _load(
        "postgres", "Postgres, TPC-H lineitem", "postgres_lineitem", "lineitem", "l_extendedprice", "lineitem"
    ),
    "mysql_lineitem": _load(
        "mysql", "MariaDB, TPC-H lineitem", "mysql_lineitem", "lineitem", "l_extendedprice", "lineitem"
    ),
    "upsert": Scenario(
        "Upsert: changes of a tenth of the table, half of them of known keys",
        {
            "dativo": Contender("dativo, copy-on-write", _upsert("upsert"), _table("changed"), _loaded),
            "merge_on_read": Contender("dativo, merge-on-read", _upsert("merge_on_read"), _table("changed"), _loaded),
            "pyiceberg": Contender("pyiceberg, Table.upsert", _pyiceberg, _pyiceberg_table, sizes=PATIENT),
        },
    ),
    "keys": Scenario(FILES["append"].title, FILES["append"].contenders),
}
