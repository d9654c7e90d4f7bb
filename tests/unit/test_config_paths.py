"""Where paths lead, and what cloud mode allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dativo.config import paths
from dativo.config.environment import Environment
from dativo.config.resolve import load_job
from dativo.errors import ConfigError
from tests.project import Project


@pytest.fixture
def elsewhere(project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that is not the working directory."""
    project.asset([{"name": "id", "type": "integer"}])
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    return project


def found(text: str, beside: Path, **options: Any) -> str | None:
    place = paths.find(text, beside, **options).path
    return None if place is None else str(place)


def test_the_project_is_the_nearest_folder_with_connectors_or_assets(tmp_path: Path) -> None:
    (tmp_path / "outer/connectors").mkdir(parents=True)
    (tmp_path / "outer/inner/assets").mkdir(parents=True)
    (tmp_path / "outer/inner/jobs/acme").mkdir(parents=True)
    assert paths.project_root(tmp_path / "outer/inner/jobs/acme") == (tmp_path / "outer/inner").resolve()
    assert paths.project_root(tmp_path / "outer") == (tmp_path / "outer").resolve()


def test_the_working_directory_comes_before_the_project(elsewhere: Project) -> None:
    elsewhere.write("a.yaml", "x: 1")
    beside = elsewhere.root / "jobs"
    assert found("a.yaml", beside) == str(elsewhere.root / "a.yaml")
    Path("a.yaml").write_text("x: 2")
    assert found("a.yaml", beside) == str(Path.cwd() / "a.yaml")


def test_a_leading_app_folder_falls_back_to_the_project(elsewhere: Project) -> None:
    assert found("/app/assets/people.yaml", elsewhere.root) == str(elsewhere.root / "assets/people.yaml")
    assert found("/elsewhere/assets/people.yaml", elsewhere.root) is None


def test_recipes_fall_back_from_one_layout_to_the_other(elsewhere: Project) -> None:
    elsewhere.write("connectors/mine.yaml", "x: 1")
    elsewhere.write("connectors/targets/yours.yaml", "x: 1")
    assert found("connectors/sources/mine.yaml", elsewhere.root) == str(elsewhere.root / "connectors/mine.yaml")
    assert found("/app/connectors/targets/mine.yaml", elsewhere.root) == str(elsewhere.root / "connectors/mine.yaml")
    assert found("connectors/yours.yaml", elsewhere.root) == str(elsewhere.root / "connectors/targets/yours.yaml")
    assert found("connectors/deep/er/mine.yaml", elsewhere.root) is None


def test_what_ships_comes_last_and_only_where_it_is_wanted(elsewhere: Project) -> None:
    shipped = found("connectors/sources/csv.yaml", elsewhere.root, ship=True)
    assert shipped == str(paths.bundled("connectors/sources/csv.yaml"))
    assert found("connectors/csv.yaml", elsewhere.root, ship=True) == shipped
    assert found("connectors/sources/csv.yaml", elsewhere.root) is None
    elsewhere.write("connectors/csv.yaml", "x: 1")
    assert found("connectors/sources/csv.yaml", elsewhere.root, ship=True) == str(
        elsewhere.root / "connectors/csv.yaml"
    )


def test_every_place_that_was_looked_at_is_told_in_order(elsewhere: Project) -> None:
    hint = paths.find("assets/peeple.yaml", elsewhere.root).hint()
    assert hint == (
        f"looked at: assets/peeple.yaml, {elsewhere.root}/assets/peeple.yaml\n"
        f"there is {elsewhere.root}/assets/people.yaml: is it meant?"
    )


@pytest.mark.parametrize("text", ["a" * 5000, "a\0b", "~nobody-of-this-name/x", "/root\0", "b/" * 3000])
def test_paths_that_no_system_takes_are_simply_not_there(elsewhere: Project, text: str) -> None:
    assert paths.find(text, elsewhere.root).path is None
    assert paths.find(text, elsewhere.root).hint().startswith("looked at: ")


@pytest.mark.parametrize("text", ["/a", "../a", "a/../../b", "~/a", "~x/a", "..", "a/../.."])
def test_paths_that_leave_their_folder(text: str) -> None:
    assert paths.leaves_root(text)


@pytest.mark.parametrize("text", ["a", "./a", "a/../b", "..a/b", "a/..b", "{doc_id}.md", "."])
def test_paths_that_stay_in_their_folder(text: str) -> None:
    assert not paths.leaves_root(text)


def test_paths_are_shown_from_the_working_directory(project: Project) -> None:
    assert paths.shown(project.root / "jobs/a.yaml") == "jobs/a.yaml"
    assert paths.shown(Path("/somewhere/else")) == "/somewhere/else"


def test_a_job_is_resolved_from_anywhere(elsewhere: Project) -> None:
    elsewhere.write("data/people.csv", "id\n1\n")
    job = load_job(elsewhere.job())
    assert job.root == str(elsewhere.root.resolve())
    assert job.path == str(elsewhere.root / "jobs/acme/job.yaml")


