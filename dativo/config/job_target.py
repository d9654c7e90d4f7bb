"""The job's `target` block: what is written."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.constraints import Positive
from dativo.config.job_source import Engine

WriteMode = Literal["append", "upsert", "replace", "scd2"]


class MarkdownKv(msgspec.Struct, frozen=True, kw_only=True):
    """How records become Markdown-KV in the target."""

    unknown: ClassVar[str] = "keep"
    mode: Annotated[Literal["string", "raw_file", "structured"], Meta(description="what is stored")]
    structured_pattern: Annotated[
        Literal["row_per_kv", "document_level", "hybrid"] | None, Meta(description="required when structured")
    ] = None
    file_extension: Annotated[Literal[".md", ".mdkv"], Meta(description="ending of raw files")] = ".mdkv"
    path_pattern: Annotated[str | None, Meta(description="with {doc_id}, {date}, {timestamp}")] = None
    doc_id_field: Annotated[str | None, Meta(description="column that identifies a document")] = None
    extra: dict[str, Any] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`target`: laid over the target recipe."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[str | None, Meta(description="overrides the recipe's connector type")] = None
    catalog: Annotated[
        str | dict[str, Any] | None,
        Meta(description="`nessie`, `glue`, `hive`, `rest` or `sql`, or a map with `type` and its properties"),
    ] = None
    branch: Annotated[str | None, Meta(description="Nessie branch; the tenant's name by default")] = None
    warehouse: Annotated[str | None, Meta(description="root of the tables: s3://, file:// or a path")] = None
    file_format: Annotated[
        Literal["parquet", "iceberg", "delta", "csv", "json", "orc", "markdown_kv"] | None,
        Meta(description="format of the data files"),
    ] = None
    partitioning: Annotated[
        list[str] | None,
        Meta(description="columns, `year(c)`, `month(c)`, `day(c)`, `hour(c)`, `bucket(n, c)`, `truncate(n, c)`"),
    ] = None
    parquet_target_size_mb: Annotated[Positive | None, Meta(description="size to aim for; 150 by default")] = None
    connection: Annotated[dict[str, Any], Meta(description="storage and catalog connections")] = {}
    engine: Annotated[Engine | str | None, Meta(description="engine and its options")] = None
    markdown_kv_storage: Annotated[MarkdownKv | None, Meta(description="store Markdown-KV instead of columns")] = None
    custom_writer: Annotated[str | None, Meta(description="`path.py:Class` or `lib.so:function`")] = None
    spreadsheet_id: Annotated[str | None, Meta(description="Google Sheets as target")] = None
    range: Annotated[str | None, Meta(description="cells of a Google Sheets target")] = None
    credentials: Annotated[dict[str, Any], Meta(description="overrides the recipe's credentials")] = {}
    mode: Annotated[
        Literal["strict", "merge", "relaxed", "warn"] | None, Meta(description="how the table's schema may change")
    ] = None
    write_mode: Annotated[
        WriteMode | None, Meta(description="append with incremental loading, else replace, by default")
    ] = None
    detect_deletes: Annotated[Literal["none", "soft", "hard"] | None, Meta(description="rows that left the source")] = (
        None
    )
    publish: Annotated[Literal["direct", "branch"] | None, Meta(description="write-audit-publish")] = None
    export: Annotated[dict[str, Any] | None, Meta(description="export after each successful run")] = None
    extra: dict[str, Any] = {}
