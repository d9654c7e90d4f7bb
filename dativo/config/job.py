"""The job file: which source goes through which contract into which target, and how.

Every key of the format is here, those of connectors that are not built yet too, so that a file written for another
version still tells its typing mistakes. A description stands with each field: the reference pages and the editors' JSON
schemas are made of them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.constraints import NotNegative, Positive, Text
from dativo.config.governance import Finops, Governance
from dativo.config.job_services import Budget, Catalog, Logging, Observability, Plugins, Retry
from dativo.config.job_source import Engine, File, Incremental, Query, Sheet, Source, Strategy, Table
from dativo.config.job_target import MarkdownKv, Target, WriteMode
from dativo.config.privacy import Privacy

__all__ = [
    "Budget",
    "Engine",
    "File",
    "Finops",
    "Governance",
    "Incremental",
    "JobFile",
    "MarkdownKv",
    "NotNegative",
    "Positive",
    "Query",
    "Retry",
    "Sheet",
    "Source",
    "Strategy",
    "Table",
    "Target",
    "ValidationMode",
    "WriteMode",
]

ValidationMode = Literal["strict", "warn", "quarantine"]


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """A job: `jobs/TENANT/SOURCE_ASSET_to_TARGET.yaml`. The job's name is the file's stem."""

    unknown: ClassVar[str] = "error"
    editor_schema: Annotated[str | None, Meta(description="hint for editors, ignored")] = msgspec.field(
        name="$schema", default=None
    )
    tenant_id: Annotated[
        str, Meta(min_length=1, description="scope of secrets, state and branch: letters, digits, `.`, `_`, `-`")
    ]
    environment: Annotated[str | None, Meta(description="label for logs and run metadata")] = None
    source_connector: Annotated[str | None, Meta(description="label; the recipe's name by default")] = None
    source_connector_path: Annotated[Text, Meta(description="source recipe")]
    target_connector: Annotated[str | None, Meta(description="label; the recipe's name by default")] = None
    target_connector_path: Annotated[Text, Meta(description="target recipe")]
    asset: Annotated[str | None, Meta(description="label; the asset's name by default")] = None
    asset_path: Annotated[str | None, Meta(description="data contract")] = None
    assets: Annotated[list[str] | None, Meta(description="data contracts of several streams")] = None
    asset_paths: Annotated[list[str] | None, Meta(description="the same")] = None
    source: Annotated[Source, Meta(description="laid over the source recipe")] = Source()
    target: Annotated[Target, Meta(description="laid over the target recipe")] = Target()
    schema_validation_mode: Annotated[
        ValidationMode, Meta(description="what happens to rows that break the contract")
    ] = "strict"
    classification_overrides: Annotated[dict[str, str], Meta(description="field name or `default` to class")] = {}
    finops: Annotated[Finops | None, Meta(description="cost labels")] = None
    governance_overrides: Annotated[Governance | None, Meta(description="laid over the asset's governance")] = None
    catalog: Annotated[Catalog | None, Meta(description="where lineage and metadata are pushed to")] = None
    retry_config: Annotated[Retry | None, Meta(description="retries; none without the block")] = None
    logging: Annotated[Logging, Meta(description="log level and masking")] = Logging()
    observability: Annotated[Observability | None, Meta(description="cloud sinks of logs and metrics")] = None
    plugins: Annotated[Plugins | None, Meta(description="isolation of plugins")] = None
    infrastructure: Annotated[dict[str, Any] | None, Meta(description="externally provisioned runtime; kept")] = None
    mode: Annotated[Literal["self_hosted", "cloud"] | None, Meta(description="default of `--mode`")] = None
    max_rejects: Annotated[str | int | None, Meta(description="rejects that quarantine allows: `100` or `0.1%`")] = None
    privacy: Annotated[Privacy | None, Meta(description="treatments of classified columns, by purpose")] = None
    engine: Annotated[Budget | None, Meta(description="what a run may use")] = None
