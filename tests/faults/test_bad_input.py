"""Input that is not what the job says: a run ends with 2 and says why, the table stays as it was, no row is lost."""

from __future__ import annotations

import gzip
import io
import os
import socket
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dativo import ConfigError, Receipt
from dativo.sources import blocks
from tests.project import Project

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "required": True},
    {"name": "name"},
    {"name": "note"},
]
GOOD = "id,name,note\n1,Ann,x\n2,Bob,y\n"


@pytest.fixture
def loaded(project: Project) -> Project:
    """A project whose table has two rows already."""
    project.write("data/people.csv", GOOD)
    project.asset(FIELDS)
    project.job(schema_validation_mode="quarantine")
    assert project.sync().exit_code == 0
    return project


def refused(project: Project, message: str, hint: str = "", status: str = "failed") -> str:
    """Runs; the run fails with such an error and changes nothing. The error."""
    before = project.table().metadata
    receipt = project.sync()
    error = receipt.streams[0].error
    assert (receipt.status, receipt.exit_code) == (status, 2), error
    assert message in error
    assert hint in error
    assert "Traceback" not in error
    assert project.table().metadata == before
    assert project.rows().rows() == [(1, "Ann", "x"), (2, "Bob", "y")]
    assert not list(project.root.glob(".local/staging/*"))
    return error


def rejected(project: Project, content: str | bytes, faults: list[tuple[int, str]], names: list[str]) -> Receipt:
    """Runs over a file; such records are rejected, the rows with such names are loaded, and nothing else happens."""
    project.write("data/people.csv", content)
    receipt = project.sync()
    stream = receipt.streams[0]
    assert (receipt.status, receipt.exit_code) == ("loaded", 1), stream.error
    assert project.rows()["name"].to_list() == names
    assert (stream.extracted, stream.loaded, stream.rejected) == (len(faults) + len(names), len(names), len(faults))
    kept = project.rejects().sort("row").select("row", "rule", "column").rows()
    assert kept == [(row, rule, None) for row, rule in faults]
    return receipt


# -- files that are not there or are no files --------------------------------------------------------------------------


def test_a_missing_file(loaded: Project) -> None:
    (loaded.root / "data/people.csv").rename(loaded.root / "data/people2.csv")
    refused(loaded, "file not found: 'data/people.csv'", "did you mean data/people2.csv?")


def test_a_pattern_without_files(loaded: Project) -> None:
    loaded.job(source={"files": [{"path": "data/2024-*.csv"}]}, schema_validation_mode="quarantine")
    refused(loaded, "no file matches 'data/2024-*.csv'", "looked at: data/2024-*.csv")


def replaced(project: Project, make: Callable[[Path], object]) -> None:
    path = project.root / "data/people.csv"
    path.unlink()
    make(path)


def test_a_folder(loaded: Project) -> None:
    replaced(loaded, Path.mkdir)
    refused(loaded, "'data/people.csv' is a directory", "name the files in it")


def test_a_pipe_is_not_waited_for(loaded: Project) -> None:
    replaced(loaded, os.mkfifo)
    started = time.monotonic()
    refused(loaded, "is a pipe, a socket or a device")
    assert time.monotonic() - started < 60


def test_a_socket(loaded: Project) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        replaced(loaded, lambda path: server.bind(str(path.relative_to(loaded.root))))
        refused(loaded, "is a pipe, a socket or a device")


def test_a_link_in_a_circle(loaded: Project) -> None:
    replaced(loaded, lambda path: path.symlink_to("people.csv"))
    refused(loaded, "Too many levels of symbolic links", "it is a link to 'people.csv'")


