"""Where a new table's files are: all in the table's own folder, so that its upkeep finds them."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.lake import Lake, nessie_lake
from tests.project import Project
from tests.services.minio import Minio
from tests.services.nessie import Nessie, nessie

pytestmark = pytest.mark.server


def test_the_first_files_are_in_the_table_s_own_folder(project: Project, nessie_server: Nessie) -> None:
    lake = nessie_lake(project, nessie_server, f"space_{secrets.token_hex(6)}")
    lake.load(lake.columns, lake.frame([1]))
    table = lake.table()
    paths = [lake.data_files()[0].file_path, table.metadata_location, table.current_snapshot().manifest_list]
    assert all(path.startswith(f"{table.location()}/") for path in paths)


def test_a_catalog_that_lends_its_keys_lends_those_of_that_folder(
    project: Project, minio_server: Minio, tmp_path: Path
) -> None:
    bucket = f"lent-{secrets.token_hex(4)}"
    with nessie(tmp_path / "nessie", minio_server, warehouse_bucket=bucket, vended=True) as server:
        catalog = {"type": "nessie", "header.X-Iceberg-Access-Delegation": "vended-credentials"}
        block = {"catalog": catalog, "connection": {"nessie": {"uri": server.uri}}}
        lake = Lake(project, block, namespace="lent")
        for number in range(2):
            lake.load(lake.columns, lake.frame([number]))
        assert lake.ids == [0, 1]
        assert {f.file_path.partition("/data/")[0] for f in lake.data_files()} == {lake.table().location()}
