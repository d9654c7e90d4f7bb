"""Whole databases into Iceberg: every table and view of the sample, compared cell by cell with what the database's own
driver reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.project import Project
from tests.samples.databases import Database, contract, new_database
from tests.samples.model import DIALECTS, Column, Dialect, Sample
from tests.samples.rental import ODD, VIEWS, samples, script

SERVERS = {"postgres": "postgres_server", "mysql": "mariadb_server"}
VIEW_COLUMNS = {
    "film_list": (
        Column("film_id", "int"), Column("title", "text"), Column("category", "name"), Column("rental_rate", "money")
    ),
    "sales": (Column("rental_id", "big"), Column("payments", "big")),
}  # fmt: skip


@pytest.fixture(params=[pytest.param(d, marks=[pytest.mark.server] if d in SERVERS else []) for d in DIALECTS])
def rental(request: pytest.FixtureRequest, project: Project, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The sample in a database of its own, with a job `rental` that loads every table and view of it."""
    dialect: Dialect = request.param
    server = request.getfixturevalue(SERVERS[dialect]) if dialect in SERVERS else None
    database = new_database(dialect, project.root, server)
    database.execute(script(dialect))
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    everything = {table_of(s): s for s in tables()}
    for name, sample in everything.items():
        project.asset(contract(sample, name), name)
    project.job(
        "rental",
        source_connector_path=f"connectors/sources/{dialect}.yaml",
        asset_path=None,
        asset_paths=[f"assets/{name}.yaml" for name in everything],
        source={"tables": [{"name": s.name, "object": name} for name, s in everything.items()]},
    )
    return database


def tables() -> list[Sample]:
    """The tables and the views."""
    views = [Sample(name, VIEW_COLUMNS[name], VIEW_COLUMNS[name][0].name.split(), ()) for name in VIEWS]  # type: ignore[arg-type]
    return [*samples(), *views]


def table_of(sample: Sample) -> str:
    return "odd_names" if sample.name == ODD else sample.name


def by_key(rows: list[tuple[Any, ...]], sample: Sample) -> dict[Any, tuple[Any, ...]]:
    positions = [n for n, c in enumerate(sample.columns) if c.name in sample.key]
    found = {tuple(row[p] for p in positions): row for row in rows}
    assert len(found) == len(rows)
    return found


def loaded(project: Project, sample: Sample) -> dict[Any, tuple[Any, ...]]:
    return by_key(project.rows(f"default.{table_of(sample)}").rows(), sample)


def compare(project: Project, database: Database) -> None:
    """Every cell of every table."""
    for sample in tables():
        truth = by_key(database.rows(sample.name, sample.columns), sample)
        found = loaded(project, sample)
        assert found.keys() == truth.keys(), sample.name
        for key, row in truth.items():
            for column, cell, expected in zip(sample.columns, found[key], row, strict=True):
                assert (cell, type(cell)) == (expected, type(expected)), (sample.name, key, column)


def test_every_cell_of_every_table_arrives_as_it_is(rental: Database, project: Project) -> None:
    receipt = project.sync("rental")
    assert receipt.exit_code == 0, receipt
    assert [s.stream for s in receipt.streams if s.rejected] == []
    compare(project, rental)


def test_the_sample_is_the_same_whenever_it_is_made() -> None:
    for dialect in DIALECTS:
        assert script(dialect) == script(dialect)
    assert len(samples()) >= 15


CHANGES: dict[str, Callable[[str], str]] = {
    "changed": lambda q: "UPDATE film SET title = 'other' WHERE id <= 20",
    "new": lambda q: f"INSERT INTO {q}language{q} VALUES (9, 'Íslenska', 'is')",
    "gone": lambda q: "DELETE FROM payment WHERE rental_id < 500",
}


def test_a_second_full_load_holds_what_the_database_holds_then(rental: Database, project: Project) -> None:
    assert project.sync("rental").exit_code == 0
    quote = "`" if rental.dialect == "mysql" else '"'
    for change in CHANGES.values():
        rental.execute(change(quote) + ";")
    assert project.sync("rental").exit_code == 0
    compare(project, rental)
