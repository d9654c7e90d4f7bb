"""JSON lines files: every value exact, every line that cannot be read a row with its fault."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dativo import connectors
from dativo.errors import ConfigError, SourceError
from dativo.sources.jsonl_block import LineFormat, read_lines
from dativo.sources.jsonl_layout import Layout
from dativo.sources.jsonl_record import RecordReader
from dativo.sources.protocol import FAULT, FILE, ROW, TEXT, Extract, Meter
from tests.project import Project

FIELDS = [{"name": "id", "type": "integer"}, {"name": "name"}]


def jsonl_job(project: Project, *paths: str, options: dict[str, Any] | None = None, **more: Any) -> None:
    source = {"files": [{"path": p} for p in paths or ("data/a.jsonl",)], "engine": {"options": options or {}}}
    project.job(source_connector_path="connectors/sources/jsonl.yaml", source=source, **more)


def read(project: Project, meter: Meter | None = None, **options: Any) -> Extract:
    job = project.load()
    return connectors.source(job).read(job.streams[0], None, meter=meter or Meter(), **options)


def rows(
    project: Project, content: bytes, *columns: str, fields: Sequence[dict[str, Any]] = FIELDS
) -> list[tuple[Any, ...]]:
    """The rows of a file with the content: the columns asked for."""
    project.asset(list(fields))
    jsonl_job(project)
    project.write("data/a.jsonl", content)
    return read(project).frame.select(columns).collect(engine="streaming").rows()


def lines(*objects: Any) -> bytes:
    return "".join(json.dumps(o) + "\n" for o in objects).encode()


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
    found = rows(project, (line + plain) * many, "name", "z", FAULT)
    assert found == [(text, "end", None), ("plain", "end", None)] * many


def test_an_absent_key_is_null(project: Project) -> None:
    assert rows(project, lines({"id": 1}, {"name": "x"}, {}), "id", "name", FAULT) == [
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
    found = rows(project, good * 40 + line + b"\n" + good * 40, "id", "name", ROW, FAULT, TEXT)
    assert [r for r in found if r[3] is None] == [("7", "good", n, None, None) for n in (*range(1, 41), *range(42, 82))]
    (bad,) = (r for r in found if r[3] is not None)
    assert bad[2:4] == (41, fault)
    assert bad[4] == line.decode(errors="backslashreplace")[: 1 << 16]


def test_what_could_be_made_out_of_a_bad_line_is_kept(project: Project) -> None:
    content = b'{"id": 1, "name": "kept", "x": \n{"id": 2, "name": "\xffx"}\n'
    assert rows(project, content, "id", "name") == [("1", "kept"), ("2", "\\udcffx")]


def test_blank_lines_are_neither_rows_nor_counted(project: Project) -> None:
    content = b'\n{"id": 1}\r\n\r\n   \n\t\n{"id": 2}\n\n\n{"id": 3}'
    assert rows(project, content, "id", ROW, FAULT) == [("1", 1, None), ("2", 2, None), ("3", 3, None)]


def test_white_space_between_tokens_means_nothing(project: Project) -> None:
    content = b' { "id" : 1 , "name":\t"x" } \n{"id":2,"name":"y"}\r\n\t{\t"name" : "z" ,\r"id":3}\n'
    assert rows(project, content, "id", "name", FAULT) == [("1", "x", None), ("2", "y", None), ("3", "z", None)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_a_byte_order_mark_is_no_text(project: Project, mark: bytes) -> None:
    assert rows(project, mark + lines({"id": 1}), "id", FAULT) == [("1", None)]


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("part.jsonl", content)
    return out.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, zipped], ids=["gzip", "zstd", "zip"])
def test_compressed_files_are_recognised(project: Project, pack: Any) -> None:
    many = [{"id": i, "name": f"näme {i}"} for i in range(2000)]
    found = rows(project, pack(lines(*many)), "id", "name", ROW)
    assert found == [(str(r["id"]), r["name"], n) for n, r in enumerate(many, 1)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_other_encodings_are_read(project: Project, encoding: str) -> None:
    project.asset(FIELDS)
    jsonl_job(project, options={"encoding": encoding})
    project.write("data/a.jsonl", '{"id": 1, "name": "né"}\n{"id": 2, "name": "ü"}\n'.encode(encoding))
    assert read(project).frame.select("name", FAULT).collect().rows() == [("né", None), ("ü", None)]


def test_texts_that_mean_null_are_none_unless_named(project: Project) -> None:
    project.asset(FIELDS)
    project.write("data/a.jsonl", lines({"id": 1, "name": ""}, {"id": 2, "name": "NULL"}, {"id": 3, "name": "-"}))
    jsonl_job(project)
    project.sync()
    assert project.rows().sort("id")["name"].to_list() == ["", "NULL", "-"]
    jsonl_job(project, options={"null_values": ["-", ""]})
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
    jsonl_job(project)
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
    found = rows(
        project, lines({"id": 1}, {"id": 2, "name": long}, {"id": 3}), "id", pl.col("name").str.len_chars(), ROW
    )
    assert found == [("1", None, 1), ("2", 10_000_000, 2), ("3", None, 3)]
    project.write("data/a.jsonl", lines({"id": 1}) + b'{"name": "' + long.encode() + b"\n" + lines({"id": 3}))
    frame = read(project).frame.collect(engine="streaming")
    assert frame["id"].to_list() == ["1", None, "3"]
    assert frame[FAULT].str.starts_with("not_json").to_list() == [None, True, None]


def test_rows_keep_their_numbers_over_many_blocks(project: Project) -> None:
    count = 120_000
    parts = [b'{"id": %d, "name": "%s"}\n' % (i, b"x" * 150) for i in range(count)]
    for i in range(0, count, 9973):
        parts[i] = b"bad %d\n" % i
    meter = Meter()
    project.asset(FIELDS)
    jsonl_job(project)
    project.write("data/a.jsonl", b"".join(parts))
    frame = read(project, meter).frame.select("id", ROW, FAULT).collect(engine="streaming")
    assert frame[ROW].to_list() == list(range(1, count + 1))
    assert (
        frame.filter(pl.col(FAULT).is_null()).select(pl.col("id").cast(pl.Int64) + 1 == pl.col(ROW)).to_series().all()
    )
    assert frame[FAULT].drop_nulls().len() == len(range(0, count, 9973))
    assert meter.rows == count
    assert meter.bytes == meter.total_bytes


def test_a_limit_reads_no_further_than_it_must(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project)
    project.write("data/a.jsonl", b'{"id": 1, "name": "padding padding padding"}\n' * 400_000)
    meter = Meter()
    assert read(project, meter, limit=10).frame.collect(engine="streaming").height == 10
    assert meter.bytes < meter.total_bytes / 8


def filler(size: int) -> bytes:
    """Lines that a file's keys are told by, and more."""
    return b'{"id": 1, "name": "filler"}\n' * (size // 28)


def test_a_contract_column_that_appears_late_is_read(project: Project) -> None:
    project.asset([*FIELDS, {"name": "late", "type": "decimal(9,2)"}, {"name": "never"}])
    jsonl_job(project)
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "late": 1.50}\n')
    receipt = project.sync()
    assert receipt.exit_code == 0
    assert project.rows().filter(pl.col("id") == 2).rows() == [(2, None, Decimal("1.50"), None)]


