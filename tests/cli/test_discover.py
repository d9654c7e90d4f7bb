"""`dativo discover`: what a database has, and contracts drafted from it that load as they are."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from dativo import discover, source_of_connector
from tests.cli.conftest import Dativo
from tests.project import Project
from tests.services.mariadb import MariaDb
from tests.services.postgres import Postgres
from tests.services.process import free_port

CANARY = "hunter2-canary"
SHOP = """
create table customers (
    id bigint primary key, first_name text not null, email text not null unique, phone text, birth_date date,
    updated_at timestamptz not null);
comment on table customers is 'People who have bought something';
comment on column customers.email is 'Where invoices go';
insert into customers select i, 'Ada', 'p' || i || '@example.com', '+49 30 10000' || i, '1990-01-01', now()
    from generate_series(1, 9) i;
create table orders (
    id bigint primary key, customer_id bigint not null references customers, total numeric(12,2) not null, status text,
    paid_by text, tags text[], place inet, updated_at timestamptz not null);
insert into orders select i, i, i * 1.5, 'open', '4111111111111111', array['a', 'b'], '10.0.0.1', now()
    from generate_series(1, 9) i;
create view open_orders as select id, total from orders where status = 'open';
create schema archive;
create table archive.orders (id int, "two words" text, "Total" numeric(1000, 5), total int);
analyze;
"""


@pytest.fixture
def shop(project: Project, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """A database with tables, a view and comments, and the variables that lead to it."""
    database = postgres_server.make_database(f"discover_{free_port()}")
    postgres_server.sql(SHOP, database)
    for name, value in {**postgres_server.environment, "PGDATABASE": database}.items():
        monkeypatch.setenv(name, value)
    return Postgres(postgres_server.port, database=database)


def job(project: Project, table: str = "public.orders", **more: Any) -> None:
    project.job(
        "orders",
        source_connector_path="connectors/sources/postgres.yaml",
        asset_path="assets/orders.yaml",
        source={"tables": [{"name": table}], **more},
    )


def test_tables_and_views_are_listed_with_rows_keys_and_cursors(shop: Postgres, dativo: Dativo) -> None:
    found = dativo("discover", "postgres")
    for name in ("public.customers", "public.orders", "public.open_orders", "archive.orders"):
        assert name in found.out
    assert "view" in found.out and "~9" in found.out and "updated_at" in found.out and "4 streams" in found.out
    assert found.err == "" and "pg_catalog" not in found.out and "information_schema" not in found.out


def test_the_columns_of_a_stream_are_shown_with_their_types_here_and_there(shop: Postgres, dativo: Dativo) -> None:
    found = dativo("discover", "--connector", "postgres", "--stream", "public.customers")
    lines = {line.split()[0]: line for line in found.lines if line.strip()}
    assert "bigint" in lines["id"] and "long" in lines["id"] and "key" in lines["id"]
    assert "not null, unique" in lines["email"] and "Where invoices go" in lines["email"]
    assert "timestamptz" in lines["updated_at"] and "cursor" in lines["updated_at"]
    assert "People who have bought something" in found.out
    archive = dativo("discover", "postgres", "--stream", "archive.orders").out
    assert "string *" in archive and "* read as text" in archive


def test_json_has_what_other_programs_expect_and_more(shop: Postgres, dativo: Dativo) -> None:
    found = dativo("discover", "--connector", "postgres", "--json").json()
    assert (found["count"], found["metadata"], len(found["objects"])) == (4, {}, 4)
    orders = next(o for o in found["objects"] if o["name"] == "public.orders")
    assert (orders["object"], orders["kind"], orders["key"]) == ("orders", "table", ["id"])
    total = next(c for c in orders["columns"] if c["name"] == "total")
    assert total == {
        "name": "total", "native_type": "numeric(12,2)", "type": "decimal(12,2)", "nullable": False, "lossless": True,
        "comment": "",
    }  # fmt: skip


def test_a_jobs_source_is_asked_before_its_contract_is_there(project: Project, shop: Postgres, dativo: Dativo) -> None:
    job(project)
    assert not (project.root / "assets/orders.yaml").exists()
    for arguments in (("orders",), ("--config", "jobs/acme/orders.yaml")):
        assert "public.orders" in dativo("discover", *arguments).out


def test_drafts_are_valid_contracts_that_load_as_they_are(project: Project, shop: Postgres, dativo: Dativo) -> None:
    job(project)
    told = dativo("discover", "orders", "--stream", "public.orders", "--write-asset", "assets").out
    assert "made  assets/orders.yaml (8 columns, 2 guesses of personal data)" in told
    assert "paid_by: PCI, card number? by 9 of 9 values" in told
    assert "no mistakes" in dativo("validate", "jobs", "assets").out
    dativo("sync", "orders")
    rows = project.rows("default.orders").sort("id")
    assert rows.height == 9 and rows["total"].to_list()[1] == 3 and rows["tags"].to_list()[0] == ["a", "b"]
    text = (project.root / "assets/orders.yaml").read_text()
    assert "4111111111111111" not in text and "classification-guessed" in text
    fields = {f["name"]: f for f in yaml.safe_load(text)["schema"]}
    assert fields["paid_by"]["classification"] == "PCI" and "classification" not in fields["status"]
    assert fields["id"]["primary_key"] and fields["total"]["required"] and "required" not in fields["status"]


def test_every_stream_gets_a_file_of_its_own(project: Project, shop: Postgres, dativo: Dativo) -> None:
    dativo("discover", "postgres", "--write-asset", "assets/postgres/v1.0")
    folder = project.root / "assets/postgres/v1.0"
    made = sorted(p.name for p in folder.iterdir())
    assert made == ["archive_orders.yaml", "customers.yaml", "open_orders.yaml", "public_orders.yaml"]
    found = dativo("validate", "assets", "--json").json()
    assert found["errors"] == 0 and found["warnings"] == 0
    archive = yaml.safe_load((folder / "archive_orders.yaml").read_text())
    assert [(f["name"], f.get("physicalName")) for f in archive["schema"]] == [
        ("id", None), ("two_words", "two words"), ("Total", None), ("total_2", "total"),
    ]  # fmt: skip


def test_a_contract_that_is_there_is_never_replaced_unless_asked(
    project: Project, shop: Postgres, dativo: Dativo
) -> None:
    mine = project.write("assets/customers.yaml", "mine\n")
    answer = dativo("discover", "postgres", "--write-asset", "assets", code=2)
    assert "the file is there already" in answer.err and "assets/customers.yaml" in answer.err
    assert mine.read_text() == "mine\n" and not (project.root / "assets/open_orders.yaml").exists()
    one = ("--stream", "customers", "--write-asset", "assets/customers.yaml")
    dativo("discover", "postgres", *one, code=2)
    dativo("discover", "postgres", *one, "--force")
    assert "DataContract" in mine.read_text()
    assert [p.name for p in (project.root / "assets").iterdir()] == ["customers.yaml"]


def test_one_file_holds_one_contract(project: Project, shop: Postgres, dativo: Dativo) -> None:
    answer = dativo("discover", "postgres", "--write-asset", "assets/all.yaml", code=2)
    assert "one file cannot hold the contracts of 4 streams" in answer.err
    assert not (project.root / "assets/all.yaml").exists()


def test_a_name_that_is_not_there_is_told_with_the_nearest(shop: Postgres, dativo: Dativo) -> None:
    answer = dativo("discover", "postgres", "--stream", "custmers", code=2)
    assert "the source has no 'custmers'" in answer.err and "did you mean 'customers'?" in answer.err
    assert dativo("discover", "postgres", "--stream", "ORDERS").out.count(": table") == 2


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"PGPASSWORD": CANARY}, "password"),
        ({"PGDATABASE": "no_such_database"}, "no_such_database"),
        ({"PGPORT": "1"}, "127.0.0.1:1"),
        ({"PGPORT": "many"}, "many"),
    ],
)
def test_a_connection_that_fails_is_one_clear_error(
    shop: Postgres, dativo: Dativo, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], why: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    answer = dativo("discover", "postgres", code=2)
    assert answer.err.count("error:") == 1 and why in answer.err and answer.out == ""
    assert CANARY not in answer.err and "Traceback" not in answer.err


def test_the_secrets_of_a_tenant_lead_to_its_database(
    project: Project, shop: Postgres, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{name}={os.environ[name]}" for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")]
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"):
        monkeypatch.delenv(name)
    project.write("secrets/acme/postgres.env", "\n".join(lines) + "\n")
    found = dativo("discover", "postgres", "--tenant-id", "acme", "--secrets-dir", "secrets")
    assert "public.orders" in found.out
    dativo("discover", "postgres", "--secrets-dir", "secrets", code=2)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "give a connector or a job"),
        (("postgres", "--connector", "postgres"), "give a connector or a job"),
        (("--connector", "postgrse"), "did you mean 'postgres'?"),
        (("--connector", "iceberg"), "cannot be a source"),
        (("--connector", "stripe"), "stripe"),
        (("nothing",), "there is no job 'nothing'"),
        (("--config", "nothing.yaml"), "there is no such file"),
        (("postgres", "--force"), "--force goes with --write-asset"),
    ],
)
def test_what_cannot_be_asked_is_told(project: Project, dativo: Dativo, arguments: tuple[str, ...], why: str) -> None:
    answer = dativo("discover", *arguments, code=2)
    assert why in answer.err and "Traceback" not in answer.err


def test_a_job_with_a_mistake_in_its_source_is_told(project: Project, dativo: Dativo) -> None:
    job(project, dsn=f"mysql://u:{CANARY}@h/d")
    answer = dativo("discover", "orders", code=2)
    assert "source.dsn: this is a URL of a mysql database" in answer.err and CANARY not in answer.err


def test_a_program_can_ask_too(project: Project, shop: Postgres) -> None:
    found = discover(source_of_connector("postgres"), ["customers"])
    assert [(s.name, s.object, s.rows, s.key) for s in found] == [("public.customers", "customers", 9, ("id",))]
    assert not Path(".local").exists()


def test_mysql_and_mariadb_are_asked_alike(
    project: Project, mariadb_server: MariaDb, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = mariadb_server.make_database(f"discover_{free_port()}")
    for name, value in {**mariadb_server.environment, "MYSQL_DATABASE": database}.items():
        monkeypatch.setenv(name, value)
    mariadb_server.sql(
        "create table customers (id bigint unsigned primary key, email varchar(200) not null comment 'Where invoices go', "
        "total decimal(12,2), changed_at datetime(6) not null); "
        "insert into customers values (1, 'a@b.example', 1.5, '2024-01-01'), (2, 'c@d.example', 2, '2024-01-02'), "
        "(3, 'e@f.example', null, '2024-01-03');",
        database,
    )
    assert "customers" in dativo("discover", "mysql").out
    dativo("discover", "mysql", "--stream", "customers", "--write-asset", "assets/customers.yaml")
    fields = {f["name"]: f for f in yaml.safe_load((project.root / "assets/customers.yaml").read_text())["schema"]}
    assert fields["id"]["primary_key"] and fields["email"]["description"] == "Where invoices go"
    assert (fields["total"]["type"], fields["email"]["classification"]) == ("decimal(12,2)", "PII")
    project.job(
        "customers",
        source_connector_path="connectors/sources/mysql.yaml",
        asset_path="assets/customers.yaml",
        source={"tables": [{"name": "customers"}], "incremental": {"cursor_field": "changed_at"}},
    )
    window = ("--since", "2024-01-01T01:00:00+01:00", "--until", "2024-01-03")
    assert dativo("sync", "customers", *window, "--json").json()["jobs"][0]["streams"][0]["loaded"] == 2


# -- files --------------------------------------------------------------------------------------------------------------

FILE = """\
id,code,total,day,seen,flag,note,mostly
1,007,1.50,2024-01-31,2024-01-31T08:00:00Z,true,ada@example.com,1
2,008,2,2024-02-01,2024-02-01 09:00:00+02:00,FALSE,bob@example.com,2
3,009,,2024-02-29,2024-02-01T09:00:00.123Z,true,eve@example.com,x
"""


def test_the_types_of_a_file_are_those_that_all_of_its_values_have(project: Project, dativo: Dativo) -> None:
    rows = [f"{i},00{i},1,2024-01-31,2024-01-31T08:00:00Z,true,p{i}@example.com,{i}" for i in range(4, 30)]
    project.write("data/people.csv", FILE + "\n".join(rows) + "\n")
    project.job()
    dativo("discover", "job", "--write-asset", "assets/people.yaml")
    text = (project.root / "assets/people.yaml").read_text()
    fields = {f["name"]: f["type"] for f in yaml.safe_load(text)["schema"]}
    assert fields == {
        "id": "integer", "code": "string", "total": "decimal(38,2)", "day": "date", "seen": "timestamptz", "flag": "boolean",
        "note": "string", "mostly": "string",
    }  # fmt: skip
    assert "mostly\n    type: string  # text, 29 values looked at: 28 could be long" in text
    assert "a guess: email, by 29 of 29 values" in text
    assert dativo("sync", "job", "--json").json()["jobs"][0]["streams"][0]["loaded"] == 29


def test_a_day_that_is_none_makes_a_text(project: Project, dativo: Dativo) -> None:
    project.write("data/people.csv", "day\n2024-02-28\n2024-02-30\n")
    project.job()
    columns = dativo("discover", "job", "--json").json()["objects"][0]["columns"]
    assert [(c["name"], c["type"]) for c in columns] == [("day", "string")]


def test_json_lines_and_parquet_files_are_asked_too(project: Project, dativo: Dativo) -> None:
    project.write(
        "data/e.jsonl", '{"id": 1, "tags": ["a"], "place": {"city": "Ulm"}}\n{"id": 2, "tags": [], "place": null}\n'
    )
    project.job(
        "lines", source_connector_path="connectors/sources/jsonl.yaml", source={"files": [{"path": "data/e.jsonl"}]}
    )
    found = dativo("discover", "lines", "--json").json()["objects"][0]
    assert {c["name"]: c["type"] for c in found["columns"]} == {"id": "long", "tags": "list<string>", "place": "json"}
    frame = pl.DataFrame(
        {
            "id": [1],
            "at": [datetime(2024, 1, 1, tzinfo=UTC)],
            "total": [Decimal("1.50")],
            "lines": [[{"sku": "a", "n": 1}]],
        },
        schema_overrides={"total": pl.Decimal(12, 2)},
    )
    frame.write_parquet(project.root / "data/e.parquet")
    project.job(
        "frames",
        source_connector_path="connectors/sources/parquet.yaml",
        source={"files": [{"path": "data/e.parquet"}]},
    )
    (found,) = dativo("discover", "frames", "--json").json()["objects"]
    assert (found["object"], found["kind"]) == ("e", "file")
    assert {c["name"]: c["type"] for c in found["columns"]} == {
        "id": "long", "at": "timestamptz", "total": "decimal(12,2)", "lines": "list<struct<sku: string, n: long>>",
    }  # fmt: skip


def test_a_file_that_is_not_there_is_told(project: Project, dativo: Dativo) -> None:
    project.job(source={"files": [{"path": "data/lost.csv"}]})
    assert "data/lost.csv" in dativo("discover", "job", code=2).err
