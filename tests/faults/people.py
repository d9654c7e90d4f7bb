"""A small job for tests of faults: people of a CSV file, appended by key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.project import Project

ROWS = 2_000
FIELDS = [{"name": "id", "type": "integer", "required": True, "primary_key": True}, {"name": "name", "type": "string"}]


def people(project: Project, numbers: Iterable[int], name: str = "people") -> None:
    """The file that the job reads."""
    project.write(f"data/{name}.csv", "id,name\n" + "".join(f"{n},name {n}\n" for n in numbers))


def ids(project: Project) -> list[int]:
    """The ids in the table, as pyiceberg reads them."""
    found: list[int] = sorted(project.rows()["id"].to_list())
    return found


def data_files(project: Project) -> list[Path]:
    """The table's data files on the disk, visible or not."""
    return list((project.root / ".local/warehouse/acme/default/people/data").rglob("*.parquet"))
