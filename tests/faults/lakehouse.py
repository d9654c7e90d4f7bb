"""Nessie on MinIO behind proxies that fail on demand, and jobs that load into it or into the embedded catalog."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import BadRequestError, NoSuchTableError
from pyiceberg.table import Table

from dativo.receipt import Receipt
from tests.faults.people import FIELDS, people
from tests.faults.wire import Wire, wire
from tests.project import Project
from tests.services.minio import Minio, minio
from tests.services.nessie import Nessie, nessie

_numbers = itertools.count(1)
# The requests of a commit, of a look at the table, and of what is written to the store and read from it.
COMMIT = r"POST /iceberg/v1/\S+/tables/people "
MERGE = r"POST /api/v2/trees/\S+/history/merge"
LOOK = r"GET /iceberg/v1/\S+/tables/people"
DATA = r"(PUT|POST) /lake/\S*\.parquet"
METADATA = r"(PUT|POST) /lake/\S*\.avro"
FOOTER = r"GET /lake/\S*\.parquet"


@dataclass
class Lakehouse:
    """The servers, and the proxies before them: `catalog` before Nessie, `store` before MinIO."""

    minio: Minio
    nessie: Nessie
    catalog: Wire
    store: Wire

    def target(self, branch: str, **more: Any) -> dict[str, Any]:
        """A job's `target` block: everything goes through the proxies."""
        s3 = {
            "endpoint": f"http://127.0.0.1:{self.store.port}",
            "access_key_id": self.minio.access_key,
            "secret_access_key": self.minio.secret_key,
        }
        uri = f"http://127.0.0.1:{self.catalog.port}"
        return {"write_mode": "append", "branch": branch, "connection": {"nessie": {"uri": uri}, "s3": s3}, **more}

    def calm(self) -> None:
        """No fate waits for anyone."""
        self.catalog.clear()
        self.store.clear()
        self.catalog.accept()
        self.store.accept()

    def tables(self, branch: str) -> Catalog:
        """The catalog at a branch, as pyiceberg alone opens it; it does not go through the catalog's proxy."""
        return load_catalog("independent", type="rest", uri=f"{self.nessie.iceberg}/{branch}", **self.s3_properties())

    def s3_properties(self) -> dict[str, str]:
        return {
            "s3.access-key-id": self.minio.access_key,
            "s3.secret-access-key": self.minio.secret_key,
            "s3.region": self.minio.region,
        }


@contextmanager
def lakehouse(folder: Path) -> Iterator[Lakehouse]:
    """Servers of the caller's own, with their data in `folder`. What Nessie tells its clients leads to the store's proxy."""
    with ExitStack() as stack:
        store = stack.enter_context(minio(folder / "minio"))
        before_store = stack.enter_context(wire(store.port))
        outside = f"http://127.0.0.1:{before_store.port}/"
        extra = [f"-Dnessie.catalog.service.s3.default-options.external-endpoint={outside}"]
        catalog = stack.enter_context(nessie(folder / "nessie", store, extra=extra))
        before_catalog = stack.enter_context(wire(catalog.port))
        yield Lakehouse(store, catalog, before_catalog, before_store)


class LakeProject(Project):
    """A project whose table is on a branch of its own in a lakehouse, or in the embedded catalog where there is none."""

    def __init__(self, root: Path, lake: Lakehouse | None) -> None:
        super().__init__(root)
        self.lake = lake
        self.branch = f"b{os.getpid()}_{next(_numbers)}"

    def target(self, **more: Any) -> dict[str, Any]:
        return {"write_mode": "append", **more} if self.lake is None else self.lake.target(self.branch, **more)

    def catalog(self, tenant: str = "acme") -> Any:
        return super().catalog(tenant) if self.lake is None else self.lake.tables(self.branch)

    def found(self, name: str = "default.people") -> Table | None:
        """The table, or None where there is none (yet)."""
        if self.lake is None and not (self.root / ".local/state/acme/catalog.db").exists():
            return None
        try:
            table: Table = self.table(name)
        except NoSuchTableError:
            return None
        except BadRequestError as error:  # there is no such branch yet
            assert "NoSuchReference" in str(error), error
            return None
        return table

    def content(self, columns: tuple[str, ...] = ("id",)) -> list[tuple[Any, ...]]:
        """The table's rows as pyiceberg reads them, sorted; none where there is no table."""
        table = self.found()
        if table is None:
            return []
        frame = pl.from_arrow(table.scan(selected_fields=columns).to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return sorted(frame.select(columns).rows())

    def ids(self) -> list[int]:
        return [row[0] for row in self.content()]

    def stored_files(self) -> list[str]:
        """Every data file of the table `people` in the store or on the disk, visible or not."""
        if self.lake is None:
            return [str(p) for p in (self.root / ".local/warehouse").rglob("data/**/*.parquet") if p.stat().st_size]
        table = self.found()
        if table is None:
            return []
        place = table.location().removeprefix("s3://").rstrip("/")
        bucket, _, prefix = place.partition("/")
        return [k for k in self.lake.minio.keys(bucket, prefix) if k.endswith(".parquet")]

    def visible_files(self) -> int:
        table = self.found()
        return 0 if table is None else len(list(table.scan().plan_files()))


class People(LakeProject):
    """A job that appends people by their key. `deliver` writes its file, `right` tells whether all is as it should be."""

    def __init__(self, root: Path, lake: Lakehouse | None, **target: Any) -> None:
        super().__init__(root, lake)
        self.asset(FIELDS)
        self.configure(**target)

    def configure(self, *, lock: float = 0, **target: Any) -> None:
        """The job anew; with a lock of 0 seconds rivals meet at the commit, not at its begin."""
        self.job(target=self.target(**target), engine={"lock": lock})

    def deliver(self, numbers: Iterable[int], name: str = "people") -> None:
        people(self, numbers, name)

    def loaded(self, numbers: Iterable[int]) -> None:
        """Loads a delivery undisturbed."""
        self.deliver(numbers)
        assert told(self.sync())[:2] == ("loaded", 0)
        if self.lake is not None:
            self.lake.calm()

    def number_of_loads(self) -> int:
        """How many runs of the job are in the table, of the last eight."""
        table = self.found()
        names = [] if table is None else [k for k in table.properties if k.startswith("dativo.run.acme.job.")]
        return len(table.properties[names[0]].split(",")) if table is not None and names else 0

    def right(self, numbers: Iterable[int]) -> None:
        """After a plain run the table holds exactly these people, and the cursor matches: there is nothing left to read."""
        if self.lake is not None:
            self.lake.calm()
        receipt = self.sync()
        assert receipt.exit_code == 0, told(receipt)
        assert self.ids() == sorted(numbers)
        assert self.sync().status == "unchanged"


def told(receipt: Receipt | dict[str, Any]) -> tuple[str, int, str]:
    """Status, exit code and the first stream's error of a receipt."""
    if isinstance(receipt, Receipt):
        return receipt.status, receipt.exit_code, receipt.streams[0].error or ""
    return receipt["status"], receipt["exit_code"], receipt["streams"][0].get("error") or ""
