"""Nessie, the Iceberg catalog with branches, over an object store. Its catalog is in memory, or in files that outlive it."""

from __future__ import annotations

import json
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.java import class_archive, java
from tests.services.minio import Minio
from tests.services.process import Recipe, Server, answers, free_port, running
from tests.services.programs import jar

VERSION = "0.99.0"
JAR = f"org/projectnessie/nessie/nessie-quarkus/{VERSION}/nessie-quarkus-{VERSION}-runner.jar"
DIGEST = "ce9fa33e2878bf5ea3981876b9e6204cabc0362b3dd82326b10e47271a78c417"
WAREHOUSE = "warehouse"


@dataclass(frozen=True)
class Nessie:
    """Where a catalog answers."""

    port: int
    store: Minio
    bucket: str
    process: Server | None = None
    """The server, for whoever started it; None where it is shared with other tests, which must not lose it."""

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def iceberg(self) -> str:
        return f"{self.uri}/iceberg"

    @property
    def api(self) -> str:
        return f"{self.uri}/api/v2"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job finds the catalog and its store."""
        return {"NESSIE_URI": self.api, **self.store.environment}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer of Nessie's own API, version 2, to a request at `path` below `api`."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api}/{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def hash(self, branch: str = "main") -> str:
        """The last commit of a branch."""
        return str(self.ask("GET", f"trees/{branch}")["reference"]["hash"])

    def make_branch(self, name: str, source: str = "main") -> str:
        """Makes a branch from the last commit of another; gives its name, which must not look like a hash (hex)."""
        self.ask(
            "POST", f"trees?name={name}&type=BRANCH", {"type": "BRANCH", "name": source, "hash": self.hash(source)}
        )
        return name

    def branches(self) -> list[str]:
        """The names of all branches."""
        return sorted(entry["name"] for entry in self.ask("GET", "trees")["references"])


def recipe(
    folder: Path,
    port: int,
    management: int,
    store: Minio,
    bucket: str,
    *,
    vended: bool = False,
    persistent: bool = False,
    extra: Sequence[str] = (),
    archive: Sequence[str] | None = None,
) -> Recipe:
    """`archive`: options for the archive of classes; the kept one, made where it is missing, when not given."""
    s3 = {
        "endpoint": f"{store.endpoint}/",
        "path-style-access": "true",
        "region": store.region,
        "access-key": "urn:nessie-secret:quarkus:minio.access-key",
        # Clients bring their own keys, or are vended some.
        "request-signing-enabled": "false",
    }
    if vended:
        s3 |= {
            "sts-endpoint": f"{store.endpoint}/",
            "client-iam.enabled": "true",
            "client-iam.assume-role": "arn:aws:iam::123456789012:role/dativo",
            "client-iam.role-session-name": "dativo",
        }
    settings = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": str(port),
        "quarkus.management.host": "127.0.0.1",
        "quarkus.management.port": str(management),
        "quarkus.banner.enabled": "false",
        "nessie.version.store.type": "ROCKSDB" if persistent else "IN_MEMORY",
        "nessie.version.store.persist.rocks.database-path": str(folder / "catalog"),
        "nessie.catalog.default-warehouse": WAREHOUSE,
        f"nessie.catalog.warehouses.{WAREHOUSE}.location": f"s3://{bucket}/",
        "minio.access-key.name": store.access_key,
        "minio.access-key.secret": store.secret_key,
        **{f"nessie.catalog.service.s3.default-options.{key}": value for key, value in s3.items()},
    }
    program = java(21)
    if archive is None:
        archive = class_archive(f"nessie-{VERSION}", program, _warm_up)
    return Recipe(
        name="nessie",
        folder=folder,
        command=[
            program, "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *archive,
            *(f"-D{key}={value}" for key, value in settings.items()), *extra,
            "-jar", str(jar(JAR, DIGEST)),
        ],
        # Ready includes that the bucket of the warehouse can be read.
        ready=lambda: answers(f"http://127.0.0.1:{management}/q/health/ready"),
    )  # fmt: skip


def _warm_up(option: str) -> None:
    """Starts a Nessie and ends it in good order, with an option of Java by which it leaves an archive."""
    with tempfile.TemporaryDirectory() as folder:
        management = free_port()
        made = recipe(Path(folder), free_port(), management, Minio(free_port()), "none", archive=[option])
        made.ready = lambda: answers(f"http://127.0.0.1:{management}/q/health/live")
        made.stop_signal, made.stop_seconds = signal.SIGTERM, 240
        with running(made):
            # Not ready, as there is no store; the classes that look for it are loaded.
            answers(f"http://127.0.0.1:{management}/q/health/ready")


@contextmanager
def nessie(
    folder: Path,
    store: Minio,
    *,
    warehouse_bucket: str = "lake",
    vended: bool = False,
    persistent: bool = False,
    extra: Sequence[str] = (),
) -> Iterator[Nessie]:
    """A catalog of the caller's own, whose only warehouse is a bucket of `store`, made here where it is missing.

    `vended`: it gives clients that ask for it keys of their own for a table. `persistent`: what it committed survives
    `process.kill()` and `process.restart()`. `extra` are further options of Java, such as `-Dname=value` for a setting.
    """
    store.make_bucket(warehouse_bucket)
    port = free_port()
    made = recipe(folder, port, free_port(), store, warehouse_bucket, vended=vended, persistent=persistent, extra=extra)
    with running(made) as server:
        yield Nessie(port, store, warehouse_bucket, process=server)
