"""Runs that read the files of a time: what they read, what they save, and files whose time is still to come."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.errors import ConfigError
from dativo.pipeline.preview import preview
from dativo.pipeline.window import windowed
from dativo.receipt import StreamReceipt
from dativo.sources.protocol import Meter
from tests.project import Project
from tests.store_folder import StoreFolder, folder_for

GLOB = "data/*.csv"


def job(project: Project, path: str = GLOB, mode: str = "append", **incremental: Any) -> None:
    project.asset([{"name": "a", "type": "integer"}])
    block = {"strategy": "file_modified_time", **incremental}
    kind = path.rpartition(".")[2]
    recipe = f"connectors/sources/{kind}.yaml"
    project.job(
        source={"files": [{"path": path}], "incremental": block},
        target={"write_mode": mode},
        **({} if kind == "csv" else {"source_connector_path": recipe}),
    )


def day(project: Project, number: int, *values: int, name: str = "") -> Path:
    """A file that was modified at noon of a day of January, with some numbers."""
    path = project.write(f"data/{name or number}.csv", "\n".join(["a", *map(str, values or (number,))]) + "\n")
    return at(path, datetime(2024, 1, number, 12, tzinfo=UTC))


def at(path: Path, moment: datetime) -> Path:
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    return path


def run(project: Project, **options: Any) -> StreamReceipt:
    found = project.sync(**options).streams[0]
    assert found.status in ("loaded", "unchanged"), found.error
    return found


def values(project: Project) -> list[int]:
    return sorted(project.rows("default.people")["a"].to_list())


def test_files_of_the_window_are_read_whatever_was_read_before(project: Project) -> None:
    job(project)
    for number in range(1, 6):
        day(project, number)
    assert run(project, until="2024-01-03").files_read == 2
    assert values(project) == [1, 2]
    # Both ends are moments: the first is inside, the last is not.
    again = run(project, since="2024-01-02T12:00:00Z", until="2024-01-03 12:00")
    assert (again.files_read, again.loaded, again.deduplicated) == (1, 0, 1)
    assert run(project, since="2024-01-02", until="2024-01-04T00:00:00+00:00").loaded == 1
    assert values(project) == [1, 2, 3]
    rest = run(project)
    assert (rest.files_read, rest.loaded) == (2, 2)
    assert run(project).status == "unchanged"


def test_a_gap_before_the_window_is_read_later(project: Project) -> None:
    job(project)
    for number in range(1, 6):
        day(project, number)
    run(project, until="2024-01-02")
    assert run(project, since="2024-01-04").loaded == 2
    assert values(project) == [1, 4, 5]
    rest = run(project)
    assert (rest.loaded, rest.deduplicated) == (2, 2)
    assert values(project) == [1, 2, 3, 4, 5]


def test_a_first_run_with_a_since_leaves_all_before_it_to_the_next(project: Project) -> None:
    job(project)
    day(project, 1)
    day(project, 2)
    assert run(project, since="2024-01-02").loaded == 1
    assert run(project).loaded == 1
    assert values(project) == [1, 2]


def test_named_files_are_each_known_by_themselves(project: Project) -> None:
    job(project)
    project.job(
        source={
            "files": [{"path": f"data/{n}.csv"} for n in (1, 2, 3)],
            "incremental": {"strategy": "file_modified_time"},
        },
        target={"write_mode": "append"},
    )
    for number in (1, 2, 3):
        day(project, number)
    assert run(project, since="2024-01-02", until="2024-01-03").loaded == 1
    rest = run(project)
    assert (rest.files_read, rest.files_skipped) == (2, 1)
    # One that changed and is not in the window is changed still.
    at(day(project, 3, 3, 33), datetime(2024, 1, 20, tzinfo=UTC))
    assert run(project, until="2024-01-10").status == "unchanged"
    assert run(project).loaded == 1
    assert values(project) == [1, 2, 3, 33]


def test_a_file_that_changed_after_the_window_is_read_by_the_next_run(project: Project) -> None:
    job(project)
    day(project, 1)
    day(project, 2)
    run(project)
    at(day(project, 2, 2, 22), datetime(2024, 1, 9, tzinfo=UTC))
    assert run(project, until="2024-01-05").status == "unchanged"
    assert run(project, since="2024-01-01", until="2024-01-05").loaded == 0
    assert run(project).loaded == 1
    assert values(project) == [1, 2, 22]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_window_without_files_reads_nothing_and_skips_nothing(project: Project, kind: str) -> None:
    job(project, f"data/*.{kind}")
    path = project.root / f"data/1.{kind}"
    path.parent.mkdir(exist_ok=True)
    frame = pl.DataFrame({"a": [1, 2]})
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[kind](path)
    at(path, datetime(2024, 1, 5, tzinfo=UTC))
    empty = run(project, until="2024-01-02")
    assert (empty.loaded, empty.extracted, empty.files_read) == (0, 0, 0)
    assert run(project).loaded == 2
    assert run(project, since="2024-02-01").status == "unchanged"
    assert preview(project.load(), rows=5, until="2024-01-02").rows.height == 0
    assert preview(project.load(), rows=5, since="2024-01-02").rows.height == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"since": "yesterday"}, "--since 'yesterday' is no date or time"),
        ({"until": "5"}, "--until '5' is no date or time"),
        ({"since": " "}, "is no date or time"),
        ({"since": "2024-01-02", "until": "2024-01-01"}, "is not before"),
        ({"since": "2024-01-01T01:00:00+02:00", "until": "2023-12-31 23:00"}, "is not before"),
        ({"since": "2024-01-01", "full_refresh": True}, "--full-refresh"),
    ],
)
def test_what_is_no_window_of_files_is_refused(project: Project, options: dict[str, Any], why: str) -> None:
    job(project)
    with pytest.raises(ConfigError) as caught:
        windowed(project.load(), **options)
    assert why in caught.value.render() and caught.value.exit_code == 2


def test_a_window_would_leave_nothing_else_in_a_table_that_is_replaced(project: Project) -> None:
    job(project, mode="replace")
    with pytest.raises(ConfigError, match="write_mode is 'replace'"):
        windowed(project.load(), since="2024-01-01")


# -- times that are still to come --------------------------------------------------------------------------------------


def test_a_file_of_the_future_hides_no_later_file(project: Project) -> None:
    job(project)
    day(project, 1)
    at(project.write("data/never.csv", "a\n99\n"), datetime(2099, 1, 1, tzinfo=UTC))
    first = run(project)
    assert first.loaded == 2
    assert [w for w in first.warnings if "never.csv of 2099-01-01" in w]
    day(project, 2)
    second = run(project)
    assert (second.files_read, second.loaded, second.warnings) == (1, 1, ())
    assert run(project).status == "unchanged"
    at(project.write("data/never.csv", "a\n99\n100\n"), datetime(2099, 1, 1, tzinfo=UTC))
    assert run(project).loaded == 1
    assert values(project) == [1, 2, 99, 100]


def test_a_watermark_that_was_saved_in_the_future_is_not_obeyed(project: Project) -> None:
    job(project)
    day(project, 1)
    run(project)
    table = project.table()
    (key,) = (k for k in table.properties if k.startswith("dativo.state."))
    state = json.loads(table.properties[key])
    entry = state["cursor"]["entries"][f"glob_{GLOB}"]
    entry.update(watermark="2099-01-01T00:00:00+00:00", files={})
    table.transaction().set_properties({key: json.dumps(state)}).commit_transaction()
    day(project, 2)
    found = run(project)
    assert (found.loaded, found.deduplicated) == (1, 1)
    assert any("read from the beginning" in w and "2099" in w for w in found.warnings)
    assert run(project).status == "unchanged"
    assert values(project) == [1, 2]


# -- object stores -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["s3", "azure_blob"])
def folder(request: pytest.FixtureRequest) -> StoreFolder:
    return folder_for(request.param, request)


@pytest.mark.server
def test_objects_have_windows_too(project: Project, folder: StoreFolder) -> None:
    project.asset([{"name": "a"}])
    project.job(
        source_connector_path=f"connectors/sources/{folder.connector}.yaml",
        source={
            "connection": folder.connection,
            "files": [{"path": "raw/*.csv"}],
            "incremental": {"strategy": "file_modified_time"},
        },
        target={"write_mode": "append"},
    )
    folder.put("raw/1.csv", b"a\n1\n")
    # Stores keep whole seconds.
    time.sleep(2.1)
    between = datetime.now(UTC) - timedelta(seconds=1)
    folder.put("raw/2.csv", b"a\n2\n")

    def names(**options: str) -> list[str]:
        loaded = windowed(project.load(), **options)
        found = connectors.source(loaded).read(loaded.streams[0], None, meter=Meter())
        return [name.rpartition("/")[2] for name in found.files]

    assert names() == ["1.csv", "2.csv"]
    assert names(since=between.isoformat()) == ["2.csv"]
    assert names(until=between.isoformat()) == ["1.csv"]
