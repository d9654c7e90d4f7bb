"""A Postgres database of a test's own, with a project that reads it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import polars as pl

from dativo import connectors
from dativo.sources.protocol import Extract, Meter
from tests.project import Project
from tests.services.postgres import Postgres

RECIPE = "name: postgres\ntype: postgres\nroles: [source]\ndefault_engine: {type: native}\n"
ID = {"name": "id", "type": "integer", "required": True}


class PostgresBench:
    """`sql(...)` runs statements in the test's database, `job(...)` writes a job over it."""

    def __init__(self, project: Project, server: Postgres) -> None:
        self.project = project
        self.server = server
        self.database = server.make_database(f"d{uuid.uuid4().hex}")
        project.write("connectors/sources/postgres.yaml", RECIPE)
        project.asset([ID, {"name": "name"}], name="people")

    def sql(self, text: str) -> list[list[str]]:
        return self.server.sql(text, self.database)

    @property
    def connection(self) -> dict[str, Any]:
        s = self.server
        return {"host": s.host, "port": s.port, "database": self.database, "user": s.user, "password": s.password}

    def job(
        self,
        *tables: str | dict[str, Any],
        options: dict[str, Any] | None = None,
        connection: dict[str, Any] | None = None,
        incremental: dict[str, Any] | None = None,
        queries: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> None:
        """A job over tables by `assets/people.yaml`."""
        entries = [{"name": t} if isinstance(t, str) else t for t in tables]
        source: dict[str, Any] = {"connection": {**self.connection, **(connection or {})}}
        if entries:
            source["tables"] = entries
        if queries:
            source["queries"] = list(queries)
        if options:
            source["engine"] = {"type": "native", "options": options}
        if incremental:
            source["incremental"] = incremental
        self.project.job(source_connector_path="connectors/sources/postgres.yaml", source=source, **more)

    def read(self, since: Any = None, meter: Meter | None = None, **options: Any) -> Extract:
        job = self.project.load()
        return connectors.source(job).read(job.streams[0], since, meter=meter or Meter(), **options)

    def frame(self, since: Any = None, **options: Any) -> pl.DataFrame:
        """All rows that the source gives, its connections closed again."""
        extract = self.read(since, **options)
        try:
            return extract.frame.collect(engine="streaming")
        finally:
            extract.close()

    def ids(self, since: Any = None, **options: Any) -> list[int]:
        return [int(i) for i in self.frame(since, **options)["id"]]

    def cursor(self, since: Any = None, **options: Any) -> Any:
        """What is saved after a reading."""
        extract = self.read(since, **options)
        try:
            extract.frame.collect(engine="streaming")
            return extract.cursor()
        finally:
            extract.close()

    def check(self) -> list[dict[str, Any]]:
        job = self.project.load()
        return connectors.source(job).check(job.streams[0])