def test_a_foreign_key_that_appears_late_is_noted(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project)
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "extra": 1}\n' * 3)
    extract = read(project)
    assert extract.notes == []
    extract.frame.collect(engine="streaming")
    extract.frame.collect(engine="streaming")
    assert len(extract.notes) == 1
    assert "'extra'" in extract.notes[0]


def test_late_foreign_keys_stand_in_the_receipt(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project)
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "extra": 1}\n')
    assert any("'extra'" in w for w in project.sync().streams[0].warnings)


def test_warn_mode_keeps_a_foreign_key_wherever_it_appears(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project, schema_validation_mode="warn")
    project.write("data/a.jsonl", filler(400 << 10) + b'{"id": 2, "extra": {"a": 1.0}}\n')
    receipt = project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert project.rows().filter(pl.col("id") == 2).rows() == [(2, None, '{"a": 1.0}')]


def test_a_column_is_missing_only_when_every_line_was_looked_at(project: Project) -> None:
    project.asset([*FIELDS, {"name": "wanted", "required": True}])
    jsonl_job(project)
    project.write("data/a.jsonl", lines({"id": 1, "name": "x", "wnated": 1}))
    error = project.sync().streams[0].error
    assert "the source lacks a required column" in error
    assert "wnated" in error
    project.write("data/a.jsonl", filler(400 << 10))
    receipt = project.sync()
    assert "missing_required" in {r.rule for r in receipt.streams[0].rules}
    assert receipt.streams[0].status == "refused"


