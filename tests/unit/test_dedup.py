"""What a second run does: which rows are loaded already, against a model of plain dictionaries and counters."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dativo import Receipt
from dativo.config.asset import Field
from dativo.staging.identity import HIGH, LOW, content, identity
from tests.project import Project

Row = tuple[Any, ...]


def write(project: Project, name: str, header: str, rows: list[Row]) -> None:
    """A CSV file; None is an empty field, text is quoted, so that an empty text is one."""
    stream = io.StringIO()
    stream.write(header + "\n")
    for row in rows:
        stream.write(",".join("" if v is None else '"' + str(v).replace('"', '""') + '"' for v in row) + "\n")
    path = project.write(f"data/{name}.csv", stream.getvalue())
    # A time of its own for each writing, so that no change goes unseen however fast the test is.
    write.clock += 1_000_000_000  # type: ignore[attr-defined]
    os.utime(path, ns=(write.clock, write.clock))  # type: ignore[attr-defined]


write.clock = 1_700_000_000_000_000_000  # type: ignore[attr-defined]


def loaded(receipt: Receipt) -> tuple[int, int, int]:
    stream = receipt.streams[0]
    assert stream.extracted == stream.loaded + stream.rejected + stream.deduplicated, stream.error
    return stream.extracted, stream.loaded, stream.deduplicated


def table(project: Project) -> list[Row]:
    return sorted(project.rows().rows(), key=repr)


def setup(
    project: Project, key: tuple[str, ...] = (), cursor: str | None = None, mode: str = "append", **more: Any
) -> None:
    fields = [
        {"name": "id", "type": "integer", "primary_key": "id" in key},
        {"name": "part", "primary_key": "part" in key, "null_values": []},
        {"name": "at", "type": "date"},
        {"name": "text", "null_values": []},
    ]
    project.asset(fields)
    incremental = {"strategy": "file_modified_time", **({"cursor_field": cursor} if cursor else {})}
    source = {"files": [{"path": "data/*.csv"}], "incremental": incremental}
    project.job(source=source, target={"write_mode": mode}, **more)


HEADER = "id,part,at,text"


# -- one rule after the other ------------------------------------------------------------------------------------------


def test_with_a_key_and_a_cursor_only_new_versions_are_added(project: Project) -> None:
    setup(project, ("id",), "at")
    write(project, "a", HEADER, [(1, "x", "2024-01-01", "one"), (2, "x", "2024-01-01", "two")])
    assert loaded(project.sync()) == (2, 2, 0)
    write(
        project,
        "a",
        HEADER,
        [(1, "x", "2024-01-01", "changed, not newer"), (2, "x", "2024-01-02", "newer"), (3, "x", None, "")],
    )
    assert loaded(project.sync()) == (3, 2, 1)
    assert [(r[0], str(r[2]), r[3]) for r in table(project)] == [
        (1, "2024-01-01", "one"), (2, "2024-01-01", "two"), (2, "2024-01-02", "newer"), (3, "None", ""),
    ]  # fmt: skip


def test_rows_without_a_cursor_value_are_compared_as_a_whole(project: Project) -> None:
    setup(project, ("id",), "at")
    write(project, "a", HEADER, [(1, "x", None, "one"), (1, "x", None, "two"), (1, "x", None, "one")])
    assert loaded(project.sync()) == (3, 2, 1)
    write(project, "a", HEADER, [(1, "x", None, "two"), (1, "x", None, "three")])
    assert loaded(project.sync()) == (2, 1, 1)
    assert sorted(r[3] for r in table(project)) == ["one", "three", "two"]


def test_with_a_key_and_no_cursor_equal_rows_are_one(project: Project) -> None:
    setup(project, ("id",))
    write(project, "a", HEADER, [(1, "x", None, "one"), (1, "x", None, "one"), (1, "x", None, "two")])
    assert loaded(project.sync()) == (3, 2, 1)
    write(project, "b", HEADER, [(1, "x", None, "two"), (1, "y", None, "two")])
    assert loaded(project.sync()) == (2, 1, 1)


def test_without_a_key_equal_rows_are_counted(project: Project) -> None:
    setup(project)
    row: Row = (1, "x", None, "one")
    write(project, "a", HEADER, [row, row, (2, "x", None, "two")])
    assert loaded(project.sync()) == (3, 3, 0)
    write(project, "a", HEADER, [row, row, row, (2, "x", None, "two")])
    assert loaded(project.sync()) == (4, 1, 3)
    assert Counter(r[0] for r in table(project)) == {1: 3, 2: 1}
    write(project, "b", HEADER, [row])
    assert loaded(project.sync()) == (1, 0, 1)


def test_replace_takes_the_tables_rows_out_and_the_key_still_counts(project: Project) -> None:
    setup(project, ("id",), "at", mode="replace")
    write(project, "a", HEADER, [(1, "x", "2024-01-01", "one"), (1, "x", "2024-01-01", "again")])
    assert loaded(project.sync()) == (2, 1, 1)
    write(project, "a", HEADER, [(1, "x", "2024-01-01", "other")])
    assert loaded(project.sync()) == (1, 1, 0)
    assert [r[3] for r in table(project)] == ["other"]


def test_replace_without_a_key_keeps_equal_rows(project: Project) -> None:
    setup(project, mode="replace")
    write(project, "a", HEADER, [(1, "x", None, "one")] * 3)
    assert loaded(project.sync()) == (3, 3, 0)


def test_null_an_empty_text_and_the_word_null_are_three_values(project: Project) -> None:
    setup(project)
    rows: list[Row] = [
        (1, None, None, None),
        (1, "", None, None),
        (1, "null", None, None),
        (1, None, None, "null"),
        (1, "", None, ""),
    ]
    write(project, "a", HEADER, rows)
    assert loaded(project.sync()) == (5, 5, 0)
    write(project, "a", HEADER, [*rows, (1, "", None, "null"), (1, None, None, "")])
    assert loaded(project.sync()) == (7, 2, 5)


def test_keys_of_several_columns_never_run_together(project: Project) -> None:
    project.asset([{"name": n, "primary_key": True, "null_values": []} for n in ("a", "b")])
    project.job(target={"write_mode": "append"})
    rows: list[Row] = [
        ("a", "bc"),
        ("ab", "c"),
        ("1:", "x"),
        ("1", ":x"),
        ("\x1eb\x1f1:c", "d"),
        ("", "a\x1eb\x1f"),
        ("a", "b\x1eb\x1f"),
    ]
    write(project, "people", "a,b", rows)
    assert loaded(project.sync()) == (7, 7, 0)
    write(project, "people", "a,b", [*rows, ("abc", "")])
    assert loaded(project.sync()) == (8, 1, 7)


def test_a_row_keeps_its_identity_when_the_contract_gets_a_column_or_another_order(project: Project) -> None:
    setup(project)
    write(project, "a", HEADER, [(1, "x", None, "one")])
    assert project.sync().loaded == 1
    fields = [{"name": n, "null_values": []} for n in ("more", "text", "part")]
    project.asset([*fields, {"name": "at", "type": "date"}, {"name": "id", "type": "integer"}])
    write(project, "a", HEADER, [(1, "x", None, "one"), (2, "x", None, "two")])
    assert loaded(project.sync()) == (2, 1, 1)


# -- rows with violations in warn mode ---------------------------------------------------------------------------------


def test_in_warn_mode_rows_with_violations_are_not_loaded_again(project: Project) -> None:
    setup(project, ("id",), "at", schema_validation_mode="warn")
    rows: list[Row] = [
        (1, "x", "2024-01-01", "one"),
        (2, "x", "soon", "two"),
        ("z", "x", "2024-01-01", "three"),
        ("y", "x", "2024-01-01", "four"),
    ]
    write(project, "a", HEADER, rows)
    assert loaded(project.sync()) == (4, 4, 0)
    write(project, "a", HEADER, [*rows, (5, "x", "2024-01-01", "five")])
    assert loaded(project.sync()) == (5, 1, 4)
    assert sorted(r[3] for r in table(project)) == ["five", "four", "one", "three", "two"]


def test_rows_without_a_key_are_counted_and_never_taken_for_one(project: Project) -> None:
    setup(project, ("id",), "at", schema_validation_mode="warn")
    row: Row = (None, "x", "2024-01-01", "one")
    write(project, "a", HEADER, [row, row, (None, "x", "2024-01-01", "two")])
    assert loaded(project.sync()) == (3, 3, 0)
    write(project, "a", HEADER, [row, row, row, (None, "x", "2024-01-01", "two")])
    assert loaded(project.sync()) == (4, 1, 3)


def test_a_source_without_the_key_column_is_compared_row_by_row(project: Project) -> None:
    setup(project, ("id",), "at", schema_validation_mode="warn")
    write(
        project,
        "a",
        "part,at,text",
        [("x", "2024-01-01", "one"), ("y", "2024-01-01", "two"), ("y", "2024-01-01", "two")],
    )
    assert loaded(project.sync()) == (3, 3, 0)
    write(
        project,
        "a",
        "part,at,text",
        [("x", "2024-01-01", "one"), ("y", "2024-01-01", "two"), ("z", "2024-01-01", "three")],
    )
    assert loaded(project.sync()) == (3, 1, 2)


def test_in_warn_mode_columns_outside_the_contract_are_part_of_the_row(project: Project) -> None:
    setup(project, schema_validation_mode="warn")
    header = HEADER + ",more"
    write(project, "a", header, [(1, "x", None, "one", "p"), (1, "x", None, "one", "q")])
    assert loaded(project.sync()) == (2, 2, 0)
    write(project, "a", header, [(1, "x", None, "one", "r"), (1, "x", None, "one", "q")])
    assert loaded(project.sync()) == (2, 1, 1)


# -- unique columns ----------------------------------------------------------------------------------------------------


def unique(project: Project, mode: str, **field: Any) -> None:
    project.asset([{"name": "id", "type": "integer"}, {"name": "u", "unique": True, "null_values": [], **field}])
    project.job(
        source={"files": [{"path": "data/*.csv"}]}, schema_validation_mode=mode, target={"write_mode": "append"}
    )


def test_a_repeated_value_is_a_violation_of_the_later_row(project: Project) -> None:
    unique(project, "quarantine")
    write(project, "a", "id,u", [(1, "x"), (2, None), (3, None), (4, ""), ("bad", "y")])
    write(project, "b", "id,u", [(5, "y"), (6, "x"), (7, ""), (8, "X")])
    assert loaded(project.sync()) == (9, 6, 0)
    kept = project.rejects().sort("file", "row").select("file", "row", "column", "rule", "value").rows()
    assert kept == [
        ("data/a.csv", 5, "id", "type_mismatch", "bad"),
        ("data/b.csv", 2, "u", "unique", "x"),
        ("data/b.csv", 3, "u", "unique", ""),
    ]


def test_in_warn_mode_a_repeated_value_is_null_and_the_row_is_not_loaded_again(project: Project) -> None:
    unique(project, "warn")
    rows: list[Row] = [(1, "x"), (2, "x"), (3, "y")]
    write(project, "a", "id,u", rows)
    assert loaded(project.sync()) == (3, 3, 0)
    assert table(project) == [(1, "x"), (2, None), (3, "y")]
    write(project, "a", "id,u", [*rows, (4, "z")])
    assert loaded(project.sync()) == (4, 1, 3)


@pytest.mark.parametrize(
    ("field", "values", "rejected"),
    [
        ({"type": "double"}, ["0.0", "-0.0", "1", "1.0", "nan", "nan"], 3),
        ({"type": "decimal(5,2)"}, ["1", "1.00", "1.01"], 1),
        ({"type": "binary"}, ["a", "a", "b"], 1),
        ({"type": "array", "items": "integer"}, ["[1]", "[1.0]", "[]"], 1),
        ({"type": "timestamptz"}, ["2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00"], 1),
    ],
)
def test_values_are_equal_by_what_they_are(
    project: Project, field: dict[str, Any], values: list[str], rejected: int
) -> None:
    unique(project, "quarantine", **field)
    write(project, "a", "id,u", list(enumerate(values)))
    assert project.sync().rejected == rejected


# -- hashes ------------------------------------------------------------------------------------------------------------


def test_every_type_has_an_identity_and_nothing_but_null_is_null(project: Project) -> None:
    types = {
        "s": "string", "l": "integer", "d": "double", "m": "decimal(5,2)", "b": "boolean", "day": "date", "t": "time",
        "ts": "timestamp", "tz": "timestamptz", "y": "binary",
    }  # fmt: skip
    fields: list[dict[str, Any]] = [{"name": "id"}, *({"name": n, "type": t} for n, t in types.items())]
    fields.append({"name": "u", "type": "uuid", "physicalType": "uuid"})
    fields.append({"name": "list", "type": "array", "items": {"type": "binary"}})
    fields.append({"name": "of", "type": "array", "items": "double"})
    inner = [
        {"name": "k", "type": "decimal(5,2)"},
        {"name": "v", "type": "binary"},
        {"name": "at", "type": "timestamptz"},
    ]
    fields.append({"name": "struct", "type": "object", "properties": inner})
    project.asset(fields)
    project.job(source={"files": [{"path": "data/*.csv"}]}, target={"write_mode": "append"})
    values: Row = (
        "x", 1, 0.1, "1.50", "yes", "2024-01-01", "01:02:03.5", "2024-01-01 00:00:00.000001", "2024-01-01T00:00:00Z",
        "\x01é", "123e4567-e89b-12d3-a456-426614174000", '["AP8="]', '[1.5,"nan",null]',
        '{"k":1.5,"v":"AP8=","at":"2024-01-01"}',
    )  # fmt: skip
    header = ",".join(f["name"] for f in fields)
    rows: list[Row] = [("all", *values)]
    for position in range(len(values)):
        rows.append((f"one {position}", *(None if n != position else v for n, v in enumerate(values))))
    rows += [("list", *[None] * 11, "[]", "[null]", "{}"), ("none", *[None] * 14)]
    write(project, "a", header, rows)
    assert loaded(project.sync()) == (len(rows), len(rows), 0)
    write(project, "a", header, [*rows, ("new", *values)])
    assert loaded(project.sync()) == (len(rows) + 1, 1, len(rows))


texts = st.one_of(st.none(), st.text(alphabet=st.sampled_from(list('a1:\x1e\x1f"\\[]{},é\0')), max_size=4))


@given(st.lists(st.tuples(texts, texts, st.lists(texts, max_size=2)), min_size=2, max_size=12))
@example([("a", "bc", []), ("ab", "c", [])])
@example([(None, "", []), ("", None, []), (None, None, [None])])
def test_different_rows_have_different_identities(rows: list[tuple[Any, Any, Any]]) -> None:
    item = Field(name="element", kind="string")
    fields = [Field(name="a", kind="string"), Field(name="b", kind="string"), Field(name="c", kind="list", item=item)]
    schema = {"a": pl.String, "b": pl.String, "c": pl.List(pl.String)}
    frame = pl.DataFrame(rows, schema=schema, orient="row").select(identity(fields))
    hashes = frame.select(LOW, HIGH).rows()
    assert len(set(hashes)) == len({repr(r) for r in rows})
    assert None not in {h for pair in hashes for h in pair}


# -- against a model ---------------------------------------------------------------------------------------------------


class Model:
    """The table as a list, and what a run adds to it by the rules of the format."""

    def __init__(self, key: tuple[int, ...], cursor: int | None, mode: str) -> None:
        self.key, self.cursor, self.mode = key, cursor, mode
        self.rows: list[Row] = []

    def run(self, rows: list[Row]) -> int:
        """Loads the rows; how many were duplicates."""
        there = list(self.rows) if self.mode == "append" else []
        left, seen = Counter(there), {self.identity(r) for r in there}
        added: list[Row] = []
        for row in rows:
            if self.key:
                if self.identity(row) in seen:
                    continue
                seen.add(self.identity(row))
            elif left[row] > 0:
                left[row] -= 1
                continue
            added.append(row)
        self.rows = there + added
        return len(rows) - len(added)

    def identity(self, row: Row) -> Row:
        if self.cursor is None or row[self.cursor] is None:
            return row
        return (*(row[i] for i in self.key), row[self.cursor])


small = st.tuples(
    st.integers(1, 3),
    st.sampled_from(["", "a", "b", "null"]),
    st.sampled_from([None, "2024-01-01", "2024-01-02"]),
    st.sampled_from([None, "", "x", "NULL"]),
)
runs = st.lists(st.lists(st.lists(small, max_size=5), min_size=1, max_size=3), min_size=1, max_size=3)


@settings(max_examples=max(settings().max_examples // 4, 5))
@given(
    runs,
    st.sampled_from([(), ("id",), ("id", "part")]),
    st.sampled_from([None, "at"]),
    st.sampled_from(["append", "replace"]),
)
def test_several_runs_leave_what_the_model_leaves(
    project: Project, runs: list[list[list[Row]]], key: tuple[str, ...], cursor: str | None, mode: str
) -> None:
    model = Model(tuple(["id", "part"].index(k) for k in key), 2 if cursor else None, mode)
    for path in [*project.root.glob("data/*"), *project.root.glob(".local/**/*")]:
        if path.is_file():
            path.unlink()
    setup(project, key, cursor, mode)
    for number, files in enumerate(runs):
        rows = [row for file in files for row in file]
        for name, file in enumerate(files):
            write(project, f"{number}-{name}", HEADER, file)
        if mode == "replace":
            for path in project.root.glob("data/*"):
                if not path.name.startswith(f"{number}-"):
                    path.unlink()
            receipt = project.sync(full_refresh=True)
        else:
            receipt = project.sync()
        duplicates = model.run(rows)
        assert loaded(receipt) == (len(rows), len(rows) - duplicates, duplicates)
        found = [(i, p, None if at is None else str(at), t) for i, p, at, t in project.rows().rows()]
        assert Counter(found) == Counter(model.rows)


def test_the_csv_of_the_tests_is_what_pythons_csv_reads(project: Project) -> None:
    write(project, "a", "a,b", [('x"y', None), ("", "1,2")])
    with (project.root / "data/a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ['x"y', ""], ["", "1,2"]]


@given(st.lists(st.tuples(texts, texts, st.lists(texts, max_size=2)), min_size=2, max_size=12))
@example([("a", "bc", []), ("ab", "c", [])])
@example([(None, "", []), ("", None, []), (None, None, [None])])
@example([("n", None, []), (None, "n", []), ("1\x1fa", "b", []), ("1", "a\x1fb", [])])
def test_rows_of_different_content_have_different_hashes(rows: list[tuple[Any, Any, Any]]) -> None:
    item = Field(name="element", kind="string")
    fields = [Field(name="a", kind="string"), Field(name="b", kind="string"), Field(name="c", kind="list", item=item)]
    schema = {"a": pl.String, "b": pl.String, "c": pl.List(pl.String)}
    frame = pl.DataFrame(rows, schema=schema, orient="row").select(content(fields, ("r1", "r2")))
    hashes = frame.rows()
    assert len(set(hashes)) == len({repr(r) for r in rows})
    assert None not in {h for pair in hashes for h in pair}