def test_a_file_that_may_not_be_read(loaded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.write("data/people.csv", GOOD + "3,Cid,z\n")
    # Tests may run as the superuser, whom no mode stops: the system's answer to anyone else is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(loaded, "'data/people.csv' cannot be read: no permission to read it", "check the file's permissions")


# -- files with nothing in them, or other columns ----------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n\n\r\n", "\ufeff"], ids=repr)
def test_an_empty_file(loaded: Project, content: str) -> None:
    loaded.write("data/people.csv", content)
    refused(loaded, "'data/people.csv' is empty: not even a header", "has_header: false")


def test_a_header_and_no_row_replaces_by_nothing(loaded: Project) -> None:
    loaded.write("data/people.csv", "id,name,note\n")
    receipt = loaded.sync()
    assert (receipt.status, receipt.exit_code, receipt.extracted) == ("loaded", 0, 0)
    assert loaded.rows().height == 0


def test_a_header_of_something_else(loaded: Project) -> None:
    loaded.write("data/people.csv", "sku;price\n1;2\n")
    error = refused(
        loaded, "none of the 3 columns of people 1.0 is in the source", "the contract wants: id, name, note"
    )
    assert "the source has: sku;price" in error


def test_a_header_without_a_required_column(loaded: Project) -> None:
    loaded.write("data/people.csv", "ids,name,note\n3,Cid,z\n")
    refused(loaded, "'id' (the source has 'ids': is it meant?)", "map a column with `physicalName`", status="refused")


def test_a_header_that_names_a_column_twice(loaded: Project) -> None:
    loaded.write("data/people.csv", "id,name,id\n3,Cid,z\n")
    refused(loaded, "names the column 'id' twice (positions 1 and 3)", "rename one of them")


def test_a_header_with_a_name_of_dativos_own(loaded: Project) -> None:
    loaded.write("data/people.csv", "id,name,note,__dativo_value_id\n3,Cid,z,9\n")
    refused(loaded, "names that start so are kept for dativo itself")


def test_a_header_whose_quote_does_not_end(loaded: Project) -> None:
    loaded.write("data/people.csv", 'id,"name,note\n' + "3,Cid,z\n" * 1000)
    refused(loaded, "the header of 'data/people.csv' opens a quote that does not end", "quote_char")


def test_a_first_record_of_another_width_without_a_header(loaded: Project) -> None:
    source = {"files": [{"path": "data/people.csv"}], "engine": {"type": "native", "options": {"has_header": False}}}
    loaded.job(source=source, schema_validation_mode="quarantine")
    loaded.write("data/people.csv", "3,Cid\n")
    refused(loaded, "has 2 fields in its first record, the contract has 3 columns", "has_header")


# -- text that is not what it should be --------------------------------------------------------------------------------


def test_another_encoding_in_the_header(loaded: Project) -> None:
    loaded.write("data/people.csv", "id,näme,note\n3,Cid,z\n".encode("latin-1"))
    refused(loaded, "the first line of 'data/people.csv' is not UTF-8", "latin-1")


def test_utf16_without_a_mark(loaded: Project) -> None:
    loaded.write("data/people.csv", GOOD.encode("utf-16-le"))
    refused(loaded, "holds NUL bytes", "utf-16-le")


def test_bytes_that_the_encoding_does_not_have(loaded: Project) -> None:
    options = {"encoding": "cp1252"}
    source = {"files": [{"path": "data/people.csv"}], "engine": {"type": "native", "options": options}}
    loaded.job(source=source, schema_validation_mode="quarantine")
    loaded.write("data/people.csv", b"id,name,note\n3,C\x81d,z\n")
    refused(loaded, "'data/people.csv' is not cp1252: byte 16 cannot be read", "check the option 'encoding'")


def test_records_in_another_encoding(loaded: Project) -> None:
    content = b"id,name,note\n3,Cid,z\n4,Zo\xe9,z\n5,D\xc3\xa9a,z\n"
    rejected(loaded, content, [(2, "encoding")], ["Cid", "Déa"])
    assert loaded.rejects()["record"].to_list() == ["4,Zo\\xe9,z"]


def test_records_with_too_few_and_too_many_fields(loaded: Project) -> None:
    content = "id,name,note\n3,Cid\n4,Dan,z\n5,Eve,z,\n6,Fay,z,more,,\n7\n\n8,Gil,\n"
    rejected(loaded, content, [(1, "ragged"), (3, "ragged"), (4, "ragged"), (5, "ragged")], ["Dan", "Gil"])
    assert loaded.rejects().sort("row")["value"].to_list() == [
        "2 fields, expected 3", "4 fields, expected 3", "6 fields, expected 3", "1 field, expected 3",
    ]  # fmt: skip


def test_nul_bytes(loaded: Project) -> None:
    rejected(loaded, b"id,name,note\n3,C\0d,z\n4,Dan,z\n\0,,\n", [(1, "nul_byte"), (3, "nul_byte")], ["Dan"])


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_quote_that_does_not_end(loaded: Project, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 64)
    monkeypatch.setattr(blocks, "_TAIL", 16)
    number = {"first": 0, "middle": 20, "last": 39}[place]
    lines = [f"{n},name {n},z" for n in range(40)]
    lines[number] = f'{number},"name {number},z'
    names = [f"name {n}" for n in range(40) if n != number]
    rejected(loaded, "id,name,note\n" + "\n".join(lines), [(number + 1, "unclosed_quote")], names)
    assert loaded.rejects()["record"].to_list() == [lines[number]]


def test_text_after_a_closing_quote(loaded: Project) -> None:
    rejected(loaded, 'id,name,note\n3,"Ci"d,z\n4,"D""an",z\n', [(1, "quote")], ['D"an'])


def test_a_field_of_ten_megabytes(loaded: Project) -> None:
    long = "x" * (10 << 20)
    loaded.write("data/people.csv", f'id,name,note\n3,Cid,"{long}\n"\n4,Dan,{long}\n')
    receipt = loaded.sync()
    assert (receipt.exit_code, receipt.loaded) == (0, 2)
    assert [len(v) for v in loaded.rows()["note"]] == [len(long) + 1, len(long)]
    rejected(loaded, f"id,name,note\n5,{long}\n6,Fay,z\n", [(1, "ragged")], ["Fay"])
    assert len(loaded.rejects()["record"][0]) == 1 << 16


# -- contracts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ([], "Asset definition has empty 'schema' field", "list the columns"),
        ([{"name": "id", "type": "intger"}], "unknown type 'intger'", "did you mean 'integer'?"),
        ([{"name": "id"}, {"name": "ID"}], "the column 'ID' stands twice", ""),
    ],
)
def test_a_contract_with_a_mistake(loaded: Project, fields: list[dict[str, Any]], message: str, hint: str) -> None:
    before = loaded.table().metadata
    loaded.asset(fields)
    with pytest.raises(ConfigError) as caught:
        loaded.sync()
    assert message in caught.value.render()
    assert hint in caught.value.render()
    assert "assets/people.yaml" in caught.value.render()
    assert caught.value.exit_code == 2
    assert loaded.table().metadata == before


