"""From a tree to a struct: every key of the formats is known, and every mistake is told with its place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dativo.config import asset_file, governance, job_services, job_source, job_target, policy, recipe, registry, runner
from dativo.config.decode import decode
from dativo.config.documents import map_of, parse, scalar_of
from dativo.config.environment import Environment
from dativo.config.job import JobFile
from dativo.config.privacy import Privacy, Purpose
from dativo.config.problems import Problems
from dativo.config.shapes import Type, shape
from dativo.errors import Mark, Problem

# The keys that configuration files may have, aliases too.
KEYS: dict[type[msgspec.Struct], str] = {
    JobFile: "$schema tenant_id environment source_connector source_connector_path target_connector target_connector_path"
    " asset asset_path assets asset_paths source target schema_validation_mode classification_overrides "
    " finops governance_overrides catalog retry_config logging observability plugins infrastructure mode max_rejects"
    " privacy engine",
    job_source.Source: "type objects files folder_id query sheets spreadsheets spreadsheet_id tables queries connection dsn"
    " credentials incremental rate_limits engine custom_reader table prefix bucket pattern",
    job_source.File: "path file file_path id file_id object name modifiedTime",
    job_source.Sheet: "id spreadsheet_id range sheet sheet_id has_header object",
    job_source.Table: "name table schema object cursor_field columns where",
    job_source.Query: "name object sql cursor_field",
    job_source.Incremental: "strategy cursor_field lookback_days state_path strategy_default cursor_field_default"
    " lookback_days_default",
    job_source.Engine: "type options",
    job_target.Target: "type catalog branch warehouse file_format partitioning parquet_target_size_mb connection engine"
    " markdown_kv_storage custom_writer spreadsheet_id range credentials mode write_mode detect_deletes publish export",
    job_target.MarkdownKv: "mode structured_pattern file_extension path_pattern doc_id_field",
    job_services.Catalog: "type connection database table_name push_lineage push_metadata",
    job_services.Retry: "max_retries max_attempts initial_delay_seconds max_delay_seconds backoff_multiplier"
    " retryable_exit_codes retryable_error_patterns retry_delay_seconds retryable_errors",
    job_services.Logging: "level redaction",
    job_services.AwsSink: "enabled region log_group log_stream_prefix log_stream_name create_log_group retention_days"
    " metrics_namespace metric_dimensions",
    job_services.GcpSink: "enabled project_id log_name credentials_path resource_type labels",
    job_services.Sandbox: "enabled cpu_limit memory_limit network_disabled timeout seccomp_profile container_image",
    job_services.Budget: "type options lock memory_limit threads",
    governance.Finops: "cost_center business_tags project environment",
    governance.Governance: "retention_days owner domain data_product regulations",
    Privacy: "warehouse llm preview treat_findings leak_scan",
    Purpose: "default classes columns",
    asset_file.AssetFile: "$schema apiVersion kind id name version status domain dataProduct tenant description tags"
    " source_type object schema target team compliance data_quality change_management finops lineage privacy"
    " source_contract",
    asset_file.FieldEntry: "name type required nullable classification description primary_key unique precision scale format"
    " formats items properties default physicalName source_name physicalType enum pattern minimum maximum min_length"
    " max_length null_values",
    asset_file.TargetHints: "file_format partitioning mode",
    asset_file.Team: "owner roles",
    asset_file.Person: "name email responsibility",
    asset_file.Compliance: "classification regulations retention_days security user_consent_required",
    asset_file.Security: "access_control encryption_required",
    asset_file.DataQuality: "expectations monitoring alerts max_rejects",
    asset_file.Monitoring: "enabled oncall_rotation",
    asset_file.ChangeManagement: "policy approval_required notification_channels version_history",
    recipe.RecipeFile: "name type roles description default_engine engine credentials connection_template incremental"
    " incremental_strategy rate_limits catalog file_format partitioning_default",
    recipe.Credentials: "type from_env file_template",
    registry.Connector: "roles category default_engine engines_supported allowed_in_cloud supports_incremental"
    " incremental_strategy_default objects_supported requires_tables supports_queries file_formats"
    " supports_schema_evolution",
    registry.RegistryFile: "version connectors",
    runner.RunnerFile: "mode orchestrator retry_config",
    runner.Orchestrator: "type concurrency_per_tenant schedules",
    runner.Schedule: "name config cron interval_seconds enabled timezone max_concurrent_runs tags",
    policy.PolicyFile: "retention_days pii_fields classification_rules contract_enforcement",
    policy.ClassificationRule: "field classification",
}


def read(text: str, struct: type[msgspec.Struct], path: str = "") -> tuple[Any, list[Problem]]:
    problems = Problems()
    return decode(parse(text, "f.yaml"), struct, problems, path), problems.found


def told(text: str, struct: type[msgspec.Struct]) -> str:
    found, problems = read(text, struct)
    assert found is None, found
    return "\n".join(p.render() for p in problems)


@pytest.mark.parametrize("struct", KEYS, ids=lambda s: s.__name__)
def test_every_key_of_the_formats_is_known(struct: type[msgspec.Struct]) -> None:
    known = shape(struct)
    assert set(KEYS[struct].split()) <= {*known.settings, *known.aliases}


@pytest.mark.parametrize("struct", KEYS, ids=lambda s: s.__name__)
def test_every_key_is_decoded_into_its_field(struct: type[msgspec.Struct]) -> None:
    """A document made of the struct itself, with a value for every key: nothing is lost, nothing is told."""
    document = {key: sample(setting.type) for key, setting in shape(struct).settings.items()}
    found, problems = read(msgspec.json.encode(document).decode(), struct)
    assert [p.render() for p in problems] == []
    for key, setting in shape(struct).settings.items():
        assert getattr(found, setting.name) not in (None, [], {}, ()), key


def sample(type_: Type) -> Any:
    """A value of a type that is not its default."""
    if type_.kind == "struct" and type_.struct is not None:
        return {
            key: sample(s.type) for key, s in shape(type_.struct).settings.items() if key not in ("items", "properties")
        }
    if type_.kind == "union":
        return sample(next(m for m in type_.members if m.kind != "null"))
    if type_.kind in ("list", "tuple") and type_.item is not None:
        return [sample(type_.item)]
    if type_.kind == "map" and type_.item is not None:
        return {"some_key": sample(type_.item)}
    if type_.kind == "literal":
        return type_.values[-1]
    plain = {"any": {"x": 1}, "text": "512", "bool": True, "int": int(type_.ge or 0) or 1, "float": type_.ge or 1.0}
    return plain[type_.kind]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("max_retries: 3", 3), ("max_retries: '3'", 3), ("max_retries: 0x10", 16), ("max_retries: null", None), ("{}", None),
        ("initial_delay_seconds: 1", 1.0), ("initial_delay_seconds: '0.5'", 0.5), ("initial_delay_seconds: 1e1", 10.0),
    ],
)  # fmt: skip
def test_numbers_may_stand_in_quotes(text: str, wanted: Any) -> None:
    found, problems = read(text, job_services.Retry)
    assert problems == []
    assert (found.max_retries if "max" in text else found.initial_delay_seconds) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("yes", True), ("'off'", False), ("TRUE", True), ('"false"', False)])
def test_flags_may_stand_in_quotes_and_in_words(text: str, wanted: bool) -> None:
    found, problems = read(f"redaction: {text}", job_services.Logging)
    assert (found.redaction, problems) == (wanted, [])


def test_text_is_kept_as_it_is_written() -> None:
    found, _ = read(
        "{name: 1.10, version: 08, schema: [{name: yes, type: string, description: 2024-01-01}]}", asset_file.AssetFile
    )
    assert (found.name, found.version) == ("1.10", "08")
    assert (found.schema[0].name, found.schema[0].description) == ("yes", "2024-01-01")


def test_words_of_a_fixed_choice_may_be_in_capitals() -> None:
    found, _ = read("{type: AWS_Glue, connection: {}}", job_services.Catalog)
    assert found.type == "aws_glue"


def test_of_several_types_the_narrowest_is_taken_and_quotes_mean_text() -> None:
    def default(text: str) -> Any:
        return read(f"{{name: a, default: {text}}}", asset_file.FieldEntry)[0].default

    assert [default(t) for t in ("1", "'1'", "1.5", "true", "'true'", "x")] == [1, "1", 1.5, True, "true", "x"]
    found, _ = read("{catalog: nessie, engine: native}", job_target.Target)
    assert (found.catalog, found.engine) == ("nessie", "native")
    found, _ = read("{catalog: {type: rest}, engine: {type: native}}", job_target.Target)
    assert (found.catalog, found.engine.type) == ({"type": "rest"}, "native")


@pytest.mark.parametrize(
    ("struct", "text", "wanted"),
    [
        (job_services.Retry, "max_retries: -1", "max_retries: expected a whole number >= 0, got '-1'"),
        (job_services.Retry, "max_retries: 1.5", "max_retries: expected a whole number >= 0, got '1.5'"),
        (job_services.Retry, "max_retries: true", "max_retries: expected a whole number >= 0, got 'true'"),
        (job_services.Retry, "max_attempts: 11", "max_attempts: expected a whole number >= 1 <= 10, got '11'"),
        (job_services.Retry, "max_delay_seconds: .nan", "max_delay_seconds: expected a number >= 0, got '.nan'"),
        (job_services.Retry, "max_delay_seconds: .inf", "max_delay_seconds: expected a number >= 0, got '.inf'"),
        (job_services.Retry, f"max_retries: {'9' * 40}", "max_retries: expected a whole number >= 0, got"),
        (
            job_services.Retry,
            "retryable_exit_codes: [1, x]",
            "retryable_exit_codes[1]: expected a whole number, got 'x'",
        ),
        (job_services.Logging, "level: INF", "level: expected one of 'debug'"),
        (job_services.Logging, "level: [a]", "level: expected one of 'debug'"),
        (job_services.Logging, "redaction: maybe", "redaction: expected true or false, got 'maybe'"),
        (job_target.Target, "partitioning: a", "partitioning: expected a list of texts, got 'a'"),
        (job_target.Target, "partitioning: [a, {b: c}]", "partitioning[1]: expected text, got a map"),
        (job_target.Target, "catalog: [a]", "catalog: expected text or a map, got a list"),
        (job_target.Target, "connection: x", "connection: expected a map, got 'x'"),
        (job_source.Source, "files: [a]", "files[0]: expected a map with path, id, object, modifiedTime, got 'a'"),
        (job_source.Source, "incremental: x", "incremental: expected a map with strategy"),
        (asset_file.FieldEntry, "name: ''", "name: expected text that is not empty, got ''"),
        (
            asset_file.FieldEntry,
            "{name: a, default: [1]}",
            "default: expected text or a whole number or a number or true",
        ),
        (asset_file.FieldEntry, "{name: a, null_values: [NA, null]}", "null_values[1]: expected text, got nothing"),
        (job_services.Sandbox, "memory_limit: lots", "memory_limit: expected text like"),
        (job_services.Catalog, "{type: glu, connection: {}}", "type: expected one of 'openmetadata'"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(struct: type[msgspec.Struct], text: str, wanted: str) -> None:
    assert wanted in told(text, struct)


def test_a_null_word_in_a_list_of_texts_is_told_to_need_quotes() -> None:
    assert "put quotes around it: null without quotes is nothing" in told(
        "{name: a, null_values: [null]}", asset_file.FieldEntry
    )


def test_the_nearest_word_of_a_fixed_choice_is_offered() -> None:
    assert "did you mean 'quarantine'?" in told("schema_validation_mode: quarantaine", JobFile)


def test_an_unknown_key_of_a_job_is_an_error_with_the_nearest_name() -> None:
    text = told("{tennant_id: a, source_connector_path: b, target_connector_path: c, asset_path: d}", JobFile)
    assert text.splitlines()[:3] == [
        "error: tennant_id: unknown key 'tennant_id'",
        "  f.yaml:1:2",
        "  did you mean 'tenant_id'?   known here: $schema, tenant_id, environment, source_connector, "
        "source_connector_path, target_connector, target_connector_path, asset, asset_path, assets, asset_paths, source, "
        "… (15 more)",
    ]
    assert "'tenant_id' is required" in text and "there is 'tennant_id' in line 1: is it meant?" in text


def test_below_the_top_one_slip_is_an_error_and_anything_else_is_kept_with_a_warning() -> None:
    found, problems = read("{lookback_day: 1}", job_source.Incremental)
    assert found is None and "did you mean 'lookback_days'?" in problems[0].hint
    found, problems = read("{strategy: updated_at, window: {a: [1]}}", job_source.Incremental)
    assert found.extra == {"window": {"a": [1]}}
    assert [(p.severity, p.code, p.field) for p in problems] == [("warning", "config_unknown_key", "window")]


def test_free_maps_are_never_judged() -> None:
    found, problems = read("{typ: a, optionss: {x: 1}}", job_source.Engine)
    assert found.extra == {"typ": "a", "optionss": {"x": 1}} and problems == []


def test_a_known_key_that_is_there_already_is_no_slip_of_another() -> None:
    found, problems = read("{name: t, names: x}", job_source.Table)
    assert found.extra == {"names": "x"}
    assert [p.severity for p in problems] == ["warning"]


def test_two_names_of_one_setting_are_refused() -> None:
    assert "'file_path' and 'path' are two names of one setting" in told("{path: a, file_path: b}", job_source.File)


def test_null_is_as_good_as_absent_unless_it_is_required_or_meant() -> None:
    found, problems = read("{backoff_multiplier: null, max_retries: ~}", job_services.Retry)
    assert (found.backoff_multiplier, found.max_retries, problems) == (2.0, None, [])
    assert "name: expected text, got nothing" in told("name: null", job_source.Table)


def test_all_mistakes_of_a_document_are_found_at_once() -> None:
    text = "files: [{path: [1]}, {pth: x}, 3]\ntables: {}\nincremental: {lookback_days: -1, strategy: nightly}\n"
    found, problems = read(text, job_source.Source, "source")
    assert found is None
    assert [(p.field, str(p.mark)) for p in problems] == [
        ("source.files[0].path", "f.yaml:1:16"),
        ("source.files[1].pth", "f.yaml:1:23"),
        ("source.files[2]", "f.yaml:1:32"),
        ("source.tables", "f.yaml:2:9"),
        ("source.incremental.lookback_days", "f.yaml:3:30"),
        ("source.incremental.strategy", "f.yaml:3:44"),
    ]


def test_what_a_variable_holds_is_never_shown() -> None:
    environment = Environment([{"SECRET": "hunter2"}], ["t"])
    problems = Problems()
    assert decode(environment.node(parse("max_retries: ${SECRET}", "f")), job_services.Retry, problems) is None
    assert "got '${SECRET}'" in problems.found[0].message
    assert "hunter2" not in problems.found[0].render()


def test_a_variable_that_is_set_nowhere_is_told_as_missing_where_its_type_is_needed() -> None:
    problems = Problems()
    assert decode(Environment([{}], ["t"]).node(parse("max_retries: ${N}", "f")), job_services.Retry, problems) is None
    assert problems.found[0].message == "Missing required environment variable: N"
    assert problems.found[0].code == "env_missing"


def test_a_variable_may_hold_a_number_or_a_flag() -> None:
    node = Environment([{"N": "7", "F": "yes"}], ["t"]).node(parse("{max_retries: $N}", "f"))
    found = decode(node, job_services.Retry, Problems())
    assert found is not None and found.max_retries == 7
    node = Environment([{"F": "yes"}], ["t"]).node(parse("{redaction: '${F}'}", "f"))
    logging = decode(node, job_services.Logging, Problems())
    assert logging is not None and logging.redaction is True


def test_problems_are_told_once_and_in_their_order() -> None:
    problems = Problems()
    for _ in range(3):
        problems.add("first", Mark("f", 1, 1), "a")
        problems.warn("second", None)
    assert [p.message for p in problems.found] == ["first", "second"]
    assert [p.message for p in problems.errors()] == ["first"]


@given(st.text(max_size=20), st.sampled_from([k for k in KEYS if shape(k).unknown != "free"]))
def test_any_key_is_known_refused_or_kept(key: str, struct: type[msgspec.Struct]) -> None:
    problems = Problems()
    mark = Mark("f", 1, 1)
    decode(map_of({key: scalar_of(1, mark)}, mark), struct, problems)
    known = {*shape(struct).settings, *shape(struct).aliases}
    assert key in known or any(
        p.code == "config_unknown_key" and p.message.startswith("unknown key") for p in problems.found
    )


def test_every_setting_says_what_it_means() -> None:
    silent = [
        f"{s.__name__}.{key}" for s in KEYS for key, setting in shape(s).settings.items() if not setting.description
    ]
    assert silent == []
