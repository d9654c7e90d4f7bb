"""What goes wrong with Postgres, caused for real: each is told with its place and a remedy, and never with the password."""

from __future__ import annotations

import shutil
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dativo import sync
from dativo.config.job import Retry
from dativo.errors import DativoError, SourceError
from dativo.observe.listener import Silence
from dativo.pipeline.retry import with_retries
from dativo.sources.postgres import pieces
from tests.postgres_bench import ID, PostgresBench
from tests.project import Project
from tests.services import certificate
from tests.services.accounts import servant
from tests.services.postgres import Postgres, postgres

pytestmark = pytest.mark.server

SECRET = "canary-5ecret"
# One that the machine trusts, but that signed nothing here.
OTHER_AUTHORITY = ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(binary_form=True)[0])


@pytest.fixture
def bench(project: Project, postgres_server: Postgres) -> PostgresBench:
    made = PostgresBench(project, postgres_server)
    made.sql("CREATE TABLE people (id int PRIMARY KEY, name text); INSERT INTO people VALUES (1, 'a'), (2, 'b')")
    made.job("people")
    return made


def role(bench: PostgresBench, more: str = "") -> dict[str, Any]:
    name = f"r_{bench.database}"
    bench.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}' {more}")
    return {"user": name, "password": SECRET}


def told(error: DativoError) -> str:
    text = error.render()
    assert SECRET not in text
    assert "Traceback" not in text
    assert error.hint
    return text


UNREACHED = {
    "a wrong password": ({"password": SECRET}, "password", "refuses the user 'dativo' with this password"),
    "no such user": (
        {"user": "nobody", "password": SECRET},
        "password",
        "refuses the user 'nobody' with this password",
    ),
    "no such database": ({"database": "nope"}, "database", "has no database 'nope'"),
    "a wrong port": ({"port": 1}, "port", "cannot be reached: nothing listens there"),
    "a wrong host": ({"host": "nope.invalid"}, "host", "cannot be reached: its host is not known"),
    "no TLS": ({"sslmode": "require"}, "sslmode", "has no TLS, which sslmode 'require' wants"),
}


@pytest.mark.parametrize("mistake", UNREACHED)
def test_a_server_that_is_not_reached_is_told_with_the_setting(bench: PostgresBench, mistake: str) -> None:
    settings, setting, what = UNREACHED[mistake]
    bench.job("people", connection=settings)
    with pytest.raises(SourceError, match=what) as caught:
        bench.read()
    text = told(caught.value)
    assert text.count(f"source.connection.{setting}") == 1 and text.count("jobs/acme/job.yaml:") in (1, 2)
    findings = bench.check()
    assert [f["ok"] for f in findings] == [False]
    assert what in findings[0]["message"]
    assert f"source.connection.{setting} (jobs/acme/job.yaml:" in findings[0]["hint"]


def test_check_tells_of_every_relation(bench: PostgresBench) -> None:
    bench.job("people", "peeple", queries=[{"name": "q", "sql": "SELECT nope FROM people"}])
    findings = bench.check()
    assert [f["ok"] for f in findings] == [True, True, False, False]
    assert "Postgres 1" in findings[0]["message"]
    assert findings[1]["message"].startswith("table, 2 of 2 columns")
    assert findings[2]["hint"] == "source.tables[1].name (jobs/acme/job.yaml:14:11)\ndid you mean 'people'?"
    assert "nope" in findings[3]["message"]


def test_a_table_of_another_schema_is_pointed_at(bench: PostgresBench) -> None:
    bench.sql("CREATE SCHEMA crm; CREATE TABLE crm.clients (id int)")
    bench.job("clients")
    with pytest.raises(SourceError, match="no table or view clients") as caught:
        bench.read()
    assert "there is crm.clients: name the schema" in caught.value.hint
    assert caught.value.mark is not None and caught.value.mark.line > 0


def test_a_table_that_may_not_be_read_is_told_with_the_grant(bench: PostgresBench) -> None:
    bench.job("people", connection=role(bench))
    with pytest.raises(SourceError, match=r"may not read public\.people") as caught:
        bench.read()
    assert 'GRANT SELECT ON "public"."people"' in told(caught.value)


def test_columns_that_may_not_be_read_and_are_not_wanted_are_not_there(bench: PostgresBench) -> None:
    account = role(bench)
    bench.sql(f"GRANT SELECT (id) ON people TO {account['user']}")
    bench.project.asset([ID])
    bench.job("people", connection=account)
    assert bench.ids() == [1, 2]


