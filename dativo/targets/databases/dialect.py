"""What the targets need of a database: its types, its statements, and a session in which they run.

Names in SQL are quoted with double quotes in every dialect, values are bound: BOUND stands where one goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.contract.evolve import Change, StoredColumn
from dativo.errors import TargetError

if TYPE_CHECKING:
    import polars as pl

    from dativo.targets.databases.place import Place

# No name has this character: see `place`.
BOUND = "\x1a"


class Lost(TargetError):
    """The connection broke, and nobody knows whether the last statement was done."""


@dataclass(slots=True, frozen=True)
class Present:
    """A column as the database has it: `type` is the database's own text of it.

    `required` tells that a row must bring a value; `given` that the database fills it in itself.
    """

    name: str
    type: str
    nullable: bool
    given: bool = False
    comment: str | None = None

    @property
    def required(self) -> bool:
        return not self.nullable and not self.given


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[str], prefix: str = "") -> str:
    """Names in SQL, with commas between them."""
    return ", ".join(prefix + quoted(n) for n in names)


class Session(Protocol):
    """A connection, always in a transaction. What a database refuses is a TargetError; a broken connection is Lost."""

    @property
    def identity(self) -> str:
        """What `end` of another session needs to end this one."""
        ...

    def run(self, sql: str, *values: Any) -> int:
        """Runs a statement; the number of rows that it changed, where the database tells it."""
        ...

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        ...

    def batches(self, sql: str, size: int) -> Iterator[pl.DataFrame]:
        """The rows of a query in pieces of about `size` rows, as the dialect's `selected` names and types them."""
        ...

    def load(self, table: Place, fields: Sequence[Field], path: Path, *, temporary: bool = False) -> int:
        """Adds the rows of a Parquet file whose columns the dialect's `sent` made; how many there were."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...

    def end(self, identity: str) -> None:
        """Ends another session of the same user, if it is still there."""
        ...


class Dialect(Protocol):
    """A kind of database."""

    kind: str
    # Whether tables are made and changed in the transaction that loads them.
    transactional_ddl: bool

    def connect(self, connection: Connection) -> Session: ...

    def default_schema(self, connection: Connection, namespace: str) -> str:
        """Where tables of a stream's namespace go; TargetError where the connection does not tell."""
        ...

    def name_fault(self, name: str, *, column: bool) -> str | None:
        """Why the database cannot have something of this name, or None."""
        ...

    def same_name(self, name: str) -> str:
        """What two columns must not share."""
        ...

    def type_of(self, field: Field, *, key: bool = False) -> str:
        """The type of a column, as `Present.type` has it; TargetError where the database has none that is exact."""
        ...

    def stored(self, found: Present) -> StoredColumn:
        """A column in the contract's terms, told by its type alone."""
        ...

    def sent(self, field: Field) -> pl.Expr:
        """The values of a column as `load` takes them."""
        ...

    def selected(self, field: Field, found: Present) -> str:
        """A column in a SELECT, as `received` takes it."""
        ...

    def received(self, field: Field, found: Present) -> pl.Expr:
        """The values of a selected column with the contract's dtype."""
        ...

    def columns(self, session: Session, table: Place) -> tuple[Present, ...] | None:
        """The columns of a table, or None when there is none."""
        ...

    def try_rights(self, session: Session, table: Place) -> str:
        """What the user may do where a table is to be, in words; TargetError when it cannot be made. Nothing stays."""
        ...

    def size(self, session: Session, table: Place) -> int:
        """The bytes that a table takes."""
        ...

    def make_schema(self, session: Session, table: Place) -> None: ...

    def make_state(self, session: Session, table: Place) -> None:
        """Makes the table of states, where there is none."""
        ...

    def hold(self, session: Session, table: Place) -> None:
        """Waits until nobody else makes or changes this table, where a transaction alone does not see to it."""
        ...

    def make_row(self, session: Session, table: Place, job: str) -> None:
        """Makes an empty row of the table of states, where there is none."""
        ...

    def make_table(
        self, session: Session, table: Place, fields: Sequence[Field], key: Sequence[Field], comment: str | None
    ) -> None:
        """Makes a table; rows that have a `key` have one of their own."""
        ...

    def make_temporary(self, session: Session, table: Place, fields: Sequence[Field], key: Sequence[Field]) -> None:
        """Makes a table that only this session sees, and forgets with its end."""
        ...

    def loaded(self, session: Session, table: Place) -> None:
        """Tells the database's planner what is in a temporary table, where it does not find out itself."""
        ...

    def change(self, session: Session, table: Place, change: Change) -> None:
        """Adds, widens, describes a column, or lets it be null."""
        ...

    def index(self, session: Session, table: Place, key: Sequence[Field]) -> None:
        """Makes rows findable by their key, where they are not yet."""
        ...

    def delete(self, table: Place, keys: Place, key: Sequence[str], only: str | None) -> str:
        """The statement that takes the rows out whose key stands in another table."""
        ...

    def update(self, table: Place, keys: Place, key: Sequence[str], columns: Sequence[str], only: str | None) -> str:
        """The statement that gives rows the values that stand beside their key in another table."""
        ...

    def misfit(self, path: Path, fields: Sequence[Field]) -> TargetError | None:
        """Which values of a staged file the database cannot hold, where that can be told without it."""
        ...
