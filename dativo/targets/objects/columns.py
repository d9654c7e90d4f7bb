"""A table's columns as its manifest has them, and as contracts and the rules of schema changes see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dativo.config.field import Field
from dativo.config.types import Kind
from dativo.contract.evolve import Change, StoredColumn


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column, or a field or entry inside one. `type` is the contract's word, digits of decimals stand beside it."""

    name: str
    type: Kind
    precision: int = 0
    scale: int = 0
    item: Column | None = None
    fields: tuple[Column, ...] = ()
    required: bool = False
    description: str | None = None


def column(field: Field) -> Column:
    """A contract's column as a manifest has it."""
    return Column(
        name=field.name,
        type=field.kind,
        precision=field.precision if field.kind == "decimal" else 0,
        scale=field.scale if field.kind == "decimal" else 0,
        item=column(field.item) if field.item is not None else None,
        fields=tuple(column(f) for f in field.fields),
        required=field.required,
        description=field.description,
    )


def contract_field(found: Column) -> Field:
    """A manifest's column as a contract would have it."""
    return Field(
        name=found.name,
        kind=found.type,
        precision=found.precision,
        scale=found.scale,
        item=contract_field(found.item) if found.item is not None else None,
        fields=tuple(contract_field(f) for f in found.fields),
        required=found.required,
        description=found.description,
    )


def stored_column(found: Column, *, nested: bool = False) -> StoredColumn:
    """A manifest's column for the rules of schema changes, which call JSON, and a uuid inside a column, text."""
    text = found.type == "json" or (nested and found.type == "uuid")
    return StoredColumn(
        name=found.name,
        kind="string" if text else found.type,
        text=contract_field(found).type_text(),
        required=found.required,
        description=found.description,
        precision=found.precision,
        scale=found.scale,
        item=stored_column(found.item, nested=True) if found.item is not None else None,
        fields=tuple(stored_column(f, nested=True) for f in found.fields),
    )


def changed(columns: Sequence[Column], changes: Sequence[Change]) -> tuple[Column, ...]:
    """The columns after changes that were found for them."""
    found = tuple(columns)
    for change in changes:
        found = _changed(found, change.path, change)
    return found


def _changed(columns: tuple[Column, ...], path: tuple[str, ...], change: Change) -> tuple[Column, ...]:
    if change.action == "add" and len(path) == 1 and change.field is not None:
        # Rows that are there already have no value of it.
        return (*columns, msgspec.structs.replace(column(change.field), required=False))
    return tuple(_deeper(c, path[1:], change) if c.name == path[0] else c for c in columns)


def _deeper(found: Column, path: tuple[str, ...], change: Change) -> Column:
    if not path:
        return _one(found, change)
    if found.item is not None and path[0] == "element":
        return msgspec.structs.replace(found, item=_deeper(found.item, path[1:], change))
    return msgspec.structs.replace(found, fields=_changed(found.fields, path, change))


def _one(found: Column, change: Change) -> Column:
    if change.action == "relax" or change.field is None:
        return msgspec.structs.replace(found, required=False)
    if change.action == "widen":
        wider = column(change.field)
        return msgspec.structs.replace(found, precision=wider.precision, scale=wider.scale)
    return msgspec.structs.replace(found, description=change.field.description)


def bare(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Columns by what a file knows of them: names and types."""
    return tuple(
        msgspec.structs.replace(
            c,
            required=False,
            description=None,
            item=bare((c.item,))[0] if c.item is not None else None,
            fields=bare(c.fields),
        )
        for c in columns
    )
