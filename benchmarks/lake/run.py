"""Measures dativo on Nessie, MinIO and Azurite, started for it on this machine, and writes docs/benchmarks-lake.md.

    python -m benchmarks.lake.run [--rows N] [--repeat N] [--only load s3 azure commits writers] [--json FILE]

Processes run in turn on one file, after one round that is not counted; what each wrote is read back every time. With
--only or --json the page is not written. Exit code 1: an output was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import environments, measure
from benchmarks.environments import BENCH, ROOT
from benchmarks.lake import page
from benchmarks.measure import Failed, Measured
from benchmarks.run import _commit, _inputs
from benchmarks.scenarios import SCENARIOS, Bench, project
from tests.services.azurite import Azurite, azurite
from tests.services.minio import Minio, minio
from tests.services.nessie import Nessie, nessie

PARTS = ("load", "s3", "azure", "commits", "writers")
_TOTALS = """
import json, sys, polars as pl
rows = pl.scan_parquet(sys.argv[1], storage_options=json.loads(sys.argv[2]))
found = rows.select(pl.len(), (pl.col("amount").cast(pl.Decimal(38, 2)).sum() * 100).cast(pl.Int64)).collect().row(0)
print(json.dumps(found))
"""
_SCAN = """
import json, sys
from dativo import load_job
from dativo.targets.iceberg.catalog import open_catalog, settings
table = open_catalog(settings(load_job(sys.argv[1]))).load_table(("default", "orders"))
print(json.dumps([task.file.file_path for task in table.scan().plan_files()]))
"""


@dataclass(frozen=True)
class Servers:
    """What the benchmark starts: all of it on this machine, beside what is measured."""

    store: Minio
    catalog: Nessie
    blobs: Azurite

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which dativo finds them."""
        account = {
            "AZURE_STORAGE_ACCOUNT_NAME": self.blobs.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.blobs.key,
            "AZURE_STORAGE_ENDPOINT": self.blobs.endpoint,
            "AZURE_STORAGE_CONTAINER": "bench",
        }
        return {**self.catalog.environment, "S3_BUCKET": "bench", **account}

    @property
    def s3_options(self) -> dict[str, str]:
        return {
            "aws_access_key_id": self.store.access_key,
            "aws_secret_access_key": self.store.secret_key,
            "aws_endpoint_url": self.store.endpoint,
            "aws_region": self.store.region,
            "aws_allow_http": "true",
        }


@contextmanager
def servers() -> Iterator[Servers]:
    """The servers, with empty data folders that are gone at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BENCH)))
        store = stack.enter_context(minio(folder / "minio"))
        store.make_bucket("bench")
        blobs = stack.enter_context(azurite(folder / "azurite"))
        blobs.make_container("bench")
        yield Servers(store, stack.enter_context(nessie(folder / "nessie", store)), blobs)


@dataclass(frozen=True)
class Contender:
    """A command in a fresh folder, given a name that nobody used before; `files` says where its rows are then."""

    label: str
    command: Callable[[Bench, Path, str], list[str]]
    files: Callable[[Bench, Path, str], tuple[list[str] | str, dict[str, str]]]


def contenders(part: str, made: Servers) -> dict[str, Contender]:
    """Those of a part; the first is the one whose ratio to the second is the mark."""
    if part == "load":
        return {
            "nessie": Contender("dativo, table of Nessie on MinIO", _job("nessie"), _table("nessie", made)),
            "embedded": Contender("dativo, embedded catalog on the local disk", _job("load"), _table("load", made)),
        }
    scheme = "s3" if part == "s3" else "az"
    options = made.s3_options if part == "s3" else made.blobs.storage_options

    def polars(bench: Bench, folder: Path, name: str) -> list[str]:
        uri = f"{scheme}://bench/{name}/orders.parquet"
        return bench.script("rivals/polars_store.py", bench.files["plain"], uri, json.dumps(options))

    def written(bench: Bench, folder: Path, name: str) -> tuple[str, dict[str, str]]:
        return f"{scheme}://bench/{name}/**/*.parquet", options

    where = "MinIO" if part == "s3" else "Azurite"
    target = "s3" if part == "s3" else "azure_blob"
    return {
        "dativo": Contender(f"dativo, target {target} on {where}", _job(part), written),
        "polars": Contender(f"Polars, casts to one Parquet file on {where}", polars, written),
    }


def _job(name: str) -> Callable[[Bench, Path, str], list[str]]:
    def command(bench: Bench, folder: Path, _: str) -> list[str]:
        project(bench, folder, "plain")
        return bench.script("dativo_load.py", f"jobs/bench/{name}.yaml")

    return command


def _table(job: str, made: Servers) -> Callable[[Bench, Path, str], tuple[list[str], dict[str, str]]]:
    """The data files of the table's current snapshot."""

    def files(bench: Bench, folder: Path, name: str) -> tuple[list[str], dict[str, str]]:
        command = [str(bench.core.python), "-c", _SCAN, f"jobs/bench/{job}.yaml"]
        variables = measure.environment(_variables(job, made, name))
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(done.stderr[-2000:])
        found = [path.removeprefix("file://") for path in json.loads(done.stdout)]
        return found, made.s3_options if job == "nessie" else {}

    return files


