"""One stream's way from source to table as a lazy plan: what is read, enforced, treated and written.

Nothing is read here but headers; the plan runs when its frames are collected or sunk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from dativo.config.asset import Field
from dativo.config.dsn import without_login
from dativo.config.job import Source
from dativo.config.partition import INGEST_DATE
from dativo.config.privacy import Treatment
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ConfigError, Problem, UnsupportedError
from dativo.pipeline.history import added_fields, check_names
from dativo.privacy.classify import PurposeName, treatments
from dativo.privacy.tags import column_comment, table_properties
from dativo.targets.protocol import TableShape

if TYPE_CHECKING:
    import polars as pl

    from dativo.contract.enforce import Enforced
    from dativo.sources.protocol import Extract

DUPLICATE = "__dativo_duplicate"
# Treatments that leave different values different.
FAITHFUL = ("none", "hash")
_OPENS = re.compile(r"password|token|secret|key", re.IGNORECASE)


@dataclass(slots=True)
class StreamPlan:
    """What a run of one stream does.

    `accepted` has the table's columns (without the ingest date, which is added where it is wanted), `violations` one row
    a broken rule. `treatments` are those of the purpose that the plan is for. `added` are further columns of the table,
    which its write mode asks for.
    """

    job: ResolvedJob
    stream: StreamConfig
    extract: Extract
    enforced: Enforced
    treatments: dict[str, Treatment]
    columns: tuple[Field, ...]
    notes: list[str] = field(default_factory=list)
    added: tuple[pl.Expr, ...] = ()

    def accepted(self, key: str | None = None) -> pl.LazyFrame:
        """The rows that are loaded, treated for the purpose."""
        import polars as pl

        good = self.enforced.good()
        frame = self.enforced.frame
        if DUPLICATE in frame.collect_schema().names():
            good = good & ~pl.col(DUPLICATE)
        return frame.filter(good).select(*self.expressions(key), *self.added)

    def expressions(self, key: str | None = None) -> list[pl.Expr]:
        """The table's columns over the enforced frame."""
        from dativo.privacy.mask import treated

        by_name = {f.name: f for f in self.stream.asset.fields}
        found = []
        for name, value in self.enforced.columns().items():
            if name in self.treatments:
                changed = treated(by_name[name], value, self.treatments[name], key)
                if changed is not None:
                    found.append(changed.alias(name))
            else:
                found.append(value)
        return found


def stream_columns(
    job: ResolvedJob, stream: StreamConfig, chosen: Mapping[str, Treatment], extra: tuple[str, ...]
) -> tuple[Field, ...]:
    """The table's columns: the contract's after treatment, and in warn mode the source's further ones as text."""
    overrides = job.file.classification_overrides
    columns = []
    for entry in stream.asset.fields:
        column: Field | None = entry
        if entry.name in chosen:
            from dativo.privacy.mask import treated_field

            column = treated_field(entry, chosen[entry.name])
        if column is None:
            continue
        comment = column_comment(entry.description, overrides.get(entry.name, entry.classification))
        required = column.required and job.validation_mode != "warn"
        columns.append(msgspec.structs.replace(column, description=comment, required=required))
    if job.validation_mode == "warn":
        columns += [Field(name=name, kind="string", description="not in the contract") for name in extra]
    return tuple(columns)


def table_shape(job: ResolvedJob, stream: StreamConfig, columns: tuple[Field, ...]) -> TableShape:
    """The table that a stream wants: the ingest date where it is partitioned by it, and what its write mode adds, included.

    Raises UnsupportedError where a column has the name of one that the write mode adds.
    """
    names = [c.name for c in columns]
    check_names(job, names)
    for position, part in enumerate(stream.partitioning):
        if part.column not in names and part.column != INGEST_DATE:
            raise ConfigError(
                [
                    Problem(
                        f"'{part.column}' partitions the table, but privacy drops it",
                        job.mark(f"target.partitioning[{position}]"),
                        f"target.partitioning[{position}]",
                        "partition by another column, or keep this one",
                    )
                ]
            )
    wants_date = any(p.column == INGEST_DATE for p in stream.partitioning)
    if wants_date and INGEST_DATE not in names:
        columns = (*columns, Field(name=INGEST_DATE, kind="date", description="day the rows were loaded, UTC"))
    return TableShape((*columns, *added_fields(job)), stream.partitioning, table_properties(job, stream.asset))


def build(
    job: ResolvedJob,
    stream: StreamConfig,
    extract: Extract,
    purpose: PurposeName,
    *,
    extra_flags: tuple[tuple[str, str, Any], ...] = (),
    chosen: dict[str, Treatment] | None = None,
) -> StreamPlan:
    """The plan of a stream over what its source gives; with `chosen` those treatments instead of the purpose's."""
    from dativo.contract.enforce import Provenance, enforce
    from dativo.sources.protocol import FAULT, FILE, PROVENANCE, ROW, TEXT

    dtypes = None
    if extract.encoding == "typed":
        schema = extract.frame.collect_schema()
        dtypes = {n: t for n, t in schema.items() if n not in PROVENANCE}
    if chosen is None:
        chosen = treatments(stream.asset, stream.privacy, purpose, job.file.classification_overrides)
    enforced = enforce(
        extract.frame,
        stream.asset,
        job.validation_mode,
        columns=[c.name for c in extract.columns],
        dtypes=dtypes,
        rules=extract.rules,
        provenance=Provenance(FILE, ROW, FAULT, TEXT),
        extra_flags=extra_flags,
    )
    columns = stream_columns(job, stream, chosen, enforced.extra)
    return StreamPlan(job, stream, extract, enforced, chosen, columns, [*extract.notes, *enforced.notes])


def plan_hash(job: ResolvedJob, stream: StreamConfig, today: str) -> str:
    """A hash of what, besides the source's own content, decides what a full load gives."""
    by_date = any(p.column == INGEST_DATE for p in stream.partitioning)
    parts = [
        stream.asset.hash,
        [str(p) for p in stream.partitioning],
        job.validation_mode,
        job.write_mode,
        job.source_type,
        _without_secrets(job.source),
        stream.privacy,
        job.file.classification_overrides,
        today if by_date else "",
    ]
    if job.target.detect_deletes not in (None, "none"):
        parts.append(job.target.detect_deletes)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]


def _without_secrets(source: Source) -> Source:
    """A source's settings without those that only open it: a password that was changed changes no row."""
    kept = {k: v for k, v in source.connection.items() if not _OPENS.search(k)}
    dsn = without_login(source.dsn) if source.dsn else None
    return msgspec.structs.replace(source, connection=kept, credentials={}, dsn=dsn)


def privacy_key(job: ResolvedJob, chosen: Mapping[str, Treatment]) -> str | None:
    """The tenant's key of hashed columns, where one is needed; UnsupportedError with the remedy when there is none."""
    if "hash" not in chosen.values():
        return None
    secret = job.secrets.text("privacy_key")
    if secret is None:
        name = job.tenant_id.upper().replace("-", "_").replace(".", "_")
        raise UnsupportedError(
            f"hashing needs a key of tenant '{job.tenant_id}', and none is set",
            hint=f"set DATIVO_SECRET__{name}__PRIVACY_KEY, for example to the output of `openssl rand -hex 32`; keep it: "
            "another key gives other hashes",
            field="privacy.warehouse",
            mark=job.mark("privacy.warehouse"),
        )
    return secret
