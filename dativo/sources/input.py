"""A file to read, wherever it lies: what readers of CSV, JSON lines and Parquet know of it.

`files` makes them of a local disk, `store_files` of an object store. Readers ask for bytes by offset, or for all of them
in order, and never hold more of a file than the pieces that they work on.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError

if TYPE_CHECKING:
    import polars as pl
    from _typeshed import WriteableBuffer

T = TypeVar("T")
F = TypeVar("F", bound="InputFile")

# How many files of a store are looked at at once.
_AT_ONCE = 16
# How many files are looked at for few rows: nearly every file has some.
_FEW = 16
_BUFFER = 1 << 20


class OpenFile(Protocol):
    """A file that is open for reading; any thread may read. It closes itself once nothing refers to it.

    `size` is its length as it was opened. `in_place` tells that a part of it costs no more than its bytes, so that
    several threads read it at several places; otherwise it is better read in order, which reads ahead.
    """

    @property
    def in_place(self) -> bool: ...

    @property
    def size(self) -> int: ...

    def read(self, start: int, length: int) -> bytes:
        """So many bytes from an offset on, fewer only at the file's end; SourceError when they cannot be read."""
        ...

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        """All bytes from an offset on, in pieces of at most `length`."""
        ...


class InputFile(Protocol):
    """A file that was chosen to be read, as it was when it was listed.

    `name` is for people, `identity` tells it from every other file in the state, `version` changes with its content
    where its place has such a thing. `entry` is the state entry it belongs to, `glob` whether that entry is a glob's.
    `member` names a file inside a zip archive.
    """

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def modified_ns(self) -> int: ...

    @property
    def identity(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def entry(self) -> str: ...

    @property
    def glob(self) -> bool: ...

    @property
    def member(self) -> str | None: ...

    @property
    def local(self) -> bool: ...

    def open(self) -> OpenFile:
        """The file open for reading; SourceError when it cannot be."""
        ...

    def verify(self) -> None:
        """Raises SourceError when the file went away, or is not what it was when it was listed."""
        ...

    def inside(self, member: str, size: int) -> InputFile:
        """A file inside this one, which is a zip archive."""
        ...

    def scan(self) -> pl.LazyFrame:
        """The file's rows where it is a Parquet file; Polars' errors come when they are asked for."""
        ...

    def on_the_way(self, error: BaseException) -> DativoError | None:
        """What an error of Polars means that is about the way to the file, None where it is about its content."""
        ...


# Lists the files of one of a job's streams.
Listing = Callable[[ResolvedJob, StreamConfig], Sequence[InputFile]]


class SeekableFile(io.RawIOBase):
    """An open file for libraries that want to seek."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            # What the system says of a file: libraries try places before its beginning, and go by this error.
            raise OSError(errno.EINVAL, f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def seekable(file: OpenFile) -> io.BufferedReader:
    """An open file as a stream that can be sought through, read in larger parts than are asked for."""
    return io.BufferedReader(SeekableFile(file), _BUFFER)


def enough(files: Sequence[F], limit: int | None) -> Sequence[F]:
    """The first of the files, as many as so many rows may need, where looking at all of them would be many requests."""
    if limit is None or all(f.local for f in files):
        return files
    return files[: max(limit, _FEW)]


def each(files: Sequence[F], work: Callable[[F], T]) -> list[T]:
    """What some work gives for each of the files, in order; several at once where each would wait for a network."""
    if len(files) < 2 or all(f.local for f in files):
        return [work(f) for f in files]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dativo-look") as pool:
        waiting = [pool.submit(work, f) for f in files]
        try:
            return [w.result() for w in waiting]
        finally:
            for one in waiting:
                one.cancel()
