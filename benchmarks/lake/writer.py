"""One of many writers: commits rows to a table again and again, as a job of its own.

python -m benchmarks.lake.writer NUMBER TABLES COMMITS      in a folder with the jobs `writer_NUMBER.yaml`

Waits for a line on standard input, so that all begin together, and prints the seconds of each commit as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from datetime import UTC, datetime

import polars as pl

from dativo import connectors, load_job
from dativo.config.field import Field
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.protocol import TableShape

COLUMNS = (Field(name="id", kind="long"),)


def main() -> None:
    """Commits as often as asked."""
    number, commits = int(sys.argv[1]), int(sys.argv[2])
    job = load_job(f"writer_{number}.yaml")
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = []
    for turn in range(commits):
        begin = time.perf_counter()
        target = connectors.target(job, job.streams[0], str(uuid.uuid4()), datetime.now(UTC))
        target.open(TableShape(COLUMNS, (), {}))
        output = target.output(pl.LazyFrame({"id": [number * 1_000_000 + turn]}, schema={"id": pl.Int64}))
        pl.collect_all([output.sink], engine="streaming")
        written = output.finish()
        receipt = StreamReceipt(stream="s", table="t", status="loaded", extracted=1, loaded=1)
        target.commit(written, Cursor(), "plan", receipt, replace=False)
        seconds.append(round(time.perf_counter() - begin, 3))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
