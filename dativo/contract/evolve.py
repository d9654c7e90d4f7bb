"""What must change in a table before it can take a contract's columns, and what may not change.

| the contract has | strict | merge | relaxed |
|---|---|---|---|
| a new column | refused | added, may be null | added, may be null |
| a column the table requires, made optional or left out | refused | the table's column may be null from now on | the same |
| a wider type (more digits of a decimal, long for int, double for float) | refused | refused | widened |
| a narrower or another type | refused | refused | refused |
| another description | taken over | taken over | taken over |

A column that the contract no longer has stays in the table and is null for new rows. A column that the contract calls by
another name is a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from dativo.config.asset import Field
from dativo.config.types import Kind
from dativo.errors import SchemaChangeRefused

SchemaMode = Literal["strict", "merge", "relaxed"]
Action = Literal["add", "relax", "widen", "describe"]


class StoredColumn(msgspec.Struct, frozen=True):
    """A table's column, or a field or entry inside one, in the contract's terms.

    `kind` is None for types that no contract has, `text` is the table's own name of the type, `narrow` marks 32-bit
    numbers, which no contract has either but which can be widened.
    """

    name: str
    kind: Kind | None
    text: str
    required: bool = False
    description: str | None = None
    precision: int = 0
    scale: int = 0
    narrow: bool = False
    item: StoredColumn | None = None
    fields: tuple[StoredColumn, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """One change of the table's schema; `path` leads to a column or to a field inside one.

    `field` is what the contract wants there, None where the contract has nothing.
    """

    action: Action
    path: tuple[str, ...]
    field: Field | None = None
    before: str = ""

    def __str__(self) -> str:
        name = ".".join(self.path)
        wanted = self.field.type_text() if self.field is not None else ""
        if self.action == "add":
            return f"add column {name} {wanted}"
        if self.action == "widen":
            return f"widen {name} from {self.before} to {wanted}"
        if self.action == "describe":
            return f"describe {name}"
        return f"let {name} be null"


def changes(table: Sequence[StoredColumn], wanted: Sequence[Field], mode: SchemaMode, name: str) -> tuple[Change, ...]:
    """The changes that let the table take the wanted columns, in order.

    Raises SchemaChangeRefused naming both types where a column cannot be taken, and for any change in strict mode.
    """
    found: list[Change] = []
    refused: list[str] = []
    _compare(table, wanted, (), mode, found, refused)
    if refused:
        raise SchemaChangeRefused(
            f"the table {name} cannot take the contract: " + "; ".join(refused),
            hint="give the column a new name in the contract, load into another table, or change the type back",
        )
    if found and mode == "strict":
        raise SchemaChangeRefused(
            f"the table {name} would have to change: " + "; ".join(map(str, found)),
            hint="target.mode is strict: set it to merge (add columns) or relaxed (widen types too)",
        )
    return (*found, *_descriptions(table, wanted, ()))


def _descriptions(table: Sequence[StoredColumn], wanted: Sequence[Field], path: tuple[str, ...]) -> Iterator[Change]:
    """Columns that are there and whose description is another one now."""
    have = {c.name: c for c in table}
    for field in wanted:
        before = have.get(field.name)
        if before is None:
            continue
        here = (*path, field.name)
        if field.description is not None and field.description != before.description:
            yield Change("describe", here, field)
        if field.kind == "struct":
            yield from _descriptions(before.fields, field.fields, here)
        elif field.item is not None and before.item is not None and field.item.kind == "struct":
            yield from _descriptions(before.item.fields, field.item.fields, (*here, "element"))


def _compare(
    table: Sequence[StoredColumn],
    wanted: Sequence[Field],
    path: tuple[str, ...],
    mode: SchemaMode,
    found: list[Change],
    refused: list[str],
) -> None:
    have = {c.name: c for c in table}
    folded = {c.name.casefold(): c.name for c in table}
    for field in wanted:
        here = (*path, field.name)
        before = have.get(field.name)
        if before is None:
            other = folded.get(field.name.casefold())
            if other is not None:
                refused.append(f"'{'.'.join(here)}' differs from the table's '{other}' in letter case only")
            else:
                found.append(Change("add", here, field))
            continue
        _compare_one(before, field, here, mode, found, refused)
    names = {f.name for f in wanted}
    found += [Change("relax", (*path, name)) for name, c in have.items() if c.required and name not in names]


def _compare_one(
    before: StoredColumn,
    field: Field,
    here: tuple[str, ...],
    mode: SchemaMode,
    found: list[Change],
    refused: list[str],
) -> None:
    if before.kind == "struct" and field.kind == "struct":
        _compare(before.fields, field.fields, here, mode, found, refused)
    elif before.kind == "list" and field.kind == "list" and before.item is not None and field.item is not None:
        _compare_one(before.item, field.item, (*here, "element"), mode, found, refused)
    elif not _same(before, field, nested=len(here) > 1):
        text = f"'{'.'.join(here)}' is {before.text} in the table and {field.type_text()} in the contract"
        if not _wider(before, field):
            refused.append(text)
        elif mode == "merge":
            refused.append(f"{text}: wider, which needs target.mode: relaxed")
        else:
            found.append(Change("widen", here, field, before.text))
    if before.required and not field.required:
        found.append(Change("relax", here, field))


def _same(before: StoredColumn, field: Field, *, nested: bool) -> bool:
    """Whether a column is there as the field is kept: JSON is text in tables, and so is a uuid inside a column."""
    kind = "string" if field.kind == "json" or (nested and field.kind == "uuid") else field.kind
    if kind == "decimal" and before.kind == "decimal":
        return (before.precision, before.scale) == (field.precision, field.scale)
    return before.kind == kind and not before.narrow


def _wider(before: StoredColumn, field: Field) -> bool:
    """Whether every value of the table's type is one of the field's too, and Iceberg lets a column grow so."""
    if before.kind != field.kind:
        return False
    return before.narrow or (
        before.kind == "decimal" and before.scale == field.scale and before.precision < field.precision
    )
