"""A job's table in an object store, driven through the Target protocol alone, and read back by its documented manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from pyiceberg.expressions import BooleanExpression

from dativo.config.connection import Connection
from dativo.stores.store import ObjectStore
from dativo.targets.objects.located import store_of
from tests.lake import Lake
from tests.project import Project


class ObjectLake(Lake):
    """The table `people` of a project's job as files in a bucket or container of its own."""

    def __init__(self, project: Project, connector: str, connection: dict[str, Any], **target: Any) -> None:
        self.connector = connector
        self.connection = connection
        self.options = target
        super().__init__(project, {"connection": connection, **target})
        self.prefix = "people" if connector == "csv" else f"{self.namespace}/default/people"
        self.name = self.store.uri(self.prefix)

    def make_job(self, name: str, **more: Any) -> None:
        path = f"connectors/targets/{self.connector}.yaml"
        self.project.job(name, **{"target": self.target_block, "target_connector_path": path, **more})

    def of_job(self, job: str) -> ObjectLake:
        other = ObjectLake(self.project, self.connector, self.connection, **self.options)
        other.job = job
        other.make_job(job)
        return other

    def of_job_with(self, job: str) -> ObjectLake:
        """This lake, looked at by another job that is written already."""
        other = object.__new__(ObjectLake)
        other.__dict__.update(self.__dict__, job=job)
        return other

    @property
    def connected(self) -> Connection:
        return self.project.load(self.job).connections["target"]

    @property
    def store(self) -> ObjectStore:
        return store_of(self.project.load(self.job))

    def manifest(self, name: str | None = None) -> dict[str, Any]:
        """The manifest as any program reads it."""
        base = (name or self.name).removeprefix(self.store.uri()).lstrip("/")
        found: dict[str, Any] = json.loads(self.store.read(f"{base}/_dativo/manifest.json")[0])
        return found

    def entries(self, name: str | None = None) -> list[dict[str, Any]]:
        """The files that count, by the manifest and its segments."""
        base = (name or self.name).removeprefix(self.store.uri()).lstrip("/")
        manifest = self.manifest(name)
        found = [e for s in manifest["segments"] for e in json.loads(self.store.read(f"{base}/{s['path']}")[0])]
        return [*found, *manifest["entries"]]

    def data_files(self, name: str | None = None) -> list[Any]:
        return self.entries(name)

    def rows(self, name: str | None = None, where: BooleanExpression | None = None) -> pl.DataFrame:
        base = (name or self.name).removeprefix(self.store.uri()).lstrip("/")
        read: dict[str, Callable[[Any], pl.DataFrame]] = {
            "parquet": pl.read_parquet, "csv": pl.read_csv, "json": pl.read_ndjson,
        }  # fmt: skip
        reader = read[self.manifest(name)["format"]]
        frames = [reader(io.BytesIO(self.store.read(f"{base}/{e['path']}")[0])) for e in self.entries(name)]
        return pl.concat(frames, how="diagonal")

    def changed_at(self) -> Any:
        return self.store.head(f"{self.prefix}/_dativo/manifest.json").etag

    def files_on_disk(self) -> set[str]:
        return {o.key for o in self.store.list(f"{self.prefix}/") if "/_dativo/" not in o.key}

    def before_next_commit(self, target: Any, rival: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        kind = type(self.store)
        write: Any = kind.write

        def rival_first(store: ObjectStore, key: str, *given: Any, **named: Any) -> str:
            if key.endswith("manifest.json"):
                monkeypatch.setattr(kind, "write", write)
                rival()
            return str(write(store, key, *given, **named))

        monkeypatch.setattr(kind, "write", rival_first)
