"""A local folder as the store of tables: what the targets ask of an object store, on files."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from dativo.config.connection import Connection
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError, StoreError
from dativo.stores.store import Changed, NoSuchObject, ObjectStore, StoredObject
from dativo.stores.upload import Upload
from dativo.targets.objects.layout import Place, table_name

if TYPE_CHECKING:
    from typing_extensions import Buffer

_UNFINISHED = ".unfinished-"
_WHY = {
    errno.ENOSPC: ("no space is left on the disk", "free space, then run again"),
    errno.EDQUOT: ("the disk quota is used up", "free space, or raise the quota"),
    errno.EACCES: ("the permission is missing", "allow this user to write there, or set another path"),
    errno.EPERM: ("the permission is missing", "allow this user to write there, or set another path"),
    errno.EROFS: ("the file system is read-only", "set another path"),
    errno.ENOTDIR: ("a part of the path is a file", "set another path"),
    errno.EEXIST: ("a file is in the way", "set another path"),
    errno.ENAMETOOLONG: ("the name is too long", "set a shorter path"),
}


def folder_of(job: ResolvedJob) -> Path:
    """The folder of the job's tables: `target.connection.path`, else `target.warehouse`, else the tenant's own."""
    text = str(job.target.connection.get("path") or job.target.warehouse or f".local/warehouse/{job.tenant_id}")
    return Path(job.root) / re.sub(r"^file://", "", text)


def table_place(job: ResolvedJob, stream: StreamConfig) -> Place:
    """A stream's table: a folder of its name."""
    table = table_name(stream.table)
    return Place(FolderStore(folder_of(job)), table, table)


class FolderStore(ObjectStore):
    """A folder whose files are objects; their keys are paths below it. A file's tag is the hash of its content."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.connection = Connection(kind="csv")
        self.scheme = "s3"
        self.bucket = self.prefix = ""

    def _path(self, key: str) -> Path:
        return self.root / key

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        folder = self._path(prefix.rpartition("/")[0])
        with self.asked("listed", prefix):
            for path in sorted(folder.rglob("*")):
                key = path.relative_to(self.root).as_posix()
                if path.is_file() and key.startswith(prefix) and not key.endswith("/lock"):
                    with suppress(FileNotFoundError):
                        yield _found(key, path, "")

    def head(self, key: str) -> StoredObject:
        return self.read(key)[1]

    def read(self, key: str) -> tuple[bytes, StoredObject]:
        path = self._path(key)
        with self.asked("read", key):
            content = path.read_bytes()
            return content, _found(key, path, _tag(content))

    def open_input(self, key: str, *, buffer: int = 0) -> BinaryIO:
        with self.asked("read", key):
            return self._path(key).open("rb")

    def write(
        self,
        key: str,
        content: bytes,
        *,
        only_if_absent: bool = False,
        only_if: str | None = None,
        content_type: str = "",
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        path = self._path(key)
        with self.asked("written", key):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.parent / "lock") if only_if_absent or only_if else nullcontext():
                if only_if_absent and path.exists():
                    raise Changed(key)
                if only_if is not None and not (path.exists() and _tag(path.read_bytes()) == only_if):
                    raise Changed(key)
                unfinished = path.with_name(f"{path.name}{_UNFINISHED}{uuid4().hex}")
                try:
                    with unfinished.open("xb") as file:
                        file.write(content)
                        _publish(file, unfinished, path)
                except BaseException:
                    unfinished.unlink(missing_ok=True)
                    raise
        return _tag(content)

    def upload(
        self,
        key: str,
        content_type: str,
        describe: Callable[[bool], Mapping[str, str]],
        tags: Mapping[str, str],
        part: int | None = None,
    ) -> Upload:
        return FileUpload(self, key)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with self.asked("removed", key):
                self._path(key).unlink(missing_ok=True)
                with suppress(OSError):  # a folder that has other files in it stays
                    for folder in self._path(key).relative_to(self.root).parents[:-1]:
                        (self.root / folder).rmdir()

    def uri(self, key: str = "") -> str:
        return str(self._path(key)) if key else str(self.root)

    def polars_options(self) -> dict[str, str]:
        return {}

    def check(self, *, write: bool = True, conditions: bool = False) -> None:
        probe = f".dativo-check-{uuid4().hex}"
        self.write(probe, b"")
        self.delete([probe])

    @contextmanager
    def asked(self, done: str, key: str = "") -> Iterator[None]:
        """Translates what the system raises while a file is listed, read, written or removed."""
        try:
            yield
        except (DativoError, Changed, NoSuchObject):
            raise
        except OSError as error:
            if done == "read" and error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise NoSuchObject(key) from error
            why, hint = _WHY.get(error.errno or 0, (error.strerror or str(error), "look at the disk"))
            found = StoreError(f"{self._path(key)} cannot be {done}: {why}", hint=hint)
            found.refused = True
            raise found from error


class FileUpload(Upload):
    """A file that is written beside its place and put there when it is finished."""

    def __init__(self, store: FolderStore, key: str) -> None:
        self.store = store
        self.key = key
        self.size = 0
        self.finished = False
        self._path = store.root / key
        self._unfinished = self._path.with_name(f"{self._path.name}{_UNFINISHED}{uuid4().hex}")
        self._file: Any = None

    @property
    def held(self) -> bytes | None:
        return None

    def write(self, content: Buffer, /) -> int:
        if self.finished:
            raise ValueError(f"{self.key} is finished already")
        piece = memoryview(content).cast("B")
        self.size += len(piece)
        with self.store.asked("written", self.key):
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._unfinished.open("xb")
            self._file.write(piece)
        return len(piece)

    def flush(self) -> None:
        if self.finished:
            return
        self.write(b"")
        with self.store.asked("written", self.key):
            with self._file:
                _publish(self._file, self._unfinished, self._path)
            self.finished = True

    close = flush

    def give_up(self) -> None:
        with self.store.asked("removed", self.key):
            if self._file is not None:
                self._file.close()
                self._unfinished.unlink(missing_ok=True)
        if self.finished:
            self.store.delete([self.key])
        self.finished = True


def _publish(file: Any, unfinished: Path, path: Path) -> None:
    """Puts a file that is written in its place, so that after a power cut it is there as a whole or not at all."""
    file.flush()
    os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits until no other process writes under a condition in this folder."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _found(key: str, path: Path, tag: str) -> StoredObject:
    about = path.stat()
    return StoredObject(key=key, size=about.st_size, modified_ns=about.st_mtime_ns, etag=tag)
