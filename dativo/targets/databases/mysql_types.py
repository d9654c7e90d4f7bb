"""How MySQL and MariaDB hold a contract's values: the type of each kind, the text that goes out, the text that comes back.

Rows go out as text for LOAD DATA, bytes in hexadecimal. What has a zone is kept in UTC. JSON, lists and structs are texts
that the database checks: its own JSON type would sort keys and round numbers.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from dativo.config.field import Field
from dativo.config.types import Kind
from dativo.contract.dtypes import polars_type
from dativo.contract.evolve import StoredColumn
from dativo.contract.written import json_text
from dativo.errors import TargetError
from dativo.targets.databases.dialect import Present, quoted
from dativo.targets.objects.rows import from_text

KEY_LENGTH = 255
DIGITS, DECIMALS = 65, 30
_TYPES: dict[Kind, str] = {
    "string": "longtext",
    "uuid": "char(36)",
    "json": "longtext",
    "long": "bigint",
    "double": "double",
    "boolean": "tinyint(1)",
    "date": "date",
    "time": "time(6)",
    "timestamp": "datetime(6)",
    "timestamptz": "datetime(6)",
    "binary": "longblob",
    "list": "longtext",
    "struct": "longtext",
}
_IN_KEYS: dict[Kind, str] = {"string": f"varchar({KEY_LENGTH})", "binary": f"varbinary({KEY_LENGTH})"}
_KINDS: dict[str, Kind] = {
    "longtext": "string",
    "mediumtext": "string",
    "text": "string",
    "bigint": "long",
    "double": "double",
    "tinyint(1)": "boolean",
    "date": "date",
    "time(6)": "time",
    "datetime(6)": "timestamp",
    "timestamp(6)": "timestamptz",
    "longblob": "binary",
    "json": "json",
}
_NARROW: dict[str, Kind] = {
    "int": "long",
    "mediumint": "long",
    "smallint": "long",
    "tinyint": "long",
    "float": "double",
}
_TIMES = {"date": "%Y-%m-%d", "time": "%H:%i:%s.%f", "timestamp": "%Y-%m-%dT%H:%i:%s.%f"}
JSON_KINDS = ("json", "list", "struct")


def type_of(field: Field, *, key: bool = False) -> str:
    """A column's type, spelt as the catalog spells it."""
    if field.kind == "decimal":
        if field.precision > DIGITS or field.scale > DECIMALS:
            raise TargetError(
                f"the column '{field.name}' is {field.type_text()}, and MySQL keeps {DIGITS} digits, {DECIMALS} of them "
                "after the point",
                hint="give it fewer digits in the contract, or declare it as string",
                mark=field.mark,
                field=f"schema.{field.name}",
            )
        return f"decimal({field.precision},{field.scale})"
    if key and field.kind in JSON_KINDS:
        raise TargetError(
            f"the key column '{field.name}' is {field.type_text()}, and MySQL has no key of this type",
            hint="choose a key of texts, numbers, dates or times",
            mark=field.mark,
            field=f"schema.{field.name}",
        )
    return _IN_KEYS.get(field.kind, _TYPES[field.kind]) if key else _TYPES[field.kind]


def normal(text: str) -> str:
    """A type as every version spells it: widths of numbers on the screen, which some still tell, are left out."""
    return text if text == "tinyint(1)" else re.sub(r"^((?:big|medium|small|tiny)?int)\(\d+\)", r"\1", text)


def stored(found: Present) -> StoredColumn:
    """A column in the contract's terms, told by its type alone."""
    about: dict[str, Any] = {"name": found.name, "text": found.type, "required": found.required}
    about["description"] = found.comment
    if digits := re.fullmatch(r"decimal\((\d+),(\d+)\)", found.type):
        return StoredColumn(**about, kind="decimal", precision=int(digits[1]), scale=int(digits[2]))
    if found.type in _NARROW:
        return StoredColumn(**about, kind=_NARROW[found.type], narrow=True)
    bare = re.sub(r"\(\d+\)$", "", found.type)
    if bare in ("varchar", "varbinary"):
        return StoredColumn(**about, kind="string" if bare == "varchar" else "binary")
    kind = _KINDS.get(found.type)
    return StoredColumn(**about, kind="string" if kind == "json" else kind)


def sent(field: Field) -> pl.Expr:
    """The values of a column as LOAD DATA takes them: whole numbers, and texts."""
    value = pl.col(field.name)
    if field.kind in ("long", "boolean"):
        return value.cast(pl.Int64)
    if field.kind in ("timestamp", "timestamptz"):
        return value.dt.replace_time_zone(None).dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    if field.kind == "time":
        return value.dt.to_string("%H:%M:%S%.6f")
    if field.kind == "date":
        return value.dt.to_string("%Y-%m-%d")
    if field.kind == "binary":
        return value.bin.encode("hex")
    if field.kind in ("list", "struct"):
        return pl.when(value.is_not_null()).then(json_text(field, value))
    return value.cast(pl.String)


def selected(field: Field, found: Present) -> str:
    """A column in a SELECT: all of them come as text, bytes in hexadecimal."""
    name = quoted(field.name)
    base = re.sub(r"\(\d+\)$", "", found.type)
    style = _TIMES.get({"datetime": "timestamp"}.get(base, base))
    if style is not None:
        return f"DATE_FORMAT({name}, '{style}') AS {name}" if base != "time" else f"CAST({name} AS CHAR) AS {name}"
    if base in ("longblob", "mediumblob", "blob", "varbinary", "binary"):
        return f"HEX({name}) AS {name}"
    return f"CAST({name} AS CHAR) AS {name}" if base in ("float", "bit") else name


def received(field: Field, found: Present) -> pl.Expr:
    """The values of a selected column with the contract's dtype."""
    value = pl.col(field.name)
    if field.kind == "boolean":
        return value.cast(pl.Int64) != 0
    if field.kind == "timestamp":
        return value.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    if field.kind == "timestamptz":
        return value.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    if field.kind == "date":
        return value.str.to_date("%Y-%m-%d", strict=False)
    if field.kind == "time":
        return value.str.to_time("%H:%M:%S%.f", strict=False)
    if field.kind in ("binary", "list", "struct"):
        return from_text(field, value)
    return value.cast(polars_type(field))
