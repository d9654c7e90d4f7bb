"""What a commit is to do, as the run knows it before it looks at the table, and the names of what it leaves there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from dativo.contract.evolve import Change
from dativo.targets.iceberg.contents import Contents
from dativo.targets.iceberg.overwrite import Edit


class Merging(Protocol):
    """Works out what becomes of single rows of a table."""

    def edit(self, table: Table, found: Contents) -> Edit:
        """What leaves and what comes in besides the run's new rows, for the table's current snapshot."""
        ...


@dataclass(slots=True)
class Plan:
    """What a commit is to do.

    `token` stands in the table once it is done, under the property `token_key`, which holds the newest tokens first.
    `expected` is the token that stood there when the run began (None: none); another one means that another run of the
    job was faster. `schema` and `spec` are those of a new table; `ids` and `written_spec` are the field ids and the
    partitioning that the data files were written with. `fills` tells that the table must have no rows yet. `replace` tells
    the data files that leave; `merge` works out what becomes of single rows. `rewrites` are files whose rows `files` hold
    anew, no row changed: each path with those of the delete files that were applied, which must still be in the table and
    be all of them. `location` is where a new table's files were written, with `io`.
    """

    identifier: tuple[str, str]
    token: str
    token_key: str
    expected: str | None
    check_expected: bool
    properties: dict[str, str]
    files: list[DataFile]
    schema: Schema
    spec: PartitionSpec
    ids: dict[str, int] = field(default_factory=dict)
    written_spec: PartitionSpec | None = None
    changes: tuple[Change, ...] = ()
    replace: Callable[[DataFile], bool] | None = None
    fills: bool = False
    merge: Merging | None = None
    rewrites: Mapping[str, frozenset[str]] = field(default_factory=dict)
    location: str | None = None
    io: FileIO | None = None
    summary: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ".".join(self.identifier)


def tokens(properties: dict[str, str], key: str) -> list[str]:
    """The run tokens in a table's properties, newest first."""
    return [t for t in properties.get(key, "").split(",") if t]


def newest_token(properties: dict[str, str], key: str) -> str | None:
    return next(iter(tokens(properties, key)), None)


def field_ids(schema: Schema) -> dict[str, int]:
    """Every field's id by its dotted name."""
    return {name: schema.find_field(name).field_id for name in schema.column_names}
