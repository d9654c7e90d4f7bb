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
from dativo.stores.store import NoSuchObject, ObjectStore, StoredObject, open_store

# How many keys are looked through for a name like one that is missing.
_NEIGHBOURS = 2_000


class _Wanted(NamedTuple):
    """One thing to read: its text and field in the job, the bucket it names, its key or pattern, its state entry."""

    text: str
    field: str
    bucket: str | None
    key: str
    entry: str
    whole: bool = False


class StoreListing:
    """Lists a job's files in its store; what was fetched of their beginnings is kept from one listing to the next."""

    def __init__(self, job: ResolvedJob) -> None:
        self.job = job
        self.connection: Connection = job.connections["source"]
        self.prefix = (self.connection.get("prefix") or "").strip("/")
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
            key = named.key if named else _below(self.prefix, text)
            identity = file.id or text
            entry = identity if identity.startswith("file_") else f"file_{identity}"
            yield _Wanted(text, field, named.bucket if named else None, key, entry)
        if not stream.files:
            pattern = self.job.source.pattern or ""
            key = _below(self.prefix, pattern or "**")
            field = "source.pattern" if pattern else "source.prefix"
            yield _Wanted(key, field, None, key, "", whole=not pattern)

    def _matches(self, wanted: _Wanted) -> list[StoreFile]:
        store = self.store(wanted.bucket)
        magic = has_magic(wanted.key)
        exact = None if wanted.whole else self._exact(store, wanted.key)
        if exact is not None:
            return [StoreFile(store, exact, wanted.entry, False, self._heads)]
        if not magic:
            raise self._missing(store, wanted)
        matching = expression(wanted.key)
        hits = [o for o in store.list(fixed_part(wanted.key)) if matching.match(o.key)]
        if wanted.whole:
            hits = [o for o in hits if not _is_mark(o.key.removeprefix(self.prefix))]
        files = [o for o in hits if not (o.size == 0 and o.key.endswith("/"))]
        if not files:
            raise self._nothing(store, wanted)
        entry = f"glob_{store.uri(wanted.key)}"
        return [StoreFile(store, o, entry, True, self._heads) for o in sorted(files, key=lambda o: o.key)]

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
        if self.prefix and not address(wanted.text) and self._exact(store, wanted.text) is not None:
            hint += f"\npaths are taken below the prefix '{self.prefix}'; '{store.uri(wanted.text)}' is there"
        else:
            hint += _beside(wanted.key, folder, beside, store)
        return SourceError(f"file not found: '{wanted.text}'", mark=mark, field=field, hint=hint)

    def _nothing(self, store: ObjectStore, wanted: _Wanted) -> SourceError:
        place = store.uri(wanted.key)
        mark = self.job.mark(wanted.field)
        if wanted.whole:
            what = f"there is no file below '{store.uri(self.prefix)}'"
            hint = "names that begin with '.' or '_' do not count; check prefix and bucket"
        else:
            what, hint = f"no file matches '{wanted.text}'", f"looked at: {place}"
            folder = _folder(fixed_part(wanted.key))
            names = [o.key for o in islice(store.list(folder), 20)]
            hint += f"\nbelow '{store.uri(folder)}': {listed(names)}" if names else ""
        return SourceError(what, mark=mark, field=wanted.field, hint=hint)


def _in_bucket(connection: Connection, bucket: str) -> Connection:
    """The connection with another bucket, as a path names it."""
    name = "container" if connection.kind == "azure_blob" else "bucket"
    settings = {**connection.settings, name: Setting(value=bucket, origin="a path in source.files")}
    return msgspec.structs.replace(connection, settings=settings)


def _below(prefix: str, path: str) -> str:
    path = path.lstrip("/")
    return f"{prefix}/{path}" if prefix else path


def _folder(key: str) -> str:
    return key.rstrip("/").rpartition("/")[0] + "/" if "/" in key.rstrip("/") else ""


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
