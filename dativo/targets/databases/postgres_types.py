"""How Postgres holds a contract's values: the type of each kind, what goes over the wire, and what comes back.

Rows go out in COPY's binary format: a uuid as its 16 bytes, jsonb with its version in front, all else as Arrow has it.
"""

from __future__ import annotations

import re

import polars as pl

from dativo.config.field import Field
from dativo.config.types import Kind
from dativo.contract.dtypes import polars_type
from dativo.contract.evolve import StoredColumn
from dativo.contract.written import json_text
from dativo.targets.databases.dialect import Present, quoted
from dativo.targets.objects.rows import from_text

_TYPES: dict[Kind, str] = {
    "string": "text",
    "uuid": "uuid",
    "json": "json",
    "long": "bigint",
    "double": "double precision",
    "boolean": "boolean",
    "date": "date",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "binary": "bytea",
    "struct": "jsonb",
}
_KINDS: dict[str, Kind] = {**{t: k for k, t in _TYPES.items()}, "character varying": "string", "jsonb": "json"}
_NARROW: dict[str, Kind] = {"smallint": "long", "integer": "long", "real": "double"}
# Entries of an array that Arrow and COPY have in one form; all others are kept in jsonb.
_IN_ARRAYS = ("string", "long", "double", "boolean", "date", "timestamp", "timestamptz")
_JSONB = "\x01"


def type_of(field: Field) -> str:
    """A column's type, spelt as the catalog spells it."""
    if field.kind == "decimal":
        return f"numeric({field.precision},{field.scale})"
    if field.kind == "list":
        return f"{_TYPES[field.item.kind]}[]" if in_array(field) and field.item is not None else "jsonb"
    return _TYPES[field.kind]


def in_array(field: Field) -> bool:
    """Whether a list is an array: lists of lists need not be rectangular, and so they are none."""
    return field.item is not None and field.item.kind in _IN_ARRAYS


def stored(found: Present) -> StoredColumn:
    """A column in the contract's terms, told by its type alone."""
    about = {"name": found.name, "text": found.type, "required": found.required, "description": found.comment}
    if digits := re.fullmatch(r"numeric\((\d+),(\d+)\)", found.type):
        return StoredColumn(**about, kind="decimal", precision=int(digits[1]), scale=int(digits[2]))  # type: ignore[arg-type]
    if found.type.endswith("[]"):
        inner = stored(Present(name="element", type=found.type[:-2], nullable=True))
        return StoredColumn(**about, kind="list" if inner.kind else None, item=inner)  # type: ignore[arg-type]
    bare = re.sub(r"\(\d+\)$", "", found.type) if found.type.startswith("character varying") else found.type
    if bare in _NARROW:
        return StoredColumn(**about, kind=_NARROW[bare], narrow=True)  # type: ignore[arg-type]
    kind = _KINDS.get(bare)
    return StoredColumn(**about, kind="string" if kind == "json" else kind)  # type: ignore[arg-type]


def sent(field: Field) -> pl.Expr:
    """The values of a column as COPY takes them."""
    value = pl.col(field.name)
    if field.kind == "uuid":
        return value.str.replace_all("-", "", literal=True).str.decode("hex")
    if type_of(field) == "jsonb":
        text = pl.concat_str(pl.lit(_JSONB), json_text(field, value))
        return pl.when(value.is_not_null()).then(text).alias(field.name)
    return value


def selected(field: Field, found: Present) -> str:
    """A column in a SELECT; what Arrow has no type for comes as text, and a time without end as null."""
    name = quoted(field.name)
    if found.type in ("date", *(_TYPES[k] for k in ("timestamp", "timestamptz"))):
        return f"CASE WHEN isfinite({name}) THEN {name} END AS {name}"
    plain = _TYPES.get(field.kind) == found.type and field.kind not in ("uuid", "json", "struct")
    if plain or (found.type.endswith("[]") and in_array(field)):
        return name
    return f"{name}::text AS {name}"


def received(field: Field, found: Present) -> pl.Expr:
    """The values of a selected column with the contract's dtype."""
    value = pl.col(field.name)
    if found.type == "jsonb" and field.kind in ("list", "struct"):
        return from_text(field, value)
    return value.cast(polars_type(field))
