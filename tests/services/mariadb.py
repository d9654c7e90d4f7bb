"""MariaDB, which speaks MySQL's protocol."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.accounts import data_folder, run_as, servant
from tests.services.debian import libraries, unpacked
from tests.services.process import Recipe, Server, free_port, running

ABSENT = """MariaDB is not installed, and there are no Debian package sources to take it from.
Install version 10.11 or newer:
  Debian, Ubuntu:  apt-get update && apt-get install --no-install-recommends mariadb-server mariadb-client
  macOS:           brew install mariadb"""


@dataclass(frozen=True)
class Programs:
    """Where MariaDB's programs are, and the variables they need."""

    server: str
    client: str
    install: list[str]
    environment: dict[str, str]


def programs() -> Programs:
    """Those of the PATH, else those of Debian's package, unpacked into `.services/`."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    found = [shutil.which(name, path=path) for name in ("mariadbd", "mariadb", "mariadb-install-db")]
    if all(found):
        server, client, install = map(str, found)
        return Programs(server, client, [install], {})
    folder = unpacked("mariadb-server-core", "mariadb-client-core")
    assert folder is not None, ABSENT
    base = folder / "usr"
    environment = {"LD_LIBRARY_PATH": libraries(folder)}
    install = [str(base / "bin" / "mariadb-install-db"), f"--basedir={base}"]
    return Programs(str(base / "sbin" / "mariadbd"), str(base / "bin" / "mariadb"), install, environment)


@dataclass(frozen=True)
class MariaDb:
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
        return f"mysql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a job finds the database."""
        return {"MYSQL_HOST": self.host, "MYSQL_PORT": str(self.port), "MYSQL_USER": self.user,
                "MYSQL_PASSWORD": self.password, "MYSQL_DATABASE": self.database}  # fmt: skip

    def sql(self, text: str, database: str | None = None) -> list[list[str]]:
        """Runs statements; the rows of the answer, as text (tabs and newlines escaped with a backslash)."""
        own = programs()
        command = [own.client, "--no-defaults", "--batch", "--skip-column-names", "--skip-ssl", f"--host={self.host}",
                   f"--port={self.port}", f"--user={self.user}", database or self.database]  # fmt: skip
        environment = {**os.environ, **own.environment, "MYSQL_PWD": self.password}
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def make_database(self, name: str) -> str:
        """Makes an empty database; gives its name."""
        self.sql(f"CREATE DATABASE `{name}`")
        return name


def recipe(folder: Path, port: int) -> Recipe:
    """Makes the data folder where there is none yet."""
    owner, own, user = MariaDb(port), programs(), servant("mysql")
    data = data_folder(folder / "mariadb", user)
    if not (data / "mysql").is_dir():
        _make(data, own, user)
        grants = f"""CREATE DATABASE IF NOT EXISTS {owner.database};
CREATE USER IF NOT EXISTS '{owner.user}'@'%' IDENTIFIED BY '{owner.password}';
GRANT ALL ON *.* TO '{owner.user}'@'%' WITH GRANT OPTION;
"""
        (data / "first.sql").write_text(grants)

    def ready() -> bool:
        check = [own.client, "--no-defaults", "--skip-ssl", f"--host={owner.host}", f"--port={port}",
                 f"--user={owner.user}", owner.database, "-e", "SELECT 1"]  # fmt: skip
        environment = {**os.environ, **own.environment, "MYSQL_PWD": owner.password}
        return subprocess.run(check, env=environment, capture_output=True, check=False).returncode == 0

    return Recipe(
        name="mariadb",
        folder=folder,
        command=[
            own.server, "--no-defaults", f"--datadir={data}", f"--port={port}", f"--bind-address={owner.host}",
            # Relative to the data folder: the path of a socket must not be longer than 107 bytes.
            "--socket=my.sock", f"--pid-file={data}/my.pid", f"--init-file={data}/first.sql", *_share(own),
            "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
            "--server-id=1", "--innodb-buffer-pool-size=64M", "--character-set-server=utf8mb4",
        ],
        ready=ready,
        environment=own.environment,
        user=user,
        data=data,
    )  # fmt: skip


def _share(own: Programs) -> list[str]:
    """Where unpacked programs find their messages."""
    return own.install[1:]


def _make(data: Path, own: Programs, user: str | None) -> None:
    command = [*own.install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
               "--skip-test-db", "--skip-name-resolve"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=data, check=False,
                          env={**os.environ, **own.environment}, **run_as(user))  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(data)
        raise AssertionError(f"MariaDB's data folder could not be made:\n{done.stdout}{done.stderr}")


@contextmanager
def mariadb(folder: Path) -> Iterator[MariaDb]:
    """A server of the caller's own with one database."""
    port = free_port()
    with running(recipe(folder, port)) as server:
        yield MariaDb(port, process=server)