@pytest.mark.parametrize("place", ["contract", "columns", "cursor"])
def test_a_column_that_is_wanted_and_may_not_be_read_is_told_and_not_null(bench: PostgresBench, place: str) -> None:
    account = role(bench)
    bench.sql(f"GRANT SELECT (id) ON people TO {account['user']}")
    table = {"contract": {}, "columns": {"columns": ["id", "name"]}, "cursor": {"cursor_field": "name"}}[place]
    if place == "cursor":
        bench.project.asset([ID])
    bench.job(
        {"name": "people", **table}, connection=account, incremental={"strategy": "updated_at", "cursor_field": "id"}
    )
    with pytest.raises(SourceError, match=r"may not read name of public\.people") as caught:
        bench.read()
    assert 'GRANT SELECT ("name") ON "public"."people"' in told(caught.value)


def test_a_partition_that_may_not_be_read_itself_is_read_through_its_parent(bench: PostgresBench) -> None:
    account = role(bench)
    bench.sql("CREATE TABLE p (id int, name text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;"
              f"INSERT INTO p VALUES (7, 'x'); GRANT SELECT ON p TO {account['user']}")  # fmt: skip
    bench.job("p", connection=account)
    assert bench.ids() == [7]


def test_rows_that_a_policy_hides_stay_hidden(bench: PostgresBench) -> None:
    account = role(bench)
    bench.sql(f"GRANT SELECT ON people TO {account['user']}; ALTER TABLE people ENABLE ROW LEVEL SECURITY;"
              "CREATE POLICY second ON people USING (id = 2)")  # fmt: skip
    bench.job("people", connection=account)
    assert bench.ids() == [2]


def test_a_table_stays_as_it_is_until_it_was_read(bench: PostgresBench) -> None:
    extract = bench.read()
    for change in ("DROP TABLE people", "ALTER TABLE people ALTER id TYPE text", "TRUNCATE people"):
        with pytest.raises(AssertionError, match="lock timeout"):
            bench.sql(f"SET lock_timeout = '100ms'; {change}")
    assert extract.frame.collect(engine="streaming")["id"].to_list() == [1, 2]
    extract.close()
    bench.sql("DROP TABLE people")
    with pytest.raises(SourceError, match="no table or view people"):
        bench.read()


def test_a_backend_that_is_killed_loads_nothing_and_is_tried_again(bench: PostgresBench) -> None:
    bench.project.asset([{"name": "id", "type": "integer", "required": True}, {"name": "name"}])
    slow = "SELECT i AS id, pg_sleep(CASE WHEN i = 900 THEN 3 ELSE 0 END)::text AS name FROM generate_series(1, 1000) i"
    bench.job(queries=[{"name": "q", "sql": slow}])
    kill = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dativo' "
            f"AND datname = '{bench.database}' AND state = 'active' AND pid <> pg_backend_pid()")  # fmt: skip

    def killed() -> threading.Timer:
        timer = threading.Timer(1.5, lambda: bench.sql(kill))
        timer.start()
        return timer

    timer = killed()
    receipt = bench.project.sync()
    timer.join()
    assert (receipt.exit_code, receipt.streams[0].loaded) == (2, 0)
    error = receipt.streams[0].error or ""
    assert "the connection to Postgres was lost" in error
    assert "nothing was committed" in error
    timer = killed()
    job = bench.project.load()
    again = Retry(max_retries=1, retry_delay_seconds=1)
    done = with_retries(job, lambda names: sync(job, streams=names), Silence(), default=again)
    timer.join()
    assert (done.exit_code, done.streams[0].loaded) == (0, 1000)


def test_a_table_whose_reader_is_killed_is_gone_on_with(bench: PostgresBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 8 * 8192)
    bench.sql("CREATE TABLE many AS SELECT i AS id, repeat('x', 150) AS name FROM generate_series(1, 3000) i")
    bench.job({"name": "many", "where": "pg_sleep(0.0001) IS NOT NULL"})
    kill = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dativo' "
            f"AND datname = '{bench.database}' AND pid <> pg_backend_pid()")  # fmt: skip

    def kill_later() -> None:
        while not any(
            m.read_bytes().count(b"\n") > 1 for m in bench.project.root.glob(".local/resume/**/manifest.jsonl")
        ):
            time.sleep(0.01)
        bench.sql(kill)

    killer = threading.Thread(target=kill_later, daemon=True)
    killer.start()
    receipt = bench.project.sync()
    killer.join(timeout=10)
    assert receipt.exit_code == 2
    assert "the connection to Postgres was lost" in (receipt.streams[0].error or "")
    receipt = bench.project.sync()
    assert receipt.exit_code == 0, receipt.streams[0].error
    assert any("were kept from a run that did not end" in w for w in receipt.streams[0].warnings)
    assert sorted(bench.project.rows()["id"]) == list(range(1, 3001))


