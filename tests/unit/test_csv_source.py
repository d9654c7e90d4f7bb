"""CSV files as a source: every record of every file with its number and fault, whatever the encoding and packing."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from dativo.errors import SourceError
from dativo.sources import blocks, text
from dativo.sources.csv import CsvSource
from dativo.sources.protocol import FAULT, FILE, ROW, TEXT, Extract, Meter
from tests.csv_model import Row, read
from tests.project import Project

NAMES = ("a", "b", "c")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few bytes, so that records cross them."""
    monkeypatch.setattr(blocks, "BLOCK", 16)
    monkeypatch.setattr(blocks, "_TAIL", 8)
    monkeypatch.setattr(text, "PIECE", 7)


def extract(
    project: Project, meter: Meter | None = None, limit: int | None = None, path: str = "data/*", **options: Any
) -> Extract:
    project.asset([{"name": n} for n in NAMES])
    project.job(source={"files": [{"path": path}], "engine": {"type": "native", "options": options}})
    job = project.load()
    return CsvSource(job).read(job.streams[0], None, meter=meter or Meter(), limit=limit)


def rows_of(found: Extract, columns: tuple[str, ...] = NAMES) -> list[Row]:
    """The records in the model's form; their numbers are checked on the way."""
    frame = found.frame.collect(engine="streaming").sort(FILE, ROW)
    for _, one in frame.group_by(FILE):
        assert one[ROW].sort().to_list() == list(range(1, one.height + 1))
    rows = []
    for record in frame.select(*columns, FAULT, TEXT).iter_rows():
        *values, fault, raw = record
        rows.append(Row(None, tuple(values), raw) if fault is None else Row(fault.split(":")[0], None, raw))
    return rows


texts = st.text(alphabet=st.sampled_from(list('ab,,""\n\n\r é\0😀\ufeff')), max_size=120)


def clear(project: Project) -> None:
    for path in project.root.glob("data/*"):
        path.unlink()


@pytest.mark.usefixtures("tiny")
@given(texts)
@example('1,"x\n2,y,z\n3,"x\ny",z\n')
def test_records_that_cross_blocks_are_read_once(project: Project, content: str) -> None:
    clear(project)
    # One line feed in the header, so that a text without any is not taken for one of carriage returns.
    project.write("data/x.csv", "a,b,c\n" + content)
    assert rows_of(extract(project)) == read(content.encode(), 3)


@pytest.mark.usefixtures("tiny")
@given(st.binary(max_size=80))
def test_any_bytes_give_records_or_faults(project: Project, content: bytes) -> None:
    clear(project)
    project.write("data/x.csv", b"a,b,c\n" + content)
    assert rows_of(extract(project)) == read(content, 3)


def packed(content: bytes, packing: str) -> bytes:
    if packing == "gzip":
        half = len(content) // 2
        return gzip.compress(content[:half]) + gzip.compress(content[half:]) + b"\0" * 5
    if packing == "zstd":
        half = len(content) // 2
        return zstandard.compress(content[:half]) + zstandard.compress(content[half:])
    if packing == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.csv", content)
        return stream.getvalue()
    return content


@pytest.mark.usefixtures("tiny")
@given(texts, st.sampled_from(["none", "gzip", "zstd", "zip"]), st.booleans())
def test_compressed_files_give_the_same_records(project: Project, content: str, packing: str, said: bool) -> None:
    clear(project)
    project.write("data/x.csv", packed(("a,b,c\n" + content).encode(), packing))
    options = {"compression": packing} if said else {}
    assert rows_of(extract(project, **options)) == read(content.encode(), 3)


