"""Many writers at once on a few tables of one Nessie: every commit must land exactly once; how many land in a second.

python -m benchmarks.lake.writers FOLDER [WRITERS] [TABLES] [COMMITS]

Each writer is a process and a job of its own. Prints the figures as JSON; ends with code 1 when a row is lost or doubled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

JOB = """
tenant_id: bench
source_connector_path: connectors/sources/csv.yaml
target_connector_path: connectors/targets/iceberg.yaml
asset_path: table_{table}.yaml
source: {{files: [{{path: data.csv}}]}}
target: {{write_mode: append, catalog: nessie, branch: {branch}}}
"""


def main() -> None:
    """Runs the writers and reads the tables back."""
    folder = Path(sys.argv[1]).resolve()
    writers, tables, commits = [*map(int, sys.argv[2:]), *(32, 4, 10)[len(sys.argv) - 2 :]]
    found = contest(folder, writers, tables, commits)
    print(json.dumps(found))
    sys.exit(0 if not found["lost"] and not found["doubled"] else 1)


def contest(folder: Path, writers: int, tables: int, commits: int) -> dict[str, Any]:
    """The figures: commits, seconds, commits a second, the median and longest commit, rows lost and doubled."""
    branch = f"writers-{uuid.uuid4().hex}"
    for table in range(tables):
        text = f'name: table_{table}\nversion: "1"\nschema:\n  - {{name: id, type: integer}}\n'
        (folder / f"table_{table}.yaml").write_text(text)
    for number in range(writers):
        (folder / f"writer_{number}.yaml").write_text(JOB.format(table=number % tables, branch=branch))
    processes = [_started(folder, number, commits) for number in range(writers)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    begin = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate()[0] for process in processes]
    took = time.perf_counter() - begin
    failed = sum(1 for process in processes if process.returncode)
    seconds = [s for text in told if text.strip() for s in json.loads(text.splitlines()[-1])]
    rows = Counter(_rows(folder, tables))
    wanted = {number * 1_000_000 + turn for number in range(writers) for turn in range(commits)}
    return {
        "writers": writers,
        "tables": tables,
        "commits": writers * commits,
        "seconds": round(took, 2),
        "a_second": round(writers * commits / took, 2),
        "median": round(median(seconds), 3) if seconds else None,
        "longest": max(seconds, default=None),
        "failed": failed,
        "lost": len(wanted - set(rows)),
        "doubled": sum(n - 1 for n in rows.values()),
    }


def _started(folder: Path, number: int, commits: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.lake.writer", str(number), str(commits)]
    return subprocess.Popen(command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _rows(folder: Path, tables: int) -> list[int]:
    """Every row of the tables, read by pyiceberg."""
    from dativo import load_job
    from dativo.targets.iceberg.catalog import open_catalog, settings

    found: list[int] = []
    for table in range(tables):
        catalog = open_catalog(settings(load_job(folder / f"writer_{table}.yaml")))
        found += catalog.load_table(("default", f"table_{table}")).scan().to_arrow()["id"].to_pylist()
    return found


if __name__ == "__main__":
    main()
