"""A table that is loaded delivery by delivery, and what it must hold after each: the yardstick of the soak."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from tests.faults.lakehouse import Lakehouse, LakeProject

Row = tuple[int, str]
MODES = ("append", "replace")
KINDS = ("csv", "jsonl", "parquet")
FIRST, FRESH, AGAIN = 60, 40, 15
OTHERS = 1_000_000


class Series(LakeProject):
    """One job and its table. `before` and `after` are its rows before and after the delivery that is to be loaded.

    Appending series with `folder` get a file a delivery, read by the time of their change: loaded twice, its rows would be
    there twice. The others get one file again and again, with rows that are there already and that their key keeps out.
    """

    def __init__(self, root: Path, lake: Lakehouse | None, mode: str, kind: str, *, folder: bool) -> None:
        super().__init__(root, lake)
        self.mode, self.kind = mode, kind
        self.folder = folder and mode == "append"
        self.number = 0
        self.before: Counter[Row] = Counter()
        self.after: Counter[Row] = Counter()
        key = {} if self.folder else {"primary_key": True}
        self.asset([{"name": "id", "type": "integer", "required": True, **key}, {"name": "name", "type": "string"}])
        source: dict[str, Any] = {"files": [{"path": f"data/in/*.{kind}" if self.folder else f"data/people.{kind}"}]}
        if self.folder:
            source["incremental"] = {"strategy": "file_modified_time"}
        recipe = f"connectors/sources/{kind}.yaml"
        self.job(source=source, source_connector_path=recipe, target=self.target(write_mode=mode))
        other = {"files": [{"path": "data/other.csv"}]}
        self.job("other", source=other, target=self.target(write_mode="append"))

    @property
    def label(self) -> str:
        where = "nessie" if self.lake is not None else "embedded"
        return f"{where:8} {self.mode:7} {self.kind:7} {'folder' if self.folder else 'file':6}"

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


def fresh_series(root: Path, lake: Lakehouse | None, chance: random.Random) -> Series:
    """A table that does not exist yet, of a random kind."""
    root.mkdir(parents=True)
    return Series(root, lake, chance.choice(MODES), chance.choice(KINDS), folder=chance.random() < 0.6)
