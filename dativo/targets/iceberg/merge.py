"""Rows of a table changed by key: found, and then rewritten with their files or marked as deleted.

Copy-on-write writes the files that hold such rows anew and leaves all others alone. Merge-on-read leaves every data file
alone: it adds files with the positions of the rows that are gone, which readers take out. Either way the rows that stay keep
their order and their partition.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from dativo.config.asset import Field
from dativo.config.partition import INGEST_DATE
from dativo.errors import CommitConflict, TargetError
from dativo.staging.identity import HIGH, LOW
from dativo.targets.iceberg.contents import Contents, LiveFile
from dativo.targets.iceberg.deletes import equality_deletes_refused
from dativo.targets.iceberg.files import KEPT, MAX_OPEN, FileWriter
from dativo.targets.iceberg.matching import ROW, SLOT, Matching
from dativo.targets.iceberg.options import MergeMode
from dativo.targets.iceberg.overwrite import DELETED, UPDATED, Edit
from dativo.targets.iceberg.part import few_ahead, places_of
from dativo.targets.iceberg.positions import Deletion, deleted_positions, write_deletes
from dativo.targets.iceberg.pruning import possible
from dativo.targets.iceberg.schema import contract_fields, stored
from dativo.targets.protocol import Revision

# Rows of the files that are looked at together; each takes a bit of memory, each hit a few bytes.
BATCH_ROWS = 16_000_000
# A table that changed so many times while its rows were being looked for is too busy.
TRIES = 10
_AT = "__dativo_at"


class _Done(NamedTuple):
    base: tuple[int | None, int]
    edit: Edit


class Merge:
    """What a revision does to a table, worked out again when the table is another one than it was.

    `writer` is the one of the run; `attempts` tells how many files it had begun when each attempt began.
    """

    def __init__(
        self, revision: Revision, writer: FileWriter, mode: MergeMode, memory_limit: str | None = None
    ) -> None:
        self.revision = revision
        self.writer = writer
        self.mode = mode
        self.memory_limit = memory_limit
        self.done: _Done | None = None
        self.tries = 0
        self.attempts: list[int] = []

    def edit(self, table: Table, found: Contents) -> Edit:
        base = (table.metadata.current_snapshot_id, table.metadata.current_schema_id)
        if self.done is not None and self.done.base == base:
            return self.done.edit
        self.tries += 1
        if self.tries > TRIES:
            raise CommitConflict(
                f"{'.'.join(table.name())} changed {TRIES} times while its rows were being merged; nothing was changed",
                hint="run again when fewer programs write to the table",
            )
        if self.revision.gone is None and self.revision.amended is None:
            return Edit()
        equality_deletes_refused(table, found)
        if self.mode == "merge-on-read" and table.metadata.format_version != 2:
            raise TargetError(
                f"rows of {'.'.join(table.name())} cannot be merged on read: its format version is "
                f"{table.metadata.format_version}, and position deletes are those of version 2",
                hint="set target.engine.options.merge_mode: copy-on-write",
            )
        self.attempts.append(len(self.writer.given))
        self.done = None
        edit = _Work(self, table, found, f"{self.writer.token}{KEPT}-{self.tries}").run()
        self.done = _Done(base, edit)
        return edit

    def settle(self, table: Table, snapshot_id: int | None) -> None:
        """Removes the files of all attempts but the last, if the last is what the commit made visible."""
        if len(self.attempts) < 2 or self.done is None or snapshot_id is None:
            return
        snapshot = table.metadata.snapshot_by_id(snapshot_id)
        if snapshot is not None and snapshot.parent_snapshot_id == self.done.base[0]:
            self.writer.remove(self.writer.given[self.attempts[0] : self.attempts[-1]])


@dataclasses.dataclass(slots=True)
class _Hits:
    """Rows of some files by key: `file` (UInt32), `pos` (Int64) and SLOT; `dead` rows (file, pos) were deleted before."""

    files: Sequence[LiveFile]
    rows: pl.DataFrame
    dead: pl.DataFrame


class _Work:
    """One attempt, on the table as it is at one snapshot."""

    def __init__(self, merge: Merge, table: Table, found: Contents, token: str) -> None:
        self.revision = merge.revision
        self.mode = merge.mode
        self.table = table
        self.found = found
        schema = table.schema()
        self.writer = dataclasses.replace(
            merge.writer, token=token, schema=schema, columns=contract_fields(schema), constant={}
        )
        self.matching = Matching(merge.revision, schema, merge.memory_limit)
        self.storage = self.writer.storage
        self.changing = self._changing()
        self.gone: set[str] = set()
        self.added: list[DataFile] = []
        self.deletes: list[DataFile] = []
        self.updated = 0
        self.deleted = 0

    def run(self) -> Edit:
        matching = self.matching
        files = possible(self.found.files, matching.keys, matching.count, self.revision.key, self.writer)
        for batch in _batches(files):
            hits = self._hits(batch)
            if not hits.rows.is_empty():
                amended = hits.rows[SLOT].count()
                self.updated += amended
                self.deleted += hits.rows.height - amended
                (self._rewrite if self.mode == "copy-on-write" else self._mark)(hits)
        counts = {name: str(n) for name, n in ((UPDATED, self.updated), (DELETED, self.deleted)) if n}
        return Edit(self.gone, self.added, self.deletes, counts)

    def _hits(self, files: Sequence[LiveFile]) -> _Hits:
        found = self.matching.rows(places_of(self.table, files, self.storage))
        first = _first(files)
        file = (first.search_sorted(found[ROW].cast(pl.Int64), side="right") - 1).cast(pl.UInt32)
        rows = found.select(file=file, pos=pl.col(ROW).cast(pl.Int64) - first.gather(file), **{SLOT: pl.col(SLOT)})
        touched = rows["file"].unique().sort()
        # From here on files are numbered among those that are touched.
        number = pl.DataFrame({"file": touched, "n": pl.int_range(len(touched), dtype=pl.UInt32, eager=True)})
        rows = rows.join(number, on="file").select(SLOT, file="n", pos="pos")
        some = [files[i] for i in touched]
        dead = deleted_positions(some, self.storage)
        return _Hits(some, rows.join(dead, on=["file", "pos"], how="anti") if dead.height else rows, dead)

    def _rewrite(self, hits: _Hits) -> None:
        """The touched files anew, without the rows that are gone and with the new values of those that are amended."""
        hits = self._narrowed(hits)
        first = _first(hits.files)
        total = sum(live.file.record_count for live in hits.files)
        gone = hits.rows.filter(pl.col(SLOT).is_null())
        keep = pl.repeat(True, total, dtype=pl.Boolean, eager=True)
        for rows in (gone, hits.dead):
            keep = keep.scatter(_index(first, rows), False)
        self._write(hits, first, total, keep)
        self.gone.update(live.file.file_path for live in hits.files)

    def _narrowed(self, hits: _Hits) -> _Hits:
        """Without the files whose only hits were deleted before: nothing changes in them."""
        left = hits.rows["file"].unique().sort()
        if len(left) == len(hits.files):
            return hits
        number = pl.DataFrame({"file": left, "n": pl.int_range(len(left), dtype=pl.UInt32, eager=True)})
        rows, dead = (f.join(number, on="file").drop("file").rename({"n": "file"}) for f in (hits.rows, hits.dead))
        return _Hits([hits.files[i] for i in left], rows, dead)

    def _mark(self, hits: _Hits) -> None:
        """A delete file for each touched file; amended rows are written again with their new values."""
        deletions = []
        for rows in hits.rows.select("file", "pos").sort("file", "pos").partition_by("file", maintain_order=True):
            about = hits.files[rows["file"][0]].file
            deletions.append(Deletion(about, rows["pos"], self.writer.beside(about.file_path, "deletes")))
        self.deletes += write_deletes(deletions, self.storage)
        amended = hits.rows.filter(pl.col(SLOT).is_not_null())
        if amended.is_empty():
            return
        again = self._narrowed(dataclasses.replace(hits, rows=amended, dead=hits.dead.clear()))
        first = _first(again.files)
        total = sum(live.file.record_count for live in again.files)
        keep = pl.repeat(False, total, dtype=pl.Boolean, eager=True).scatter(_index(first, again.rows), True)
        self._write(again, first, total, keep)

    def _write(self, hits: _Hits, first: pl.Series, total: int, keep: pl.Series) -> None:
        """The rows of the files that are to be kept, with the values of amended ones."""
        places = places_of(self.table, hits.files, self.storage).with_row_index(ROW)
        kept = places.filter(_looked_up(keep, pl.col(ROW)))
        amended = hits.rows.filter(pl.col(SLOT).is_not_null())
        if amended.height:
            kept = self._amended(kept, amended, first, total)
        apart = {"__dativo_day": pl.col(INGEST_DATE)} if self._days_apart() else None
        spill = self.matching.folder if self._many_partitions(hits.files) else None
        output = self.writer.stored_output(kept.drop(ROW), spill=spill, apart=apart)
        with few_ahead(self.storage):
            pl.collect_all([output.sink], engine="streaming")
            self.added += output.finish().files

    def _amended(self, kept: pl.LazyFrame, hits: pl.DataFrame, first: pl.Series, total: int) -> pl.LazyFrame:
        assert self.revision.amended is not None
        given = pl.scan_parquet(self.revision.amended, row_index_name=SLOT).with_columns(pl.col(SLOT).cast(pl.Int64))
        fields = self.changing
        laid = given.select(SLOT, *(stored(f, self.table.schema().find_type(f.name)) for f in fields))
        wanted = hits.lazy().select(SLOT, at=_index(first, hits))
        values = wanted.join(laid, on=SLOT, how="inner").collect(engine="streaming")
        numbers = pl.int_range(values.height, dtype=pl.UInt32, eager=True)
        where = pl.repeat(None, total, dtype=pl.UInt32, eager=True).scatter(values["at"], numbers)
        marked = kept.with_columns(_looked_up(where, pl.col(ROW)).alias(_AT))
        new = {f.name: _looked_up(values[f.name], pl.col(_AT)) for f in fields}
        chosen = [pl.when(pl.col(_AT).is_not_null()).then(v).otherwise(pl.col(n)).alias(n) for n, v in new.items()]
        return marked.with_columns(chosen).drop(_AT)

    def _changing(self) -> list[Field]:
        """The columns that the amended rows have new values of."""
        if self.revision.amended is None:
            return []
        known = {f.name: f for f in self.writer.columns}
        fixed = {LOW, HIGH, *(f.name for f in self.revision.key)}
        names = [name for name in pl.scan_parquet(self.revision.amended).collect_schema().names() if name not in fixed]
        lacking = [name for name in names if name not in known]
        if lacking:
            raise TargetError(f"the table {'.'.join(self.table.name())} has no column {', '.join(lacking)} to change")
        return [known[name] for name in names]

    def _many_partitions(self, files: Sequence[LiveFile]) -> bool:
        """Whether more partitions may have to be written than may be open at once."""
        spec = self.writer.spec.spec_id
        others = any(live.file.spec_id != spec for live in files)
        moved = {p.column for p in self.writer.parts} & {f.name for f in self.changing}
        return others or bool(moved) or len({live.file.partition for live in files}) > MAX_OPEN

    def _days_apart(self) -> bool:
        """Whether rows of several days of loading would come into one file: a day can be replaced by whole files only."""
        return any(p.column == INGEST_DATE and p.transform in ("month", "year") for p in self.writer.parts)


def _batches(files: Sequence[LiveFile]) -> Iterator[list[LiveFile]]:
    batch: list[LiveFile] = []
    rows = 0
    for live in sorted(files, key=lambda f: (f.sequence, f.file.file_path)):
        if batch and rows + live.file.record_count > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(live)
        rows += live.file.record_count
    if batch:
        yield batch


def _first(files: Sequence[LiveFile]) -> pl.Series:
    """The number of each file's first row when the files are read one after another."""
    counts = [live.file.record_count for live in files]
    return pl.Series("first", [0, *counts[:-1]], dtype=pl.Int64).cum_sum()


def _index(first: pl.Series, rows: pl.DataFrame) -> pl.Series:
    return first.gather(rows["file"]) + rows["pos"]


def _looked_up(values: pl.Series, at: pl.Expr) -> pl.Expr:
    """The values at some numbers, null where a number is."""
    return at.map_batches(lambda s: values.gather(s), return_dtype=values.dtype, is_elementwise=True)
