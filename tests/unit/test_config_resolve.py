"""Resolving a job: recipes, registry, incremental loading, streams, variables that a run misses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dativo.config.environment import Environment
from dativo.config.policy import PolicyFile
from dativo.config.resolve import MaxRejects, ResolvedJob, Resolver, load_job
from dativo.errors import ConfigError
from tests.project import Project

COLUMNS = [{"name": "id", "type": "integer", "primary_key": True}, {"name": "at", "type": "timestamp"}]


@pytest.fixture
def files(project: Project) -> Project:
    project.asset(COLUMNS)
    project.write("data/people.csv", "id,at\n1,2024-01-01\n")
    return project


def told(project: Project, name: str = "job", mode: Any = None, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_job(project.root / f"jobs/acme/{name}.yaml", mode=mode, environment=Environment([variables], ["t"]))
    return caught.value.render()


def recipe(project: Project, path: str, **document: Any) -> str:
    project.write(path, yaml.safe_dump(document, sort_keys=False))
    return path


def postgres(project: Project, **source: Any) -> None:
    path = recipe(
        project, "connectors/sources/postgres.yaml", name="postgres", type="postgres", default_engine="native",
        connection_template={"host": "${PGHOST}", "port": 5432, "options": {"a": 1, "b": 2}},
        incremental={"strategy": "updated_at", "lookback_days_default": 3},
    )  # fmt: skip
    project.job(source_connector_path=path, source={"tables": [{"name": "public.people"}], **source})


# -- merging ------------------------------------------------------------------------------------------------------------


def test_the_job_is_laid_over_the_recipe_at_every_depth_and_null_unsets(files: Project) -> None:
    postgres(files, connection={"host": "db", "options": {"b": 3, "c": 4}, "port": None})
    assert files.load(variables={}).source.connection == {
        "host": "db",
        "port": None,
        "options": {"a": 1, "b": 3, "c": 4},
    }


def test_lists_are_replaced(files: Project) -> None:
    path = recipe(
        files, "connectors/targets/ice.yaml", name="i", type="iceberg", engine="native", partitioning_default=["at"]
    )
    files.job(target_connector_path=path, target={"partitioning": ["month(at)"]})
    assert [str(p) for p in files.load().streams[0].partitioning] == ["month(at)"]


def test_partitioning_comes_from_the_job_then_the_contract_then_the_recipe(files: Project) -> None:
    path = recipe(
        files, "connectors/targets/ice.yaml", name="i", type="iceberg", engine="native", partitioning_default=["at"]
    )
    files.job(target_connector_path=path)
    assert [str(p) for p in files.load().streams[0].partitioning] == ["at"]
    files.asset(COLUMNS, target={"partitioning": ["day(at)"]})
    assert [str(p) for p in files.load().streams[0].partitioning] == ["day(at)"]
    files.job(target_connector_path=path, target={"partitioning": []})
    assert files.load().streams[0].partitioning == ()


def test_schema_mode_comes_from_the_job_then_the_contract_and_warn_is_relaxed(files: Project) -> None:
    files.job()
    assert files.load().schema_mode == "merge"
    files.asset(COLUMNS, target={"mode": "warn"})
    assert files.load().schema_mode == "relaxed"
    files.job(target={"mode": "strict"})
    assert files.load().schema_mode == "strict"


def test_a_variable_is_put_in_once_and_what_it_holds_is_never_expanded(files: Project) -> None:
    postgres(files, connection={"password": "${PW}", "price": "$$5"})
    connection = files.load(variables={"PGHOST": "h", "PW": "a$PGHOST${X}b"}).source.connection
    assert connection["password"] == "a$PGHOST${X}b"
    assert connection["price"] == "$5"
    assert files.load(variables={"PGHOST": "h", "PW": "a$PGHOST${X}b"}).missing == ()


# -- recipes and registry -----------------------------------------------------------------------------------------------


def test_a_recipe_in_the_wrong_role_is_refused(files: Project) -> None:
    files.job(target_connector_path="connectors/sources/csv.yaml")
    assert "the recipe 'csv' cannot be a target, only a source" in told(files)
    unified = recipe(files, "connectors/ice.yaml", name="ice", type="iceberg", roles=["target"], engine="native")
    files.job(source_connector_path=unified)
    assert "the recipe 'ice' cannot be a source, only a target" in told(files)


def test_a_recipe_that_is_not_there_tells_where_it_was_looked_for_and_what_is_like_it(files: Project) -> None:
    recipe(files, "connectors/sources/mycsv.yaml", name="csv", type="csv", engine="native")
    files.job(source_connector_path="connectors/sources/mycvs.yaml")
    text = told(files)
    assert "source_connector_path: Connector recipe not found: 'connectors/sources/mycvs.yaml'" in text
    assert "looked at: connectors/sources/mycvs.yaml, connectors/mycvs.yaml" in text
    assert "there is connectors/sources/mycsv.yaml: is it meant?" in text


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"type": "csv", "engine": "native"}, "name: 'name' is required"),
        ({"name": "csv", "engine": "native"}, "type: 'type' is required"),
        ({"name": "csv", "type": "csv"}, "default_engine: 'default_engine' is required"),
        (
            {"name": "csv", "type": "csv", "engine": "native", "roles": ["sink"]},
            "roles[0]: expected one of 'source', 'target'",
        ),
    ],
)
def test_a_recipe_lacks_nothing_it_needs(files: Project, document: dict[str, Any], wanted: str) -> None:
    files.job(source_connector_path=recipe(files, "connectors/sources/own.yaml", **document))
    assert wanted in told(files)


def test_variables_of_a_recipe_are_put_in_before_it_is_judged(files: Project) -> None:
    path = recipe(
        files, "connectors/sources/own.yaml", name="csv", type="csv", engine="native",
        incremental={"strategy": "file_modified_time", "lookback_days_default": "${DAYS:-4}"},
    )  # fmt: skip
    files.job(source_connector_path=path, source={"files": [{"path": "d"}], "incremental": {"strategy": "incremental"}})
    incremental = files.load(variables={}).incremental
    assert incremental is not None and (incremental.strategy, incremental.lookback_days) == ("file_modified_time", 4)


def test_a_connector_that_the_registry_does_not_know_is_told_with_the_nearest(files: Project) -> None:
    files.job(source={"type": "postgress", "tables": [{"name": "a"}]})
    text = told(files)
    assert "source.type: Connector 'postgress' not found in registry" in text and "did you mean 'postgres'?" in text


def test_a_connector_may_only_take_the_roles_of_the_registry(files: Project) -> None:
    files.job(target={"type": "stripe"})
    assert "connector 'stripe' cannot be a target, only a source" in told(files)


def test_the_registry_is_the_named_one_else_the_projects_else_the_one_that_ships(files: Project) -> None:
    files.job()
    assert files.load(variables={}).registry_source is not None
    files.write("registry/connectors.yaml", "version: 3\nconnectors: {}\n")
    assert "Connector 'csv' not found in registry" in told(files)
    files.write("mine.yaml", "version: 1\nsources: {csv: {supports_incremental: true}}\ntargets: {iceberg: {}}\n")
    assert files.load(variables={"DATIVO_REGISTRY": "mine.yaml"}).registry_source is not None
    assert "the registry 'absent.yaml' does not exist" in told(files, DATIVO_REGISTRY="absent.yaml")


# -- incremental loading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ({"strategy": "cdc"}, "strategy 'cdc' is not supported"),
        ({"strategy": "created"}, "strategy 'created' needs a cursor_field"),
        ({"strategy": "updated_at"}, "source.incremental.cursor_field: strategy 'updated_at' needs a cursor_field"),
        ({"strategy": "file_modified_time"}, "strategy 'file_modified_time' needs files"),
        ({"strategy": "spreadsheet_modified_time"}, "connector 'postgres' has no strategy 'spreadsheet_modified_time'"),
        ({"strategy": "sometimes"}, "source.incremental.strategy: expected one of"),
        ({"lookback_days": -1}, "source.incremental.lookback_days: expected a whole number >= 0"),
    ],
)
def test_incremental_loading_needs_what_its_strategy_needs(files: Project, block: dict[str, Any], wanted: str) -> None:
    postgres(files, incremental=block)
    files.write("registry/connectors.yaml", REGISTRY)
    assert wanted in told(files)


REGISTRY = """
version: 3
connectors:
  postgres: {roles: [source], default_engine: native, engines_supported: [native], supports_incremental: true}
  csv: {roles: [source], default_engine: native, engines_supported: [native]}
  iceberg: {roles: [target], default_engine: native, engines_supported: [native]}
