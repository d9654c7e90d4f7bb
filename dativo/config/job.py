"""The job file: which source goes through which contract into which target, and how.

Every key of the format is here, those of connectors that are not built yet too, so that a file written for another
version still tells its typing mistakes. A description stands with each field: the reference pages and the editors' JSON
schemas are made of them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.privacy import Privacy

Doc = Meta
Text = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
SandboxMemory = Annotated[str, Meta(pattern=r"^\d+[kmgKMG]?[bB]?$")]
Memory = Annotated[str, Meta(pattern=r"(?i)^\d+(\.\d+)?\s*([kmgt]i?b?)?$")]

ValidationMode = Literal["strict", "warn", "quarantine"]
WriteMode = Literal["append", "upsert", "replace", "scd2"]
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
FILE_FORMATS = ("parquet", "iceberg", "delta", "csv", "json", "orc", "markdown_kv")


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs the extraction or the load, and with which options."""

    unknown: ClassVar[str] = "free"
    type: Annotated[str | None, Doc(description="native, or the name of a foreign engine")] = None
    options: Annotated[
        dict[str, Any], Doc(description="options, directly or under the engine's name; direct keys win")
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
    strategy: Annotated[Strategy | None, Doc(description="what is new is told by")] = None
    cursor_field: Annotated[str | None, Doc(description="column that grows; null is a full load")] = None
    lookback_days: Annotated[NotNegative | None, Doc(description="days before the cursor that are read again")] = None
    state_path: Annotated[str | None, Doc(description="state file, where the default is not wanted")] = None
    extra: dict[str, Any] = {}


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file or glob of a file source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"file": "path", "file_path": "path", "file_id": "id", "name": "object"}
    path: Annotated[str | None, Doc(description="local path or glob; aliases `file`, `file_path`")] = None
    id: Annotated[str | None, Doc(description="identity in the state, or the file's id at its service")] = None
    object: Annotated[str | None, Doc(description="object name; the file's stem by default; alias `name`")] = None
    modified_time: Annotated[
        str | None, Doc(description="last change in ISO 8601, where the service is not asked")
    ] = msgspec.field(name="modifiedTime", default=None)
    extra: dict[str, Any] = {}


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One sheet of a spreadsheet source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"spreadsheet_id": "id"}
    id: Annotated[str | None, Doc(description="the spreadsheet's id; alias `spreadsheet_id`")] = None
    range: Annotated[str, Doc(description="cells to read")] = "A1:Z1000"
    sheet: Annotated[str | None, Doc(description="tab name")] = None
    sheet_id: Annotated[int | None, Doc(description="numeric id of the tab")] = None
    has_header: Annotated[bool, Doc(description="whether the first row names the columns")] = True
    object: Annotated[str | None, Doc(description="object name")] = None
    extra: dict[str, Any] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a database source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"table": "name"}
    name: Annotated[Text, Doc(description="`table` or `schema.table`; alias `table`")]
    schema: Annotated[str | None, Doc(description="the database schema")] = None
    object: Annotated[str | None, Doc(description="object name; the last part of the table name by default")] = None
    cursor_field: Annotated[str | None, Doc(description="overrides `incremental.cursor_field`")] = None
    columns: Annotated[list[str] | None, Doc(description="columns to read; all by default")] = None
    where: Annotated[str | None, Doc(description="filter that the database applies")] = None
    extra: dict[str, Any] = {}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One query of a database source."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"object": "name"}
    name: Annotated[Text, Doc(description="object name; alias `object`")]
    sql: Annotated[Text, Doc(description="the SELECT to run")]
    cursor_field: Annotated[str | None, Doc(description="overrides `incremental.cursor_field`")] = None
    extra: dict[str, Any] = {}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """`source`: laid over the source recipe."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"spreadsheets": "sheets"}
    type: Annotated[str | None, Doc(description="overrides the recipe's connector type")] = None
    objects: Annotated[list[str] | None, Doc(description="streams to read")] = None
    files: Annotated[list[File] | None, Doc(description="files or globs of a file source")] = None
    folder_id: Annotated[str | None, Doc(description="folder whose files are listed")] = None
    query: Annotated[str | None, Doc(description="search of the file service")] = None
    sheets: Annotated[list[Sheet] | None, Doc(description="sheets of a spreadsheet; alias `spreadsheets`")] = None
    spreadsheet_id: Annotated[str | None, Doc(description="short form of one entry in `sheets`")] = None
    tables: Annotated[list[Table] | None, Doc(description="tables of a database")] = None
    queries: Annotated[list[Query] | None, Doc(description="queries of a database")] = None
    connection: Annotated[dict[str, Any], Doc(description="flat, or under the connector type")] = {}
    dsn: Annotated[str | None, Doc(description="connection URL; what stands in `connection` wins")] = None
    credentials: Annotated[dict[str, Any], Doc(description="overrides the recipe's credentials")] = {}
    incremental: Annotated[Incremental | None, Doc(description="absent, null or empty: a full load")] = None
    rate_limits: Annotated[dict[str, Any], Doc(description="requests a second and retries of an API")] = {}
    engine: Annotated[Engine | str | None, Doc(description="engine and its options")] = None
    custom_reader: Annotated[str | None, Doc(description="`path.py:Class` or `lib.so:function`")] = None
    table: Annotated[str | None, Doc(description="short form of one entry in `tables`")] = None
    prefix: Annotated[str | None, Doc(description="prefix in an object store")] = None
    bucket: Annotated[str | None, Doc(description="bucket of an object store")] = None
    pattern: Annotated[str | None, Doc(description="glob below `prefix`")] = None
    extra: dict[str, Any] = {}


class MarkdownKv(msgspec.Struct, frozen=True, kw_only=True):
    """How records become Markdown-KV in the target."""

    unknown: ClassVar[str] = "keep"
    mode: Annotated[Literal["string", "raw_file", "structured"], Doc(description="what is stored")]
    structured_pattern: Annotated[
        Literal["row_per_kv", "document_level", "hybrid"] | None, Doc(description="required when structured")
    ] = None
    file_extension: Annotated[Literal[".md", ".mdkv"], Doc(description="ending of raw files")] = ".mdkv"
    path_pattern: Annotated[str | None, Doc(description="with {doc_id}, {date}, {timestamp}")] = None
    doc_id_field: Annotated[str | None, Doc(description="column that identifies a document")] = None
    extra: dict[str, Any] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`target`: laid over the target recipe."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[str | None, Doc(description="overrides the recipe's connector type")] = None
    catalog: Annotated[
        str | dict[str, Any] | None,
        Doc(description="`nessie`, `glue`, `hive`, `rest` or `sql`, or a map with `type` and its properties"),
    ] = None
    branch: Annotated[str | None, Doc(description="Nessie branch; the tenant's name by default")] = None
    warehouse: Annotated[str | None, Doc(description="root of the tables: s3://, file:// or a path")] = None
    file_format: Annotated[
        Literal["parquet", "iceberg", "delta", "csv", "json", "orc", "markdown_kv"] | None,
        Doc(description="format of the data files"),
    ] = None
    partitioning: Annotated[
        list[str] | None,
        Doc(description="columns, `year(c)`, `month(c)`, `day(c)`, `hour(c)`, `bucket(n, c)`, `truncate(n, c)`"),
    ] = None
    parquet_target_size_mb: Annotated[Positive | None, Doc(description="size to aim for; 150 by default")] = None
    connection: Annotated[dict[str, Any], Doc(description="storage and catalog connections")] = {}
    engine: Annotated[Engine | str | None, Doc(description="engine and its options")] = None
    markdown_kv_storage: Annotated[MarkdownKv | None, Doc(description="store Markdown-KV instead of columns")] = None
    custom_writer: Annotated[str | None, Doc(description="`path.py:Class` or `lib.so:function`")] = None
    spreadsheet_id: Annotated[str | None, Doc(description="Google Sheets as target")] = None
    range: Annotated[str | None, Doc(description="cells of a Google Sheets target")] = None
    credentials: Annotated[dict[str, Any], Doc(description="overrides the recipe's credentials")] = {}
    mode: Annotated[
        Literal["strict", "merge", "relaxed", "warn"] | None, Doc(description="how the table's schema may change")
    ] = None
    write_mode: Annotated[
        WriteMode | None, Doc(description="append with incremental loading, else replace, by default")
    ] = None
    detect_deletes: Annotated[
        Literal["none", "soft", "hard"] | None, Doc(description="rows that left the source")
    ] = None
    publish: Annotated[Literal["direct", "branch"] | None, Doc(description="write-audit-publish")] = None
    export: Annotated[dict[str, Any] | None, Doc(description="export after each successful run")] = None
    extra: dict[str, Any] = {}


class Finops(msgspec.Struct, frozen=True, kw_only=True):
    """Cost labels; the job's win over the asset's, key by key."""

    unknown: ClassVar[str] = "keep"
    cost_center: Annotated[str | None, Doc(description="who pays")] = None
    business_tags: Annotated[list[str] | None, Doc(description="free labels")] = None
    project: Annotated[str | None, Doc(description="project")] = None
    environment: Annotated[str | None, Doc(description="environment")] = None
    extra: dict[str, Any] = {}


class Governance(msgspec.Struct, frozen=True, kw_only=True):
    """`governance_overrides`: laid over the asset's governance."""

    unknown: ClassVar[str] = "keep"
    retention_days: Annotated[NotNegative | None, Doc(description="days to keep the data")] = None
    owner: Annotated[str | None, Doc(description="owner; empty text removes it")] = None
    domain: Annotated[str | None, Doc(description="domain")] = None
    data_product: Annotated[str | None, Doc(description="data product")] = None
    regulations: Annotated[list[str] | None, Doc(description="regulations that apply")] = None
    extra: dict[str, Any] = {}


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """`catalog`: where lineage and metadata are pushed to."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[
        Literal["openmetadata", "aws_glue", "databricks_unity", "nessie", "file"], Doc(description="metadata catalog")
    ]
    connection: Annotated[dict[str, Any], Doc(description="its connection")]
    database: Annotated[str | None, Doc(description="database; the asset's domain by default")] = None
    table_name: Annotated[str | None, Doc(description="table; the asset's name by default")] = None
    push_lineage: Annotated[bool, Doc(description="whether lineage is pushed")] = True
    push_metadata: Annotated[bool, Doc(description="whether metadata is pushed")] = True
    extra: dict[str, Any] = {}


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """`retry_config`: no block, no retries."""

    unknown: ClassVar[str] = "keep"
    max_retries: Annotated[NotNegative | None, Doc(description="retries after the first try; 3 by default")] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=10)] | None, Doc(description="total tries; used when `max_retries` is absent")
    ] = None
    initial_delay_seconds: Annotated[Seconds | None, Doc(description="first wait; 5 by default")] = None
    max_delay_seconds: Annotated[float, Meta(ge=0, description="longest wait")] = 300
    backoff_multiplier: Annotated[float, Meta(ge=1, description="growth of the wait")] = 2.0
    retryable_exit_codes: Annotated[tuple[int, ...], Doc(description="exit codes that are tried again")] = (1, 2)
    retryable_error_patterns: Annotated[list[str] | None, Doc(description="regular expressions; any by default")] = None
    retry_delay_seconds: Annotated[Seconds | None, Doc(description="old name of the first wait")] = None
    retryable_errors: Annotated[list[str] | None, Doc(description="old name of the patterns")] = None
    extra: dict[str, Any] = {}


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """`logging`: level, and masking by key name; loaded secrets are always masked."""

    unknown: ClassVar[str] = "keep"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Doc(description="lowest level that is written"),
    ] = "INFO"
    redaction: Annotated[bool, Doc(description="mask values by their key's name too")] = False
    extra: dict[str, Any] = {}


class AwsSink(msgspec.Struct, frozen=True, kw_only=True):
    """CloudWatch logs and metrics."""

    unknown: ClassVar[str] = "keep"
    enabled: bool = True
    region: Annotated[str, Doc(description="AWS region")]
    log_group: Annotated[str, Doc(description="log group")]
    log_stream_prefix: Annotated[str, Doc(description="prefix of the log stream")] = "dativo"
    log_stream_name: Annotated[str | None, Doc(description="log stream; prefix/tenant/job by default")] = None
    create_log_group: Annotated[bool, Doc(description="make the log group where it is missing")] = True
    retention_days: Annotated[Positive | None, Doc(description="days to keep the log")] = None
    metrics_namespace: Annotated[str | None, Doc(description="namespace; none means no metrics")] = None
    metric_dimensions: Annotated[dict[str, str], Doc(description="more dimensions")] = {}
    extra: dict[str, Any] = {}


class GcpSink(msgspec.Struct, frozen=True, kw_only=True):
    """Google Cloud Logging."""

    unknown: ClassVar[str] = "keep"
    enabled: bool = True
    project_id: Annotated[str, Doc(description="project")]
    log_name: Annotated[str, Doc(description="log")] = "dativo_ingest"
    credentials_path: Annotated[str | None, Doc(description="key file; default credentials otherwise")] = None
    resource_type: Annotated[str, Doc(description="monitored resource")] = "global"
    labels: Annotated[dict[str, str], Doc(description="labels")] = {}
    extra: dict[str, Any] = {}


class Observability(msgspec.Struct, frozen=True, kw_only=True):
    """`observability`: cloud sinks of logs and metrics; at least one of `aws` and `gcp`."""

    unknown: ClassVar[str] = "keep"
    aws: Annotated[AwsSink | None, Doc(description="CloudWatch")] = None
    gcp: Annotated[GcpSink | None, Doc(description="Google Cloud Logging")] = None
    extra: dict[str, Any] = {}


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Isolation of plugins."""

    unknown: ClassVar[str] = "keep"
    enabled: Annotated[bool, Doc(description="whether plugins run isolated")] = True
    cpu_limit: Annotated[Share | None, Doc(description="cores")] = None
    memory_limit: Annotated[SandboxMemory | None, Doc(description="`512m`, `1g`")] = None
    network_disabled: Annotated[bool, Doc(description="no network inside")] = True
    timeout: Annotated[int, Meta(ge=1, description="seconds")] = 300
    seccomp_profile: Annotated[str | None, Doc(description="seccomp profile")] = None
    container_image: Annotated[str | None, Doc(description="image")] = None
    extra: dict[str, Any] = {}


