"""Tables of MySQL's protocol that several connections read: the same rows in the same order, of one moment, and what a
person is told where that cannot be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import polars as pl
import pymysql
import pytest

from dativo.connectors import source as source_of
from dativo.errors import DativoError, Interrupted
from dativo.sources.protocol import ROW, Meter
from tests.conformance.test_mysql_source import INCREMENTAL, KEYS, Shop, field, kept
from tests.project import Project
from tests.services.mariadb import MariaDb

pytestmark = pytest.mark.server
BY_TWO = {"engine": {"options": {"connections": 2}}}


@pytest.fixture
def shop(project: Project, mariadb_server: MariaDb, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A database whose tables are large from 200 rows on."""
    monkeypatch.setattr("dativo.sources.mysql.chunks._FEWEST", 100)
    monkeypatch.setattr("dativo.sources.mysql.chunks.CHUNK_BYTES", 1)
    made = Shop(project, mariadb_server)
    yield made
    made.server.sql(f"SET lock_wait_timeout = 10; DROP DATABASE `{made.database}`")


@contextmanager
def linked(shop: Shop, **more: Any) -> Iterator[Any]:
    account = {"user": shop.server.user, "password": shop.server.password, **more}
    link = pymysql.connect(
        host=shop.server.host, port=shop.server.port, database=shop.database, autocommit=True, **account
    )
    with closing(link), link.cursor() as cursor:
        yield cursor


def people(shop: Shop, rows: int = 1000, key: str = "id INT PRIMARY KEY", values: str = "seq") -> None:
    shop.sql(
        f"CREATE TABLE people ({key}, at DATETIME(6)) ENGINE = InnoDB",
        f"INSERT INTO people SELECT {values}, '2024-01-01' FROM seq_1_to_{rows}",
    )
    shop.job([field("id", "bigint"), field("at", "timestamp")], {**BY_TWO, **INCREMENTAL})


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("dativo-mysql", "dativo-ahead"))]


@pytest.mark.parametrize(("key", "values"), KEYS)
def test_several_connections_read_the_same_rows_in_the_same_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, key: str, values: str
) -> None:
    monkeypatch.setattr("dativo.sources.mysql.pieces.PIECE_ROWS", 300)
    people(shop, 1030, key, values)
    extract = shop.extract()
    staged, read, rows = kept(extract.pieces, [])
    assert read == 1030
    assert [s.rows for s in staged] == [300, 300, 300, 130]
    assert rows.drop(ROW).equals(extract.frame.collect().drop(ROW))
    extract.close()
    assert [n for n in extract.notes if "read by 2 connections in one picture, made by a lock of" in n]
    # What several connections read is known again, by several or by one.
    for source in (BY_TWO, {}):
        shop.job([field("id", "bigint"), field("at", "timestamp")], {**source, **INCREMENTAL})
        extract = shop.extract()
        assert kept(extract.pieces, staged)[1] == 0
        extract.close()
    extract = shop.extract()
    assert kept(extract.pieces, staged[:2])[1] == 430
    extract.close()
    assert threads() == []


@pytest.mark.parametrize("rows", [200, 201, 300])
def test_a_table_that_ends_with_a_chunk_ends_there(shop: Shop, rows: int) -> None:
    people(shop, rows)
    extract = shop.extract()
    _, read, found = kept(extract.pieces, [])
    extract.close()
    assert (read, found["id"].to_list()) == (rows, list(range(1, rows + 1)))


def test_both_connections_read(shop: Shop) -> None:
    name = f"people_{uuid4().hex[:8]}"
    shop.sql(f"CREATE TABLE {name} (id INT PRIMARY KEY)", f"INSERT INTO {name} SELECT seq FROM seq_1_to_20000")
    shop.job([field("id", "bigint")], {"tables": [{"name": name}], **BY_TWO})
    shop.sql("SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON")
    try:
        assert shop.sync().loaded == 20000
    finally:
        shop.sql("SET GLOBAL general_log = OFF")
    executed = shop.sql(
        "SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Execute' AND argument LIKE "
        f"'%{name}%' AND argument NOT LIKE '%OFFSET%' GROUP BY thread_id ORDER BY 1"
    )
    assert len(executed) == 2
    # The last chunk finds that the table has ended.
    assert sum(n for (n,) in executed) == 201


