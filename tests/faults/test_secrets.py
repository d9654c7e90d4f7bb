"""Secrets stay secret: canaries are looked for in everything that a run writes or says."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dativo import DativoError
from dativo.observe.redact import REDACTED, Redactor, redactor
from tests.cli.conftest import FIELDS, Answer, Dativo, people
from tests.project import Project

KEY = "canary-key-7d1f0c5a9b3e"
PASSWORD = 'canary Pass"word\\ü7d1f0c5a'
LITERAL = "canary-literal-9e8d7c6b"
CANARIES = (KEY, PASSWORD, LITERAL)


@pytest.fixture
def dativo(monkeypatch: pytest.MonkeyPatch) -> Dativo:
    return Dativo(monkeypatch)


@pytest.fixture(autouse=True)
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATIVO_SECRET__ACME__PRIVACY_KEY", KEY)
    monkeypatch.setenv("WAREHOUSE_PASSWORD", PASSWORD)


def hashing(project: Project, **more: Any) -> None:
    """A job that hashes with the tenant's key and has passwords in its connections."""
    people(
        project,
        privacy={"warehouse": {"columns": {"email": "hash"}}},
        source={
            "files": [{"path": "data/people.csv"}],
            "connection": {"user": "reader", "password": "${WAREHOUSE_PASSWORD}"},
            "credentials": {"api_key": LITERAL},
        },
        **more,
    )


def forms(canary: str) -> set[bytes]:
    """A canary as it is and as JSON, Python and addresses write it."""
    from urllib.parse import quote, quote_plus

    texts = {canary, json.dumps(canary)[1:-1], json.dumps(canary, ensure_ascii=False)[1:-1], repr(canary)[1:-1]}
    return {t.encode() for t in (*texts, quote(canary), quote_plus(canary))}


def assert_clean(project: Project, *answers: Answer) -> None:
    """No canary in any file below the project (but the job that was given one), nor in anything that was said."""
    for canary in CANARIES:
        for form in forms(canary):
            for answer in answers:
                assert form not in answer.data and form.decode() not in answer.err
            for path in project.root.rglob("*"):
                if path.is_file() and path.parts[-3:-1] != ("jobs", "acme"):
                    assert form not in path.read_bytes(), path


def test_the_canaries_would_be_found(project: Project) -> None:
    project.write(".local/state/leak.json", json.dumps({"x": PASSWORD}))
    with pytest.raises(AssertionError, match=r"leak\.json"):
        assert_clean(project)


def test_a_whole_life_of_a_job_leaves_no_secret_anywhere(project: Project, dativo: Dativo) -> None:
    hashing(project, logging={"level": "DEBUG"})
    answers = [
        dativo("sync", "people", "--log-format", "json", "--progress", "json", "--json", code=1),
        dativo("sync", "people", "--full-refresh", "--debug", code=1),
        *(dativo(*command.split()) for command in COMMANDS),
    ]
    assert_clean(project, *answers)
    rows = project.rows()
    assert all(len(value) == 64 for value in rows["email"]), "the column was not hashed: the key was not used"


COMMANDS = (
    "plan people --explain --polars", "plan people --polars --json", "preview people --show-pii", "preview people --json",
    "show people", "show people --json", "state show people --json", "state rebuild people", "rejects list people",
    "rejects show people --show-pii --format json", "export people", "export people --from source --show-pii", "validate",
    "validate --json", "doctor", "connectors --json", "check people --verbose", "check people --json",
)  # fmt: skip


