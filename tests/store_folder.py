"""A bucket or container of a test's own, with the settings that reach it: what a test puts there and takes away."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import pytest

from dativo.config.connection import Connection, Setting
from dativo.stores.store import ObjectStore, open_store
from tests.services.azurite import Azurite
from tests.services.minio import Minio


@dataclass(frozen=True)
class StoreFolder:
    """`connector` is the one that reads it, `connection` what a job has in `source.connection`."""

    connector: str
    connection: dict[str, Any]

    @property
    def bucket(self) -> str:
        return str(self.connection["container" if self.connector == "azure_blob" else "bucket"])

    @property
    def store(self) -> ObjectStore:
        settings = {k: Setting(value=str(v), origin="the test") for k, v in self.connection.items()}
        return open_store(Connection(kind=self.connector, settings=settings))

    def uri(self, key: str) -> str:
        return self.store.uri(key)

    def put(self, key: str, content: bytes | str) -> str:
        """Writes an object; its time is later than that of every object written before."""
        store = self.store
        time.sleep(0.002)
        store.write(key, content.encode() if isinstance(content, str) else content)
        return key

    def remove(self, key: str) -> None:
        self.store.delete([key])

    def size(self, key: str) -> int:
        return self.store.head(key).size


def minio_folder(server: Minio, connector: str = "s3") -> StoreFolder:
    """A new bucket of a server."""
    bucket = server.make_bucket(f"files-{secrets.token_hex(6)}")
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "region": server.region}
    return StoreFolder(connector, {"endpoint": server.endpoint, "bucket": bucket, **keys})


def azure_folder(server: Azurite) -> StoreFolder:
    """A new container of a server."""
    container = server.make_container(f"files-{secrets.token_hex(6)}")
    keys = {"account_name": server.account, "account_key": server.key}
    return StoreFolder("azure_blob", {"endpoint": server.endpoint, "container": container, **keys})


def folder_for(connector: str, request: pytest.FixtureRequest) -> StoreFolder:
    """A new bucket or container for a connector, on the server that the tests share."""
    if connector == "azure_blob":
        return azure_folder(request.getfixturevalue("azurite_server"))
    return minio_folder(request.getfixturevalue("minio_server"), connector)
