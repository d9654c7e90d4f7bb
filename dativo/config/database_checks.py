"""What a database source needs, and mistakes in the tables and queries that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dativo.config.job import Incremental, Source
from dativo.config.problems import Problems
from dativo.config.relations import DATABASES
from dativo.config.resolved import Relation, StreamConfig
from dativo.config.sides import Side
from dativo.config.sql_text import condition_mistake, query_mistake
from dativo.errors import Mark, Problem, listed, nearest

SSL_MODES = {
    "postgres": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "mysql": ("disabled", "preferred", "required", "verify_ca", "verify_identity"),
}


def check_database_source(
    source: Side[Source], streams: Sequence[StreamConfig], incremental: Incremental | None, problems: Problems
) -> None:
    """Notes what is missing in a database's connection and wrong in its relations; nothing for other sources."""
    if source.type not in DATABASES or source.connector is None:
        return
    check_connection(source, problems)
    for stream in streams:
        problems.extend(_Stream(source, stream, incremental).mistakes())


def check_connection(source: Side[Source], problems: Problems) -> None:
    """Notes what is missing in a database's connection; nothing for other sources."""
    if source.type in DATABASES and source.connector is not None:
        problems.extend(_connection(source))


def _connection(source: Side[Source]) -> Iterator[Problem]:
    connection = source.connections["source"]

    def wrong(message: str, name: str, hint: str) -> Problem:
        return Problem(message, source.node.mark_of("connection", name), f"source.connection.{name}", hint)

    if source.type == "sqlite":
        unset = any(path.endswith((".database_path", ".dsn")) for path, _ in source.unset)
        told = source.spec.dsn is not None  # a URL that cannot be read is told by itself
        if not connection.has("database_path") and not unset and not told:
            where = connection.origin("database_path")
            yield wrong(
                f"a sqlite source needs a database_path: {where}",
                "database_path",
                "add `database_path: data/shop.db` to source.connection",
            )
        return
    port = connection.get("port") or ""
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        yield wrong(f"'{port}' is no port", "port", f"a number from 1 to 65535; it is {connection.origin('port')}")
    name = "sslmode" if source.type == "postgres" else "ssl_mode"
    mode, known = connection.get(name), SSL_MODES[source.type]
    if mode is not None and _folded(mode) not in map(_folded, known):
        guess = nearest(_folded(mode), known)
        hint = f"did you mean '{guess}'?" if guess else f"one of {', '.join(known)}"
        yield wrong(f"unknown {name} '{mode}'", name, f"{hint}\nit is {connection.origin(name)}")


def _folded(mode: str) -> str:
    return mode.lower().replace("_", "-")


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
