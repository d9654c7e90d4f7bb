"""One object that is written piece by piece: small ones in one request, others in parts, without ever being whole in
memory. It is there when it is finished; a part of it never is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dativo.stores.store import ObjectStore, metadata_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

PART = 8 * 1024 * 1024  # bytes of a part; 10,000 of them are what S3 allows
AT_ONCE = 6  # parts on their way


class Upload:
    """A file to write to, as Polars takes it: its `flush` comes once, at the end, and finishes the object.

    `describe` gives the object's metadata: with True when all of it was written, with False when the store wants to know
    before. `size` counts what was written, `part` are the bytes that are held back at most, at least 5 MiB.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        content_type: str,
        describe: Callable[[bool], Mapping[str, str]],
        tags: Mapping[str, str],
        part: int = PART,
    ) -> None:
        self.store = store
        self.key = key
        self.size = 0
        self.content_type = content_type
        self.finished = False
        self._describe = describe
        self._tags = tags
        self._part = part
        self._held = bytearray()
        self._parts: Any = None
        self._lock = threading.Lock()

    def write(self, content: Buffer, /) -> int:
        """Takes bytes; waits for the store when too many parts are on their way."""
        piece = memoryview(content).cast("B")
        if self.finished:
            raise ValueError(f"{self.key} is finished already")
        self.size += len(piece)
        if self._parts is None and self.size < self._part:
            self._held += piece
            return len(piece)
        with self.store.asked("written", self.key):
            if self._parts is None:
                self._begin()
            self._parts.write(piece)
        return len(piece)

    def _begin(self) -> None:
        """Begins an object of several parts with what was held back."""
        import obstore

        self._parts = obstore.open_writer(
            self.store.bulk,
            self.key,
            attributes=metadata_of(self._describe(False), self.content_type, self.store.scheme),
            tags=dict(self._tags) if self.store.scheme == "s3" else None,
            buffer_size=self._part,
            max_concurrency=AT_ONCE,
        )
        if self._held:
            self._parts.write(bytes(self._held))
        self._held.clear()

    @property
    def held(self) -> bytes | None:
        """All that was written, while nothing of it is on its way; else None."""
        return bytes(self._held) if self._parts is None and not self.finished else None

    def flush(self) -> None:
        """Finishes the object."""
        with self._lock:
            if self.finished:
                return
            if self._parts is None:
                metadata = self._describe(True)
                self.store.write(
                    self.key, bytes(self._held), content_type=self.content_type, metadata=metadata, tags=self._tags
                )
            else:
                with self.store.asked("written", self.key):
                    self._parts.close()
            self._held.clear()
            self.finished = True

    close = flush

    def give_up(self) -> None:
        """Leaves no part of the object behind, as far as the store can be reached."""
        with self._lock:
            self._held.clear()
            if self._parts is not None and not self.finished:
                # Parts of an object that is never finished are kept, and paid for, unseen: a finished one can be removed.
                with self.store.asked("written", self.key):
                    self._parts.close()
            begun, self.finished = self._parts is not None or self.finished, True
        if begun:
            self.store.delete([self.key])
