"""The table of violations beside a table: what was found, where, and what was done about it."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from pyiceberg.catalog import Catalog

from dativo.targets.iceberg.commit import commit
from dativo.targets.iceberg.files import FileWriter
from dativo.targets.iceberg.lookup import looked_at
from dativo.targets.iceberg.partitions import partition_spec
from dativo.targets.iceberg.plan import Plan, field_ids
from dativo.targets.iceberg.schema import iceberg_schema
from dativo.targets.iceberg.staged import stage_schema
from dativo.targets.iceberg.storage import storage_options
from dativo.targets.violations import REJECT_COLUMNS, TARGET_BYTES, of_run

REJECTS_SUFFIX = "__rejects"


class Rejects:
    """Appends violations to the rejects table of `of`, a table's namespace and name."""

    def __init__(self, catalog: Catalog, properties: dict[str, str], of: tuple[str, str]) -> None:
        self.catalog = catalog
        self.properties = properties
        self.of = of
        self.writer: FileWriter | None = None

    def append(
        self, violations: pl.LazyFrame, *, token: str, token_key: str, job: str, action: str, found: datetime
    ) -> int:
        """Commits the violations of a run; how many there were. Until then its files are those of `writer`."""
        plan = self._plan(token, token_key)
        staged = looked_at(self.catalog, plan.identifier, lambda table: stage_schema(self.catalog, table, plan))
        metadata = staged.metadata
        plan.location, plan.io = metadata.location, staged.io
        plan.ids = field_ids(metadata.schema())
        plan.written_spec = metadata.spec()
        self.writer = FileWriter(
            location=metadata.location,
            token=token,
            schema=metadata.schema(),
            columns=REJECT_COLUMNS,
            parts=(),
            spec=metadata.spec(),
            target_bytes=TARGET_BYTES,
            storage=storage_options(metadata.location, staged.io.properties),
            constant={},
            io=staged.io,
        )
        rows = of_run(violations, token=token, job=job, action=action, found=found)
        output = self.writer.output(rows)
        pl.collect_all([output.sink], engine="streaming")
        written = output.finish()
        plan.files = written.files
        commit(self.catalog, plan)
        self.writer = None
        return written.rows

    def remove(self) -> None:
        """Removes what was written and not committed."""
        if self.writer is not None:
            self.writer.remove_all()

    def _plan(self, token: str, token_key: str) -> Plan:
        schema = iceberg_schema(REJECT_COLUMNS)
        return Plan(
            identifier=(self.of[0], self.of[1] + REJECTS_SUFFIX),
            token=token,
            token_key=token_key,
            expected=None,
            check_expected=False,
            properties={"dativo.rejects-of": ".".join(self.of)},
            files=[],
            schema=schema,
            spec=partition_spec((), schema),
            summary={"dativo.run": token},
        )
