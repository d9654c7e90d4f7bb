"""The databases that are measured: Postgres and MariaDB, native processes with room to hold the tables in memory."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.environments import BENCH
from tests.services import mariadb, postgres
from tests.services.debian import libraries, unpacked
from tests.services.mariadb import MariaDb
from tests.services.postgres import Postgres
from tests.services.process import free_port, running

DRAIN = Path(__file__).with_name("rivals") / "drain.c"
# Whoever reads is measured, not the disk: both hold the tables in memory, and neither keeps a log for others.
POSTGRES_ROOM = [
    "-c",
    "shared_buffers=2GB",
    "-c",
    "max_wal_size=16GB",
    "-c",
    "wal_level=minimal",
    "-c",
    "max_wal_senders=0",
]
MARIADB_ROOM = [
    "--innodb-buffer-pool-size=2G",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--local-infile=1",
]


@dataclass(frozen=True)
class Servers:
    """What the benchmark starts, beside what is measured."""

    postgres: Postgres
    mariadb: MariaDb

    def variables(self, database: str) -> dict[str, str]:
        """The variables with which clients find a database, which has the same name on both."""
        return {
            **self.postgres.environment,
            **self.mariadb.environment,
            "PGDATABASE": database,
            "MYSQL_DATABASE": database,
            "MYSQL_PWD": self.mariadb.password,
        }


@contextmanager
def servers() -> Iterator[Servers]:
    """Both servers; their tables are kept below `.local/bench/databases` and found again by the next run."""
    folder = BENCH / "databases"
    with ExitStack() as stack:
        port = free_port()
        made = postgres.recipe(folder, port)
        stack.enter_context(running(replace(made, command=[*made.command, *POSTGRES_ROOM])))
        own = Postgres(port)
        port = free_port()
        made = mariadb.recipe(folder, port)
        stack.enter_context(running(replace(made, command=[*made.command, *MARIADB_ROOM])))
        yield Servers(own, MariaDb(port))


def drain() -> Path:
    """A client in C that reads a query's rows from MySQL or MariaDB and drops them."""
    made = BENCH / "databases" / "drain"
    if not made.exists() or made.stat().st_mtime < DRAIN.stat().st_mtime:
        made.parent.mkdir(parents=True, exist_ok=True)
        folder = unpacked("libmariadb-dev")
        found = (
            []
            if folder is None
            else [f"-I{folder}/usr/include", f"-L{libraries(folder)}", f"-Wl,-rpath,{libraries(folder)}"]
        )
        compiler = shutil.which("cc") or "cc"
        subprocess.run([compiler, "-O2", "-o", str(made), str(DRAIN), *found, "-lmariadb"], check=True)
    return made
