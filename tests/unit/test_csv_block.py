"""A block of CSV text is read exactly: against a slow reader, against Python's own, and where Polars would be lenient."""

from __future__ import annotations

import csv
import io
import itertools
import time

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dativo.sources.csv_block import BlockFormat, read_block, record_end
from dativo.sources.csv_bulk import exact
from dativo.sources.csv_record import Dialect
from dativo.sources.protocol import FAULT, ROW, TEXT
from tests.csv_model import Row, read

NAMES = ("a", "b", "c", "d")


def block(
    data: bytes, columns: int = 2, delimiter: str = ",", quote: str | None = '"', comment: str | None = None
) -> list[Row]:
    """The whole text as one block, in the model's form; row numbers are checked on the way."""
    form = BlockFormat(Dialect(delimiter, quote), NAMES[:columns], comment)
    parsed = read_block(data, form, at_end=True)
    assert parsed.rest == b""
    assert parsed.records == parsed.frame.height
    assert parsed.frame[ROW].to_list() == list(range(parsed.records))
    return as_rows(parsed.frame, columns)


def as_rows(frame: pl.DataFrame, columns: int) -> list[Row]:
    rows = []
    for record in frame.select(*NAMES[:columns], FAULT, TEXT).iter_rows():
        *values, fault, text = record
        rows.append(Row(None, tuple(values), text) if fault is None else Row(fault.split(":")[0], None, text))
    return rows


@pytest.mark.parametrize("columns", [1, 2])
def test_every_short_text_is_read_as_the_model_reads_it(columns: int) -> None:
    for length in range(1, 5):
        for characters in itertools.product('a,"\n\r', repeat=length):
            data = "".join(characters).encode()
            assert block(data, columns) == read(data, columns), data


# Polars takes each of these for clean and changes what it says, or gives up on it.
LENIENT = [
    b'1,"he said "hi" to me"\n',
    b'1,""a""\n',
    b'1,"a,"b",c"\n',
    b'1,x"q,\n',
    b'1,x"q"\n\n',
    b'1,"abc',
    b'1,"""',
    b'1,"abc\n2,x\n',
    b"1,a\r,\n",
    b"a\r,b\r\n",
    b'1,"a\r\nb"\n2\r,c\r\n',
    b"1,a\r\r\n",
    b"1,x,,\n2,y\n",
    b"1,x,,,,\n",
    b"\xef\xbb\xbf1,x\n",
    b"x\x01,y\n",
    b"x^,y\n",
    b"x\x9c,y\n",
    b"\x1f\x8b\x08,y\n",
    b"\x28\xb5\x2f\xfd,y\n",
    b"1,x\0y\n",
    b"1,caf\xe9\n2,y\n",
    b'1,"caf\xe9\n2,y"\n3,z\n',
    b"\n\n\n1,x\n\n",
    b"1\n2,,,\n,,\n",
    b",\n",
    b'"",""\n',
    b'"a\n\n\nb",c\n',
    b'1,"x",y\n2,"u"\n',
]


@pytest.mark.parametrize("data", LENIENT, ids=repr)
def test_what_polars_is_lenient_about_is_read_as_the_model_reads_it(data: bytes) -> None:
    assert block(data) == read(data, 2)


@pytest.mark.parametrize("data", LENIENT, ids=repr)
def test_one_odd_record_among_many_clean_ones_does_not_touch_them(data: bytes) -> None:
    clean = b"".join(b"%d,value %d\n" % (n, n) for n in range(300))
    text = clean + data + (b"" if data.endswith(b"\n") else b"\n") + clean
    assert block(text) == read(text, 2)


texts = st.text(alphabet=st.sampled_from(list('ab,,""\n\n\r é\0😀\ufeff')), max_size=80)


@given(texts, st.integers(1, 4))
@example('1,"a,"b",c"\n', 2)
def test_any_text_is_read_as_the_model_reads_it(text: str, columns: int) -> None:
    data = text.encode()
    assert block(data, columns) == read(data, columns)


@given(st.binary(max_size=60), st.integers(1, 3))
def test_any_bytes_are_read_as_the_model_reads_them(data: bytes, columns: int) -> None:
    assert block(data, columns) == read(data, columns)


@given(
    st.text(alphabet=st.sampled_from(list("ab;|\t:'\"~^&-[]\\ .*+?$(){}\n")), max_size=60),
    st.sampled_from(list(";|\t:~^&-[]\\ .*+?$(){}")),
)
def test_any_delimiter_is_taken_literally(text: str, delimiter: str) -> None:
    assert block(text.encode(), 2, delimiter) == read(text.encode(), 2, delimiter)


@given(
    st.text(alphabet=st.sampled_from(list("ab,'^\\|.\n")), max_size=60),
    st.sampled_from(["'", "^", "\\", "|", ".", None]),
)
def test_any_quote_is_taken_literally(text: str, quote: str | None) -> None:
    assert block(text.encode(), 2, quote=quote) == read(text.encode(), 2, quote=quote)


@given(st.text(alphabet=st.sampled_from(list('ab,"#\n')), max_size=60), st.integers(1, 3))
def test_comments_are_left_out_but_not_inside_quotes(text: str, columns: int) -> None:
    assert block(text.encode(), columns, comment="#") == read(text.encode(), columns, comment="#")


values = st.text(alphabet=st.sampled_from(list('abé,"\n\r ;\t0')), max_size=8)


