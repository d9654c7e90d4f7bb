"""A SQL catalog on SQLite that opens at once: the embedded catalog, and any other in a SQLite file.

The tables are those of the Iceberg JDBC catalog, as pyiceberg and Java make and read them. What a run needs (load a
table, make a namespace, commit) is done here through Python's own `sqlite3`, because importing and starting an object
mapper takes longer than a small run; everything else is pyiceberg's `SqlCatalog`, opened when it is asked for.
"""

from __future__ import annotations

import abc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog, MetastoreCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties

# Another writer holds the database for milliseconds; one that holds it for longer is in trouble.
PATIENCE = 10.0

_TABLES = (
    "CREATE TABLE IF NOT EXISTS iceberg_tables (catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL,"
    " table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000),"
    " iceberg_type VARCHAR(5), PRIMARY KEY (catalog_name, table_namespace, table_name))",
    "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (catalog_name VARCHAR(255) NOT NULL,"
    " namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000) NOT NULL,"
    " PRIMARY KEY (catalog_name, namespace, property_key))",
)
_ONE = "catalog_name = ? AND table_namespace = ? AND table_name = ?"


class SqliteCatalog(MetastoreCatalog):
    """A catalog in a SQLite file; raises `sqlite3.Error` where the database cannot be used."""

    def __init__(self, name: str, database: Path, **properties: str) -> None:
        super().__init__(name, **properties)
        self.database = database
        with self._connection() as con:
            known = {row[0] for row in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"iceberg_tables", "iceberg_namespace_properties"} <= known:
                for statement in _TABLES:
                    con.execute(statement)
            columns = {row[1] for row in con.execute("PRAGMA table_info(iceberg_tables)")}
        # Catalogs made by older tools have no column for views, which only tells tables from views.
        self._typed = "iceberg_type" in columns

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: a kept one would go on seeing a database that was removed."""
        with closing(sqlite3.connect(self.database, timeout=PATIENCE, isolation_level="IMMEDIATE")) as con, con:
            yield con

    @cached_property
    def full(self) -> Catalog:
        """pyiceberg's own catalog on the same database, for what this one does not do itself."""
        from pyiceberg.catalog.sql import SqlCatalog

        return SqlCatalog(self.name, **self.properties)

    def load_table(self, identifier: str | Identifier) -> Table:
        place = self._place(identifier)
        tables_only = " AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)" if self._typed else ""
        with self._connection() as con:
            row = con.execute(
                f"SELECT metadata_location FROM iceberg_tables WHERE {_ONE}{tables_only}", place
            ).fetchone()
        if row is None or not row[0]:
            raise NoSuchTableError(f"Table does not exist: {place[1]}.{place[2]}")
        io = self._load_file_io(location=row[0])
        metadata = FromInputFile.table_metadata(io.new_input(row[0]))
        return Table(
            identifier=(*Catalog.identifier_to_tuple(place[1]), place[2]),
            metadata=metadata,
            metadata_location=row[0],
            io=self._load_file_io(metadata.properties, row[0]),
            catalog=self,
        )

    def namespace_exists(self, namespace: str | Identifier) -> bool:
        name = Catalog.namespace_to_string(Catalog.identifier_to_tuple(namespace))
        below = name.replace("!", "!!").replace("_", "!_").replace("%", "!%") + ".%"
        query = " UNION ALL ".join(
            f"SELECT 1 FROM {table} WHERE catalog_name = ? AND ({column} = ? OR {column} LIKE ? ESCAPE '!')"
            for table, column in (("iceberg_tables", "table_namespace"), ("iceberg_namespace_properties", "namespace"))
        )
        with self._connection() as con:
            return con.execute(query, (self.name, name, below) * 2).fetchone() is not None

    def load_namespace_properties(self, namespace: str | Identifier) -> Properties:
        name = Catalog.namespace_to_string(Catalog.identifier_to_tuple(namespace))
        if not self.namespace_exists(namespace):
            raise NoSuchNamespaceError(f"Namespace {name} does not exist")
        query = (
            "SELECT property_key, property_value FROM iceberg_namespace_properties "
            "WHERE catalog_name = ? AND namespace = ?"
        )
        with self._connection() as con:
            return dict(con.execute(query, (self.name, name)).fetchall())

    def create_namespace(self, namespace: str | Identifier, properties: Properties = EMPTY_DICT) -> None:
        name = Catalog.namespace_to_string(Catalog.identifier_to_tuple(namespace))
        entries = properties or {"exists": "true"}
        try:
            with self._connection() as con:
                con.executemany(
                    "INSERT INTO iceberg_namespace_properties VALUES (?, ?, ?, ?)",
                    [(self.name, name, key, value) for key, value in entries.items()],
                )
        except sqlite3.IntegrityError:
            raise NamespaceAlreadyExistsError(f"Namespace {name} already exists") from None

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Writes the new metadata and puts its place where the old one's stood, unless that has changed meanwhile."""
        try:
            current: Table | None = self.load_table(table.name())
        except NoSuchTableError:
            current = None
        staged = self._update_and_stage_table(current, table.name(), requirements, updates)
        if current is not None and staged.metadata == current.metadata:
            return _response(current)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        place = self._place(table.name())
        if current is None:
            self._insert(place, staged.metadata_location)
        else:
            self._swap(place, current.metadata_location, staged.metadata_location)
        return _response(staged)

    def _insert(self, place: tuple[str, str, str], location: str) -> None:
        more = ("iceberg_type",) if self._typed else ()
        columns = ("catalog_name", "table_namespace", "table_name", "metadata_location", *more)
        values = (*place, location, *("TABLE" for _ in more))
        marks = ", ".join("?" for _ in columns)
        try:
            with self._connection() as con:
                con.execute(f"INSERT INTO iceberg_tables ({', '.join(columns)}) VALUES ({marks})", values)
        except sqlite3.IntegrityError:
            raise TableAlreadyExistsError(f"Table {place[1]}.{place[2]} already exists") from None

    def _swap(self, place: tuple[str, str, str], before: str, after: str) -> None:
        query = (
            "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ? "
            f"WHERE {_ONE} AND metadata_location = ?"
        )
        with self._connection() as con:
            if con.execute(query, (after, before, *place, before)).rowcount < 1:
                raise CommitFailedException(f"Table has been updated by another process: {place[1]}.{place[2]}")

    def _place(self, identifier: str | Identifier) -> tuple[str, str, str]:
        namespace = Catalog.namespace_to_string(Catalog.namespace_from(identifier))
        return (self.name, namespace, Catalog.table_name_from(identifier))


def _response(table: Table) -> CommitTableResponse:
    return CommitTableResponse(metadata=table.metadata, **{"metadata-location": table.metadata_location})


def _forwarded(name: str) -> Callable[..., Any]:
    def call(self: SqliteCatalog, *args: Any, **options: Any) -> Any:
        return getattr(self.full, name)(*args, **options)

    return call


for _name in getattr(SqliteCatalog, "__abstractmethods__", ()):
    setattr(SqliteCatalog, _name, _forwarded(_name))
abc.update_abstractmethods(SqliteCatalog)  # type: ignore[type-abstract]