@pytest.mark.usefixtures("tiny")
@given(
    st.text(alphabet=st.sampled_from(list('ab,,""\n\n é€')), max_size=60),
    st.sampled_from(
        ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "cp1252", "iso8859-15", "gb18030"]
    ),
    st.booleans(),
)
def test_other_encodings_give_the_same_records(project: Project, content: str, encoding: str, mark: bool) -> None:
    clear(project)
    whole = "a,b,c\n" + content
    data = whole.encode(encoding)
    if mark and encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):
        data = "\ufeff".encode(encoding) + data
    project.write("data/x.csv", data)
    assert rows_of(extract(project, encoding=encoding)) == read(content.encode(), 3)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(project: Project, encoding: str) -> None:
    project.write("data/x.csv", "a,b,c\né,2,😀\n".encode(encoding))
    assert rows_of(extract(project)) == [Row(None, ("é", "2", "😀"), None)]


def test_a_second_byte_order_mark_is_part_of_the_data(project: Project) -> None:
    project.write("data/x.csv", "\ufeffa,b,c\n\ufeff1,2,3\n".encode())
    assert rows_of(extract(project)) == [Row(None, ("\ufeff1", "2", "3"), None)]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("delimiter", ["||", "~|~", "§", "::", "\x1f"])
@given(content=st.text(alphabet=st.sampled_from(list('ab|~:§"\n\x1f\x1e')), max_size=60))
def test_delimiters_of_several_characters(project: Project, delimiter: str, content: str) -> None:
    clear(project)
    project.write("data/x.csv", delimiter.join(NAMES) + "\n" + content)
    found = rows_of(extract(project, delimiter=delimiter))
    assert found == read(content.encode(), 3, delimiter)


@pytest.mark.usefixtures("tiny")
@given(st.text(alphabet=st.sampled_from(list('ab,""\r\r')), max_size=60))
def test_files_that_end_lines_with_carriage_returns(project: Project, content: str) -> None:
    clear(project)
    project.write("data/x.csv", "a,b,c\r" + content)
    swapped = [
        Row(
            row.fault,
            row.values and tuple(v if v is None else v.replace("\n", "\r") for v in row.values),
            row.text and row.text.replace("\n", "\r"),
        )
        for row in read(content.replace("\r", "\n").encode(), 3)
    ]
    assert rows_of(extract(project)) == swapped


def test_files_with_other_columns_or_another_order_are_united(project: Project) -> None:
    project.write("data/1.csv", "a,b,c\n1,2,3\n")
    project.write("data/2.csv", "c,a,b\n6,4,5\n\n9,7,8\n")
    project.write("data/3.csv", "b,d\n11,12\n13\n")
    found = extract(project)
    assert [c.name for c in found.columns] == ["a", "b", "c", "d"]
    assert [c.files for c in found.columns] == [2, 3, 2, 1]
    frame = found.frame.collect().sort(FILE, ROW)
    assert frame.select("a", "b", "c", "d", FILE, ROW, FAULT).rows() == [
        ("1", "2", "3", None, 0, 1, None),
        ("4", "5", "6", None, 1, 1, None),
        ("7", "8", "9", None, 1, 2, None),
        (None, "11", None, "12", 2, 1, None),
        (None, "13", None, None, 2, 2, "ragged: 1 field, expected 2"),
    ]


def test_each_file_of_an_archive_is_a_file(project: Project) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("b/two.csv", "c,b,a\n3,2,1\n")
        archive.writestr("one.csv", "a,b,c\n4,5,6\n")
        archive.writestr("__MACOSX/._one.csv", "clutter")
    project.write("data/x.zip", stream.getvalue())
    found = extract(project)
    assert found.files == ("data/x.zip!b/two.csv", "data/x.zip!one.csv")
    assert [r.values for r in rows_of(found)] == [("1", "2", "3"), ("4", "5", "6")]


def test_rows_are_skipped_and_comments_left_out(project: Project) -> None:
    project.write("data/x.csv", 'made by, hand\n\n# note\na,b,c\n# no row\n1,2,3\n\n4,"#\n#",6\n')
    assert [r.values for r in rows_of(extract(project, skip_rows=1, comment="#"))] == [
        ("1", "2", "3"),
        ("4", "#\n#", "6"),
    ]


