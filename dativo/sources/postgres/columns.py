"""The columns of relations and their types, as the catalogs have them."""

# Values are literals: see `names`.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dativo.sources.postgres.session import Session
from dativo.sources.postgres.types import PgType


@dataclass(slots=True, frozen=True)
class Column:
    """A column as the catalog has it. `collation` is SQL that compares text as the column does, or empty; `number` is
    never given to another column of the table."""

    name: str
    type: PgType
    not_null: bool = False
    collation: str = ""
    number: int = 0


def columns_of(session: Session, oids: Sequence[int], doing: str) -> dict[int, tuple[Column, ...]]:
    """The columns of relations that the user may read, by the relation's oid."""
    rows = session.query(
        "SELECT a.attrelid::int8, a.attname::text, a.atttypid::int8, a.atttypmod, a.attnotnull, "
        "CASE WHEN a.attcollation <> t.typcollation OR o.collname <> 'default' "
        "THEN quote_ident(s.nspname) || '.' || quote_ident(o.collname) ELSE '' END, a.attnum "
        "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation o ON o.oid = a.attcollation "
        "LEFT JOIN pg_namespace s ON s.oid = o.collnamespace "
        f"WHERE {among('a.attrelid', oids)} AND a.attnum > 0 AND NOT a.attisdropped "
        "AND has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY a.attrelid, a.attnum",
        doing,
    )
    known = types_of(session, {r[2] for r in rows}, doing)
    found: dict[int, list[Column]] = {oid: [] for oid in oids}
    for relation, name, oid, modifier, not_null, collation, number in rows:
        found[relation].append(Column(name, resolved(known, oid, modifier), not_null, collation or "", number))
    return {oid: tuple(columns) for oid, columns in found.items()}


def among(column: str, oids: Sequence[int]) -> str:
    """A condition that an oid is one of some; false of none."""
    return f"{column} = ANY ('{{{','.join(str(int(oid)) for oid in oids)}}}'::oid[])"


def types_of(session: Session, wanted: set[int], doing: str) -> dict[int, tuple[Any, ...]]:
    """The catalog's rows of types, of what domains and arrays are made of, too."""
    known: dict[int, tuple[Any, ...]] = {}
    while missing := wanted - known.keys():
        listing = ", ".join(str(int(oid)) for oid in sorted(missing))
        for row in session.query(
            "SELECT t.oid::int8, t.typname::text, n.nspname = 'pg_catalog', t.typtype::text, t.typcategory::text, "
            "t.typelem::int8, t.typbasetype::int8, t.typtypmod, format_type(t.oid, NULL) FROM pg_type t "
            f"JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN ({listing})",
            doing,
        ):
            known[row[0]] = row[1:]
            if row[3] == "d":
                wanted = wanted | {row[6]}
            elif row[4] == "A" and row[5]:
                wanted = wanted | {row[5]}
        if missing - known.keys():
            break
    return known


def resolved(known: dict[int, tuple[Any, ...]], oid: int, modifier: int) -> PgType:
    """A type by what is known of it and of what it is made of; a domain is the type that it stands for."""
    name, builtin, form, category, element, base, own_modifier, sql = known[oid]
    if form == "d":
        return resolved(known, base, own_modifier)
    if category == "A" and element in known:
        inner = resolved(known, element, modifier)
        return PgType(name, sql, "array", modifier, builtin, inner)
    forms = {"e": "enum", "c": "composite", "r": "range", "m": "range"}
    return PgType(name, sql, forms.get(form, "base"), modifier, builtin)  # type: ignore[arg-type]