def test_columns_of_files_are_united_and_counted(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project, "data/*.jsonl")
    project.write("data/a.jsonl", lines({"id": 1, "x": 1}))
    project.write("data/b.jsonl", lines({"y": 2, "id": 2}))
    extract = read(project)
    assert [(c.name, c.files) for c in extract.columns] == [("id", 2), ("x", 1), ("y", 1)]
    assert extract.frame.select("id", "x", "y", FILE).collect().rows() == [("1", "1", None, 0), ("2", None, "2", 1)]


def test_keys_without_end_are_cut_off_with_a_note(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project)
    project.write("data/a.jsonl", lines(*({"id": i, f"key{i}": i} for i in range(3000))))
    extract = read(project)
    assert len(extract.columns) < 1100
    assert any("keys are not in the contract" in n for n in extract.notes)
    assert extract.frame.select("id").collect()["id"].to_list() == [str(i) for i in range(3000)]


def test_names_that_no_column_can_have_are_left_out_with_a_note(project: Project) -> None:
    project.asset(FIELDS)
    for mode in ("strict", "warn"):
        jsonl_job(project, schema_validation_mode=mode)
        project.write("data/a.jsonl", lines({"id": 1, "__dativo_row": 99, "*": 1, "^id$": 2, "": 3, " ": 4}))
        extract = read(project)
        assert [c.name for c in extract.columns] == ["id"]
        assert any(all(f"'{n}'" in note for n in ("__dativo_row", "*", "^id$", "", " ")) for note in extract.notes)
        assert project.sync(full_refresh=True).exit_code == 0
    assert project.rows()["id"].to_list() == [1]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(json.dumps([{"id": 1}], indent=1), "jq -c '.[]'"), (json.dumps({"id": 1, "name": "x"}, indent=1), "jq -c '.'")],
    ids=["array", "pretty"],
)
def test_json_that_is_not_in_lines_is_recognised(project: Project, content: str, remedy: str) -> None:
    project.asset(FIELDS)
    jsonl_job(project)
    project.write("data/a.jsonl", content)
    extract = read(project)
    assert extract.frame.collect()[FAULT].null_count() == 0
    assert any(remedy in n for n in extract.notes)
    (finding,) = connectors.source(project.load()).check(project.load().streams[0])
    assert not finding["ok"]
    assert remedy in finding["hint"]


def test_odd_keys_are_columns(project: Project) -> None:
    odd = ["a b", 'quo"te', "back\\slash", "päß", "a.b", "$x", "1", "**", "^a", "a|b$", "tab\t", "😀", "true", " x "]
    project.asset(FIELDS)
    jsonl_job(project)
    escaped = json.dumps(dict.fromkeys(odd, 0.5))
    bare = json.dumps(dict.fromkeys(odd, 1.25), ensure_ascii=False)
    project.write("data/a.jsonl", f"{escaped}\n{bare}\n" * 50)
    frame = read(project).frame.collect(engine="streaming")
    assert frame[FAULT].null_count() == 100
    for key in odd:
        assert frame[key].to_list() == ["0.5", "1.25"] * 50


def test_a_key_inside_a_value_is_not_the_column(project: Project) -> None:
    content = b'{"in": {"price": 1.5, "n": [{"price": 2.5}]}, "t": "\\"price\\": 9.75,", "price": 3.50, "n": [7.0]}\n'
    assert (
        rows(project, content * 100, "price", "n", "in")
        == [("3.50", "[7.0]", '{"price": 1.5, "n": [{"price": 2.5}]}')] * 100
    )


def test_wide_and_deep_lines_are_read(project: Project) -> None:
    wide = {f"c{i}": i / 8 for i in range(700)}
    deep: Any = 1.5
    for _ in range(60):
        deep = {"d": [deep]}
    found = rows(project, lines({**wide, "deep": deep}) * 30, "c0", "c699", "deep", FAULT)
    assert found == [("0.0", "87.375", json.dumps(deep), None)] * 30


