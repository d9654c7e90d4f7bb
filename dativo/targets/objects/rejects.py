"""The violations beside a table: a table of its own, always Parquet, in the folder `{table}__rejects`."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from dativo.targets.objects.columns import column
from dativo.targets.objects.commit import commit
from dativo.targets.objects.files import FileWriter
from dativo.targets.objects.layout import Place
from dativo.targets.objects.manifest import load
from dativo.targets.objects.plan import Plan
from dativo.targets.violations import REJECT_COLUMNS, TARGET_BYTES, of_run


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
        rows = of_run(violations, token=token, job=job, action=action, found=found)
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
