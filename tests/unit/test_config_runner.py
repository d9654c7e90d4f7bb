"""Runner, policy and registry files."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dativo.config.documents import parse
from dativo.config.environment import Environment
from dativo.config.policy import PolicyFile, read_policy
from dativo.config.problems import Problems
from dativo.config.registry import RegistryFile, read_registry
from dativo.config.resolve import Resolver
from dativo.config.runner import RunnerFile, cron_fault, read_runner
from tests.project import Project

ROOT = Path(__file__).resolve().parents[2]


def runner(text: str) -> tuple[RunnerFile | None, str]:
    problems = Problems()
    found = read_runner(parse(dedent(text), "r.yaml"), problems)
    return found, "\n".join(p.render() for p in problems.found)


def policy(text: str) -> tuple[PolicyFile | None, str]:
    problems = Problems()
    found = read_policy(parse(dedent(text), "p.yaml"), problems)
    return found, "\n".join(p.render() for p in problems.found)


def registry(text: str) -> tuple[RegistryFile | None, str]:
    problems = Problems()
    found = read_registry(parse(dedent(text), "c.yaml"), problems)
    return found, "\n".join(p.render() for p in problems.found)


def schedule(text: str) -> str:
    return f"runner: {{orchestrator: {{schedules: [{{name: a, config: j.yaml, {text}}}]}}}}"


def test_defaults_of_the_runner() -> None:
    found, told = runner("{mode: orchestrated}")
    assert found is not None and told == ""
    assert (found.mode, found.orchestrator.type, found.orchestrator.concurrency_per_tenant) == (
        "orchestrated",
        "dagster",
        1,
    )
    assert found.orchestrator.schedules is None and found.retry_config is None


def test_everything_a_schedule_may_say() -> None:
    text = "cron: '0 2 * * *', timezone: Europe/Berlin, enabled: no, max_concurrent_runs: 2, tags: {a: b}"
    found, told = runner(schedule(text))
    assert found is not None and told == ""
    entry = (found.orchestrator.schedules or [])[0]
    assert (entry.cron, entry.timezone, entry.enabled, entry.max_concurrent_runs, entry.tags) == (
        "0 2 * * *", "Europe/Berlin", False, 2, {"a": "b"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("runner: [1]", "runner: expected a map"),
        ("runner: null", "runner: expected a map"),
        ("mode: daemon", "mode: expected one of 'orchestrated', 'oneshot', got 'daemon'"),
        ("orchestrator: {type: airflow}", "orchestrator.type: expected one of 'dagster', 'builtin'"),
        ("orchestrator: {concurrency_per_tenant: 0}", "expected a whole number >= 1, got '0'"),
        ("orchestrator: {schedules: [{config: x, cron: '* * * * *'}]}", "schedules[0].name: 'name' is required"),
        (schedule("enabled: true"), "runner.orchestrator.schedules[0]: 'cron' or 'interval_seconds' is required"),
        (schedule("cron: '* * * * *', interval_seconds: 5"), "'cron' and 'interval_seconds' exclude each other"),
        (schedule("interval_seconds: 0"), "interval_seconds: expected a whole number >= 1, got '0'"),
        (schedule("cron: '* * * *'"), "schedules[0].cron: '* * * *' is not a cron expression: it has 4 fields"),
        (schedule("cron: '60 * * * *'"), "'60' is not between 0 and 59"),
        (schedule("cron: '* * * * *', timezone: Mars/Base"), "'Mars/Base' is not an IANA time zone"),
        (schedule("cron: '* * * * *', timezone: ../etc"), "'../etc' is not an IANA time zone"),
        (schedule("crn: '* * * * *'"), "unknown key 'crn' is kept"),
        (schedule("intervall_seconds: 5"), "did you mean 'interval_seconds'?"),
    ],
)
def test_mistakes_in_the_runner(text: str, wanted: str) -> None:
    assert wanted in runner(text)[1]


def test_two_schedules_of_one_name_are_refused() -> None:
    entry = "{name: a, config: j, interval_seconds: 1}"
    assert "two schedules have the name 'a'" in runner(f"orchestrator: {{schedules: [{entry}, {entry}]}}")[1]


def test_what_stands_beside_the_key_is_told() -> None:
    found, told = runner("{runner: {mode: oneshot}, mode: orchestrated}")
    assert found is not None and found.mode == "oneshot"
    assert "warning: mode: 'mode' stands beside 'runner' and is not read" in told


@pytest.mark.parametrize(
    "text",
    ["* * * * *", "*/15 0-6 1,15 * 1-5", "0 0 1 jan SUN", "5 4 * * 7", "0-30/5 * * feb-nov mon,wed", "59 23 31 12 0"],
)
def test_cron_expressions(text: str) -> None:
    assert cron_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "it has 0 fields"), ("@daily", "it has 1 fields"), ("* * * * * *", "it has 6 fields"),
        ("*/0 * * * *", "the step in '*/0'"), ("*/x * * * *", "the step in '*/x'"), ("*/ * * * *", "the step in '*/'"),
        ("5-1 * * * *", "'5-1' runs backwards"), ("1-2-3 * * * *", "'1-2-3'"), ("a * * * *", "'a'"),
        ("² * * * *", "'²'"),
        ("* 24 * * *", "'24' is not between 0 and 23"), ("* * 0 * *", "between 1 and 31"),
        ("* * * 13 *", "between 1 and 12"),
        ("* * * * 8", "between 0 and 7"), ("* * * * jan", "'jan'"), ("* * * mon *", "'mon'"), ("1,,2 * * * *", "''"),
        ("-1 * * * *", "'-1'"), ("*/² * * * *", "the step"),
    ],
)  # fmt: skip
def test_what_is_no_cron_expression(text: str, wanted: str) -> None:
    assert wanted in cron_fault(text)


@given(st.text(alphabet="*/-, 0123456789jansuoMT²", max_size=25))
def test_any_text_is_a_cron_expression_or_has_a_fault(text: str) -> None:
    assert isinstance(cron_fault(text), str)


def test_variables_of_the_runner_are_put_in_and_jobs_that_are_not_there_are_told(project: Project) -> None:
    project.asset([{"name": "id"}])
    project.job()
    project.write("configs/runner.yaml", """
