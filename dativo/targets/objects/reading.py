"""Tables in object stores looked at: facts, rows, rejects. Nothing is made or written; only the manifest is trusted."""

from __future__ import annotations

from functools import cached_property

import polars as pl

from dativo.config.field import Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError
from dativo.targets.objects.columns import contract_field
from dativo.targets.objects.layout import Place
from dativo.targets.objects.located import located
from dativo.targets.objects.manifest import Commit, Manifest, entries, load
from dativo.targets.objects.memory import decode_state
from dativo.targets.objects.options import file_options
from dativo.targets.objects.rows import scanned
from dativo.targets.objects.target import check
from dativo.targets.protocol import Saved, TableShape
from dativo.targets.reading import TableColumn, TableFacts, TableSnapshot, Version
from dativo.targets.violations import REJECT_COLUMNS

_TAGS = ("asset.", "classification.", "finops.", "governance.", "source.", "lineage.")


class ObjectReader:
    """Looks at the table of one stream of a job."""

    def __init__(self, job: ResolvedJob, stream: StreamConfig) -> None:
        self.job = job
        self.stream = stream
        self.key = f"{job.tenant_id}.{job.name}.{stream.name}"

    @cached_property
    def place(self) -> Place:
        return located(self.job, self.stream)

    @cached_property
    def manifest(self) -> Manifest | None:
        found = load(self.place)
        return found[0] if found is not None else None

    def facts(self) -> TableFacts | None:
        manifest = self.manifest
        if manifest is None:
            return None
        fields = [contract_field(c) for c in manifest.columns]
        return TableFacts(
            name=f"{self.stream.namespace}.{self.stream.table}",
            catalog=f"{self.job.target_type} {manifest.format} files",
            location=self.place.name,
            rows=manifest.rows,
            files=manifest.files,
            bytes=manifest.bytes,
            columns=tuple(
                TableColumn(id=i, name=f.name, type=f.type_text(), required=f.required, comment=f.description)
                for i, f in enumerate(fields, 1)
            ),
            partitioning=manifest.partitioning,
            snapshots=tuple(_described(c, manifest) for c in manifest.commits),
            tags={k: v for k, v in sorted(manifest.properties.items()) if k.startswith(_TAGS)},
            jobs=tuple(sorted(manifest.runs)),
        )

    def fields(self) -> tuple[Field, ...] | None:
        return None if self.manifest is None else tuple(contract_field(c) for c in self.manifest.columns)

    def saved(self) -> Saved | None:
        if self.manifest is None:
            return None
        return decode_state(self.manifest, self.key, self.place, self.job.name)

    def tokens(self) -> tuple[str, ...]:
        return () if self.manifest is None else self.manifest.runs.get(self.key, ())

    def changes(self, shape: TableShape) -> tuple[str, ...]:
        found = check(self.manifest, self.place, shape, self.job, file_options(self.job))
        return tuple(str(c) for c in found if c.action != "describe")

    def rows(self) -> pl.LazyFrame | None:
        if self.manifest is None:
            return None
        return _rows(self.place, self.manifest, tuple(contract_field(c) for c in self.manifest.columns))

    def rejects(self) -> pl.LazyFrame | None:
        where = self.place.rejects()
        found = load(where)
        return None if found is None else _rows(where, found[0], REJECT_COLUMNS)

    def snapshots(self) -> tuple[TableSnapshot, ...]:
        """The newest one: files that a commit takes out are gone, so nothing before it can be read."""
        return () if self.manifest is None else tuple(_described(c, self.manifest) for c in self.manifest.commits[:1])

    def versions(self, before: int, after: int) -> tuple[Version, Version]:
        raise TargetError(
            f"the table {self.stream.namespace}.{self.stream.table} keeps no earlier versions",
            hint="Iceberg tables do: use the target iceberg to compare runs",
        )


def _rows(where: Place, manifest: Manifest, columns: tuple[Field, ...]) -> pl.LazyFrame:
    from dativo.contract.dtypes import polars_type

    found = scanned(where, manifest, entries(where, manifest), columns)
    return found if found is not None else pl.LazyFrame(schema={f.name: polars_type(f) for f in columns})


def _described(commit: Commit, manifest: Manifest) -> TableSnapshot:
    return TableSnapshot(
        id=commit.id,
        parent=commit.id - 1 if commit.id > 1 else None,
        at=commit.at,
        operation=commit.operation,
        run=commit.run,
        job=commit.job,
        upkeep=None,
        rows_added=commit.rows_added,
        rows_removed=commit.rows_removed,
        files_added=commit.files_added,
        files_removed=commit.files_removed,
        current=commit.id == manifest.generation,
    )
