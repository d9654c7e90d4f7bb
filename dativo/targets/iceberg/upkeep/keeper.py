"""The upkeep of the tables of one stream: the stream's own, and the one with its rejects."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.targets.iceberg.catalog import open_catalog, settings, sqlite_file
from dativo.targets.iceberg.failure import failures
from dativo.targets.iceberg.rejects import REJECTS_SUFFIX
from dativo.targets.iceberg.upkeep import compact, expire, orphans
from dativo.targets.iceberg.upkeep.references import Files, of_metadata, of_snapshots
from dativo.targets.upkeep import Branches, Compaction, Expiry, NotHere, Orphans, Wanted

if TYPE_CHECKING:
    from dativo.targets.iceberg.nessie import NessieCatalog


class IcebergKeeper:
    """Keeps the tables of one stream of a job."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig) -> None:
        self.settings = settings(job, make=False)
        self.namespace = stream.namespace
        self.names = (stream.table, stream.table + REJECTS_SUFFIX)

    @property
    def catalog_name(self) -> str:
        return self.settings.label

    @cached_property
    def catalog(self) -> Catalog | None:
        """The catalog; None when it is a SQLite file that is not there yet."""
        database = sqlite_file(self.settings.properties.get("uri", ""))
        if database is not None and not database.exists():
            return None
        return open_catalog(self.settings)

    def tables(self) -> tuple[str, ...]:
        found: list[str] = []
        if self.catalog is None:
            return ()
        for name in self.names:
            with failures(f"opening {self.namespace}.{name}"):
                try:
                    self._catalog().load_table((self.namespace, name))
                except (NoSuchTableError, NoSuchNamespaceError):
                    continue
            found.append(f"{self.namespace}.{name}")
        return tuple(found)

    def compact(self, table: str, wanted: Wanted) -> Compaction:
        with failures(f"compacting {table}"):
            return compact.compact(self._catalog(), self._table(table), wanted)

    def expire(self, table: str, wanted: Wanted) -> Expiry:
        if self._versioned():
            raise NotHere(
                "they are not expired here: Nessie keeps the history of its tables itself, and a commit that it remembers "
                "may need any of them",
                hint="let Nessie's own garbage collector do it (nessie-gc, https://projectnessie.org/nessie-latest/gc/)",
            )
        with failures(f"expiring snapshots of {table}"):
            return expire.expire(self._catalog(), self._table(table), wanted)

    def orphans(self, table: str, wanted: Wanted) -> Orphans:
        catalog, nessie = self._catalog(), self._nessie()
        if nessie is None and self._versioned():
            raise NotHere(
                f"the catalog of {table} is Nessie, configured as any REST catalog: what its branches need is unknown",
                hint="set target.catalog to nessie, and its address as target.connection.nessie.uri",
            )
        with failures(f"removing orphans of {table}"):
            if nessie is None:
                return orphans.orphans(catalog, self._table(table), _needs, wanted, versioned=False)
            from dativo.targets.iceberg.upkeep.history import History

            return orphans.orphans(catalog, self._table(table), History(nessie).needs, wanted, versioned=True)

    def branches(self, wanted: Wanted) -> Branches | None:
        nessie = self._nessie()
        if nessie is None:
            return None
        from dativo.targets.iceberg.upkeep.history import dead_branches

        with failures("removing branches of runs"):
            return dead_branches(nessie, wanted, time.time())

    def _nessie(self) -> NessieCatalog | None:
        if self.settings.nessie is None:
            return None
        from dativo.targets.iceberg.nessie import NessieCatalog

        catalog = self._catalog()
        assert isinstance(catalog, NessieCatalog)
        return catalog

    def _versioned(self) -> bool:
        """Whether the catalog is a Nessie server, configured as one or not."""
        return self.settings.nessie is not None or _is_nessie(self._catalog())

    def _catalog(self) -> Catalog:
        assert self.catalog is not None
        return self.catalog

    def _table(self, name: str) -> Table:
        namespace, _, table = name.rpartition(".")
        return self._catalog().load_table((namespace, table))


def _is_nessie(catalog: Catalog) -> bool:
    return str(catalog.properties.get("nessie.is-nessie-catalog", "")).lower() == "true"


def _needs(table: Table) -> Files:
    """Everything that the metadata of a table refers to."""
    known = of_metadata(table.metadata, table.metadata_location)
    return known | of_snapshots(table.metadata.snapshots, table.io)
