"""The merge of an Iceberg target alone: a tenth of a table's rows, half of them new, into the table.

python -m benchmarks.databases.upsert FOLDER --rows 10000000 --mode merge-on-read [--recent] [--key id|text]

Makes the table in FOLDER (kept for the next call), copies it, merges into the copy, and prints one line of JSON: seconds and
processor seconds of the commit, files before and after, the greatest memory. `--recent` has the keys in the newest quarter
of the table's files; the key `text` is a string.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import yaml

from dativo import connectors, load_job
from dativo.config.field import Field
from dativo.receipt import StreamReceipt
from dativo.staging.identity import identity
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Revision, TableShape, Target, Written

FILES = 20
COLUMNS = (
    Field(name="order_id", kind="long", required=True),
    Field(name="order_key", kind="string"),
    Field(name="customer_id", kind="long"),
    Field(name="email", kind="string"),
    Field(name="first_name", kind="string"),
    Field(name="last_name", kind="string"),
    Field(name="phone", kind="string"),
    Field(name="amount", kind="decimal", precision=12, scale=2),
    Field(name="currency", kind="string"),
    Field(name="status", kind="string"),
    Field(name="created_at", kind="timestamp"),
    Field(name="notes", kind="string"),
)
ROW = """SELECT k::BIGINT AS order_id, 'order-' || lpad(k::VARCHAR, 12, '0') AS order_key,
 (hash(k) % 1000000)::BIGINT AS customer_id, 'user' || (hash(k) % 1000000) || '@example.com' AS email,
 ['Anna', 'Boris', 'Chloe', 'Diego', 'Eve', 'Femi'][1 + (k % 6)] AS first_name, 'Surname' || (k % 9973) AS last_name,
 '+44 20 7' || lpad((hash(k + 1) % 10000000)::VARCHAR, 7, '0') AS phone,
 ((hash(k + 2) % 1000000) / 100.0)::DECIMAL(12, 2) AS amount, ['USD', 'EUR', 'GBP'][1 + (k % 3)] AS currency,
 ['paid', 'open', 'void', 'refunded'][1 + (k % 4)] AS status,
 TIMESTAMP '2024-01-01' + INTERVAL (k % 31536000) SECOND AS created_at, 'note ' || md5(k::VARCHAR) AS notes"""


def project(folder: Path, mode: str) -> Path:
    """A project with one job; its file."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "jobs").mkdir(exist_ok=True)
    fields = [{"name": "order_id", "type": "integer"}]
    asset = {"name": "orders", "version": "1.0", "team": {"owner": "bench@example.com"}, "schema": fields}
    job = {
        "tenant_id": "bench",
        "source_connector_path": "connectors/sources/csv.yaml",
        "target_connector_path": "connectors/targets/iceberg.yaml",
        "asset_path": "assets/orders.yaml",
        "source": {"files": [{"path": "orders.csv"}]},
        "target": {"write_mode": "append", "engine": {"options": {"merge_mode": mode}}},
    }
    (folder / "assets" / "orders.yaml").write_text(yaml.safe_dump(asset))
    (folder / "jobs" / "orders.yaml").write_text(yaml.safe_dump(job))
    return folder / "jobs" / "orders.yaml"


def opened(job_file: Path) -> Target:
    job = load_job(job_file)
    target: Target = connectors.target(job, job.streams[0], str(uuid.uuid4()), datetime.now(UTC))
    target.open(TableShape(COLUMNS, (), {}))
    return target


def written(target: Target, frame: pl.LazyFrame) -> Written:
    output = target.output(frame)
    pl.collect_all([output.sink], engine="streaming")
    return output.finish()


def committed(target: Target, rows: Written, revision: Revision | None = None) -> None:
    receipt = StreamReceipt(stream="orders", table="orders", status="loaded", extracted=rows.rows, loaded=rows.rows)
    target.commit(rows, Cursor(), "plan", receipt, revision or Revision())


def build(folder: Path, rows: int) -> None:
    """The table: even numbers in order, in as many commits as there are to be files."""
    job_file = project(folder, "copy-on-write")
    for number in range(FILES):
        low, high = rows * number // FILES, rows * (number + 1) // FILES
        query = f"{ROW} FROM (SELECT range * 2 AS k FROM range({low}, {high}))"
        duckdb.sql(f"COPY ({query}) TO '{folder}/part.parquet'")
        target = opened(job_file)
        committed(target, written(target, pl.scan_parquet(folder / "part.parquet")))


def changes(folder: Path, rows: int, recent: bool, key: str) -> tuple[Path, Path]:
    """The rows that come in, and the file of their keys."""
    staged = folder / ".local" / "staging" / "changes"
    staged.mkdir(parents=True)
    old = f"{2 * rows} - 2 - range * 8" if recent else "range * 40"
    new = f"{2 * rows} + 1 + range * 2"
    query = f"SELECT {old} AS k FROM range({rows // 20}) UNION ALL SELECT {new} FROM range({rows // 20})"
    newer = ROW.replace("md5(k::VARCHAR)", "md5((k + 1)::VARCHAR)")
    duckdb.sql(f"COPY ({newer} FROM ({query})) TO '{staged}/rows.parquet'")
    field = next(f for f in COLUMNS if f.name == key)
    keys = pl.scan_parquet(staged / "rows.parquet").select(*identity([field]), key)
    keys.sink_parquet(staged / "gone.parquet")
    return staged / "rows.parquet", staged / "gone.parquet"


def merge(folder: Path, mode: str, key: str, new: Path, gone: Path) -> dict[str, object]:
    """One run; what its commit took."""
    target = opened(project(folder, mode))
    rows = written(target, pl.scan_parquet(new))
    before, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    committed(target, rows, Revision("merge", tuple(f for f in COLUMNS if f.name == key), gone))
    took, done = time.perf_counter() - before, resource.getrusage(resource.RUSAGE_SELF)
    table = target.table  # type: ignore[attr-defined]
    summary = table.current_snapshot().summary
    return {
        "mode": mode,
        "seconds": round(took, 2),
        "cpu_seconds": round(done.ru_utime + done.ru_stime - used.ru_utime - used.ru_stime, 2),
        "peak_mib": done.ru_maxrss >> 10,
        "peak_mib_before": used.ru_maxrss >> 10,
        "load": os.getloadavg()[0],
        **{k: v for k, v in summary.additional_properties.items() if k.startswith(("added-", "deleted-", "total-"))},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--mode", choices=["copy-on-write", "merge-on-read"], default="copy-on-write")
    parser.add_argument("--recent", action="store_true")
    parser.add_argument("--key", choices=["order_id", "order_key"], default="order_id")
    parser.add_argument("--prepared", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    # The paths in a table's metadata are absolute: the table is always used at the same place.
    kept, folder = given.folder.resolve() / f"kept-{given.rows}", given.folder.resolve() / f"table-{given.rows}"
    if given.prepared:
        print(json.dumps(merge(folder, given.mode, given.key, *given.prepared)))
        return
    shutil.rmtree(folder, ignore_errors=True)
    if not kept.exists():
        build(folder, given.rows)
        shutil.copytree(folder, kept)
    else:
        shutil.copytree(kept, folder)
    prepared = changes(folder, given.rows, given.recent, given.key)
    # In a process of its own, so that its memory is that of the merge alone.
    subprocess.run([sys.executable, "-m", __spec__.name, *sys.argv[1:], "--prepared", *map(str, prepared)], check=True)


if __name__ == "__main__":
    main()
