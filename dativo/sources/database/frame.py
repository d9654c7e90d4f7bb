"""Batches of rows that a database gives, as one lazy frame that says where each row came from."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import polars as pl
from polars.io.plugins import register_io_source

from dativo.config.resolved import StreamConfig
from dativo.errors import Interrupted, SourceError
from dativo.sources.parquet_schema import converted, united
from dativo.sources.protocol import FAULT, FILE, PROVENANCE, ROW, TEXT, Meter, Piece, Staged

WHERE_FROM = dict(zip(PROVENANCE, (pl.UInt32(), pl.Int64(), pl.String(), pl.String()), strict=True))

# Batches of the columns asked for, FAULT and TEXT among them, and of no more rows than the limit asks for where there is
# one. Columns of `Part.dtypes` have their dtypes; FAULT and TEXT may be left out by a part that never has a fault. A
# generator that is closed early ends its query.
Batches = Callable[[Sequence[str], int | None], Generator[pl.DataFrame, None, None]]


@dataclass(slots=True, frozen=True)
class Part:
    """A relation, or a piece of one, as it is read: its position among the files of the extract, the dtypes of its columns,
    its rows, and what is told when it was read to its end (the number of rows)."""

    file: int
    dtypes: dict[str, pl.DataType]
    batches: Batches
    ended: Callable[[int], None] = lambda _: None


def shared_schema(
    stream: StreamConfig, names: Sequence[str], dtypes: Sequence[dict[str, pl.DataType]]
) -> dict[str, pl.DataType]:
    """The columns of several relations and a dtype for each that holds the values of all; then PROVENANCE.

    `names` are those of the relations. Raises SourceError where no dtype does.
    """
    wanted = {f.source_name.strip(): f for f in stream.asset.fields}
    schema: dict[str, pl.DataType] = {}
    for name in dict.fromkeys(n for one in dtypes for n in one):
        found = [one[name] for one in dtypes if name in one]
        shared = found[0] if len(found) == 1 else united(found, wanted.get(name.strip()))
        if shared is None:
            places = [n for n, one in zip(names, dtypes, strict=True) if name in one]
            raise SourceError(
                f"the column '{name}' is {found[0]} in {places[0]} and of another type in {', '.join(places[1:])}, and no "
                "type holds all",
                hint="load them by two jobs, or cast the column in a query",
            )
        schema[name] = shared
    return {**schema, **WHERE_FROM}


def lazy(parts: Sequence[Part], schema: dict[str, pl.DataType], meter: Meter, limit: int | None) -> pl.LazyFrame:
    """The parts' rows one after the other; each time the frame is read the database is asked again."""

    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = min((n for n in (n_rows, limit) if n is not None), default=None)
        wanted = {n: schema[n] for n in (schema if with_columns is None else with_columns)}
        with closing(frames(parts, wanted, meter, left)) as rows:
            for frame in rows:
                yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(generate, schema=schema, is_pure=True)


def frames(
    parts: Sequence[Part], wanted: dict[str, pl.DataType], meter: Meter, limit: int | None = None
) -> Generator[pl.DataFrame, None, None]:
    """The parts' rows one after the other, in frames of the wanted columns."""
    left = limit
    for part in parts:
        if left is not None and left <= 0:
            return
        with closing(_rows(part, wanted, left, meter)) as rows:
            for frame in rows:
                if left is not None:
                    left -= frame.height
                yield frame


def whole(
    parts: Sequence[Part], schema: dict[str, pl.DataType], meter: Meter, limit: int | None, staged: Sequence[Staged]
) -> Iterator[Piece]:
    """The parts as one piece each, together of no more rows than the limit; nothing of another reading is of use."""
    left = limit

    def counted(part: Part) -> Generator[pl.DataFrame, None, None]:
        nonlocal left
        for frame in frames([part], schema, meter, left):
            if left is not None:
                left -= frame.height
            yield frame

    for part in parts:
        yield Piece(f"part {part.file + 1}", partial(counted, part), dict)


def _rows(
    part: Part, wanted: dict[str, pl.DataType], left: int | None, meter: Meter
) -> Generator[pl.DataFrame, None, None]:
    # One column at least: a batch's height is its own.
    asked = [n for n in wanted if n in part.dtypes] or list(part.dtypes)[:1]
    asked += [n for n in wanted if n in (FAULT, TEXT)]
    count = 0
    with closing(part.batches(asked, left)) as batches:
        for data in batches:
            if meter.stop.is_set():
                raise Interrupted("stopped while reading; nothing was committed")
            if left is not None and data.height > left - count:
                data = data.head(left - count)
            frame = _completed(data, part, wanted, 1 + count)
            count += data.height
            meter.rows += data.height
            meter.bytes += int(data.estimated_size())
            yield frame
            if left is not None and count >= left:
                return
    part.ended(count)


def _completed(data: pl.DataFrame, part: Part, wanted: dict[str, pl.DataType], start: int) -> pl.DataFrame:
    """A batch with all wanted columns, each of its dtype; null where the relation has no such column."""
    columns: list[pl.Expr] = []
    for name, dtype in wanted.items():
        if name == ROW:
            value = pl.int_range(start, start + data.height, dtype=pl.Int64)
        elif name == FILE:
            value = pl.lit(part.file, dtype=pl.UInt32)
        elif name not in data.columns:
            value = pl.lit(None, dtype=dtype)
        elif data.schema[name] == dtype:
            continue
        else:
            value = converted(pl.col(name), data.schema[name], dtype)
        columns.append(value.alias(name))
    return data.with_columns(columns).select(list(wanted)) if wanted else _height(data.height)


def _height(rows: int) -> pl.DataFrame:
    """A frame of so many rows and no columns."""
    return pl.DataFrame({"": [None]}).clear(rows).drop("")
