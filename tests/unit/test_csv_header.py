"""The header of a CSV file: which columns it names, and what is said when it cannot be used."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from dativo.errors import SourceError
from dativo.sources.csv_header import Header, read_header
from dativo.sources.csv_record import Dialect


def header(
    data: bytes,
    *,
    piece: int = 5,
    delimiter: str = ",",
    quote: str | None = '"',
    has_header: bool = True,
    skip_rows: int = 0,
    comment: str | None = None,
) -> Header:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), piece):
            yield data[start : start + piece]

    return read_header(
        pieces,
        Dialect(delimiter, quote),
        "x.csv",
        has_header=has_header,
        skip_rows=skip_rows,
        comment=comment,
        names=("one", "two"),
    )


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("data", "columns", "start"),
    [
        (b"a,b\n1,2\n", ("a", "b"), 4),
        (b"a,b\r\n1,2\r\n", ("a", "b"), 5),
        (b"a,b", ("a", "b"), 3),
        (b"\n\r\n\na,b\n1,2\n", ("a", "b"), 8),
        (b'"a,1","b ""2"""\n1,2\n', ("a,1", 'b "2"'), 16),
        (b'"line\none","x""\ny",z\n1,2,3\n', ("line\none", 'x"\ny', "z"), 21),
        (b"a,,\n1,2,3\n", ("a", "column_2", "column_3"), 4),
        (b" a , b\n1,2\n", (" a ", " b"), 7),
        (b"\xc3\xa9,\xe2\x82\xac\n1,2\n", ("é", "€"), 7),
        (b"a,b\r1,2\r", ("a", "b"), 4),
        (b'"a\rb",c\r1,2\r', ("a\rb", "c"), 8),
    ],
    ids=repr,
)
def test_columns_and_where_the_data_begins(data: bytes, columns: tuple[str, ...], start: int, piece: int) -> None:
    found = header(data, piece=piece)
    assert (found.columns, found.start, found.empty) == (columns, start, False)
    assert found.lone_returns == (b"\n" not in data and b"\r" in data)


@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_delimiters_of_several_characters(piece: int) -> None:
    data = b'a||"b||c"||d|e\n1||2||3\n'
    found = header(data, piece=piece, delimiter="||")
    assert (found.columns, found.start) == (("a", "b||c", "d|e"), data.index(b"1||"))


def test_lines_are_skipped_before_the_header_and_comments_too() -> None:
    found = header(b'"open quote\nx,y,z\n\n# note\na,b\n1,2\n', skip_rows=2, comment="#")
    assert (found.columns, found.start) == (("a", "b"), 30)


def test_without_a_header_the_contracts_columns_are_taken_in_order() -> None:
    found = header(b"# note\n1,2\n", has_header=False, comment="#")
    assert (found.columns, found.start, found.empty) == (("one", "two"), 7, False)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only a comment\n", b"x"], ids=repr)
def test_a_file_without_a_record_is_empty(data: bytes) -> None:
    assert header(data, comment="#", skip_rows=1 if data == b"x" else 0).empty
    assert header(b"", has_header=False) == Header(("one", "two"), 0, empty=True)


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"a,b,a\n", "names the column 'a' twice (positions 1 and 3)", "rename one of them"),
        (b"column_2,\n", "names the column 'column_2' twice", "rename"),
        (b'"a"x,b\n', "cannot be read: quote: text follows a closing quote", "quote_char"),
        (b'a,"b\n1,2\n', "opens a quote that does not end", "quote_char"),
        (b'a,"b', "opens a quote that does not end", "quote_char"),
        (b'a,"b\n1,"2\n', "cannot be read: quote: text follows", "quote_char"),
        (b"a\0,b\n", "holds NUL bytes", "utf-16-le"),
        (b"\xe9,b\n", "is not UTF-8", "latin-1"),
        (b"__dativo_row,b\n", "names that start so are kept for dativo itself", "rename"),
    ],
    ids=repr,
)
def test_a_header_that_cannot_be_used_is_told(data: bytes, message: str, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        header(data)
    assert "x.csv" in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_another_number_of_fields_than_the_contract_without_a_header() -> None:
    with pytest.raises(SourceError, match="has 3 fields in its first record, the contract has 2 columns"):
        header(b"1,2,3\n", has_header=False)


def test_a_first_line_of_many_megabytes_is_refused() -> None:
    with pytest.raises(SourceError, match="longer than 16 MiB"):
        header(b"x" * (18 << 20), piece=1 << 20)


def test_an_open_quote_in_the_header_is_told_before_the_whole_file_is_read() -> None:
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        yield b'a,"b\n'
        for _ in range(256):
            read += 1
            yield b"1,2\n" * (1 << 18)

    started = time.process_time()
    with pytest.raises(SourceError, match="opens a quote that does not end"):
        read_header(pieces, Dialect(",", '"'), "x.csv", has_header=True, skip_rows=0, comment=None, names=())
    assert read <= 2
    assert time.process_time() - started < 30