def test_a_wrong_option_is_told_before_anything_is_read(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project, options={"encoding": "utf-99", "timezone": "Mars/Olympus"})
    with pytest.raises(ConfigError) as caught:
        connectors.source(project.load())
    assert len(caught.value.problems()) == 2


def test_a_damaged_archive_is_a_source_error(project: Project) -> None:
    project.asset(FIELDS)
    jsonl_job(project)
    packed = gzip.compress(lines(*({"id": i, "name": random.Random(i).random()} for i in range(50_000))))
    project.write("data/a.jsonl", packed[: len(packed) // 2])
    with pytest.raises(SourceError, match=r"a\.jsonl.*damaged"):
        read(project).frame.collect(engine="streaming")


# The same answer on every way: a reference that knows nothing of blocks, layouts or Polars.

KEYS = ["id", "name", "n", "päß", "a.b"]
texts = st.one_of(st.text(st.characters(codec="utf-8"), max_size=8), st.text('{}[]",:\\ kn1', max_size=12))
numbers = st.one_of(
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"@{d:f}@"),
)
scalars = st.one_of(texts, numbers, st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "k"]), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)
styles = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :  ")])


def written(value: Any, style: tuple[str, str], ascii_only: bool) -> bytes:
    text = json.dumps(value, separators=style, ensure_ascii=ascii_only)
    # Decimals are written bare, with all their places.
    return text.replace('"@', "").replace('@"', "").encode("utf-8", "surrogatepass")


def mutated(line: bytes, place: int, byte: int, kind: int) -> bytes:
    place %= len(line) + 1
    if kind == 0:
        return line[:place]
    if kind == 1:
        return line[:place] + bytes([byte]) + line[place:]
    return line[:place] + line[place + 1 :]


def expected(line: bytes) -> tuple[dict[str, Any], bool] | None:
    """The line's members, and whether it is good; None when it is blank."""
    repeated = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        repeated |= len(dict(found)) != len(found)
        return dict(found)

    def refuse(name: str) -> Any:
        raise ValueError(name)

    if not line.strip(b" \t\r"):
        return None
    try:
        found = json.loads(
            line.decode(), object_pairs_hook=pairs, parse_float=Exact, parse_int=Exact, parse_constant=refuse
        )
        good = isinstance(found, dict) and not repeated and b"\0" not in line
        for key, value in found.items() if good else ():
            f"{key}{value if isinstance(value, str) else ''}".encode()
    except ValueError:
        return {}, False
    return (found, True) if good else ({}, False)


class Exact(str):
    """A number's own text."""

    __slots__ = ()


def as_seen(value: Any) -> Any:
    """What the source has for a decoded value; nested ones decoded, because their white space is the file's."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else value


@given(
    st.lists(st.tuples(objects, styles, st.booleans(), st.booleans()), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 400), st.integers(0, 255), st.integers(0, 2)), max_size=4),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(0, 12),
)
def test_lines_are_read_as_a_plain_json_reader_reads_them(
    items: list[tuple[dict[str, Any], tuple[str, str], bool, bool]],
    damage: list[tuple[int, int, int, int]],
    end: bytes,
    taught: int,
) -> None:
    made = [written(dict(reversed(o.items())) if back else o, style, plain) for o, style, plain, back in items]
    for index, place, byte, kind in damage:
        if index < len(made) and byte not in b"\n\r":
            made[index] = mutated(made[index], place, byte, kind)
    layout = Layout()
    reader = RecordReader()
    good = (reader.read(line.decode(errors="surrogateescape")) for line in made[:taught])
    layout.learn([r.values for r in good if not r.fault])
    met: set[str] = set()
    parsed = read_lines(end.join(made), LineFormat(tuple(KEYS), layout, met.update))
    want = [e for e in map(expected, made) if e is not None]
    frame = parsed.frame
    assert parsed.records == frame.height == len(want)
    assert frame[ROW].to_list() == list(range(len(want)))
    assert frame[FAULT].is_null().to_list() == [ok for _, ok in want]
    for (found, ok), row in zip(want, frame.iter_rows(named=True), strict=True):
        for key in KEYS if ok else ():
            value = as_seen(found.get(key))
            seen = row[key]
            if isinstance(value, dict | list):
                seen = json.loads(seen, parse_float=Exact, parse_int=Exact)
            assert seen == value
