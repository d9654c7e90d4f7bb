"""Which objects of a store a job reads: keys, globs and prefixes become files, by name within a glob."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import msgspec

from dativo.config.connection import Connection, Setting
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.config.store_address import address
from dativo.errors import SourceError, StoreError, listed, nearest
from dativo.sources.key_pattern import expression, fixed_part, has_magic
from dativo.sources.store_files import Heads, StoreFile
from dativo.sources.store_manifest import counted
from dativo.stores.store import NoSuchObject, ObjectStore, StoredObject, open_store

# How many keys are looked through for a name like one that is missing.
_NEIGHBOURS = 2_000


class _Wanted(NamedTuple):
    """One thing to read: its text and field in the job, the bucket it names, its state entry.

    It lies below `base`, a key's beginning as it is, at `path`, which may be a glob; `whole` means all that is there.
    """

    text: str
    field: str
    bucket: str | None
    base: str
    path: str
    entry: str
    whole: bool = False

    @property
    def key(self) -> str:
        return self.base + self.path


class StoreListing:
    """Lists a job's files in its store; what was fetched of their beginnings is kept from one listing to the next."""

    def __init__(self, job: ResolvedJob) -> None:
        self.job = job
        self.connection: Connection = job.connections["source"]
        prefix = (self.connection.get("prefix") or "").strip("/")
        self.base = f"{prefix}/" if prefix else ""
        self._stores: dict[str | None, ObjectStore] = {}
        self._heads = Heads()

    def __call__(self, stream: StreamConfig) -> list[StoreFile]:
        """Every file of a stream, each once; SourceError when there is none, StoreError when the store refuses."""
        found: dict[str, StoreFile] = {}
        for wanted in self._wanted(stream):
            for file in self._matches(wanted):
                found.setdefault(file.identity, file)
        return list(found.values())

    def store(self, bucket: str | None = None) -> ObjectStore:
        """The store with the connection's own bucket, or with another one."""
        if bucket not in self._stores:
            self._stores[bucket] = open_store(_in_bucket(self.connection, bucket) if bucket else self.connection)
        return self._stores[bucket]

    def _wanted(self, stream: StreamConfig) -> Iterator[_Wanted]:
        positions = {id(f): i for i, f in enumerate(self.job.source.files or [])}
        for file in stream.files:
            field = f"source.files[{positions.get(id(file), 0)}].path"
            text = file.path or ""
            named = address(text)
            base, path = ("", named.key) if named else (self.base, text.lstrip("/"))
            identity = file.id or text
            entry = identity if identity.startswith("file_") else f"file_{identity}"
            yield _Wanted(text, field, named.bucket if named else None, base, path, entry)
        if not stream.files:
            pattern = (self.job.source.pattern or "").lstrip("/")
            field = "source.pattern" if pattern else "source.prefix"
            yield _Wanted(pattern, field, None, self.base, pattern or "**", "", whole=not pattern)

    def _matches(self, wanted: _Wanted) -> list[StoreFile]:
        store = self.store(wanted.bucket)
        exact = None if wanted.whole else self._exact(store, wanted.key)
        if exact is not None:
            return [StoreFile(store, exact, wanted.entry, False, self._heads)]
        if not has_magic(wanted.path):
            raise self._missing(store, wanted)
        matching = expression(wanted.path)
        folder = _folder(wanted.base + fixed_part(wanted.path))
        everything = counted(store, folder, lambda: list(store.list(folder)))
        below = [(o.key.removeprefix(wanted.base), o) for o in everything if o.key.startswith(wanted.base)]
        hits = [(path, o) for path, o in below if matching.match(path)]
        if wanted.whole:
            hits = [(path, o) for path, o in hits if not _is_mark(path)]
        if not hits:
            raise self._nothing(store, wanted)
        entry = f"glob_{store.uri(wanted.key)}"
        return [StoreFile(store, o, entry, True, self._heads) for _, o in sorted(hits, key=lambda hit: hit[0])]

    def _exact(self, store: ObjectStore, key: str) -> StoredObject | None:
        """The object of a key, or None."""
        if not key or key.endswith("/"):
            return None
        with suppress(NoSuchObject):
            try:
                return store.head(key)
            except StoreError:
                # The answer to this request has no text; that to a listing tells what is wrong.
                next(store.list(_folder(key)), None)
                raise
        return None

    def _missing(self, store: ObjectStore, wanted: _Wanted) -> SourceError:
        mark, field = self.job.mark(wanted.field), wanted.field
        folder = _folder(wanted.key)
        beside = [o.key for o in islice(store.list(folder), _NEIGHBOURS)]
        place = store.uri(wanted.key)
        if any(k.startswith(f"{wanted.key.rstrip('/')}/") for k in beside):
            name = place.rstrip("/")
            return SourceError(
                f"'{name}' is a directory", mark=mark, field=field, hint=f"name the files in it, as '{name}/*.csv'"
            )
        hint = f"looked at: {place}"
        if wanted.base and self._exact(store, wanted.path) is not None:
            hint += f"\npaths are taken below the prefix '{wanted.base[:-1]}'; '{store.uri(wanted.path)}' is there"
        else:
            hint += _beside(wanted.key, folder, beside, store)
        return SourceError(f"file not found: '{wanted.text}'", mark=mark, field=field, hint=hint)

    def _nothing(self, store: ObjectStore, wanted: _Wanted) -> SourceError:
        place = store.uri(wanted.key)
        mark = self.job.mark(wanted.field)
        if wanted.whole:
            what = f"there is no file below '{store.uri(wanted.base)}'"
            hint = "names that begin with '.' or '_' do not count; check prefix and bucket"
        else:
            what, hint = f"no file matches '{wanted.text}'", f"looked at: {place}"
            folder = _folder(wanted.base + fixed_part(wanted.path))
            names = [o.key for o in islice(store.list(folder), 20)]
            hint += f"\nbelow '{store.uri(folder)}': {listed(names)}" if names else ""
        return SourceError(what, mark=mark, field=wanted.field, hint=hint)


def _in_bucket(connection: Connection, bucket: str) -> Connection:
    """The connection with another bucket, as a path names it."""
    name = "container" if connection.kind == "azure_blob" else "bucket"
    settings = {**connection.settings, name: Setting(value=bucket, origin="a path in source.files")}
    return msgspec.structs.replace(connection, settings=settings)


def _folder(key: str) -> str:
    """The beginning of a key up to its last slash."""
    return key[: key.rfind("/") + 1]


def _is_mark(key: str) -> bool:
    """Whether a key below the prefix is what other programs leave there: `_SUCCESS`, `_metadata`, `.part.crc`."""
    return any(part.startswith(("_", ".")) for part in key.split("/"))


def _beside(key: str, folder: str, beside: list[str], store: ObjectStore) -> str:
    """What else there is where a file was looked for."""
    names = [k.removeprefix(folder) for k in beside]
    guess = nearest(key.removeprefix(folder), names)
    if guess:
        return f"\ndid you mean {store.uri(folder + guess)}?"
    return f"\nin that folder: {listed(sorted(names))}" if names else f"\nthere is nothing below '{store.uri(folder)}'"
