"""The table of connectors that this version can run: the only place where names meet classes.

A connector that the registry knows and this table does not is valid configuration, but a run refuses it.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, cast

from dativo.config.decode import Problems
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError, UnsupportedError
from dativo.receipt import StreamReceipt
from dativo.sources.protocol import Source
from dativo.targets.protocol import Publisher, Target
from dativo.targets.reading import TableReader
from dativo.targets.upkeep import TableKeeper


class Adapter(NamedTuple):
    """Where an adapter is, as `module:attribute`, and the extra to install.

    `options` is the function that checks a source's options, `reader` looks at a target's tables, `unbuilt` is the
    function that tells what of a target's settings this version cannot carry out, `keeper` is for the tables' upkeep,
    `forget` is the function that empties a table's memory of a job, `publisher` the one that gives what publishes tables
    together, if anything does, `check` tells what stands between a job and the target, `explain` puts a failure into the
    words of the job's settings, `formats` are those of a target's files, `merges` tells that a target carries out revisions
    of the kind `merge`.
    """

    adapter: str
    options: str | None
    extra: str
    reader: str | None = None
    unbuilt: str | None = None
    keeper: str | None = None
    forget: str | None = None
    publisher: str | None = None
    check: str | None = None
    explain: str | None = None
    formats: tuple[str, ...] = ("parquet", "iceberg")
    merges: bool = False


def _objects(extra: str) -> Adapter:
    """Tables of plain files in an object store."""
    return Adapter(
        "dativo.targets.objects.target:ObjectTarget",
        None,
        extra,
        "dativo.targets.objects.reading:ObjectReader",
        "dativo.targets.objects.options:unbuilt",
        keeper="dativo.targets.objects.keeper:ObjectKeeper",
        forget="dativo.targets.objects.forget:forget",
        check="dativo.targets.objects.check:check",
        formats=("parquet", "csv", "json"),
    )


def _database(extra: str) -> Adapter:
    """Tables in a database."""
    return Adapter(
        "dativo.targets.databases.target:DatabaseTarget",
        None,
        extra,
        "dativo.targets.databases.reading:DatabaseReader",
        "dativo.targets.databases.dialects:unbuilt",
        forget="dativo.targets.databases.forget:forget",
        check="dativo.targets.databases.check:check",
        formats=(),
        merges=True,
    )


_STORE = "dativo.sources.object_store:ObjectStoreSource"
SOURCES = {
    "csv": Adapter("dativo.sources.csv:CsvSource", "dativo.sources.options:csv_options", "csv"),
    "jsonl": Adapter("dativo.sources.jsonl:JsonlSource", "dativo.sources.options:jsonl_options", "jsonl"),
    "parquet": Adapter("dativo.sources.parquet:ParquetSource", "dativo.sources.options:parquet_options", "parquet"),
    "s3": Adapter(_STORE, "dativo.sources.options:store_options", "s3"),
    "minio": Adapter(_STORE, "dativo.sources.options:store_options", "minio"),
    "azure_blob": Adapter(_STORE, "dativo.sources.options:store_options", "azure_blob"),
    "postgres": Adapter(
        "dativo.sources.postgres.source:PostgresSource", "dativo.sources.database_options:database_options", "postgres"
    ),
    "mysql": Adapter(
        "dativo.sources.mysql.source:MysqlSource", "dativo.sources.database_options:database_options", "mysql"
    ),
    "sqlite": Adapter(
        "dativo.sources.sqlite.source:SqliteSource", "dativo.sources.database_options:database_options", "sqlite"
    ),
}
TARGETS = {
    "iceberg": Adapter(
        "dativo.targets.iceberg.target:IcebergTarget",
        None,
        "iceberg",
        "dativo.targets.iceberg.reading:IcebergReader",
        "dativo.targets.iceberg.catalog:unbuilt",
        keeper="dativo.targets.iceberg.upkeep.keeper:IcebergKeeper",
        forget="dativo.targets.iceberg.forget:forget",
        publisher="dativo.targets.iceberg.branch:publisher",
        check="dativo.targets.iceberg.check:check",
        explain="dativo.targets.iceberg.explain:explain",
        merges=True,
    ),
    "s3": _objects("s3"),
    "minio": _objects("minio"),
    "azure_blob": _objects("azure_blob"),
    "csv": _objects("csv")._replace(formats=("csv",)),
    "postgres": _database("postgres"),
    "mysql": _database("mysql"),
}


def source(job: ResolvedJob) -> Source:
    """The job's source; UnsupportedError when this version has none of its type."""
    return cast(Source, _load(_adapter(SOURCES, "source", job.source_type, job))(job))


def target(job: ResolvedJob, stream: StreamConfig, token: str, started: datetime) -> Target:
    """The job's target for a stream; UnsupportedError when this version has none of its type."""
    return cast(Target, _load(_adapter(TARGETS, "target", job.target_type, job))(job, stream, token, started))


def reader(job: ResolvedJob, stream: StreamConfig) -> TableReader:
    """What looks at the table of a stream; UnsupportedError when this version has no reader for the job's target."""
    adapter = _adapter(TARGETS, "target", job.target_type, job)
    if adapter.reader is None:
        raise UnsupportedError(f"tables of the target '{job.target_type}' cannot be read back")
    return cast(TableReader, _load(adapter._replace(adapter=adapter.reader))(job, stream))


