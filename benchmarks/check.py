"""What measured processes wrote, read back: rows and the sum of an amount column in cents.

Takes a list of requests as JSON on standard input and gives the list of answers:

    {"kind": "parquet", "files": "DIR/**/*.parquet"}           -> {"rows": …, "cents": …}
    {"kind": "rows", "files": "DIR/rejects.parquet", "of": "line"}  -> {"rows": distinct values of the column}
    {"kind": "table", "project": "DIR", "name": "default.orders"}   -> {"rows": …, "cents": …, "rejects": …}
    {"kind": "pyiceberg", "warehouse": "DIR", "name": "default.orders"}  -> {"rows": …, "cents": …}

`amount` is the column that is summed where a request names no other as `column`. A table is read through its catalog: its
current snapshot says which data files count, and which of their rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import duckdb


def main() -> None:
    """Answers the requests on standard input."""
    print(json.dumps([_ANSWERS[r["kind"]](r) for r in json.load(sys.stdin)]))


def _parquet(request: dict[str, Any]) -> dict[str, int]:
    return _totals([request["files"]], request)


def _rows(request: dict[str, Any]) -> dict[str, int]:
    column = request["of"]
    found = duckdb.execute(f"SELECT count(DISTINCT {column}) FROM read_parquet(?)", [request["files"]]).fetchone()
    return {"rows": found[0] if found else 0}


def _table(request: dict[str, Any]) -> dict[str, int]:
    from pyiceberg.catalog.sql import SqlCatalog

    local = Path(request["project"]).resolve() / ".local"
    catalog = SqlCatalog(
        "dativo", uri=f"sqlite:///{local}/state/bench/catalog.db", warehouse=f"file://{local}/warehouse/bench"
    )
    answer = _table_totals(catalog, request)
    rejects = request["name"] + "__rejects"
    if not catalog.table_exists(rejects):
        return answer | {"rejects": 0}
    found = duckdb.execute(
        "SELECT count(*) FROM (SELECT DISTINCT file, row FROM read_parquet(?))", [_files(catalog, rejects)]
    ).fetchone()
    return answer | {"rejects": found[0] if found else 0}


def _files(catalog: Any, name: str) -> list[str]:
    scan = catalog.load_table(name).scan()
    return [task.file.file_path.removeprefix("file://") for task in scan.plan_files()]


def _pyiceberg(request: dict[str, Any]) -> dict[str, int]:
    from pyiceberg.catalog.sql import SqlCatalog

    folder = request["warehouse"]
    return _table_totals(
        SqlCatalog("rival", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}"), request
    )


def _table_totals(catalog: Any, request: dict[str, Any]) -> dict[str, int]:
    """By its data files; rows that position deletes take out are left out."""
    tasks = list(catalog.load_table(request["name"]).scan().plan_files())
    deletes = sorted({d.file_path.removeprefix("file://") for t in tasks for d in t.delete_files})
    return _totals([t.file.file_path.removeprefix("file://") for t in tasks], request, deletes)


def _totals(files: list[str], request: dict[str, Any], deletes: list[str] | None = None) -> dict[str, int]:
    """Rows and cents of Parquet files, without the rows that files of position deletes name."""
    column = request.get("column", "amount")
    query = f"SELECT count(*), coalesce(sum({column} * 100), 0)::BIGINT FROM read_parquet(?"
    if deletes:
        gone = "SELECT replace(file_path, 'file://', '') AS filename, pos AS file_row_number FROM read_parquet(?)"
        query += f", filename=true, file_row_number=true) ANTI JOIN ({gone}) USING (filename, file_row_number)"
    else:
        query += ")"
    rows, cents = duckdb.execute(query, [files, *([deletes] if deletes else [])]).fetchone() or (0, 0)
    return {"rows": rows, "cents": cents}


_ANSWERS = {"parquet": _parquet, "rows": _rows, "table": _table, "pyiceberg": _pyiceberg}


if __name__ == "__main__":
    main()