def test_a_connection_url_gives_what_is_set_nowhere_else(bench: PostgresBench) -> None:
    s = bench.server
    source = {"dsn": f"postgresql://{s.user}:{s.password}@{s.host}:{s.port}/{bench.database}?sslmode=disable",
              "tables": [{"name": "people"}]}  # fmt: skip
    bench.project.job(source_connector_path="connectors/sources/postgres.yaml", source=source)
    assert bench.ids() == [1, 2]


def test_a_statement_that_takes_too_long_is_told(bench: PostgresBench) -> None:
    bench.job(
        queries=[{"name": "q", "sql": "SELECT 1 AS id, pg_sleep(30)::text AS name"}], options={"statement_timeout": 0.3}
    )
    with pytest.raises(SourceError, match="statement timeout") as caught:
        bench.frame()
    assert "source.engine.options.statement_timeout" in told(caught.value)


@pytest.mark.parametrize("room", [1, 2])
def test_fewer_connections_than_wanted_have_to_do(bench: PostgresBench, room: int) -> None:
    account = role(bench, f"CONNECTION LIMIT {room}")
    bench.sql(f"GRANT SELECT ON people TO {account['user']}; INSERT INTO people SELECT i, repeat('x', 500) FROM "
              "generate_series(3, 50000) i")  # fmt: skip
    bench.job("people", connection=account, options={"connections": 4})
    assert bench.ids() == list(range(1, 50001))


def test_a_server_without_room_is_told(bench: PostgresBench) -> None:
    bench.job("people", connection=role(bench, "CONNECTION LIMIT 0"))
    with pytest.raises(SourceError, match="no connection left") as caught:
        bench.read()
    assert "retry_config" in told(caught.value)


def test_a_value_that_a_filter_cannot_compare_is_told(bench: PostgresBench) -> None:
    bench.job({"name": "people", "where": "1 / (id - 2) >= 0"})
    with pytest.raises(SourceError, match="division by zero") as caught:
        bench.frame()
    assert "filter" in told(caught.value)


def test_tls_is_used_and_verified_as_the_job_says(project: Project, tmp_path: Path) -> None:
    with postgres(tmp_path / "server") as server:
        key = Path(server.sql("SHOW data_directory")[0][0]) / "server.pem"
        key.write_text(certificate._SERVER)
        key.chmod(0o600)
        if (user := servant("postgres")) is not None:
            shutil.chown(key, user)
        server.sql(f"ALTER SYSTEM SET ssl_cert_file = '{key}'")
        server.sql(f"ALTER SYSTEM SET ssl_key_file = '{key}'")
        server.sql("ALTER SYSTEM SET ssl = on")
        server.sql("SELECT pg_reload_conf()")
        bench = PostgresBench(project, server)
        bench.sql("CREATE TABLE people (id int, name text); INSERT INTO people VALUES (1, 'a')")
        authority = project.write("authority.pem", certificate.AUTHORITY)

        def job(**settings: Any) -> None:
            bench.job("people", connection=settings)

        job(sslmode="require")
        assert bench.ids() == [1]
        job(sslmode="verify-ca", sslrootcert=str(authority))
        assert bench.ids() == [1]
        job(sslmode="verify-full", sslrootcert=str(authority))
        with pytest.raises(SourceError, match="of another name") as caught:
            bench.read()
        assert caught.value.field == "source.connection.host" and "elsewhere.example" in told(caught.value)
        job(sslmode="verify-ca", sslrootcert=str(project.root / "nope.pem"))
        with pytest.raises(SourceError, match=r"cannot be verified: root certificate file .*nope.pem"):
            bench.read()
        job(sslmode="verify-ca", sslrootcert=str(project.write("other.pem", OTHER_AUTHORITY)))
        with pytest.raises(SourceError, match=r"not to be trusted: .*certificate verify failed") as caught:
            bench.read()
        assert "source.connection.sslrootcert" in told(caught.value)


def test_a_server_that_restarts_is_told_and_read_anew(project: Project, tmp_path: Path) -> None:
    with postgres(tmp_path / "server") as server:
        bench = PostgresBench(project, server)
        bench.sql("CREATE TABLE people (id int, name text); INSERT INTO people VALUES (1, 'a')")
        bench.job("people")
        extract = bench.read()
        bench.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                  "AND backend_type = 'client backend'")  # fmt: skip
        with pytest.raises(SourceError) as caught:
            extract.cursor()
            extract.frame.collect(engine="streaming")
        told(caught.value)
        extract.close()
        assert bench.ids() == [1]
