"""Postgres: 15 where the machine has it, else what a wheel of PyPI brings (16)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.accounts import data_folder, run_as, servant
from tests.services.process import Recipe, Server, free_port, running
from tests.services.programs import wheel

WHEEL = "pgserver==0.1.4"
OLDEST = 15
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = logical
max_replication_slots = 10
max_wal_senders = 10
fsync = off
"""


def programs() -> Path:
    """The folder with `initdb`, `postgres` and `psql`."""
    on_path = shutil.which("postgres")
    found = [Path(on_path).resolve().parent] if on_path is not None else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in found:
        if all((folder / name).exists() for name in ("initdb", "postgres", "psql")) and _version(folder) >= OLDEST:
            return folder
    return wheel(WHEEL) / "pgserver" / "pginstall" / "bin"


def _version(folder: Path) -> int:
    told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[2].split(".")[0])


@dataclass(frozen=True)
class Postgres:
    """Where a database server answers, and its owner."""

    port: int
    user: str = "dativo"
    password: str = "dativo"
    database: str = "dativo"
    process: Server | None = None
    """The server, for whoever started it; None where it is shared with other tests, which must not lose it."""

    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which clients find the database."""
        return {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password,
                "PGDATABASE": self.database}  # fmt: skip

    def sql(self, text: str, database: str | None = None) -> list[list[str]]:
        """Runs statements; the rows of the answer, as text."""
        separator = "\x1f"
        command = [str(programs() / "psql"), "-X", "-q", "-A", "-t", "-F", separator, "-v", "ON_ERROR_STOP=1"]
        environment = {**os.environ, **self.environment, "PGDATABASE": database or self.database}
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return [line.split(separator) for line in done.stdout.splitlines()]

    def make_database(self, name: str) -> str:
        """Makes an empty database; gives its name."""
        self.sql(f'CREATE DATABASE "{name}"')
        return name


def recipe(folder: Path, port: int) -> Recipe:
    """Makes the cluster in `folder` where there is none yet."""
    owner, user = Postgres(port), servant("postgres")
    bin_ = programs()
    data = data_folder(folder / "postgres", user)
    if not (data / "PG_VERSION").exists():
        _make(data, owner, user, bin_)
    check = [str(bin_ / "pg_isready"), "-q", "-h", owner.host, "-p", str(port), "-U", owner.user]
    return Recipe(
        name="postgres",
        folder=folder,
        command=[str(bin_ / "postgres"), "-D", str(data), "-p", str(port)],
        ready=lambda: subprocess.run(check, check=False).returncode == 0,
        user=user,
        data=data,
        # A fast shutdown: its processes are in groups of their own, and end with the first one.
        stop_signal=signal.SIGINT,
    )


def _make(data: Path, owner: Postgres, user: str | None, bin_: Path) -> None:
    secret = data.with_name(f"{data.name}.password")
    secret.write_text(owner.password)
    secret.chmod(0o644)
    command = [str(bin_ / "initdb"), "-D", str(data), "-U", owner.user, "--pwfile", str(secret), "-E", "UTF8"]
    command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--locale=C", "--no-sync"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=data, **run_as(user))
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS)
        alone = [str(bin_ / "postgres"), "--single", "-D", str(data), "postgres"]
        subprocess.run(alone, input=f"CREATE DATABASE {owner.database}\n", check=True, capture_output=True, text=True,
                       cwd=data, **run_as(user))  # fmt: skip
    except BaseException:
        shutil.rmtree(data)
        raise
    finally:
        secret.unlink()


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A server of the caller's own with one database."""
    port = free_port()
    made = recipe(folder, port)
    with running(made) as server:
        yield Postgres(port, process=server)
