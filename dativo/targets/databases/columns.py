"""A table's columns as dativo remembers them and as the database has them, held against what a job wants."""

from __future__ import annotations

from collections.abc import Sequence

from dativo.config.field import Field
from dativo.contract.evolve import Change, SchemaMode, StoredColumn, changes
from dativo.targets.databases.dialect import Dialect, Present, Session, quoted
from dativo.targets.databases.place import Place
from dativo.targets.objects.columns import Column, changed, column, contract_field, stored_column


def stored_columns(
    dialect: Dialect, present: Sequence[Present], remembered: Sequence[Column]
) -> tuple[StoredColumn, ...]:
    """The columns in the contract's terms: as dativo remembers them where their types are still the ones it made."""
    known = {c.name: c for c in remembered}
    return tuple(
        stored_column(_with_nulls(known[p.name], p)) if _is(dialect, p, known.get(p.name)) else dialect.stored(p)
        for p in present
    )


def adopted(
    session: Session,
    dialect: Dialect,
    table: Place,
    present: Sequence[Present] | None,
    remembered: Sequence[Column],
    wanted: Sequence[Field],
) -> tuple[Column, ...]:
    """What is remembered, and the wanted columns that are there of the type that dativo makes, without any value.

    Where tables are not made in the transaction that loads them, a run that failed leaves such columns; the database's
    type alone does not tell a list from a text, or a timestamptz from a timestamp.
    """
    known = {c.name for c in remembered}
    here = {p.name: p for p in present or () if p.name not in known}
    found = [
        column(f)
        for f in wanted
        if f.name in here
        and _is(dialect, here[f.name], column(f))
        and dialect.stored(here[f.name]).kind != f.kind
        and not session.rows(f"SELECT 1 FROM {table.sql} WHERE {quoted(f.name)} IS NOT NULL LIMIT 1")  # noqa: S608 - quoted
    ]
    return (*remembered, *found)


def fields_of(dialect: Dialect, present: Sequence[Present], remembered: Sequence[Column]) -> tuple[Field, ...]:
    """The columns as a contract would have them; those whose type no contract has are text."""
    known = {c.name: c for c in remembered}
    found = []
    for here in present:
        if _is(dialect, here, known.get(here.name)):
            found.append(contract_field(_with_nulls(known[here.name], here)))
            continue
        kept = dialect.stored(here)
        found.append(_field(kept) if kept.kind else Field(name=here.name, kind="string", required=not here.nullable))
    return tuple(found)


def wanted_changes(
    dialect: Dialect,
    present: Sequence[Present],
    remembered: Sequence[Column],
    wanted: Sequence[Field],
    mode: SchemaMode,
    table: Place,
) -> tuple[Change, ...]:
    """What must change before the table takes the wanted columns; SchemaChangeRefused where it cannot.

    The comments of a table that dativo did not make are its owner's.
    """
    found = changes(stored_columns(dialect, present, remembered), wanted, mode, table.name)
    return found if remembered else tuple(c for c in found if c.action != "describe")


def after(
    present: Sequence[Present] | None, remembered: Sequence[Column], wanted: Sequence[Field], made: Sequence[Change]
) -> tuple[Column, ...]:
    """What is to be remembered after the changes; a table that dativo did not make is known by its own types alone."""
    if present is None:
        return tuple(column(f) for f in wanted)
    return changed(remembered, made) if remembered else ()


def _is(dialect: Dialect, found: Present, remembered: Column | None) -> bool:
    if remembered is None:
        return False
    field = contract_field(remembered)
    in_key = field.kind in ("string", "binary") and found.type == dialect.type_of(field, key=True)
    return in_key or found.type == dialect.type_of(field)


def _with_nulls(remembered: Column, found: Present) -> Column:
    import msgspec

    return msgspec.structs.replace(remembered, required=found.required, description=found.comment)


def _field(found: StoredColumn) -> Field:
    assert found.kind is not None
    return Field(
        name=found.name,
        kind=found.kind,
        precision=found.precision,
        scale=found.scale,
        item=_field(found.item) if found.item is not None else None,
        required=found.required,
        description=found.description,
    )
