"""What a run would do, without doing it: streams, strategy, what is new, schema changes, personal data, partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec

from dativo import connectors
from dativo.config.asset import Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import SchemaChangeRefused
from dativo.pipeline.plan import build, table_shape
from dativo.pipeline.refuse import refuse_unbuilt
from dativo.pipeline.relations import RelationOutline, connections, outlined
from dativo.pipeline.resume import resume_point
from dativo.pipeline.window import windowed
from dativo.privacy.classify import classes, is_personal
from dativo.sources.protocol import Extract, Meter
from dativo.state.store import read_state
from dativo.targets.protocol import TableShape
from dativo.targets.reading import TableReader


class ColumnOutline(msgspec.Struct, frozen=True, kw_only=True):
    """One column: where it comes from, what it becomes, which rules hold for it."""

    name: str
    source: str | None
    type: str
    rules: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    personal: bool = False
    treatment: str = "none"


class StreamOutline(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do with one stream. `cursor` is where the last commit ended, entry by entry.

    `relations` are those of a database, and `connections` how many read one of them at a time (None: the source chooses).
    """

    stream: str
    contract: str
    table: str
    table_exists: bool
    write_mode: str
    mode: str
    max_rejects: str | None
    strategy: str
    key: tuple[str, ...]
    cursor: dict[str, Any]
    files: tuple[str, ...]
    files_unchanged: int
    unchanged: bool
    columns: tuple[ColumnOutline, ...]
    partitioning: tuple[str, ...]
    schema_changes: tuple[str, ...]
    refused: str | None
    notes: tuple[str, ...]
    polars_plan: str
    relations: tuple[RelationOutline, ...] = ()
    connections: int | None = None


class JobOutline(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of a job would do. `does_nothing` names the blocks of the job that this version does not act on."""

    job: str
    tenant_id: str
    source: str
    target: str
    does_nothing: tuple[str, ...]
    streams: tuple[StreamOutline, ...]


def explain(
    job: ResolvedJob, *, polars: bool = False, since: str | None = None, until: str | None = None
) -> JobOutline:
    """What a run of the job would do now. Reads headers and the tables' metadata, writes nothing.

    With `polars` each outline has the plan as Polars will run it, else an empty text there; `since` and `until` are those
    of the run.

    Raises ConfigError for a window that the job's cursor cannot have, SourceError when the source is not what the job says,
    TargetError when the catalog cannot be asked, UnsupportedError for what this version cannot do.
    """
    refuse_unbuilt(job)
    job = windowed(job, since=since, until=until)
    return JobOutline(
        job=job.name,
        tenant_id=job.tenant_id,
        source=job.source_type,
        target=job.target_type,
        does_nothing=job.unbuilt,
        streams=tuple(_outline(job, stream, polars) for stream in job.streams),
    )


def _outline(job: ResolvedJob, stream: StreamConfig, polars: bool) -> StreamOutline:
    reader = connectors.reader(job, stream)
    source = connectors.source(job)
    exists = reader.fields() is not None
    today = datetime.now(UTC).date().isoformat()
    notes: list[str] = []
    state = read_state(job, notes, keep=False)
    since = resume_point(job, stream, reader.saved(), exists=exists, state=state, today=today)
    with ExitStack() as opened:
        extract = source.read(stream, since, meter=Meter(), full=since is None)
        opened.callback(extract.close)
        looked = extract
        if extract.unchanged:
            looked = source.read(stream, None, meter=Meter(), full=True)
            opened.callback(looked.close)
        plan = build(job, stream, looked, "warehouse")
        # The plan's text shows the key that hashes: another one stands in for it.
        text = plan.accepted("THE-TENANT-KEY").explain(engine="streaming") if polars else ""
        columns = _columns(job, stream, plan.treatments, looked)
    changes, refused = _changes(reader, table_shape(job, stream, plan.columns))
    return StreamOutline(
        stream=stream.name,
        contract=stream.asset.label,
        table=f"{stream.namespace}.{stream.table}",
        table_exists=exists,
        write_mode=job.write_mode,
        mode=job.validation_mode,
        max_rejects=str(stream.max_rejects) if stream.max_rejects is not None else None,
        strategy=str(job.incremental.strategy) if job.incremental is not None else "full load",
        key=stream.asset.key,
        cursor=since.entries if since is not None else {},
        files=extract.files,
        files_unchanged=extract.skipped,
        unchanged=extract.unchanged,
        columns=columns,
        partitioning=tuple(map(str, stream.partitioning)),
        schema_changes=changes,
        refused=refused,
        notes=(*notes, *plan.notes),
        polars_plan=text,
        relations=outlined(job, stream, since),
        connections=connections(job, stream),
    )


def _changes(reader: TableReader, shape: TableShape) -> tuple[tuple[str, ...], str | None]:
    try:
        return reader.changes(shape), None
    except SchemaChangeRefused as error:
        return (), error.message


def _columns(
    job: ResolvedJob, stream: StreamConfig, chosen: dict[str, Any], extract: Extract
) -> tuple[ColumnOutline, ...]:
    overrides = job.file.classification_overrides
    have = {c.name for c in extract.columns}
    return tuple(
        ColumnOutline(
            name=field.name,
            source=field.source_name if field.source_name in have else None,
            type=field.type_text(),
            rules=tuple(_rules(field)),
            classes=classes(field, overrides),
            personal=is_personal(field, overrides),
            treatment=chosen.get(field.name, "none"),
        )
        for field in stream.asset.fields
    )


def _rules(field: Field) -> Iterator[str]:
    """The rules of a column as a person reads them."""
    if field.primary_key:
        yield "key"
    if field.required:
        yield "required"
    if field.unique:
        yield "unique"
    if field.enum is not None:
        yield f"one of {', '.join(map(str, field.enum))}"
    if field.pattern is not None:
        yield f"matches {field.pattern}"
    if field.minimum is not None:
        yield f"{'>' if field.minimum_exclusive else '>='} {field.minimum}"
    if field.maximum is not None:
        yield f"{'<' if field.maximum_exclusive else '<='} {field.maximum}"
    if field.min_length is not None or field.max_length is not None:
        most = "" if field.max_length is None else field.max_length
        yield f"length {field.min_length or 0}..{most}"
    if field.default is not None:
        yield f"default {field.default}"
