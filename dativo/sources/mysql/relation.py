"""A relation as the server has it when a reading begins: its columns, key, and the statements that read it."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from dativo.config.resolved import Relation, ResolvedJob, StreamConfig
from dativo.contract.columns import match_columns
from dativo.errors import SourceError
from dativo.mysql.decode import decoded
from dativo.mysql.types import Column, column_of
from dativo.mysql.wire import Block, WireColumn
from dativo.sources.database.ahead import ahead
from dativo.sources.database.columns import as_text, check_cursor, chosen
from dativo.sources.database.faults import absent, marked
from dativo.sources.database.names import shown
from dativo.sources.database.window import Bounds
from dativo.sources.mysql.session import Session
from dativo.sources.mysql.sql import Condition, Select, names, quoted, relation_source
from dativo.sources.mysql.values import Order, bad_value, lower_bound, order_of, parameter, upper_bound
from dativo.sources.protocol import FAULT, Meter

_TRANSACTIONAL = ("InnoDB", "ndbcluster", "ROCKSDB", "TokuDB")
# Blocks that are fetched before they are asked for.
_AHEAD = 2
# Seconds in which a statement that nobody waits for is ended without its connection.
_PATIENCE = 10.0


@dataclass(slots=True, frozen=True)
class Index:
    """A unique index over whole columns; `primary` tells whether rows lie in its order."""

    columns: tuple[str, ...]
    primary: bool
    nullable: bool


@dataclass(slots=True, frozen=True)
class Described:
    """What is read of a relation: `wire` has all of its columns, `columns` those that are read, `select` the rows.

    `ordered` tells whether the contract's column orders rows as the cursor does.
    """

    relation: Relation
    wire: dict[str, WireColumn]
    columns: tuple[Column, ...]
    select: Select
    bounds: Bounds | None
    indexes: tuple[Index, ...] = ()
    engine: str | None = None
    ordered: bool = True
    row_bytes: int | None = field(default=None, compare=False)
    """The size of a row on the average, as the server's statistics have it; they change while others write."""

    @property
    def name(self) -> str:
        return shown(self.relation)

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        return {c.name: c.dtype for c in self.columns}

    @property
    def key(self) -> tuple[str, ...]:
        """The columns in whose order the rows lie, where the relation is a table that has them."""
        return next((i.columns for i in self.indexes if i.primary), ())

    @property
    def has_snapshots(self) -> bool:
        return self.engine is None or self.engine in _TRANSACTIONAL

    def cursor_order(self) -> Order | None:
        return order_of(self.wire[self.bounds.column]) if self.bounds is not None else None


def describe(
    job: ResolvedJob, stream: StreamConfig, relation: Relation, session: Session, bounds: Bounds | None
) -> Described:
    """Asks the server for a relation. Raises SourceError for what it does not have, and for a cursor that is none."""
    source = relation_source(job, relation, None)
    if relation.sql is None and not relation.schema and not session.connection.get("database"):
        where = session.connection.origin("database")
        hint = f"write `database.table`, or set source.connection.database: {where}"
        raise SourceError(
            f"in which database is the table '{relation.table}'?", hint=hint, mark=job.mark(relation.field)
        )
    with marked(job, relation.field):
        found = _columns(job, relation, source, session)
    wire = {c.name: c for c in found}
    check_cursor(job, relation, list(wire))
    matched = match_columns(stream.asset, list(wire))
    wanted = {matched[f.name]: f.kind for f in stream.asset.fields}
    columns = tuple(column_of(wire[n], wanted.get(n)) for n in chosen(job, stream, relation, list(wire)))
    conditions = [Condition(f"{relation.where}\n")] if relation.where else []
    if conditions:
        with marked(job, f"{relation.field}.where"):
            session.columns(
                Select(source, tuple(conditions)).sql("1")[0], f"looking at the filter of {shown(relation)}"
            )
    if bounds is not None:
        conditions += _window(job, relation, bounds, wire[bounds.column])
    indexes, engine, row_bytes = _catalog(session, relation) if relation.table is not None else ((), None, None)
    ordered = (
        bounds is None or not as_text(stream, bounds.column, list(wire)) or _by_bytes(session, source, bounds.column)
    )
    select = Select(source, tuple(conditions))
    return Described(relation, wire, columns, select, bounds, indexes, engine, ordered, row_bytes)


