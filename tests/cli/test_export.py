"""`dativo export`: rows out of a table or a source, the same values in every format, personal ones redacted."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dativo.config.field import Field
from dativo.contract.written import json_object, written
from tests.cli.conftest import BIN, Dativo, environment, people, process
from tests.project import Project
from tests.unit.test_markdown_kv import documents

KINDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer"},
    {"name": "amount", "type": "decimal(20,4)"},
    {"name": "ratio", "type": "double"},
    {"name": "on", "type": "date"},
    {"name": "at", "type": "timestamp"},
    {"name": "zoned", "type": "timestamptz"},
    {"name": "clock", "type": "time"},
    {"name": "raw", "type": "binary"},
    {"name": "yes", "type": "boolean"},
    {"name": "text", "type": "string"},
    {"name": "items", "type": "array", "items": {"type": "decimal(5,2)"}},
    {
        "name": "inner",
        "type": "object",
        "properties": [{"name": "a", "type": "string"}, {"name": "at", "type": "timestamp"}],
    },
]
TEXT = 'quote " comma , line\nbreak \x1b \u202e é 😀'
FULL = [
    "9007199254740993", "12345678901234.5000", "0.30000000000000004", "0001-01-01", "2024-05-06T07:08:09.000010",
    "9999-12-31T23:59:59+00:00", "23:59:59.500", "\x01ÿ", "true", TEXT, '["1.50", null]',
    '{"a": "x\\"\\n", "at": "2024-01-01T00:00:00"}',
]  # fmt: skip
EXPECTED = {
    "id": 9007199254740993, "amount": "12345678901234.5000", "ratio": 0.1 + 0.2, "on": "0001-01-01",
    "at": "2024-05-06T07:08:09.000010", "zoned": "9999-12-31T23:59:59+00:00", "clock": "23:59:59.500",
    "raw": "01c3bf", "yes": True, "text": TEXT, "items": ["1.50", None],
    "inner": {"a": 'x"\n', "at": "2024-01-01T00:00:00"},
}  # fmt: skip
NULLS = dict.fromkeys(EXPECTED) | {"id": 2}


@pytest.fixture
def kinds(project: Project) -> Project:
    """A loaded table with a column of every kind, a row of values and a row of nulls."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([f["name"] for f in KINDS])
    writer.writerow(FULL)
    writer.writerow(["2", *[""] * (len(KINDS) - 1)])
    project.write("data/people.csv", out.getvalue())
    project.asset(KINDS)
    project.job("kinds")
    assert project.sync("kinds").loaded == 2
    return project


@pytest.mark.parametrize("origin", ["table", "source"])
def test_json_lines_hold_every_value_exactly(kinds: Project, dativo: Dativo, origin: str) -> None:
    answer = dativo("export", "kinds", "--format", "jsonl", "--from", origin)
    assert [json.loads(line) for line in answer.out.splitlines()] == [EXPECTED, NULLS]
    assert f"2 rows of the {origin}" in answer.err


@pytest.mark.parametrize("origin", ["table", "source"])
def test_csv_holds_every_value_exactly(kinds: Project, dativo: Dativo, origin: str) -> None:
    rows = list(
        csv.DictReader(io.StringIO(dativo("export", "kinds", "--format", "csv", "--from", origin).out, newline=""))
    )
    nested = {k: json.loads(rows[0].pop(k)) for k in ("items", "inner")}
    assert nested == {k: EXPECTED[k] for k in nested}
    assert rows[0] == {
        **{k: v for k, v in EXPECTED.items() if k not in nested},
        "id": "9007199254740993", "ratio": "0.30000000000000004", "yes": "true",
    }  # fmt: skip
    assert rows[1] == dict.fromkeys(EXPECTED, "") | {"id": "2"}


@pytest.mark.parametrize("origin", ["table", "source"])
def test_parquet_holds_every_value_with_its_type(kinds: Project, dativo: Dativo, origin: str) -> None:
    dativo("export", "kinds", "--format", "parquet", "--from", origin, "--out", "rows.parquet")
    first = pl.read_parquet("rows.parquet").to_dicts()[0]
    assert first == {
        "id": 9007199254740993, "amount": Decimal("12345678901234.5000"), "ratio": 0.1 + 0.2, "on": date(1, 1, 1),
        "at": datetime(2024, 5, 6, 7, 8, 9, 10), "zoned": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        "clock": time(23, 59, 59, 500_000), "raw": b"\x01\xc3\xbf", "yes": True, "text": TEXT,
        "items": [Decimal("1.50"), None], "inner": {"a": 'x"\n', "at": datetime(2024, 1, 1)},
    }  # fmt: skip


@pytest.mark.parametrize("origin", ["table", "source"])
def test_markdown_kv_holds_every_value_exactly(kinds: Project, dativo: Dativo, origin: str) -> None:
    first, second = documents(dativo("export", "kinds", "--format", "markdown-kv", "--from", origin).out)
    nested = {k: json.loads(first.pairs.pop(k)) for k in ("items", "inner")}
    assert nested == {k: EXPECTED[k] for k in nested}
    assert first.front == {"doc_id": "9007199254740993", "id": 9007199254740993, "markdown_kv": 1}
    texts = {k: v for k, v in EXPECTED.items() if k not in (*nested, "id")}
    assert first.pairs == {**texts, "ratio": "0.30000000000000004", "yes": "true"}
    assert second.pairs == {} and second.front["id"] == 2


