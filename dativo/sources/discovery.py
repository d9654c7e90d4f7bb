"""The plug point of discovery: what a source has, described for a person who is to write a contract for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dativo.config.asset import Field


@dataclass(slots=True, frozen=True)
class FoundColumn:
    """A column: its name, the source's own name of its type, and the contract field that holds all of its values.

    `lossless` is false where the field is text because no type of a table holds the values (docs say by which rule).
    """

    name: str
    native: str
    field: Field
    nullable: bool = True
    comment: str = ""
    lossless: bool = True


@dataclass(slots=True, frozen=True)
class FoundStream:
    """A table, view or other object that can be read. `rows` is the source's own estimate, None where it has none.

    `cursors` are columns by which it could be loaded incrementally, the best first.
    """

    object: str
    name: str
    kind: str
    columns: tuple[FoundColumn, ...]
    key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    cursors: tuple[str, ...] = ()
    rows: int | None = None
    comment: str = ""


class Discovering(Protocol):
    """A source that can tell what it has; adapters implement this and inherit nothing."""

    def discover(self) -> Sequence[FoundStream]:
        """All that the account may read, system tables left out; SourceError when the source cannot be asked."""
        ...

    def samples(self, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
        """A few values of the columns of each stream by column, as text, nulls left out; None where it cannot be read.

        SourceError when the source cannot be asked.
        """
        ...
