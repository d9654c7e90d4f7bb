"""A job that loads the table `orders` of a database through a proxy, and what its table must hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Dativo
from tests.faults.strait import Strait
from tests.project import Project
from tests.samples.databases import Database
from tests.samples.model import quoted

Row = tuple[Any, ...]
FIELDS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "name", "type": "string"},
    {"name": "amount", "type": "decimal(12,2)"},
    {"name": "updated_at", "type": "timestamp"},
    {"name": "note", "type": "string"},
]
COLUMNS = tuple(str(f["name"]) for f in FIELDS)
UNKEYED = [{k: v for k, v in f.items() if k != "primary_key"} for f in FIELDS]
LONGEST = 120
# Wide enough for a table of some thousand rows not to fit into what the system keeps of a connection.
WIDE = 1_000
UNSHARED = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]


class Orders(Project):
    """The project. `fill` makes rows, `truth` are those of the database, `found` those of the loaded table."""

    def __init__(self, root: Path, database: Database, way: Strait | None = None) -> None:
        super().__init__(root)
        self.database = database
        self.way = way
        self.environment = dict(database.environment)
        if way is not None:
            self.environment["PGPORT" if database.dialect == "postgres" else "MYSQL_PORT"] = str(way.port)
        self.asset(FIELDS, "orders")
        self.configure()
        moment = {"postgres": "timestamp(6)", "mysql": "datetime(6)"}.get(database.dialect, "timestamp")
        database.execute(
            "CREATE TABLE orders (id bigint PRIMARY KEY, name varchar(100), amount numeric(12,2), "
            f"updated_at {moment} NULL, note text);"
        )

    def change(self, *, updated: str, deleted: str) -> None:
        """Updates and deletes rows of some numbers, and inserts two others, one of them without a time."""
        for statement in (
            f"UPDATE orders SET name = 'changed', updated_at = '2025-01-01 00:00:00' WHERE id IN ({updated});",
            f"DELETE FROM orders WHERE id IN ({deleted});",
            "INSERT INTO orders VALUES (-1, 'new', 1, '2025-01-01 00:00:00', ''), (1000000, 'new', 1, NULL, '');",
        ):
            self.database.execute(statement)

    def configure(self, mode: str = "replace", cursor: str | None = None, **more: Any) -> None:
        """The job anew; `more` goes to its source."""
        table = more.pop("table", {"name": "orders"})
        target = more.pop("target", {})
        own = more.pop("incremental", {})
        source: dict[str, Any] = {"tables": [table], **more}
        if cursor is not None:
            source["incremental"] = {"strategy": "updated_at", "cursor_field": cursor, **own}
        self.job(
            "orders",
            source_connector_path=f"connectors/sources/{self.database.dialect}.yaml",
            asset_path="assets/orders.yaml",
            source=source,
            target={"write_mode": mode, **target},
        )

    def fill(self, first: int, last: int, width: int = 10, moment: str = "2024-01-01 00:00:00") -> None:
        """Rows with these ids, the last one left out, each `width` characters wide; a second lies between their changes."""
        if self.database.dialect == "postgres":
            self.database.execute(
                f"INSERT INTO orders SELECT i, 'name ' || i, i / 100.0, timestamp '{moment}' + i * interval '1 second', "
                f"repeat('x', {width}) FROM generate_series({first}, {last - 1}) i; ANALYZE orders;"
            )
        elif self.database.dialect == "mysql":
            self.database.execute(
                "INSERT INTO orders SELECT seq, concat('name ', seq), seq / 100, "
                f"timestamp '{moment}' + interval seq second, repeat('x', {width}) "
                f"FROM seq_{first}_to_{last - 1}; ANALYZE TABLE orders;"
            )
        else:
            rows = f"WITH RECURSIVE s(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM s WHERE i < {last - 1})"
            self.database.execute(
                f"{rows} INSERT INTO orders SELECT i, 'name ' || i, i / 100.0, "
                f"datetime('{moment}', i || ' seconds'), hex(zeroblob({width // 2})) FROM s;"
            )

    def truth(self, table: str = "orders") -> Counter[Row]:
        """The database's rows."""
        columns = ", ".join(COLUMNS)
        return Counter(self.database.select(f"SELECT {columns} FROM {quoted(table, self.database.dialect)}"))

    def found(self) -> Counter[Row]:
        """The loaded table's rows, as pyiceberg reads them; none where there is no table."""
        if not (self.root / ".local/state/acme/catalog.db").exists():
            return Counter()
        if not self.catalog().table_exists("default.orders"):
            return Counter()
        return Counter(self.rows("default.orders").select(COLUMNS).rows())

    def ids(self) -> list[int]:
        return sorted(row[0] for row in self.found().elements())

    def right(self) -> None:
        """A plain run gives exactly the database's rows."""
        if self.way is not None:
            self.way.calm()
        ended = self.here()
        assert ended.code == 0, ended
        assert_same(self.found(), self.truth())

    def here(self, *arguments: str) -> Ended:
        """`dativo sync … --json` in this process, which is sooner done."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.root)
            answer = Dativo(patch)("sync", "jobs/acme/orders.yaml", "--json", *arguments, code=None)
        return Ended(answer.code, answer.out, answer.err)

    def dativo(self, *arguments: str, mounted: str = "", environment: dict[str, str] | None = None) -> Ended:
        """`dativo sync … --json` as a process; with `mounted`, shell commands that mount something that only it sees."""
        command = [sys.executable, "-m", "dativo", "sync", "jobs/acme/orders.yaml", "--json", *arguments]
        if mounted:
            command = [*UNSHARED, "sh", "-ec", f'{mounted}\nexec "$@"', "sh", *command]
        variables = {**inherited(), **self.environment, **(environment or {})}
        done = subprocess.run(
            command, cwd=self.root, env=variables, capture_output=True, text=True, timeout=LONGEST, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)


class Ended:
    """How a run ended: its exit code, its receipt and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"

    @property
    def stream(self) -> dict[str, Any]:
        """What the receipt says of the job's stream."""
        return dict(json.loads(self.out)["jobs"][0]["streams"][0])

    def refused(self, *words: str) -> None:
        """It failed as a person can understand: exit code 2, one of the words, no traceback, no password."""
        text = self.out + self.err
        assert self.code == 2, self
        assert "Traceback" not in text and "does not know" not in text, self
        assert not words or any(w.lower() in text.lower() for w in words), self
        assert "PGPASSWORD=" not in text and ":dativo@" not in text, self


def assert_same(found: Counter[Row], wanted: Counter[Row]) -> None:
    """Says what differs where the rows are not the same."""
    short, over = wanted - found, found - wanted
    assert not short and not over, (
        f"{short.total()} rows lost, {over.total()} too many; lost {_some(short)}; too many {_some(over)}"
    )


def _some(rows: Counter[Row]) -> list[Row]:
    return [tuple(str(v)[:40] for v in row) for row in list(rows)[:3]]


def inherited() -> dict[str, str]:
    """The variables of a process of ours."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "POLARS_MAX_THREADS": "2"}