def test_an_empty_comment_mark_marks_nothing(project: Project) -> None:
    project.write("data/x.csv", "a,b,c\n1,2,3\n")
    assert [r.values for r in rows_of(extract(project, comment=""))] == [("1", "2", "3")]


def test_without_a_header_fields_are_in_the_contracts_order(project: Project) -> None:
    project.write("data/x.csv", "1,2,3\n4,5\n")
    assert rows_of(extract(project, has_header=False)) == [
        Row(None, ("1", "2", "3"), None),
        Row("ragged", None, "4,5"),
    ]


def test_an_empty_file_without_a_header_has_no_rows(project: Project) -> None:
    project.write("data/x.csv", "")
    assert rows_of(extract(project, has_header=False)) == []


@pytest.mark.parametrize("limit", [0, 1, 7, 50, 1000])
def test_a_limit_reads_so_many_rows_and_no_more(project: Project, limit: int) -> None:
    for number in range(3):
        project.write(f"data/{number}.csv", "a,b,c\n" + "".join(f"{number},{n},x\n" for n in range(30)))
    meter = Meter()
    frame = extract(project, meter, limit).frame.collect(engine="streaming")
    assert frame.height == min(limit, 90)
    assert meter.rows <= max(limit, 1) + 30


@pytest.mark.usefixtures("tiny")
def test_filters_projections_and_heads_are_those_of_the_whole_frame(project: Project) -> None:
    project.write("data/x.csv", "a,b,c\n" + "".join(f"{n},{n % 3},x{n}\n" for n in range(200)))
    frame = extract(project).frame
    whole = frame.collect()
    condition = pl.col("b") == "1"
    assert frame.filter(condition).select("c", ROW).collect().equals(whole.filter(condition).select("c", ROW))
    assert frame.select("c", "a").collect().equals(whole.select("c", "a"))
    assert frame.head(17).collect().equals(whole.head(17))
    assert frame.filter(condition).head(5).collect().equals(whole.filter(condition).head(5))
    assert frame.head(5).filter(condition).collect().equals(whole.head(5).filter(condition))


def test_the_meter_counts_every_byte_and_row(project: Project) -> None:
    content = "a,b,c\n" + "".join(f"{n},{n},x\n" for n in range(1000))
    project.write("data/1.csv", content)
    project.write("data/2.csv", packed(content.encode(), "zip"))
    meter = Meter()
    extract(project, meter).frame.collect()
    assert meter.rows == 2000
    assert meter.bytes <= meter.total_bytes == 2 * len(content)
    assert meter.bytes >= meter.total_bytes - len("a,b,c\n")


@pytest.mark.usefixtures("tiny")
def test_a_record_that_never_ends_is_given_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dativo.sources.csv_careful.MAX_RECORD", 64)
    content = '1,"x,y\n' + "".join(f"{n},b,c\n" for n in range(2, 60)) + '60,"p\nq",r\n'
    project.write("data/x.csv", "a,b,c\n" + content)
    found = rows_of(extract(project))
    assert found[0] == Row("unclosed_quote", None, '1,"x,y')
    assert [r.values for r in found[1:-1]] == [(str(n), "b", "c") for n in range(2, 60)]
    assert found[-1].values == ("60", "p\nq", "r")


def test_a_line_that_never_ends_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 1 << 20)
    monkeypatch.setattr(blocks, "MAX_LINE", 3 << 20)
    project.write("data/x.csv", b"a,b,c\n1,2," + b"x" * (8 << 20) + b"\n")
    with pytest.raises(SourceError, match="has a line of more than 3 MiB"):
        extract(project).frame.collect()
    project.write("data/x.csv", gzip.compress(b"a,b,c\n1,2," + b"x" * (24 << 20) + b"\n"))
    with pytest.raises(SourceError, match="has a line of more than 3 MiB"):
        extract(project).frame.collect()


def damaged(project: Project, content: bytes) -> SourceError:
    project.write("data/x.csv", content)
    with pytest.raises(SourceError) as caught:
        extract(project).frame.collect()
    return caught.value