class Transfers:
    """Moves amounts between accounts as long as it runs, several rows a transaction; how long the slowest took."""

    def __init__(self, shop: Shop, rows: int) -> None:
        self.shop, self.rows = shop, rows
        self.stop = threading.Event()
        self.done, self.slowest = 0, 0.0
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with linked(self.shop) as cursor:
            while not self.stop.is_set():
                one, other = self.done * 7919 % self.rows + 1, self.done * 104729 % self.rows + 1
                begun = time.perf_counter()
                cursor.execute("BEGIN")
                cursor.execute(f"UPDATE people SET amount = amount - 5 WHERE id IN ({one}, -{one})")
                cursor.execute(f"UPDATE people SET amount = amount + 5 WHERE id IN ({other}, -{other})")
                # A row goes and comes elsewhere, so that the number of rows stays what it is.
                cursor.execute(f"UPDATE people SET id = -id WHERE id = {self.done * 31 % self.rows + 1}")
                cursor.execute("COMMIT")
                self.slowest = max(self.slowest, time.perf_counter() - begun)
                self.done += 1

    def __enter__(self) -> Transfers:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def test_what_several_connections_read_is_of_one_moment(shop: Shop) -> None:
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, amount INT) ENGINE = InnoDB",
             "INSERT INTO people SELECT seq, 100 FROM seq_1_to_5000")  # fmt: skip
    shop.job([field("id", "bigint"), field("amount", "bigint")], BY_TWO)
    before = 0
    with Transfers(shop, 5000) as transfers:
        for _ in range(10):
            extract = shop.extract()
            _, read, rows = kept(extract.pieces, [])
            # The main connection sees the same as those that read.
            assert extract.frame.select("id", "amount").collect().equals(rows.select("id", "amount"))
            extract.close()
            assert (read, rows["amount"].sum(), rows["id"].abs().n_unique()) == (5000, 500_000, 5000)
            assert "in one picture" in extract.notes[-1], extract.notes
            assert transfers.done > before
            before = transfers.done
    assert transfers.slowest < 5


def test_the_lock_is_gone_before_the_first_row_comes(shop: Shop) -> None:
    people(shop)
    extract = shop.extract()
    pieces = iter(extract.pieces([]))
    frames = next(pieces).frames()
    first = next(frames)
    shop.sql("SET lock_wait_timeout = 1, innodb_lock_wait_timeout = 1", "INSERT INTO people VALUES (0, NULL)")
    assert first["id"][0] == 1
    assert sum(f.height for f in frames) + first.height == 1000
    extract.close()


def test_only_large_tables_are_read_by_several(shop: Shop) -> None:
    people(shop, 100)
    receipt = shop.sync()
    assert receipt.loaded == 100
    assert any("by one connection in one snapshot: no table" in w for w in receipt.warnings), receipt.warnings
    shop.sql("CREATE TABLE more (id INT, at DATETIME) ENGINE = InnoDB",
             "INSERT INTO more SELECT seq, NULL FROM seq_1_to_700",
             "INSERT INTO people SELECT seq, NULL FROM seq_101_to_900")  # fmt: skip
    tables = {"tables": [{"name": "more"}, {"name": "people", "where": "id < 800"}]}
    shop.job([field("id", "bigint"), field("at", "timestamp")], {**BY_TWO, **tables})
    receipt = shop.sync()
    assert receipt.loaded == 700 + 799, receipt.error
    assert any(w.startswith("people: read by 2 connections") for w in receipt.warnings), receipt.warnings


