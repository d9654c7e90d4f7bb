"""Constrained types that the structs of configuration share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
SandboxMemory = Annotated[str, Meta(pattern=r"^\d+[kmgKMG]?[bB]?$")]
Memory = Annotated[str, Meta(pattern=r"^\d+(\.\d+)?\s*([kKmMgGtT][iI]?[bB]?)?$")]
