"""MinIO, the S3 object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.services.process import Recipe, Server, answers, free_port, running
from tests.services.programs import go_program

if TYPE_CHECKING:
    from pyarrow import fs

VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"


def program() -> Path:
    """The server, built from its sources once (2.5 minutes on 2 cores)."""
    return go_program("minio", "github.com/minio/minio", VERSION)


@dataclass(frozen=True)
class Minio:
    """Where a store answers, and the keys of its owner."""

    port: int
    access_key: str = "admin"
    secret_key: str = "password"
    region: str = "us-east-1"
    process: Server | None = None
    """The server, for whoever started it; None where it is shared with other tests, which must not lose it."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> fs.S3FileSystem:
        """The store as pyarrow's file system; its paths begin with the bucket."""
        from pyarrow import fs

        return fs.S3FileSystem(
            access_key=self.access_key, secret_key=self.secret_key, region=self.region, scheme="http",
            endpoint_override=f"127.0.0.1:{self.port}", allow_bucket_creation=True,
            connect_timeout=5, request_timeout=30,
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job finds the store."""
        return {
            "S3_ENDPOINT": self.endpoint,
            "S3_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }

    def make_bucket(self, name: str) -> str:
        """Makes a bucket where it is missing; gives its name."""
        self.files.create_dir(name)
        return name

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of all objects of a bucket below a prefix, sorted."""
        from pyarrow import fs

        selector = fs.FileSelector(f"{bucket}/{prefix}".rstrip("/"), recursive=True, allow_not_found=True)
        found = self.files.get_file_info(selector)
        return sorted(info.path.removeprefix(f"{bucket}/") for info in found if info.type == fs.FileType.File)


def recipe(folder: Path, port: int, *, console: int | None = None) -> Recipe:
    """`console`: the port of the pages for people, which are not served without one."""
    owner = Minio(port)
    return Recipe(
        name="minio",
        folder=folder,
        command=[
            str(program()), "server", str(folder / "objects"),
            "--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console or free_port()}",
            "--certs-dir", str(folder / "certs"),
        ],
        ready=lambda: answers(f"{owner.endpoint}/minio/health/cluster"),
        environment={
            "MINIO_ROOT_USER": owner.access_key,
            "MINIO_ROOT_PASSWORD": owner.secret_key,
            "MINIO_REGION": owner.region,
            # Nothing is asked of the internet.
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "on" if console else "off",
        },
    )  # fmt: skip


@contextmanager
def minio(folder: Path) -> Iterator[Minio]:
    """A store of the caller's own, with its objects in `folder`."""
    port = free_port()
    with running(recipe(folder, port)) as server:
        yield Minio(port, process=server)
