"""The violations beside a table: a table of its own, always Parquet, in the folder `{table}__rejects`."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from dativo.config.field import Field
from dativo.targets.objects.columns import column
from dativo.targets.objects.commit import Plan, commit
from dativo.targets.objects.files import FileWriter
from dativo.targets.objects.layout import Place
from dativo.targets.objects.manifest import load

TARGET_BYTES = 150 << 20

REJECT_COLUMNS = (
    Field(name="run", kind="string", description="token of the run that found it"),
    Field(name="job", kind="string", description="tenant.job"),
    Field(name="action", kind="string", description="rejected, nulled (loaded with null) or refused (nothing loaded)"),
    Field(name="file", kind="string", description="source file"),
    Field(name="row", kind="long", description="number of the record in its file, from 1"),
    Field(name="column", kind="string", description="column of the contract; null when the whole record is bad"),
    Field(name="rule", kind="string", description="rule that was broken"),
    Field(name="value", kind="string", description="original value"),
    Field(name="record", kind="string", description="the whole row as JSON, or the record's text if it cannot be read"),
    Field(name="found_at", kind="timestamptz", description="when the run began"),
)


class Rejects:
    """Appends violations to the table of rejects at a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.writer: FileWriter | None = None

    def append(self, violations: pl.LazyFrame, *, token: str, key: str, job: str, action: str, found: datetime) -> int:
        """Commits the violations of a run, once; how many there were. Until then its files are those of `writer`."""
        before = load(self.place)
        if before is not None and token in before[0].runs.get(key, ()):
            return int(violations.select(pl.len()).collect(engine="streaming").item())
        self.writer = FileWriter(
            place=self.place,
            token=token,
            format="parquet",
            compression="zstd",
            columns=REJECT_COLUMNS,
            parts=(),
            target_bytes=TARGET_BYTES,
            number=before[0].next_number if before is not None else 1,
            describe=lambda *_: {},
            tags=lambda _: {},
            properties={},
        )
        rows = violations.with_columns(
            run=pl.lit(token),
            job=pl.lit(job),
            action=pl.lit(action),
            found_at=pl.lit(found).cast(pl.Datetime("us", "UTC")),
        )
        output = self.writer.output(rows)
        pl.collect_all([output.sink], engine="streaming")
        written = output.finish()
        plan = Plan(
            place=self.place,
            token=token,
            key=key,
            job=job,
            expected=None,
            check_expected=False,
            format="parquet",
            wanted=REJECT_COLUMNS,
            mode="merge",
            before=None,
            written=tuple(column(f) for f in REJECT_COLUMNS),
            partitioning=(),
            files=written.files,
            next_number=self.writer.next_number,
        )
        commit(plan)
        self.writer = None
        return written.rows

    def remove(self) -> None:
        """Removes what was written and not committed."""
        if self.writer is not None:
            self.writer.remove_all()
