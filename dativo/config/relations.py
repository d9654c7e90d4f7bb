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
    found = [
        _of_table(t, f"source.tables[{i}]", full=_loads_fully(source, "tables", i))
        for i, t in enumerate(spec.tables or [])
    ]
    if spec.table:
        found.append(_of_table(Table(name=spec.table), "source.table"))
    found += [
        Relation(
            object=q.name,
            sql=q.sql.strip().rstrip(";").rstrip(),
            cursor_field=q.cursor_field,
            full=_loads_fully(source, "queries", i),
            field=f"source.queries[{i}]",
        )
        for i, q in enumerate(spec.queries or [])
    ]
    if not found:
        found = [_of_table(Table(name=o), f"source.objects[{i}]") for i, o in enumerate(spec.objects or [])]
    return tuple(found)


def _loads_fully(source: Side[Source], block: str, position: int) -> bool:
    """Whether an entry says `cursor_field: null`: it has none, whatever the job's is."""
    own = source.node.at(block, position, "cursor_field")
    return own is not None and own.is_null()


def _of_table(entry: Table, field: str, *, full: bool = False) -> Relation:
    schema, name = entry.schema, entry.name
    if schema is None and "." in name:
        schema, _, name = name.partition(".")
    return Relation(
        object=entry.object or name.rpartition(".")[2] or name,
        schema=schema or None,
        table=name,
        columns=tuple(entry.columns) if entry.columns is not None else None,
        where=entry.where.strip() if entry.where is not None else None,
        cursor_field=entry.cursor_field,
        full=full,
        field=field,
    )