"""


def test_without_any_strategy_incremental_loading_is_refused(files: Project) -> None:
    path = recipe(files, "connectors/sources/pg.yaml", name="pg", type="postgres", engine="native")
    files.job(source_connector_path=path, source={"tables": [{"name": "a"}], "incremental": {"lookback_days": 1}})
    files.write("registry/connectors.yaml", REGISTRY)
    assert "no incremental strategy: neither the job, the recipe nor the registry gives one" in told(files)


def test_a_connector_that_cannot_load_incrementally_is_told(files: Project) -> None:
    files.write("registry/connectors.yaml", REGISTRY)
    files.job(source={"files": [{"path": "d"}], "incremental": {"strategy": "file_modified_time"}})
    assert "connector 'csv' cannot load incrementally" in told(files)


def test_a_file_strategy_on_a_database_is_refused(files: Project) -> None:
    postgres(files, incremental={"strategy": "file_modified_time"}, files=[{"path": "d"}])
    assert "connector 'postgres' has no strategy 'file_modified_time'" in told(files)


@pytest.mark.parametrize(
    "source",
    [
        {"incremental": {"cursor_field": "at"}},
        {"incremental": {"cursor_field": None}},
        {"incremental": {"lookback_days": 1}, "tables": [{"name": "a", "cursor_field": "at"}]},
        {
            "incremental": {"lookback_days": 1},
            "tables": [],
            "queries": [{"name": "q", "sql": "select 1", "cursor_field": "at"}],
        },
    ],
)
def test_a_cursor_may_be_named_in_several_places(files: Project, source: dict[str, Any]) -> None:
    postgres(files, **source)
    incremental = files.load(variables={"PGHOST": "h"}).incremental
    assert incremental is not None and incremental.strategy == "updated_at"


def test_full_refresh_means_no_cursor(files: Project) -> None:
    postgres(files, incremental={"strategy": "full_refresh"})
    job = files.load(variables={"PGHOST": "h"})
    assert job.incremental is None and job.write_mode == "replace"


def test_incremental_appends_and_a_full_load_replaces_unless_told_otherwise(files: Project) -> None:
    files.job(source={"files": [{"path": "d"}], "incremental": {"strategy": "file_modified_time"}})
    assert files.load().write_mode == "append"
    files.job()
    assert files.load().write_mode == "replace"
    files.job(target={"write_mode": "upsert"})
    assert files.load().write_mode == "upsert"


@pytest.mark.parametrize("mode", ["upsert", "scd2"])
def test_upsert_and_scd2_need_a_key(files: Project, mode: str) -> None:
    files.asset([{"name": "a"}])
    files.job(target={"write_mode": mode})
    assert f"target.write_mode: write_mode '{mode}' needs a key, and asset people 1.0 has none" in told(files)


# -- variables that a run misses ----------------------------------------------------------------------------------------


def with_storage(project: Project, **target: Any) -> None:
    path = recipe(
        project, "connectors/targets/lake.yaml", name="lake", type="iceberg", default_engine="native",
        connection_template={
            "nessie": {"uri": "${NESSIE_URI}", "ref": "main"},
            "s3": {"endpoint": "${S3_ENDPOINT}", "bucket": "${S3_BUCKET}", "secret_access_key": "${AWS_SECRET_ACCESS_KEY}"},
        },
    )  # fmt: skip
    project.job(target_connector_path=path, target=target)


def test_storage_variables_of_a_recipe_are_not_missed_by_a_job_with_a_local_warehouse(files: Project) -> None:
    with_storage(files)
    job = files.load(variables={})
    assert job.missing == ()
    assert job.target.connection == {"s3": {}}
    receipt = files.sync()
    assert (receipt.status, receipt.loaded) == ("loaded", 1)


@pytest.mark.parametrize("warehouse", ["warehouse", "file:///tmp/warehouse", "/tmp/warehouse"])
def test_a_local_warehouse_misses_no_storage_variables_whatever_the_catalog(files: Project, warehouse: str) -> None:
    with_storage(files, warehouse=warehouse, catalog={"type": "rest", "uri": "http://localhost:1"})
    assert files.load(variables={}).missing == ()


@pytest.mark.parametrize(
    ("target", "variables", "missing"),
    [
        ({"warehouse": "s3://lake/"}, {}, ("S3_ENDPOINT", "S3_BUCKET", "AWS_SECRET_ACCESS_KEY")),
        ({"connection": {"s3": {"bucket": "lake"}}}, {}, ("S3_ENDPOINT", "AWS_SECRET_ACCESS_KEY")),
        ({}, {"S3_BUCKET": "lake", "S3_ENDPOINT": "http://s"}, ("AWS_SECRET_ACCESS_KEY",)),
        ({"catalog": "nessie", "warehouse": "w"}, {}, ("NESSIE_URI",)),
        ({"warehouse": "${WAREHOUSE}"}, {}, ("WAREHOUSE",)),
        ({"catalog": {"type": "rest", "uri": "${CATALOG}"}}, {}, ("CATALOG",)),
    ],
)
def test_variables_whose_value_is_used_are_missed(
    files: Project, target: dict[str, Any], variables: dict[str, str], missing: tuple[str, ...]
) -> None:
    with_storage(files, **target)
    job = files.load(variables=variables)
    assert job.missing == missing
    told = [p for p in job.warnings if p.code == "env_missing"]
    assert [p.message for p in told] == [f"Missing required environment variable: {name}" for name in missing]


def test_a_run_that_misses_a_variable_stops_with_its_name_and_place(files: Project) -> None:
    with_storage(files, warehouse="s3://lake/")
    with pytest.raises(ConfigError) as caught:
        files.sync()
    assert caught.value.render().splitlines()[:2] == [
        "error: target.connection.s3.endpoint: Missing required environment variable: S3_ENDPOINT",
        "  connectors/targets/lake.yaml:9:15",
    ]


def test_variables_of_the_jobs_own_paths_are_missed(files: Project) -> None:
    files.job(source={"files": [{"path": "${DATA}/people.csv"}]})
    assert files.load(variables={}).missing == ("DATA",)


@pytest.mark.parametrize("field", ["source_connector_path", "asset_path"])
def test_a_path_that_cannot_be_known_stops_the_job_at_once(files: Project, field: str) -> None:
    files.job(**{field: "${WHERE}/x.yaml"})
    assert f"error: {field}: Missing required environment variable: WHERE" in told(files)


def test_a_connection_that_a_file_source_never_opens_misses_nothing(files: Project) -> None:
    files.job(
        source={"files": [{"path": "d"}], "connection": {"host": "${H}"}, "credentials": {"file_template": "${F}"}}
    )
    assert files.load(variables={}).missing == ()


def test_a_database_misses_its_connection(files: Project) -> None:
    postgres(files)
    job = files.load(variables={})
    assert job.missing == ("PGHOST",)
    assert "host" not in job.source.connection


def test_pushed_metadata_and_sinks_never_stop_a_run(files: Project) -> None:
    files.job(
        catalog={"type": "openmetadata", "connection": {"auth_token": "${TOKEN}"}},
        observability={"aws": {"region": "${REGION}", "log_group": "g"}},
        infrastructure={"runtime": "${RUNTIME}"},
    )
    assert files.load(variables={}).missing == ()


# -- streams ------------------------------------------------------------------------------------------------------------


def test_several_contracts_need_a_stream_each_and_every_stream_a_contract(files: Project) -> None:
    files.asset(COLUMNS, name="orders")
    files.job(
        asset_paths=["assets/orders.yaml"], source={"files": [{"path": "data/people.csv"}, {"path": "data/x.csv"}]}
    )
    text = told(files)
    assert "source.files[1]: no asset for the object 'x'" in text
    assert "asset_paths[0]: asset orders 1.0 is for the object 'orders', which the source does not have" in text


def test_two_contracts_for_one_table_are_refused(files: Project) -> None:
    files.asset(COLUMNS, name="other")
    files.write("assets/other.yaml", (files.root / "assets/people.yaml").read_text())
    files.job(asset_paths=["assets/other.yaml"])
    assert "two assets of the job are for the table 'default.people'" in told(files)


def test_one_file_named_twice_is_one_contract(files: Project) -> None:
    files.job(asset_paths=["assets/people.yaml", "assets/../assets/people.yaml"])
    assert len(files.load().streams) == 1


def test_names_of_tables_and_namespaces_are_made_safe_and_what_cannot_be_is_refused(files: Project) -> None:
    files.asset(COLUMNS, domain="Human Re-sources")
    files.job()
    assert files.load().streams[0].namespace == "human_re_sources"
    files.asset(COLUMNS, domain="a/b")
    assert "domain: 'a/b' cannot name a namespace" in told(files)


@pytest.mark.parametrize(
    ("target", "connection", "domain", "namespace"),
    [
        ("postgres", {}, None, "public"),
        ("postgres", {}, "sales", "sales"),
        ("postgres", {"schema": "Mart"}, "sales", "Mart"),
        ("mysql", {"database": "shop"}, "sales", "shop"),
        ("mysql", {"database": "shop", "schema": "mart"}, "sales", "mart"),
    ],
)
def test_a_table_of_a_database_is_in_the_schema_that_the_connection_names(
    files: Project, target: str, connection: dict[str, str], domain: str | None, namespace: str
) -> None:
    files.asset(COLUMNS, **({"domain": domain} if domain else {}))
    files.job(target_connector_path=f"connectors/targets/{target}.yaml", target={"connection": connection})
    assert files.load().streams[0].namespace == namespace


def test_two_contracts_may_not_be_for_one_table_of_a_database(files: Project) -> None:
    for domain in ("sales", "support"):
        files.asset(COLUMNS, "people", domain=domain)
        (files.root / "assets/people.yaml").rename(files.root / f"assets/{domain}.yaml")
    paths = ["assets/sales.yaml", "assets/support.yaml"]
    target = {"connection": {"database": "shop"}}
    files.job(asset_path=None, asset_paths=paths, target_connector_path="connectors/targets/mysql.yaml", target=target)
    assert "two assets of the job are for the table 'shop.people'" in told(files)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(100, "100"), ("100", "100"), ("0", "0"), ("0.1%", "0.1%"), ("100 %", "100%"), (0, "0")],
)
def test_limits_of_rejects(files: Project, value: Any, wanted: str) -> None:
    files.job(max_rejects=value)
    assert str(files.load().streams[0].max_rejects) == wanted


@pytest.mark.parametrize("value", ["-1", "101%", "many", "1.5", "0.1 percent", "²"])
def test_what_is_no_limit_of_rejects_is_refused(files: Project, value: str) -> None:
    files.job(max_rejects=value)
    assert "is not a limit of rejects" in told(files)


def test_a_limit_allows_rows_or_a_share() -> None:
    assert MaxRejects(rows=2).allows(2, 10) and not MaxRejects(rows=2).allows(3, 10)
    assert MaxRejects(share=0.1).allows(1, 10) and not MaxRejects(share=0.1).allows(2, 10)


def test_the_jobs_limit_wins_over_the_contracts(files: Project) -> None:
    files.asset(COLUMNS, data_quality={"max_rejects": "5%"})
    files.job()
    assert str(files.load().streams[0].max_rejects) == "5%"
    files.job(max_rejects=1)
    assert str(files.load().streams[0].max_rejects) == "1"


def test_treatments_of_the_job_win_column_by_column_and_of_two_scans_the_stricter(files: Project) -> None:
    files.asset(COLUMNS, privacy={"warehouse": {"default": "hash", "columns": {"id": "drop"}}, "leak_scan": "fail"})
    files.job(privacy={"warehouse": {"columns": {"at": "redact"}}, "llm": {"default": "none"}})
    privacy = files.load().streams[0].privacy
    assert privacy is not None and privacy.warehouse is not None and privacy.llm is not None
    assert (privacy.warehouse.default, privacy.warehouse.columns) == ("hash", {"id": "drop", "at": "redact"})
    assert privacy.leak_scan == "fail"


def test_overrides_that_name_no_column_are_told(files: Project) -> None:
    files.job(classification_overrides={"idd": "PII", "default": "X"}, privacy={"llm": {"columns": {"nope": "drop"}}})
    warnings = [(p.field, p.message) for p in files.load().warnings]
    assert warnings == [
        ("classification_overrides.idd", "'idd' is not a column of asset people 1.0"),
        ("privacy.llm.columns.nope", "'nope' is not a column of asset people 1.0"),
    ]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("idd", "target.partitioning[0]: 'idd' is not a column of asset people 1.0"),
        ("week(at)", "'week' is not a partition transform"),
        ("bucket(id)", "'bucket(id)': bucket takes a width and a column"),
        ("bucket(0, id)", "bucket takes a width and a column"),
        ("month(3, at)", "month takes a column only"),
        ("month(at", "'month(at' is not a partition expression"),
        ("month(id)", "month cannot partition 'id' of type long"),
        ("hour(ingest_date)", "'ingest_date' is not a column"),
    ],
)
def test_partition_expressions_are_held_against_the_contract(files: Project, expression: str, wanted: str) -> None:
    files.job(target={"partitioning": [expression]})
    assert wanted in told(files)


def test_a_partition_that_stands_twice_is_refused(files: Project) -> None:
    files.job(target={"partitioning": ["day(at)", "DAY( at )"]})
    assert "'day(at)' stands twice" in told(files)


# -- checks of single settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        ({"tenant_id": "../up"}, "tenant_id: '../up' cannot be a tenant"),
        ({"tenant_id": "-x"}, "'-x' cannot be a tenant"),
        ({"tenant_id": ""}, "tenant_id: expected text that is not empty"),
        ({"source": {}}, "source.files: a csv source needs 'files'"),
        ({"source": {"files": [{"id": "x"}]}}, "source.files[0].path: a file needs a 'path'"),
        (
            {"source": {"files": [{"path": "d", "object": "../x"}]}},
            "source.files[0].object: '../x' cannot be an object",
        ),
        ({"source": {"files": [{"path": "d"}], "objects": ["a\\b"]}}, "source.objects[0]: 'a\\b' cannot be an object"),
        ({"source": {"type": "../x", "custom_reader": "a.py:B"}}, "'../x' cannot be a connector type"),
        ({"source": [1]}, "source: expected a map, got a list"),
        ({"target": "iceberg"}, "target: expected a map, got a scalar"),
        ({"target": {"catalog": "nesie"}}, "target.catalog: unknown catalog 'nesie'\n"),
        ({"target": {"catalog": {"type": "unity"}}}, "one of nessie, glue, hive, rest, sql"),
        ({"target": {"file_format": "xml"}}, "target.file_format: expected one of 'parquet'"),
        ({"target": {"parquet_target_size_mb": 0}}, "expected a whole number >= 1, got '0'"),
        (
            {"target": {"markdown_kv_storage": {"mode": "structured"}}},
            "'structured_pattern' is required when the mode is",
        ),
        ({"target": {"markdown_kv_storage": {"mode": "blob"}}}, "expected one of 'string', 'raw_file', 'structured'"),
        (
            {"target": {"markdown_kv_storage": {"mode": "raw_file", "path_pattern": "{docid}.md"}}},
            "did you mean '{doc_id}'?",
        ),
        (
            {"target": {"markdown_kv_storage": {"mode": "raw_file", "path_pattern": "../{doc_id}"}}},
            "leaves the target's folder",
        ),
        ({"target": {"markdown_kv_storage": {"mode": "raw_file", "file_extension": ".txt"}}}, "'.md', '.mdkv'"),
        (
            {"schema_validation_mode": "lenient"},
            "schema_validation_mode: expected one of 'strict', 'warn', 'quarantine'",
        ),
        ({"observability": {}}, "observability: 'aws' or 'gcp' is required"),
        ({"observability": {"aws": {"region": "r"}}}, "observability.aws.log_group: 'log_group' is required"),
        ({"catalog": {"type": "openmetadata"}}, "catalog.connection: 'connection' is required"),
        ({"plugins": {"sandbox": {"cpu_limit": 2}}}, "plugins.sandbox.cpu_limit: expected a number >= 0 <= 1, got '2'"),
        ({"plugins": {"sandbox": {"timeout": 0}}}, "expected a whole number >= 1, got '0'"),
        ({"mode": "hosted"}, "mode: expected one of 'self_hosted', 'cloud'"),
        ({"asset_path": None}, "asset_path: 'asset_path' is required"),
        ({"asset_path": "assets/peple.yaml"}, "there is assets/people.yaml: is it meant?"),
    ],
)
def test_mistakes_in_a_job(files: Project, job: dict[str, Any], wanted: str) -> None:
    files.job(**job)
    assert wanted in told(files)


def test_a_database_needs_tables_and_only_some_connectors_take_queries(files: Project) -> None:
    postgres(files, tables=[])
    assert "source.tables: a postgres source needs 'tables'" in told(files)
    files.job(source={"files": [{"path": "d"}], "queries": [{"name": "q", "sql": "select 1"}]})
    assert "connector 'csv' takes no queries" in told(files)


def test_patterns_that_are_no_expressions_are_told_and_skipped(files: Project) -> None:
    files.job(retry_config={"retryable_error_patterns": ["(", "ok"]})
    assert [p.field for p in files.load().warnings] == ["retry_config.retryable_error_patterns[0]"]


# -- several jobs -------------------------------------------------------------------------------------------------------


def both(project: Project, *paths: Path, **options: Any) -> tuple[Resolver, list[ResolvedJob]]:
    resolver = Resolver(environment=Environment([{}], ["t"]), **options)
    jobs = [job for job in (resolver.job(path) for path in paths) if job is not None]
    resolver.check_names(jobs)
    return resolver, jobs


def test_two_jobs_of_one_tenant_and_name_are_refused(files: Project) -> None:
    first = files.job("same")
    second = files.write("jobs/other/Same.yaml", first.read_text())
    resolver, jobs = both(files, first, second, first)
    assert len(jobs) == 3
    assert [p.message for p in resolver.problems.errors()] == ["two jobs of tenant 'acme' have the name 'Same'"]


def test_what_jobs_share_is_read_once_and_its_mistakes_are_told_for_each(files: Project) -> None:
    files.asset([{"name": "a", "type": "decimal(50,1)"}])
    paths = [files.job("one"), files.job("two", tenant_id="globex")]
    resolver, jobs = both(files, *paths)
    assert jobs == []
    assert len(resolver.problems.errors()) == 1


def test_warnings_of_a_shared_contract_belong_to_every_job(files: Project) -> None:
    files.asset(COLUMNS, team=None)
    _, jobs = both(files, files.job("one"), files.job("two"))
    assert [[p.code for p in job.warnings] for job in jobs] == [["governance_incomplete"]] * 2
    assert jobs[0].streams[0].asset is jobs[1].streams[0].asset


def test_a_policy_warns_or_stops(files: Project) -> None:
    files.asset([{"name": "E mail"}, {"name": "x", "classification": "public"}])
    path = files.job()
    policy = PolicyFile(pii_fields=["email"], contract_enforcement=None)
    resolver, jobs = both(files, path, policy=policy)
    assert len(jobs) == 1 and [p.code for p in resolver.problems.warnings()] == ["policy"]
    resolver, jobs = both(files, path, policy=PolicyFile(pii_fields=["email"], contract_enforcement="strict"))
    assert jobs == [] and [p.field for p in resolver.problems.errors()] == ["schema.E mail", "compliance"]
    resolver, jobs = both(files, path, policy=PolicyFile(pii_fields=["email"], contract_enforcement="off"))
    assert len(jobs) == 1 and resolver.problems.found == []


def test_governance_may_be_asked_for_without_a_policy(files: Project) -> None:
    files.asset(COLUMNS, team=None)
    resolver, jobs = both(files, files.job(), strict_governance=True)
    assert jobs == []
    assert {p.field for p in resolver.problems.errors()} == {"team.owner", "compliance"}


# -- places -------------------------------------------------------------------------------------------------------------


def test_every_setting_knows_its_place_and_an_absent_one_the_nearest(files: Project) -> None:
    job = load_job(files.job(target={"partitioning": ["at"]}))
    assert str(job.mark("source.files[0].path")) == "jobs/acme/job.yaml:7:11"
    assert str(job.mark("target.partitioning[0]")) == "jobs/acme/job.yaml:10:5"
    assert str(job.mark("source.files[0].absent")) == "jobs/acme/job.yaml:7:5"
    assert str(job.mark("target.file_format")).endswith("connectors/targets/iceberg.yaml:7:14")
    assert str(job.mark("nothing[3].of.this")) == "jobs/acme/job.yaml"
