"""What a database source needs, and mistakes in the tables and queries that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dativo.config.connection_checks import check_connection
from dativo.config.job import Incremental, Source
from dativo.config.problems import Problems
from dativo.config.relations import DATABASES
from dativo.config.resolved import Relation, StreamConfig
from dativo.config.sides import Side
from dativo.config.sql_text import condition_mistake, query_mistake
from dativo.errors import Mark, Problem, listed


def check_database_source(
    source: Side[Source], streams: Sequence[StreamConfig], incremental: Incremental | None, problems: Problems
) -> None:
    """Notes what is missing in a database's connection and wrong in its relations; nothing for other sources."""
    if source.type not in DATABASES or source.connector is None:
        return
    check_connection(source, "source", problems)
    for stream in streams:
        problems.extend(_Stream(source, stream, incremental).mistakes())


class _Stream:
    """The relations of one stream."""

    def __init__(self, source: Side[Source], stream: StreamConfig, incremental: Incremental | None) -> None:
        self.source = source
        self.stream = stream
        self.incremental = incremental

    def mistakes(self) -> Iterator[Problem]:
        for relation in self.stream.relations:
            yield from self.names(relation)
            yield from self.sql(relation)
            yield from self.columns(relation)
        yield from self.twice()

    def cursor(self, relation: Relation) -> str | None:
        if self.incremental is None or relation.full:
            return None
        return relation.cursor_field or self.incremental.cursor_field

    def wrong(self, message: str, relation: Relation, name: str, hint: str) -> Problem:
        return Problem(message, self.mark(relation, name), f"{relation.field}.{name}", hint)

    def mark(self, relation: Relation, name: str) -> Mark:
        block, _, position = relation.field.removeprefix("source.").rstrip("]").partition("[")
        path = (block, int(position), name) if position else (block,)
        return self.source.node.mark_of(*path)

    def names(self, relation: Relation) -> Iterator[Problem]:
        if relation.table is None:
            return
        first, dot, _ = relation.table.partition(".")
        if not relation.table or (relation.schema is None and relation.table.startswith(".")):
            yield self.wrong("a table needs a name", relation, "name", "as `name: public.orders`")
        elif dot and relation.schema is not None and first.casefold() == relation.schema.casefold():
            yield self.wrong(
                f"the schema '{relation.schema}' is named twice, by `schema` and in the table's name",
                relation,
                "name",
                f"write `name: {relation.table.partition('.')[2]}` beside `schema`, or leave `schema` out",
            )
        if "\0" in relation.table or "\0" in (relation.schema or ""):
            yield self.wrong(
                "no table has a NUL in its name", relation, "name", "write the name as the database has it"
            )

    def sql(self, relation: Relation) -> Iterator[Problem]:
        if relation.sql is not None:
            mistake = query_mistake(self.source.type, relation.sql)
            if mistake:
                yield self.wrong(f"this is no query: {mistake}", relation, "sql", "write one SELECT, or WITH … SELECT")
        if relation.where is not None:
            mistake = condition_mistake(self.source.type, relation.where)
            if mistake:
                yield self.wrong(
                    f"this is no condition: {mistake}",
                    relation,
                    "where",
                    "as `where: status <> 'draft'`, or leave it out",
                )

    def columns(self, relation: Relation) -> Iterator[Problem]:
        chosen = relation.columns
        if chosen is None:
            return
        if not chosen:
            yield self.wrong("no columns are named", relation, "columns", "name them, or leave `columns` out for all")
            return
        doubled = sorted({c for c in chosen if chosen.count(c) > 1})
        if doubled:
            yield self.wrong(f"columns are named twice: {listed(doubled)}", relation, "columns", "name each once")
        have = {c.strip().casefold() for c in chosen}
        cursor = self.cursor(relation)
        fields = self.stream.asset.fields
        wanted: list[tuple[str, Callable[[], list[str]]]] = [
            ("the key", lambda: [f.source_name for f in fields if f.primary_key]),
            ("the cursor", lambda: [cursor] if cursor else []),
            ("what the contract requires", lambda: [f.source_name for f in fields if f.required and f.default is None]),
        ]
        told: set[str] = set()
        for what, names in wanted:
            missing = [n for n in names() if n.strip().casefold() not in have and n not in told]
            told.update(missing)
            if missing:
                yield self.wrong(
                    f"`columns` lacks {what}: {listed(missing)}",
                    relation,
                    "columns",
                    f"add it to the list, or leave `columns` out: then what asset {self.stream.asset.label} has is read",
                )

    def twice(self) -> Iterator[Problem]:
        """Relations that would load rows twice, or share a place in the state."""
        seen: dict[tuple[str, ...], Relation] = {}
        objects: dict[str, Relation] = {}
        for relation in self.stream.relations:
            same = (relation.schema or "", relation.table or "", relation.sql or "", relation.where or "")
            other = seen.setdefault(same, relation)
            if other is not relation:
                what = relation.table or relation.object
                yield self.wrong(
                    f"'{what}' is read twice; its other entry is {other.field}",
                    relation,
                    "name",
                    "leave one of them out",
                )
                continue
            other = objects.setdefault(relation.object, relation)
            if other is not relation and self.cursor(relation) is not None:
                yield self.wrong(
                    f"two entries have the object '{relation.object}', and would share their cursor; the other is "
                    f"{other.field}",
                    relation,
                    "object",
                    "give one of them an `object` of its own",
                )
