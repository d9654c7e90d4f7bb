"""Options of the database sources, as `source.engine.options` gives them.

This module imports nothing heavy: `validate` reads it for every job.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dativo.config.decode import Problems
from dativo.config.resolve import ResolvedJob
from dativo.sources.engine_options import decoded, given, known_keys, warn_misspelt


class DatabaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How tables of a database are read."""

    unknown: ClassVar[str] = "free"
    aliases: ClassVar[dict[str, str]] = {"fetch_size": "batch_size"}
    batch_size: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None,
        Meta(description="rows that are fetched at a time; chosen by the width of a row without it"),
    ] = None
    connections: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="connections that read one table at a time; chosen by its size without it"),
    ] = None
    statement_timeout: Annotated[
        Annotated[float, Meta(gt=0, le=2_000_000)] | None,
        Meta(description="seconds after which the database ends a statement; its own limit without it"),
    ] = None
    extra: dict[str, Any] = {}


def database_options(job: ResolvedJob) -> DatabaseOptions:
    """The options of a job's database source; ConfigError with every mistake among them."""
    problems = Problems()
    return given(decoded(job, DatabaseOptions, problems), problems)


def misspelt(job: ResolvedJob) -> Problems:
    """Warnings about options that are one slip away from a known one: they are free, and so do nothing."""
    return warn_misspelt(job, known_keys(DatabaseOptions))
