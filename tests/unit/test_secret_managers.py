"""Secrets of tenants: where they come from, what each file means, what is told and left out, and who sees them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dativo import ConfigError, load_job
from dativo.config.environment import Environment
from dativo.config.secrets import Secrets
from dativo.errors import UnsupportedError
from dativo.observe.redact import REDACTED, redactor
from dativo.secret_managers.choice import secret_manager
from dativo.secret_managers.environment import EnvironmentSecrets
from dativo.secret_managers.filesystem import FilesystemSecrets
from dativo.secret_managers.required import missing_secrets
from tests.project import Project

FIELDS = [{"name": "id", "type": "integer"}]


def variables(**values: str) -> Environment:
    return Environment([values], ["the test's variables"])


def fetch(project: Project, tenant: str = "acme", **values: str) -> Secrets:
    return FilesystemSecrets(project.root / "secrets", variables(**values)).fetch(tenant)


def put(project: Project, path: str, content: str | bytes, mode: int = 0o600) -> Path:
    place = project.write(f"secrets/{path}", content)
    place.chmod(mode)
    return place


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stripe.json", '{"api_key": "sk_1"}', {"api_key": "sk_1"}),
        ("STRIPE.JSON", '{"api_key": " ${KEY} "}', {"api_key": "from-a-variable"}),
        ("stripe.json", '{"a": {"b": ["$KEY", 1, null]}}', {"a": {"b": ["from-a-variable", 1, None]}}),
        (
            "stripe.env",
            "# note\nexport A='x y'\nB=${KEY}\nno line\n\nC=\n",
            {"A": "x y", "B": "from-a-variable", "C": ""},
        ),
        ("stripe.env", "\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("stripe", "  sk_1\n", "sk_1"),
        ("stripe", "A=1\nB=2", "A=1\nB=2"),
        ("stripe.txt", "${KEY}-${LOST}-${LOST:-x}", "from-a-variable-${LOST}-x"),
        ("stripe.json", '"only a text"', "only a text"),
    ],
)
def test_a_file_means_what_its_ending_says(project: Project, name: str, text: str, value: Any) -> None:
    put(project, f"acme/{name}", text)
    found = fetch(project, KEY="from-a-variable")
    assert found.values == {"stripe": value} and found.problems == ()
    assert found.origins["stripe"] == f"secrets/acme/{name}"


def test_of_files_of_one_name_json_goes_before_variables_before_text(project: Project) -> None:
    put(project, "acme/db.env", "A=env\nB=env\n")
    put(project, "acme/db.json", '{"A": "json", "C": "json"}')
    put(project, "acme/db", "text")
    found = fetch(project)
    assert found.values == {"db": {"A": "json", "B": "env", "C": "json"}}
    assert found.origins["db"] == "secrets/acme/db.json and secrets/acme/db.env"


def test_dotfiles_and_folders_are_passed_over(project: Project) -> None:
    put(project, "acme/.hidden", "x")
    put(project, "acme/inner/deep.env", "A=1")
    put(project, "acme/seen", "x")
    assert list(fetch(project).values) == ["seen"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "{canary-in-broken-json", "not JSON"),
        ("a.json", b"\xff\xfe\x00canary", "not UTF-8"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a", b"x" * ((1 << 20) + 1), "larger than"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_left_out(
    project: Project, name: str, content: str | bytes, reason: str
) -> None:
    put(project, f"acme/{name}", content)
    put(project, "acme/good", "x")
    found = fetch(project)
    assert found.values == {"good": "x"}
    (problem,) = found.problems
    assert problem.code == "secrets_warning" and problem.severity == "warning" and reason in problem.message
    assert str(problem.mark) == f"secrets/acme/{name}" and "canary" not in problem.render()


def test_a_pipe_in_the_folder_stops_nobody(project: Project) -> None:
    put(project, "acme/good", "x")
    os.mkfifo(project.root / "secrets/acme/pipe")
    found = fetch(project)
    assert found.values == {"good": "x"} and "no regular file" in found.problems[0].message


def test_a_tenant_without_a_folder_is_told_with_those_that_there_are(project: Project) -> None:
    put(project, "globex/x", "1")
    (problem,) = fetch(project).problems
    assert problem.message == "there are no secrets of tenant 'acme'" and "globex" in problem.hint
    (problem,) = FilesystemSecrets(project.root / "nowhere", variables()).fetch("acme").problems
    assert "the folder nowhere does not exist either" in problem.hint


def test_files_that_everyone_can_read_are_told_once_with_the_remedy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dativo.secret_managers.filesystem._passable", lambda folder: True)
    for name, mode in (("a", 0o644), ("b.env", 0o604), ("c", 0o640)):
        put(project, f"acme/{name}", "A=1", mode)
    (problem,) = fetch(project).problems
    assert "2 files" in problem.message and "a, b.env" in problem.message
    assert problem.hint == "chmod -R go= secrets/acme"


def test_files_below_a_folder_that_nobody_else_may_enter_are_not_open_to_all(project: Project) -> None:
    put(project, "acme/a", "1", 0o644)
    (project.root / "secrets").chmod(0o700)
    assert fetch(project).problems == ()


# -- a tenant's folder is its own --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", ["..", ".", "", "acme/../globex", "/", "a\0b"])
def test_a_name_that_leads_elsewhere_reads_nothing(project: Project, tenant: str) -> None:
    put(project, "globex/x", "1")
    put(project, "x", "1")
    found = fetch(project, tenant)
    assert found.values == {} and found.problems


def test_links_lead_nowhere_out_of_the_folder(project: Project) -> None:
    put(project, "globex/x", "theirs")
    put(project, "acme/own", "ours")
    put(project, "acme/..data/real.env", "A=1")
    for name, where in (("theirs", "../globex/x"), ("file", "/etc/hostname"), ("mounted.env", "..data/real.env")):
        (project.root / "secrets/acme" / name).symlink_to(where)
    found = fetch(project)
    assert found.values == {"own": "ours", "mounted": {"A": "1"}}
    assert {str(p.mark) for p in found.problems} == {"secrets/acme/theirs", "secrets/acme/file"}


def test_a_tenant_s_folder_may_be_a_link_but_not_to_another_tenant_s(project: Project, tmp_path: Path) -> None:
    put(project, "globex/x", "theirs")
    (project.root / "secrets/acme").symlink_to("globex")
    assert fetch(project).values == {}
    other = tmp_path.parent / f"{tmp_path.name}-mounted"
    other.mkdir(mode=0o700)
    (other / "x").write_text("1")
    (project.root / "secrets/initech").symlink_to(other)
    assert fetch(project, "initech").values == {"x": "1"}


# -- the choice --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "environment", "kind"),
    [
        ({}, {}, "env"),
        ({"folder": Path("s")}, {}, "filesystem"),
        ({}, {"DATIVO_SECRET_MANAGER": "fs"}, "filesystem"),
        ({"folder": Path("s")}, {"DATIVO_SECRET_MANAGER": "environment"}, "env"),
        ({"name": "FILE"}, {"DATIVO_SECRET_MANAGER": "vault"}, "filesystem"),
        ({"name": "env", "folder": Path("s")}, {}, "env"),
    ],
)
def test_the_choice_goes_by_option_then_variable_then_folder(
    project: Project, options: dict[str, Any], environment: dict[str, str], kind: str
) -> None:
    assert secret_manager(variables(**environment), **options).name == kind


@pytest.mark.parametrize("name", ["vault", "hashicorp_vault", "hashicorp", "aws", "AWS-Secrets-Manager", "gcp"])
def test_managers_that_are_not_built_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match="not built yet"):
        secret_manager(variables(), name=name)


def test_an_unknown_manager_is_told_with_the_nearest_name_and_where_it_was_asked_for() -> None:
    with pytest.raises(ConfigError) as caught:
        secret_manager(variables(DATIVO_SECRET_MANAGER="filesytem"))
    assert "DATIVO_SECRET_MANAGER: unknown secret manager 'filesytem'" in caught.value.render()
    assert "did you mean 'filesystem'?" in caught.value.render()


@pytest.mark.parametrize("form", ["inline", "yaml", "json", "other"])
@pytest.mark.parametrize("by_variable", [True, False])
def test_the_settings_come_from_a_file_or_are_json(project: Project, form: str, by_variable: bool) -> None:
    put(project, "acme/x", "1")
    text = '{"secrets_dir": "${PLACE}"}'
    given = text
    if form != "inline":
        given = str(project.write(f"manager.{form}", "secrets_dir: ${PLACE}\n" if form == "yaml" else text))
    environment = variables(PLACE="secrets", **({"DATIVO_SECRET_MANAGER_CONFIG": given} if by_variable else {}))
    manager = secret_manager(environment, name="filesystem", config=None if by_variable else given)
    assert manager.fetch("acme").values == {"x": "1"}


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("{", "is not JSON"),
        ("nowhere.yaml", "there is no file 'nowhere.yaml'"),
        ("[1]", "expected a map"),
        ('{"secret_dir": "x"}', "did you mean 'secrets_dir'?"),
        ('{"secrets_dir": 1}', "'secrets_dir' must be a text"),
        ('{"secrets_dir": ""}', "'secrets_dir' is empty"),
    ],
)
def test_wrong_settings_are_refused(project: Project, config: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secret_manager(variables(), name="filesystem", config=config)
    assert text in caught.value.render() and "--secret-manager-config" in caught.value.render()


def test_the_environment_s_own_settings(project: Project) -> None:
    environment = variables(MINE__ALL__A="1", MINE__ACME__B="2", DATIVO_SECRET__ACME__C="3")
    manager = secret_manager(environment, config='{"prefix": "MINE", "allow_global_scope": false}')
    assert manager.fetch("acme").values == {"b": "2"}


# -- use ---------------------------------------------------------------------------------------------------------------


def recipe(project: Project, template: str) -> None:
    project.write(
        "connectors/sources/postgres.yaml",
        f"name: postgres\ntype: postgres\ndefault_engine: {{type: native}}\n"
        f"credentials: {{type: basic, file_template: '{template}'}}\n",
    )
    project.asset(FIELDS)
    project.job(
        source_connector_path="connectors/sources/postgres.yaml", source={"tables": [{"name": "public.people"}]}
    )


def source(project: Project, manager: Any) -> Any:
    return load_job(project.root / "jobs/acme/job.yaml", environment=variables(), manager=manager).connections["source"]


def test_a_secret_named_by_the_template_s_stem_goes_before_the_file(project: Project) -> None:
    recipe(project, "elsewhere/{tenant}/warehouse.env")
    project.write("elsewhere/acme/warehouse.env", "PGPASSWORD=from-the-path")
    put(project, "acme/warehouse.env", "PGPASSWORD=from-the-store")
    assert source(project, FilesystemSecrets(Path("secrets"), variables())).get("password") == "from-the-store"
    environment = EnvironmentSecrets(variables(), folder=Path("secrets"))
    found = source(project, environment)
    assert found.get("password") == "from-the-path"
    assert found.origin("password") == "PGPASSWORD in elsewhere/acme/warehouse.env"
    (project.root / "elsewhere/acme/warehouse.env").unlink()
    assert source(project, environment).get("password") == "from-the-store"


def test_a_template_s_file_is_masked_as_any_secret(project: Project) -> None:
    recipe(project, "elsewhere/{tenant}/warehouse.env")
    project.write("elsewhere/acme/warehouse.env", "PGPASSWORD=canary-in-a-template")
    job = load_job(
        project.root / "jobs/acme/job.yaml", environment=variables(), manager=EnvironmentSecrets(variables())
    )
    assert redactor(job).mask("<canary-in-a-template>") == f"<{REDACTED}>"
    assert "canary" not in repr(job.secrets) and "canary" not in repr(job.connections)


def test_a_template_s_path_is_not_read_in_cloud_mode(project: Project) -> None:
    registry = project.root.parent / "registry.yaml"
    recipe(project, "elsewhere/{tenant}/warehouse.env")
    text = (Path(__file__).resolve().parents[2] / "registry/connectors.yaml").read_text()
    registry = project.write(
        "registry/connectors.yaml", text.replace("allowed_in_cloud: false", "allowed_in_cloud: true")
    )
    assert registry.exists()
    project.write("elsewhere/acme/warehouse.env", "PGPASSWORD=from-the-path")
    job = load_job(
        project.root / "jobs/acme/job.yaml",
        mode="cloud",
        environment=variables(),
        manager=EnvironmentSecrets(variables()),
    )
    assert job.connections["source"].get("password") is None


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({}, ["postgres"]),
        ({"mysql.env": "A=1"}, ["postgres"]),
        ({"postgres.env": "PGUSER=u"}, []),
        ({"postgres_main": "x"}, []),
        ({"other.env": "PGPASSWORD=p"}, ["postgres"]),
        ({"other.env": "PGUSER=u\nPGPASSWORD=p"}, []),
    ],
)
def test_a_connector_without_its_secret_is_told(project: Project, files: dict[str, str], names: list[str]) -> None:
    recipe(project, "/nowhere/{tenant}/postgres.env")
    (project.root / "secrets/acme").mkdir(parents=True, mode=0o700)
    for name, text in files.items():
        put(project, f"acme/{name}", text)
    manager = FilesystemSecrets(Path("secrets"), variables())
    job = load_job(project.root / "jobs/acme/job.yaml", environment=variables(), manager=manager)
    told = [p.message for p in missing_secrets(job, set())]
    assert told == [f"Missing required secrets for connector 'postgres': {name}" for name in names]


def test_variables_of_a_job_are_taken_from_the_connector_s_secret_first(project: Project) -> None:
    project.asset(FIELDS)
    project.job(target={"connection": {"s3": {"bucket": "${BUCKET}", "endpoint": "${ENDPOINT}"}}})
    put(project, "acme/iceberg.env", "BUCKET=ours")
    put(project, "acme/aaa.env", "BUCKET=theirs\nENDPOINT=http://s3")
    manager = FilesystemSecrets(Path("secrets"), variables(BUCKET="of-the-process"))
    job = load_job(project.root / "jobs/acme/job.yaml", environment=variables(BUCKET="process"), manager=manager)
    store = job.connections["target"]
    assert (store.get("bucket"), store.get("endpoint")) == ("ours", "http://s3")
    assert "job.yaml" in store.origin("bucket") and "${BUCKET}" in store.origin("bucket")
