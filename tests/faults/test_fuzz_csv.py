"""CSV that nobody meant to write: rows, rejects or a clear error, never another exception, a hang or a wrong row."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

import polars as pl
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dativo.errors import ContractError, DativoError, SourceError
from dativo.sources import blocks, text
from dativo.sources.csv import CsvSource
from dativo.sources.protocol import FAULT, ROW, TEXT, Meter
from tests.csv_model import Row, read
from tests.enforced import planned
from tests.project import Project

MANY = settings(max_examples=settings().max_examples * 5)
HEADER = b"id,name,day\n"
FIELDS = [{"name": "id", "type": "integer", "required": True}, {"name": "name"}, {"name": "day", "type": "date"}]
BODIES = [
    b"1,Ann,2024-01-01\n2,Bob,2024-01-02\n3,Cid,\n4,Dan,2024-01-04\n",
    b'1,"Ann, the first",2024-01-01\r\n2,"Bob ""B"" Smith",2024-01-02\r\n3,"two\r\nlines",\r\n',
    b'"1","x","2024-01-01"\n"2","y\nz","2024-01-02"\n"3","","2024-01-03"\n',
    "1,é😀,2024-01-01\n2,\ufeff,2024-01-02\n".encode(),
    b"",
]
PIECES = [
    b'"', b'""', b'"""', b",", b",,", b"\n", b"\r\n", b"\r", b"\n\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3",
    b"#", b";", b" ", b"x\x01", b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"NULL", b"1e999999999", b"=1+1", b'","',
    b'",\n"', b"\xe2\x80\xa8", b"9" * 400, b"\x1f", b"\\",
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few records, so that what is odd crosses them."""
    monkeypatch.setattr(blocks, "BLOCK", 48)
    monkeypatch.setattr(blocks, "_TAIL", 16)
    monkeypatch.setattr(text, "PIECE", 29)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes after one to six accidents."""
    for _ in range(chance.randint(1, 6)):
        place, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        end = min(end, place + chance.choice([1, 2, 8, 1000]))
        match chance.randrange(6):
            case 0 | 1:
                data = data[:place] + chance.choice(PIECES) + data[place:]
            case 2:
                data = data[:place] + data[end:]
            case 3:
                data = data[:place] + data[place:end] * chance.choice([2, 3]) + data[end:]
            case 4:
                data = data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
            case _:
                data = (
                    data[end:] + data[place:end]
                    if chance.random() < 0.3
                    else data[:place] + chance.choice(PIECES) + data[end:]
                )
    return data


def rows_of(project: Project, content: bytes) -> list[Row]:
    """The records that the source reads of a file, numbered without a gap."""
    project.asset(FIELDS)
    project.write("data/people.csv", content)
    project.job()
    job = project.load()
    frame = CsvSource(job).read(job.streams[0], None, meter=Meter()).frame.collect(engine="streaming").sort(ROW)
    assert frame[ROW].to_list() == list(range(1, frame.height + 1))
    rows = []
    for record in frame.select("id", "name", "day", FAULT, TEXT).iter_rows():
        *values, fault, raw = record
        rows.append(Row(None, tuple(values), raw) if fault is None else Row(fault.split(":")[0], None, raw))
    return rows


@MANY
@given(st.integers(0, 2**32))
@example(0)
def test_a_mutated_body_is_read_as_the_model_reads_it(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    body = mutated(chance.choice(BODIES), chance)
    assert rows_of(project, HEADER + body) == read(body, 3)


@MANY
@given(st.integers(0, 2**32))
def test_a_mutated_file_gives_rows_or_a_clear_error(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    content = mutated(HEADER + chance.choice(BODIES), chance)
    mode = chance.choice(["strict", "quarantine", "warn"])
    options = chance.choice(
        [{}, {"delimiter": ";"}, {"has_header": False}, {"comment": "#", "skip_rows": 1}, {"encoding": "cp1252"}]
    )
    try:
        plan = planned(project, content, FIELDS, mode, **options)
        accepted, violations, counts = pl.collect_all(
            [
                plan.accepted(),
                plan.enforced.violations(plan.extract.files),
                plan.enforced.frame.select(total=pl.len(), last=pl.col(ROW).max()),
            ],
            engine="streaming",
        )
    except (SourceError, ContractError) as error:
        assert error.message
        assert "data/people.csv" in error.render() or "people 1.0" in error.render()
        return
    total, last = counts.row(0)
    assert total == (last or 0)
    bad = violations["row"].n_unique()
    assert accepted.height == (total if mode == "warn" else total - bad)
    assert violations["rule"].null_count() == 0


@MANY
@given(st.integers(0, 2**32), st.sampled_from(["gzip", "zstd", "zip"]))
def test_a_mutated_archive_gives_all_of_its_rows_or_an_error(project: Project, seed: int, packing: str) -> None:
    chance = random.Random(seed)
    body = chance.choice(BODIES[:4]) * chance.choice([1, 50])
    if packing == "gzip":
        data = gzip.compress(HEADER + body)
    elif packing == "zstd":
        data = zstandard.ZstdCompressor(write_checksum=True).compress(HEADER + body)
    else:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("people.csv", HEADER + body)
        data = stream.getvalue()
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        # The first bytes say that it is an archive: without them it is another file.
        spoilt[chance.randrange(8, len(spoilt))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        del spoilt[chance.randrange(12, len(spoilt)) :]
    try:
        found = rows_of(project, bytes(spoilt))
    except DativoError as error:
        assert "data/people.csv" in error.message
        return
    assert found == read(body, 3)


@given(st.integers(0, 2**32))
def test_what_a_run_loads_rejects_and_skips_adds_up(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    body = mutated(BODIES[0], chance)
    project.asset([{**FIELDS[0], "primary_key": True}, *FIELDS[1:]])
    project.write("data/people.csv", HEADER + body)
    project.job(schema_validation_mode=chance.choice(["quarantine", "warn", "strict"]))
    stream = project.sync(full_refresh=True).streams[0]
    assert stream.status in ("loaded", "refused"), stream.error
    assert stream.extracted == stream.loaded + stream.rejected + stream.deduplicated == len(read(body, 3))
    if stream.status == "loaded":
        assert project.rows().height == stream.loaded