runner:
  orchestrator:
    concurrency_per_tenant: ${N}
    schedules:
      - {name: good, config: /app/jobs/acme/job.yaml, interval_seconds: 60}
      - {name: bad, config: jobs/acme/jbo.yaml, interval_seconds: 60}
""")  # fmt: skip
    resolver = Resolver(environment=Environment([{"N": "3"}], ["t"]))
    found = resolver.runner(Path("configs/runner.yaml"))
    assert found is not None and found.orchestrator.concurrency_per_tenant == 3
    assert [p.render() for p in resolver.problems.found] == [
        "warning: orchestrator.schedules[1].config: the job of schedule 'bad' is not there: 'jobs/acme/jbo.yaml'\n"
        "  configs/runner.yaml:7:29\n"
        "  looked at: jobs/acme/jbo.yaml\n"
        "  there is jobs/acme/job.yaml: is it meant?"
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("policy: {retention_days: -1}", "policy.retention_days: expected a whole number >= 0"),
        (
            "policy: {contract_enforcement: always}",
            "policy.contract_enforcement: expected one of 'strict', 'warn', 'off'",
        ),
        ("pii_fields: email", "pii_fields: expected a list of texts, got 'email'"),
        ("classification_rules: [{field: a}]", "classification_rules[0].classification: 'classification' is required"),
        ("policy: nothing", "policy: expected a map"),
        ("{policy: {}, pii_fields: [a]}", "'pii_fields' stands beside 'policy' and is not read"),
    ],
)
def test_mistakes_in_a_policy(text: str, wanted: str) -> None:
    assert wanted in policy(text)[1]


def test_a_policy_looks_into_columns_and_knows_several_classes(project: Project) -> None:
    project.asset([
        {"name": "who", "type": "struct", "properties": [{"name": "E_Mail"}]},
        {"name": "lines", "type": "array", "items": {"type": "struct", "properties": [{"name": "email"}]}},
        {"name": "salary", "classification": "INTERNAL, sensitive"},
        {"name": "phone", "classification": "PII"},
    ])  # fmt: skip
    given = policy("{pii_fields: [email, phone], classification_rules: [{field: Salary, classification: SENSITIVE}]}")[
        0
    ]
    resolver = Resolver(environment=Environment([{}], ["t"]), policy=given)
    resolver.asset(Path("assets/people.yaml"))
    assert [p.field for p in resolver.problems.found] == ["schema.who.E_Mail", "schema.lines.email"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "connectors: {a: {default_engine: native, engines_supported: [native]}}",
            "connectors.a.roles: 'roles' is required",
        ),
        (
            "connectors: {a: {roles: [], default_engine: native, engines_supported: [native]}}",
            "connectors.a.roles: a list of at least 1 is expected, this one has 0",
        ),
        (
            "connectors: {a: {roles: [sink], default_engine: native, engines_supported: [native]}}",
            "roles[0]: expected one of",
        ),
        (
            "connectors: {a: {roles: [source], default_engine: pandas, engines_supported: [native]}}",
            "default_engine: expected one of",
        ),
        ("connectors: [a]", "connectors: expected a map, got a list"),
        ("{version: 4, connectors: {}}", "version: expected a whole number >= 1 <= 3, got '4'"),
        ("{version: 3}", "connectors: 'connectors' is required"),
        ("{sources: [a]}", "sources: expected a map, got a list"),
        ("{sources: {a: 5}}", "connectors.a: expected a map"),
        ("just text", "expected a map"),
    ],
)
def test_mistakes_in_a_registry(text: str, wanted: str) -> None:
    assert wanted in registry(text)[1]


def test_an_older_registry_joins_the_roles_of_one_name() -> None:
    found, told = registry(
        "{version: 1, sources: {a: {supports_incremental: true}}, targets: {a: {}, b: {default_engine: spark}}}"
    )
    assert found is not None and told == ""
    assert {n: c.roles for n, c in found.connectors.items()} == {"a": ["source", "target"], "b": ["target"]}
    assert found.connectors["a"].supports_incremental and found.connectors["b"].engines_supported == ["spark"]


def test_an_older_registry_that_shares_entries_by_alias_keeps_the_roles_apart() -> None:
    found, _ = registry("{sources: {a: &x {default_engine: native}, c: *x}, targets: {a: *x}}")
    assert found is not None
    assert {n: c.roles for n, c in found.connectors.items()} == {"a": ["source", "target"], "c": ["source"]}


def test_the_files_that_ship_are_without_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    resolver = Resolver(environment=Environment([{}], ["t"]))
    given = resolver.policy(Path("configs/policy.yaml"))
    assert resolver.runner(Path("configs/runner.yaml")) is not None and given is not None
    strict = Resolver(environment=Environment([{}], ["t"]), policy=given, strict_governance=True)
    assert strict.job(Path("jobs/demo/employees_to_iceberg.yaml")) is not None
    assert resolver.registry(ROOT / "jobs") is not None
    for path in sorted((ROOT / "connectors").rglob("*.yaml")):
        assert resolver.recipe(path) is not None
    assert resolver.problems.found == [] and strict.problems.found == []
