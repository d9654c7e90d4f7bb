"""What must change in a table before it can take a contract's columns, and what may not change.

| the contract has | strict | merge | relaxed |
|---|---|---|---|
| a new column | refused | added, may be null | added, may be null |
| a column the table requires, made optional or left out | refused | the table's column may be null from now on | the same |
| a wider type (more digits of a decimal) | refused | refused | widened |
| a narrower or another type | refused | refused | refused |

A column that the contract no longer has stays in the table and is null for new rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from dativo.config.asset import Field
from dativo.errors import SchemaChangeRefused

SchemaMode = Literal["strict", "merge", "relaxed"]
Action = Literal["add", "relax", "widen"]


class Change(msgspec.Struct, frozen=True):
    """One change of the table's schema; `path` leads to a column or to a field inside one."""

    action: Action
    path: tuple[str, ...]
    field: Field
    before: str = ""

    def __str__(self) -> str:
        name = ".".join(self.path)
        if self.action == "add":
            return f"add column {name} {self.field.type_text()}"
        if self.action == "widen":
            return f"widen {name} from {self.before} to {self.field.type_text()}"
        return f"let {name} be null"


def changes(table: Sequence[Field], wanted: Sequence[Field], mode: SchemaMode, name: str) -> tuple[Change, ...]:
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
    return tuple(found)


def _compare(
    table: Sequence[Field],
    wanted: Sequence[Field],
    path: tuple[str, ...],
    mode: SchemaMode,
    found: list[Change],
    refused: list[str],
) -> None:
    have = {f.name: f for f in table}
    folded = {f.name.casefold(): f.name for f in table}
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
    for name, before in have.items():
        if before.required and name not in {f.name for f in wanted}:
            found.append(Change("relax", (*path, name), before))


def _compare_one(
    before: Field, field: Field, here: tuple[str, ...], mode: SchemaMode, found: list[Change], refused: list[str]
) -> None:
    name = ".".join(here)
    if before.kind == "struct" and field.kind == "struct":
        _compare(before.fields, field.fields, here, mode, found, refused)
    elif before.kind == "list" and field.kind == "list" and before.item is not None and field.item is not None:
        _compare_one(before.item, field.item, (*here, "element"), mode, found, refused)
    elif before.kind == "decimal" and field.kind == "decimal":
        _compare_decimals(before, field, here, mode, found, refused)
    elif _stored(before) != _stored(field):
        refused.append(f"'{name}' is {before.type_text()} in the table and {field.type_text()} in the contract")
    if before.required and not field.required and not refused:
        found.append(Change("relax", here, field))


def _compare_decimals(
    before: Field, field: Field, here: tuple[str, ...], mode: SchemaMode, found: list[Change], refused: list[str]
) -> None:
    if (before.precision, before.scale) == (field.precision, field.scale):
        return
    name = ".".join(here)
    text = f"'{name}' is {before.type_text()} in the table and {field.type_text()} in the contract"
    if before.scale != field.scale or field.precision < before.precision:
        refused.append(text)
    elif mode == "merge":
        refused.append(f"{text}: wider, which needs target.mode: relaxed")
    else:
        found.append(Change("widen", here, field, before.type_text()))


def _stored(field: Field) -> str:
    """The kind as tables keep it: JSON is text there."""
    return "string" if field.kind == "json" else field.kind
