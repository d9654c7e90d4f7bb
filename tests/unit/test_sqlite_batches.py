"""SQLite's rows are gathered few at a time: values keep all of their digits, faults their rows, batches their size."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from dativo.connectors import source as source_of
from dativo.sources.protocol import FAULT, ROW, Meter
from dativo.sources.sqlite.relation import STEP
from dativo.sources.sqlite.values import column_of, series
from tests.project import Project
from tests.unit.test_sqlite_source import database, field, job

DRAWN = random.Random(5)
FLOATS = [0.0, -0.0, 1e-4, 9.999e-5, 1e15, 9999999999999998.0, 1e16, 1e22, 5e-324, float("inf"), -float("inf")]
FLOATS += [struct.unpack("<d", DRAWN.randbytes(8))[0] for _ in range(200)]
FLOATS = [v for v in FLOATS if v == v]
COMMON = [round(DRAWN.uniform(-1e9, 1e9), 2) for _ in range(200)]


@pytest.mark.parametrize(
    "values",
    [FLOATS, COMMON, [*COMMON, None, 2**63 - 1, -(2**63), 0], [*FLOATS, None, 7], [1, None, -5], [None, None], []],
    ids=["floats", "amounts", "amounts and integers", "floats and integers", "integers", "nulls", "none"],
)
def test_numbers_become_text_as_python_writes_them(values: list[Any]) -> None:
    faults: dict[int, str] = {}
    found = series(column_of("n", "NUMERIC(12,2)", "decimal"), tuple(values), faults)
    assert found.to_list() == [None if v is None else repr(v) for v in values]
    assert not faults


@pytest.mark.parametrize("size", [7, STEP - 1, STEP + 1, 50_000])
def test_odd_values_anywhere_are_told_with_their_row(project: Project, size: int) -> None:
    count = 3 * STEP + 17
    odd = {5: b"\xff", STEP - 1: b"\0", STEP: b"\1", count - 1: b""}
    with database(project) as db:
        db.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("BEGIN")
        rows = [(i, odd.get(i, f"name {i}" if i % 3 else None)) for i in range(count)]
        db.executemany("INSERT INTO people VALUES (?, ?)", rows)
        db.execute("UPDATE people SET name = CAST(X'61FF' AS TEXT) WHERE id = ?", (2 * STEP + 3,))
        db.execute("COMMIT")
    wrong = {*odd, 2 * STEP + 3}
    fields = [field("id", "bigint"), field("name", "string")]
    job(project, fields, {"tables": [{"name": "people"}], "engine": {"options": {"batch_size": size}}})
    resolved = project.load()
    extract = source_of(resolved).read(resolved.streams[0], None, meter=Meter())
    found = extract.frame.collect()
    if extract.close is not None:
        extract.close()
    assert found["id"].to_list() == list(range(count))
    assert found[ROW].to_list() == list(range(1, count + 1))
    assert set(found.filter(found[FAULT].is_not_null())["id"].to_list()) == wrong
    expected = [None if i in wrong else value for i, value in rows]
    assert found["name"].to_list() == expected
