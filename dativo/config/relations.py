"""The tables, views and queries that a database source's job names, in one form."""

from __future__ import annotations

from dativo.config.job import Source
from dativo.config.job_source import Table
from dativo.config.resolved import Relation
from dativo.config.sides import Side

DATABASES = ("postgres", "mysql", "sqlite")


def relations(source: Side[Source]) -> tuple[Relation, ...]:
    """What a database source reads, in the order of the job; nothing for another source.

    A table's name is split at its first dot where no schema is given. Without tables and queries the objects are tables.
    """
    if source.type not in DATABASES:
        return ()
    spec = source.spec
    found = [_of_table(t, f"source.tables[{i}]") for i, t in enumerate(spec.tables or [])]
    if spec.table:
        found.append(_of_table(Table(name=spec.table), "source.table"))
    found += [
        Relation(object=q.name, sql=q.sql, cursor_field=q.cursor_field, field=f"source.queries[{i}]")
        for i, q in enumerate(spec.queries or [])
    ]
    if not found:
        found = [_of_table(Table(name=o), f"source.objects[{i}]") for i, o in enumerate(spec.objects or [])]
    return tuple(found)


def _of_table(entry: Table, field: str) -> Relation:
    schema, name = entry.schema, entry.name
    if schema is None and "." in name:
        schema, _, name = name.partition(".")
    return Relation(
        object=entry.object or name.rpartition(".")[2] or name,
        schema=schema or None,
        table=name,
        columns=tuple(entry.columns) if entry.columns is not None else None,
        where=entry.where,
        cursor_field=entry.cursor_field,
        field=field,
    )
