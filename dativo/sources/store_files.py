"""Files of an object store: opened, read in ranges with the network ahead of the parser, and looked at again at the end.

Every request names the entity tag that the listing told, so what is read is one version of the file or an error.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dativo.errors import DativoError, SourceError
from dativo.stores.failure import translated
from dativo.stores.store import Changed, NoSuchObject, ObjectStore, StoredObject

if TYPE_CHECKING:
    import polars as pl

# What is fetched of a file's beginning, and how much of all beginnings is kept.
HEAD = 64 << 10
KEPT = 32 << 20
# Of a file that is read from its beginning to its end: the first requests are small, for readers that need few rows.
GROWING = (256 << 10, 1 << 20, 4 << 20)
FETCH = 8 << 20
AHEAD = 2


class Heads:
    """The beginnings of files that were fetched last: what looks at a file several times asks its store once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[StoredObject, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, found: StoredObject) -> bytes | None:
        with self._lock:
            if found in self._kept:
                self._kept.move_to_end(found)
            return self._kept.get(found)

    def put(self, found: StoredObject, data: bytes) -> None:
        with self._lock:
            if found not in self._kept:
                self._kept[found] = data
                self._size += len(data)
            while self._size > KEPT:
                self._size -= len(self._kept.popitem(last=False)[1])


@dataclass(slots=True, frozen=True)
class StoreFile:
    """An object as it was listed. `member` names a file inside a zip archive; `entry` is its state entry."""

    store: ObjectStore = field(repr=False)
    found: StoredObject
    entry: str
    glob: bool
    heads: Heads = field(repr=False)
    member: str | None = None
    member_size: int = 0

    @property
    def name(self) -> str:
        return self.identity if self.member is None else f"{self.identity}!{self.member}"

    @property
    def size(self) -> int:
        return self.found.size if self.member is None else self.member_size

    @property
    def modified_ns(self) -> int:
        return self.found.modified_ns

    @property
    def identity(self) -> str:
        return self.store.uri(self.found.key)

    @property
    def version(self) -> str:
        return self.found.etag

    @property
    def local(self) -> bool:
        return False

    def open(self) -> OpenStoreFile:
        return OpenStoreFile(self)

    def verify(self) -> None:
        try:
            now = self.store.head(self.found.key)
        except NoSuchObject:
            raise self.gone() from None
        # Listings tell times finer than headers do.
        same_time = now.modified_ns // 10**9 == self.found.modified_ns // 10**9
        if now.size != self.found.size or (now.etag != self.found.etag if now.etag else not same_time):
            raise self.changed()

    def inside(self, member: str, size: int) -> StoreFile:
        return replace(self, member=member, member_size=size)

    def scan(self) -> pl.LazyFrame:
        import polars as pl

        options = self.store.polars_options()
        return pl.scan_parquet(self.identity, storage_options=options, glob=False, hive_partitioning=False)

    def on_the_way(self, error: BaseException) -> DativoError | None:
        if not isinstance(error, Exception) or "object-store error" not in str(error):
            return None
        if isinstance(error, FileNotFoundError):
            return self.gone()
        return translated(error, self.store.connection, "read", self.found.key)

    def gone(self) -> SourceError:
        return SourceError(f"'{self.identity}' went away while it was read; nothing was committed", hint="run again")

    def changed(self) -> SourceError:
        return SourceError(
            f"'{self.identity}' changed while it was read; nothing was committed", hint="run again when it is complete"
        )


class OpenStoreFile:
    """An object that is being read; nothing is held open between requests."""

    __slots__ = ("_file", "size")

    in_place = False

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self.size = file.found.size

    def read(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size)
        if start >= end:
            return b""
        return self._head()[start:end] if end <= HEAD else self._range(start, end)

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        for data in self._fetched(start):
            for at in range(0, len(data), length):
                yield data[at : at + length] if len(data) > length else data

    def _fetched(self, start: int) -> Iterator[bytes]:
        """All bytes from an offset on, some requests ahead of who takes them once it has taken a few."""
        if start < min(HEAD, self.size):
            yield self._head()[start:]
            start = HEAD
        pool = ThreadPoolExecutor(AHEAD + 1, thread_name_prefix="dativo-fetch")
        waiting: deque[Future[bytes]] = deque()
        taken = 0
        try:
            while waiting or start < self.size:
                while start < self.size and len(waiting) <= min(max(taken - 1, 0), AHEAD):
                    step = taken + len(waiting)
                    end = min(start + (GROWING[step] if step < len(GROWING) else FETCH), self.size)
                    waiting.append(pool.submit(self._range, start, end))
                    start = end
                yield waiting.popleft().result()
                taken += 1
        finally:
            # Who reads may have stopped; what is under way ends by itself.
            pool.shutdown(wait=False, cancel_futures=True)

    def _head(self) -> bytes:
        data = self._file.heads.get(self._file.found)
        if data is None:
            data = self._range(0, min(HEAD, self.size))
            self._file.heads.put(self._file.found, data)
        return data

    def _range(self, start: int, end: int) -> bytes:
        """Exactly these bytes of the version that was listed; the client goes on where an answer breaks off."""
        file = self._file
        try:
            data = file.store.read_range(file.found, start, end)
        except Changed:
            raise file.changed() from None
        except NoSuchObject:
            raise file.gone() from None
        if len(data) != end - start:
            raise SourceError(f"'{file.identity}' is cut short by its store", hint="run again")
        return data