def test_an_unknown_type_is_text_with_a_warning(loaded: Project) -> None:
    loaded.asset([FIELDS[0], {"name": "name", "type": "geography"}, FIELDS[2]])
    job = loaded.load()
    assert any("unknown type 'geography' is loaded as text" in w.message for w in job.warnings)


def test_a_key_column_that_the_source_lacks(loaded: Project) -> None:
    loaded.asset([{"name": "key", "type": "integer", "primary_key": True}, *FIELDS[1:]], name="other")
    loaded.job(asset_path="assets/other.yaml", schema_validation_mode="quarantine")
    receipt = loaded.sync()
    assert (receipt.status, receipt.exit_code) == ("refused", 2)
    assert "the source lacks a required column of other 1.0: 'key'" in receipt.streams[0].error
    assert not loaded.catalog().table_exists("default.other")


# -- archives ----------------------------------------------------------------------------------------------------------

MANY = ("id,name,note\n" + "".join(f"{n},{n * 7919 % 100003},z\n" for n in range(20_000))).encode()


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("people.csv", content)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, zipped], ids=["gzip", "zstd", "zip"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_an_archive_without_its_end(loaded: Project, pack: Callable[[bytes], bytes], share: float) -> None:
    whole = pack(MANY)
    loaded.write("data/people.csv", whole[: int(len(whole) * share)])
    error = refused(loaded, "'data/people.csv' is ")
    assert "damaged" in error or "not a zip archive" in error


def test_an_archive_with_a_wrong_byte(loaded: Project) -> None:
    data = bytearray(zipped(MANY))
    data[len(data) // 2] ^= 0x40
    loaded.write("data/people.csv", bytes(data))
    refused(loaded, "is damaged: zip says", "fetch the file again")


def test_an_archive_of_nothing_and_an_encrypted_one(loaded: Project) -> None:
    stream = io.BytesIO()
    zipfile.ZipFile(stream, "w").close()
    loaded.write("data/people.csv", stream.getvalue())
    refused(loaded, "the archive 'data/people.csv' holds no file")
    data = bytearray(zipped(MANY))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    loaded.write("data/people.csv", bytes(data))
    refused(loaded, "the archive 'data/people.csv' is encrypted", "decrypt it first")


def test_what_is_said_to_be_an_archive_and_is_none(loaded: Project) -> None:
    for packing, message in (
        ("gzip", "is damaged: gzip"),
        ("zstd", "is damaged: zstd"),
        ("zip", "is not a zip archive"),
    ):
        options = {"compression": packing}
        source = {"files": [{"path": "data/people.csv"}], "engine": {"type": "native", "options": options}}
        loaded.job(source=source, schema_validation_mode="quarantine")
        refused(loaded, message)


# -- files that change while they are read -----------------------------------------------------------------------------


def slowly(project: Project, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object], after: int = 2) -> None:
    """Has the file read in small blocks, and something done to it after so many of them."""
    monkeypatch.setattr(blocks, "BLOCK", 256)
    monkeypatch.setattr(blocks, "_TAIL", 64)
    real, reads, lock = blocks._read_range, [0], threading.Lock()

    def read(*args: Any) -> bytes:
        with lock:
            reads[0] += 1
            if reads[0] == after:
                meanwhile()
        return real(*args)

    monkeypatch.setattr(blocks, "_read_range", read)
    project.write("data/people.csv", "id,name,note\n" + "".join(f"{n},name {n},z\n" for n in range(2_000)))


def test_a_file_that_grows_while_it_is_read(loaded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = loaded.root / "data/people.csv"

    def grow() -> None:
        with path.open("a") as file:
            file.write("9999,late,z\n")

    slowly(loaded, monkeypatch, grow)
    refused(
        loaded, "'data/people.csv' changed while it was read; nothing was committed", "run again when it is complete"
    )


def test_a_file_that_shrinks_while_it_is_read(loaded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(loaded, monkeypatch, lambda: os.truncate(loaded.root / "data/people.csv", 300))
    refused(loaded, "'data/people.csv' became shorter while it was read", "run again")


def test_a_file_that_goes_away_while_it_is_read(loaded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = loaded.root / "data/people.csv"
    slowly(loaded, monkeypatch, path.unlink)
    error = refused(loaded, "'data/people.csv' went away while it was read")
    assert "run again" in error


def test_a_file_that_another_takes_the_place_of(loaded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    other = loaded.write("data/other", "id,name,note\n7,other,z\n")
    slowly(loaded, monkeypatch, lambda: other.replace(loaded.root / "data/people.csv"))
    refused(loaded, "'data/people.csv' changed while it was read; nothing was committed")


def test_a_file_that_grows_between_the_comparing_and_the_loading(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dativo.pipeline import keys

    project.write("data/people.csv", GOOD)
    project.asset([{**FIELDS[0], "primary_key": True}, *FIELDS[1:]])
    project.job(schema_validation_mode="quarantine")
    assert project.sync().exit_code == 0
    project.write("data/people.csv", GOOD + "2,Bob,y\n")
    real = keys.compare_keys

    def compare(*args: Any, **named: Any) -> Any:
        plan = real(*args, **named)
        with (project.root / "data/people.csv").open("a") as file:
            file.write("".join(f"{n},late,z\n" for n in range(3, 3000)))
        return plan

    monkeypatch.setattr(keys, "compare_keys", compare)
    refused(project, "'data/people.csv' changed while it was read; nothing was committed")
