"""Runs of a table, and what changed between two of them; each difference caused by real runs and by other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from pyiceberg.types import LongType, StringType

from dativo import DativoError, RunDiff, diff_runs, list_runs, show_run
from tests.project import Project

FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "integer", "primary_key": True},
    {"name": "name", "classification": "PII"},
    {"name": "age", "type": "integer"},
]
FIRST = "id,name,age\n1,Ada Lovelace,36\n2,Alan Turing,41\n3,Grace Hopper,85\n"
SECOND = "id,name,age\n1,Ada Lovelace,37\n2,Alan Turing,41\n4,Edsger Dijkstra,72\n"


@pytest.fixture
def people(project: Project) -> Project:
    """A table that has been loaded twice: a row was changed, one removed, one added."""
    project.asset(FIELDS)
    project.job()
    load(project, FIRST)
    load(project, SECOND)
    return project


def load(project: Project, text: str, **options: Any) -> str:
    project.write("data/people.csv", text)
    receipt = project.sync(**options)
    assert receipt.exit_code == 0, receipt.streams[0].error
    return receipt.run_id


def difference(project: Project, before: str = "previous", after: str = "latest", **options: Any) -> RunDiff:
    return diff_runs(before, after, job=project.load(), **options)


def counts(found: RunDiff) -> tuple[int, int, int]:
    return found.rows.added, found.rows.removed, found.rows.changed


def refused(*names: str, project: Project) -> str:
    with pytest.raises(DativoError) as caught:
        diff_runs(*names, job=project.load())
    return caught.value.render()


# -- differences -------------------------------------------------------------------------------------------------------


def test_rows_are_told_apart_by_the_key(people: Project) -> None:
    found = difference(people)
    assert counts(found) == (1, 1, 1) and found.rows.key == ("id",)
    assert [r["id"] for r in found.added.dicts()] == [4] and [r["id"] for r in found.removed.dicts()] == [3]
    was, now = (sample.dicts() for sample in found.changed)
    assert (was[0]["age"], now[0]["age"], found.differing) == (36, 37, (("age",),))
    assert (found.files_added.files, found.files_removed.files) == (1, 1)
    assert (found.files_added.rows, found.files_removed.rows) == (3, 3)
    assert found.columns == ()


def test_the_other_way_round_is_the_opposite(people: Project) -> None:
    found = difference(people, "latest", "previous")
    assert counts(found) == (1, 1, 1)
    assert [r["id"] for r in found.added.dicts()] == [3] and [r["id"] for r in found.removed.dicts()] == [4]


def test_a_run_beside_itself_is_the_same(people: Project) -> None:
    found = difference(people, "latest", "latest")
    assert counts(found) == (0, 0, 0) and found.files_added.files == found.files_removed.files == 0


def test_personal_values_are_masked_as_show_masks_them(people: Project) -> None:
    assert [r["name"] for r in difference(people).added.dicts()] == ["E***a"]
    assert [r["name"] for r in difference(people, show_pii=True).added.dicts()] == ["Edsger Dijkstra"]
    assert difference(people).masked == ("name",)


def test_a_changed_personal_value_is_told_though_its_mask_is_the_same(project: Project) -> None:
    project.asset(FIELDS)
    project.job()
    load(project, "id,name,age\n1,Ada Lovelace,36\n")
    load(project, "id,name,age\n1,Augusta Ada Lovelace,36\n")
    found = difference(project)
    assert counts(found) == (0, 0, 1) and found.differing == (("name",),)
    assert [s.dicts()[0]["name"] for s in found.changed] == ["A***e", "A***e"]


def test_without_a_key_rows_are_a_multiset(project: Project) -> None:
    project.asset([{"name": "a"}, {"name": "b"}])
    project.job()
    load(project, "a,b\nx,1\nx,1\ny,1\nz,1\n")
    load(project, "a,b\nx,1\ny,1\ny,1\nz,2\n")
    found = difference(project)
    assert counts(found) == (2, 2, 0) and found.rows.key == ()
    assert sorted((r["a"], r["b"]) for r in found.added.dicts()) == [("y", "1"), ("z", "2")]
    assert sorted((r["a"], r["b"]) for r in found.removed.dicts()) == [("x", "1"), ("z", "1")]


def test_columns_may_have_the_names_that_hashes_have(project: Project) -> None:
    project.asset([{"name": n} for n in ("h1", "h2", "k1", "k2", "row", "sort", "texts")])
    project.job()
    head = "h1,h2,k1,k2,row,sort,texts\n"
    load(project, head + "a,b,c,d,e,f,g\n")
    load(project, head + "1,2,3,4,5,6,7\n")
    found = difference(project)
    assert counts(found) == (1, 1, 0)
    assert list(found.added.dicts()[0].values()) == list("1234567")
    assert list(found.removed.dicts()[0].values()) == list("abcdefg")


def test_versions_without_a_column_in_common_are_told_so(people: Project) -> None:
    table = people.table()
    with table.update_schema() as update:
        for name in ("id", "name", "age"):
            update.delete_column(name)
        update.add_column("new", StringType())
    table.overwrite(pa.table({"new": ["x"]}))
    found = diff_runs(str(list_runs(people.load())[-1].run), "latest", job=people.load())
    assert set(found.not_compared) == {"id", "name", "age", "new"} and counts(found) == (1, 3, 0)


def test_a_new_version_of_a_key_in_append_is_an_added_row(project: Project) -> None:
    project.asset(FIELDS)
    project.job(target={"write_mode": "append"})
    load(project, FIRST)
    load(project, SECOND)
    assert counts(difference(project)) == (2, 0, 0)


def data_files(project: Project) -> Iterator[Path]:
    yield from (project.root / ".local/warehouse").rglob("data/*.parquet")


def test_only_files_that_differ_are_read(project: Project) -> None:
    project.asset(FIELDS)
    project.job(target={"write_mode": "append"})
    load(project, FIRST)
    shared = list(data_files(project))
    load(project, SECOND)
    for file in shared:
        file.write_bytes(b"this was read")
    found = difference(project)
    assert counts(found) == (2, 0, 0) and [r["id"] for r in found.added.dicts()] == [1, 4]


def test_every_type_is_compared_by_its_value(project: Project) -> None:
    types = [
        "string", "integer", "double", "decimal(10,2)", "boolean", "date", "time", "timestamp", "timestamptz", "binary",
        "uuid", "json",
    ]  # fmt: skip
    values = [
        "x", "1", "-0.0", "1.50", "true", "2020-01-01", "12:00:00", "2020-01-01 12:00:00", "2020-01-01T12:00:00+01:00",
        "eA==", "6f9619ff-8b86-d011-b42d-00c04fc964ff", '"{""a"": 1}"',
    ]  # fmt: skip
    others = [
        "y", "2", "0.5", "1.51", "false", "2020-01-02", "12:00:01", "2020-01-01 12:00:01", "2020-01-01T12:00:00+02:00",
        "eQ==", "6f9619ff-8b86-d011-b42d-00c04fc964f0", '"{""a"": 2}"',
    ]  # fmt: skip
    names = [f"c{i}" for i in range(len(types))]
    columns = [{"name": n, "type": t} for n, t in zip(names, types, strict=True)]
    project.asset([{"name": "id", "type": "integer", "primary_key": True}, *columns])
    project.job()
    head = ",".join(["id", *names])
    rows = [",".join(["0", *values]), ",".join(["1", *values]), "2" + "," * len(types)]
    load(project, "\n".join([head, *rows]) + "\n")
    load(project, "\n".join([head, rows[0], ",".join(["1", *others]), rows[2], ",".join(["3", *values])]) + "\n")
    found = difference(project)
    assert counts(found) == (1, 0, 1) and found.differing == (tuple(names),)


# -- columns -----------------------------------------------------------------------------------------------------------


def test_an_added_column_is_told_and_no_row_is_changed_by_it(people: Project) -> None:
    people.asset([*FIELDS, {"name": "team"}])
    load(people, SECOND.replace("age", "age,team").replace("37", "37,a").replace("41", "41,b").replace("72", "72,c"))
    found = difference(people)
    assert [(c.action, c.name, c.after) for c in found.columns] == [("added", "team", "string")]
    assert counts(found) == (0, 0, 0) and found.not_compared == ("team",)


def test_columns_that_another_program_renames_widens_and_drops_are_told(people: Project) -> None:
    table = people.table()
    with table.update_schema() as update:
        update.rename_column("age", "years")
        update.add_column("note", StringType())
        update.delete_column("name")
    table.append(pa.table({"id": [9], "years": [1], "note": ["new"]}, schema=table.schema().as_arrow()))
    found = difference(people)
    assert {(c.action, c.name) for c in found.columns} == {("added", "note"), ("removed", "name"), ("renamed", "years")}
    assert counts(found) == (1, 0, 0) and found.after.what == "other"
    table.delete("id == 4")
    assert counts(difference(people)) == (0, 1, 0)
    whole = difference(people, str(list_runs(people.load())[-2].snapshot), "latest")
    assert counts(whole) == (1, 1, 0) and whole.not_compared == ("note", "name")


def test_a_widened_column_leaves_equal_values_equal(project: Project) -> None:
    project.asset([{"name": "id", "type": "integer", "primary_key": True}, {"name": "v", "type": "decimal(4,2)"}])
    project.job(target={"mode": "relaxed"})
    load(project, "id,v\n1,1.50\n2,2.50\n")
    project.asset([{"name": "id", "type": "integer", "primary_key": True}, {"name": "v", "type": "decimal(8,2)"}])
    load(project, "id,v\n1,1.50\n2,1234.50\n")
    found = difference(project)
    assert counts(found) == (0, 0, 1) and found.differing == (("v",),)
    assert [(c.action, c.before, c.after) for c in found.columns] == [("retyped", "decimal(4, 2)", "decimal(8, 2)")]


def test_a_narrow_number_widened_by_another_program_is_still_the_same(project: Project) -> None:
    from pyiceberg.schema import Schema
    from pyiceberg.types import IntegerType, NestedField

    project.asset([{"name": "n", "type": "integer"}])
    project.job()
    catalog = connect(project)
    catalog.create_namespace("default")
    table = catalog.create_table("default.people", Schema(NestedField(1, "n", IntegerType())))
    table.append(pa.table({"n": pa.array([1, 2], pa.int32())}))
    with table.update_schema() as update:
        update.update_column("n", LongType())
    table.overwrite(pa.table({"n": pa.array([1, 2**40], pa.int64())}))
    runs = list_runs(project.load())
    found = difference(project, str(runs[-1].snapshot), "latest")
    assert counts(found) == (1, 1, 0)


def connect(project: Project) -> Any:
    (project.root / ".local/state/acme").mkdir(parents=True)
    (project.root / ".local/warehouse/acme").mkdir(parents=True)
    return project.catalog()


def test_nested_columns_are_compared_by_what_both_have(project: Project) -> None:
    def field(inner: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"name": "id", "type": "integer", "primary_key": True},
            {"name": "s", "type": "object", "properties": inner},
        ]

    project.asset(field([{"name": "a"}]))
    project.job(source_connector_path="connectors/sources/jsonl.yaml", source={"files": [{"path": "data/people.csv"}]})
    load(project, '{"id": 1, "s": {"a": "x"}}\n{"id": 2, "s": {"a": "y"}}\n')
    project.asset(field([{"name": "a"}, {"name": "b"}]))
    load(project, '{"id": 1, "s": {"a": "x", "b": "new"}}\n{"id": 2, "s": {"a": "z", "b": "new"}}\n')
    found = difference(project)
    assert counts(found) == (0, 0, 1) and [c.action for c in found.columns] == ["retyped"]
    assert found.changed[1].dicts()[0]["s"] == {"a": "z", "b": "new"}


# -- names -------------------------------------------------------------------------------------------------------------


def test_runs_are_named_by_the_beginning_of_their_id_or_by_their_snapshot(people: Project) -> None:
    new, old = list_runs(people.load())
    assert new.run is not None and old.run is not None
    short = next(new.run[:n] for n in range(1, 37) if not old.run.startswith(new.run[:n]))
    for names in ((old.run, short.upper()), (str(old.snapshot), str(new.snapshot)), (old.run, "latest")):
        assert counts(difference(people, *names)) == (1, 1, 1)


def test_an_unknown_run_is_answered_with_the_nearest_and_the_list(people: Project) -> None:
    run = list_runs(people.load())[0].run
    assert run is not None
    told = refused("latest", run[:-1] + ("0" if run[-1] != "0" else "1"), project=people)
    assert "no run of default.people is called" in told and f"did you mean '{run}'?" in told and run[:13] in told
    assert "its runs: " in refused("latest", "zzz", project=people)


def test_an_ambiguous_beginning_is_answered_with_the_candidates(people: Project) -> None:
    runs = [r.run for r in list_runs(people.load())]
    told = refused("0", "latest", project=people)
    assert "is the beginning of 2 runs" in told and all(r is not None and r[:13] in told for r in runs)


def test_a_run_that_made_no_snapshot_says_why(people: Project) -> None:
    people.sync()
    people.write("data/people.csv", "id,name,age\nx,y,z\n")
    assert people.sync().exit_code == 2
    bad, same, *_ = list_runs(people.load())
    assert (bad.what, same.what) == ("refused", "unchanged")
    assert "made no snapshot: it was refused" in refused(str(bad.run), "latest", project=people)
    assert "made no snapshot: there was nothing new" in refused(str(same.run), "latest", project=people)


def test_nothing_loaded_and_no_previous_are_told(project: Project) -> None:
    project.asset(FIELDS)
    project.job()
    assert list_runs(project.load()) == []
    assert "nothing was loaded into default.people yet" in refused("latest", "latest", project=project)
    load(project, FIRST)
    assert "no snapshot before the latest one" in refused("previous", "latest", project=project)


def test_an_expired_snapshot_is_told_with_those_that_are_kept(people: Project) -> None:
    old = list_runs(people.load())[-1]
    assert old.snapshot is not None
    people.table().maintenance.expire_snapshots().by_id(old.snapshot).commit()
    new, listed = list_runs(people.load())
    assert (listed.snapshot, listed.readable, listed.rows_added) == (old.snapshot, False, 3)
    told = refused(str(old.run), "latest", project=people)
    assert f"the snapshot {old.snapshot} of run {old.label} has expired" in told
    assert f"these can be compared: {new.label}" in told
    assert "has expired" in refused("previous", "latest", project=people)
    for receipt in (people.root / ".local/state/acme/runs").rglob("*.json"):
        receipt.unlink()
    assert "is not kept, if it made one" in refused(str(old.run), "latest", project=people)


def test_a_snapshot_whose_files_were_removed_is_told(people: Project) -> None:
    for file in data_files(people):
        file.unlink()
    assert "cannot be read" in refused("previous", "latest", project=people)
    for file in (people.root / ".local/warehouse").rglob("snap-*.avro"):
        file.unlink()
    assert "cannot be read any more" in refused("previous", "latest", project=people)


# -- lists -------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_without_receipts_from_the_table_alone(people: Project) -> None:
    before = list_runs(people.load())
    for receipt in (people.root / ".local/state/acme/runs").rglob("*.json"):
        receipt.unlink()
    after = list_runs(people.load())
    assert [msgspec.structs.replace(r, seconds=None) for r in before] == after
    assert show_run(str(before[0].run), job=people.load()).receipt is None


def test_a_run_that_committed_no_snapshot_is_known_by_its_token(project: Project) -> None:
    project.asset(FIELDS)
    project.job(target={"write_mode": "append"})
    load(project, FIRST)
    load(project, FIRST.replace("3,Grace Hopper,85\n", ""))
    last = list_runs(project.load())[0]
    assert (last.what, last.snapshot, last.rows_added) == ("loaded", None, 0)
    assert "no row was new" in refused(str(last.run), "latest", project=project)
    for receipt in (project.root / ".local/state/acme/runs").rglob("*.json"):
        receipt.unlink()
    assert next((r.run, r.what) for r in list_runs(project.load())) == (last.run, "loaded")


def test_another_jobs_runs_and_other_programs_changes_are_in_the_list(people: Project) -> None:
    people.job("second", target={"write_mode": "append"})
    people.write("data/people.csv", "id,name,age\n7,Seven,7\n")
    assert people.sync("second").exit_code == 0
    people.table().delete("id == 7")
    found = list_runs(people.load())
    assert [(r.what, r.job) for r in found[:2]] == [("other", None), ("loaded", "acme.second")]
    assert (found[0].rows_removed, found[1].rows_added) == (1, 1)
    assert found[1].seconds is not None
    assert counts(difference(people)) == (0, 1, 0)


def test_a_run_is_shown_with_its_receipt_wherever_its_table_is(people: Project) -> None:
    run = list_runs(people.load())[0].run
    assert run is not None
    found = show_run(run[:18])
    assert found.receipt is not None and found.receipt.run_id == run
    assert [(t.table, t.rows_added, t.rows_removed) for t in found.tables] == [("default.people", 3, 3)]
    assert show_run("latest").tables == found.tables
    for receipt in (people.root / ".local/state/acme/runs").rglob("*.json"):
        receipt.unlink()
    assert show_run(run[:18]).tables[0].run == run
    assert re.fullmatch(r"\d+", str(show_run(str(found.tables[0].snapshot)).tables[0].snapshot))


def test_of_several_tables_one_has_to_be_named(people: Project) -> None:
    people.asset(FIELDS, name="others")
    people.job("others", asset_path="assets/others.yaml")
    people.sync("others")
    for call in (lambda: show_run("latest"), lambda: diff_runs("previous", "latest")):
        with pytest.raises(DativoError) as caught:
            call()
        assert "name the table with --table" in caught.value.render()
        assert "default.others, default.people" in caught.value.render()
    run, other = (list_runs(people.load(n))[0].run for n in ("job", "others"))
    assert run is not None and other is not None
    assert diff_runs("previous", run).table == "default.people"
    with pytest.raises(DativoError, match="no table has the runs"):
        diff_runs(run, other)
    with pytest.raises(DativoError, match="no run of a table here is called 'ffff'"):
        show_run("ffff")


def test_a_run_of_two_streams_is_shown_for_both_tables(project: Project) -> None:
    for name, text in (("one", FIRST), ("two", SECOND)):
        project.asset(FIELDS, name, object=name)
        project.write(f"data/{name}.csv", text)
    files = [{"path": "data/one.csv", "object": "one"}, {"path": "data/two.csv", "object": "two"}]
    project.job(asset_path=None, assets=["assets/one.yaml", "assets/two.yaml"], source={"files": files})
    assert project.sync().exit_code == 0
    run = project.sync(full_refresh=True).run_id
    assert len(show_run(run).tables) == len({t.table for t in show_run(run).tables}) == 2
    with pytest.raises(DativoError, match="these runs loaded 2 tables"):
        diff_runs(run, run)
    assert len(list_runs(project.load())) == 4
    assert len(list_runs(project.load(), stream="two")) == 2