def keeper(job: ResolvedJob, stream: StreamConfig) -> TableKeeper:
    """What keeps the tables of a stream; UnsupportedError when the job's target has none to be kept."""
    adapter = _adapter(TARGETS, "target", job.target_type, job)
    if adapter.keeper is None:
        raise UnsupportedError(f"the target '{job.target_type}' has no tables that need upkeep")
    return cast(TableKeeper, _load(adapter._replace(adapter=adapter.keeper))(job, stream))


def forget(job: ResolvedJob, stream: StreamConfig, token: str, expected: str | None, receipt: StreamReceipt) -> None:
    """Empties what the stream's table remembers of the job, if its newest token is the expected one."""
    adapter = _adapter(TARGETS, "target", job.target_type, job)
    if adapter.forget is None:
        raise UnsupportedError(f"tables of the target '{job.target_type}' remember nothing")
    _load(adapter._replace(adapter=adapter.forget))(job, stream, token, expected, receipt)


def publisher(job: ResolvedJob) -> Publisher | None:
    """What publishes the job's tables together; None where its target has no branches."""
    adapter = _adapter(TARGETS, "target", job.target_type, job)
    if adapter.publisher is None:
        return None
    return cast("Publisher | None", _load(adapter._replace(adapter=adapter.publisher))(job))


def explained(job: ResolvedJob, error: DativoError) -> DativoError:
    """A failure of a run in the words of the job's settings, where the target knows which of them it comes from."""
    adapter = _adapter(TARGETS, "target", job.target_type, job)
    if adapter.explain is None:
        return error
    return cast(DativoError, _load(adapter._replace(adapter=adapter.explain))(job, error))


def check_target(job: ResolvedJob) -> list[dict[str, Any]]:
    """What stands between the job and its target: one entry `{name, ok, message, hint}` a finding, with `code` and
    `retryable` where it is not ok. Nothing where the target has no check."""
    adapter = _adapter(TARGETS, "target", job.target_type, job)
    if adapter.check is None:
        return []
    return cast(list[dict[str, Any]], _load(adapter._replace(adapter=adapter.check))(job))


def unbuilt(job: ResolvedJob) -> Iterator[UnsupportedError]:
    """Why this version cannot read the job's source or write its target; nothing when it can."""
    if job.source.custom_reader:
        yield _plugin("source.custom_reader", "custom readers", SOURCES, job)
    elif job.source_type not in SOURCES:
        yield _no_adapter("source", job.source_type, SOURCES, job)
    if job.target.custom_writer:
        yield _plugin("target.custom_writer", "custom writers", TARGETS, job)
    elif job.target_type not in TARGETS:
        yield _no_adapter("target", job.target_type, TARGETS, job)
    else:
        adapter = TARGETS[job.target_type]
        if job.target.file_format not in (None, *adapter.formats):
            yield _no_format(job, adapter.formats)
        if adapter.unbuilt is not None:
            yield from _load(adapter._replace(adapter=adapter.unbuilt))(job)


def _plugin(field: str, what: str, table: dict[str, Adapter], job: ResolvedJob) -> UnsupportedError:
    hint = f"use a connector; this version has: {', '.join(table)}"
    return UnsupportedError(f"{what} are not built yet", mark=job.mark(field), field=field, hint=hint)


def _no_format(job: ResolvedJob, formats: tuple[str, ...]) -> UnsupportedError:
    field = "target.file_format"
    return UnsupportedError(
        f"file_format '{job.target.file_format}' is not built yet for target {job.target_type}",
        mark=job.mark(field),
        field=field,
        hint=f"use {' or '.join(formats)}" if formats else "leave it out: there are no files",
    )


def _no_adapter(role: str, name: str, table: dict[str, Adapter], job: ResolvedJob) -> UnsupportedError:
    field = f"{role}_connector_path"
    return UnsupportedError(
        f"the {role} '{name}' is not built yet",
        mark=job.mark(field),
        field=field,
        hint=f"this version has: {', '.join(table)}",
    )


def _adapter(table: dict[str, Adapter], role: str, name: str, job: ResolvedJob) -> Adapter:
    adapter = table.get(name)
    if adapter is None:
        raise _no_adapter(role, name, table, job)
    return adapter


def _load(adapter: Adapter) -> Any:
    module, _, attribute = adapter.adapter.partition(":")
    try:
        with _no_collections():
            return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the connector '{adapter.extra}' needs the package '{error.name}'",
            hint=f"pip install 'dativo[{adapter.extra}]'",
        ) from None


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keeps the garbage collector away while modules are imported: they make much and leave no garbage behind."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def check_options(job: ResolvedJob) -> Problems:
    """Mistakes and warnings in the options of the job's source, found without loading the source itself."""
    from dativo.errors import ConfigError

    problems = Problems()
    adapter = SOURCES.get(job.source_type)
    if adapter is None or adapter.options is None:
        return problems
    module, _, attribute = adapter.options.partition(":")
    loaded = importlib.import_module(module)
    try:
        getattr(loaded, attribute)(job)
    except ConfigError as error:
        problems.found += error.problems()
    problems.found += loaded.misspelt(job).found
    return problems
