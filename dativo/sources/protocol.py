"""The plug point of sources: what a source gives to the plan.

A source's frame has the data columns under the source's own names and four columns that say where each row came from:

| column | dtype | meaning |
|---|---|---|
| `FILE` | UInt32 | position in `Extract.files` |
| `ROW` | Int64 | number of the record in its file, from 1, header and blank lines not counted |
| `FAULT` | String | null, or what is wrong with the record itself, as `ragged: 3 fields, expected 4` |
| `TEXT` | String | null, or the record as it stands in the file where it has a fault |

A record that cannot be read is a row too: its fields are what could be made out, its fault tells why. So nothing is
padded, cut or dropped in silence, and the contract decides what happens to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from dativo.state.cursor import Cursor

if TYPE_CHECKING:
    import polars as pl

    from dativo.config.resolve import StreamConfig
    from dativo.contract.text import TextRules

FILE = "__dativo_file"
ROW = "__dativo_row"
FAULT = "__dativo_fault"
TEXT = "__dativo_text"
PROVENANCE = (FILE, ROW, FAULT, TEXT)


@dataclass(slots=True)
class Meter:
    """What a source has read so far; written by the source, read by the progress line.

    `stop` set asks the source to end at the next block by raising Interrupted.
    """

    bytes: int = 0
    total_bytes: int = 0
    rows: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True, frozen=True)
class SourceColumn:
    """A column that the source has: its name there, and in how many of its files it stands."""

    name: str
    files: int


@dataclass(slots=True, frozen=True)
class Piece:
    """A part of a reading, all of one file, which is read once: `frames` gives its rows with all columns of the extract.

    `proof` is asked for once they were read: it is JSON, and tells a later reading whether the rows are still right.
    """

    name: str
    frames: Callable[[], Generator[pl.DataFrame, None, None]]
    proof: Callable[[], dict[str, Any]]


@dataclass(slots=True, frozen=True)
class Staged:
    """A piece that an earlier reading, which did not come to its end, read and kept: `rows` of them, and its proof.

    `frames` gives these rows, with all columns of the extract but ROW.
    """

    name: str
    rows: int
    proof: dict[str, Any]
    frames: Callable[[], Generator[pl.DataFrame, None, None]]


@dataclass(slots=True)
class Extract:
    """One reading of a stream.

    `frame` is lazy and can be read more than once. `encoding` says whether its data columns are text still to be cast
    by the contract (`text`, with the `rules` for doing so) or have types already (`typed`). `cursor` gives the new
    cursor after the frame was consumed. `unchanged` tells that the source has nothing that was not read before. `notes`
    are for the person who runs the job; a source may add to them while the frame is read.

    `unique` are sets of columns, each of which the source itself keeps unique (and not null) in what the frame has.
    `ordered` tells that the contract's values of the cursor column are ordered as the source orders its own: a text is by
    its bytes, which is not how a database compares it under most collations.

    A source that is expensive to read gives `pieces` too, which together have the frame's rows in the frame's order: called
    with what an earlier reading kept, it gives, as it goes along, the pieces to be read and, in their places, the staged
    ones that are still as the source has them. Whoever takes the pieces does not read the frame. `close` ends the reading.

    A source that would be asked anew, and could see another state by then, gives `since`: what of this very state is new
    since a cursor, asked before anything is read. It ends with this extract.
    """

    frame: pl.LazyFrame
    encoding: Literal["text", "typed"]
    columns: tuple[SourceColumn, ...]
    files: tuple[str, ...]
    rules: TextRules
    cursor: Callable[[], Cursor]
    skipped: int = 0
    unchanged: bool = False
    notes: list[str] = field(default_factory=list)
    unique: tuple[frozenset[str], ...] = ()
    ordered: bool = True
    pieces: Callable[[Sequence[Staged]], Iterable[Piece | Staged]] | None = None
    close: Callable[[], None] = lambda: None
    since: Callable[[Cursor], Extract] | None = None


class Source(Protocol):
    """Reads streams; adapters implement this and inherit nothing."""

    def streams(self) -> Sequence[str]:
        """The names of the streams that can be read."""
        ...

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        """The stream's rows that are new since a cursor (all without one, or with `full`).

        With `limit` the source may stop early and read only so much as that many rows need. Raises SourceError when
        the source is not what the configuration says.
        """
        ...

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        """What stands between this configuration and reading: one entry `{name, ok, message, hint}` a finding."""
        ...


@runtime_checkable
class KeyLister(Protocol):
    """A source that can tell which rows it has now without reading them: how deletes are noticed in a partial reading."""

    def keys(self, stream: StreamConfig, columns: Sequence[str], *, meter: Meter) -> pl.LazyFrame:
        """The columns (the source's own names) of all rows that the stream has now, whatever the cursor and the window.

        Asked after `read` and before that extract is closed: the rows are those of the snapshot that the reading sees.
        They have the dtypes that `read` gives them, no columns of provenance and no order; a relation's `where` holds
        for them too. A value that no dtype can hold is null: that row may be any row then, and nothing counts as deleted.
        An extract that is `unchanged` has its columns, and no rows, where a source lists keys.
        """
        ...
