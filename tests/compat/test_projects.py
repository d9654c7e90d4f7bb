"""Files of every variant that existing projects have: each resolves, and means what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from dativo.config.environment import Environment
from dativo.config.problems import Problems
from dativo.config.registry import read_registry
from dativo.config.resolve import ResolvedJob, Resolver
from dativo.sources.database_options import database_options, misspelt

PROJECT = Path(__file__).parent / "project"
JOBS = sorted(p.relative_to(PROJECT).as_posix() for p in (PROJECT / "jobs").rglob("*") if p.is_file())


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def resolver(**variables: str) -> Resolver:
    return Resolver(environment=Environment([variables], ["the test's variables"]))


def load(name: str, **variables: str) -> ResolvedJob:
    found = resolver(**variables)
    job = found.job(next(Path(j) for j in JOBS if Path(j).stem == name))
    assert job is not None, "\n".join(p.render() for p in found.problems.errors())
    return job


@pytest.mark.parametrize("path", JOBS)
def test_every_job_resolves_without_a_mistake(path: str) -> None:
    found = resolver()
    job = found.job(Path(path))
    assert [p.render() for p in found.problems.errors()] == []
    assert job is not None
    assert job.name == Path(path).stem
    assert {p.code for p in found.problems.warnings()} <= {"env_missing", "governance_incomplete", "unknown_type"}


def test_jobs_of_one_project_share_what_they_refer_to_and_have_names_of_their_own() -> None:
    found = resolver()
    jobs = [job for job in (found.job(Path(p)) for p in JOBS) if job is not None]
    found.check_names(jobs)
    assert len(jobs) == len(JOBS)
    assert found.problems.errors() == []
    registries = {id(job.registry_target) for job in jobs if job.target_type == "iceberg"}
    assert len(registries) == 1


def test_a_recipe_of_the_unified_layout_gives_engine_credentials_and_rate_limits() -> None:
    job = load("stripe_customers_to_iceberg")
    assert (job.source_type, job.target_type, job.branch) == ("stripe", "iceberg", "acme")
    assert job.source.objects == ["customers"]
    assert job.source.credentials == {"type": "api_key", "from_env": "STRIPE_API_KEY"}
    assert job.source.rate_limits["retry"]["max_retries"] == 5
    assert job.source.engine is not None and not isinstance(job.source.engine, str)
    assert job.source.engine.type == "airbyte"
    assert job.source.engine.options["start_date_default"] == "2024-01-01"
    assert job.target.connection["nessie"] == {
        "uri": "http://nessie.acme.internal:19120/api/v1",
        "ref": "main",
        "default_branch": "main",
    }
    assert job.target.connection["s3"]["bucket"] == "acme-data-lake"
    assert job.target.connection["s3"]["path_style_access"] is False
    assert [str(p) for p in job.streams[0].partitioning] == ["ingest_date"]
    assert job.missing == ("S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


def test_without_objects_a_service_reads_the_streams_of_its_recipe() -> None:
    assert load("stripe_default_streams_to_s3").source.objects == ["customers", "charges"]


def test_a_job_with_lookback_days_alone_takes_strategy_and_cursor_from_the_recipe() -> None:
    incremental = load("postgres_orders_to_iceberg").incremental
    assert incremental is not None
    assert (incremental.strategy, incremental.cursor_field, incremental.lookback_days) == (
        "updated_at",
        "updated_at",
        1,
    )
    incremental = load("stripe_default_streams_to_s3").incremental
    assert incremental is not None
    assert (incremental.strategy, incremental.cursor_field) == ("created", "created")


def test_a_guide_recipe_names_its_role_in_type_and_its_connector_in_name() -> None:
    job = load("sqlite_orders_to_iceberg")
    assert job.source_type == "sqlite"
    assert job.source.connection == {"database_path": "data/shop.db"}
    assert job.incremental is not None and job.incremental.strategy == "updated_at"
    hubspot = load("hubspot_contacts_to_iceberg")
    assert hubspot.source_type == "hubspot"
    assert hubspot.source.credentials["api_key"] == "none"
    assert hubspot.incremental is not None and hubspot.incremental.lookback_days == 0


def test_a_connection_url_stands_for_the_settings_that_the_job_has_not() -> None:
    job = load("postgres_refunds_by_url", POSTGRES_PASSWORD="p%40ss", PGHOST="elsewhere")
    found = job.connections["source"]
    assert [found.get(n) for n in ("host", "port", "database", "user", "password", "sslmode")] == [
        "db.acme.internal", "6432", "shop", "reader", "p@ss", "require",
    ]  # fmt: skip
    orders, archive = job.streams[0].relations
    assert (orders.label, orders.where, job.cursor_field(orders)) == (
        "public.orders",
        "status <> 'draft'",
        "updated_at",
    )
    assert (archive.label, archive.full, job.cursor_field(archive)) == ("archive.orders", True, None)
    assert database_options(job).batch_size == 5000
    assert misspelt(job).found == []


def test_a_null_cursor_means_a_full_load_on_purpose() -> None:
    incremental = load("mysql_customers_raw_files").incremental
    assert incremental is not None and incremental.cursor_field is None


def test_an_empty_or_null_incremental_block_means_a_full_load() -> None:
    assert load("markdown_kv_to_iceberg").incremental is None
    assert load("employee_with_overrides").incremental is None
    assert load("employee_with_overrides").write_mode == "replace"


def test_drive_files_are_named_by_id_in_both_spellings() -> None:
    files = load("gdrive_deals_to_iceberg").source.files
    assert files is not None
    assert [(f.id, f.object, f.path) for f in files] == [
        ("1AbcDriveFile", "deals", None),
        ("2AbcDriveFile", "deals", None),
    ]
    assert files[0].modified_time == "2024-05-01T10:00:00Z"


def test_sheets_have_three_spellings() -> None:
    sheets = load("gsheets_vendors_to_minio").source.sheets
    assert sheets is not None
    assert (sheets[0].id, sheets[0].sheet_id, sheets[0].has_header) == ("1AbcDEFsheetID", 0, False)
    sheets = load("gsheets_alias_to_iceberg").source.sheets
    assert sheets is not None
    assert (sheets[0].id, sheets[0].range, sheets[0].sheet) == ("1AbcDEFsheetID", "A1:Z1000", "Vendors")


def test_a_connection_may_stand_flat_or_below_the_connectors_name() -> None:
    flat = load("gsheets_vendors_to_minio").target.connection
    assert (flat["endpoint"], flat["bucket"], flat["secure"]) == ("minio.acme.internal:9000", "acme-data-lake", False)
    nested = load("gdrive_folder_to_minio").target.connection
    assert nested == {
        "bucket": "lake",
        "secure": False,
        "path_style_access": True,
        "access_key": "a",
        "secret_key": "b",
    }
    postgres = load("postgres_orders_to_iceberg").source.connection
    assert (postgres["host"], postgres["port"], postgres["database"]) == ("localhost", "5432", "shop")


def test_options_of_the_job_win_over_the_recipes_and_direct_ones_over_nested() -> None:
    engine = load("csv_employee_to_iceberg").source.engine
    assert engine is not None and not isinstance(engine, str)
    assert engine.options == {"library": "pandas", "chunk_size": 10000, "encoding": "utf-16-le", "delimiter": "\t"}


def test_an_engine_given_as_a_word_keeps_the_recipes_options() -> None:
    engine = load("employee_with_overrides").source.engine
    assert engine is not None and not isinstance(engine, str)
    assert engine.type == "native"
    assert engine.options["encoding"] == "utf-8"


def test_a_wrapped_contract_is_filled_from_its_governance_where_it_says_nothing_itself() -> None:
    asset = load("csv_employee_to_iceberg").streams[0].asset
    assert (asset.owner, asset.tags) == ("people@example.com", ("people", "hr"))
    assert asset.classification == ("PII",)
    assert asset.regulations == ("GDPR",)
    assert asset.retention_days == 365


def test_a_native_contract_gives_the_object_that_the_job_reads() -> None:
    job = load("shop_orders")
    asset = job.streams[0].asset
    assert (asset.name, asset.object, asset.owner, asset.source_type) == ("orders", "orders", "bob", "csv")
    assert [(f.name, f.type_text()) for f in asset.fields] == [
        ("order_id", "long"),
        ("placed", "timestamp"),
        ("total", "decimal(12,2)"),
        ("customer", "struct<email: string>"),
        ("tags", "list<string>"),
        ("note", "string"),
    ]
    assert asset.key == ("order_id",)
    assert asset.partitioning == ("placed",)
    total, note = asset.fields[2], asset.fields[5]
    assert (total.minimum, total.maximum, total.maximum_exclusive) == ("0", "1000000", True)
    assert (note.min_length, note.max_length, note.pattern) == (1, 200, "^\\S")
    assert asset.fields[3].fields[0].classification == "restricted"


def test_several_contracts_are_matched_to_the_streams_by_their_objects() -> None:
    streams = load("two_streams").streams
    assert [(s.table, [f.path for f in s.files]) for s in streams] == [
        ("csv_employee", ["data/employee.csv"]),
        ("gdrive_deals", ["data/2024/*.csv"]),
    ]


def test_hybrid_documents_name_two_contracts_for_one_stream() -> None:
    job = load("postgres_person_hybrid")
    assert [s.table for s in job.streams] == ["person_lines", "person_docs"]
    assert job.target.markdown_kv_storage is not None
    assert job.target.markdown_kv_storage.structured_pattern == "hybrid"


def test_custom_readers_and_writers_need_no_entry_in_the_registry() -> None:
    job = load("employee_plugins", PLUGINS="/opt/plugins")
    assert (job.source_type, job.registry_source) == ("my_api", None)
    assert job.source.custom_reader == "/opt/plugins/reader.py:Reader"
    assert job.source.connection["my_api"] == {"token": "t"}
    assert job.file.plugins is not None and job.file.plugins.sandbox is not None
    assert job.file.plugins.sandbox.memory_limit == "512m"


@pytest.mark.parametrize("name", ["product_older_observability", "product_with_services"])
def test_older_shapes_of_observability_become_the_one(name: str) -> None:
    sinks = load(name).file.observability
    assert sinks is not None and sinks.aws is not None
    assert sinks.aws.metrics_namespace == "Dativo"
    assert sinks.aws.metric_dimensions == {"Team": "shop"}
    assert sinks.aws.log_group == "/dativo/jobs"


def test_the_third_shape_of_observability_names_its_provider_and_a_config() -> None:
    sinks = load("product_other_observability").file.observability
    assert sinks is not None and sinks.gcp is not None and sinks.aws is None
    assert (sinks.gcp.project_id, sinks.gcp.enabled) == ("shop", True)


def test_a_metadata_catalog_is_named_in_any_case_and_its_variables_never_stop_a_run() -> None:
    job = load("product_with_services")
    assert job.file.catalog is not None
    assert job.file.catalog.type == "openmetadata"
    assert job.file.catalog.connection["api_url"] == "http://localhost:8585/api"
    assert job.missing == ()


def test_overrides_finops_and_infrastructure_are_kept() -> None:
    job = load("employee_with_overrides", NESSIE_URI="http://n")
    assert job.file.classification_overrides["default"] == "pii"
    assert job.file.finops is not None and job.file.finops.business_tags == ["hr", "payroll"]
    assert job.file.governance_overrides is not None and job.file.governance_overrides.retention_days == 365
    assert job.file.infrastructure is not None
    assert job.file.infrastructure["outputs"] == {"bucket": "{{terraform_outputs.bucket}}"}
    assert job.branch == "acme"


def test_dativos_own_keys_are_resolved() -> None:
    job = load("full_to_iceberg")
    stream = job.streams[0]
    assert (job.write_mode, job.schema_mode, job.validation_mode) == ("append", "merge", "quarantine")
    assert (job.budget.lock, job.budget.memory_limit, job.budget.threads) == (600, "512MB", 2)
    assert stream.max_rejects is not None and stream.max_rejects.rows == 100
    assert stream.privacy is not None and stream.privacy.warehouse is not None
    assert stream.privacy.warehouse.classes == {"PII": "hash"}
    assert stream.privacy.warehouse.columns == {"code": "redact"}
    assert stream.privacy.leak_scan == "warn"
    assert [str(p) for p in stream.partitioning] == ["month(at)", "bucket(16, id)"]
    assert (stream.namespace, stream.table) == ("sales_data", "full")


def test_a_flat_contract_keeps_every_rule_of_its_columns() -> None:
    fields = {f.name: f for f in load("full_to_iceberg").streams[0].asset.fields}
    assert fields["id"].primary_key and fields["id"].required
    code = fields["code"]
    assert (code.source_name, code.classification, code.pattern) == ("Code No.", "PII,INTERNAL", "^[A-Z]{3}$")
    assert (code.min_length, code.max_length, code.unique, code.null_values) == (3, 3, True, ("", "-"))
    assert fields["answer"].enum == ("yes", "no", "08", "1.10")
    assert fields["active"].default is True
    assert fields["ratio"].required and fields["ratio"].type_text() == "decimal(5,4)"
    assert fields["at"].formats == ("%Y-%m-%d %H:%M:%S",)
    assert fields["seen"].formats == ("%d.%m.%Y %H:%M %z", "%Y-%m-%d")
    assert fields["lines"].type_text() == "list<struct<sku: string, quantity: long>>"
    assert [f.kind for f in fields.values()] == [
        "long", "string", "decimal", "decimal", "boolean", "timestamp", "timestamptz", "string", "list", "list", "struct",
        "json", "uuid", "binary", "time", "string",
    ]  # fmt: skip


def test_the_smallest_contract_has_a_stable_identity_and_a_table_name_without_spaces() -> None:
    first, again = (load("product_with_services").streams[0].asset for _ in range(2))
    assert first.id == again.id and len(first.id) == 36
    assert first.version == "2.0"
    assert load("product_with_services").streams[0].table == "csv_product_list"


@pytest.mark.parametrize("name", ["runner", "runner_bare"])
def test_the_runner_is_read_below_its_key_and_bare(name: str) -> None:
    found = resolver()
    runner = found.runner(Path(f"configs/{name}.yaml"))
    assert runner is not None
    assert found.problems.found == []
    assert [s.name for s in runner.orchestrator.schedules or []] == (
        ["hourly", "every_six_hours", "weekdays"] if name == "runner" else []
    )


@pytest.mark.parametrize("name", ["policy", "policy_bare"])
def test_the_policy_is_read_below_its_key_and_bare(name: str) -> None:
    found = resolver()
    policy = found.policy(Path(f"configs/{name}.yaml"))
    assert policy is not None and policy.pii_fields[0] == "email"
    assert found.problems.found == []


def test_a_registry_of_version_2_becomes_one_map_with_roles() -> None:
    found = resolver()
    node = found.document(Path("registry/version_2.yaml"))
    assert node is not None
    problems = Problems()
    registry = read_registry(node, problems)
    assert registry is not None and problems.found == []
    assert registry.connectors["csv"].roles == ["source", "target"]
    assert registry.connectors["stripe"].default_engine == "native"
    assert registry.version == 2
