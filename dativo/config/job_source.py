"""The job's `source` block: what is read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.constraints import NotNegative, Text

Strategy = Literal[
    "full_refresh",
    "incremental",
    "updated_at",
    "updated_after",
    "created",
    "file_modified_time",
    "spreadsheet_modified_time",
    "cdc",
]


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs the extraction or the load, and with which options."""

    unknown: ClassVar[str] = "free"
    type: Annotated[str | None, Meta(description="native, or the name of a foreign engine")] = None
    options: Annotated[
        dict[str, Any], Meta(description="options, directly or under the engine's name; direct keys win")
    ] = {}
    extra: dict[str, Any] = {}


class Incremental(msgspec.Struct, frozen=True, kw_only=True):
    """Incremental loading; absent, null or empty means a full load without state."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {
        "strategy_default": "strategy",
        "cursor_field_default": "cursor_field",
        "lookback_days_default": "lookback_days",
    }
    strategy: Annotated[Strategy | None, Meta(description="what is new is told by")] = None
    cursor_field: Annotated[str | None, Meta(description="column that grows; null is a full load")] = None
    lookback_days: Annotated[NotNegative | None, Meta(description="days before the cursor that are read again")] = None
    state_path: Annotated[str | None, Meta(description="state file, where the default is not wanted")] = None
    extra: dict[str, Any] = {}


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file or glob of a file source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"file": "path", "file_path": "path", "file_id": "id", "name": "object"}
    path: Annotated[
        str | None,
        Meta(description="path or glob (`data/*.csv`, `**` for folders); in a store a key, or `s3://bucket/key`"),
    ] = None
    id: Annotated[str | None, Meta(description="identity in the state, or the file's id at its service")] = None
    object: Annotated[str | None, Meta(description="object name; the file's stem by default")] = None
    modified_time: Annotated[
        str | None, Meta(description="last change in ISO 8601, where the service is not asked")
    ] = msgspec.field(name="modifiedTime", default=None)
    extra: dict[str, Any] = {}


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One sheet of a spreadsheet source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"spreadsheet_id": "id"}
    id: Annotated[str | None, Meta(description="the spreadsheet's id")] = None
    range: Annotated[str, Meta(description="cells to read")] = "A1:Z1000"
    sheet: Annotated[str | None, Meta(description="tab name")] = None
    sheet_id: Annotated[int | None, Meta(description="numeric id of the tab")] = None
    has_header: Annotated[bool, Meta(description="whether the first row names the columns")] = True
    object: Annotated[str | None, Meta(description="object name")] = None
    extra: dict[str, Any] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a database source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"table": "name"}
    name: Annotated[Text, Meta(description="`table` or `schema.table`")]
    schema: Annotated[str | None, Meta(description="the database schema")] = None
    object: Annotated[str | None, Meta(description="object name; the last part of the table name by default")] = None
    cursor_field: Annotated[str | None, Meta(description="overrides `incremental.cursor_field`")] = None
    columns: Annotated[list[str] | None, Meta(description="columns to read; all by default")] = None
    where: Annotated[str | None, Meta(description="filter that the database applies")] = None
    extra: dict[str, Any] = {}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One query of a database source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"object": "name"}
    name: Annotated[Text, Meta(description="object name")]
    sql: Annotated[Text, Meta(description="the SELECT to run")]
    cursor_field: Annotated[str | None, Meta(description="overrides `incremental.cursor_field`")] = None
    extra: dict[str, Any] = {}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """`source`: laid over the source recipe."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"spreadsheets": "sheets"}
    type: Annotated[str | None, Meta(description="overrides the recipe's connector type")] = None
    objects: Annotated[list[str] | None, Meta(description="streams to read")] = None
    files: Annotated[list[File] | None, Meta(description="files or globs of a file source")] = None
    folder_id: Annotated[str | None, Meta(description="folder whose files are listed")] = None
    query: Annotated[str | None, Meta(description="search of the file service")] = None
    sheets: Annotated[list[Sheet] | None, Meta(description="sheets of a spreadsheet")] = None
    spreadsheet_id: Annotated[str | None, Meta(description="short form of one entry in `sheets`")] = None
    tables: Annotated[list[Table] | None, Meta(description="tables of a database")] = None
    queries: Annotated[list[Query] | None, Meta(description="queries of a database")] = None
    connection: Annotated[dict[str, Any], Meta(description="flat, or under the connector type")] = {}
    dsn: Annotated[str | None, Meta(description="connection URL; what stands in `connection` wins")] = None
    credentials: Annotated[dict[str, Any], Meta(description="overrides the recipe's credentials")] = {}
    incremental: Annotated[Incremental | None, Meta(description="absent, null or empty: a full load")] = None
    rate_limits: Annotated[dict[str, Any], Meta(description="requests a second and retries of an API")] = {}
    engine: Annotated[Engine | str | None, Meta(description="engine and its options")] = None
    custom_reader: Annotated[str | None, Meta(description="`path.py:Class` or `lib.so:function`")] = None
    table: Annotated[str | None, Meta(description="short form of one entry in `tables`")] = None
    prefix: Annotated[str | None, Meta(description="beginning of the keys in an object store")] = None
    bucket: Annotated[str | None, Meta(description="bucket of an object store")] = None
    pattern: Annotated[str | None, Meta(description="glob below `prefix`; without it all that lies there")] = None
    extra: dict[str, Any] = {}
