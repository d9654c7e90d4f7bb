"""How the files of a REST catalog's tables are reached, whatever its server says."""

from __future__ import annotations

from typing import Any

from pyiceberg.io.pyarrow import PyArrowFileIO

from dativo.targets.iceberg.rest import PatientRestCatalog


def test_a_server_that_names_another_file_access_is_not_followed() -> None:
    catalog: Any = object.__new__(PatientRestCatalog)
    catalog.properties = {"s3.region": "us-east-1"}
    catalog._auth_manager = None
    told = {"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO", "s3.access-key-id": "lent"}
    access = catalog._load_file_io(told, "s3://lake/t")
    assert isinstance(access, PyArrowFileIO)
    assert access.properties["s3.access-key-id"] == "lent" and access.properties["s3.region"] == "us-east-1"