class Plugins(msgspec.Struct, frozen=True, kw_only=True):
    """`plugins`."""

    unknown: ClassVar[str] = "keep"
    sandbox: Annotated[Sandbox | None, Doc(description="isolation of plugins")] = None
    extra: dict[str, Any] = {}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`engine`: what a run may use."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[str, Doc(description="`local`, or a distributed engine")] = "local"
    options: Annotated[dict[str, Any], Doc(description="options of a distributed engine")] = {}
    lock: Annotated[Seconds | None, Doc(description="seconds after which a run lock counts as stale")] = None
    memory_limit: Annotated[Memory | None, Doc(description="as `512MB`")] = None
    threads: Annotated[Positive | None, Doc(description="threads of the run")] = None
    extra: dict[str, Any] = {}


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """A job: `jobs/TENANT/SOURCE_ASSET_to_TARGET.yaml`. The job's name is the file's stem."""

    unknown: ClassVar[str] = "error"
    editor_schema: Annotated[str | None, Doc(description="hint for editors, ignored")] = msgspec.field(
        name="$schema", default=None
    )
    tenant_id: Annotated[
        str, Meta(min_length=1, description="scope of secrets, state and branch: letters, digits, `.`, `_`, `-`")
    ]
    environment: Annotated[str | None, Doc(description="label for logs and run metadata")] = None
    source_connector: Annotated[str | None, Doc(description="label; the recipe's name by default")] = None
    source_connector_path: Annotated[Text, Doc(description="source recipe")]
    target_connector: Annotated[str | None, Doc(description="label; the recipe's name by default")] = None
    target_connector_path: Annotated[Text, Doc(description="target recipe")]
    asset: Annotated[str | None, Doc(description="label; the asset's name by default")] = None
    asset_path: Annotated[str | None, Doc(description="data contract")] = None
    assets: Annotated[list[str] | None, Doc(description="data contracts of several streams")] = None
    asset_paths: Annotated[list[str] | None, Doc(description="the same")] = None
    source: Annotated[Source, Doc(description="laid over the source recipe")] = Source()
    target: Annotated[Target, Doc(description="laid over the target recipe")] = Target()
    schema_validation_mode: Annotated[ValidationMode, Doc(description="what happens to rows that break the contract")] = (
        "strict"
    )
    classification_overrides: Annotated[dict[str, str], Doc(description="field name or `default` to class")] = {}
    finops: Annotated[Finops | None, Doc(description="cost labels")] = None
    governance_overrides: Annotated[Governance | None, Doc(description="laid over the asset's governance")] = None
    catalog: Annotated[Catalog | None, Doc(description="where lineage and metadata are pushed to")] = None
    retry_config: Annotated[Retry | None, Doc(description="retries; none without the block")] = None
    logging: Annotated[Logging, Doc(description="log level and masking")] = Logging()
    observability: Annotated[Observability | None, Doc(description="cloud sinks of logs and metrics")] = None
    plugins: Annotated[Plugins | None, Doc(description="isolation of plugins")] = None
    infrastructure: Annotated[dict[str, Any] | None, Doc(description="externally provisioned runtime; kept")] = None
    mode: Annotated[Literal["self_hosted", "cloud"] | None, Doc(description="default of `--mode`")] = None
    max_rejects: Annotated[str | int | None, Doc(description="rejects that quarantine allows: `100` or `0.1%`")] = None
    privacy: Annotated[Privacy | None, Doc(description="treatments of classified columns, by purpose")] = None
    engine: Annotated[Budget | None, Doc(description="what a run may use")] = None
