"""Compaction: small files of one partition become one file, their rows in the order that the files had.

Rows go through Polars in a stream, one new file at a time, without those whose positions are deleted. Counts of rows and
nulls are compared before anything is committed, and the commit is refused when a rival took away one of the files, or rows
of them, meanwhile; what rivals add stays.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import Table

from dativo.config.partition import INGEST_DATE
from dativo.errors import CommitConflict, CommitUnknown, TargetError
from dativo.targets.iceberg.commit import commit
from dativo.targets.iceberg.contents import LiveFile, contents, deleted_rows
from dativo.targets.iceberg.plan import Plan
from dativo.targets.iceberg.upkeep.objects import normal, removed
from dativo.targets.iceberg.upkeep.rewrite import Rewriter
from dativo.targets.upkeep import Compaction, NotHere, Wanted

# A file of at least this part of the wanted size is left alone, and so are fewer small files than this together:
# otherwise every run would write most of a partition again.
LARGE_ENOUGH = 0.75
FEWEST = 5
# A file of whose rows more than this part is deleted is written anew whatever its size: reading it costs more than it gives.
RIDDLED = 0.1
# What is rewritten is committed in steps of about this many bytes, so that a conflict costs no more than one of them.
STEP_BYTES = 10 << 30
TOKEN_KEY = "dativo.maintain"  # noqa: S105 - no secret


def live_files(table: Table) -> list[LiveFile]:
    """The data files of the current snapshot; NotHere when rows are deleted by value."""
    found = contents(table.current_snapshot(), table.io)
    if found.equality_deletes:
        raise NotHere(
            f"rows of {'.'.join(table.name())} were deleted by value (equality deletes, as Flink writes them): merged files "
            "could bring them back, and no count would tell",
            hint="compact it with the tool that wrote them, as Spark's `rewrite_data_files`",
        )
    return found.files


def groups(table: Table, files: Iterable[LiveFile], file_bytes: int) -> list[list[LiveFile]]:
    """The files that are to become one file each, oldest rows first.

    They are small, or so many of their rows are deleted that readers feel it.
    """
    day = _day_of(table)
    spec = table.spec().spec_id
    small: dict[Any, list[LiveFile]] = defaultdict(list)
    for live in files:
        file = live.file
        wanted = file.file_size_in_bytes < file_bytes * LARGE_ENOUGH or _riddled(live)
        if wanted and file.spec_id == spec and file.file_format == FileFormat.PARQUET:
            small[(file.partition, _bounds(file, day))].append(live)
    return [group for alike in small.values() for group in _packed(alike, file_bytes)]


def _riddled(live: LiveFile) -> bool:
    """Whether many of a file's rows are deleted."""
    return deleted_rows(live) > live.file.record_count * RIDDLED


def _packed(files: list[LiveFile], file_bytes: int) -> Iterator[list[LiveFile]]:
    group: list[LiveFile] = []
    size = 0
    for live in sorted(files, key=lambda f: (f.sequence, f.file.file_path)):
        if group and size + live.file.file_size_in_bytes > file_bytes:
            yield from _worthwhile(group, size, file_bytes)
            group, size = [], 0
        group.append(live)
        size += live.file.file_size_in_bytes
    yield from _worthwhile(group, size, file_bytes)


def _worthwhile(group: list[LiveFile], size: int, file_bytes: int) -> Iterator[list[LiveFile]]:
    many = len(group) >= FEWEST or (len(group) > 1 and size >= file_bytes * LARGE_ENOUGH)
    if many or any(map(_riddled, group)):
        yield group


def _day_of(table: Table) -> int | None:
    """The id of the column with the day of loading: files of different days stay apart, so that a day can be replaced."""
    with contextlib.suppress(ValueError):
        return table.schema().find_field(INGEST_DATE).field_id
    return None


