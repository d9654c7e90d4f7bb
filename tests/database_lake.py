"""A job's table in a database, driven through the Target protocol alone, and read back as the database's own client does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import polars as pl
import pytest
from pyiceberg.expressions import BooleanExpression

from dativo import connectors
from dativo.targets.databases import commit as committing
from tests.lake import Lake
from tests.project import Project


class Server(Protocol):
    """What the fixtures of both servers have."""

    port: int
    user: str
    password: str
    host: str

    def sql(self, text: str, database: str | None = None) -> list[list[str]]: ...

    def make_database(self, name: str) -> str: ...


class DatabaseLake(Lake):
    """The table `people` of a project's job in a database of its own. `schema` is where it lies."""

    partitioned = False

    def __init__(
        self, project: Project, connector: str, server: Server, database: str, schema: str, **target: Any
    ) -> None:
        self.connector = connector
        self.server = server
        self.database = database
        self.schema = schema
        self.options = target
        super().__init__(project, {"connection": self.connection, **target})
        self.name = f"{schema}.people"

    def possible(self, value: object) -> object:
        """Postgres has no text with NUL."""
        return value.replace("\0", "") if isinstance(value, str) and self.connector == "postgres" else value

    @property
    def connection(self) -> dict[str, Any]:
        server = self.server
        return {"host": server.host, "port": server.port, "user": server.user, "password": server.password,
                "database": self.database}  # fmt: skip

    def make_job(self, name: str, **more: Any) -> None:
        path = f"connectors/targets/{self.connector}.yaml"
        self.project.job(name, **{"target": self.target_block, "target_connector_path": path, **more})

    def of_job(self, job: str) -> DatabaseLake:
        other = DatabaseLake(self.project, self.connector, self.server, self.database, self.schema, **self.options)
        other.job = job
        other.make_job(job)
        return other

    def sql(self, text: str) -> list[list[str]]:
        """Statements in the lake's database by the database's own client."""
        return self.server.sql(text, self.database)

    def data_files(self, name: str | None = None) -> list[Any]:
        return ["table"] if self.existing() is not None else []

    def rows(self, name: str | None = None, where: BooleanExpression | None = None) -> pl.DataFrame:
        job = self.project.load(self.job)
        reader = connectors.reader(job, job.streams[0])
        found = reader.rejects() if name is not None and name.endswith("__rejects") else reader.rows()
        assert found is not None
        return found.collect()

    def changed_at(self) -> Any:
        quote = "`" if self.connector == "mysql" else '"'
        return self.sql(f"SELECT state FROM {quote}{self.schema}{quote}.dativo_state WHERE table_name = 'people'")

    def files_on_disk(self) -> set[str]:
        """Everything that holds rows: the table, and staged files."""
        rows = {"table"} if self.existing() is not None else set()
        return rows | {str(p) for p in (self.project.root / ".local" / "staging").rglob("*.parquet")}

    def before_next_commit(self, target: Any, rival: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        run = committing._Commit.run

        def rival_first(own: Any) -> Any:
            monkeypatch.setattr(committing._Commit, "run", run)
            rival()
            return run(own)

        monkeypatch.setattr(committing._Commit, "run", rival_first)
