"""What a commit costs, by the number of data files that the table has: seconds from handing over to the answer.

python -m benchmarks.lake.commits FOLDER CATALOG      in the environment of the tests; CATALOG is embedded or nessie

Prints `{"files": {"1": [seconds, …], …}}`. The table's earlier files are entries of its manifests, a hundred for each
commit; that they are named is all that a commit sees of them.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dativo import connectors, load_job
from dativo.config.field import Field
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.protocol import TableShape

SIZES = (1, 100, 1_000, 10_000)
A_COMMIT = 100
ROUNDS = 5
COLUMNS = tuple(Field(name=f"c{n}", kind="long") for n in range(12))
JOB = """
tenant_id: bench
source_connector_path: connectors/sources/csv.yaml
target_connector_path: connectors/targets/iceberg.yaml
asset_path: asset.yaml
source: {files: [{path: data.csv}]}
target: {write_mode: append%s}
"""


def main() -> None:
    """Measures the commits of one table as it grows."""
    folder, catalog = Path(sys.argv[1]), sys.argv[2]
    os.chdir(folder)
    columns = "".join(f"  - {{name: {c.name}, type: integer}}\n" for c in COLUMNS)
    Path("asset.yaml").write_text(f'name: grown\nversion: "1"\nschema:\n{columns}')
    Path("job.yaml").write_text(
        JOB % (f", catalog: nessie, branch: grown-{uuid.uuid4().hex}" if catalog == "nessie" else "")
    )
    found: dict[str, list[float]] = {}
    there = 0
    for size in SIZES:
        while there < size - 1:
            added = min(A_COMMIT, size - 1 - there)
            committed(added)
            there += added
        found[str(size)] = [committed(1) for _ in range(ROUNDS)]
        there += ROUNDS
    print(json.dumps({"files": found}))


def committed(files: int) -> float:
    """Commits a file, or that file under so many names; the seconds that the commit took."""
    job = load_job("job.yaml")
    target = connectors.target(job, job.streams[0], str(uuid.uuid4()), datetime.now(UTC))
    target.open(TableShape(COLUMNS, (), {}))
    output = target.output(pl.LazyFrame({c.name: [1] for c in COLUMNS}))
    pl.collect_all([output.sink], engine="streaming")
    written = output.finish()
    written.files = [named(written.files[0], n) for n in range(files)]
    receipt = StreamReceipt(stream="grown", table="default.grown", status="loaded", extracted=1, loaded=1)
    begin = time.perf_counter()
    target.commit(written, Cursor(), "plan", receipt, replace=False)
    return round(time.perf_counter() - begin, 4)


def named(file: Any, number: int) -> Any:
    """The description of a data file under another name."""
    if not number:
        return file
    other = copy.copy(file)
    other._data = list(file._data)
    place = other._data.index(file.file_path)
    other._data[place] = file.file_path.replace(".parquet", f"-{number}.parquet")
    return other


if __name__ == "__main__":
    main()
