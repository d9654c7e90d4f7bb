"""The servers that `just services up` starts: on fixed ports, with data that stays, and running until `down`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import azurite, mariadb, minio, nessie, postgres, rest_catalog, toxiproxy
from tests.services.process import Recipe, Server, listens
from tests.services.programs import ROOT

RUN = ROOT / "run"
DATA = ROOT / "data"
BUCKET = "lake"
CONTAINER = "lake"
PATIENCE = 20.0
"""Seconds until a server that does not end when asked to is killed."""


def _port(name: str, usual: int) -> int:
    return int(os.environ.get(f"DATIVO_{name.upper().replace('-', '_')}_PORT", usual))


@dataclass(frozen=True)
class Standing:
    """One server."""

    name: str
    usual_port: int
    recipe: Callable[[Path, int], Recipe]
    environment: Callable[[int], Mapping[str, str]]
    """The variables with which a job finds it."""
    first: Callable[[int], object] = lambda _: None
    """What is made in it once it runs, where it is missing."""
    needs: tuple[str, ...] = ()
    hint: str = ""
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", DATA / self.name)

    @property
    def port(self) -> int:
        """Its port: the variable `DATIVO_NAME_PORT`, else the usual one."""
        return _port(self.name, self.usual_port)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _file(self) -> Path:
        return RUN / f"{self.name}.pid"

    def number(self) -> int | None:
        """The process that `up` started, if it runs still and is not another one that got its number."""
        try:
            number, started = self._file.read_text().split()
        except (OSError, ValueError):
            return None
        return int(number) if started == _started(int(number)) else None

    def up(self) -> bool:
        """Starts it and waits until it is ready; False where it runs already."""
        if self.number() is not None:
            return False
        assert not listens(self.port), (
            f"port {self.port} is taken by something that `just services up` did not start: stop that, "
            f"or give {self.name} another one with DATIVO_{self.name.upper().replace('-', '_')}_PORT"
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        RUN.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        recipe = self.recipe(self.folder, self.port)
        recipe.run = RUN
        process = Server(recipe).process
        self._file.write_text(f"{process.pid} {_started(process.pid)}")
        self.first(self.port)
        # It outlives this process: nobody waits for it here.
        process.returncode = 0
        return True

    def down(self) -> bool:
        """Stops what `up` started; False where that does not run."""
        number = self.number()
        if number is not None:
            end = time.monotonic() + PATIENCE
            # Postgres takes this one for "now, but in order"; to the others both are the same.
            os.killpg(number, signal.SIGINT if self.name == "postgres" else signal.SIGTERM)
            while self.number() is not None:
                if time.monotonic() > end:
                    os.killpg(number, signal.SIGKILL)
                time.sleep(0.05)
        self._file.unlink(missing_ok=True)
        return number is not None


def _started(number: int) -> str | None:
    """When a process started, in the system's own terms; None where there is none, or it ended already."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _started_by_ps(number)
    return None if fields[0] in "ZX" else fields[19]


def _started_by_ps(number: int) -> str | None:
    """The same where there is no /proc."""
    if Path("/proc/self/stat").exists():
        return None
    import subprocess

    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(number)], capture_output=True, text=True, check=False)
    return "-".join(told.stdout.split()) or None


def _nessie(folder: Path, port: int) -> Recipe:
    management = _port("nessie-management", port + 1)
    return nessie.recipe(folder, port, management, minio.Minio(SERVERS["minio"].port), BUCKET, persistent=True)


def _minio(folder: Path, port: int) -> Recipe:
    return minio.recipe(folder, port, console=_port("minio-console", port + 1))


def _nessie_environment(port: int) -> Mapping[str, str]:
    store = minio.Minio(SERVERS["minio"].port)
    return {**nessie.Nessie(port, store, BUCKET).environment, "S3_BUCKET": BUCKET}


def _azurite_environment(port: int) -> Mapping[str, str]:
    return {"AZURE_STORAGE_ACCOUNT_NAME": azurite.ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": azurite.KEY,
            "AZURE_STORAGE_CONTAINER": CONTAINER,
            "AZURE_STORAGE_ENDPOINT": azurite.Azurite(port).endpoint}  # fmt: skip


_ALL = (
    Standing("minio", 9000, _minio, lambda port: {**minio.Minio(port).environment, "S3_BUCKET": BUCKET},
             first=lambda port: minio.Minio(port).make_bucket(BUCKET)),
    Standing("nessie", 19120, _nessie, _nessie_environment, needs=("minio",),
             hint="target: {type: iceberg, catalog: nessie, branch: main}"),
    Standing("postgres", 55432, postgres.recipe, lambda port: postgres.Postgres(port).environment,
             hint="psql finds it by these variables too"),
    Standing("mariadb", 53306, mariadb.recipe, lambda port: mariadb.MariaDb(port).environment),
    Standing("azurite", 10000, azurite.recipe, _azurite_environment,
             first=lambda port: azurite.Azurite(port).make_container(CONTAINER)),
    Standing("toxiproxy", 8474, toxiproxy.recipe, lambda port: {"TOXIPROXY_URL": f"http://127.0.0.1:{port}"}),
    Standing("rest-catalog", 19181, rest_catalog.recipe, lambda _: {},
             hint=f"target: {{catalog: {{type: rest, uri: 'http://127.0.0.1:{_port('rest-catalog', 19181)}'}}}}"),
)  # fmt: skip
SERVERS = {server.name: server for server in _ALL}
USUAL = ("minio", "nessie", "postgres", "mariadb", "azurite")
