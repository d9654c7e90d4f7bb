"""An object store that a connection describes: objects are listed, read in ranges, written under conditions, deleted.

Keys are paths inside the bucket or container, without a slash in front; the connection's `prefix` is not put before
them. Everything that a store refuses is a StoreError that names the setting, its origin and the remedy.
"""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from urllib.parse import quote
from uuid import uuid4

import msgspec

from dativo.config.connection import Connection
from dativo.errors import DativoError, StoreError
from dativo.stores.failure import is_missing, translated
from dativo.stores.opening import ROLE_BUCKET, opened, polars_options

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dativo.stores.upload import Upload

READ_AHEAD = 8 * 1024 * 1024  # bytes that one request fetches of an object that is read from its beginning to its end
AT_ONCE = 1000  # objects that one request lists or deletes, the most that S3 allows


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object: its key, its size in bytes, when it was written (nanoseconds since 1970, UTC), and its entity tag."""

    key: str
    size: int
    modified_ns: int
    etag: str


class NoSuchObject(Exception):
    """There is no object of this key."""


class Changed(Exception):
    """An object is not what a conditional write or read took it for: another one was there first."""


class ObjectStore:
    """One bucket of S3 or one container of Azure."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.scheme: Literal["s3", "az"] = "az" if connection.kind == "azure_blob" else "s3"
        with self.asked("opened"):
            self.client: Any = opened(connection)
            # Hashing what is sent costs more than sending it, so large objects rely on the connection, as Amazon's own
            # clients and Polars do.
            self.bulk: Any = opened(connection, hashed=False)
        self.bucket = connection.get(ROLE_BUCKET[self.scheme]) or ""
        self.prefix = (connection.get("prefix") or "").strip("/")

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with this text, in pages, in the order of the store (by key on S3)."""
        import obstore

        folder = prefix.rpartition("/")[0]
        with self.asked("listed", prefix):
            for page in obstore.list(self.client, folder or None, chunk_size=AT_ONCE):
                for found in page:
                    if found["path"].startswith(prefix):
                        yield _stored(found)

    def head(self, key: str) -> StoredObject:
        """What an object is, without its content; NoSuchObject when there is none."""
        import obstore

        with self.asked("read", key):
            return _stored(obstore.head(self.client, key))

    def read(self, key: str) -> tuple[bytes, StoredObject]:
        """A whole object, for small ones, and what it is; NoSuchObject when there is none."""
        import obstore

        with self.asked("read", key):
            result = obstore.get(self.client, key)
            return bytes(result.bytes()), _stored(result.meta)

    def open_input(self, key: str, *, buffer: int = READ_AHEAD) -> BinaryIO:
        """An object as a seekable file that fetches `buffer` bytes at a time; at most these are in memory.

        Raises NoSuchObject when there is none, and while it is read OSError when it is replaced by another object.
        """
        found = self.head(key)
        return io.BufferedReader(_Ranges(self, found), max(1, min(buffer, found.size)))

    def read_range(self, found: StoredObject, start: int, end: int) -> bytes:
        """Bytes of an object from `start` up to `end`; Changed when it is not the object that was found any more."""
        import obstore

        with self.asked("read", found.key):
            options: Any = {"range": (start, end), "if_match": _quoted(found.etag)}
            return bytes(obstore.get(self.client, found.key, options=options).bytes())

    def write(
        self,
        key: str,
        content: bytes,
        *,
        only_if_absent: bool = False,
        only_if: str | None = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Writes an object and gives its entity tag.

        With `only_if_absent` only where there is none, with `only_if` only in place of the object with this entity tag;
        else Changed is raised, also when an earlier try of this same write had landed and its reply was lost.
        """
        import obstore

        mode: Any = {"e_tag": _quoted(only_if)} if only_if is not None else "create" if only_if_absent else "overwrite"
        attributes = metadata_of(metadata or {}, content_type, self.scheme)
        with self.asked("written", key):
            result = obstore.put(
                self.client,
                key,
                content,
                attributes=attributes,
                tags=dict(tags) if tags and self.scheme == "s3" else None,
                mode=mode,
                use_multipart=None if mode == "overwrite" else False,
            )
        return (result["e_tag"] or "").strip('"')

    def upload(
        self,
        key: str,
        content_type: str,
        describe: Callable[[bool], Mapping[str, str]],
        tags: Mapping[str, str],
        part: int | None = None,
    ) -> Upload:
        """An object that is written piece by piece; see Upload."""
        from dativo.stores.upload import PART, Upload

        return Upload(self, key, content_type, describe, tags, part or PART)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; those that are gone already do not matter."""
        import obstore

        wanted = list(keys)
        for at in range(0, len(wanted), AT_ONCE):
            some = wanted[at : at + AT_ONCE]
            with self.asked("removed", some[0]):
                try:
                    obstore.delete(self.client, some)
                except FileNotFoundError:
                    for key in some:
                        with contextlib.suppress(FileNotFoundError):
                            obstore.delete(self.client, key)

    def uri(self, key: str = "") -> str:
        """The address of an object, as Polars and other tools take it."""
        return f"{self.scheme}://{self.bucket}/{key}"

    def polars_options(self) -> dict[str, str]:
        """The `storage_options` with which Polars reaches this store. They hold secrets."""
        return polars_options(self.connection)

    def check(self, *, write: bool = True, conditions: bool = False) -> None:
        """Raises StoreError unless the bucket is there and can be listed, and with `write` written and cleaned.

        With `conditions` also unless the store keeps to the conditions of writes.
        """
        if not write:
            next(self.list(self.prefix + "/" if self.prefix else ""), None)
            return
        import obstore

        probe = "/".join(part for part in (self.prefix, f".dativo-check-{uuid4().hex}") if part)
        with self.asked("written", self.prefix):
            obstore.put(self.client, probe, b"")
        obeyed = not conditions or self._refuses_second(probe)
        with self.asked("cleaned", self.prefix):
            obstore.delete(self.client, probe)
        if not obeyed:
            raise StoreError(
                f"the store of {self.uri(self.prefix)} takes conditional writes and does not keep to their condition: "
                "two runs at once would overwrite each other's commit",
                hint=f"use a store that obeys If-Match and If-None-Match\nendpoint: {self.connection.origin('endpoint')}",
            )

    def _refuses_second(self, probe: str) -> bool:
        """Whether an object that must not be there is not written where there is one."""
        try:
            self.write(probe, b"", only_if_absent=True)
        except Changed:
            return True
        return False

    @contextlib.contextmanager
    def asked(self, done: str, key: str = "") -> Iterator[None]:
        """Translates what the client raises while an object is listed, read, written or removed."""
        try:
            yield
        except (DativoError, NoSuchObject, Changed):
            raise
        except Exception as error:
            name = type(error).__name__
            if name in ("AlreadyExistsError", "PreconditionError", "NotModifiedError"):
                raise Changed(key) from error
            if done == "read" and is_missing(error):
                raise NoSuchObject(key) from error
            raise translated(error, self.connection, done, key) from error


def open_store(connection: Connection) -> ObjectStore:
    """The store of a connection of the kinds s3, minio and azure_blob; StoreError when a setting is missing."""
    return ObjectStore(connection)


class _Ranges(io.RawIOBase):
    """An object as a raw file: every read is one request."""

    def __init__(self, store: ObjectStore, found: StoredObject) -> None:
        self._store, self._found, self._at = store, found, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._found.size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, f"{self._found.key} has no place before its beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        end = min(self._at + len(view), self._found.size)
        if end <= self._at:
            return 0
        try:
            got = self._store.read_range(self._found, self._at, end)
        except (Changed, NoSuchObject):
            raise OSError(f"{self._store.uri(self._found.key)} was replaced while it was read") from None
        if len(got) != end - self._at:
            raise OSError(f"{self._store.uri(self._found.key)} was cut short while it was read")
        view[: len(got)] = got
        self._at = end
        return len(got)


def _stored(found: Any) -> StoredObject:
    moment = found["last_modified"]
    ns = int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    return StoredObject(key=found["path"], size=found["size"], modified_ns=ns, etag=(found["e_tag"] or "").strip('"'))


def _quoted(etag: str | None) -> str | None:
    """An entity tag as requests carry it: listings of Azure have no quotes around it."""
    return f'"{etag}"' if etag else None


def metadata_of(values: Mapping[str, str], content_type: str, scheme: str) -> dict[str, str]:
    """Metadata as headers carry it: ASCII, and on Azure with names that are identifiers."""
    named = {k.replace("-", "_") if scheme == "az" else k: v for k, v in values.items()}
    written = {k: quote(v, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~") for k, v in named.items()}
    return {"Content-Type": content_type, **written}
