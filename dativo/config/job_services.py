"""The job's blocks about what surrounds a run: catalog, retries, logs, sinks, plugins, budget."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.constraints import Memory, NotNegative, Positive, SandboxMemory, Seconds, Share


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """`catalog`: where lineage and metadata are pushed to."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[
        Literal["openmetadata", "aws_glue", "databricks_unity", "nessie", "file"], Meta(description="metadata catalog")
    ]
    connection: Annotated[dict[str, Any], Meta(description="its connection")]
    database: Annotated[str | None, Meta(description="database; the asset's domain by default")] = None
    table_name: Annotated[str | None, Meta(description="table; the asset's name by default")] = None
    push_lineage: Annotated[bool, Meta(description="whether lineage is pushed")] = True
    push_metadata: Annotated[bool, Meta(description="whether metadata is pushed")] = True
    extra: dict[str, Any] = {}


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """`retry_config`: no block, no retries."""

    unknown: ClassVar[str] = "keep"
    max_retries: Annotated[NotNegative | None, Meta(description="retries after the first try; 3 by default")] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=10)] | None, Meta(description="total tries; used when `max_retries` is absent")
    ] = None
    initial_delay_seconds: Annotated[Seconds | None, Meta(description="first wait; 5 by default")] = None
    max_delay_seconds: Annotated[float, Meta(ge=0, description="longest wait")] = 300
    backoff_multiplier: Annotated[float, Meta(ge=1, description="growth of the wait")] = 2.0
    retryable_exit_codes: Annotated[tuple[int, ...], Meta(description="exit codes that are tried again")] = (1, 2)
    retryable_error_patterns: Annotated[list[str] | None, Meta(description="regular expressions; any by default")] = (
        None
    )
    retry_delay_seconds: Annotated[Seconds | None, Meta(description="old name of the first wait")] = None
    retryable_errors: Annotated[list[str] | None, Meta(description="old name of the patterns")] = None
    extra: dict[str, Any] = {}


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """`logging`: level, and masking by key name; loaded secrets are always masked."""

    unknown: ClassVar[str] = "keep"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Meta(description="lowest level that is written"),
    ] = "INFO"
    redaction: Annotated[bool, Meta(description="mask values by their key's name too")] = False
    extra: dict[str, Any] = {}


class AwsSink(msgspec.Struct, frozen=True, kw_only=True):
    """CloudWatch logs and metrics."""

    unknown: ClassVar[str] = "keep"
    enabled: Annotated[bool, Meta(description="whether it is used")] = True
    region: Annotated[str, Meta(description="AWS region")]
    log_group: Annotated[str, Meta(description="log group")]
    log_stream_prefix: Annotated[str, Meta(description="prefix of the log stream")] = "dativo"
    log_stream_name: Annotated[str | None, Meta(description="log stream; prefix/tenant/job by default")] = None
    create_log_group: Annotated[bool, Meta(description="make the log group where it is missing")] = True
    retention_days: Annotated[Positive | None, Meta(description="days to keep the log")] = None
    metrics_namespace: Annotated[str | None, Meta(description="namespace; none means no metrics")] = None
    metric_dimensions: Annotated[dict[str, str], Meta(description="more dimensions")] = {}
    extra: dict[str, Any] = {}


class GcpSink(msgspec.Struct, frozen=True, kw_only=True):
    """Google Cloud Logging."""

    unknown: ClassVar[str] = "keep"
    enabled: Annotated[bool, Meta(description="whether it is used")] = True
    project_id: Annotated[str, Meta(description="project")]
    log_name: Annotated[str, Meta(description="log")] = "dativo_ingest"
    credentials_path: Annotated[str | None, Meta(description="key file; default credentials otherwise")] = None
    resource_type: Annotated[str, Meta(description="monitored resource")] = "global"
    labels: Annotated[dict[str, str], Meta(description="labels")] = {}
    extra: dict[str, Any] = {}


class Observability(msgspec.Struct, frozen=True, kw_only=True):
    """`observability`: cloud sinks of logs and metrics; at least one of `aws` and `gcp`."""

    unknown: ClassVar[str] = "keep"
    aws: Annotated[AwsSink | None, Meta(description="CloudWatch")] = None
    gcp: Annotated[GcpSink | None, Meta(description="Google Cloud Logging")] = None
    extra: dict[str, Any] = {}


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """Isolation of plugins."""

    unknown: ClassVar[str] = "keep"
    enabled: Annotated[bool, Meta(description="whether plugins run isolated")] = True
    cpu_limit: Annotated[Share | None, Meta(description="cores")] = None
    memory_limit: Annotated[SandboxMemory | None, Meta(description="`512m`, `1g`")] = None
    network_disabled: Annotated[bool, Meta(description="no network inside")] = True
    timeout: Annotated[int, Meta(ge=1, description="seconds")] = 300
    seccomp_profile: Annotated[str | None, Meta(description="seccomp profile")] = None
    container_image: Annotated[str | None, Meta(description="image")] = None
    extra: dict[str, Any] = {}


class Plugins(msgspec.Struct, frozen=True, kw_only=True):
    """`plugins`."""

    unknown: ClassVar[str] = "keep"
    sandbox: Annotated[Sandbox | None, Meta(description="isolation of plugins")] = None
    extra: dict[str, Any] = {}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`engine`: what a run may use."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[str, Meta(description="`local`, or a distributed engine")] = "local"
    options: Annotated[dict[str, Any], Meta(description="options of a distributed engine")] = {}
    lock: Annotated[Seconds | None, Meta(description="seconds after which a run lock counts as stale")] = None
    memory_limit: Annotated[Memory | None, Meta(description="as `512MB`")] = None
    threads: Annotated[Positive | None, Meta(description="threads of the run")] = None
    extra: dict[str, Any] = {}
