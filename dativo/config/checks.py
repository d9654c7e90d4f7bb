"""What a job's settings must fulfil together, beyond the type of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from dativo.config.job import File, JobFile, Sheet, Source, Table, Target
from dativo.config.needs import CATALOGS, LOCAL_SOURCES, catalog_kind
from dativo.config.nodes import Node
from dativo.config.paths import leaves_root
from dativo.config.problems import Problems
from dativo.config.resolved import StreamConfig
from dativo.config.sides import Side
from dativo.errors import Mark, nearest

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_PLACEHOLDERS = ("doc_id", "date", "timestamp", "file_extension")


def check_tenant(node: Node | None, problems: Problems) -> str:
    """The tenant's name; noted when it cannot name a folder."""
    if node is None:
        return ""
    if node.kind == "scalar" and node.value is not None and not node.unset and not TENANT.match(node.text):
        problems.add(
            f"'{node.text}' cannot be a tenant: it names folders and branches",
            node.mark,
            "tenant_id",
            "use letters, digits, '.', '_' and '-', starting with a letter or digit",
        )
    return node.text


def check_source(source: Side[Source], problems: Problems) -> None:
    """Notes what the source's connector needs and does not have, and names that cannot be."""
    spec, native = source.spec, source.connector is not None
    if not re.fullmatch(r"[\w.-]+", source.type) or source.type.startswith("."):
        problems.add(
            f"'{source.type}' cannot be a connector type: it names files", source.node.mark_of("type"), "source.type"
        )
    for position, entry in enumerate(spec.files or []):
        if entry.path is None and native and source.type in LOCAL_SOURCES:
            problems.add(
                "a file needs a 'path'",
                source.node.mark_of("files", position),
                f"source.files[{position}].path",
                "as `- path: data/employees.csv`",
            )
    if native and not spec.files and source.type in LOCAL_SOURCES:
        problems.add(
            f"a {source.type} source needs 'files'",
            source.node.mark,
            "source.files",
            "add `files: [{path: data/*.csv}]`" if source.type == "csv" else "add `files: [{path: …}]`",
        )
    if source.connector is not None:
        _check_tables(source, source.connector.requires_tables, source.connector.supports_queries, problems)
    for field, name, mark in _objects(source):
        if re.search(r"[/\\\0]|^\.\.?$", name):
            problems.add(f"'{name}' cannot be an object: it names files", mark, field, "leave out '/', '\\' and '..'")


def _check_tables(source: Side[Source], required: bool, queries: bool, problems: Problems) -> None:
    spec = source.spec
    if required and not (spec.tables or spec.queries or spec.table or spec.objects):
        problems.add(
            f"a {source.type} source needs 'tables'",
            source.node.mark,
            "source.tables",
            "add `tables: [{name: public.orders}]`",
        )
    if spec.queries and not queries:
        problems.add(
            f"connector '{source.type}' takes no queries",
            source.node.mark_of("queries"),
            "source.queries",
            "name what to read in another way, or use a database connector",
        )


def _objects(source: Side[Source]) -> Iterator[tuple[str, str, Mark]]:
    """The names of objects, which become parts of file names."""
    spec = source.spec
    blocks: tuple[tuple[str, Sequence[File | Sheet | Table] | None], ...] = (
        ("files", spec.files),
        ("tables", spec.tables),
        ("sheets", spec.sheets),
    )
    for block, entries in blocks:
        for position, entry in enumerate(entries or []):
            if entry.object is not None:
                yield f"source.{block}[{position}].object", entry.object, source.node.mark_of(block, position)
    for position, query in enumerate(spec.queries or []):
        yield f"source.queries[{position}].name", query.name, source.node.mark_of("queries", position)
    for position, name in enumerate(spec.objects or []):
        yield f"source.objects[{position}]", name, source.node.mark_of("objects", position)


def check_target(target: Side[Target], streams: tuple[StreamConfig, ...], problems: Problems) -> None:
    """Notes a catalog that does not exist, a key that is missing, and documents without a shape."""
    kind = catalog_kind(target.spec)
    if target.type == "iceberg" and kind and kind not in CATALOGS:
        guess = nearest(kind, CATALOGS)
        problems.add(
            f"unknown catalog '{kind}'",
            target.node.mark_of("catalog"),
            "target.catalog",
            f"did you mean '{guess}'?" if guess else f"one of {', '.join(CATALOGS)}, or none for the embedded catalog",
        )
    if target.spec.write_mode in ("upsert", "scd2"):
        for stream in streams:
            if not stream.asset.key:
                problems.add(
                    f"write_mode '{target.spec.write_mode}' needs a key, and asset {stream.asset.label} has none",
                    target.node.mark_of("write_mode"),
                    "target.write_mode",
                    "mark the key's columns with `primary_key: true`",
                )
    deletes = target.spec.detect_deletes
    if deletes in ("soft", "hard") and target.spec.write_mode != "upsert":
        problems.add(
            f"detect_deletes '{deletes}' needs write_mode 'upsert'",
            target.node.mark_of("detect_deletes"),
            "target.detect_deletes",
            "add `write_mode: upsert`; the other modes keep rows that left the source, or replace all of them",
        )
    _check_documents(target, problems)


def _check_documents(target: Side[Target], problems: Problems) -> None:
    storage = target.spec.markdown_kv_storage
    if storage is None:
        return
    where = "target.markdown_kv_storage"
    if storage.mode == "structured" and storage.structured_pattern is None:
        problems.add(
            "'structured_pattern' is required when the mode is structured",
            target.node.mark_of("markdown_kv_storage"),
            f"{where}.structured_pattern",
            "one of row_per_kv, document_level, hybrid",
        )
    pattern = storage.path_pattern
    if pattern is None:
        return
    mark = target.node.mark_of("markdown_kv_storage", "path_pattern")
    unknown = [n for n in re.findall(r"\{([^{}]*)\}", pattern) if n not in _PLACEHOLDERS]
    for name in unknown:
        guess = nearest(name, _PLACEHOLDERS)
        hint = f"did you mean '{{{guess}}}'?" if guess else "known: " + ", ".join(f"{{{p}}}" for p in _PLACEHOLDERS)
        problems.add(f"unknown placeholder '{{{name}}}'", mark, f"{where}.path_pattern", hint)
    if leaves_root(pattern) or ".." in PurePosixPath(pattern).parts:
        problems.add(
            f"'{pattern}' leaves the target's folder", mark, f"{where}.path_pattern", "use a path without '..'"
        )


def check_sinks(file: JobFile, node: Node, problems: Problems) -> None:
    """Notes an `observability` block that names no provider."""
    sinks = file.observability
    if sinks is not None and sinks.aws is None and sinks.gcp is None:
        problems.add(
            "'aws' or 'gcp' is required",
            node.mark_of("observability"),
            "observability",
            "as `aws: {region: eu-central-1, log_group: /dativo/jobs}`",
        )


def check_retries(file: JobFile, node: Node, problems: Problems) -> None:
    """Warns of patterns that are no regular expressions: they are skipped."""
    retry = file.retry_config
    for name in ("retryable_error_patterns", "retryable_errors"):
        for position, pattern in enumerate(getattr(retry, name) or [] if retry else []):
            try:
                re.compile(pattern)
            except re.error as error:
                problems.warn(
                    f"'{pattern}' is not a regular expression and is skipped: {error}",
                    node.mark_of("retry_config", name, position),
                    f"retry_config.{name}[{position}]",
                    "put a backslash before characters that are meant as they are",
                )
