"""`dativo check`: what stands between a job and a run, each with the setting, its origin and the remedy; nothing written."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.cli.conftest import FIELDS, Dativo, people
from tests.project import Project
from tests.services.fixtures import Lakehouse
from tests.services.postgres import Postgres
from tests.services.process import free_port

CANARY = "canary-in-a-secret-5b1e"


# -- without servers ---------------------------------------------------------------------------------------------------


def test_a_local_job_is_well_in_a_line_each(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("check", "people")
    assert answer.lines[0] == "people · tenant acme"
    assert [line[0] for line in answer.lines[1:-1]] == ["✓"] * 4
    assert "data/people.csv: 5 columns" in answer.out and answer.lines[-1].startswith("all is well")
    assert not (project.root / ".local").exists(), "something was written"


@pytest.mark.parametrize("arguments", [(), ("people", "--config", "jobs/acme/people.yaml")])
def test_exactly_one_job_is_named(project: Project, dativo: Dativo, arguments: tuple[str, ...]) -> None:
    people(project)
    assert "give a job, or --config" in dativo("check", *arguments, code=2).err


def test_as_json_each_side_has_a_status_and_its_checks(project: Project, dativo: Dativo) -> None:
    people(project)
    found = dativo("check", "--config", "jobs/acme/people.yaml", "--json").json()
    assert found["version"] == 1 and found["ok"] is True
    for side in ("source", "target"):
        assert found[side]["status"] == "success" and found[side]["message"]
        assert {c["status"] for c in found[side]["details"]["checks"]} == {"ok"}
        assert "error_code" not in found[side]
    (project.root / "data/people.csv").unlink()
    found = dativo("check", "people", "--json", code=2).json()
    assert found["source"]["status"] == "failed" and found["source"]["error_code"] == "source"
    assert found["source"]["retryable"] is False and found["target"]["status"] == "success"


def test_a_missing_file_is_told_with_the_setting_and_what_there_is(project: Project, dativo: Dativo) -> None:
    people(project)
    (project.root / "data/people.csv").rename(project.root / "data/poeple.csv")
    answer = dativo("check", "people", code=2)
    assert "source.files[0].path (jobs/acme/people.yaml:" in answer.out
    assert "did you mean data/poeple.csv?" in answer.out and answer.lines[-1] == "1 thing to mend"


def test_variables_that_are_set_nowhere_are_told_all_at_once_and_their_side_is_not_asked(
    project: Project, dativo: Dativo
) -> None:
    people(
        project,
        source={"files": [{"path": "${FOLDER}/people.csv"}], "engine": {"options": {"delimiter": "${SEPARATOR}"}}},
    )
    answer = dativo("check", "people", code=2)
    for name, field in (("FOLDER", "source.files[0].path"), ("SEPARATOR", "source.engine.options.delimiter")):
        assert f"Missing required environment variable: {name}" in answer.out and field in answer.out
    assert "not asked: its variables are set nowhere" in answer.out
    assert "✓ target" in answer.out


def test_a_folder_that_may_not_be_written_is_told(project: Project, dativo: Dativo) -> None:
    project.write("taken", "a file where a folder should be")
    people(project, target={"warehouse": "taken/warehouse"})
    answer = dativo("check", "people", code=2)
    assert "taken is no folder" in answer.out and "target.warehouse (jobs/acme/people.yaml:" in answer.out


@pytest.mark.parametrize("form", ["tables", "sqlite"])
def test_a_database_that_does_not_answer_is_told_with_where_its_address_comes_from(
    project: Project, dativo: Dativo, form: str
) -> None:
    port = free_port()
    people(project)
    if form == "tables":
        source = {"tables": [{"name": "public.people"}], "connection": {"host": "127.0.0.1", "port": port}}
        recipe, text = "postgres", f"postgres connectivity failed: nobody listens at 127.0.0.1:{port}"
    else:
        source = {"tables": [{"name": "people"}], "connection": {"database_path": "data/lost.db"}}
        recipe, text = "sqlite", "there is no file 'data/lost.db'"
    project.write(f"connectors/sources/{recipe}.yaml", f"name: {recipe}\ntype: {recipe}\ndefault_engine: native\n")
    project.job("people", source_connector_path=f"connectors/sources/{recipe}.yaml", source=source)
    answer = dativo("check", "people", code=2)
    assert text in answer.out and "jobs/acme/people.yaml:" in answer.out


def test_a_database_is_asked_for_its_tables_columns_and_cursors(
    project: Project, dativo: Dativo, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postgres_server
    database = server.make_database(f"check_{free_port()}")
    server.sql("create table people (id int primary key, name text, changed timestamptz)", database)
    for name, value in {**server.environment, "PGDATABASE": database}.items():
        monkeypatch.setenv(name, value)

    def checked(*, code: int, **source: Any) -> str:
        project.job(
            "people",
            source_connector_path="connectors/sources/postgres.yaml",
            source={"tables": [{"name": "people"}], **source},
        )
        return dativo("check", "people", code=code).out

    people(project)
    found = checked(code=0)
    assert f"database '{database}'" in found and "people" in found
    assert "people_lost" in checked(code=2, tables=[{"name": "people_lost"}])
    found = checked(code=2, incremental={"cursor_field": "chanced"})
    assert "no column 'chanced'" in found and "did you mean 'changed'?" in found


def test_secrets_are_counted_and_named_but_never_shown(project: Project, dativo: Dativo) -> None:
    project.write("secrets/acme/iceberg.env", f"AWS_SECRET_ACCESS_KEY={CANARY}\nS3_BUCKET=lake\n")
    project.write("secrets/acme/token", CANARY)
    (project.root / "secrets/acme").chmod(0o700)
    people(project, target={"connection": {"s3": {"secret_access_key": "${AWS_SECRET_ACCESS_KEY}"}}})
    for options in ((), ("--json",), ("--verbose",)):
        answer = dativo("check", "people", "--secrets-dir", "secrets", *options, code=None)
        assert "iceberg" in answer.out and "token" in answer.out
        assert CANARY not in answer.out + answer.err
    assert "S3_BUCKET in secrets/acme/iceberg.env" in answer.out and "****" in answer.out


# -- catalogs that do not answer as they should ------------------------------------------------------------------------


class Stub(BaseHTTPRequestHandler):
    """A catalog that answers what it is told to, by the beginning of the path."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}
    clock: datetime | None = None

    def do_GET(self) -> None:
        found: tuple[int, Any] = next(
            (a for start, a in self.answers.items() if self.path.startswith(start)), (404, {"error": {}})
        )
        body = json.dumps(found[1]).encode()
        self.send_response_only(found[0])
        self.send_header("Date", format_datetime(self.clock or datetime.now(UTC), usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@contextmanager
def stub(
    answers: dict[str, tuple[int, Any]], *, clock: datetime | None = None, tls: Path | None = None
) -> Iterator[int]:
    """A stub's port while the block goes on; with a certificate it speaks TLS."""
    handler = type("Own", (Stub,), {"answers": answers, "clock": clock})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


CONFIG: dict[str, Any] = {"defaults": {}, "overrides": {}}


def rest(project: Project, uri: str, **more: Any) -> None:
    people(project, target={"catalog": {"type": "rest", "uri": uri, **more}})


def test_a_catalog_where_nobody_listens_is_told_with_its_setting(project: Project, dativo: Dativo) -> None:
    port = free_port()
    rest(project, f"http://127.0.0.1:{port}")
    found = dativo("check", "people", "--json", code=2).json()["target"]
    assert (
        found["message"] == f"catalog connectivity failed: http://127.0.0.1:{port}: nobody listens at 127.0.0.1:{port}"
    )
    assert (found["error_code"], found["retryable"]) == ("port_closed", True)
    assert "target.catalog.uri (jobs/acme/people.yaml:" in found["details"]["checks"][0]["hint"]


@pytest.mark.parametrize(
    ("uri", "code", "text"),
    [
        ("http://no-such-host.invalid:8181", "unknown_host", "the host 'no-such-host.invalid' is not known"),
        ("localhost:8181", "address", "no URL with a host"),
        ("http://:8181", "address", "no URL with a host"),
        ("http://127.0.0.1:99999", "address", "no URL with a host"),
    ],
)
def test_an_address_that_leads_nowhere(project: Project, dativo: Dativo, uri: str, code: str, text: str) -> None:
    rest(project, uri)
    found = dativo("check", "people", "--json", code=2).json()["target"]
    assert found["error_code"] == code and text in found["message"]


@pytest.mark.parametrize(
    ("answers", "code", "text"),
    [
        ({"/v1/config": (401, {})}, "credentials", "refuses the credentials (401)"),
        ({"/v1/config": (403, {})}, "credentials", "refuses the credentials (403)"),
        ({}, "not_found", "no Iceberg catalog answers at"),
        ({"/v1/config": (500, {})}, "server", "answers with the status 500"),
        ({"/v1/config": (404, {"error": {"message": "Warehouse 'x' not known"}})}, "warehouse", "no such warehouse"),
        (
            {"/v1/config": (200, CONFIG), "/v1/namespaces/default": (403, {})},
            "permission",
            "does not let this user into the namespace 'default'",
        ),
        ({"/v1/config": (200, ["not what was expected"])}, "target", "opening the"),
    ],
)
def test_what_a_catalog_answers_is_told_in_words(
    project: Project, dativo: Dativo, answers: dict[str, tuple[int, Any]], code: str, text: str
) -> None:
    with stub(answers) as port:
        rest(project, f"http://127.0.0.1:{port}", token=CANARY)
        answer = dativo("check", "people", "--json", code=2)
    found = answer.json()["target"]
    assert text in found["message"] and found["error_code"] == code
    assert "jobs/acme/people.yaml:" in found["details"]["checks"][-1]["hint"]
    assert CANARY not in answer.out + answer.err


@pytest.mark.parametrize(("minutes", "way"), [(60, "behind"), (-60, "ahead of")])
def test_a_clock_an_hour_off_is_told(project: Project, dativo: Dativo, minutes: int, way: str) -> None:
    answers = {"/v1/config": (200, CONFIG)}
    with stub(answers, clock=datetime.now(UTC) + timedelta(minutes=minutes)) as port:
        rest(project, f"http://127.0.0.1:{port}")
        answer = dativo("check", "people", code=2)
    assert f"this machine's clock is 60 minutes {way} that of 127.0.0.1:{port}" in answer.out
    assert "timedatectl" in answer.out


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of another name than the one that is asked for."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other.example",
        "-addext", "subjectAltName=DNS:other.example", "-keyout", "key.pem", "-out", "cert.pem",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both


@pytest.mark.parametrize(
    ("trusted", "code", "text"),
    [(True, "tls_name", "certificate is for another name"), (False, "tls", "nobody this machine trusts")],
)
def test_a_certificate_that_does_not_fit_is_told(
    project: Project,
    dativo: Dativo,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
    trusted: bool,
    code: str,
    text: str,
) -> None:
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.parent / "cert.pem"))
    with stub({"/v1/config": (200, CONFIG)}, tls=certificate) as port:
        rest(project, f"https://127.0.0.1:{port}")
        found = dativo("check", "people", "--json", code=2).json()["target"]
    assert found["error_code"] == code and text in found["message"]


