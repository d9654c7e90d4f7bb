"""Orphans: files in a table's folder that nothing needs, as runs leave them that were killed.

Files are listed first and references read afterwards, so that what is committed meanwhile counts as needed. A file that
carries the token of a run is as old as the newest one of that run, for a run that still writes may still commit all of
them. Files of runs that go on on this machine stay whatever their age.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier

from dativo.errors import TargetError
from dativo.targets.iceberg.upkeep.expire import check_collectable
from dativo.targets.iceberg.upkeep.objects import StoredFile, below, listed, normal, removed
from dativo.targets.iceberg.upkeep.references import Files
from dativo.targets.upkeep import Orphans, Wanted

DAY = 86_400.0
HOUR = 3_600.0
_RUN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_OF_RUN = re.compile(rf"(?:^|/)(?:dativo-state-)?({_RUN})[^/]*$")
# What writers of Iceberg tables make. Anything else in the folder is somebody's, and stays.
_MADE = re.compile(
    r"data/(.*/)?[^/]+\.(parquet|avro|orc|puffin)|metadata/[^/]+\.(avro|stats|puffin)"
    rf"|metadata/[^/]+\.metadata\.json|metadata/dativo-state-{_RUN}\.json"
)
_METADATA = re.compile(r"metadata/[^/]+\.metadata\.json")
_UUID = re.compile(rb'"table-uuid"\s*:\s*"([^"]+)"')

Needs = Callable[[Table], Files]


def orphans(catalog: Catalog, table: Table, needs: Needs, wanted: Wanted, *, versioned: bool) -> Orphans:
    """Removes the files that nothing needs, or tells which they are.

    `needs` gives all files of the table that are referred to; on a `versioned` catalog by any commit and table.
    Raises TargetError where it cannot be known whether a file is needed.
    """
    if not versioned:
        # Nessie says so of all of its tables, because of what is looked at here: its history.
        check_collectable(table)
    location = table.location()
    files = list(listed(table.io, location))
    # In this order: a run that wrote one of the files goes on still, or has committed them when the table is loaded.
    ages = _Ages(files, wanted, time.time())
    fresh = catalog.load_table(table.name())
    needed = needs(fresh)
    loose = [f for f in files if normal(f.path) not in needed]
    made = [f for f in loose if _MADE.fullmatch(_inside(f.path, location))]
    old = [f for f in made if ages.is_old(f)]
    free = [f for f in old if not ages.in_use(f, _inside(f.path, location))]
    if free:
        if not versioned:
            _check_alone(catalog, fresh)
        _check_own(fresh, [f for f in made if _METADATA.fullmatch(_inside(f.path, location))])
    if free and wanted.act:
        free = _still_free(catalog, fresh, needs, free)
        removed(fresh.io, location, [f.path for f in free])
    return Orphans(
        files=len(free),
        bytes=sum(f.size for f in free),
        recent=len(made) - len(old),
        in_use=len(old) - len(free),
        unknown=len(loose) - len(made),
        listed=len(files),
        paths=tuple(sorted(f.path for f in free)),
    )


def _inside(path: str, location: str) -> str:
    return normal(path).removeprefix(normal(location).rstrip("/") + "/")


class _Ages:
    """How old files are, and which belong to runs that go on."""

    def __init__(self, files: Iterable[StoredFile], wanted: Wanted, now: float) -> None:
        self.live = wanted.live()
        self.before = now - wanted.older_than_days * DAY
        self.newest: dict[str, float] = {}
        for file in files:
            token = _token(file.path)
            if token is not None:
                self.newest[token] = max(file.modified, self.newest.get(token, 0.0))
        # What a run writes as it commits does not carry its token: all that came since the first of them began.
        self.since = min((_begun(token) for token in self.live), default=float("inf")) - HOUR

    def is_old(self, file: StoredFile) -> bool:
        token = _token(file.path)
        return (file.modified if token is None else self.newest[token]) <= self.before

    def in_use(self, file: StoredFile, inside: str) -> bool:
        if _token(file.path) in self.live:
            return True
        return inside.startswith("metadata/") and file.modified >= self.since


def _token(path: str) -> str | None:
    match = _OF_RUN.search(path)
    return match[1] if match else None


def _begun(token: str) -> float:
    """When the run of a token began: a UUID of version 7 begins with its milliseconds since 1970."""
    try:
        return (UUID(token).int >> 80) / 1000
    except ValueError:
        return 0.0


def _still_free(catalog: Catalog, table: Table, needs: Needs, files: list[StoredFile]) -> list[StoredFile]:
    """What is free still, for a commit may have come while the references were read."""
    try:
        again = catalog.load_table(table.name())
    except NoSuchTableError as error:
        raise TargetError(f"{'.'.join(table.name())} was dropped meanwhile; no file was removed") from error
    needed = needs(again)
    return [f for f in files if normal(f.path) not in needed]


def _check_alone(catalog: Catalog, table: Table) -> None:
    """Raises TargetError when another table of the catalog has its files in this one's folder."""
    own = normal(table.location())
    for namespace in _namespaces(catalog, ()):
        for identifier in catalog.list_tables(namespace):
            if tuple(identifier) == tuple(table.name()):
                continue
            try:
                other = catalog.load_table(identifier)
            except NoSuchTableError:
                continue
            places = [other.location(), *(other.properties.get(f"write.{k}.path", "") for k in ("data", "metadata"))]
            if any(p and (normal(p) == own or below(p, own)) for p in places):
                raise TargetError(
                    f"the table {'.'.join(identifier)} has files in the folder of {'.'.join(table.name())}: which of them "
                    "it needs cannot be told apart",
                    hint="no file was removed; give each table a folder of its own",
                )


def _namespaces(catalog: Catalog, parent: Identifier) -> Iterator[Identifier]:
    for namespace in catalog.list_namespaces(parent):
        if len(namespace) > len(parent):
            yield namespace
            yield from _namespaces(catalog, namespace)


def _check_own(table: Table, loose: list[StoredFile]) -> None:
    """Raises TargetError when the folder has metadata of another table, which some other catalog may know."""
    own = str(table.metadata.table_uuid).encode()
    for file in loose:
        try:
            with table.io.new_input(file.path).open() as stream:
                found = _UUID.search(stream.read(64 * 1024))
        except FileNotFoundError:
            continue
        if found is None or found[1] != own:
            day = datetime.fromtimestamp(file.modified, UTC).date()
            raise TargetError(
                f"the folder of {'.'.join(table.name())} has the metadata of another table, written on {day}: {file.path}",
                hint="no file was removed: another catalog may use that table. If it is gone for good, remove that file "
                "and run it again",
            )
