"""What a source has: its tables, views and files with their columns, and drafts of contracts for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec

from dativo import connectors
from dativo.config import paths
from dativo.config.connection_fields import STORES
from dativo.config.needs import LOCAL_SOURCES
from dativo.config.resolve import Mode, ResolvedJob, Resolver
from dativo.config.secrets import SecretManager
from dativo.config.source_job import read_source_of_connector, read_source_of_job
from dativo.errors import ConfigError, Mark, Problem, SourceError, UnsupportedError, listed, nearest
from dativo.pipeline.draft import Draft, draft, slug
from dativo.secret_managers.choice import secret_manager
from dativo.sources.discovery import Discovering, FoundStream
from dativo.sources.file_discovery import FileDiscovery

SAMPLES = 50
# Columns whose values may tell what they hold.
_SAMPLED = ("string", "long", "decimal")
ENDINGS = (".yaml", ".yml")


class DraftFile(msgspec.Struct, frozen=True, kw_only=True):
    """A draft that was written: its file, its stream, and what was guessed; with `unread` from names alone, because no row
    of the stream could be read."""

    path: str
    stream: str
    draft: Draft
    unread: bool = False


def source_of_job(path: Path, *, mode: Mode | None = None, manager: SecretManager | None = None) -> ResolvedJob:
    """The source of a job's file, as a job that has nothing else: its contract need not be there yet.

    Raises ConfigError with every mistake in what the source is made of.
    """
    resolver = Resolver(mode=mode, manager=manager or secret_manager())
    job = read_source_of_job(path, resolver.library, resolver.environment, mode, resolver.problems)
    return _given(job, resolver)


def source_of_connector(
    name: str, *, tenant: str = "default", mode: Mode | None = None, manager: SecretManager | None = None
) -> ResolvedJob:
    """The source that a connector's recipe, the secrets of a tenant and variables make. Raises as `source_of_job`."""
    resolver = Resolver(mode=mode, manager=manager or secret_manager())
    job = read_source_of_connector(name, tenant, resolver.library, resolver.environment, mode, resolver.problems)
    return _given(job, resolver)


def _given(job: ResolvedJob | None, resolver: Resolver) -> ResolvedJob:
    if job is None or resolver.problems.errors():
        raise ConfigError(resolver.problems.found)
    if job.missing:
        needed = [p for p in job.warnings if p.code == "env_missing"]
        raise ConfigError([p._replace(severity="error") for p in needed])
    return job


def discover(job: ResolvedJob, streams: Sequence[str] = ()) -> list[FoundStream]:
    """What the source of a job has; with `streams` those of these names (as `orders` or `public.orders`).

    Raises SourceError when the source cannot be asked or has no such stream, UnsupportedError for a source that cannot tell
    what it has.
    """
    found = list(_asked(job).discover())
    if not streams:
        return found
    chosen = [_named(found, name) for name in streams]
    return list({id(s): s for several in chosen for s in several}.values())


def write_drafts(
    job: ResolvedJob, streams: Sequence[FoundStream], place: Path, *, force: bool = False
) -> list[DraftFile]:
    """Writes a draft of a contract for each stream: into a folder, or for one stream into a file that ends in `.yaml`.

    Raises ConfigError, and writes nothing, where a file is there already and `force` does not allow to replace it.
    """
    names = _names(streams)
    files = _files(names, place)
    taken = [path for path in files if path.exists()]
    if taken and not force:
        raise ConfigError(
            [
                Problem(
                    "the file is there already", Mark(paths.shown(p)), "", "write elsewhere, or replace it with --force"
                )
                for p in taken
            ]
        )
    telling = [replace(s, columns=tuple(c for c in s.columns if c.field.kind in _SAMPLED)) for s in streams]
    telling = [s for s in telling if s.columns]
    samples = dict(zip((s.name for s in telling), _asked(job).samples(telling, SAMPLES), strict=True))
    made = []
    for stream, name, path in zip(streams, names, files, strict=True):
        values = samples.get(stream.name, {})
        found = draft(job.source_type, stream, values or {}, name)
        made.append(DraftFile(path=paths.shown(path), stream=stream.name, draft=found, unread=values is None))
    for path, one in zip(files, made, strict=True):
        _write(path, one.draft.text)
    return made


def _asked(job: ResolvedJob) -> Discovering:
    source = connectors.source(job)
    if job.source_type in (*LOCAL_SOURCES, *STORES) and job.source.files:
        return FileDiscovery(job, source)
    if not callable(getattr(source, "discover", None)):
        raise UnsupportedError(
            f"a {job.source_type} source cannot tell what it has",
            hint="name a job whose source has `files`, or write the contract by hand: docs/getting-started.md shows one",
        )
    return cast(Discovering, source)


def _named(found: Sequence[FoundStream], name: str) -> list[FoundStream]:
    """The streams of a name: exactly, else without regard to letter case."""
    for fold in (str, str.casefold):
        hits = [s for s in found if fold(name) in (fold(s.name), fold(s.object))]
        if hits:
            return hits
    known = [s.name for s in found]
    guess = nearest(name, [*known, *(s.object for s in found)])
    raise SourceError(
        f"the source has no '{name}'",
        hint=(f"did you mean '{guess}'?\n" if guess else "") + f"it has: {listed(known) or 'nothing that can be read'}",
    )


def _names(streams: Sequence[FoundStream]) -> list[str]:
    """A name for each contract: the stream's object, with its schema where that alone would name two."""
    short = [slug(s.object) for s in streams]
    found: list[str] = []
    for stream, name in zip(streams, short, strict=True):
        wanted = name if short.count(name) == 1 else slug(stream.name)
        number = 2
        unique = wanted
        while unique in found:
            unique, number = f"{wanted}_{number}", number + 1
        found.append(unique)
    return found


def _files(names: Sequence[str], place: Path) -> list[Path]:
    place = paths.expanded(str(place))
    if place.suffix.lower() not in ENDINGS or place.is_dir():
        return [place / f"{name}.yaml" for name in names]
    if len(names) != 1:
        raise ConfigError(
            [
                Problem(
                    f"one file cannot hold the contracts of {len(names)} streams",
                    Mark(paths.shown(place)),
                    "",
                    "name a folder, or one stream with --stream",
                )
            ]
        )
    return [place]


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(
            [Problem(f"the file cannot be written: {error.strerror}", Mark(paths.shown(path)), "", "check the folder")]
        ) from None
