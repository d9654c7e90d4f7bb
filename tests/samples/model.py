"""Tables as the samples describe them, and their SQL for each database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

Dialect = Literal["postgres", "mysql", "sqlite"]
DIALECTS: tuple[Dialect, ...] = ("postgres", "mysql", "sqlite")
RATINGS = ("G", "PG", "PG-13", "R", "NC-17")

# A kind of column: its type in each database and in the contract.
_TYPES: dict[str, tuple[str, str, str, str]] = {
    "small": ("smallint", "smallint", "INTEGER", "integer"),
    "int": ("integer", "int", "INTEGER", "integer"),
    "big": ("bigint", "bigint", "INTEGER", "integer"),
    "text": ("text", "text", "TEXT", "string"),
    "name": ("varchar(80)", "varchar(80)", "VARCHAR(80)", "string"),
    "code": ("char(2)", "char(2)", "CHAR(2)", "string"),
    "money": ("numeric(12,4)", "decimal(12,4)", "TEXT", "decimal(12,4)"),
    "large": ("numeric(38,10)", "decimal(38,10)", "TEXT", "decimal(38,10)"),
    "double": ("double precision", "double", "REAL", "double"),
    "flag": ("boolean", "boolean", "BOOLEAN", "boolean"),
    "date": ("date", "date", "DATE", "date"),
    "moment": ("timestamp", "datetime(6)", "TIMESTAMP", "timestamp"),
    "instant": ("timestamptz", "timestamp(6) NULL", "TIMESTAMP", "timestamptz"),
    "time": ("time", "time(6)", "TEXT", "time"),
    "bytes": ("bytea", "longblob", "BLOB", "binary"),
    "uuid": ("uuid", "char(36)", "TEXT", "string"),
    "json": ("jsonb", "json", "TEXT", "string"),
    "rating": ("rating", f"enum({','.join(map(repr, RATINGS))})", "TEXT", "string"),
    "tags": ("text[]", "set('Trailers','Commentaries','Deleted Scenes')", "TEXT", "string"),
    "year": ("year", "year", "INTEGER", "integer"),
}
_CONTRACT = 3


@dataclass(frozen=True)
class Column:
    """A column; `null` says whether it may be empty."""

    name: str
    kind: str
    null: bool = False

    def type(self, dialect: Dialect) -> str:
        """Its type in a database."""
        return _TYPES[self.kind][DIALECTS.index(dialect)]

    @property
    def contract(self) -> str:
        """Its type in a contract."""
        return _TYPES[self.kind][_CONTRACT]


@dataclass(frozen=True)
class Sample:
    """A table with its rows; `foreign` are column to `table(column)`."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    foreign: dict[str, str] = field(default_factory=dict)


def quoted(name: str, dialect: Dialect) -> str:
    """An identifier, whatever is in it."""
    mark = "`" if dialect == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def statements(samples: Sequence[Sample], views: dict[str, str], dialect: Dialect) -> str:
    """The SQL that makes an empty database into the sample's."""
    parts = {"postgres": [_TYPES_OF_POSTGRES], "mysql": ["SET NAMES utf8mb4; SET time_zone = '+00:00';"], "sqlite": []}[
        dialect
    ]
    for sample in samples:
        parts.append(_table(sample, dialect))
        rows = [
            f"({','.join(literal(v, c.kind, dialect) for v, c in zip(r, sample.columns, strict=True))})"
            for r in sample.rows
        ]
        for begin in range(0, len(rows), 200):
            parts.append(
                f"INSERT INTO {quoted(sample.name, dialect)} VALUES\n" + ",\n".join(rows[begin : begin + 200]) + ";"
            )
    parts += [f"CREATE VIEW {name} AS {query};" for name, query in views.items()]
    return "\n".join(parts)


_TYPES_OF_POSTGRES = f"""SET timezone = 'UTC';
CREATE TYPE rating AS ENUM ({",".join(map(repr, RATINGS))});
CREATE DOMAIN year AS integer CHECK (value BETWEEN 1901 AND 2155);"""


def _table(sample: Sample, dialect: Dialect) -> str:
    lines = [f"{quoted(c.name, dialect)} {c.type(dialect)}{'' if c.null else ' NOT NULL'}" for c in sample.columns]
    lines.append(f"PRIMARY KEY ({', '.join(quoted(k, dialect) for k in sample.key)})")
    lines += [f"FOREIGN KEY ({quoted(c, dialect)}) REFERENCES {where}" for c, where in sample.foreign.items()]
    more = " CHARACTER SET utf8mb4" if dialect == "mysql" else ""
    return f"CREATE TABLE {quoted(sample.name, dialect)} (\n  " + ",\n  ".join(lines) + f"\n){more};"


def literal(value: Any, kind: str, dialect: Dialect) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower() if dialect == "postgres" else str(int(value))
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea" if dialect == "postgres" else f"X'{value.hex()}'"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return (
            f"ARRAY[{','.join(text(v, dialect) for v in value)}]::text[]"
            if dialect == "postgres"
            else text(",".join(value), dialect)
        )
    if isinstance(value, dict):
        return text(json.dumps(value, ensure_ascii=False), dialect)
    if isinstance(value, datetime):
        shown = value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        zoned = "+00" if kind == "instant" and dialect == "postgres" else ""
        return text(shown + zoned, dialect)
    if isinstance(value, Decimal | date | time | UUID):
        return text(str(value), dialect)
    return text(value, dialect)


def text(value: str, dialect: Dialect) -> str:
    """Text as SQL."""
    value = value.replace("'", "''")
    return "'" + (value.replace("\\", "\\\\") if dialect == "mysql" else value) + "'"