def _by_bytes(session: Session, source: str, column: str) -> bool:
    """Whether the server orders a column's values as their texts are ordered by their bytes; numbers and times are not."""
    of = f"SELECT COLLATION(MAX({quoted(column)})) FROM {source} WHERE false"  # noqa: S608 - names are quoted
    found = session.asked(of, (), f"asking how '{column}' is ordered")
    return str(found[0][0]).endswith("_bin")


def _columns(job: ResolvedJob, relation: Relation, source: str, session: Session) -> list[WireColumn]:
    try:
        return session.columns(Select(source).sql("*")[0], f"looking at {shown(relation)}")
    except SourceError:
        database = relation.schema or session.connection.get("database")
        if relation.table is None:
            raise
        rows = session.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (database,))
        known = [str(name) for (name,) in rows]
        if relation.table in known:
            raise
        names = [f"{relation.schema}.{name}" if relation.schema else name for name in known]
        raise absent(job, relation, f"the database '{database}'", names) from None


def _window(job: ResolvedJob, relation: Relation, bounds: Bounds, wire: WireColumn) -> Iterator[Condition]:
    column, place, order = quoted(bounds.column), parameter(wire), order_of(wire)
    if order is None:
        own = f"{relation.field}.cursor_field"
        field = own if own in job.marks else "source.incremental.cursor_field"
        raise SourceError(
            f"{shown(relation)} cannot be loaded by '{bounds.column}': its values cannot be told apart exactly by text",
            hint="choose an integer, decimal, date, time or text column, or leave `incremental` out",
            mark=job.mark(field),
            field=field,
        )
    if bounds.lower is not None:
        what = "--since" if bounds.since else "the saved cursor"
        try:
            least = lower_bound(order, bounds.lower, bounds.lookback_days)
        except ValueError:
            raise bad_value(what, bounds.lower, wire) from None
        nulls = f" OR {column} IS NULL" if bounds.nulls else ""
        yield Condition(f"{column} >= {place}{nulls}", (least,))
    if bounds.upper is not None:
        try:
            most = upper_bound(order, bounds.upper)
        except ValueError:
            raise bad_value("--until", bounds.upper, wire) from None
        yield Condition(f"{column} < {place}", (most,))


def _catalog(session: Session, relation: Relation) -> tuple[tuple[Index, ...], str | None, int | None]:
    """The unique indexes of a table, that of its primary key first, its engine, and the size of a row; none of a view."""
    place = (relation.schema or session.connection.get("database"), relation.table)
    rows = session.rows(
        "SELECT index_name, column_name, nullable, sub_part FROM information_schema.statistics "
        "WHERE table_schema = %s AND table_name = %s AND non_unique = 0 ORDER BY index_name = 'PRIMARY' DESC, index_name, "
        "seq_in_index",
        place,
    )
    found: dict[str, list[tuple[str | None, bool, bool]]] = {}
    for index, column, nullable, part in rows:
        found.setdefault(index, []).append((column, nullable == "YES", part is not None))
    whole = {n: parts for n, parts in found.items() if not any(column is None or part for column, _, part in parts)}
    indexes = tuple(
        Index(tuple(str(c) for c, _, _ in parts), name == "PRIMARY", any(null for _, null, _ in parts))
        for name, parts in whole.items()
    )
    sql = "SELECT engine, avg_row_length FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    [[engine, row_bytes]] = session.rows(sql, place) or [(None, None)]
    return indexes, engine, int(row_bytes) if row_bytes else None


