"""JSON lines files: every value exact, every line that cannot be read a row with its fault."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import zstandard

from dativo import connectors
from dativo.errors import ConfigError, SourceError
from dativo.sources.protocol import FAULT, ROW, TEXT, Meter
from tests.project import Project
from tests.reading import extracted, file_job, jsonl_rows, lines

FIELDS = [{"name": "id", "type": "integer"}, {"name": "name"}]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'"x"', "x"),
        (b'""', ""),
        (b'" \\t\\u00e9\\ud83d\\ude00\\/ "', " \té😀/ "),
        (b'"null"', "null"),
        (b"null", None),
        (b"true", "true"),
        (b"false", "false"),
        (b"0.1000000000000000055", "0.1000000000000000055"),
        (b"12345678901234567890123", "12345678901234567890123"),
        (b"99999999999999999999999999999999999999999999999999", "9" * 50),
        (b"1.10", "1.10"),
        (b"100.0", "100.0"),
        (b"1e5", "1e5"),
        (b"-0", "-0"),
        (b"-0.0", "-0.0"),
        (b"1E400", "1E400"),
        (b"18446744073709551616", "18446744073709551616"),
        (b"[1.50, 2]", "[1.50, 2]"),
        (b'{"k": [1.0, {"z":"\\u00e9"}] }', '{"k": [1.0, {"z":"\\u00e9"}] }'),
        (b"[]", "[]"),
        (b"{}", "{}"),
    ],
)
@pytest.mark.parametrize("many", [1, 200], ids=["alone", "among-others"])
def test_a_value_keeps_its_text(project: Project, raw: bytes, text: str | None, many: int) -> None:
    line = b'{"id": 1, "name": ' + raw + b', "z": "end"}\n'
    plain = b'{"id": 1, "name": "plain", "z": "end"}\n'
    found = jsonl_rows(project, (line + plain) * many, "name", "z", FAULT)
    assert found == [(text, "end", None), ("plain", "end", None)] * many


def test_an_absent_key_is_null(project: Project) -> None:
    assert jsonl_rows(project, lines({"id": 1}, {"name": "x"}, {}), "id", "name", FAULT) == [
        ("1", None, None), (None, "x", None), (None, None, None),
    ]  # fmt: skip


FAULTS = [
    (b"nonsense", "not_json: Expecting value (character 1)"),
    (b'{"id": 1', "not_json: Expecting ',' delimiter (character 9)"),
    (b'{"id": 1,}', "not_json: Expecting property name enclosed in double quotes (character 10)"),
    (b'{"id": 01}', "not_json: Expecting ',' delimiter (character 9)"),
    (b'{"id": NaN}', "not_json: NaN is no JSON value (character 1)"),
    (b"{'id': 1}", "not_json: Expecting property name enclosed in double quotes (character 2)"),
    (b'{"id" 1}', "not_json: Expecting ':' delimiter (character 7)"),
    (b'{"id": 1} {"id": 2}', "not_json: Extra data (character 11)"),
    (b'{"name": "a\tb"}', "not_json: Invalid control character at (character 12)"),
    (b'{"name": "\\x"}', "not_json: Invalid \\escape (character 11)"),
    (b'{"id":' + b"[" * 100_000 + b"}", "not_json: nested too deeply"),
    (b"[1, 2]", "not_an_object: an array"),
    (b'"text"', "not_an_object: a string"),
    (b"12.5", "not_an_object: a number"),
    (b"null", "not_an_object: null"),
    (b"true", "not_an_object: a boolean"),
    (b'{"id": 1, "id": 2}', "duplicate_key: 'id' stands twice in one object"),
    (b'{"id": 1, "\\u0069d": 2}', "duplicate_key: 'id' stands twice in one object"),
    (b'{"id": 1, "name": {"k": 1, "k": 1}}', "duplicate_key: 'k' stands twice in one object"),
    (b'{"id": 1, "name": [[{"k": 1, "k": 1}]]}', "duplicate_key: 'k' stands twice in one object"),
    (b'{"name": "\xff"}', "encoding: bytes that are not UTF-8"),
    (b'{"name": "\xed\xa0\x80"}', "encoding: bytes that are not UTF-8"),
    (b'{"name": "\\ud800"}', "encoding: half of a surrogate pair"),
    (b'{"name": "a\0b"}', "nul_byte: a NUL byte in the line"),
    (b"\0\0\0", "nul_byte: a NUL byte in the line"),
]


@pytest.mark.parametrize(("line", "fault"), FAULTS, ids=[f"{i}-{f.split(':')[0]}" for i, (_, f) in enumerate(FAULTS)])
def test_a_line_that_cannot_be_read_is_a_row_with_its_fault(project: Project, line: bytes, fault: str) -> None:
    good = lines({"id": 7, "name": "good"})
    found = jsonl_rows(project, good * 40 + line + b"\n" + good * 40, "id", "name", ROW, FAULT, TEXT)
    assert [r for r in found if r[3] is None] == [("7", "good", n, None, None) for n in (*range(1, 41), *range(42, 82))]
    (bad,) = (r for r in found if r[3] is not None)
    assert bad[2:4] == (41, fault)
    assert bad[4] == line.decode(errors="backslashreplace")[: 1 << 16]


def test_what_could_be_made_out_of_a_bad_line_is_kept(project: Project) -> None:
    content = b'{"id": 1, "name": "kept", "x": \n{"id": 2, "name": "\xffx"}\n'
    assert jsonl_rows(project, content, "id", "name") == [("1", "kept"), ("2", "\\udcffx")]


def test_blank_lines_are_neither_rows_nor_counted(project: Project) -> None:
    content = b'\n{"id": 1}\r\n\r\n   \n\t\n{"id": 2}\n\n\n{"id": 3}'
    assert jsonl_rows(project, content, "id", ROW, FAULT) == [("1", 1, None), ("2", 2, None), ("3", 3, None)]


def test_white_space_between_tokens_means_nothing(project: Project) -> None:
    content = b' { "id" : 1 , "name":\t"x" } \n{"id":2,"name":"y"}\r\n\t{\t"name" : "z" ,\r"id":3}\n'
    assert jsonl_rows(project, content, "id", "name", FAULT) == [("1", "x", None), ("2", "y", None), ("3", "z", None)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_a_byte_order_mark_is_no_text(project: Project, mark: bytes) -> None:
    assert jsonl_rows(project, mark + lines({"id": 1}), "id", FAULT) == [("1", None)]


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("part.jsonl", content)
    return out.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, zipped], ids=["gzip", "zstd", "zip"])
def test_compressed_files_are_recognised(project: Project, pack: Any) -> None:
    many = [{"id": i, "name": f"näme {i}"} for i in range(2000)]
    found = jsonl_rows(project, pack(lines(*many)), "id", "name", ROW)
    assert found == [(str(r["id"]), r["name"], n) for n, r in enumerate(many, 1)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_other_encodings_are_read(project: Project, encoding: str) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl", options={"encoding": encoding})
    project.write("data/a.jsonl", '{"id": 1, "name": "né"}\n{"id": 2, "name": "ü"}\n'.encode(encoding))
    assert extracted(project).frame.select("name", FAULT).collect().rows() == [("né", None), ("ü", None)]


def test_texts_that_mean_null_are_none_unless_named(project: Project) -> None:
    project.asset(FIELDS)
    project.write("data/a.jsonl", lines({"id": 1, "name": ""}, {"id": 2, "name": "NULL"}, {"id": 3, "name": "-"}))
    file_job(project, "jsonl")
    project.sync()
    assert project.rows().sort("id")["name"].to_list() == ["", "NULL", "-"]
    file_job(project, "jsonl", options={"null_values": ["-", ""]})
    project.sync()
    assert project.rows().sort("id")["name"].to_list() == [None, "NULL", None]


def test_nested_values_become_what_the_contract_says(project: Project) -> None:
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "integer"},
        {"name": "raw", "type": "object"},
        {"name": "sum", "type": "decimal(38,20)"},
        {"name": "tags", "type": "array", "items": "string"},
        {"name": "place", "type": "object", "properties": [
            {"name": "lat", "type": "decimal(20,18)"}, {"name": "city", "type": "string"}]},
    ]  # fmt: skip
    project.asset(fields)
    file_job(project, "jsonl")
    project.write(
        "data/a.jsonl",
        b'{"id": 1, "raw": {"b": 1.10,"a":[null]}, "sum": 0.10000000000000000555, "tags": ["x", "y"], '
        b'"place": {"lat": 1.000000000000000001, "city": "\xc3\x89"}}\n{"id": 2, "tags": []}\n',
    )
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert project.rows().sort("id").to_dicts() == [
        {"id": 1, "raw": '{"b": 1.10,"a":[null]}', "sum": Decimal("0.10000000000000000555"), "tags": ["x", "y"],
         "place": {"lat": Decimal("1.000000000000000001"), "city": "É"}},
        {"id": 2, "raw": None, "sum": None, "tags": [], "place": None},
    ]  # fmt: skip


def test_a_line_of_ten_megabytes_is_a_row_like_any_other(project: Project) -> None:
    long = "x" * 10_000_000
    found = jsonl_rows(
        project, lines({"id": 1}, {"id": 2, "name": long}, {"id": 3}), "id", pl.col("name").str.len_chars(), ROW
    )
    assert found == [("1", None, 1), ("2", 10_000_000, 2), ("3", None, 3)]
    project.write("data/a.jsonl", lines({"id": 1}) + b'{"name": "' + long.encode() + b"\n" + lines({"id": 3}))
    frame = extracted(project).frame.collect(engine="streaming")
    assert frame["id"].to_list() == ["1", None, "3"]
    assert frame[FAULT].str.starts_with("not_json").to_list() == [None, True, None]


def test_rows_keep_their_numbers_over_many_blocks(project: Project) -> None:
    count = 120_000
    parts = [b'{"id": %d, "name": "%s"}\n' % (i, b"x" * 150) for i in range(count)]
    for i in range(0, count, 9973):
        parts[i] = b"bad %d\n" % i
    meter = Meter()
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", b"".join(parts))
    frame = extracted(project, meter).frame.select("id", ROW, FAULT).collect(engine="streaming")
    assert frame[ROW].to_list() == list(range(1, count + 1))
    assert (
        frame.filter(pl.col(FAULT).is_null()).select(pl.col("id").cast(pl.Int64) + 1 == pl.col(ROW)).to_series().all()
    )
    assert frame[FAULT].drop_nulls().len() == len(range(0, count, 9973))
    assert meter.rows == count
    assert meter.bytes == meter.total_bytes


def test_a_limit_reads_no_further_than_it_must(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", b'{"id": 1, "name": "padding padding padding"}\n' * 400_000)
    meter = Meter()
    assert extracted(project, meter, limit=10).frame.collect(engine="streaming").height == 10
    assert meter.bytes < meter.total_bytes / 8


def test_a_wrong_option_is_told_before_anything_is_read(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl", options={"encoding": "utf-99", "timezone": "Mars/Olympus"})
    with pytest.raises(ConfigError) as caught:
        connectors.source(project.load())
    assert len(caught.value.problems()) == 2


def test_a_damaged_archive_is_a_source_error(project: Project) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    packed = gzip.compress(lines(*({"id": i, "name": random.Random(i).random()} for i in range(50_000))))
    project.write("data/a.jsonl", packed[: len(packed) // 2])
    with pytest.raises(SourceError, match=r"a\.jsonl.*damaged"):
        extracted(project).frame.collect(engine="streaming")


@pytest.mark.parametrize("line", [b"x^2", b"x\x01", b"x\xda"], ids=repr)
def test_a_line_that_begins_as_a_compressed_file_does_is_a_line(project: Project, line: bytes) -> None:
    project.asset(FIELDS)
    file_job(project, "jsonl")
    project.write("data/a.jsonl", line + b"\n" + lines(*({"id": i} for i in range(3))))
    frame = extracted(project).frame.collect(engine="streaming").sort(ROW)
    assert frame["id"].to_list()[1:] == ["0", "1", "2"]
    assert frame[FAULT].is_not_null().to_list() == [True, False, False, False]