def test_secrets_in_files_leave_no_trace_either(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same canaries from the tenant's folder, which nobody but the person who put them there may have."""
    monkeypatch.delenv("WAREHOUSE_PASSWORD")
    monkeypatch.delenv("DATIVO_SECRET__ACME__PRIVACY_KEY")
    monkeypatch.setenv("DATIVO_SECRET_MANAGER", "filesystem")
    project.write("secrets/acme/csv.json", json.dumps({"WAREHOUSE_PASSWORD": PASSWORD}))
    project.write("secrets/acme/privacy_key", KEY)
    hashing(project, logging={"level": "DEBUG"})
    answers = [
        dativo("run", "--job-dir", "jobs", "--progress", "json", code=1),
        dativo("run", "--job-dir", "jobs", "--log-format", "none", "--debug", "--jobs", "2", code=None),
        *(dativo(*command.split()) for command in COMMANDS),
    ]
    shutil.rmtree(project.root / "secrets")
    assert_clean(project, *answers)
    assert all(len(value) == 64 for value in project.rows()["email"]), "the column was not hashed"


def test_a_catalog_s_database_and_table_hold_no_secret(project: Project) -> None:
    hashing(project)
    assert project.sync("people").exit_code == 1
    with sqlite3.connect(project.root / ".local/state/acme/catalog.db") as connection:
        dumped = "\n".join(connection.iterdump())
    metadata = "\n".join(p.read_text() for p in (project.root / ".local").rglob("*.metadata.json"))
    assert "people" in dumped and "dativo.state" in metadata
    assert not any(canary in dumped + metadata for canary in CANARIES)


FAILURES: dict[str, dict[str, Any]] = {
    "a file named by a secret": {"source": {"files": [{"path": "data/${WAREHOUSE_PASSWORD}.csv"}]}},
    "a contract named by a secret": {"asset_path": "assets/${WAREHOUSE_PASSWORD}.yaml"},
    "a choice given by a secret": {"schema_validation_mode": "${WAREHOUSE_PASSWORD}"},
    "a number given by a secret": {"max_rejects": "${WAREHOUSE_PASSWORD}"},
    "a tenant given by a secret": {"tenant_id": "${WAREHOUSE_PASSWORD}"},
    "a partition given by a secret": {"target": {"partitioning": ["${WAREHOUSE_PASSWORD}"]}},
    "a catalog given by a secret": {"target": {"catalog": "${WAREHOUSE_PASSWORD}"}},
    "a warehouse below a secret": {"target": {"warehouse": "/proc/${WAREHOUSE_PASSWORD}"}},
    "a database that does not answer": {
        "target": {"catalog": {"type": "sql", "uri": "sqlite:////proc/${WAREHOUSE_PASSWORD}/catalog.db"}}
    },
    "an address with a password": {
        "target": {"catalog": {"type": "rest", "uri": f"http://reader:{LITERAL}@127.0.0.1:9/", "token": LITERAL}}
    },
    "a driver that is not there": {
        "target": {
            "catalog": {"type": "sql", "uri": f"postgresql://reader:{LITERAL}@127.0.0.1:9/x", "password": LITERAL}
        }
    },
    "an option given by a secret": {
        "source": {
            "files": [{"path": "data/people.csv"}],
            "engine": {"options": {"delimiter": "${WAREHOUSE_PASSWORD}"}},
        }
    },
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("debug", [False, True])
def test_no_failure_tells_a_secret(project: Project, dativo: Dativo, name: str, debug: bool) -> None:
    people(project, **FAILURES[name])
    options = ["--debug"] if debug else []
    answers = [
        dativo("sync", "people", *options, code=None),
        dativo("run", "--config", "jobs/acme/people.yaml", "--json", *options, code=None),
        dativo("validate", "jobs", "--json", *options, code=None),
        dativo("validate", "jobs", "--format", "github", *options, code=None),
        dativo("plan", "people", *options, code=None),
        dativo("preview", "people", *options, code=None),
        dativo("check", "people", "--verbose", *options, code=None),
        dativo("check", "people", "--json", *options, code=None),
        dativo("run", "--job-dir", "jobs", "--log-format", "none", *options, code=None),
    ]
    assert 2 in {answer.code for answer in answers}, [a.err for a in answers]
    assert_clean(project, *answers)


def test_a_key_that_is_missing_is_named_and_nothing_hashed_with_another(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATIVO_SECRET__ACME__PRIVACY_KEY")
    monkeypatch.setenv("DATIVO_SECRET__OTHER__PRIVACY_KEY", KEY)
    hashing(project)
    answer = dativo("sync", "people", code=2)
    assert "DATIVO_SECRET__ACME__PRIVACY_KEY" in answer.err
    assert_clean(project, answer)


def test_a_secret_in_a_dotenv_file_is_one_too(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAREHOUSE_PASSWORD")
    project.write(".env", "export FILE_TOKEN='canary-in-a-file'\n")
    people(project, source={"files": [{"path": "data/${FILE_TOKEN}.csv"}]})
    answer = dativo("sync", "people", code=2)
    assert "canary-in-a-file" not in answer.err + answer.out and REDACTED in answer.err


# -- what is masked ----------------------------------------------------------------------------------------------------


def masked(text: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return redactor().mask(text)


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("DATIVO_SECRET__ACME__DB", "hunter2", "hunter2"),
        ("DATIVO_SECRET__ALL__DB__json", '{"user": "reader", "password": "hunter2"}', "hunter2"),
        ("DATIVO_SECRET__ACME__DB__env", "USER=reader\nDB_PASSWORD='hunter2'", "hunter2"),
        ("STRIPE_API_KEY", "sk_live_1", "sk_live_1"),
        ("AWS_SESSION_TOKEN", "abc/def+1", "abc/def+1"),
        ("GOOGLE_CREDENTIALS", '{"private_key": "-----BEGIN"}', '{"private_key": "-----BEGIN"}'),
        ("my_private_key", "abcdef1", "abcdef1"),
    ],
)
def test_values_of_variables_that_are_secret_are_masked(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, secret: str
) -> None:
    assert masked(f"<{secret}> and <reader>", monkeypatch, **{name: value}) == f"<{REDACTED}> and <reader>"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "false"), ("DB_PASSWORD", "postgres"), ("API_KEY", ""), ("X_TOKEN", "12345"),
        ("HOSTNAME", "db.example.com"),
    ],
)  # fmt: skip
def test_ordinary_words_stay_readable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    text = "the source 'postgres' of db.example.com is false 12345 times"
    assert masked(text, monkeypatch, **{name: value}) == text