def test_what_is_no_finite_number_is_told_and_not_lost() -> None:
    field = Field(name="x", kind="double")
    values = [float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308, 1e16, None]
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    texts = frame.select(written(field, pl.col("x"))).to_series().to_list()
    assert texts[:3] == ["NaN", "Infinity", "-Infinity"] and texts[-1] is None
    assert [float(t) for t in texts[1:-1]] == values[1:-1]
    lines = frame.select(json_object([(field, pl.col("x"))])).to_series().to_list()
    assert [json.loads(line)["x"] for line in lines[:3]] == ["NaN", "Infinity", "-Infinity"]
    assert [json.loads(line)["x"] for line in lines[3:]] == values[3:]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=20))
def test_any_number_survives_json(values: list[float | None]) -> None:
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    lines = frame.select(json_object([(Field(name="x", kind="double"), pl.col("x"))])).to_series()
    assert [json.loads(line)["x"] for line in lines] == values


NESTED = Field(
    name="x",
    kind="list",
    item=Field(
        name="element",
        kind="struct",
        fields=(
            Field(name='a"\n', kind="string"),
            Field(name="b", kind="list", item=Field(name="element", kind="long")),
        ),
    ),
)


@given(
    st.one_of(
        st.none(),
        st.lists(
            st.one_of(
                st.none(),
                st.fixed_dictionaries(
                    {
                        'a"\n': st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
                        "b": st.one_of(
                            st.none(), st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=3)
                        ),
                    }
                ),
            ),
            max_size=4,
        ),
    )
)
def test_any_nesting_survives_json(value: Any) -> None:
    dtype = pl.List(pl.Struct({'a"\n': pl.String, "b": pl.List(pl.Int64)}))
    frame = pl.DataFrame({"x": [value]}, schema={"x": dtype})
    line = frame.select(json_object([(NESTED, pl.col("x"))])).item()
    assert json.loads(line) == {"x": value}
    assert "\n" not in line


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1, max_size=8
    )
)
def test_any_text_of_a_source_comes_out_as_it_went_in(project: Project, texts: list[str]) -> None:
    from dativo import export

    project.asset([{"name": "id", "type": "integer"}, {"name": "text", "type": "string", "null_values": ["\\N"]}])
    project.write("data/people.jsonl", "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)))
    project.job(
        "texts",
        source_connector_path="connectors/sources/jsonl.yaml",
        source={"files": [{"path": "data/people.jsonl"}]},
    )
    read = {}
    for format in ("jsonl", "csv", "markdown-kv"):
        out = io.BytesIO()
        export(project.load("texts"), format=format, out=out, origin="source")  # type: ignore[arg-type]
        read[format] = out.getvalue().decode()
    assert [json.loads(line)["text"] for line in read["jsonl"].split("\n")[:-1]] == texts
    assert [r["text"] for r in csv.DictReader(io.StringIO(read["csv"], newline=""))] == texts
    assert [d.pairs["text"] for d in documents(read["markdown-kv"])] == texts


# -- personal values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["jsonl", "csv", "markdown-kv", "parquet"])
@pytest.mark.parametrize("origin", ["table", "source"])
def test_personal_values_are_redacted_unless_they_are_asked_for(
    loaded: Project, dativo: Dativo, format: str, origin: str
) -> None:
    for arguments, shown in (((), False), (("--show-pii",), True)):
        answer = dativo("export", "people", "--format", format, "--from", origin, "--out", "rows", *arguments)
        file = loaded.root / "rows"
        text = pl.read_parquet(file).write_csv() if format == "parquet" else file.read_text()
        assert ("Ada Lovelace" in text, "ada@example.com" in text, "[redacted]" in text) == (shown, shown, not shown)
        assert ("personal columns treated: name, email" in answer.err) is not shown
        assert "98.50" in text or "98.5" in text


def test_a_required_number_that_is_redacted_is_null(project: Project, dativo: Dativo) -> None:
    project.asset(
        [
            {"name": "id", "type": "integer"},
            {"name": "pay", "type": "integer", "required": True, "classification": "PII"},
        ]
    )
    project.write("data/people.csv", "id,pay\n1,100\n")
    project.job("pay")
    for format, expected in (("jsonl", '{"id":1,"pay":null}\n'), ("csv", "id,pay\n1,\n")):
        assert dativo("export", "pay", "--from", "source", "--format", format).out == expected


def test_rows_that_break_the_contract_are_not_exported_from_the_source(project: Project, dativo: Dativo) -> None:
    people(project)
    lines = dativo("export", "people", "--from", "source").lines
    assert [json.loads(line)["id"] for line in lines] == [1, 2, 3]
    assert not (project.root / ".local").exists()


# -- where it goes -----------------------------------------------------------------------------------------------------


def test_standard_output_is_data_and_nothing_else(loaded: Project, dativo: Dativo) -> None:
    answer = dativo("export", "people")
    assert len(answer.lines) == 3 and all(json.loads(line) for line in answer.lines)
    assert "3 rows of the table" in answer.err


def test_a_table_is_exported_by_its_name_too(loaded: Project, dativo: Dativo) -> None:
    assert dativo("export", "default.people").out == dativo("export", "people").out


def test_limit_is_the_number_of_rows(loaded: Project, dativo: Dativo) -> None:
    assert len(dativo("export", "people", "--limit", "2").lines) == 2
    assert len(dativo("export", "people", "--limit", "99", "--from", "source").lines) == 3


def test_a_summary_as_json_needs_a_file(loaded: Project, dativo: Dativo) -> None:
    found = dativo("export", "people", "--out", "rows.jsonl", "--json").json()
    assert found == {
        "version": 1, "stream": "people", "origin": "table", "format": "jsonl", "path": "rows.jsonl", "rows": 3,
        "treated": ["name", "email"],
    }  # fmt: skip
    assert "--out" in dativo("export", "people", "--json", code=2).err
    assert "--out" in dativo("export", "people", "--format", "parquet", code=2).err


def test_a_file_is_replaced_as_a_whole_with_the_permissions_of_a_new_one(loaded: Project, dativo: Dativo) -> None:
    path = loaded.write("out/rows.csv", "old")
    dativo("export", "people", "--format", "csv", "--out", path)
    assert path.read_text().startswith("id,name") and len(path.read_text().splitlines()) == 4
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert [p.name for p in path.parent.iterdir()] == ["rows.csv"]


def test_an_export_that_fails_leaves_the_old_file(loaded: Project, dativo: Dativo) -> None:
    path = loaded.write("out/rows.csv", "old")
    for data in loaded.root.glob(".local/warehouse/**/*.parquet"):
        data.write_bytes(b"no parquet")
    answer = dativo("export", "people", "--format", "csv", "--out", path, code=2)
    assert answer.err.startswith("error:")
    assert path.read_text() == "old" and [p.name for p in path.parent.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("out", [".", "data", "data/people.csv/rows", "/proc/no/rows", "a\0b", "n" * 300])
def test_a_place_that_cannot_be_written_is_told_in_a_sentence(loaded: Project, dativo: Dativo, out: str) -> None:
    answer = dativo("export", "people", "--out", out, code=2)
    assert "error" in answer.err.lower() and answer.out == ""


def test_a_link_stays_a_link_and_a_device_a_device(loaded: Project, dativo: Dativo) -> None:
    target = loaded.write("real.jsonl", "")
    link = loaded.root / "link.jsonl"
    link.symlink_to(target)
    dativo("export", "people", "--out", link)
    assert link.is_symlink() and len(target.read_text().splitlines()) == 3
    dativo("export", "people", "--out", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_table_that_was_not_loaded_is_told_with_what_to_do(project: Project, dativo: Dativo) -> None:
    people(project)
    err = dativo("export", "people", code=2).err
    assert "default.people does not exist yet" in err and "dativo sync people" in err and "--from source" in err


@pytest.mark.parametrize("name", ["default.nobody", "peopel"])
def test_a_name_of_nothing_is_told_with_the_nearest(loaded: Project, dativo: Dativo, name: str) -> None:
    assert "did you mean" in dativo("export", name, code=2).err


@pytest.mark.parametrize("options", [("--format", "xml"), ("--from", "nowhere"), ("--limit", "0"), ("--stream", "x")])
def test_wrong_options_are_refused(loaded: Project, dativo: Dativo, options: tuple[str, ...]) -> None:
    answer = dativo("export", "people", *options, code=2)
    assert answer.out == "" and answer.err


def test_a_terminal_is_not_moved_by_what_is_exported(project: Project, dativo: Dativo) -> None:
    project.asset([{"name": "text", "type": "string"}])
    project.write("data/people.csv", "text\n\x1b[31mred \x9b2J \u202eback\n".encode())
    project.job("evil")
    piped = dativo("export", "evil", "--from", "source", "--format", "csv").data.decode()
    assert "\x1b[31mred \x9b2J \u202eback" in piped
    for format in ("csv", "jsonl", "markdown-kv"):
        shown = dativo("export", "evil", "--from", "source", "--format", format, terminal=True).out
        assert not any(c in shown for c in "\x1b\x9b\u202e") and "red" in shown


def test_a_reader_that_has_seen_enough_ends_the_export_quietly(project: Project) -> None:
    project.asset([{"name": "id", "type": "integer"}])
    project.write("data/people.csv", "id\n" + "".join(f"{i}\n" for i in range(200_000)))
    project.job("many")
    command = f"'{BIN / 'dativo'}' export many --from source | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=project.root, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == '{"id":0}\n{"id":1}\n0\n' and done.stderr == ""


def test_a_disk_that_is_full_is_told_in_a_sentence(loaded: Project) -> None:
    with Path("/dev/full").open("wb") as full:
        done = process("export", "people", cwd=loaded.root, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 2
    assert "no space left" in done.stderr and "Traceback" not in done.stderr
