"""A table's past on Nessie, which serves the current snapshot only: the commits of a branch that changed the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from dativo.targets.iceberg.nessie import NessieCatalog, NoSuchReference
from dativo.targets.iceberg.travel import Moment

PAGE = 100
# Each snapshot is a request of its own.
MOST = 50


def moments(catalog: NessieCatalog, table: Table, identifier: tuple[str, str]) -> list[Moment]:
    """The table's last snapshots on the catalog's branch, the newest first, each as the table that it was."""
    found: list[Moment] = []
    seen: set[int | None] = set()
    newest = table.metadata.current_snapshot_id
    for commit, number in _changes(catalog, identifier):
        if number in seen or number == -1:
            continue
        seen.add(number)
        try:
            then = table if number == newest else catalog.at(catalog.branch, commit).load_table(identifier)
        except (NoSuchTableError, NoSuchReference):
            # The log reaches further back than what the server still keeps of it, or the table was made anew.
            continue
        snapshot = then.current_snapshot()
        if snapshot is not None:
            found.append(Moment(then, snapshot, newest=True, current=snapshot.snapshot_id == newest))
        if len(found) >= MOST:
            break
    return [
        Moment(m.table, m.snapshot.model_copy(update={"parent_snapshot_id": before}), newest=True, current=m.current)
        for m, before in zip(found, [*(m.snapshot.snapshot_id for m in found[1:]), None], strict=True)
    ]


def _changes(catalog: NessieCatalog, identifier: tuple[str, str]) -> Iterator[tuple[str, int | None]]:
    """The commits that put the table in place, the newest first, with the snapshot that it was at then."""
    elements = [*identifier[0].split("."), identifier[1]]
    names = (".".join(elements[:-1]), elements[-1])
    namespace, name = (n.replace("\\", "\\\\").replace("'", "\\'") for n in names)
    wanted = f"operations.exists(op, op.name == '{name}' && op.namespace == '{namespace}')"
    head = catalog.reference(catalog.branch)
    token: str | None = "" if head is not None else None
    while token is not None and head is not None:
        place = quote(f"{head.name}@{head.hash}", safe="@")
        options = {"fetch": "ALL", "filter": wanted, "max-records": str(PAGE)}
        page = catalog._call(
            "GET", f"trees/{place}/history", params={**options, **({"page-token": token} if token else {})}
        )
        for entry in page["logEntries"]:
            yield from _puts(entry, elements)
        token = page.get("token") if page.get("hasMore") else None


def _puts(entry: dict[str, Any], elements: list[str]) -> Iterator[tuple[str, int | None]]:
    for operation in entry.get("operations") or ():
        content = operation.get("content") or {}
        if operation.get("type") == "PUT" and operation["key"]["elements"] == elements:
            yield entry["commitMeta"]["hash"], content.get("snapshotId")