def test_without_the_right_to_lock_one_connection_reads(shop: Shop) -> None:
    name = f"u{uuid4().hex[:8]}"
    people(shop)
    shop.sql(f"CREATE USER {name}@'%' IDENTIFIED BY 'pw'", f"GRANT SELECT ON `{shop.database}`.* TO {name}@'%'")
    connection = {"host": shop.server.host, "port": shop.server.port, "user": name, "password": "pw",
                  "database": shop.database}  # fmt: skip
    shop.job([field("id", "bigint"), field("at", "timestamp")], {**BY_TWO, "connection": connection})
    receipt = shop.sync()
    assert receipt.loaded == 1000, receipt.error
    told = [w for w in receipt.warnings if "by one connection in one snapshot, not by 2" in w]
    assert "GRANT LOCK TABLES" in told[0]
    # Nor where the server has no connections left for it: one reads, and three more are wanted.
    shop.sql(f"GRANT LOCK TABLES ON *.* TO {name}@'%' WITH MAX_USER_CONNECTIONS 2")
    receipt = shop.sync()
    assert receipt.loaded == 1000, receipt.error
    assert any("by one connection in one snapshot, not by 2" in w for w in receipt.warnings), receipt.warnings
    shop.sql(f"DROP USER {name}@'%'")


def test_a_writer_that_does_not_end_is_not_waited_for_long(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.sources.mysql.picture.TRIES", 2)
    people(shop)
    with linked(shop) as writer:
        writer.execute("BEGIN")
        writer.execute("UPDATE people SET id = 5000 WHERE id = 1000")
        receipt = shop.sync()
        writer.execute("ROLLBACK")
    assert receipt.loaded == 1000, receipt.error
    assert any("a transaction that wrote did not end" in w for w in receipt.warnings), receipt.warnings
    assert 5000 not in shop.project.rows()["id"]


def test_a_transaction_that_writes_by_a_cascade_is_waited_for(shop: Shop) -> None:
    people(shop)
    shop.sql(
        "CREATE TABLE owners (id INT PRIMARY KEY) ENGINE = InnoDB",
        "INSERT INTO owners VALUES (1)",
        "ALTER TABLE people ADD owner INT NOT NULL DEFAULT 1, ADD FOREIGN KEY (owner) REFERENCES owners (id) "
        "ON DELETE CASCADE",
    )
    with linked(shop) as writer:
        writer.execute("BEGIN")
        writer.execute("DELETE FROM owners")
        threading.Timer(1.5, writer.execute, ["COMMIT"]).start()
        extract = shop.extract()
        _, read, _ = kept(extract.pieces, [])
        extract.close()
    assert "in one picture" in extract.notes[-1], extract.notes
    assert read == 0


def test_a_connection_that_is_killed_ends_the_run_and_the_others(shop: Shop) -> None:
    people(shop, 20000)
    extract = shop.extract()
    pieces: Any = iter(extract.pieces([]))
    frames = next(pieces).frames()
    next(frames)
    others = shop.sql(
        f"SELECT id FROM information_schema.processlist WHERE db = '{shop.database}' AND id <> CONNECTION_ID() ORDER BY id"
    )
    # The first asks, the others read.
    assert len(others) == 3
    shop.sql(f"KILL CONNECTION {others[-1][0]}")
    with pytest.raises(DativoError, match="lost"):
        for _ in frames:
            pass
    pieces.close()
    extract.close()
    assert threads() == []


def test_a_reading_that_is_stopped_or_left_ends_its_connections(shop: Shop) -> None:
    people(shop, 20000)
    for stop in (False, True):
        meter = Meter()
        extract = shop.extract(meter)
        pieces: Any = iter(extract.pieces([]))
        frames = next(pieces).frames()
        next(frames)
        if stop:
            meter.stop.set()
            with pytest.raises(Interrupted):
                for _ in frames:
                    pass
        frames.close()
        pieces.close()
        if not stop:
            assert extract.frame.select(pl.len()).collect().item() == 20000
        extract.close()
        assert threads() == []


def test_rows_larger_than_the_statistics_know_are_held_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.sources.mysql.chunks.HELD_BYTES", 1 << 20)
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, t LONGTEXT) ENGINE = InnoDB",
             "INSERT INTO people SELECT seq, REPEAT('x', 100000) FROM seq_1_to_1000")  # fmt: skip
    shop.job([field("id", "bigint"), field("t", "string")], BY_TWO)
    source: Any = source_of(shop.project.load())
    extract = source.read(source.job.streams[0], None, meter=Meter())
    _, read, rows = kept(extract.pieces, [])
    extract.close()
    assert (read, rows["t"].str.len_bytes().sum()) == (1000, 100_000_000)