def test_a_server_without_tls_is_told_so(project: Project, dativo: Dativo) -> None:
    with stub({"/v1/config": (200, CONFIG)}) as port:
        rest(project, f"https://127.0.0.1:{port}")
        found = dativo("check", "people", "--json", code=2).json()["target"]
    assert "does not speak TLS" in found["message"]


def test_a_catalog_that_answers_a_little_is_well(project: Project, dativo: Dativo) -> None:
    with stub({"/v1/config": (200, CONFIG), "/v1/namespaces/default": (200, {"namespace": ["default"]})}) as port:
        rest(project, f"http://127.0.0.1:{port}")
        answer = dativo("check", "people")
    assert "the catalog hands them out" in answer.out


# -- Nessie on MinIO ---------------------------------------------------------------------------------------------------


def lake_job(
    project: Project, lakehouse: Lakehouse, settings: dict[str, str] | None = None, target: dict[str, Any] | None = None
) -> None:
    """A job for the lakehouse, whose settings are secrets of the tenant; `settings` change some of them."""
    values = {**lakehouse.environment, "S3_BUCKET": lakehouse.bucket, **(settings or {})}
    text = "".join(f"{name}={value}\n" for name, value in values.items() if value)
    project.write("secrets/acme/iceberg.env", text).chmod(0o600)
    people(project, target={"catalog": "nessie", "branch": "check-only", **(target or {})})
    project.asset(FIELDS, domain="check_only")


