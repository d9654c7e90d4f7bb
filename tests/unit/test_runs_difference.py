"""Rows held against each other: counted by hashes, compared with a plain model of multisets and keys."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from dativo.staging.difference import KEY, ROW, Difference, compare

# A key that is null, or one of a few, and one of a few values: the row's hash is made of both.
Row = tuple[int | None, int]
ROWS = st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.integers(0, 3)), max_size=12)
FEW = settings(max_examples=settings().max_examples // 4)


def hashed(row: Row) -> tuple[int, int]:
    return (1_000 * (row[0] or 0) + row[1], 2**63 + row[1])


def written(folder: Path, name: str, rows: list[Row]) -> Path:
    frame = pl.DataFrame(
        [(None if k is None else 2**64 - k, k, *hashed((k, v))) for k, v in rows],
        schema=dict.fromkeys((*KEY, *ROW), pl.UInt64),
        orient="row",
    )
    frame.write_parquet(folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def compared(before: list[Row] | None, after: list[Row] | None, examples: int = 5) -> Difference:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = [None if rows is None else written(folder, n, rows) for n, rows in (("b", before), ("a", after))]
        return compare(folder, *paths, examples=examples)


def model(before: list[Row], after: list[Row]) -> tuple[int, int, int]:
    """What is left on each side once equal rows are taken away in pairs; under one key a pair of them is a change."""
    gone, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
    changed = 0
    for key in {k for k, _ in (*gone, *new) if k is not None}:
        changed += min(sum(n for (k, _), n in side.items() if k == key) for side in (gone, new))
    return new.total() - changed, gone.total() - changed, changed


@given(before=ROWS, after=ROWS)
def test_counts_are_those_of_the_model(before: list[Row], after: list[Row]) -> None:
    found = compared(before, after)
    assert (found.added, found.removed, found.changed) == model(before, after)


@given(before=ROWS, after=ROWS)
def test_examples_are_rows_of_their_kind(before: list[Row], after: list[Row]) -> None:
    found = compared(before, after, examples=50)
    gone = {hashed(r) for r in Counter(before) - Counter(after)}
    new = {hashed(r) for r in Counter(after) - Counter(before)}
    assert set(found.added_rows) <= new and set(found.removed_rows) <= gone
    assert all(b in gone and a in new for b, a in found.changed_rows)
    keys = {h: k for k, v in (*before, *after) for h in [hashed((k, v))]}
    assert all(keys[b] == keys[a] is not None for b, a in found.changed_rows)
    for count, rows in ((found.added, found.added_rows), (found.removed, found.removed_rows)):
        assert bool(count) == bool(rows)
    assert bool(found.changed) == bool(found.changed_rows)


@given(rows=ROWS)
@FEW
def test_a_side_may_have_no_rows(rows: list[Row]) -> None:
    found = compared(None, rows)
    assert (found.added, found.removed, found.changed) == (len(rows), 0, 0)
    found = compared(rows, None)
    assert (found.added, found.removed, found.changed) == (0, len(rows), 0)


def test_no_more_examples_than_asked_for() -> None:
    found = compared([(1, n) for n in range(9)], [(None, n) for n in range(9)], examples=2)
    assert (found.added, found.removed) == (9, 9)
    assert len(found.added_rows) == 2 and len(found.removed_rows) == 1, "one row of each key"
    assert compared([(1, 1)], [(1, 2)], examples=0).changed_rows == ()