def _bounds(file: DataFile, column: int | None) -> tuple[bytes | None, bytes | None]:
    if column is None:
        return None, None
    return (file.lower_bounds or {}).get(column), (file.upper_bounds or {}).get(column)


def compact(catalog: Catalog, table: Table, wanted: Wanted) -> Compaction:
    """Merges the small files of a table, or tells what would be merged.

    Raises NotHere for a table whose files must not be rewritten, CommitConflict when a rival replaced rows meanwhile,
    TargetError when the rows or nulls of a new file are not those of the old ones.
    """
    if table.metadata.format_version > 2:
        raise NotHere(
            f"{'.'.join(table.name())} has format version {table.metadata.format_version}: rewriting its files would "
            "give its rows new row ids",
            hint="compact it with the tool that made it",
        )
    files = live_files(table)
    todo = groups(table, files, wanted.file_bytes)
    before = sum(live.file.file_size_in_bytes for live in files)
    merged = sum(map(len, todo))
    made = len(todo)
    after: int | None = before
    if todo and wanted.act:
        work = _Work(catalog, table, wanted)
        after = before + sum(work.step(part) for part in _steps(todo))
        made = work.made
    elif todo:
        after = None
    return Compaction(
        files_before=len(files),
        files_after=len(files) - merged + made,
        bytes_before=before,
        bytes_after=after,
        merged=merged,
        made=made,
        riddled=sum(map(_riddled, files)),
        rows=sum(live.file.record_count for group in todo for live in group),
    )


def _steps(todo: list[list[LiveFile]]) -> Iterator[list[list[LiveFile]]]:
    step: list[list[LiveFile]] = []
    size = 0
    for group in todo:
        step.append(group)
        size += sum(live.file.file_size_in_bytes for live in group)
        if size >= STEP_BYTES:
            yield step
            step, size = [], 0
    if step:
        yield step


class _Work:
    """Rewrites groups of a table and commits them; what is not committed is removed again."""

    def __init__(self, catalog: Catalog, table: Table, wanted: Wanted) -> None:
        self.catalog = catalog
        self.table = table
        self.rewriter = Rewriter(table, wanted.token)
        self.token = wanted.token
        self.number = 0
        self.made = 0

    def step(self, part: list[list[LiveFile]]) -> int:
        """One commit; by how many bytes the table grew, which is less than nothing as a rule."""
        made: list[DataFile] = []
        try:
            for group in part:
                file = self.rewriter.rewritten(group)
                if file.record_count:
                    made.append(file)
                else:
                    removed(self.table.io, self.table.location(), [normal(self.rewriter.written.pop())])
            self._commit(part, made)
        except CommitUnknown:
            raise
        except BaseException:
            with contextlib.suppress(TargetError):
                removed(self.table.io, self.table.location(), map(normal, self.rewriter.written))
            raise
        self.rewriter.written.clear()
        self.made += len(made)
        old = sum(live.file.file_size_in_bytes for group in part for live in group)
        return sum(file.file_size_in_bytes for file in made) - old

    def _commit(self, part: list[list[LiveFile]], made: list[DataFile]) -> None:
        table = self.table
        namespace, name = table.name()[:-1], table.name()[-1]
        self.number += 1
        plan = Plan(
            identifier=(".".join(namespace), name),
            token=f"{self.token}-{self.number}",
            token_key=TOKEN_KEY,
            expected=None,
            check_expected=False,
            properties={},
            files=made,
            schema=table.schema(),
            spec=table.spec(),
            written_spec=table.spec(),
            rewrites={
                live.file.file_path: frozenset(f.file_path for f in live.deletes) for group in part for live in group
            },
            summary={TOKEN_KEY: "compact"},
        )
        try:
            commit(self.catalog, plan)
        except CommitConflict as conflict:
            if self.number == 1:
                raise
            raise CommitConflict(
                f"{conflict.message.removesuffix('; nothing was changed')}; the {self.number - 1} steps before stand",
                hint=conflict.hint,
            ) from conflict
