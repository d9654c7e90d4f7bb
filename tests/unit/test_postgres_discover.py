"""What is found in a Postgres database, for a person who is to write a contract for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from dativo import connectors
from dativo.sources.discovery import Discovering, FoundStream
from tests.postgres_bench import PostgresBench
from tests.project import Project
from tests.services.postgres import Postgres

pytestmark = pytest.mark.server


@pytest.fixture
def bench(project: Project, postgres_server: Postgres) -> PostgresBench:
    made = PostgresBench(project, postgres_server)
    made.sql(
        "CREATE TYPE mood AS ENUM ('a');"
        "CREATE TABLE orders (line int, id bigint GENERATED ALWAYS AS IDENTITY, code text NOT NULL UNIQUE, at timestamptz, "
        "updated_at timestamptz NOT NULL, created_at timestamp, amount numeric(12,2), big numeric(50,2), tags text[], "
        "m mood, took interval, doc jsonb, PRIMARY KEY (id, line));"
        "CREATE INDEX ON orders (updated_at); COMMENT ON TABLE orders IS 'what was bought';"
        "COMMENT ON COLUMN orders.amount IS 'in euro'; CREATE SCHEMA crm; CREATE VIEW crm.v AS SELECT code FROM orders;"
        "CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;"
        "INSERT INTO orders (line, code, updated_at) SELECT i, 'c' || i, now() FROM generate_series(1, 50) i; ANALYZE orders"
    )
    made.job("orders")
    return made


def source(bench: PostgresBench) -> Discovering:
    return cast(Discovering, connectors.source(bench.project.load()))


def found(bench: PostgresBench) -> dict[str, FoundStream]:
    return {s.name: s for s in source(bench).discover()}


def test_relations_are_found_with_keys_comments_and_cursors(bench: PostgresBench) -> None:
    streams = found(bench)
    assert {n: s.kind for n, s in streams.items()} == {
        "crm.v": "view", "public.orders": "table", "public.p": "partitioned table",
    }  # fmt: skip
    orders = streams["public.orders"]
    assert orders.key == ("id", "line")
    assert orders.unique == (("code",),)
    assert orders.cursors == ("updated_at", "created_at", "at", "id")
    assert (orders.rows, orders.comment, orders.object) == (50, "what was bought", "orders")


def test_columns_have_the_type_that_holds_all_their_values(bench: PostgresBench) -> None:
    columns = {c.name: c for c in found(bench)["public.orders"].columns}
    shown: dict[str, Any] = {n: (c.native, c.field.type_text(), c.nullable, c.lossless) for n, c in columns.items()}
    assert shown == {
        "line": ("integer", "long", False, True),
        "id": ("bigint", "long", False, True),
        "code": ("text", "string", False, True),
        "at": ("timestamp with time zone", "timestamptz", True, True),
        "updated_at": ("timestamp with time zone", "timestamptz", False, True),
        "created_at": ("timestamp without time zone", "timestamp", True, True),
        "amount": ("numeric(12,2)", "decimal(12,2)", True, True),
        "big": ("numeric(50,2)", "string", True, False),
        "tags": ("text[]", "list<string>", True, True),
        "m": ("mood", "string", True, True),
        "took": ("interval", "string", True, False),
        "doc": ("jsonb", "json", True, True),
    }
    assert columns["amount"].comment == "in euro"
    assert columns["id"].field.primary_key and columns["id"].field.required


def test_samples_are_text_without_nulls(bench: PostgresBench) -> None:
    orders = found(bench)["public.orders"]
    chosen = replace(orders, columns=tuple(c for c in orders.columns if c.name in ("code", "amount")))
    assert source(bench).samples([chosen], 3) == [{"code": ["c1", "c2", "c3"], "amount": []}]


def test_samples_of_many_relations_and_of_one_that_cannot_be_read(bench: PostgresBench) -> None:
    bench.sql("; ".join(f"CREATE TABLE t{i} (v text); INSERT INTO t{i} VALUES ('of {i}')" for i in range(45)))
    bench.sql("CREATE VIEW broken AS SELECT v, 1 / (length(v) - 4) AS n FROM t7")
    bench.sql('CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."c"".d" ("x y" text); INSERT INTO "a.b"."c"".d" VALUES (\'é\')')
    streams = [s for name, s in found(bench).items() if name != "public.orders"]
    taken = dict(zip((s.name for s in streams), source(bench).samples(streams, 2), strict=True))
    assert taken.pop("public.broken") is None
    assert taken.pop('a.b.c".d') == {"x y": ["é"]}
    assert {name: values for name, values in taken.items() if name.startswith("public.t")} == {
        f"public.t{i}": {"v": [f"of {i}"]} for i in range(45)
    }


def test_what_the_user_may_not_read_is_not_found(bench: PostgresBench) -> None:
    role = f"r_{bench.database}"
    bench.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT SELECT (code) ON orders TO {role}")
    bench.job("orders", connection={"user": role, "password": "secret"})
    streams = found(bench)
    assert list(streams) == ["public.orders"]
    assert [c.name for c in streams["public.orders"].columns] == ["code"]
