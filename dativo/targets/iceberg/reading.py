"""Iceberg tables looked at: facts, rows, rejects. Nothing is made or written, not even an empty catalog."""

from __future__ import annotations

from functools import cached_property

import polars as pl
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from dativo.config.asset import Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.evolve import changes
from dativo.errors import TargetError
from dativo.targets.iceberg import travel
from dativo.targets.iceberg.catalog import open_catalog, settings, sqlite_file
from dativo.targets.iceberg.deletes import refuse_equality_deletes
from dativo.targets.iceberg.failure import first_line
from dativo.targets.iceberg.memory import RUN, decode_state, run_key
from dativo.targets.iceberg.partitions import check_partitioning
from dativo.targets.iceberg.plan import tokens
from dativo.targets.iceberg.rejects import REJECTS_SUFFIX
from dativo.targets.iceberg.schema import check_identifiers, contract_fields, readable, table_columns
from dativo.targets.iceberg.storage import storage_options
from dativo.targets.protocol import Saved, TableShape
from dativo.targets.reading import TableFacts, TableSnapshot, Version

SNAPSHOTS = 20


class IcebergReader:
    """Looks at the table of one stream of a job."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig) -> None:
        self.job = job
        self.stream = stream
        self.settings = settings(job, make=False)
        self.identifier = (stream.namespace, stream.table)

    @cached_property
    def catalog(self) -> Catalog | None:
        """The catalog; None when it is a SQLite file that is not there yet."""
        database = sqlite_file(self.settings.properties.get("uri", ""))
        if database is not None and not database.exists():
            return None
        return open_catalog(self.settings)

    @cached_property
    def table(self) -> Table | None:
        return self._table(self.identifier)

    def _table(self, identifier: tuple[str, str]) -> Table | None:
        if self.catalog is None:
            return None
        try:
            return self.catalog.load_table(identifier)
        except (NoSuchTableError, NoSuchNamespaceError):
            return None
        except Exception as error:
            raise TargetError(f"the table {'.'.join(identifier)} cannot be read: {first_line(error)}") from error

    def facts(self) -> TableFacts | None:
        table = self.table
        if table is None:
            return None
        schema = table.schema()
        current = table.current_snapshot()
        total = travel.summary(current) if current is not None else {}
        names = {f.field_id: f.name for f in schema.fields}
        parts = [(names.get(f.source_id, "?"), str(f.transform)) for f in table.spec().fields]
        properties = table.properties
        return TableFacts(
            name=".".join(self.identifier),
            catalog=self.settings.label,
            location=table.location(),
            rows=int(total.get("total-records", 0)) - int(total.get("total-position-deletes", 0)),
            files=int(total.get("total-data-files", 0)),
            bytes=int(total.get("total-files-size", 0)),
            columns=travel.columns(schema),
            partitioning=tuple(c if t == "identity" else f"{t}({c})" for c, t in parts),
            snapshots=self.snapshots()[:SNAPSHOTS],
            tags={k: v for k, v in sorted(properties.items()) if k.startswith(_TAGS)},
            jobs=tuple(sorted(k.removeprefix(RUN) for k in properties if k.startswith(RUN))),
        )

    def fields(self) -> tuple[Field, ...] | None:
        return None if self.table is None else contract_fields(self.table.schema())

    def saved(self) -> Saved | None:
        if self.table is None:
            return None
        job = self.job
        return decode_state(self.table.properties, job.tenant_id, job.name, self.stream.name, self.table.io)

    def tokens(self) -> tuple[str, ...]:
        if self.table is None:
            return ()
        return tuple(tokens(self.table.properties, run_key(self.job.tenant_id, self.job.name, self.stream.name)))

    def changes(self, shape: TableShape) -> tuple[str, ...]:
        if self.table is None:
            return ()
        check_partitioning(self.table, shape.partitioning, self.job.mark("target.partitioning"))
        have = table_columns(self.table.schema())
        found = changes(have, shape.columns, self.job.schema_mode, ".".join(self.identifier))
        check_identifiers(self.table, found)
        return tuple(str(c) for c in found if c.action != "describe")

    def rows(self) -> pl.LazyFrame | None:
        if self.table is None:
            return None
        return self._scan(self.table).select(map(readable, table_columns(self.table.schema())))

    def rejects(self) -> pl.LazyFrame | None:
        table = self._table((self.stream.namespace, self.stream.table + REJECTS_SUFFIX))
        return None if table is None else self._scan(table)

    def snapshots(self) -> tuple[TableSnapshot, ...]:
        return tuple(travel.described(m.snapshot, current=m.current) for m in self._moments)

    def versions(self, before: int, after: int) -> tuple[Version, Version]:
        return travel.versions(self._moment(before), self._moment(after), self._storage, ".".join(self.identifier))

    @cached_property
    def _moments(self) -> list[travel.Moment]:
        if self.table is None:
            return []
        if self.settings.nessie is None:
            return travel.moments(self.table)
        from dativo.targets.iceberg import branch_log
        from dativo.targets.iceberg.nessie import NessieCatalog

        assert isinstance(self.catalog, NessieCatalog)
        try:
            return branch_log.moments(self.catalog, self.table, self.identifier)
        except Exception as error:
            raise TargetError(f"the log of {'.'.join(self.identifier)} cannot be read: {first_line(error)}") from error

    def _moment(self, number: int) -> travel.Moment:
        for moment in self._moments:
            if moment.snapshot.snapshot_id == number:
                return moment
        raise TargetError(f"the table {'.'.join(self.identifier)} does not keep the snapshot {number} any more")

    def _scan(self, table: Table) -> pl.LazyFrame:
        try:
            refuse_equality_deletes(table)
        except OSError as error:
            raise TargetError(f"the table {'.'.join(table.name())} cannot be read: {first_line(error)}") from error
        return pl.scan_iceberg(table, storage_options=self._storage(table))

    def _storage(self, table: Table) -> dict[str, str] | None:
        return storage_options(table.location(), table.io.properties)


_TAGS = ("asset.", "classification.", "finops.", "governance.", "source.", "lineage.")
