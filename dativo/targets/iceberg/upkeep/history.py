"""What a table on Nessie needs: everything that any branch, tag or retained commit refers to.

The whole log of every reference is read, and that of branches which were merged and removed; each commit names the
metadata files that it put in place. Where any of that cannot be read, nothing is known, and an error says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pyiceberg.table import Table

from dativo.errors import DativoError, TargetError
from dativo.targets.iceberg.branch import run_branches
from dativo.targets.iceberg.failure import first_line
from dativo.targets.iceberg.nessie import NessieCatalog, NoSuchReference, ReferenceConflict
from dativo.targets.iceberg.upkeep.objects import below
from dativo.targets.iceberg.upkeep.references import Files, of_metadata, of_snapshots, read_metadata
from dativo.targets.upkeep import Branches, Wanted

DAY = 86_400.0
PAGE = 500


class History:
    """The commits of a Nessie server, read once; asked again, only what came since is read."""

    def __init__(self, catalog: NessieCatalog) -> None:
        self.catalog = catalog
        self.seen: set[str] = set()
        self.locations: set[str] = set()
        self.read: set[str] = set()
        self.files: dict[str, Files] = {}

    def needs(self, table: Table) -> Files:
        """Everything below the table's folder that any commit refers to; TargetError where that cannot be known."""
        self._walk()
        name = ".".join(table.name())
        wanted = {path for path in self.locations if below(path, table.location())} | {table.metadata_location}
        new = sorted(wanted - self.read)
        found = self.files.setdefault(name, {})
        read = read_metadata(new, table.io)
        for location, metadata in read:
            found.update(of_metadata(metadata, location))
        found.update(of_snapshots((s for _, metadata in read for s in metadata.snapshots), table.io))
        self.read.update(new)
        return found

    def _walk(self) -> None:
        try:
            root = str(self.catalog._call("GET", "config")["noAncestorHash"])
            self.seen.add(root)
            merged: list[str] = []
            for reference in list(self.catalog.references()):
                merged += self._log(f"{reference.name}@{reference.hash}")
            while merged:
                merged += self._detached(merged.pop())
        except DativoError:
            raise
        except Exception as error:
            raise _unknown(first_line(error)) from error

    def _detached(self, commit: str) -> list[str]:
        """The log from a commit that was merged; nothing when Nessie does not keep it any more."""
        if commit in self.seen:
            return []
        try:
            return self._log(f"@{commit}")
        except NoSuchReference:
            return []

    def _log(self, reference: str) -> list[str]:
        """Notes the metadata files of a log down to a commit that is known; gives the commits that were merged in."""
        merged: list[str] = []
        expected = reference.rpartition("@")[2]
        for entry in self._entries(reference):
            meta = entry["commitMeta"]
            if meta["hash"] in self.seen:
                return merged
            self.seen.add(meta["hash"])
            for operation in entry.get("operations") or ():
                location = (operation.get("content") or {}).get("metadataLocation")
                if location:
                    self.locations.add(location)
            expected = entry["parentCommitHash"]
            merged += [parent for parent in meta.get("parentCommitHashes", ()) if parent != expected]
        if expected not in self.seen:
            raise _unknown(f"the log of '{reference}' ends before its first commit")
        return merged

    def _entries(self, reference: str) -> Iterator[dict[str, Any]]:
        token: str | None = ""
        while token is not None:
            options = {"fetch": "ALL", "max-records": str(PAGE), **({"page-token": token} if token else {})}
            page = self.catalog._call("GET", f"trees/{quote(reference, safe='@')}/history", params=options)
            yield from page["logEntries"]
            token = page.get("token") if page.get("hasMore") else None


def _unknown(why: str) -> TargetError:
    return TargetError(
        f"what Nessie's branches, tags and commits need cannot be known: {why}",
        hint="no file was removed; run it again, or let Nessie's own garbage collector (nessie-gc) do it",
    )


def dead_branches(catalog: NessieCatalog, wanted: Wanted, now: float) -> Branches:
    """Removes the branches of runs that are over: those on which nothing happened for the safe age, kept ones too."""
    names: list[str] = []
    kept = 0
    branches = run_branches(catalog)
    live = wanted.live()
    for branch in branches:
        if branch.token in live or now - _last_change(catalog, branch.name, branch.started) < (
            wanted.older_than_days * DAY
        ):
            kept += 1
            continue
        if wanted.act and not _removed(catalog, branch.name, branch.head):
            kept += 1
            continue
        names.append(branch.name)
    return Branches(names=tuple(names), kept=kept)


def _last_change(catalog: NessieCatalog, name: str, started: datetime) -> float:
    """When the run began or its branch got its last commit, whichever was later, in seconds since 1970."""
    try:
        page = catalog._call("GET", f"trees/{quote(name, safe='')}/history", params={"max-records": "1"})
    except NoSuchReference:
        return started.timestamp()
    times = [datetime.fromisoformat(e["commitMeta"]["commitTime"]).timestamp() for e in page["logEntries"]]
    return max([started.timestamp(), *times])


def _removed(catalog: NessieCatalog, name: str, head: str) -> bool:
    """Removes a branch if it is where it was; a branch that moved is not dead."""
    try:
        catalog._call("DELETE", f"trees/{quote(name, safe='')}@{head}")
    except ReferenceConflict:
        return False
    except NoSuchReference:
        return True
    return True
