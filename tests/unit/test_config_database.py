"""The configuration of database sources: connection URLs, relations and options, each mistake told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dativo import connectors
from dativo.config.dsn import BadUrl, parse_dsn, without_login
from dativo.config.environment import Environment
from dativo.config.resolve import Resolver
from dativo.config.resolved import ResolvedJob
from dativo.config.sql_text import condition_mistake, query_mistake
from dativo.errors import ConfigError
from dativo.observe.redact import redactor
from dativo.secret_managers.choice import secret_manager
from tests.project import Project

COLUMNS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True},
    {"name": "total", "type": "decimal(12,2)"},
    {"name": "updated_at", "type": "timestamp", "required": True},
]


def job(project: Project, type_: str = "postgres", **source: Any) -> None:
    project.asset(COLUMNS)
    project.write("connectors/sources/db.yaml", f"name: {type_}\ntype: {type_}\nengine: native\n")
    project.job(source_connector_path="connectors/sources/db.yaml", source=source)


def load(
    project: Project, type_: str = "postgres", variables: dict[str, str] | None = None, **source: Any
) -> ResolvedJob:
    job(project, type_, **{"tables": [{"name": "orders"}], **source})
    return project.load(variables=variables or {})


def told(project: Project, type_: str = "postgres", **source: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded = load(project, type_, **source)
        raise ConfigError(connectors.check_options(loaded).found)
    return "\n".join(p.render() for p in caught.value.problems())


# -- connection URLs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "url", "wanted"),
    [
        (
            "postgres",
            "postgres://reader:p%40ss%2Fw@db.example.com:6432/shop?sslmode=verify-full",
            {"user": "reader", "password": "p@ss/w", "host": "db.example.com", "port": "6432", "database": "shop"}
            | {"sslmode": "verify-full"},
        ),
        ("postgres", "postgresql+psycopg2://[::1]:5433/shop", {"host": "::1", "port": "5433", "database": "shop"}),
        ("postgres", "postgresql://", {}),
        ("postgres", "postgresql:///shop?host=/var/run", {"database": "shop", "host": "/var/run"}),
        ("mysql", "mysql://root:a:b@h/shop", {"user": "root", "password": "a:b", "host": "h", "database": "shop"}),
        ("mysql", "mariadb://h", {"host": "h"}),
        ("sqlite", "sqlite:///data/shop.db", {"database_path": "data/shop.db"}),
        ("sqlite", "sqlite:////srv/my%20shop.db", {"database_path": "/srv/my shop.db"}),
    ],
)
def test_a_url_stands_for_the_settings_in_it(type_: str, url: str, wanted: dict[str, str]) -> None:
    assert parse_dsn(type_, url) == wanted


@pytest.mark.parametrize(
    ("type_", "url", "why"),
    [
        ("postgres", "hunter2secret", "no URL"),
        ("postgres", "host=h password=hunter2secret", "no URL"),
        ("postgres", "mysql://u:hunter2secret@h/d", "of a mysql database, and the source is postgres"),
        ("mysql", "oracle://u:hunter2secret@h/d", "that dativo knows, and the source is mysql"),
        ("postgres", "postgres://u:hunter2secret@h:70000/d", "port"),
        ("postgres", "postgres://u:hunter2secret@h:x/d", "port"),
        ("postgres", "postgres://u:hunter2/secret@h/d", ""),
        ("postgres", "postgres://u:hunter2secret@a,b/d", "several hosts"),
        ("postgres", "postgres://u:hunter2secret@[::1/d", "no end"),
        ("postgres", "postgres://u:hunter2#secret@h/d", "'#'"),
        ("sqlite", "sqlite://shop.db", "names no file"),
        ("sqlite", "sqlite:///", "names no file"),
    ],
)
def test_a_malformed_url_is_told_and_never_shown(project: Project, type_: str, url: str, why: str) -> None:
    with pytest.raises(BadUrl) as caught:
        parse_dsn(type_, url)
    assert why in str(caught.value)
    text = told(project, type_, dsn=url)
    assert "error: source.dsn: " in text and "jobs/acme/job.yaml:" in text
    assert "hunter2" not in text and "secret" not in text.replace("the secret", "")


def test_settings_of_the_job_win_over_its_url_and_the_url_over_everything_else(project: Project) -> None:
    project.asset(COLUMNS)
    project.write(
        "connectors/sources/db.yaml",
        "name: postgres\ntype: postgres\nengine: native\nconnection_template: {host: '${PGHOST}', user: template}\n",
    )
    project.job(
        source_connector_path="connectors/sources/db.yaml",
        source={
            "tables": [{"name": "orders"}],
            "dsn": "postgres://reader:hunter2secret@url:1111/shop",
            "connection": {"postgres": {"port": 2222}},
        },
    )
    loaded = project.load(variables={"PGHOST": "variable", "PGPASSWORD": "other", "PGSSLMODE": "require"})
    found = loaded.connections["source"]
    values = {name: found.get(name) for name in ("host", "port", "database", "user", "password", "sslmode")}
    assert values == {
        "host": "url",
        "port": "2222",
        "database": "shop",
        "user": "reader",
        "password": "hunter2secret",
        "sslmode": "require",
    }
    assert found.origin("host").startswith("host in source.dsn (jobs/acme/job.yaml:")
    assert "hunter2secret" not in repr(loaded.connections)


def test_the_password_in_a_url_is_masked_in_whatever_is_said(project: Project) -> None:
    loaded = load(project, dsn="postgres://reader:hunter%402secret@h/shop")
    said = "failed: postgres://reader:hunter%402secret@h/shop with hunter@2secret"
    assert redactor(loaded).mask(said) == "failed: postgres://reader:[REDACTED]@h/shop with [REDACTED]"
    assert without_login("postgres://reader:hunter2@h/shop") == "postgres://h/shop"


def test_a_url_from_a_variable_that_is_set_nowhere_is_a_missing_variable(project: Project) -> None:
    assert load(project, dsn="${SHOP_URL}").missing == ("SHOP_URL",)
    loaded = load(project, variables={"SHOP_URL": "postgres://h/shop"}, dsn="${SHOP_URL}")
    assert loaded.connections["source"].get("host") == "h"
    assert loaded.connections["source"].origin("host").endswith(", written ${SHOP_URL})") is False


def test_a_url_does_nothing_for_a_source_that_is_no_database(project: Project) -> None:
    project.asset(COLUMNS)
    project.job(source={"files": [{"path": "a.csv"}], "dsn": "postgres://h/d"})
    assert [p.message for p in project.load(variables={}).warnings if p.field == "source.dsn"] == [
        "'dsn' does nothing for a csv source"
    ]


def test_in_cloud_mode_a_url_names_no_file_outside_the_project(project: Project) -> None:
    for url in ("sqlite:////etc/passwd", "sqlite:///%2e%2e/other.db", "sqlite3:///../other.db"):
        job(project, "sqlite", tables=[{"name": "t"}], dsn=url)
        found = Resolver(environment=Environment([{}], ["t"]), mode="cloud")
        assert found.job(project.root / "jobs/acme/job.yaml") is None
        assert any(p.field == "source.dsn" and "leaves the project" in p.message for p in found.problems.errors())
    job(project, "postgres", tables=[{"name": "t"}], dsn="postgres://u:hunter2@h/d?sslkey=../other.key")
    found = Resolver(environment=Environment([{}], ["t"]), mode="cloud")
    assert found.job(project.root / "jobs/acme/job.yaml") is None
    [error] = [p.message for p in found.problems.errors() if p.field == "source.dsn"]
    assert error.startswith("'../other.key' leaves the project")


# -- connections --------------------------------------------------------------------------------------------------------


def test_variables_of_libpq_come_before_the_older_names(project: Project) -> None:
    variables = {
        "PGHOST": "a",
        "POSTGRES_HOST": "b",
        "POSTGRES_USER": "u",
        "POSTGRES_DB": "d",
        "POSTGRES_PASSWORD": "p",
    }
    found = load(project, variables=variables).connections["source"]
    assert [found.get(n) for n in ("host", "port", "user", "database", "password")] == ["a", "5432", "u", "d", "p"]


@pytest.mark.parametrize(
    "names", [("PGUSER", "PGPASSWORD", "PGHOST"), ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_HOST")]
)
def test_basic_credentials_come_from_the_tenants_secret_in_either_naming(
    project: Project, names: tuple[str, ...]
) -> None:
    project.asset(COLUMNS)
    project.write(
        "connectors/sources/db.yaml",
        "name: postgres\ntype: postgres\nengine: native\n"
        "credentials: {type: basic, file_template: '/secrets/{tenant}/postgres.env'}\n",
    )
    project.write("secrets/acme/postgres.env", "\n".join(f"{n}=value-of-{n}" for n in names) + "\n")
    project.job(source_connector_path="connectors/sources/db.yaml", source={"tables": [{"name": "orders"}]})
    manager = secret_manager(folder=Path("secrets"))
    resolver = Resolver(environment=Environment([{"PGHOST": "of-the-machine"}], ["t"]), manager=manager)
    loaded = resolver.job(project.root / "jobs/acme/job.yaml")
    assert loaded is not None
    found = loaded.connections["source"]
    assert [found.get(n) for n in ("user", "password", "host")] == [f"value-of-{n}" for n in names]
    assert "secrets/acme/postgres.env" in found.origin("password") and "value-of" not in found.origin("password")


def test_every_setting_of_a_mysql_connection_is_known(project: Project) -> None:
    given = {
        "host": "h", "port": 3307, "database": "shop", "user": "u", "password": "hunter2", "charset": "utf8mb4",
        "ssl_mode": "REQUIRED", "ssl_ca": "ca.pem", "ssl_cert": "c.pem", "ssl_key": "k.pem", "auth_plugin": "x",
        "use_native_auth": True, "autocommit": True,
    }  # fmt: skip
    loaded = load(project, "mysql", connection=given)
    found = loaded.connections["source"]
    assert {n: found.get(n) for n in given} == {n: str(v).lower() if v is True else str(v) for n, v in given.items()}
    assert loaded.warnings == () or all("connection" not in p.field for p in loaded.warnings)
    assert load(project, "mysql").connections["source"].get("charset") == "utf8mb4"


@pytest.mark.parametrize(
    ("type_", "connection", "wanted"),
    [
        ("postgres", {"port": "http"}, "source.connection.port: 'http' is no port"),
        ("postgres", {"port": 65536}, "source.connection.port: '65536' is no port"),
        ("postgres", {"sslmode": "required"}, "unknown sslmode 'required'"),
        ("mysql", {"ssl_mode": "verify_full"}, "unknown ssl_mode 'verify_full'"),
        ("sqlite", {}, "a sqlite source needs a database_path"),
    ],
)
def test_a_connection_that_cannot_be_is_told_before_it_is_tried(
    project: Project, type_: str, connection: dict[str, Any], wanted: str
) -> None:
    assert wanted in told(project, type_, connection=connection)


# -- relations ----------------------------------------------------------------------------------------------------------


def test_a_table_may_have_a_dot_in_its_name_where_its_schema_is_given(project: Project) -> None:
    loaded = load(project, tables=[{"schema": "shop", "name": "orders.2024"}])
    (found,) = loaded.streams[0].relations
    assert (found.schema, found.table, found.object) == ("shop", "orders.2024", "2024")


def test_a_null_cursor_of_a_table_loads_that_table_fully(project: Project) -> None:
    loaded = load(
        project,
        tables=[{"name": "orders"}, {"name": "countries", "cursor_field": None}, {"name": "r", "cursor_field": "at"}],
        incremental={"cursor_field": "updated_at"},
    )
    found = loaded.streams[0].relations
    assert [(r.full, loaded.cursor_field(r)) for r in found] == [(False, "updated_at"), (True, None), (False, "at")]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"tables": [{"schema": "public"}]}, "source.tables[0].name: 'name' is required"),
        ({"tables": [{"name": ""}]}, "source.tables[0].name: expected text that is not empty"),
        ({"tables": [{"name": "public."}]}, "source.tables[0].name: a table needs a name"),
        ({"tables": [{"name": "public.orders", "schema": "public"}]}, "the schema 'public' is named twice"),
        ({"tables": [{"name": "orders"}, {"name": "orders"}]}, "source.tables[1].name: 'orders' is read twice"),
        (
            {"tables": [{"name": "a.orders"}, {"name": "b.orders"}], "incremental": {"cursor_field": "updated_at"}},
            "source.tables[1].object: two entries have the object 'orders', and would share their cursor",
        ),
        ({"tables": [{"name": "orders", "columns": []}]}, "source.tables[0].columns: no columns are named"),
        ({"tables": [{"name": "orders", "columns": ["total"]}]}, "`columns` lacks the key: id"),
        (
            {
                "tables": [{"name": "orders", "columns": ["id", "updated_at"]}],
                "incremental": {"cursor_field": "changed"},
            },
            "`columns` lacks the cursor: changed",
        ),
        (
            {"tables": [{"name": "orders", "columns": ["id", "total"]}]},
            "`columns` lacks what the contract requires: updated_at",
        ),
        ({"tables": [{"name": "orders", "columns": ["id", "updated_at", "id"]}]}, "columns are named twice: id"),
        ({"tables": [{"name": "orders", "where": "  "}]}, "source.tables[0].where: this is no condition: it is empty"),
        ({"tables": [{"name": "orders", "where": "1=1); DROP TABLE orders"}]}, "this is no condition: it has a ';'"),
        ({"tables": [{"name": "orders", "where": "1=1) OR (1=1"}]}, "closes a parenthesis that it does not open"),
        ({"tables": [], "queries": [{"name": "q", "sql": "DELETE FROM orders"}]}, "it begins with 'DELETE'"),
        ({"tables": [], "queries": [{"name": "q", "sql": "select 1; drop table orders"}]}, "it has a ';' inside"),
        ({"tables": [], "queries": [{"name": "q", "sql": "-- nothing"}]}, "it has no SQL"),
        ({"tables": [], "queries": [{"name": "q", "sql": "select 'a"}]}, "a ' in it is not closed"),
    ],
)
def test_a_mistake_in_what_is_read_is_told_with_its_place(
    project: Project, source: dict[str, Any], wanted: str
) -> None:
    text = told(project, **source)
    assert wanted in text and "jobs/acme/job.yaml:" in text


def test_several_tables_of_one_name_are_no_mistake_where_no_cursor_is_shared(project: Project) -> None:
    tables: list[dict[str, Any]] = [{"name": "a.orders"}, {"name": "b.orders"}]
    assert len(load(project, tables=tables).streams[0].relations) == 2
    for entry in tables:
        entry["object"] = entry["name"].replace(".", "_")
    assert len(load(project, tables=tables, incremental={"cursor_field": "updated_at"}).streams[0].relations) == 2
    parts = [{"name": "orders", "object": f"p{i}", "where": f"id % 2 = {i}"} for i in range(2)]
    assert len(load(project, tables=parts, incremental={"cursor_field": "updated_at"}).streams[0].relations) == 2


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("postgres", "select * from orders"),
        ("postgres", "  -- the orders\n WITH x AS (SELECT 1) SELECT * FROM x"),
        ("postgres", "(select 1) union all (select 2)"),
        ("postgres", "select ';', $$;$$, $a$ ' ; $a$, E'\\';', \"a;b\" /* ; */"),
        ("postgres", "select foo$bar$baz from t where a = $1"),
        ("mysql", "select 'it\\'s;', \"a;\", `b;` # ;\n from t -- ;"),
        ("sqlite", "select [a;b], \"c;\", `d;`, 'e;' from t"),
        ("sqlite", "values (1)"),
    ],
)
def test_a_semicolon_in_a_text_a_name_or_a_comment_ends_no_statement(kind: str, sql: str) -> None:
    assert query_mistake(kind, sql) is None


def test_a_query_may_end_with_a_semicolon(project: Project) -> None:
    (found,) = load(project, tables=[], queries=[{"name": "q", "sql": "select 1 ; \n"}]).streams[0].relations
    assert found.sql == "select 1"


def test_a_condition_may_have_parentheses_in_texts() -> None:
    assert condition_mistake("postgres", "name <> ')' AND (a = 1 OR b IN (2, 3))") is None
    assert condition_mistake("postgres", "(a = 1") == "it does not close a parenthesis"


# -- options ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"batch_size": 0}, "source.engine.options.batch_size: expected"),
        ({"fetch_size": "many"}, "expected"),
        ({"connections": 65}, "source.engine.options.connections: expected"),
        ({"statement_timeout": 0}, "source.engine.options.statement_timeout: expected"),
        ({"connectons": 2}, "did you mean 'connections'?"),
        ({"native": {"fetch_sise": 2}}, "did you mean 'fetch_size'?"),
    ],
)
def test_options_out_of_range_or_misspelt_are_told(project: Project, options: dict[str, Any], wanted: str) -> None:
    from dativo.sources.database_options import database_options, misspelt

    loaded = load(project, engine={"options": options})
    problems = misspelt(loaded).found
    try:
        database_options(loaded)
    except ConfigError as error:
        problems += error.problems()
    text = "\n".join(p.render() for p in problems)
    assert wanted in text and "jobs/acme/job.yaml:" in text


def test_options_are_read_directly_or_below_native_and_foreign_ones_are_left_alone(project: Project) -> None:
    from dativo.sources.database_options import database_options, misspelt

    engine = {
        "type": "meltano",
        "options": {"meltano": {"tap": "tap-postgres", "tap_config": {"a": 1}}, "connections": 3},
    }
    loaded = load(project, engine=engine)
    assert (database_options(loaded).connections, database_options(loaded).batch_size) == (3, None)
    assert misspelt(loaded).found == []
    loaded = load(project, engine={"options": {"native": {"fetch_size": 500, "statement_timeout": 1.5}}})
    assert (database_options(loaded).batch_size, database_options(loaded).statement_timeout) == (500, 1.5)


# -- write modes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, "append", "replace", "scd2"])
def test_deletes_are_noticed_by_upserts_only(project: Project, mode: str | None) -> None:
    job(project, tables=[{"name": "orders"}])
    target = {"detect_deletes": "hard", **({"write_mode": mode} if mode else {})}
    project.job(
        source_connector_path="connectors/sources/db.yaml", source={"tables": [{"name": "orders"}]}, target=target
    )
    with pytest.raises(ConfigError) as caught:
        project.load(variables={})
    assert "detect_deletes 'hard' needs write_mode 'upsert'" in caught.value.render()
