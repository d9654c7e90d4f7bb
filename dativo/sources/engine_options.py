"""Reading a source's options from `source.engine.options`: free keys into one struct, every mistake with its place.

This module imports nothing heavy: `validate` reads it for every job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from dativo.config.decode import Problems, decode
from dativo.config.documents import Node, map_of, scalar_of
from dativo.config.resolve import ResolvedJob
from dativo.errors import ConfigError, Mark, one_slip

S = TypeVar("S", bound=msgspec.Struct)

PATH = "source.engine.options"


def raw_options(job: ResolvedJob) -> dict[str, Any]:
    """The options as the job has them, variables put in; those below an engine's name are among them."""
    engine = job.source.engine
    return dict(engine.options) if engine is not None and not isinstance(engine, str) else {}


def decoded(job: ResolvedJob, cls: type[S], problems: Problems) -> S | None:
    """The options as a struct, or None after their mistakes went to `problems`."""

    def node(value: Any, path: str) -> Node:
        mark = job.mark(path) or Mark(job.path)
        if isinstance(value, dict):
            return map_of({str(k): node(v, f"{path}.{k}") for k, v in value.items()}, mark)
        if isinstance(value, list):
            return Node("list", [node(v, f"{path}[{i}]") for i, v in enumerate(value)], mark)
        return scalar_of(value, mark)

    return decode(node(raw_options(job), PATH), cls, problems, PATH)


def given(options: S | None, problems: Problems) -> S:
    """The options; ConfigError with every problem when a mistake is among them."""
    if options is None or problems.errors():
        raise ConfigError(problems.found)
    return options


def known_keys(*structs: type[msgspec.Struct]) -> list[str]:
    """The options of some structs, other spellings too."""
    return [key for cls in structs for key in (*cls.__struct_fields__, *getattr(cls, "aliases", {}))]


def warn_misspelt(job: ResolvedJob, known: Iterable[str]) -> Problems:
    """Warnings about options that are one slip away from a known one: they are free, and so do nothing."""
    problems = Problems()
    names = list(known)
    for key in raw_options(job):
        slip = one_slip(key, names) if key not in names else None
        if slip and not key.startswith("library"):
            problems.warn(
                f"unknown option '{key}' does nothing",
                job.mark(f"{PATH}.{key}"),
                f"{PATH}.{key}",
                f"did you mean '{slip}'?",
                code="config_unknown_key",
            )
    return problems
