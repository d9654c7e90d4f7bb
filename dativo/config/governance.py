"""Cost labels and governance, which jobs and contracts share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dativo.config.constraints import NotNegative


class Finops(msgspec.Struct, frozen=True, kw_only=True):
    """Cost labels; the job's win over the asset's, key by key."""

    unknown: ClassVar[str] = "keep"
    cost_center: Annotated[str | None, Meta(description="who pays")] = None
    business_tags: Annotated[list[str] | None, Meta(description="free labels")] = None
    project: Annotated[str | None, Meta(description="project")] = None
    environment: Annotated[str | None, Meta(description="environment")] = None
    extra: dict[str, Any] = {}


class Governance(msgspec.Struct, frozen=True, kw_only=True):
    """`governance_overrides`: laid over the asset's governance."""

    unknown: ClassVar[str] = "keep"
    retention_days: Annotated[NotNegative | None, Meta(description="days to keep the data")] = None
    owner: Annotated[str | None, Meta(description="owner; empty text removes it")] = None
    domain: Annotated[str | None, Meta(description="domain")] = None
    data_product: Annotated[str | None, Meta(description="data product")] = None
    regulations: Annotated[list[str] | None, Meta(description="regulations that apply")] = None
    extra: dict[str, Any] = {}
