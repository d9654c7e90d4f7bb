"""Revisions of a table as the pipeline hands them over, and what a plain program would make of the rows."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.field import Field
from dativo.contract.dtypes import polars_type
from dativo.receipt import StreamReceipt
from dativo.staging.identity import identity
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Committed, Revision, TableShape, Target, Written
from tests.lake import STARTED, Lake, write


def keys_file(path: Path, key: Sequence[Field], rows: pl.DataFrame) -> Path:
    """A file of keys: the identity, the key's columns, and whatever else `rows` has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.select(*identity(key), *rows.columns).write_parquet(path)
    return path


def frame(fields: Sequence[Field], rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    schema = {f.name: polars_type(f) for f in fields}
    return pl.DataFrame([{n: row.get(n) for n in schema} for row in rows], schema=schema)


class Merger:
    """A table that is merged into: `load` adds rows, `merge` changes them by key."""

    def __init__(
        self, lake: Lake, columns: Sequence[Field], key: Sequence[str], partitioning: Sequence[Any] = ()
    ) -> None:
        self.lake = lake
        self.columns = tuple(columns)
        self.key = tuple(f for f in columns if f.name in key)
        self.partitioning = tuple(partitioning)

    def load(self, rows: pl.DataFrame, **more: Any) -> Committed:
        return self.lake.load(self.columns, rows, partitioning=self.partitioning, **more)

    def opened(self) -> Target:
        target = self.lake.target(str(uuid.uuid4()), STARTED)
        target.open(TableShape(self.columns, self.partitioning, {}))
        return target

    def revision(
        self, gone: pl.DataFrame | None = None, amended: pl.DataFrame | None = None, only: str | None = None
    ) -> Revision:
        folder = self.lake.project.root / ".local" / "staging" / f"merge-{uuid.uuid4()}"
        return Revision(
            "merge",
            self.key,
            keys_file(folder / "gone.parquet", self.key, gone) if gone is not None else None,
            keys_file(folder / "amended.parquet", self.key, amended) if amended is not None else None,
            only,
        )

    def merge(
        self,
        new: pl.DataFrame | None = None,
        *,
        gone: pl.DataFrame | None = None,
        amended: pl.DataFrame | None = None,
        only: str | None = None,
    ) -> Committed:
        """One whole run that adds rows and changes those that are there."""
        target = self.opened()
        written = write(target, new) if new is not None and new.height else Written()
        return handed_over(target, written, self.revision(gone, amended, only))

    def upsert(self, new: pl.DataFrame) -> Committed:
        return self.merge(new, gone=new.select(f.name for f in self.key))


def handed_over(target: Target, written: Written, revision: Revision) -> Committed:
    receipt = StreamReceipt(
        stream="people", table="default.people", status="loaded", extracted=written.rows, loaded=written.rows
    )
    return target.commit(written, Cursor(), "plan", receipt, revision)
