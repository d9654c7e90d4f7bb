"""A job with two streams, orders and items, whose tables on Nessie are published together."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterable
from typing import Any

import polars as pl
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from dativo import Receipt
from dativo.targets.iceberg.catalog import open_catalog, settings
from tests.lake import nessie_block
from tests.project import Project
from tests.services.nessie import Nessie

FIELDS = [{"name": "id", "type": "integer", "required": True, "primary_key": True}, {"name": "name", "type": "string"}]
STREAMS = ("orders", "items")


class Shop:
    """A project with the job `shop`, in a namespace and on a branch of its own."""

    def __init__(self, project: Project, server: Nessie, *, uri: str | None = None, **target: Any) -> None:
        self.project = project
        self.server = server
        self.namespace = f"shop_{secrets.token_hex(6)}"
        self.branch = f"b_{self.namespace}"
        self.target = nessie_block(server, uri, branch=self.branch, **target)
        for name in STREAMS:
            project.asset(FIELDS, name, domain=self.namespace)
        self.job("shop")
        self.deliver(orders=range(3), items=range(5))

    def job(self, name: str, streams: Iterable[str] = STREAMS, **more: Any) -> None:
        """A job that loads some of the streams from files of their names."""
        streams = list(streams)
        assets: dict[str, Any] = {"asset_paths": [f"assets/{s}.yaml" for s in streams], "asset_path": None}
        if len(streams) == 1:
            assets = {"asset_path": f"assets/{streams[0]}.yaml"}
        target = {**self.target, **more.pop("target", {})}
        source = more.pop("source", {"files": [{"path": f"data/{s}.csv"} for s in streams]})
        self.project.job(name, **assets, source=source, target=target, **more)

    def deliver(self, **rows: Iterable[object]) -> None:
        """The files that the job reads, one for each stream."""
        for name, ids in rows.items():
            self.project.write(f"data/{name}.csv", "id,name\n" + "".join(f"{i},name {i}\n" for i in ids))

    def sync(self, name: str = "shop", **options: Any) -> Receipt:
        return self.project.sync(name, **options)

    def catalog(self, branch: str | None = None) -> Catalog:
        """The catalog at a branch, the one that readers see by default."""
        found: Any = open_catalog(settings(self.project.load("shop")))
        return found if branch is None else found.at(branch)  # type: ignore[no-any-return]

    def ids(self, table: str, branch: str | None = None) -> list[int] | None:
        """The ids in a table; None when there is no table."""
        try:
            found = self.catalog(branch).load_table((self.namespace, table))
        except NoSuchTableError:
            return None
        frame = pl.from_arrow(found.scan().to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return sorted(frame["id"].to_list())

    @property
    def visible(self) -> dict[str, list[int] | None]:
        """What readers see."""
        return {table: self.ids(table) for table in STREAMS}

    def files(self) -> list[str]:
        """Every Parquet file of the tables in the store, visible or not."""
        listing = self.server.store.keys(self.server.bucket)
        return [key for key in listing if key.endswith(".parquet") and key.startswith(f"{self.namespace}/")]

    def runs(self) -> list[str]:
        """The branches of runs of these jobs that are there."""
        return [b for b in self.server.branches() if b.startswith("dativo-run.acme.") and self._is_ours(b)]

    def _is_ours(self, branch: str) -> bool:
        return bool(self.catalog(branch).list_tables(self.namespace)) or self.catalog(branch).namespace_exists(
            self.namespace
        )

    def history(self) -> list[str]:
        """The messages of the commits on the branch that readers see, newest first."""
        with urllib.request.urlopen(f"{self.server.api}/trees/{self.branch}/history", timeout=10) as answer:
            return [str(e["commitMeta"]["message"]) for e in json.load(answer)["logEntries"]]