# -- cloud mode ---------------------------------------------------------------------------------------------------------


def told(project: Project, job: dict[str, Any], **variables: str) -> str:
    path = project.job(**job)
    with pytest.raises(ConfigError) as caught:
        load_job(path, mode="cloud", environment=Environment([variables], ["t"]))
    return caught.value.render()


@pytest.fixture
def cloud(project: Project) -> Project:
    project.asset([{"name": "id", "type": "integer"}])
    project.write("data/people.csv", "id\n1\n")
    return project


def test_a_job_inside_its_project_runs_in_cloud_mode(cloud: Project) -> None:
    job = load_job(
        cloud.job(asset_path="/app/assets/people.yaml", source={"files": [{"path": "/app/data/*.csv"}]}), mode="cloud"
    )
    assert job.mode == "cloud"
    absolute = f"file://{cloud.root}/warehouse"
    assert load_job(cloud.job(target={"warehouse": absolute}), mode="cloud").target.warehouse == absolute


def test_the_mode_is_the_command_lines_else_the_jobs(cloud: Project) -> None:
    path = cloud.job(mode="cloud")
    assert load_job(path).mode == "cloud"
    assert load_job(path, mode="self_hosted").mode == "self_hosted"


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({"source": {"files": [{"path": "../other/x.csv"}]}}, "source.files[0].path"),
        ({"source": {"files": [{"file": "/etc/passwd"}]}}, "source.files[0].file"),
        ({"source": {"files": [{"path": "~/x.csv"}]}}, "source.files[0].path"),
        ({"source": {"files": [{"path": "data/*/../../../x"}]}}, "source.files[0].path"),
        ({"source": {"files": [{"path": "link/x.csv"}]}}, "source.files[0].path"),
        ({"source": {"files": [{"path": "data/a\0b"}]}}, "source.files[0].path"),
        ({"source": {"files": [{"path": "d"}], "custom_reader": "/tmp/evil.py:Reader"}}, "source.custom_reader"),
        (
            {"source": {"files": [{"path": "d"}], "incremental": {"lookback_days": 1, "state_path": "/tmp/s"}}},
            "source.incremental.state_path",
        ),
        ({"target": {"warehouse": "/srv/warehouse"}}, "target.warehouse"),
        ({"target": {"warehouse": "file:///srv/warehouse"}}, "target.warehouse"),
        ({"target": {"catalog": {"type": "sql", "uri": "sqlite:////srv/catalog.db"}}}, "target.catalog.uri"),
        ({"asset_path": "/etc/hostname"}, "asset_path"),
        ({"asset_paths": ["../a.yaml"]}, "asset_paths[0]"),
        ({"source_connector_path": "/tmp/csv.yaml"}, "source_connector_path"),
    ],
)  # fmt: skip
def test_cloud_mode_allows_no_path_out_of_the_project(cloud: Project, job: dict[str, Any], field: str) -> None:
    (cloud.root / "link").symlink_to("/usr")
    text = told(cloud, job)
    assert f"error: {field}: '" in text
    assert "leaves the project, which cloud mode does not allow" in text


def test_cloud_mode_reads_the_variables_of_connectors_and_no_others(cloud: Project) -> None:
    (cloud.root / ".env").write_text("S3_BUCKET=from-file\n")
    path = cloud.job(
        target={"connection": {"s3": {"bucket": "${S3_BUCKET}", "prefix": "${HOME}", "region": "${PGP_KEY}"}}}
    )
    variables = {"S3_BUCKET": "lake", "HOME": "/root", "PGP_KEY": "secret"}
    job = load_job(path, mode="cloud", environment=Environment([variables, {"HOME": "x"}], ["process", ".env"]))
    assert job.target.connection == {"s3": {"bucket": "lake"}}
    assert job.missing == ("HOME", "PGP_KEY")
    assert "cloud mode reads no others" in job.warnings[0].hint


def test_a_bucket_or_a_server_is_no_path(cloud: Project) -> None:
    target = {"warehouse": "s3://lake/x", "catalog": {"type": "rest", "uri": "http://localhost:8181"}}
    assert load_job(cloud.job(target=target), mode="cloud").target.warehouse == "s3://lake/x"


def test_connectors_that_the_registry_keeps_out_of_the_cloud_are_refused(cloud: Project) -> None:
    recipe = cloud.write(
        "connectors/sources/postgres.yaml", yaml.safe_dump({"name": "postgres", "type": "source", "engine": "native"})
    )
    job = {"source_connector_path": f"connectors/sources/{recipe.name}", "source": {"tables": [{"name": "a"}]}}
    assert "connector 'postgres' is not allowed in cloud mode" in told(cloud, job)
    assert load_job(cloud.job(**job), mode="self_hosted").source_type == "postgres"
