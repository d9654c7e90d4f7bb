"""Tables in an object store as a target: S3, what speaks its protocol, and Azure Blob."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.field import Field
from dativo.config.partition import INGEST_DATE
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.evolve import Change, changes
from dativo.errors import DativoError, SchemaChangeRefused, TargetError
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.objects.columns import column, stored_column
from dativo.targets.objects.commit import commit
from dativo.targets.objects.files import FileWriter
from dativo.targets.objects.layout import Place, metadata, object_tags
from dativo.targets.objects.located import located
from dativo.targets.objects.manifest import Manifest, Segment, entries, load
from dativo.targets.objects.memory import decode_state, encode_state
from dativo.targets.objects.options import FileOptions, file_options
from dativo.targets.objects.plan import Plan, Replacing
from dativo.targets.objects.rejects import Rejects
from dativo.targets.objects.rows import scanned
from dativo.targets.protocol import APPEND, Committed, Opened, Output, Revision, TableShape, TooManyPartitions, Written
from dativo.targets.saved import DamagedState


class ObjectTarget:
    """Loads one stream of a job into one table."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig, token: str, started: datetime) -> None:
        self.job = job
        self.stream = stream
        self.token = token
        self.started = started
        self.key = f"{job.tenant_id}.{job.name}.{stream.name}"
        self.options: FileOptions = file_options(job)
        self.place: Place = located(job, stream)
        self.manifest: Manifest | None = None
        self.begun_on: Manifest | None = None
        self.shape: TableShape | None = None
        self.writer: FileWriter | None = None
        self.rejects: Rejects | None = None

    def open(self, shape: TableShape) -> Opened:
        self.shape = shape
        found = load(self.place)
        self.manifest = self.begun_on = found[0] if found is not None else None
        changing = check(self.manifest, self.place, shape, self.job, self.options)
        self.writer = self._file_writer(shape)
        opened = Opened(
            name=self.place.name,
            exists=self.manifest is not None,
            saved=None,
            changes=tuple(str(c) for c in changing if c.action != "describe"),
            location=self.place.name,
        )
        if self.manifest is not None:
            opened.shared = tuple(sorted(k for k in self.manifest.runs if k != self.key))
            try:
                opened.saved = decode_state(self.manifest, self.key, self.place, self.job.name)
            except DamagedState as error:
                opened.damaged = error
        return opened

    def _file_writer(self, shape: TableShape) -> FileWriter:
        job, stream, options = self.job, self.stream, self.options
        constant: dict[str, Any] = {}
        if any(p.column == INGEST_DATE for p in shape.partitioning) and stream.asset.field(INGEST_DATE) is None:
            constant[INGEST_DATE] = self.started.date()
        return FileWriter(
            place=self.place,
            token=self.token,
            format=options.format,
            compression=options.compression,
            columns=shape.columns,
            parts=shape.partitioning,
            target_bytes=options.target_bytes,
            number=self.manifest.next_number if self.manifest is not None else 1,
            describe=metadata(job, stream, self.started, options.format, options.compression, shape.properties),
            tags=object_tags(job, stream, shape.properties),
            properties=shape.properties,
            constant=constant,
            rows_a_group=options.rows_a_group,
            style=options.style,
        )

    def output(self, frame: pl.LazyFrame, *, spill: Path | None = None) -> Output:
        assert self.writer is not None
        output = self.writer.output(frame, spill=spill)
        finish = output.finish

        def finished() -> Written:
            with _failures(f"writing the files of {self.place.name}"):
                return finish()

        return Output(output.sink, finished, output.failure)

    def existing(self, columns: Sequence[Field]) -> pl.LazyFrame | None:
        if self.manifest is None:
            return None
        return scanned(self.place, self.manifest, entries(self.place, self.manifest), columns)

    def keep_rejects(self, violations: pl.LazyFrame, action: str) -> int:
        """Appends violations to the table's rejects; how many there were."""
        self.rejects = Rejects(self.place.rejects())
        with _failures(f"keeping the rejects of {self.place.name}"):
            return self.rejects.append(
                violations, token=self.token, key=self.key, job=self._job_name(), action=action, found=self.started
            )

    def commit(
        self, written: Written, cursor: Cursor, plan_hash: str, receipt: StreamReceipt, revision: Revision = APPEND
    ) -> Committed:
        assert self.shape is not None and self.writer is not None
        before = self.begun_on
        plan = Plan(
            place=self.place,
            token=self.token,
            key=self.key,
            job=self._job_name(),
            expected=before.newest(self.key) if before is not None else None,
            check_expected=True,
            format=self.options.format,
            style=self.options.style,
            wanted=self.shape.columns,
            mode=self.job.schema_mode,
            before=before.columns if before is not None else None,
            written=tuple(column(f) for f in self.shape.columns),
            partitioning=tuple(map(str, self.shape.partitioning)),
            properties=self.shape.properties,
            files=written.files,
            next_number=self.writer.next_number,
            state=encode_state(cursor, plan_hash, receipt, self.place, self.token),
            replace=self._replacing() if revision.kind == "replace" else None,
        )
        self.manifest = commit(plan)
        return Committed(self.manifest.commit_of(self.token))

    def _replacing(self) -> Replacing:
        """Which files a replacing run takes out: all, or those of the run's own ingest date."""
        assert self.writer is not None
        day = self.writer.day
        if day is None:
            return Replacing(lambda _: True, lambda _: True)

        def touches(segment: Segment) -> bool:
            return segment.first_day is not None and segment.first_day <= day <= (segment.last_day or day)

        return Replacing(lambda entry: entry.day == day, touches)

    def _job_name(self) -> str:
        return f"{self.job.tenant_id}.{self.job.name}"

    def abort(self) -> None:
        if self.writer is not None:
            self.writer.remove_all()
        if self.rejects is not None:
            self.rejects.remove()


def check(
    manifest: Manifest | None, where: Place, shape: TableShape, job: ResolvedJob, options: FileOptions
) -> tuple[Change, ...]:
    """What a run changes of a table's columns; SchemaChangeRefused when the table cannot take what the job writes."""
    if manifest is None:
        return ()
    partitioning = tuple(map(str, shape.partitioning))
    if manifest.partitioning != partitioning:
        have, wanted = (", ".join(p) or "nothing" for p in (manifest.partitioning, partitioning))
        raise SchemaChangeRefused(
            f"the table {where.name} is partitioned by {have}, the job wants {wanted}",
            hint="set target.partitioning to what the table has, or load into another table",
            mark=job.mark("target.partitioning"),
            field="target.partitioning",
        )
    if manifest.format != options.format:
        raise SchemaChangeRefused(
            f"the files of {where.name} are {manifest.format}, the job writes {options.format}",
            hint="set target.file_format to what the table has, or load into another prefix",
            mark=job.mark("target.file_format"),
            field="target.file_format",
        )
    if manifest.style != options.style:
        raise SchemaChangeRefused(
            f"the CSV files of {where.name} are not written as the job writes them: delimiter {manifest.style.delimiter!r}, "
            f"quote {manifest.style.quote!r}, {'a' if manifest.style.header else 'no'} line of names",
            hint="set target.engine.options to what the table has, or load into another folder",
            mark=job.mark("target.engine"),
            field="target.engine.options",
        )
    return changes([stored_column(c) for c in manifest.columns], shape.columns, job.schema_mode, where.name)


@contextmanager
def _failures(doing: str) -> Iterator[None]:
    """Foreign errors in dativo's words."""
    try:
        yield
    except (DativoError, TooManyPartitions):
        raise
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise TargetError(f"{doing} failed: {first}") from error
