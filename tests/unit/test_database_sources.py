"""What database sources share: queries that stand inside others, cursors that never go back, relations of other types."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import polars as pl
import pytest

from dativo.config.resolved import Relation, ResolvedJob
from dativo.errors import SourceError, StateError
from dativo.sources.database.cursor import last_value
from dativo.sources.database.frame import WHERE_FROM, Batches, Part, lazy, shared_schema
from dativo.sources.database.names import identifier, literal
from dativo.sources.database.query import one_condition, one_select
from dativo.sources.database.window import Bounds, advanced
from dativo.sources.protocol import FAULT, FILE, ROW, Meter
from dativo.state.cursor import Cursor
from tests.project import Project


@pytest.fixture
def job(project: Project) -> ResolvedJob:
    project.asset([{"name": "id", "type": "integer"}, {"name": "name"}])
    project.job()
    return project.load()


GOOD = [
    ("postgres", "select 1"),
    ("postgres", "SELECT ';' ; "),
    ("postgres", "with a as (select 1) select * from a -- ; x"),
    ("postgres", "select ')' /* ; /* ( */ */"),
    ("postgres", "select $a$ ; ) $a$, E'\\';', \"a;\"\"'\""),
    ("postgres", "(select 1) union select 2"),
    ("postgres", "/* c */ values (1)"),
    ("mysql", "select 'it\\'s; ', `a;``b` # ; comment"),
    ("mysql", "table people"),
    ("sqlite", "select [a;b], 'c;' from t -- ; x"),
]
BAD = [
    ("postgres", "select 1; drop table x", "more than one"),
    ("postgres", "delete from x", "not a SELECT"),
    ("postgres", "select 1) x; drop table y; select (1", "more than one"),
    ("postgres", "select 1) x, (select 2", "parenthesis"),
    ("postgres", "select 'x", "without an end"),
    ("postgres", "select 1 /* x", "without an end"),
    ("postgres", "  ", "not a SELECT"),
    ("mysql", "select 'a\\'; drop table x", "more than one"),
    ("sqlite", "pragma writable_schema = 1", "not a SELECT"),
    ("sqlite", "attach 'x' as y", "not a SELECT"),
]


@pytest.mark.parametrize(("dialect", "text"), GOOD)
def test_one_select_is_taken_as_it_is(job: ResolvedJob, dialect: str, text: str) -> None:
    found = one_select(job, Relation(object="q", sql=text), dialect)
    assert found == text.strip().removesuffix(";").strip() + "\n"


@pytest.mark.parametrize(("dialect", "text", "why"), BAD)
def test_what_is_not_one_select_is_refused(job: ResolvedJob, dialect: str, text: str, why: str) -> None:
    with pytest.raises(SourceError, match=why) as caught:
        one_select(job, Relation(object="q", sql=text, field="source.queries[0]"), dialect)
    assert caught.value.field == "source.queries[0].sql"
    assert caught.value.hint


@pytest.mark.parametrize("text", ["true) or (true", "a = 1; drop table x", "a = 'b", "a = 1 /*"])
def test_a_filter_is_one_condition(job, text: str) -> None:
    with pytest.raises(SourceError, match="not one condition"):
        one_condition(job, Relation(object="t", table="t", where=text), "postgres")
    assert one_condition(job, Relation(object="t", table="t", where=" a = ';' -- x"), "postgres") == "a = ';' -- x\n"


def test_names_and_texts_are_quoted() -> None:
    assert identifier('a"b.c') == '"a""b.c"'
    assert identifier("a`b", "`") == "`a``b`"
    assert literal("it's \\") == "'it''s \\'"
    for bad in ("", "a\0b"):
        with pytest.raises(SourceError):
            identifier(bad)


@pytest.mark.parametrize(
    ("saved", "found", "since", "kept"),
    [(None, "5", None, "5"), ("3", "5", None, "5"), ("5", "3", None, "5"), ("5", None, None, "5"), (None, None, None, None),
     ("3", "9", "7", "3"), ("3", "9", "2", "9"), ("8", "5", "2", "8"), (None, "9", "7", None)],
)  # fmt: skip
def test_a_cursor_moves_forwards_only_and_over_no_gap(
    saved: str | None, found: str | None, since: str | None, kept: str | None
) -> None:
    bounds = Bounds("at", lower=since or saved, saved=saved, since=since is not None)
    assert advanced(bounds, found, lambda a, b: int(a) > int(b)) == kept


def test_a_saved_value_is_text_and_no_other_thing() -> None:
    cursor = Cursor(entries={"t.at": {"last_value": 5}, "t.on": {"last_value": [1]}, "t.by": {}})
    assert last_value(cursor, "t", "at") == "5"
    assert last_value(cursor, "t", "by") is None
    with pytest.raises(StateError, match=r"t\.on"):
        last_value(cursor, "t", "on")


def test_relations_of_other_types_share_a_frame(job: ResolvedJob) -> None:
    def rows(frame: pl.DataFrame) -> Generator[pl.DataFrame, None, None]:
        yield frame.head(1)
        yield frame.slice(1)

    frames = [
        pl.DataFrame({"id": [1, 2], "name": ["a", "b"]}, schema={"id": pl.Int32, "name": pl.String}),
        pl.DataFrame({"id": [3, 2**40], "more": [None, 1.5], FAULT: [None, "bad: x"]}),
    ]
    dtypes = [{n: t for n, t in f.schema.items() if n != FAULT} for f in frames]
    schema = shared_schema(job.streams[0], ["one", "two"], dtypes)
    assert schema == {"id": pl.Int64, "name": pl.String, "more": pl.Float64, **WHERE_FROM}

    def batches(frame: pl.DataFrame) -> Batches:
        def asked(names: Sequence[str], _: int | None) -> Generator[pl.DataFrame, None, None]:
            return rows(frame.select(n for n in names if n in frame.columns))

        return asked

    meter = Meter()
    both = lazy([Part(i, dtypes[i], batches(f)) for i, f in enumerate(frames)], schema, meter, None)
    assert both.collect(engine="streaming").select("id", "name", FILE, ROW, FAULT).rows() == [
        (1, "a", 0, 1, None), (2, "b", 0, 2, None), (3, None, 1, 1, None), (2**40, None, 1, 2, "bad: x"),
    ]  # fmt: skip
    assert meter.rows == 4
    assert both.select(pl.len()).collect(engine="streaming").item() == 4
    assert both.head(3).collect(engine="streaming")["id"].to_list() == [1, 2, 3]
    with pytest.raises(SourceError, match="'id' is Int64 in one and of another type in two"):
        shared_schema(job.streams[0], ["one", "two"], [{"id": pl.Int64()}, {"id": pl.Binary()}])
