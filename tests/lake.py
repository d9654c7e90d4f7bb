"""A job's table, driven through the Target protocol alone, and read back as other programs read it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from dativo import connectors
from dativo.config.field import Field
from dativo.config.partition import Partition
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.iceberg.catalog import open_catalog, settings
from dativo.targets.protocol import APPEND, REPLACE, Committed, Opened, TableShape, Target, Written
from tests.project import Project
from tests.services.nessie import Nessie

STARTED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


class Lake:
    """The table `people` of a project's job, in whatever catalog its `target` block names.

    `listing` gives the paths of all files where the warehouse is no local folder. `partitioned` tells that tables can be
    partitioned by any column.
    """

    partitioned = True

    def __init__(
        self,
        project: Project,
        target: dict[str, Any] | None = None,
        *,
        job: str = "job",
        namespace: str = "default",
        warehouse: Path | None = None,
        listing: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self.project = project
        self.job = job
        self.target_block = target or {}
        self.namespace = namespace
        self.warehouse = warehouse or project.root / ".local" / "warehouse"
        self.listing = listing
        self.name = f"{namespace}.people"
        self.columns = (Field(name="id", kind="long"),)
        project.asset([{"name": "id", "type": "integer"}], domain=namespace)
        self.make_job(job)

    def make_job(self, name: str, **more: Any) -> None:
        """A job that loads the table."""
        self.project.job(name, target=self.target_block, **more)

    def of_job(self, job: str) -> Lake:
        """The same table, as another job loads it."""
        return Lake(
            self.project, self.target_block,
            job=job, namespace=self.namespace, warehouse=self.warehouse, listing=self.listing,
        )  # fmt: skip

    def target(self, token: str | None = None, started: datetime = STARTED) -> Target:
        """A fresh target, as a run of the job gets it."""
        job = self.project.load(self.job)
        return connectors.target(job, job.streams[0], token or str(uuid.uuid4()), started)

    def possible(self, value: object) -> object:
        """A value as the table can hold it."""
        return value

    def opened(self, columns: Sequence[Field] | None = None, token: str | None = None) -> tuple[Target, Opened]:
        """A target that is open for writing."""
        target = self.target(token)
        return target, target.open(self.shape(columns or self.columns))

    def load(
        self,
        columns: Sequence[Field],
        rows: pl.DataFrame | dict[str, Any],
        *,
        partitioning: Sequence[Partition] = (),
        properties: dict[str, str] | None = None,
        cursor: Cursor | None = None,
        replace: bool = False,
        token: str | None = None,
        started: datetime = STARTED,
    ) -> Committed:
        """One whole run: open, write, commit."""
        target = self.target(token, started)
        target.open(TableShape(tuple(columns), tuple(partitioning), properties or {}))
        frame = pl.DataFrame(rows) if isinstance(rows, dict) else rows
        return commit(target, write(target, frame), cursor=cursor, replace=replace)

    @staticmethod
    def frame(ids: Sequence[int | None]) -> pl.DataFrame:
        """Rows of the table's one column."""
        return pl.DataFrame({"id": ids}, schema={"id": pl.Int64})

    @staticmethod
    def shape(columns: Sequence[Field], partitioning: Sequence[Partition] = ()) -> TableShape:
        return TableShape(tuple(columns), tuple(partitioning), {})

    def open(self, columns: Sequence[Field], partitioning: Sequence[Partition] = ()) -> Opened:
        """The stream's place as a run that starts now finds it."""
        return self.target().open(self.shape(columns, partitioning))

    def existing(self, columns: Sequence[Field] | None = None) -> pl.DataFrame | None:
        """The rows that a run which starts now finds."""
        target, _ = self.opened(columns)
        found = target.existing(columns or self.columns)
        return None if found is None else found.collect()

    @property
    def ids(self) -> list[int | None]:
        """The values of the table's one column, in order."""
        found = self.existing()
        return [] if found is None else found["id"].sort().to_list()

    @property
    def catalog(self) -> Catalog:
        """The catalog, for a look by pyiceberg alone."""
        return open_catalog(settings(self.project.load(self.job)))

    def table(self, name: str | None = None) -> Table:
        return self.catalog.load_table(name or self.name)

    def rows(self, name: str | None = None, where: BooleanExpression | None = None) -> pl.DataFrame:
        """The table's rows as pyiceberg reads them."""
        frame = pl.from_arrow(self.table(name).scan(row_filter=where or AlwaysTrue()).to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def data_files(self, name: str | None = None) -> list[DataFile]:
        """The data files of the current snapshot."""
        return [task.file for task in self.table(name).scan().plan_files()]

    def changed_at(self) -> Any:
        """Something that every commit changes."""
        return self.table().metadata.last_updated_ms

    def before_next_commit(self, target: Any, rival: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        """A rival acts at the moment when the target hands its commit over."""
        kind = type(target.catalog)
        commit_table = kind.commit_table

        def rival_first(*given: Any) -> Any:
            monkeypatch.setattr(kind, "commit_table", commit_table)
            rival()
            return commit_table(*given)

        monkeypatch.setattr(kind, "commit_table", rival_first)

    def files_on_disk(self) -> set[str]:
        """Every Parquet file of the namespace in the warehouse, visible or not."""
        if self.listing is not None:
            return {path for path in self.listing() if path.endswith(".parquet") and self.namespace in path.split("/")}
        return {str(p) for p in self.warehouse.rglob("*.parquet") if self.namespace in p.parts}


def nessie_block(server: Nessie, uri: str | None = None, **more: Any) -> dict[str, Any]:
    """The `target` block of a job whose catalog is a Nessie, at another address if `uri` is given."""
    store = server.store
    keys = {"endpoint": store.endpoint, "access_key_id": store.access_key, "secret_access_key": store.secret_key}
    connection = {"nessie": {"uri": uri or server.uri}, "s3": {**keys, "region": store.region}}
    return {"catalog": "nessie", "connection": connection, **more}


def nessie_lake(project: Project, server: Nessie, namespace: str, *, uri: str | None = None, **more: Any) -> Lake:
    """A table in a Nessie's warehouse."""
    listing = partial(server.store.keys, server.bucket)
    return Lake(project, nessie_block(server, uri, **more), namespace=namespace, listing=listing)


def write(target: Target, frame: pl.DataFrame, spill: Path | None = None) -> Written:
    """Rows written by a target and not visible yet."""
    output = target.output(frame.lazy(), spill=spill)
    pl.collect_all([output.sink], engine="streaming")
    return output.finish()


def commit(target: Target, written: Written, *, cursor: Cursor | None = None, replace: bool = False) -> Committed:
    """Written rows made visible, with a receipt that balances."""
    receipt = StreamReceipt(
        stream="people", table="default.people", status="loaded", extracted=written.rows, loaded=written.rows
    )
    return target.commit(written, cursor or Cursor(), "plan", receipt, REPLACE if replace else APPEND)


def footer_ids(path: str) -> dict[str, int]:
    """Every column's field id in a data file's footer, by its path in the Parquet schema."""
    schema = pq.read_schema(path.removeprefix("file://"))

    def walk(field: Any, prefix: str) -> dict[str, int]:
        name = f"{prefix}{field.name}"
        found = {name: int(field.metadata[b"PARQUET:field_id"])}
        for i in range(field.type.num_fields):
            found |= walk(field.type.field(i), f"{name}.")
        return found

    return {k: v for field in schema for k, v in walk(field, "").items()}
