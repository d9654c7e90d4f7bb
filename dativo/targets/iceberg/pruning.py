"""Which data files can hold rows of some keys, told by their partitions and by the bounds that their manifests give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
from pyiceberg.schema import Schema

from dativo.config.asset import Field
from dativo.targets.iceberg.contents import LiveFile
from dativo.targets.iceberg.files import FileWriter
from dativo.targets.iceberg.partitions import partition_key, partition_record
from dativo.targets.iceberg.schema import stored

# Of more keys than this only the least and the greatest are looked at.
MANY = 4_000_000
_WHOLE = ("long", "date", "timestamp", "timestamptz")
_LAST = "\U0010ffff"

Possible = Callable[[LiveFile], bool]


def possible(
    files: Sequence[LiveFile], keys: pl.LazyFrame, count: int, key: Sequence[Field], writer: FileWriter
) -> list[LiveFile]:
    """The files that may hold a row of one of the keys, of which there are `count`.

    `keys` has the key's columns; `writer` knows the table's partitioning and columns.
    """
    tests = [_by_bounds(keys.select(f.name), count, f, writer.schema) for f in key if f.kind in (*_WHOLE, "string")]
    if count <= MANY:
        tests += _by_partition(keys, key, writer)
    return [file for file in files if all(test(file) for test in tests)]


def _by_bounds(keys: pl.LazyFrame, count: int, field: Field, schema: Schema) -> Possible:
    """Whether one of a key column's values lies between a file's bounds, both included."""
    number = schema.find_field(field.name).field_id
    value = pl.col(field.name) if field.kind == "string" else pl.col(field.name).to_physical()
    if count > MANY:
        values = pl.concat([keys.select(value.min()), keys.select(value.max())]).collect(engine="streaming").to_series()
    else:
        values = keys.select(value.unique()).collect(engine="streaming").to_series()
    nulls = values.null_count() > 0 or (count > MANY and keys.select(value.has_nulls()).collect().item())
    values = values.drop_nulls().sort()
    read = _text if field.kind == "string" else _number

    def test(live: LiveFile) -> bool:
        file = live.file
        low, high = (read((b or {}).get(number)) for b in (file.lower_bounds, file.upper_bounds))
        if nulls and (file.null_value_counts or {}).get(number) != 0:
            return True
        if low is None or high is None:
            return (file.null_value_counts or {}).get(number) != file.record_count
        if field.kind == "string":
            # A bound may be cut short: what begins with it is no greater.
            high += _LAST
        if count > MANY:
            return bool(len(values)) and values[0] <= high and values[-1] >= low
        return bool(values.search_sorted(low, "left") < values.search_sorted(high, "right"))

    return test


def _number(bound: bytes | None) -> Any:
    """A number of four or eight bytes: a column that was widened keeps the bounds of its old files."""
    return None if not bound else int.from_bytes(bound, "little", signed=True)


def _text(bound: bytes | None) -> Any:
    if bound is None:
        return None
    try:
        return bound.decode()
    except UnicodeDecodeError:
        return None


def _by_partition(keys: pl.LazyFrame, key: Sequence[Field], writer: FileWriter) -> list[Possible]:
    """Whether a file's partition is one that a key belongs to, for partitions that a key column decides."""
    by_name = {f.name: f for f in key}
    columns = {f.name: f for f in writer.columns}
    spec = writer.spec.spec_id
    tests: list[Possible] = []
    for position, part in enumerate(writer.parts):
        if part.column not in by_name or part.column not in columns:
            continue
        field = columns[part.column]
        laid = keys.select(stored(by_name[part.column], writer.schema.find_type(part.column)))
        found = laid.select(partition_key(part, field).alias("value")).unique().collect(engine="streaming")
        values = {partition_record((part,), (field,), {part.name: v})[0] for v in found["value"].to_list()}

        def test(live: LiveFile, position: int = position, values: set[Any] = values) -> bool:
            return live.file.spec_id != spec or live.file.partition[position] in values

        tests.append(test)
    return tests
