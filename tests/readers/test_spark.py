"""What dativo writes, read by Spark with the Iceberg project's own runtime: from the embedded catalog and from Nessie."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project
from tests.readers.spark import spark_rows
from tests.services.fixtures import Lakehouse

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FIELDS = [
    {"name": "id", "type": "integer", "required": True, "primary_key": True, "description": "the key"},
    {"name": "price", "type": "decimal(12,2)"},
    {"name": "moment", "type": "timestamp"},
    {"name": "zoned", "type": "timestamptz"},
    {"name": "day", "type": "date"},
    {"name": "note", "type": "string"},
]
HEAD = "id,price,moment,zoned,day,note\n"
FIRST = "1,1.50,2024-01-31 23:59:59.999999,2024-01-31T23:59:59+02:00,2024-02-29,a\n2,,1969-12-31,,,\U0001f600\n"
ROWS = [
    (1, Decimal("1.50"), datetime(2024, 1, 31, 23, 59, 59, 999999), 1706738399000000, date(2024, 2, 29), "a"),
    (2, None, datetime(1969, 12, 31), None, None, "\U0001f600"),
    (3, Decimal("-0.01"), datetime(2024, 2, 1), 1706745600000000, date(1, 1, 1), None),
]
SELECT = "SELECT id, price, moment, unix_micros(zoned), day, note FROM {table} ORDER BY id"


def loaded_twice(project: Project, target: dict[str, Any]) -> None:
    """A table of three rows by two incremental runs, partitioned, with one rejected row."""
    project.asset(FIELDS)
    project.job(
        source={"files": [{"path": "data/*.csv"}], "incremental": {"strategy": "file_modified_time"}},
        target={"partitioning": ["month(moment)"], **target},
        schema_validation_mode="quarantine",
    )
    project.write("data/1.csv", HEAD + FIRST)
    assert project.sync().loaded == 2
    project.write("data/2.csv", HEAD + "3,-0.01,2024-02-01,2024-02-01T00:00:00Z,0001-01-01,\nx,1,,,,\n")
    assert project.sync().loaded == 1


def embedded(root: Path) -> dict[str, str]:
    return {
        "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "uri": f"jdbc:sqlite:{root}/.local/state/acme/catalog.db",
        "warehouse": f"file://{root}/.local/warehouse/acme",
        "jdbc.schema-version": "V1",
        "init-catalog-tables": "false",
    }


def test_the_embedded_catalogs_table_is_read_alike(project: Project) -> None:
    loaded_twice(project, {})
    # A SQL catalog keeps its own name in its rows: Spark must call it as dativo does.
    catalogs = {"dativo": embedded(project.root)}
    table = "dativo.default.people"
    rows, rejects, state, months, comment = spark_rows(
        catalogs,
        SELECT.format(table=table),
        "SELECT column, rule, value FROM dativo.default.people__rejects",
        f"SHOW TBLPROPERTIES {table}",
        f"SELECT count(*) FROM {table} WHERE moment >= timestamp'2024-02-01'",
        f"DESCRIBE {table}",
    )
    assert rows == ROWS
    assert rejects == [("id", "type_mismatch", "x")]
    assert "dativo.state.acme.job.people" in dict(state)
    assert months == [(1,)]
    assert ("id", "bigint", "the key") in comment


def test_nessies_table_on_an_object_store_is_read_alike(project: Project, lakehouse: Lakehouse) -> None:
    store = lakehouse.store
    keys = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
    connection = {"nessie": lakehouse.nessie.uri, "s3": {"endpoint": store.endpoint, **keys}}
    loaded_twice(project, {"connection": connection, "branch": "spark"})
    catalog = {
        "type": "rest",
        "uri": f"{lakehouse.nessie.iceberg}/spark",
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": store.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": store.access_key,
        "s3.secret-access-key": store.secret_key,
        "client.region": store.region,
    }
    table = "lake.default.people"
    rows, [(files,)] = spark_rows({"lake": catalog}, SELECT.format(table=table), f"SELECT count(*) FROM {table}.files")
    assert rows == ROWS
    assert files == 3
