"""What a commit is to do to a table of files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dativo.config.field import Field
from dativo.contract.evolve import SchemaMode
from dativo.targets.objects.columns import Column
from dativo.targets.objects.layout import Format, Place
from dativo.targets.objects.manifest import STANDARD, CsvStyle, Entry, Segment


@dataclass(slots=True)
class Replacing:
    """Which files a replacing run takes out, and in which segments there may be some."""

    goes: Callable[[Entry], bool]
    touches: Callable[[Segment], bool]


@dataclass(slots=True)
class Plan:
    """What a commit is to do.

    `key` is `tenant.job.stream`; `expected` the token that was its newest when the run began. `written` are the columns
    that the files in `files` have; their schema has a number once it is committed. `wanted` are the
    columns that the job wants, `before` those that the table had when the run began (None: no table).
    """

    place: Place
    token: str
    key: str
    job: str
    expected: str | None
    check_expected: bool
    format: Format
    wanted: tuple[Field, ...]
    mode: SchemaMode
    before: tuple[Column, ...] | None
    written: tuple[Column, ...] | None
    partitioning: tuple[str, ...]
    properties: dict[str, str] = field(default_factory=dict)
    files: list[Entry] = field(default_factory=list)
    next_number: int = 1
    state: dict[str, Any] | None = None
    replace: Replacing | None = None
    style: CsvStyle = STANDARD
