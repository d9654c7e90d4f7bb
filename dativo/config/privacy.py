"""The `privacy:` block of jobs and assets: what is done to classified columns, by the purpose the data is used for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

Treatment = Literal["none", "hash", "redact", "partial", "tokenise", "generalise", "drop"]


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """Treatments for one purpose: a column's own wins over its class's, and that over the default."""

    unknown: ClassVar[str] = "keep"
    default: Annotated[Treatment | None, Meta(description="for every column that holds personal data")] = None
    classes: Annotated[dict[str, Treatment], Meta(description="classification to treatment")] = {}
    columns: Annotated[dict[str, Treatment], Meta(description="column to treatment")] = {}
    extra: dict[str, Any] = {}


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """`privacy`: without it the warehouse holds the values as they are, and previews mask personal data in part."""

    unknown: ClassVar[str] = "keep"
    warehouse: Annotated[Purpose | None, Meta(description="what is loaded; `none` by default")] = None
    llm: Annotated[Purpose | None, Meta(description="exports for language models; `redact` by default")] = None
    preview: Annotated[Purpose | None, Meta(description="previews; `partial` by default")] = None
    treat_findings: Annotated[bool, Meta(description="treat what a scan finds as classified")] = False
    leak_scan: Annotated[Literal["fail", "warn", "off"], Meta(description="scan of what is exported")] = "off"
    extra: dict[str, Any] = {}
