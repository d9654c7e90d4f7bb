"""A large table in pieces: what is read again after a reading that did not come to its end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial

import polars as pl
import pytest

from dativo.sources.postgres import pieces as module
from dativo.sources.protocol import Extract, Staged
from tests.postgres_bench import PostgresBench
from tests.project import Project
from tests.services.postgres import Postgres

pytestmark = pytest.mark.server

ROWS = 4_000


@pytest.fixture
def bench(project: Project, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> PostgresBench:
    # Pieces of 8 pages, so that a small table has several.
    monkeypatch.setattr(module, "PIECE_BYTES", 8 * 8192)
    made = PostgresBench(project, postgres_server)
    made.sql(
        "CREATE TABLE people (id int PRIMARY KEY, name text) WITH (fillfactor = 100, autovacuum_enabled = off);"
        f"INSERT INTO people SELECT i, 'somebody ' || i FROM generate_series(1, {ROWS}) i"
    )
    made.job("people")
    return made


@pytest.fixture
def opened() -> Iterator[list[Extract]]:
    made: list[Extract] = []
    yield made
    for extract in made:
        extract.close()


def given(frames: list[pl.DataFrame]) -> Generator[pl.DataFrame, None, None]:
    yield from frames


def read(
    bench: PostgresBench, opened: list[Extract], staged: list[Staged]
) -> tuple[list[str], list[Staged], list[int]]:
    """What was read, what there is to be staged, and the ids of what was read."""
    extract = bench.read()
    opened.append(extract)
    assert extract.pieces is not None
    names, kept, ids = [], [], []
    for piece in extract.pieces(staged):
        if isinstance(piece, Staged):
            kept.append(piece)
            continue
        frame = pl.concat([pl.DataFrame(schema=extract.frame.collect_schema()), *piece.frames()])
        names.append(piece.name)
        ids += frame["id"].to_list()
        kept.append(Staged(piece.name, frame.height, piece.proof(), partial(given, [frame])))
    return names, kept, ids


def test_pieces_are_the_whole_table_in_order(bench: PostgresBench, opened: list[Extract]) -> None:
    names, kept, ids = read(bench, opened, [])
    assert len(names) > 2
    assert names[0].startswith("public.people pages 0-")
    assert ids == list(range(1, ROWS + 1)) == bench.ids()
    assert sum(s.rows for s in kept) == ROWS


def test_nothing_is_read_again_where_nothing_changed(bench: PostgresBench, opened: list[Extract]) -> None:
    names, kept, _ = read(bench, opened, [])
    again, same, ids = read(bench, opened, kept)
    assert (again, ids) == ([], [])
    assert same == kept
    part, whole, _ = read(bench, opened, kept[:2])
    assert part == names[2:]
    assert [s.name for s in whole] == names


CHANGES: dict[str, tuple[str, Callable[[int], bool]]] = {
    "an update": ("UPDATE people SET name = 'x' WHERE id = 1", lambda i: i == 0),
    "a delete": ("DELETE FROM people WHERE id = 1", lambda i: i == 0),
    "an insert": ("INSERT INTO people VALUES (0, 'new')", lambda i: False),
    "a vacuum": ("VACUUM FREEZE people", lambda i: False),
    "a row that moves to its end": ("BEGIN; DELETE FROM people WHERE id = 1; INSERT INTO people VALUES (1, 'back'); COMMIT",
                                    lambda i: i == 0),
    "an insert into room that a vacuum made": ("DELETE FROM people WHERE id = 1; VACUUM people; INSERT INTO people "
                                               "VALUES (1, 'somebody 1')", lambda i: i == 0),
    "a savepoint": ("BEGIN; SAVEPOINT a; UPDATE people SET name = 'x' WHERE id = 1; RELEASE a; COMMIT", lambda i: i == 0),
    "a change that was taken back": ("BEGIN; UPDATE people SET name = 'x'; ROLLBACK", lambda i: False),
    "a rewritten table": ("VACUUM FULL people", lambda i: True),
    "a truncated table": ("TRUNCATE people", lambda i: True),
    "a column made anew": ("ALTER TABLE people DROP name; ALTER TABLE people ADD name text DEFAULT 'n'", lambda i: True),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_only_pieces_that_changed_are_read_again(bench: PostgresBench, opened: list[Extract], change: str) -> None:
    names, kept, _ = read(bench, opened, [])
    opened.pop().close()
    statements, changed = CHANGES[change]
    # One statement at a time: what stands together is one transaction, which VACUUM must not be in.
    for statement in statements.split("; ") if "VACUUM" in statements else [statements]:
        bench.sql(statement)
    again, whole, ids = read(bench, opened, kept)
    there = {int(row[0]) for row in bench.sql("SELECT id FROM people")}
    # The last piece is where new rows go.
    stale = {name for i, name in enumerate(names[:-1]) if changed(i)} if there else set()
    assert set(again) & set(names[:-1]) == stale
    assert sum(s.rows for s in whole) == len(there)
    assert set(ids) <= there


def test_a_table_that_grows_is_read_from_its_last_page_on(bench: PostgresBench, opened: list[Extract]) -> None:
    names, kept, _ = read(bench, opened, [])
    bench.sql(f"INSERT INTO people SELECT i, 'more' FROM generate_series({ROWS + 1}, {ROWS * 2}) i")
    again, whole, ids = read(bench, opened, kept)
    assert not set(names[:-1]) & set(again)
    assert sum(s.rows for s in whole) == ROWS * 2
    assert set(range(ROWS + 1, ROWS * 2 + 1)) <= set(ids)


def test_another_filter_or_database_makes_all_pieces_stale(bench: PostgresBench, opened: list[Extract]) -> None:
    names, kept, _ = read(bench, opened, [])
    bench.job({"name": "people", "where": "id > 0"})
    again, _, _ = read(bench, opened, kept)
    assert again == names


def test_a_run_that_dies_is_gone_on_with(bench: PostgresBench, monkeypatch: pytest.MonkeyPatch) -> None:
    from dativo.errors import SourceError
    from dativo.sources.postgres import reading

    bench.project.asset([{"name": "id", "type": "integer", "required": True, "primary_key": True}, {"name": "name"}])
    real, calls = reading.Reading._query, []

    def failing(self: reading.Reading, *args: object, **more: object) -> object:
        calls.append(args)
        if len(calls) > 3:
            raise SourceError("the server went away")
        return real(self, *args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(reading.Reading, "_query", failing)
        assert bench.project.sync().exit_code == 2
    bench.sql("UPDATE people SET name = 'last' WHERE id = 1")
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert any("were kept from a run" in w for w in receipt.streams[0].warnings)
    rows = bench.project.rows().sort("id")
    assert rows["id"].to_list() == list(range(1, ROWS + 1))
    assert rows.filter(pl.col("id") == 1)["name"].to_list() == ["last"]