def read_rows(
    session: Session,
    described: Described,
    asked: Sequence[str],
    limit: int | None,
    meter: Meter,
    *,
    more: Sequence[Condition] = (),
    batch_size: int | None = None,
    last_key: list[str] | None = None,
) -> Generator[pl.DataFrame, None, None]:
    """The rows in batches: columns asked for, and FAULT. In the order of the key where there is one.

    Without a key the statement is the same whatever is asked for, so that the server gives the rows in the same order.
    `last_key` gets the key of the last row of each batch.
    """
    key = described.key
    columns = [c for c in described.columns if c.name in asked] if key else list(described.columns)
    taken = [*columns, *(column_of(described.wire[k], "string") for k in (key if last_key is not None else ()))]
    tail = f"ORDER BY {names(key)}" if key else ""
    if limit is not None:
        tail += f" LIMIT {limit}"
    sql, values = described.select.where(*more).sql(names([c.name for c in taken]), tail.strip())

    def check(found: Sequence[WireColumn]) -> None:
        for column, now in zip(taken, found, strict=True):
            if not _alike(now, described.wire[column.name]):
                raise SourceError(
                    f"the column '{column.name}' of {described.name} is not what it was when the reading began",
                    hint="run again: the table was altered",
                )

    blocks: Generator[Block, None, None] = session.stream(sql, values, f"reading {described.name}", check)
    with closing(ahead(blocks, meter.stop, partial(_end, session, meter.stop), _AHEAD)) as fetched:
        for block in fetched:
            if last_key is not None:
                last_key[:] = _last_key(block, taken, len(key))
            frame = _frame(block, columns, asked, len(taken))
            yield from frame.iter_slices(batch_size) if batch_size is not None else (frame,)


def _end(session: Session, stop: threading.Event, fetching: threading.Thread) -> None:
    """Waits for a thread that fetches rows to end its statement; the session goes where it does not get there."""
    if stop.is_set():
        session.close()
    fetching.join(_PATIENCE)
    if fetching.is_alive():
        session.close()
        fetching.join()


def border(session: Session, described: Described, more: Sequence[Condition], rows: int) -> list[str] | None:
    """The key of the row that is the last of so many in the order of the primary key; None where there are fewer.

    Of all the table's rows: the index alone tells it, while the relation's own conditions may be slow.
    """
    key = described.key
    columns = [column_of(described.wire[k], "string") for k in key]
    select = Select(f"{described.select.source} FORCE INDEX (PRIMARY)", tuple(more))
    sql, values = select.sql(names(key), f"ORDER BY {names(key)} LIMIT 1 OFFSET {rows - 1}")
    found = None
    for block in session.stream(sql, values, f"dividing {described.name}", lambda _: None):
        found = _last_key(block, columns, len(key))
    return found


def _last_key(block: Block, taken: Sequence[Column], size: int) -> list[str]:
    # Columns of the key may be among the others, too, and a name is decoded once.
    renamed = [replace(c, name=str(i)) for i, c in enumerate(taken)]
    found = decoded(Block(block.data, block.rows[-1:]), renamed).columns
    values = [found[str(i)][0] for i in range(len(taken) - size, len(taken))]
    return [v.hex() if isinstance(v, bytes) else str(v) for v in values]


def _alike(a: WireColumn, b: WireColumn) -> bool:
    """Whether two columns are read in the same way; lengths differ with what a server tells before and after it runs."""
    return (a.type, a.flags & 32, a.charset, a.decimals) == (b.type, b.flags & 32, b.charset, b.decimals)


def _frame(block: Block, columns: Sequence[Column], asked: Sequence[str], width: int) -> pl.DataFrame:
    found = decoded(block, columns, width)
    data = [found.columns[n] for n in asked if n in found.columns]
    if not found.faults:
        none = pl.Series(FAULT, [None], dtype=pl.String).new_from_index(0, len(block.rows))
        return pl.DataFrame([*data, none])
    faults: list[str | None] = [None] * len(block.rows)
    for row, fault in found.faults.items():
        faults[row] = fault
    return pl.DataFrame([*data, pl.Series(FAULT, faults, dtype=pl.String)])


def greatest(session: Session, described: Described) -> str | None:
    """The greatest value of the cursor among the rows that are read, as the server writes it; None without one."""
    assert described.bounds is not None
    column = quoted(described.bounds.column)
    sql, values = described.select.sql(f"CAST(MAX({column}) AS CHAR)")
    [[found]] = session.asked(sql, values, f"asking for the greatest {described.bounds.column}")
    return found