def test_the_path_of_a_credentials_file_stays_readable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    path.write_text("{}")
    assert masked(f"see {path}", monkeypatch, GOOGLE_APPLICATION_CREDENTIALS=str(path)) == f"see {path}"


def test_a_secret_is_masked_where_json_has_escaped_it_and_inside_a_longer_one() -> None:
    mask = Redactor(['a"b\\c', "abc", "abcdef"]).mask
    assert mask(json.dumps({"x": 'a"b\\c'})) == f'{{"x": "{REDACTED}"}}'
    assert mask("abcdef abc") == f"{REDACTED} {REDACTED}"


def test_a_secret_is_masked_where_an_address_has_escaped_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.parse import quote, quote_plus

    for text in (quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD)):
        assert masked(f"<{text}>", monkeypatch) == f"<{REDACTED}>"
    assert masked("<x>", monkeypatch, ODD_TOKEN="\udcff\udcfe-no-text") == "<x>"


def test_what_the_connections_of_a_job_hold_is_masked(project: Project) -> None:
    project.asset(FIELDS)
    project.job(
        source={"files": [{"path": "data/people.csv"}], "connection": {"password": LITERAL, "user": "reader"}},
        target={"catalog": {"type": "sql", "uri": "postgresql://reader:in-the-address@db.example.com/x"}},
    )
    mask = redactor(project.load()).mask
    assert mask(f"reader {LITERAL} in-the-address db.example.com") == f"reader {REDACTED} {REDACTED} db.example.com"


def test_errors_and_jobs_show_no_secret_of_their_own(project: Project) -> None:
    from dativo.config.environment import Environment
    from dativo.secret_managers.environment import EnvironmentSecrets

    variables = {"DATIVO_SECRET__ACME__PRIVACY_KEY": KEY}
    secret = EnvironmentSecrets(Environment([variables], ["the test"])).fetch("acme")
    assert secret.text("privacy_key") == KEY
    assert KEY not in f"{secret} {secret!r} {DativoError(str(secret)).render()}"