@given(
    st.lists(st.lists(values, min_size=1, max_size=4), max_size=12),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_pythons_csv_module_writes_comes_back(rows: list[list[str]], quoting: int, end: str) -> None:
    if end == "\n" and quoting == csv.QUOTE_MINIMAL:
        # Here the module writes a carriage return without quotes, and reads a line break from it.
        rows = [[v.replace("\r", "") for v in row] for row in rows]
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=quoting, lineterminator=end).writerows(rows)
    text = stream.getvalue()
    wanted = [r for r in csv.reader(io.StringIO(text, newline=""), strict=True) if r]
    found = block(text.encode(), 3)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        if len(theirs) == 3:
            assert ours.fault is None
            assert [v or "" for v in ours.values or ()] == theirs
        else:
            assert ours.fault == "ragged"


@given(texts)
def test_what_pythons_csv_module_reads_strictly_is_read_alike(text: str) -> None:
    bare = text.replace("\r", "")
    try:
        wanted = [r for r in csv.reader(io.StringIO(bare, newline=""), strict=True) if r]
    except csv.Error:
        return
    found = block(bare.encode(), 2)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.fault is None) == (len(theirs) == 2 and "\0" not in "".join(theirs))
        if ours.fault is None:
            assert [v or "" for v in ours.values or ()] == theirs


@given(texts, st.integers(1, 30), st.integers(1, 3))
def test_a_text_in_two_blocks_gives_the_same_records(text: str, position: int, columns: int) -> None:
    data = text.encode()
    cut = data.rfind(b"\n", 0, position) + 1
    form = BlockFormat(Dialect(",", '"'), NAMES[:columns])
    first = read_block(data[:cut], form, at_end=False)
    second = read_block(first.rest + data[cut:], form, at_end=True)
    assert as_rows(first.frame, columns) + as_rows(second.frame, columns) == read(data, columns)


@given(texts, st.integers(0, 80))
def test_a_cut_for_blocks_is_after_a_line_break(text: str, start: int) -> None:
    piece = text.encode()[start:]
    end = record_end(piece, Dialect(",", '"'))
    assert (end == 0 and b"\n" not in piece) or piece[end - 1 : end] == b"\n"


@pytest.mark.parametrize("start", [0, 5, 12, 20, 33])
def test_blocks_of_records_with_line_breaks_are_cut_between_records(start: int) -> None:
    text = b"".join(b'%d,"line one\nline ""two"", and\nthree",x\n' % n for n in range(1000, 1050))[start:]
    end = record_end(text[:-7], Dialect(",", '"'))
    assert text[end:].startswith(b"1049,")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "line",
    [
        b"%d,x,y",
        b'"%d","x","y"',
        b'%d,"a, b","y"',
        b'%d,"a ""b"" c","y"',
        b'%d,"one\ntwo",y',
        b'%d,"one\r\ntwo",y',
        b"%d,x\xc3\xa9,\xf0\x9f\x98\x80",
    ],
    ids=repr,
)
def test_clean_text_takes_the_fast_way(line: bytes, end: bytes) -> None:
    data = b"".join(line % n + end for n in range(50))
    frame = exact(data, BlockFormat(Dialect(",", '"'), NAMES[:3]))
    assert frame is not None
    assert as_rows(frame, 3) == read(data, 3)


def test_a_block_that_ends_inside_a_record_takes_the_fast_way_up_to_it() -> None:
    form = BlockFormat(Dialect(",", '"'), NAMES[:2])
    parsed = read_block(b'1,"a\nb"\n2,"c\nd\n', form, at_end=False)
    assert as_rows(parsed.frame, 2) == [Row(None, ("1", "a\nb"), None)]
    assert parsed.rest == b'2,"c\nd\n'


def test_a_field_of_ten_megabytes_is_one_value() -> None:
    long = b"x" * (5 << 20) + b'""' + b"y\n" * (5 << 19)
    data = b'1,"' + long + b'"\n2,z\n'
    found = block(data)
    assert [r.fault for r in found] == [None, None]
    assert found[0].values == ("1", long.decode().replace('""', '"'))
    assert found[1].values == ("2", "z")


def test_many_columns_with_quotes_are_read() -> None:
    width = 6000
    form = BlockFormat(Dialect(",", '"'), tuple(f"c{n}" for n in range(width)))
    good = ",".join(f'"v,{n}"' for n in range(width))
    parsed = read_block(f"{good}\n1,2\n{good}\n".encode(), form, at_end=True)
    assert parsed.frame[FAULT].to_list() == [None, "ragged: 2 fields, expected 6000", None]
    assert parsed.frame["c5999"].to_list() == ["v,5999", None, "v,5999"]


@pytest.mark.parametrize(
    "data",
    [
        b'1,"open\n' + b'""\n' * 200_000,
        b'1,"open\n' + b'a","b\n' * 100_000,
        b'1,"open\n' * 100_000,
        b'x,"a\nb"\n' * 60_000 + b"ragged\n",
        b'"' * 400_001 + b"\n",
    ],
    ids=["doubled", "closing and opening", "open everywhere", "many lines", "quotes"],
)
def test_unclosed_quotes_take_time_in_proportion_to_the_text(data: bytes) -> None:
    started = time.process_time()
    rows = block(data)
    assert rows[0].fault in ("unclosed_quote", None)
    # A reader that starts again at every line takes hours for these.
    assert time.process_time() - started < 30