def _variables(name: str, made: Servers, prefix: str) -> dict[str, str]:
    """The variables of a measured process; the embedded catalog is found by having none."""
    return {} if name in ("load", "embedded") else {**made.variables, "BENCH_PREFIX": prefix}


def compared(bench: Bench, part: str, made: Servers, repeat: int) -> dict[str, Measured]:
    """The counted runs of a part's contenders, taken in turn."""
    chosen = contenders(part, made)
    found = {key: Measured(c.label) for key, c in chosen.items()}
    for number in range(repeat + 1):
        for key, contender in chosen.items():
            folder = bench.root / "work" / key
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            name = f"r{uuid.uuid4().hex}"
            command = contender.command(bench, folder, name)
            os.sync()
            run, _ = measure.run(command, cwd=folder, more=_variables(key, made, name))
            _check(bench, contender, folder, name)
            if number:
                found[key].runs.append(run)
            _say(f"{part} {number or 'warm-up'}: {key} {run.wall:.2f} s {run.memory >> 20} MiB")
    shutil.rmtree(bench.root / "work", ignore_errors=True)
    return found


def _check(bench: Bench, contender: Contender, folder: Path, name: str) -> None:
    files, options = contender.files(bench, folder, name)
    rows = cents = 0
    for file in [files] if isinstance(files, str) else files:
        command = [str(bench.core.python), "-c", _TOTALS, file, json.dumps(options)]
        counted, amount = measure.run_json(command, cwd=folder)
        rows, cents = rows + counted, cents + amount
    wanted = (bench.facts["plain"]["good"], bench.facts["plain"]["good_cents"])
    if (rows, cents) != wanted:
        raise Failed(f"{contender.label}: (rows, cents) are {(rows, cents)}, expected {wanted}")


def _module(name: str, made: Servers, *arguments: str) -> Any:
    """What a module of this package prints as JSON; it runs in this environment, in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=BENCH) as folder:
        command = [sys.executable, "-m", f"benchmarks.lake.{name}", folder, *arguments]
        environment = measure.environment({**made.variables, "PYTHONPATH": str(ROOT)})
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{name}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    _say(f"{name}: {done.stdout.strip()}")
    return json.loads(done.stdout)


def measured(rows: int, repeat: int, parts: list[str]) -> dict[str, Any]:
    """The figures as they are kept: see page.py for what is in them."""
    load_before = os.getloadavg()[0]
    bench = Bench(BENCH, environments.core(("s3", "azure_blob")), None)
    _inputs(bench, rows, {"load": SCENARIOS["load"]})
    found: dict[str, Any] = {}
    with servers() as made:
        for part in [p for p in ("load", "s3", "azure") if p in parts]:
            found[part] = {k: measure.as_plain(m) for k, m in compared(bench, part, made, repeat).items()}
        if "commits" in parts:
            found["commits"] = {c: _module("commits", made, c)["files"] for c in ("embedded", "nessie")}
        if "writers" in parts:
            found["writers"] = _module("writers", made)
    return {
        "format": 1,
        "rows": rows,
        "repeat": repeat,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": environments.machine(),
        "load_average_before": round(load_before, 2),
        "versions": bench.core.versions,
        "parts": found,
    }


def main() -> int:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lake.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="counted rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts; no page is written")
    parser.add_argument("--json", type=Path, help="write the figures to this file instead")
    given = parser.parse_args()
    try:
        document = measured(given.rows, given.repeat, given.only or list(PARTS))
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    kept = given.json or (None if given.only else page.RESULTS)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(document, indent=1) + "\n")
    if kept and not given.json:
        page.write()
    print(page.text(document))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