def many() -> bytes:
    return ("a,b,c\n" + "".join(f"{n},{n * 7919 % 1000003},x{n}\n" for n in range(5000))).encode()


def truncations() -> Iterator[tuple[str, int]]:
    for packing in ("gzip", "zstd"):
        whole = len(packed(many(), packing))
        for kept in (whole - 1, whole * 3 // 4, whole // 2 - 3, whole // 4, 30):
            yield packing, kept


@pytest.mark.parametrize(("packing", "kept"), list(truncations()))
def test_a_truncated_archive_never_passes_for_a_shorter_file(project: Project, packing: str, kept: int) -> None:
    content = many()
    data = gzip.compress(content) if packing == "gzip" else zstandard.compress(content)
    error = damaged(project, data[: min(kept, len(data) - 1)])
    assert "damaged" in error.message
    assert "x.csv" in error.message


@pytest.mark.parametrize("packing", ["gzip", "zstd", "zip"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_flipped_bit_in_an_archive_is_found(project: Project, packing: str, share: float) -> None:
    content = many()
    data = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(content)
        if packing == "zstd"
        else packed(content, packing)
    )
    data[int(len(data) * share)] ^= 0x10
    assert any(word in damaged(project, bytes(data)).message for word in ("damaged", "not a zip archive"))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_is_found_in_every_method_of_zip(project: Project, method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("x.csv", many())
    good = stream.getvalue()
    project.write("data/x.csv", good)
    assert extract(project).frame.collect().height == 5000
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 0xFF
    assert "damaged" in damaged(project, bytes(bad)).message


def test_an_archive_with_two_files_of_one_name_is_refused(project: Project) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.csv", "a,b,c\n1,2,3\n")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.csv", "a,b,c\n4,5,6\n")
    assert "holds two files named 'x.csv'" in damaged(project, stream.getvalue()).message


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_pieces_of_any_size_are_the_whole_file(project: Project, piece: int) -> None:
    content = ("a,b,c\n" + "é€😀,0,0\n" * 50).encode()
    from dativo.sources.files import LocalFile

    for packing in ("none", "gzip", "zstd", "zip"):
        path: Path = project.write("data/x.csv", packed(b"\xef\xbb\xbf" + content, packing))
        file = LocalFile(path, "x.csv", 0, 0, "x", False, "x.csv")
        assert b"".join(text.utf8_pieces(file, "auto", "utf-8", piece)) == content
    path = project.write("data/x.csv", content.decode().encode("utf-16"))
    file = LocalFile(path, "x.csv", 0, 0, "x", False)
    assert b"".join(text.utf8_pieces(file, "auto", "utf-8", piece)) == content


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("encoding", "data", "place"),
    [
        ("ascii", b"a,b,c\n1,2,3\n4,\xe9,6\n", 14),
        ("cp1252", b"a,b,c\n1,2,3\n4,\x81,6\n", 14),
        ("utf-16-le", "a,b,c\n1,2,3\n".encode("utf-16-le") + b"\x00\xd8x\x00", 24),
        ("shift_jis", "a,b,c\nテスト,2,3\n".encode("shift_jis") + b"\xff", 17),
    ],
)
def test_bytes_that_another_encoding_does_not_have_are_told_with_their_place(
    project: Project, encoding: str, data: bytes, place: int
) -> None:
    project.write("data/x.csv", data)
    with pytest.raises(SourceError, match=f"byte {place} cannot be read"):
        extract(project, encoding=encoding).frame.collect()


def test_a_zip_bomb_of_zeros_does_not_fill_memory(project: Project) -> None:
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(1024)) + compressor.flush()
    path = project.write("data/x.csv", bomb)
    from dativo.sources.files import LocalFile

    file = LocalFile(path, "x.csv", 0, 0, "x", False)
    sizes = [len(piece) for piece in text.utf8_pieces(file, "auto", "utf-8")]
    assert sum(sizes) == 1 << 30
    assert max(sizes) <= 512 << 20
