"""What the configuration of an object store's source must have, told before anything is asked of a store."""

from __future__ import annotations

from typing import Any

import pytest

from dativo import connectors
from dativo.config.resolve import Resolver
from dativo.errors import ConfigError
from tests.project import Project

S3 = {"bucket": "lake", "endpoint": "http://127.0.0.1:9", "access_key_id": "k", "secret_access_key": "s"}


def job(project: Project, connector: str = "s3", **source: Any) -> None:
    project.asset([{"name": "a"}])
    project.job(source_connector_path=f"connectors/sources/{connector}.yaml", source=source)


def problems(project: Project) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded = project.load(variables={})
        raise ConfigError(connectors.check_options(loaded).found)
    return [f"{p.severity} {p.field}: {p.message}; {p.hint}" for p in caught.value.problems()]


@pytest.mark.parametrize("more", [{"prefix": "raw"}, {"pattern": "*.csv"}, {"files": [{"path": "a.csv"}]}])
def test_a_bucket_and_what_to_read_in_it_are_enough(project: Project, more: dict[str, Any]) -> None:
    job(project, connection=S3, **more)
    assert project.load(variables={}).source_type == "s3"
    job(project, bucket="lake", **more)
    assert project.load(variables={}).connections["source"].get("bucket") == "lake"


def test_a_path_that_names_its_bucket_needs_no_other(project: Project) -> None:
    job(project, files=[{"path": "s3://lake/a.csv"}])
    assert project.load(variables={}).source_type == "s3"


@pytest.mark.parametrize(("connector", "name"), [("s3", "bucket"), ("minio", "bucket"), ("azure_blob", "container")])
def test_a_missing_bucket_is_told_with_the_places_looked_at(project: Project, connector: str, name: str) -> None:
    job(project, connector, prefix="raw")
    (found,) = problems(project)
    assert found.startswith(f"error source.{name}: a {connector} source needs a {name}: set nowhere; looked at ")
    assert f"the secret '{connector}'" in found
    assert f"the variable {'AZURE_STORAGE_CONTAINER' if name == 'container' else 'S3_BUCKET'}" in found
    assert found.endswith(f"add `{name}: NAME` to source.connection")


def test_a_bucket_whose_variable_is_set_nowhere_is_a_missing_variable(project: Project) -> None:
    job(project, prefix="raw", connection={"bucket": "${MY_BUCKET}"})
    assert project.load(variables={}).missing == ("MY_BUCKET",)


def test_nothing_to_read_is_told(project: Project) -> None:
    job(project, connection=S3)
    assert problems(project) == [
        "error source.files: a s3 source needs 'files', 'prefix' or 'pattern'; add `files: [{path: orders/2024.csv}]`, or "
        "`prefix: orders` with `pattern: '**/*.csv'`"
    ]


@pytest.mark.parametrize(
    ("connector", "path", "message"),
    [
        ("s3", "az://lake/a.csv", "'az://lake/a.csv' is not in S3"),
        ("minio", "gs://lake/a.csv", "'gs://lake/a.csv' is not in MinIO"),
        ("azure_blob", "s3://lake/a.csv", "'s3://lake/a.csv' is not in Azure Blob Storage"),
        ("s3", "file:///a.csv", "'file:///a.csv' is not in S3"),
        ("s3", "s3://lake", "'s3://lake' names no file"),
        ("s3", "s3:///a.csv", "'s3:///a.csv' names no file"),
    ],
)
def test_an_address_that_is_none_of_this_store_is_told(
    project: Project, connector: str, path: str, message: str
) -> None:
    connection = {"container": "lake"} if connector == "azure_blob" else S3
    job(project, connector, connection=connection, files=[{"path": path}])
    (found,) = problems(project)
    assert found.startswith(f"error source.files[0].path: {message}; write ")


def test_a_file_without_a_path_is_told(project: Project) -> None:
    job(project, connection=S3, files=[{"object": "x"}])
    assert problems(project) == ["error source.files[0].path: a file needs a 'path'; as `- path: orders/2024.csv`"]


def test_a_pattern_beside_files_is_told(project: Project) -> None:
    job(project, connection=S3, files=[{"path": "a.csv"}], pattern="*.csv")
    (found,) = problems(project)
    assert found.startswith("error source.pattern: 'pattern' does nothing where 'files' name what is read; ")


def test_several_assets_need_files_of_their_own(project: Project) -> None:
    project.asset([{"name": "a"}], "people")
    project.asset([{"name": "a"}], "orders")
    project.job(
        source_connector_path="connectors/sources/s3.yaml",
        asset_paths=["assets/people.yaml", "assets/orders.yaml"],
        source={"connection": S3, "prefix": "raw"},
    )
    (found,) = problems(project)
    assert "a job with several assets needs 'files' that name the object of each" in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xlsx"}, "error source.engine.options.format: unknown format 'xlsx'; one of csv, jsonl, parquet"),
        ({"format": "csv", "encoding": "utf-99"}, "error source.engine.options.encoding: unknown encoding 'utf-99'"),
        ({"encoding": "utf-99"}, "error source.engine.options.encoding: unknown encoding 'utf-99'"),
        (
            {"fromat": "csv"},
            "warning source.engine.options.fromat: unknown option 'fromat' does nothing; did you mean 'format'",
        ),
        ({"delimeter": ";"}, "warning source.engine.options.delimeter: unknown option 'delimeter' does nothing"),
    ],
)
def test_options_are_checked_by_the_format_of_the_files(
    project: Project, options: dict[str, Any], message: str
) -> None:
    job(project, connection=S3, pattern="*.csv.gz", engine={"options": options})
    (found,) = problems(project)
    assert found.startswith(message)


def test_validation_asks_no_store(project: Project) -> None:
    job(project, connection=S3, prefix="raw", incremental={"strategy": "file_modified_time"})
    resolver = Resolver()
    assert resolver.job(project.root / "jobs/acme/job.yaml") is not None
    assert resolver.problems.found == []
