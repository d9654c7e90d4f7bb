"""The upkeep of a table in an object store and of its rejects: files that killed runs left are removed.

Files are listed first and the manifest is read afterwards, so that what is committed meanwhile counts as needed. All
files of a run are as old as the newest of them, for a run that still writes may still commit all of them.
"""

from __future__ import annotations

import re
import time
from functools import cached_property

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError
from dativo.stores.store import StoredObject
from dativo.targets.objects.layout import HIDDEN, REJECTS_SUFFIX, Place
from dativo.targets.objects.located import located
from dativo.targets.objects.manifest import entries, load
from dativo.targets.upkeep import Branches, Compaction, Expiry, NotHere, Orphans, Wanted

DAY = 86_400
_RUN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class ObjectKeeper:
    """Keeps the tables of one stream of a job."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig) -> None:
        self.job = job
        self.stream = stream

    @cached_property
    def places(self) -> dict[str, Place]:
        """The tables by their names."""
        own = located(self.job, self.stream)
        name = f"{self.stream.namespace}.{self.stream.table}"
        return {name: own, name + REJECTS_SUFFIX: own.rejects()}

    @property
    def catalog_name(self) -> str:
        return f"{self.job.target_type} {next(iter(self.places.values())).store.uri()}"

    def tables(self) -> tuple[str, ...]:
        return tuple(name for name, where in self.places.items() if load(where) is not None)

    def compact(self, table: str, wanted: Wanted) -> Compaction:
        raise NotHere(
            f"the files of {table} are not merged: readers without the manifest would see their rows twice meanwhile",
            hint="load less often, or use the target iceberg",
        )

    def expire(self, table: str, wanted: Wanted) -> Expiry:
        raise NotHere(f"{table} keeps no earlier versions", hint="use the target iceberg for time travel")

    def orphans(self, table: str, wanted: Wanted) -> Orphans:
        where = self.places[table]
        files = list(where.store.list(f"{where.base}/"))
        now = time.time()
        live = wanted.live()
        needed = _needed(where)
        loose = [f for f in files if f.key not in needed]
        runs = {f.key: run for f in loose if (run := _run(where, f.key)) is not None}
        newest: dict[str, int] = {}
        for file in loose:
            run = runs.get(file.key, "")
            newest[run] = max(newest.get(run, 0), file.modified_ns)
        made = [f for f in loose if f.key in runs]
        old = [f for f in made if now - newest[runs[f.key]] / 1e9 > wanted.older_than_days * DAY]
        free = [f for f in old if runs[f.key] not in live]
        if free and wanted.act:
            free = self._removed(where, free)
        return Orphans(
            files=len(free),
            bytes=sum(f.size for f in free),
            recent=len(made) - len(old),
            in_use=len(old) - len(free),
            unknown=len(loose) - len(made),
            listed=len(files),
            paths=tuple(sorted(where.store.uri(f.key) for f in free)),
        )

    def _removed(self, where: Place, free: list[StoredObject]) -> list[StoredObject]:
        """Removes files that the manifest, read once more, does not name; which they were."""
        needed = _needed(where)
        free = [f for f in free if f.key not in needed]
        where.store.delete([f.key for f in free])
        return free

    def branches(self, wanted: Wanted) -> Branches | None:
        return None


def _needed(where: Place) -> set[str]:
    """The keys of everything that the table's manifest names, and its own."""
    found = load(where)
    if found is None:
        raise TargetError(f"the table {where.name} has no manifest any more", hint="nothing of it is removed")
    manifest = found[0]
    named = {where.key(e.path) for e in entries(where, manifest)}
    named |= {where.key(s.path) for s in manifest.segments}
    named |= {state["file"] for state in manifest.states.values() if "file" in state}
    return {*named, where.manifest}


def _run(where: Place, key: str) -> str | None:
    """The run that made a file; None for what no run makes, which stays."""
    inside = key.removeprefix(f"{where.base}/")
    ending = r"\.(?:parquet|csv|json)(?:\.gz|\.zst)?(?:\.unfinished-[0-9a-f]{32})?"
    data = rf"(?:[^/]+=[^/]*/)*{re.escape(where.table)}_\d{{6,}}-({_RUN}){ending}"
    hidden = rf"{HIDDEN}/(?:files|state)-({_RUN})[^/]*\.json"
    match = re.fullmatch(data, inside) or re.fullmatch(hidden, inside)
    return match[1] if match else None
