"""Expiry of snapshots: old ones are let go, and the files that only they needed are removed.

What the table was at any moment of the kept days stays readable: a snapshot counts as old when the table went on from it
that long ago, not when it was made. Snapshots that a branch or tag of the table names, and the ancestors of branches other
than main, always stay.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, ancestors_of
from pyiceberg.table.update import AssertRefSnapshotId
from pyiceberg.table.update.snapshot import ExpireSnapshots

from dativo.errors import CommitUnknown, TargetError
from dativo.targets.iceberg.failure import first_line, translated
from dativo.targets.iceberg.staged import begin
from dativo.targets.iceberg.upkeep.objects import below, removed
from dativo.targets.iceberg.upkeep.references import Files, of_metadata, of_snapshots
from dativo.targets.upkeep import KEPT_DAYS, KEPT_SNAPSHOTS, Expiry, NotHere, Wanted

ROUNDS = 5
DAY = 86_400.0


class Keeping(NamedTuple):
    """How many of the newest snapshots stay, and for how many seconds what the table was."""

    snapshots: int
    seconds: float


def keeping(properties: dict[str, str], wanted: Wanted) -> Keeping:
    """What was asked for, else what the table's own properties say, else the defaults."""
    count, days = wanted.keep_snapshots, wanted.keep_days
    if count is None:
        count = _number(properties, "history.expire.min-snapshots-to-keep", KEPT_SNAPSHOTS)
    if days is None:
        days = _number(properties, "history.expire.max-snapshot-age-ms", int(KEPT_DAYS * DAY * 1000)) / 1000 / DAY
    return Keeping(max(count, 1), days * DAY)


def _number(properties: dict[str, str], name: str, default: int) -> int:
    try:
        return int(properties.get(name, default))
    except ValueError:
        raise TargetError(
            f"the table's property {name} is '{properties[name]}', which is no number",
            hint="set the property, or say what is to stay with --keep-snapshots and --keep-days",
        ) from None


def outlived(metadata: TableMetadata, keep: Keeping, now: float) -> list[Snapshot]:
    """The snapshots that can go."""
    kept: set[int] = set()
    for name, ref in metadata.refs.items():
        kept.add(ref.snapshot_id)
        if name != MAIN_BRANCH and ref.snapshot_ref_type == SnapshotRefType.BRANCH:
            kept.update(s.snapshot_id for s in ancestors_of(metadata.snapshot_by_id(ref.snapshot_id), metadata))
    line = list(ancestors_of(metadata.current_snapshot(), metadata))
    kept.update(s.snapshot_id for s in line[: keep.snapshots])
    since = now - keep.seconds
    left = {s.snapshot_id: successor.timestamp_ms / 1000 for successor, s in pairwise(line)}
    return [
        s
        for s in metadata.snapshots
        if s.snapshot_id not in kept and left.get(s.snapshot_id, s.timestamp_ms / 1000) < since
    ]


def expire(catalog: Catalog, table: Table, wanted: Wanted) -> Expiry:
    """Lets the old snapshots of a table go, or tells which would."""
    check_collectable(table)
    keep = keeping(table.properties, wanted)
    old = outlived(table.metadata, keep, time.time())
    before = len(table.metadata.snapshots)
    if not old:
        return Expiry(snapshots_before=before, snapshots_after=before)
    going = {s.snapshot_id for s in old}
    needed = of_snapshots((s for s in table.metadata.snapshots if s.snapshot_id not in going), table.io)
    freed = _freed(of_snapshots(old, table.io), needed, table)
    after = before - len(old)
    if wanted.act:
        left = _committed(catalog, table, going)
        after = len(left.metadata.snapshots)
        # Read anew: what rivals committed meanwhile stands on manifests that were there before.
        still = of_snapshots(left.metadata.snapshots, left.io) | of_metadata(left.metadata, left.metadata_location)
        freed = {path: size for path, size in freed.items() if path not in still}
        removed(table.io, table.location(), [p for p in freed if below(p, table.location())])
    own = {path: size for path, size in freed.items() if below(path, table.location())}
    return Expiry(
        snapshots_before=before,
        snapshots_after=after,
        files=len(own),
        bytes=sum(own.values()),
        elsewhere=len(freed) - len(own),
    )


def check_collectable(table: Table) -> None:
    """Raises NotHere for a table that says that its files are not to be removed, as one whose files others use too."""
    if table.properties.get("gc.enabled", "true").lower() == "false":
        raise NotHere(
            f"{'.'.join(table.name())} has the property gc.enabled=false: its files may be in use elsewhere",
            hint="set the property to true if they are not",
        )


def _freed(old: Files, needed: Files, table: Table) -> Files:
    kept = of_metadata(table.metadata, table.metadata_location)
    return {path: size for path, size in old.items() if path not in needed and path not in kept}


def _committed(catalog: Catalog, table: Table, going: set[int]) -> Table:
    """The table without those snapshots; what becomes current meanwhile is not touched."""
    name = ".".join(table.name())
    doubt: Exception | None = None
    for turn in range(ROUNDS):
        time.sleep(0.1 * turn)
        try:
            fresh = catalog.load_table(table.name())
        except Exception as error:
            raise translated(error, f"expiring snapshots of {name}") from error
        protected = {ref.snapshot_id for ref in fresh.metadata.refs.values()}
        left = sorted({s.snapshot_id for s in fresh.metadata.snapshots} & (going - protected))
        if not left:
            return fresh
        staged = begin(fresh)
        ExpireSnapshots(staged.transaction).by_ids(left).commit()
        try:
            return staged.hand_over(catalog, *_as_they_are(fresh))
        except CommitFailedException as error:
            doubt = error
        except Exception as error:  # noqa: BLE001 - the next round looks whether it landed
            doubt = error
    assert doubt is not None
    if isinstance(doubt, CommitFailedException):
        raise TargetError(
            f"other writers keep {name} busy: no snapshot was expired: {first_line(doubt)}", hint="run it again later"
        ) from doubt
    raise CommitUnknown(
        f"the catalog does not answer whether snapshots of {name} were expired: {first_line(doubt)}",
        hint="run it again; no file was removed",
    ) from doubt


def _as_they_are(table: Table) -> list[AssertRefSnapshotId]:
    """That no branch or tag was moved meanwhile, perhaps to a snapshot that is to go."""
    refs = table.metadata.refs.items()
    return [AssertRefSnapshotId.model_validate({"ref": n, "snapshot-id": r.snapshot_id}) for n, r in refs]
