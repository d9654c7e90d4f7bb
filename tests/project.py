"""A small dativo project in a temporary folder: what a test writes, runs and reads back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from dativo import Receipt, ResolvedJob, load_job, sync
from dativo.config.environment import Environment

RECIPES = Path(__file__).resolve().parent.parent / "connectors"


class Project:
    """A project folder. `job(...)` and `asset(...)` write files, `sync(...)` runs, `rows(...)` reads the table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "assets").mkdir(parents=True, exist_ok=True)
        (root / "data").mkdir(exist_ok=True)

    def write(self, path: str, content: str | bytes) -> Path:
        """A file of the project."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def asset(self, fields: list[dict[str, Any]], name: str = "people", **more: Any) -> Path:
        """A flat contract at `assets/{name}.yaml`."""
        document = {"name": name, "version": "1.0", "team": {"owner": "tests@example.com"}, "schema": fields, **more}
        return self.write(f"assets/{name}.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    def job(self, name: str = "job", **more: Any) -> Path:
        """A job at `jobs/acme/{name}.yaml`: `data/people.csv` by `assets/people.yaml` into Iceberg unless told otherwise."""
        document: dict[str, Any] = {
            "tenant_id": "acme",
            "source_connector_path": "connectors/sources/csv.yaml",
            "target_connector_path": "connectors/targets/iceberg.yaml",
            "asset_path": "assets/people.yaml",
            "source": {"files": [{"path": "data/people.csv"}]},
        }
        document.update(more)
        return self.write(f"jobs/acme/{name}.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    def load(self, name: str = "job", variables: dict[str, str] | None = None) -> ResolvedJob:
        environment = None if variables is None else Environment([variables], ["the test's variables"])
        return load_job(self.root / f"jobs/acme/{name}.yaml", environment=environment)

    def sync(self, name: str = "job", **options: Any) -> Receipt:
        return sync(self.load(name), **options)

    def catalog(self, tenant: str = "acme") -> Any:
        """The embedded catalog, opened as any other tool would."""
        from pyiceberg.catalog.sql import SqlCatalog

        path = self.root / ".local" / "state" / tenant / "catalog.db"
        return SqlCatalog("dativo", uri=f"sqlite:///{path}", warehouse=f"file://{self.root}/.local/warehouse/{tenant}")

    def table(self, name: str = "default.people", tenant: str = "acme") -> Any:
        """The table in the embedded catalog, by pyiceberg."""
        return self.catalog(tenant).load_table(name)

    def rows(self, name: str = "default.people", tenant: str = "acme") -> pl.DataFrame:
        """The table's rows as pyiceberg reads them, columns in the table's order."""
        table = self.table(name, tenant)
        frame = pl.from_arrow(table.scan().to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def rejects(self, name: str = "default.people", tenant: str = "acme") -> pl.DataFrame:
        return self.rows(f"{name}__rejects", tenant)

    def snapshots(self, name: str = "default.people", tenant: str = "acme") -> int:
        return len(self.table(name, tenant).metadata.snapshots)
