"""The files below a table's location: listed and removed alike on a local disk and in an object store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pyarrow import fs
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from dativo.errors import TargetError
from dativo.targets.iceberg.catalog import is_local, local_path
from dativo.targets.iceberg.failure import first_line

THREADS = 8
_fs: Any = fs


class StoredFile(NamedTuple):
    """A file: its normal path, its size in bytes, and when it was written, in seconds since 1970."""

    path: str
    size: int
    modified: float


def normal(path: str) -> str:
    """A path as it is compared: local ones without their scheme, and one scheme for all that S3 is called."""
    if is_local(path):
        return local_path(path)
    scheme, colon, rest = path.partition("://")
    return f"s3://{rest}" if scheme in ("s3", "s3a", "s3n") else f"{scheme}{colon}{rest}"


def below(path: str, location: str) -> bool:
    """Whether a path lies below a location."""
    return normal(path).startswith(normal(location).rstrip("/") + "/")


def listed(io: FileIO, location: str) -> Iterator[StoredFile]:
    """Every file below a location; TargetError where it cannot be listed. Links are not followed."""
    if is_local(location):
        yield from _local(local_path(location))
        return
    filesystem, prefix = _store(io, location)
    try:
        found = filesystem.get_file_info(_fs.FileSelector(_key(location), recursive=True, allow_not_found=True))
    except OSError as error:
        raise _unlisted(location, error) from error
    for info in found:
        if info.type == _fs.FileType.File:
            yield StoredFile(f"{prefix}{info.path}", info.size, info.mtime_ns / 1e9)


def _local(root: str) -> Iterator[StoredFile]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise _unlisted(error.filename, error)

    for folder, _, names in os.walk(root, onerror=refuse):
        for name in names:
            path = f"{folder}/{name}"
            try:
                found = Path(path).lstat()
            except FileNotFoundError:
                continue
            yield StoredFile(path, found.st_size, found.st_mtime)


def _unlisted(place: str, error: OSError) -> TargetError:
    return TargetError(
        f"the files below '{place}' cannot be listed: {error.strerror or first_line(error)}",
        hint="check the permissions: listing them needs more than reading them",
    )


def removed(io: FileIO, location: str, paths: Iterable[str]) -> int:
    """Removes files, normal paths below a location; how many. TargetError when one cannot be removed."""
    paths = list(paths)
    assert all(below(path, location) for path in paths)
    if is_local(location):

        def remove(path: str) -> None:
            Path(path).unlink(missing_ok=True)
    else:
        filesystem, prefix = _store(io, location)

        def remove(path: str) -> None:
            filesystem.delete_file(path.removeprefix(prefix))

    with ThreadPoolExecutor(THREADS) as pool:
        failures = [error for error in pool.map(lambda p: _failure(remove, p), paths) if error is not None]
    if failures:
        raise TargetError(
            f"{len(failures)} of {len(paths)} files below '{location}' could not be removed: {first_line(failures[0])}",
            hint="nothing is damaged by that: check the permissions and run it again",
        ) from failures[0]
    return len(paths)


def _failure(remove: Any, path: str) -> OSError | None:
    try:
        remove(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None


def _key(location: str) -> str:
    """Bucket and key of a location."""
    return location.partition("://")[2].rstrip("/")


def _store(io: FileIO, location: str) -> tuple[Any, str]:
    """The file system of a location in an object store, and what its paths lack to be normal ones."""
    parts = urlsplit(location)
    prefix = normal(f"{parts.scheme}://")
    if isinstance(io, PyArrowFileIO):
        return io.fs_by_scheme(parts.scheme, parts.netloc), prefix
    opened: Any = io
    return _fs.PyFileSystem(_fs.FSSpecHandler(opened.get_fs(parts.scheme))), prefix
