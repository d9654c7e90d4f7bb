"""A table that is loaded delivery by delivery, and what it must hold after each: the yardstick of the soak."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from dativo.errors import DativoError
from tests.faults.lakehouse import Lakehouse, LakeProject, told

Row = tuple[int, str]
MODES = ("append", "replace", "upsert")
KINDS = ("csv", "jsonl", "parquet")
FIRST, FRESH, AGAIN = 60, 40, 15
OTHERS = 1_000_000


class Series(LakeProject):
    """One job and its table. `before` and `after` are its rows before and after the delivery that is to be loaded.

    Appending series with `folder` get a file a delivery, read by the time of their change: loaded twice, its rows would be
    there twice. The others get one file again and again, with rows that are there already: where they append, the key keeps
    these out, and where they upsert, these have new values.
    With `lock` 0 a run takes no heed of other runs' locks: rivals meet at the commit.
    """

    def __init__(self, root: Path, lake: Lakehouse | None, chance: random.Random) -> None:
        super().__init__(root, lake)
        self.mode, self.kind = chance.choice(MODES), chance.choice(KINDS)
        folder = chance.random() < 0.6
        self.lock = chance.choice((0, 0, 60))
        self.publish = chance.choice(("direct", "direct", "branch")) if lake is not None else "direct"
        self.folder = folder and self.mode == "append"
        self.merge = chance.choice(("copy-on-write", "merge-on-read"))
        self.number = 0
        self.before: Counter[Row] = Counter()
        self.after: Counter[Row] = Counter()
        key = {} if self.folder else {"primary_key": True}
        self.asset([{"name": "id", "type": "integer", "required": True, **key}, {"name": "name", "type": "string"}])
        source: dict[str, Any] = {
            "files": [{"path": f"data/in/*.{self.kind}" if self.folder else f"data/people.{self.kind}"}]
        }
        if self.folder:
            source["incremental"] = {"strategy": "file_modified_time"}
        recipe = f"connectors/sources/{self.kind}.yaml"
        changes = {"engine": {"options": {"merge_mode": self.merge}}} if self.mode == "upsert" else {}
        target = self.target(write_mode=self.mode, publish=self.publish, **changes)
        engine = {"lock": self.lock}
        self.job(source=source, source_connector_path=recipe, target=target, engine=engine)
        other = {"files": [{"path": "data/other.csv"}]}
        self.job("other", source=other, target=self.target(write_mode="append"))

    @property
    def label(self) -> str:
        where = "nessie" if self.lake is not None else "embedded"
        input_ = "folder" if self.folder else self.merge.split("-")[2] if self.mode == "upsert" else "file"
        return f"{where:8} {self.publish:6} {self.mode:7} {self.kind:7} {input_:6} lock {self.lock:2}"

    def run(self, name: str = "job") -> tuple[int, str]:
        """A run in this process: its exit code and what it said."""
        try:
            _, code, text = told(self.sync(name))
        except DativoError as error:
            return error.exit_code, error.render()
        return code, text

    def deliver(self) -> None:
        """The next delivery; the table is to hold `after` once it is loaded."""
        self.before = self.after.copy()
        number = self.number
        self.number += 1
        low = FIRST + (number - 1) * FRESH if number else 0
        fresh = [(i, f"name {i}") for i in range(low, FIRST + number * FRESH)]
        if self.mode == "replace":
            rows = [(i, f"name {i} of {number}") for i, _ in fresh]
            # What other jobs appended goes, too: a job that replaces owns its table.
            self.after = Counter(rows)
        elif self.mode == "upsert":
            # Rows that are there already have new values.
            changed = [(i, f"name {i} of {number}") for i in range(0, low, 4)]
            rows = changed + fresh
            ids = {i for i, _ in rows}
            self.after = Counter({row: n for row, n in self.after.items() if row[0] not in ids}) + Counter(rows)
        else:
            again = [] if self.folder else [(i, f"name {i}") for i in range(min(AGAIN, low))]
            rows = again + fresh
            self.after.update(fresh)
        place = f"data/in/{number:05d}.{self.kind}" if self.folder else f"data/people.{self.kind}"
        self.write(place, _content(self.kind, rows))
        # Files one after the other, however fast the rounds are.
        moment = 1_700_000_000 + number * 60
        os.utime(self.root / place, (moment, moment))

    def deliver_other(self) -> None:
        """Rows for the other job that appends to the same table; they are expected once it has run."""
        rows = [(OTHERS + self.number * 10 + i, "other") for i in range(5)]
        self.write("data/other.csv", _content("csv", rows))
        self.before.update(rows)
        self.after.update(rows)

    def found_rows(self) -> Counter[Row]:
        """What is in the table, as pyiceberg reads it."""
        return Counter((row[0], row[1]) for row in self.content(("id", "name")))


def _content(kind: str, rows: list[Row]) -> bytes:
    if kind == "csv":
        return ("id,name\n" + "".join(f"{i},{name}\n" for i, name in rows)).encode()
    if kind == "jsonl":
        return "".join(json.dumps({"id": i, "name": name}) + "\n" for i, name in rows).encode()
    import io

    stream = io.BytesIO()
    pl.DataFrame(rows, schema={"id": pl.Int64, "name": pl.String}, orient="row").write_parquet(stream)
    return stream.getvalue()
