"""Bad input through whole runs: one clear error or rejects, exit code as the mode says, nothing half written."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dativo import ConfigError, Receipt
from tests.project import Project

FIELDS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "name"},
    {"name": "born", "type": "date"},
]
GOOD = "id,name,born\n1,Ann,2001-02-03\n2,Bob,\n"


def people(project: Project, content: str | bytes | None, **more: Any) -> Project:
    project.asset(FIELDS)
    if content is not None:
        project.write("data/people.csv", content)
    more.setdefault("schema_validation_mode", "quarantine")
    project.job(**more)
    return project


def refused(project: Project, *words: str) -> Receipt:
    """The receipt of a run that must fail with these words in its error, and leave no table and no file behind."""
    receipt = project.sync()
    assert receipt.exit_code == 2
    error = receipt.streams[0].error
    for word in words:
        assert word in error, error
    warehouse = project.root / ".local" / "warehouse"
    assert not [p for p in warehouse.rglob("*.parquet") if "rejects" not in str(p)]
    assert not list((project.root / ".local" / "staging").glob("*"))
    return receipt


def rejected(project: Project) -> list[tuple[int, str | None, str]]:
    """Row, column and rule of every stored violation."""
    rows = project.rejects().sort("row", "column", nulls_last=True)
    return [tuple(r) for r in rows.select("row", "column", "rule").iter_rows()]


def test_a_file_that_is_not_there_is_told_with_its_nearest_neighbour(project: Project) -> None:
    project.write("data/peoples.csv", GOOD)
    refused(people(project, None), "file not found: 'data/people.csv'", "did you mean data/peoples.csv", "job.yaml:")


def test_an_empty_file_is_told(project: Project) -> None:
    refused(people(project, ""), "'data/people.csv' is empty")


def test_a_file_with_a_header_only_loads_no_row_and_makes_the_table(project: Project) -> None:
    receipt = people(project, "id,name,born\n").sync()
    assert (receipt.exit_code, receipt.loaded) == (0, 0)
    assert project.rows().height == 0


def test_a_header_of_other_columns_names_both_sides(project: Project) -> None:
    refused(people(project, "a;b;c\n1;2;3\n"), "none of the 3 columns", "a;b;c", "id, name, born", "delimiter")


def test_a_header_without_a_required_column_names_the_nearest(project: Project) -> None:
    refused(people(project, "idd,name,born\n1,Ann,\n"), "lacks a required column", "'id'", "'idd'")


def test_a_header_that_names_a_column_twice_is_refused(project: Project) -> None:
    refused(people(project, "id,name,name\n1,a,b\n"), "'name' twice", "positions 2 and 3")


def test_ragged_rows_are_rejects_and_nothing_is_padded_or_cut(project: Project) -> None:
    content = "id,name,born\n1,Ann,\n2,Bob\n3,Cid,,\n4,Dan,,x\n5,Eve,\n\n6\n"
    receipt = people(project, content).sync()
    assert (receipt.extracted, receipt.loaded, receipt.rejected) == (6, 2, 4)
    assert project.rows()["id"].to_list() == [1, 5]
    assert rejected(project) == [(2, None, "ragged"), (3, None, "ragged"), (4, None, "ragged"), (6, None, "ragged")]
    assert project.rejects().sort("row")["record"].to_list() == ["2,Bob", "3,Cid,,", "4,Dan,,x", "6"]


def test_bytes_of_another_encoding_are_rejects_of_their_rows_only(project: Project) -> None:
    receipt = people(project, b"id,name,born\n1,Ann,\n2,J\xfcrgen,\n3,Cid,\n").sync()
    assert (receipt.loaded, receipt.rejected) == (2, 1)
    [(row, column, rule)] = rejected(project)
    assert (row, column) == (2, None) and "encoding" in rule


def test_a_file_in_utf_16_is_told_with_the_option_that_reads_it(project: Project) -> None:
    refused(people(project, GOOD.encode("utf-16-le")), "encoding")


def test_the_same_file_loads_with_the_option(project: Project) -> None:
    source = {"files": [{"path": "data/people.csv"}], "engine": {"options": {"encoding": "utf-16-le"}}}
    assert people(project, GOOD.encode("utf-16-le"), source=source).sync().loaded == 2


def test_a_field_of_ten_megabytes_is_a_value_like_any_other(project: Project) -> None:
    big = "x" * (10 << 20)
    receipt = people(project, f'id,name,born\n1,Ann,\n2,"{big}",\n3,Cid,\n').sync()
    assert (receipt.loaded, receipt.rejected) == (3, 0)
    assert project.rows()["name"].str.len_chars().to_list() == [3, len(big), 3]


def test_nul_bytes_are_rejects(project: Project) -> None:
    receipt = people(project, b"id,name,born\n1,A\0n,\n2,Bob,\n").sync()
    assert (receipt.loaded, receipt.rejected) == (1, 1)


@pytest.mark.parametrize("row", [1, 2, 3])
def test_an_unclosed_quote_costs_its_own_row_and_no_other(project: Project, row: int) -> None:
    lines = [f"{i},{'“' if i != row else chr(34)}name{i},\n" for i in (1, 2, 3)]
    receipt = people(project, "id,name,born\n" + "".join(lines)).sync()
    assert (receipt.extracted, receipt.loaded, receipt.rejected) == (3, 2, 1)
    assert project.rows()["id"].to_list() == [i for i in (1, 2, 3) if i != row]


def test_a_directory_is_no_file(project: Project) -> None:
    (project.root / "data" / "people.csv").mkdir(parents=True)
    refused(people(project, None), "is a directory", "*.csv")


def test_a_truncated_archive_loads_nothing(project: Project) -> None:
    import gzip

    whole = gzip.compress(("id,name,born\n" + "".join(f"{i},n{i * 7919 % 10007},\n" for i in range(20_000))).encode())
    refused(people(project, whole[: len(whole) // 2]), "people.csv")


def test_a_contract_without_columns_is_a_mistake_with_a_place(project: Project) -> None:
    project.write("assets/people.yaml", 'name: people\nversion: "1.0"\nschema: []\n')
    project.job()
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert "empty 'schema' field" in caught.value.render() and "assets/people.yaml:3" in caught.value.render()


def test_a_type_that_is_one_slip_away_is_a_mistake_and_another_one_is_text_with_a_warning(project: Project) -> None:
    project.asset([{"name": "id", "type": "integr"}])
    project.job()
    with pytest.raises(ConfigError, match="integr"):
        project.load()
    project.asset([{"name": "id", "type": "hyperlink"}])
    job = project.load()
    assert job.streams[0].asset.fields[0].kind == "string"
    assert any("hyperlink" in w.message for w in job.warnings)


def test_a_key_column_that_the_source_lacks_stops_the_run(project: Project) -> None:
    refused(people(project, "name,born\nAnn,\n"), "'id'")


def test_two_jobs_of_one_name_are_told(project: Project) -> None:
    from dativo import load_jobs

    first = people(project, GOOD).root / "jobs/acme/job.yaml"
    second = project.write("jobs/other/job.yaml", first.read_text())
    jobs, problems = load_jobs([first, second])
    assert any("have the name 'job'" in p.message for p in problems)
    assert len(jobs) < 2


@pytest.mark.parametrize("tenant", ["../evil", "a/b", "..", ".hidden/../x"])
def test_a_tenant_cannot_leave_its_folder(project: Project, tenant: str) -> None:
    people(project, GOOD, tenant_id=tenant)
    with pytest.raises(ConfigError, match="tenant"):
        project.load()


def test_an_object_cannot_leave_its_folder(project: Project) -> None:
    people(project, GOOD, source={"files": [{"path": "data/people.csv", "object": "../x"}]})
    with pytest.raises(ConfigError, match="object"):
        project.load()


def test_a_file_that_changes_while_it_is_read_commits_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(project, GOOD)
    path = project.root / "data" / "people.csv"
    from dativo.pipeline import passes

    load = passes.load

    def changed(*arguments: Any, **options: Any) -> Any:
        found = load(*arguments, **options)
        path.write_text(GOOD + "3,Late,\n")
        os.utime(path, ns=(10**18, 10**18))
        return found

    monkeypatch.setattr(passes, "load", changed)
    refused(project, "changed while it was read")


def test_a_bad_run_leaves_the_table_of_the_good_one(project: Project) -> None:
    people(project, GOOD)
    assert project.sync().loaded == 2
    snapshots = project.snapshots()
    (project.root / "data" / "people.csv").write_text("a,b\n1,2\n")
    assert project.sync().exit_code == 2
    assert project.snapshots() == snapshots
    assert project.rows()["id"].to_list() == [1, 2]


def test_source_paths_may_be_absolute_but_not_in_cloud_mode(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("elsewhere") / "people.csv"
    place.write_text(GOOD)
    people(project, None, source={"files": [{"path": str(place)}]})
    assert project.sync().loaded == 2
    from dativo import load_job

    with pytest.raises(ConfigError, match="cloud mode"):
        load_job(project.root / "jobs/acme/job.yaml", mode="cloud")