def check(dativo: Dativo, *options: str, code: int) -> Any:
    answer = dativo("check", "people", "--secrets-dir", "secrets", *options, code=code)
    assert CANARY not in answer.out + answer.err
    return answer


def state(lakehouse: Lakehouse) -> tuple[list[str], set[str]]:
    """What could have been written: branches, and objects that no other test makes."""
    keys = {k for k in lakehouse.store.keys(lakehouse.bucket) if "dativo-check" in k or k.startswith("check_only/")}
    return [b for b in lakehouse.nessie.branches() if b == "check-only"], keys


@pytest.mark.server
def test_a_lakehouse_that_is_well(project: Project, dativo: Dativo, lakehouse: Lakehouse) -> None:
    lake_job(project, lakehouse)
    answer = check(dativo, code=0)
    assert "check-only will be made from main" in answer.out
    assert f"s3://{lakehouse.bucket} can be written" in answer.out
    assert answer.lines[-1].startswith("all is well")
    assert state(lakehouse) == ([], set()) and not (project.root / ".local").exists()
    found = check(dativo, "--json", code=0).json()
    assert found["source"]["status"] == found["target"]["status"] == "success"


WRONG: dict[str, tuple[Callable[[Lakehouse], dict[str, str]], str, tuple[str, ...]]] = {
    "access key": (
        lambda _: {"AWS_ACCESS_KEY_ID": "nobody"},
        "does not know the access key",
        ("access_key_id", "AWS_ACCESS_KEY_ID in secrets/acme/iceberg.env"),
    ),
    "secret key": (
        lambda _: {"AWS_SECRET_ACCESS_KEY": CANARY},
        "the secret key is wrong",
        ("secret_access_key", "AWS_SECRET_ACCESS_KEY in secrets/acme/iceberg.env"),
    ),
    "bucket": (
        lambda _: {"S3_BUCKET": "no-such-bucket"},
        "there is no such bucket",
        ("no-such-bucket", "S3_BUCKET in secrets/acme/iceberg.env"),
    ),
    "region": (
        lambda _: {"AWS_REGION": "eu-central-1", "S3_REGION": ""},
        "another region",
        ("set region to us-east-1", "AWS_REGION in secrets/acme/iceberg.env"),
    ),
    "store's port": (
        lambda _: {"S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
        "S3 connectivity failed: Cannot connect to S3 at http://127.0.0.1:",
        ("nobody listens", "S3_ENDPOINT in secrets/acme/iceberg.env"),
    ),
    "catalog's port": (
        lambda _: {"NESSIE_URI": f"http://127.0.0.1:{free_port()}/api/v2"},
        "Nessie connectivity failed: http://127.0.0.1:",
        ("nobody listens", "NESSIE_URI in secrets/acme/iceberg.env"),
    ),
    "catalog's address": (
        lambda lakehouse: {"NESSIE_URI": lakehouse.store.endpoint},
        "http://127.0.0.1:",
        ("NESSIE_URI in secrets/acme/iceberg.env",),
    ),
    "store's TLS": (
        lambda lakehouse: {"S3_ENDPOINT": lakehouse.store.endpoint.replace("http:", "https:")},
        "does not speak TLS",
        ("S3_ENDPOINT in secrets/acme/iceberg.env",),
    ),
}


@pytest.mark.server
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_named_with_its_origin(
    project: Project, dativo: Dativo, lakehouse: Lakehouse, name: str
) -> None:
    change, text, parts = WRONG[name]
    lake_job(project, lakehouse, change(lakehouse))
    answer = check(dativo, code=2)
    assert text in answer.out, answer.out
    for part in parts:
        assert part in answer.out, answer.out
    assert state(lakehouse) == ([], set()) and not (project.root / ".local").exists()


@pytest.mark.server
def test_a_default_branch_that_is_not_there(project: Project, dativo: Dativo, lakehouse: Lakehouse) -> None:
    lake_job(project, lakehouse, target={"connection": {"nessie": {"default_branch": "mian"}}})
    answer = check(dativo, code=2)
    assert "there is no branch 'check-only', and none 'mian' to make it from" in answer.out
    assert "did you mean 'main'?" in answer.out and "target.connection.nessie.default_branch" in answer.out


@pytest.mark.server
def test_a_bucket_that_the_tables_are_not_kept_in_is_told(
    project: Project, dativo: Dativo, lakehouse: Lakehouse
) -> None:
    other = lakehouse.store.make_bucket("check-other")
    lake_job(project, lakehouse, {"S3_BUCKET": other})
    answer = check(dativo, code=0)
    assert f"! target       store: the tables' files go to s3://{lakehouse.bucket}" in answer.out
    assert f"and not to the bucket '{other}'" in answer.out and "S3_BUCKET in secrets/acme/iceberg.env" in answer.out
    lake_job(project, lakehouse, {"S3_BUCKET": ""})
    assert f"s3://{lakehouse.bucket} can be written" in check(dativo, code=0).out


@pytest.mark.server
def test_a_tag_is_no_branch(project: Project, dativo: Dativo, lakehouse: Lakehouse) -> None:
    nessie = lakehouse.nessie
    body = {"type": "BRANCH", "name": "main", "hash": nessie.hash()}
    nessie.ask("POST", "trees?name=check-tag&type=TAG", body)
    lake_job(project, lakehouse, target={"branch": "check-tag"})
    answer = check(dativo, code=2)
    assert "'check-tag' is a tag" in answer.out and "target.branch (jobs/acme/people.yaml:" in answer.out


@pytest.mark.server
def test_a_warehouse_that_the_catalog_does_not_know(project: Project, dativo: Dativo, lakehouse: Lakehouse) -> None:
    lake_job(project, lakehouse, target={"warehouse": "warehose"})
    answer = check(dativo, code=2)
    assert "no such warehouse" in answer.out and "target.warehouse (jobs/acme/people.yaml:" in answer.out


@pytest.mark.server
@pytest.mark.parametrize("name", ["secret key", "region", "catalog's port", "catalog's address"])
def test_a_run_tells_the_same_and_writes_nothing(
    project: Project, dativo: Dativo, lakehouse: Lakehouse, name: str
) -> None:
    change, text, parts = WRONG[name]
    lake_job(project, lakehouse, change(lakehouse))
    answer = dativo("sync", "people", "--secrets-dir", "secrets", code=2)
    assert text in answer.err and parts[-1] in answer.err, answer.err
    assert CANARY not in answer.err + answer.out
    assert not [k for k in lakehouse.store.keys(lakehouse.bucket) if k.endswith(".parquet") and "check_only" in k]


# -- a catalog on Postgres ---------------------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize(
    ("password", "database", "text"),
    [(None, None, ""), (CANARY, None, "password authentication failed"), (None, "no_such_database", "does not exist")],
)
def test_the_login_at_a_catalog_s_database_is_tried(
    project: Project, dativo: Dativo, postgres_server: Postgres, password: str | None, database: str | None, text: str
) -> None:
    server = postgres_server
    database = database or server.make_database(f"check_{free_port()}")
    address = f"postgresql://{server.user}:{password or server.password}@{server.host}:{server.port}/{database}"
    people(project, target={"catalog": {"type": "sql", "uri": address, "warehouse": "lake"}})
    answer = dativo("check", "people", code=2 if text else 0)
    assert text in answer.out and CANARY not in answer.out + answer.err
    if text:
        assert "target.catalog.uri (jobs/acme/people.yaml:" in answer.out
    else:
        tables = server.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database)
        assert tables == [] and "sql catalog postgresql" in answer.out
    assert not (project.root / "lake").exists()
