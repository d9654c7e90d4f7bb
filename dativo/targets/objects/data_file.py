"""One data file on its way into the store: counted, packed and sent as it is written."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import zstandard

from dativo.errors import DativoError
from dativo.stores.upload import PART, Upload
from dativo.targets.objects.counting import Counter, CsvCounter, LineCounter, ParquetCounter, footer_rows
from dativo.targets.objects.layout import CONTENT_TYPES
from dativo.targets.objects.manifest import Entry

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dativo.targets.objects.files import FileWriter

# Each of the partitions that are open at once has a part in memory.
SMALL_PART = 5 * 1024 * 1024


class DataFile:
    """One file on its way: counted, packed and sent as it is written. Without rows there is none."""

    def __init__(self, writer: FileWriter, path: str, partition: dict[str, str]) -> None:
        self.path = path
        self.partition = partition
        self.rows: int | None = None
        self.writer = writer
        self._counter: Counter | None = _counter(writer)
        self._packer = _packer(writer)
        hive = "/".join(f"{k}={v}" for k, v in partition.items())
        self.upload: Upload = writer.place.store.upload(
            writer.place.key(path),
            CONTENT_TYPES[writer.format],
            lambda whole: writer.describe(hive, self.rows if whole else None, self.upload.size if whole else None),
            writer.tags(hive),
            SMALL_PART if writer.varying else PART,
        )

    def write(self, content: Buffer, /) -> int:
        piece = memoryview(content).cast("B")
        assert self._counter is not None
        self._counter.feed(piece)
        with self.writer.failing():
            if self._packer is None:
                self.upload.write(piece)
            elif packed := self._packer.compress(piece):
                self.upload.write(packed)
        return len(piece)

    def flush(self) -> None:
        """Polars calls it when the file is written."""
        if self._counter is None:
            return
        self.rows, self._counter = self._counter.rows(), None
        with self.writer.failing():
            if self.rows is None:
                self.rows = self._read_rows()
            if not self.rows:
                self.upload.give_up()
                return
            if self._packer is not None:
                self.upload.write(self._packer.flush())
            self.upload.flush()

    close = flush

    def _read_rows(self) -> int:
        """The rows of a Parquet file whose footer is long, from what is held of it, or else from the store."""
        held = self.upload.held
        if held is not None:
            return footer_rows(io.BytesIO(held))
        self.upload.flush()
        with self.upload.store.open_input(self.upload.key, buffer=1 << 20) as file:
            return footer_rows(file)

    def entry(self) -> Entry:
        return Entry(
            path=self.path,
            rows=self.rows or 0,
            bytes=self.upload.size,
            schema=0,
            partition=self.partition,
            day=self.writer.day,
            run=self.writer.token,
        )


def _counter(writer: FileWriter) -> Counter:
    if writer.format == "csv":
        return CsvCounter(writer.style.quote, header=writer.style.header)
    return ParquetCounter() if writer.format == "parquet" else LineCounter()


def _packer(writer: FileWriter) -> Any:
    """What compresses a text file; Parquet compresses its own pages."""
    if writer.format == "parquet" or writer.compression == "none":
        return None
    return zlib.compressobj(6, wbits=31) if writer.compression == "gzip" else zstandard.ZstdCompressor(3).compressobj()


class Failing:
    """Remembers why a file could not be sent: what Polars makes of it tells less."""

    def __init__(self, writer: FileWriter) -> None:
        self.writer = writer

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DativoError) and self.writer.failure is None:
            self.writer.failure = error
