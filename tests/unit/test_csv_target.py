"""CSV files in a local folder as a target: what they look like, what is refused, and what broken runs leave."""

from __future__ import annotations

import csv
import gzip
import threading
from pathlib import Path
from typing import Any

import pytest

from dativo import connectors
from dativo.config.field import Field
from dativo.errors import ConfigError, SchemaChangeRefused, StoreError, UnsupportedError
from dativo.stores.store import Changed
from dativo.targets.csv.folder import FolderStore
from tests.object_lake import ObjectLake
from tests.project import Project

COLUMNS = (Field(name="id", kind="long"), Field(name="text", kind="string"))
ROWS: dict[str, list[Any]] = {"id": [1, 2, 3, None], "text": ["", None, 'a "b",\r\nc;d', "NULL"]}


def lake(project: Project, **options: Any) -> ObjectLake:
    engine = {"engine": {"options": options}} if options else {}
    return ObjectLake(project, "csv", {"path": "out"}, **engine)


def files(project: Project, pattern: str = "out/people/*.csv*") -> list[Path]:
    return sorted(project.root.glob(pattern))


def test_a_job_writes_a_file_that_every_program_reads(project: Project) -> None:
    found = lake(project)
    project.asset([{"name": "id", "type": "integer"}, {"name": "text", "type": "string"}])
    project.write("data/people.csv", 'id,text\n1,"a, b"\nx,bad\n2,\n')
    found.make_job("job", schema_validation_mode="quarantine")
    receipt = project.sync()
    assert (receipt.loaded, receipt.rejected) == (2, 1), receipt.streams[0].error
    (path,) = files(project)
    assert path.read_bytes() == b'id,text\n1,"a, b"\n2,\n'
    assert len(files(project, "out/people__rejects/*.parquet")) == 1
    assert project.sync().status == "unchanged"


def test_no_value_is_an_empty_field_and_an_empty_text_has_quotes(project: Project) -> None:
    found = lake(project)
    found.load(COLUMNS, ROWS)
    (path,) = files(project)
    assert path.read_bytes().startswith(b'id,text\n1,""\n2,\n')
    with path.open(newline="") as file:
        assert list(csv.reader(file))[3:] == [["3", 'a "b",\r\nc;d'], ["", "NULL"]]
    read = found.existing(COLUMNS)
    assert read is not None and read.to_dict(as_series=False) == ROWS


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ";"},
        {"delimiter": "\\t", "quote_char": "'"},
        {"has_header": False},
        {"delimiter": "|", "compression": "gzip"},
    ],
)
def test_the_style_is_the_jobs_and_is_read_back(project: Project, options: dict[str, Any]) -> None:
    found = lake(project, **options)
    committed = found.load(COLUMNS, ROWS)
    assert committed.snapshot_id == 1
    (path,) = files(project)
    raw = path.read_bytes()
    text = gzip.decompress(raw).decode() if options.get("compression") else raw.decode()
    delimiter, quote = options.get("delimiter", ",").replace("\\t", "\t"), options.get("quote_char", '"')
    first = f"id{delimiter}text\n" if options.get("has_header", True) else ""
    assert text.startswith(f"{first}1{delimiter}{quote}{quote}\n")
    read = found.existing(COLUMNS)
    assert read is not None and read.to_dict(as_series=False) == ROWS
    assert found.manifest()["rows"] == 4


def test_another_style_is_refused_for_a_table_that_is_there(project: Project) -> None:
    lake(project).load(COLUMNS, ROWS)
    other = lake(project, delimiter=";")
    with pytest.raises(SchemaChangeRefused, match="delimiter ','") as caught:
        other.open(COLUMNS)
    assert caught.value.field == "target.engine.options"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delimiter": "ab"}, "not one ASCII character"),
        ({"delimiter": "a"}, "not one ASCII character"),
        ({"quote_char": "\n"}, "not one ASCII character"),
        ({"delimiter": '"'}, "the same character"),
        ({"has_header": "maybe"}, "neither true nor false"),
        ({"compression": "lz4"}, "does not compress csv"),
    ],
)
def test_wrong_options_are_told(project: Project, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        lake(project, **options).open(COLUMNS)


@pytest.mark.parametrize("mode", ["upsert", "scd2"])
def test_single_rows_are_not_replaced_and_the_remedy_is_told(project: Project, mode: str) -> None:
    found = lake(project)
    project.asset([{"name": "id", "type": "integer", "required": True, "primary_key": True}])
    found.make_job("job", target={**found.target_block, "write_mode": mode})
    project.write("data/people.csv", "id\n1\n")
    with pytest.raises(UnsupportedError, match="cannot replace single rows") as caught:
        project.sync()
    assert "append or replace" in caught.value.hint and "postgres" in caught.value.hint


def test_another_format_is_refused(project: Project) -> None:
    found = lake(project)
    found.make_job("job", target={**found.target_block, "file_format": "parquet"})
    project.write("data/people.csv", "id\n1\n")
    with pytest.raises(UnsupportedError, match="file_format 'parquet' is not built yet"):
        project.sync()


def test_a_folder_that_cannot_be_made_is_a_clear_error(project: Project) -> None:
    project.write("out", "a file")
    lake(project)
    (finding,) = connectors.check_target(project.load("job"))
    assert finding["ok"] is False and "a file is in the way" in finding["message"]
    project.write("data/people.csv", "id\n1\n")
    receipt = project.sync()
    assert receipt.exit_code == 2
    assert "cannot be written: a part of the path is a file" in (receipt.streams[0].error or "")


def test_what_a_killed_run_left_is_no_data_and_goes_with_maintenance(project: Project) -> None:
    found = lake(project)
    found.load(COLUMNS, ROWS)
    token = "01a202c6-0000-7000-8000-000000000000"
    left = project.write(f"out/people/people_000002-{token}.csv.unfinished-{'0' * 32}", "id,text\n9,")
    whole = project.write(f"out/people/people_000003-{token}.csv", "id,text\n9,x\n")
    strange = project.write("out/people/notes.csv", "a\n")
    assert found.existing(COLUMNS).height == 4  # type: ignore[union-attr]
    job = project.load("job")
    keeper = connectors.keeper(job, job.streams[0])
    (table, *_) = keeper.tables()
    from dativo.targets.upkeep import Wanted

    removed = keeper.orphans(table, Wanted(older_than_days=0.0, act=True))
    assert (removed.files, removed.unknown) == (2, 1)
    assert (left.exists(), whole.exists(), strange.exists()) == (False, False, True)
    assert found.existing(COLUMNS).height == 4  # type: ignore[union-attr]


def test_of_many_who_replace_one_file_at_once_one_wins(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("t/m.json", b"0", only_if_absent=True)
    tag = store.read("t/m.json")[1].etag
    won: list[int] = []

    def replace(number: int) -> None:
        try:
            store.write("t/m.json", str(number).encode(), only_if=tag)
        except Changed:
            return
        won.append(number)

    threads = [threading.Thread(target=replace, args=(n,)) for n in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and store.read("t/m.json")[0] == str(won[0]).encode()
    with pytest.raises(Changed):
        store.write("t/m.json", b"x", only_if_absent=True)
    assert [o.key for o in store.list("t/")] == ["t/m.json"]


def test_a_full_name_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the name is too long") as caught:
        FolderStore(tmp_path).write("x" * 300, b"")
    assert caught.value.refused and caught.value.hint
