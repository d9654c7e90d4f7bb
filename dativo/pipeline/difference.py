"""What changed in a table between two of its runs: rows, columns, files. Only files that are not in both are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from dativo import connectors
from dativo.config.asset import Asset, Field
from dativo.config.privacy import Treatment
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError, listed
from dativo.pipeline.purposes import hidden_columns, one_stream, purpose_treatments
from dativo.pipeline.refuse import refuse_missing
from dativo.pipeline.run_names import WHICH, find_places, pick
from dativo.pipeline.runs import TableRun, runs_of
from dativo.pipeline.staging import staging_root
from dativo.targets.reading import FileCount, TableColumn, Version


class ColumnChange(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is new, gone, called otherwise, of another type, or that may be null now or no longer."""

    action: Literal["added", "removed", "renamed", "retyped", "relaxed", "required"]
    name: str
    before: str | None = None
    after: str | None = None


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows were added, removed and changed. `key` tells that two rows are one; without it none is changed."""

    added: int
    removed: int
    changed: int
    key: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Sample:
    """A few rows of a version, with personal values masked, and the fields that describe what is shown."""

    frame: Any
    fields: tuple[Field, ...]
    asset: Asset

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON has them."""
        from dativo.pipeline.export import text_lines

        return [json.loads(line) for line in text_lines(self.frame, self.fields, self.asset, "jsonl")]


@dataclass(slots=True, frozen=True)
class RunDiff:
    """What is different in a table after the run `after`, compared with how `before` left it.

    `changed` has the same rows before and after, `differing` which of their columns are not equal. `not_compared` are the
    columns that only one of the two has or whose type no contract has.
    """

    table: str
    before: TableRun
    after: TableRun
    columns: tuple[ColumnChange, ...]
    files_added: FileCount
    files_removed: FileCount
    rows: RowCounts
    added: Sample
    removed: Sample
    changed: tuple[Sample, Sample]
    differing: tuple[tuple[str, ...], ...]
    not_compared: tuple[str, ...]
    masked: tuple[str, ...]


def diff_runs(
    before: str,
    after: str,
    *,
    job: ResolvedJob | None = None,
    stream: str | None = None,
    rows: int = 5,
    show_pii: bool = False,
) -> RunDiff:
    """What changed between two runs of a table, each an id, the beginning of one, a snapshot, `latest` or `previous`.

    Without a job the table is the one of the project that has both. `rows` is how many rows of each kind are shown. Raises
    TargetError for runs that do not exist, made no snapshot, or whose snapshot has expired.
    """
    place = _place(before, after) if job is None else (job, one_stream(job, stream))
    refuse_missing(place[0])
    reader = connectors.reader(*place)
    runs = runs_of(*place, reader)
    name = f"{place[1].namespace}.{place[1].table}"
    first, second = (_readable(pick(n, runs, name), runs) for n in (before, after))
    assert first.snapshot is not None and second.snapshot is not None
    versions = reader.versions(first.snapshot, second.snapshot)
    return _difference(*place, (first, second), versions, rows, show_pii)


def _place(before: str, after: str) -> tuple[ResolvedJob, StreamConfig]:
    places = find_places(before, after)
    if len(places) > 1:
        tables = listed(f"{s.namespace}.{s.table}" for _, s in places)
        raise TargetError(f"these runs loaded {len(places)} tables", hint=f"{WHICH}: {tables}")
    return places[0]


def _readable(run: TableRun, runs: Sequence[TableRun]) -> TableRun:
    """The run, if the table can still be read as it left it."""
    if run.readable:
        return run
    kept = [r.label for r in runs if r.readable]
    hint = f"these can be compared: {listed(kept)}" if kept else "no snapshot of the table is kept"
    if run.snapshot is not None:
        raise TargetError(f"the snapshot {run.snapshot} of run {run.label} has expired", hint=hint)
    if run.what == "loaded" and run.rows_added is None:
        raise TargetError(f"the snapshot of run {run.label} is not kept, if it made one", hint=hint)
    why = {"loaded": "no row was new", "unchanged": "there was nothing new"}.get(run.what, f"it was {run.what}")
    why = "it failed" if run.what == "failed" else why
    raise TargetError(f"the run {run.label} made no snapshot: {why}", hint=hint)


def _difference(
    job: ResolvedJob,
    stream: StreamConfig,
    runs: tuple[TableRun, TableRun],
    versions: tuple[Version, Version],
    rows: int,
    show_pii: bool,
) -> RunDiff:
    from dativo.pipeline.sampling import Pair

    hidden: dict[str, Treatment] = {} if show_pii else hidden_columns(job, stream)
    old, new = versions
    pair = Pair(old, new, _key(job, stream), hidden)
    seen = pair.compared(staging_root(job), rows)
    masked = tuple(n for n in hidden if any(f.name == n for f in (*old.fields, *new.fields)))

    def sample(frame: Any, version: Version) -> Sample:
        return Sample(frame, pair.shown_fields(version), stream.asset)

    return RunDiff(
        table=f"{stream.namespace}.{stream.table}",
        before=runs[0],
        after=runs[1],
        columns=column_changes(old.columns, new.columns),
        files_added=new.own,
        files_removed=old.own,
        rows=RowCounts(added=seen.counts[0], removed=seen.counts[1], changed=seen.counts[2], key=pair.key),
        added=sample(seen.added, new),
        removed=sample(seen.removed, old),
        changed=(sample(seen.before, old), sample(seen.after, new)),
        differing=seen.differing,
        not_compared=pair.not_compared(),
        masked=masked,
    )


def _key(job: ResolvedJob, stream: StreamConfig) -> tuple[str, ...]:
    """The contract's key, if its columns are in the table as they are or as hashes."""
    treated = purpose_treatments(job, stream, "warehouse")
    key = stream.asset.key
    return tuple(key) if all(treated.get(n, "none") in ("none", "hash") for n in key) else ()


def column_changes(before: Sequence[TableColumn], after: Sequence[TableColumn]) -> tuple[ColumnChange, ...]:
    """What happened to the columns: one is the same as long as its id is, whatever it is called."""
    old, new = {c.id: c for c in before}, {c.id: c for c in after}
    found = [ColumnChange(action="added", name=c.name, after=c.type) for i, c in new.items() if i not in old]
    found += [ColumnChange(action="removed", name=c.name, before=c.type) for i, c in old.items() if i not in new]
    for number, was in old.items():
        now = new.get(number)
        if now is None:
            continue
        if now.name != was.name:
            found.append(ColumnChange(action="renamed", name=now.name, before=was.name, after=now.name))
        if now.type != was.type:
            found.append(ColumnChange(action="retyped", name=now.name, before=was.type, after=now.type))
        if now.required != was.required:
            found.append(ColumnChange(action="required" if now.required else "relaxed", name=now.name))
    return tuple(found)
