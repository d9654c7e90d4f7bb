"""What is known of a table in an object store: one small JSON object, replaced as a whole by each commit.

It names the files that count, the columns that each was written with, and what the table remembers of the jobs that load
it. Beyond some hundred files their entries move into segments, objects that are written once and never changed, so that
a commit costs the same whatever the table's size. The format is described in docs/connectors/object-stores.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from dativo.errors import StateError, TargetError
from dativo.stores.store import NoSuchObject, ObjectStore
from dativo.targets.objects.columns import Column
from dativo.targets.objects.layout import Format, Place

VERSION = 1
INLINE = 500  # entries that a manifest has at most; more go into segments
IN_SEGMENT = 2000
TOKENS = 8
SNAPSHOTS = 20


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A data file: its path below the table's folder, and by which of the manifest's schemas it was written.

    `partition` has the text of each partition segment, `day` the ingest date that all its rows have, if they have one.
    """

    path: str
    rows: int
    bytes: int
    schema: int
    partition: dict[str, str] = {}
    day: str | None = None
    run: str


class Segment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A list of entries in an object of its own: its path below the table's folder, and what the entries add up to."""

    path: str
    files: int
    rows: int
    bytes: int
    first_day: str | None = None
    last_day: str | None = None


class CsvStyle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How CSV files are written: RFC 4180 with another delimiter, another quote, or no line of names."""

    delimiter: str = ","
    quote: str = '"'
    header: bool = True


STANDARD = CsvStyle()


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One of the last commits. `id` is the manifest's generation, `at` ISO 8601 in UTC."""

    id: int
    at: str
    operation: str
    run: str
    job: str
    rows_added: int
    rows_removed: int
    files_added: int
    files_removed: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A table. `runs` has the newest tokens of each `tenant.job.stream`, `states` what its newest run left.

    The files are those of `segments` and `entries`; `schemas` are the columns that files have, by an entry's number of
    them, and `columns` those of the table as it is now; `style` is that of CSV files. `removed` are keys below the table's
    folder that the newest commit took out, and that nobody needs any more.
    """

    version: int = VERSION
    table: str
    generation: int
    format: Format
    columns: tuple[Column, ...]
    schemas: tuple[tuple[Column, ...], ...]
    partitioning: tuple[str, ...]
    properties: dict[str, str]
    next_number: int
    files: int
    rows: int
    bytes: int
    runs: dict[str, tuple[str, ...]]
    states: dict[str, dict[str, Any]]
    commits: tuple[Commit, ...]
    segments: tuple[Segment, ...] = ()
    entries: tuple[Entry, ...] = ()
    removed: tuple[str, ...] = ()
    style: CsvStyle = STANDARD

    def newest(self, key: str) -> str | None:
        """The token of a job's newest run."""
        return next(iter(self.runs.get(key, ())), None)

    def commit_of(self, token: str) -> int | None:
        """The commit that a run made, if rows came or went by it."""
        return next((c.id for c in self.commits if c.run == token and (c.files_added or c.files_removed)), None)


class _Version(msgspec.Struct):
    version: int


def load(place: Place) -> tuple[Manifest, str] | None:
    """A table's manifest with its entity tag, or None when there is no table.

    Raises StateError when a newer version wrote it, TargetError when it cannot be read.
    """
    try:
        text, found = place.store.read(place.manifest)
    except NoSuchObject:
        return None
    return _decoded(text, place), found.etag


def _decoded(text: bytes, place: Place) -> Manifest:
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version > VERSION:
            raise StateError(
                f"the manifest of {place.name} has version {version}, this program knows {VERSION}",
                hint="use a newer dativo",
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise TargetError(
            f"the manifest {place.store.uri(place.manifest)} cannot be read: {error}",
            hint="put back an earlier version of this object; the data files are untouched",
        ) from error
    if manifest.table != place.table:
        raise TargetError(
            f"{place.name} is the folder of the table {manifest.table}, not of {place.table}",
            hint="give this job another prefix",
            field="target.connection.prefix",
        )
    return manifest


def encoded(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def read_segment(place: Place, segment: Segment) -> list[Entry]:
    """The entries of a segment; TargetError when it is gone or damaged."""
    key = place.key(segment.path)
    try:
        text, _ = place.store.read(key)
        return msgspec.json.decode(text, type=list[Entry])
    except (NoSuchObject, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise TargetError(
            f"{place.store.uri(key)}, a part of the table's manifest, cannot be read: {error}",
            hint="another run may have replaced the rows meanwhile: run again",
        ) from error


def entries(place: Place, manifest: Manifest) -> Iterator[Entry]:
    """Every data file of a table."""
    for segment in manifest.segments:
        yield from read_segment(place, segment)
    yield from manifest.entries


def write_segments(store: ObjectStore, place: Place, found: Sequence[Entry], name: str) -> list[Segment]:
    """Puts entries into new segments, of which `name` makes the names unlike all others."""
    segments = []
    for at in range(0, len(found), IN_SEGMENT):
        some = found[at : at + IN_SEGMENT]
        path = place.hidden(f"files-{name}-{at // IN_SEGMENT:04d}.json").removeprefix(f"{place.base}/")
        store.write(place.key(path), msgspec.json.encode(some), content_type="application/json")
        days = sorted(e.day for e in some if e.day is not None)
        segments.append(
            Segment(
                path=path,
                files=len(some),
                rows=sum(e.rows for e in some),
                bytes=sum(e.bytes for e in some),
                first_day=days[0] if days else None,
                last_day=days[-1] if days else None,
            )
        )
    return segments


def split(
    place: Place, manifest: Manifest, goes: Callable[[Entry], bool], touches: Callable[[Segment], bool]
) -> tuple[list[Segment], list[Entry], list[Entry], list[Segment]]:
    """A table's files by whether they go: segments and entries that stay, entries that go, segments that come apart."""
    staying, apart = [], []
    kept: list[Entry] = []
    gone: list[Entry] = []
    for segment in manifest.segments:
        if not touches(segment):
            staying.append(segment)
            continue
        apart.append(segment)
        for entry in read_segment(place, segment):
            (gone if goes(entry) else kept).append(entry)
    for entry in manifest.entries:
        (gone if goes(entry) else kept).append(entry)
    return staying, kept, gone, apart
