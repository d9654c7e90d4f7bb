"""Many commits to one table: the list of manifests stays short, every file is named once, with its own commit."""

from __future__ import annotations

from collections import Counter

from dativo.config.field import Field
from dativo.targets.iceberg.manifests import FAN
from tests.lake import Lake
from tests.project import Project

ID = Field(name="id", kind="long")


def test_a_hundred_appends_leave_few_manifests_and_every_row_once(project: Project) -> None:
    lake = Lake(project, {"write_mode": "append"})
    commits = 3 * FAN + 5
    for number in range(commits):
        lake.load([ID], {"id": [number]})
    table = lake.table()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    manifests = snapshot.manifests(table.io)
    assert len(manifests) < FAN + 4
    entries = [e for m in manifests for e in m.fetch_manifest_entry(table.io, discard_deleted=True)]
    files = Counter(e.data_file.file_path for e in entries)
    assert len(files) == commits and set(files.values()) == {1}
    # Which commit a file came with decides what deletes apply to it, and what an incremental reader sees.
    assert sorted(e.sequence_number or 0 for e in entries) == list(range(1, commits + 1))
    assert len({e.snapshot_id for e in entries}) == commits
    assert lake.rows()["id"].sort().to_list() == list(range(commits))
    assert snapshot.summary is not None and snapshot.summary["total-data-files"] == str(commits)


def test_rows_are_as_they_were_at_every_snapshot(project: Project) -> None:
    lake = Lake(project, {"write_mode": "append"})
    for number in range(FAN + 3):
        lake.load([ID], {"id": [number]})
    table = lake.table()
    for position, entry in enumerate(table.history()):
        found = table.scan(snapshot_id=entry.snapshot_id).to_arrow()["id"].to_pylist()
        assert sorted(found) == list(range(position + 1))
