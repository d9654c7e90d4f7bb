"""Files of an object store as a source: what is listed is read by the reader of its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import obstore  # noqa: F401  # missing, it is told at once with what to install

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import SourceError
from dativo.sources.csv import CsvSource
from dativo.sources.formats import NAMES, Format, format_of
from dativo.sources.jsonl import JsonlSource
from dativo.sources.options import store_options
from dativo.sources.parquet import ParquetSource
from dativo.sources.protocol import Extract, Meter, Source
from dativo.sources.store_files import StoreFile
from dativo.sources.store_listing import StoreListing
from dativo.state.cursor import Cursor

# How many files a check looks into.
CHECKED = 16

_FIELD = "source.engine.options.format"
_READERS: dict[Format, Callable[..., Source]] = {"csv": CsvSource, "jsonl": JsonlSource, "parquet": ParquetSource}


class ObjectStoreSource:
    """Reads CSV, JSON lines and Parquet of S3, of what speaks its protocol, and of Azure Blob."""

    def __init__(self, job: ResolvedJob) -> None:
        self.job = job
        self.format = store_options(job)
        self.listing = StoreListing(job)
        self._listed: dict[str, list[StoreFile]] = {}
        self._readers: dict[Format, Source] = {}

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        """The first files, looked into; of the others only that they are there."""
        reader = self._reader(stream)
        files = self._listed[stream.name]
        self._listed[stream.name] = files[:CHECKED]
        found = reader.check(stream)
        if len(files) > CHECKED:
            found.append(
                {"name": stream.name, "ok": True, "message": f"{len(files)} files, the first {CHECKED} opened"}
            )
        return found

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        return self._reader(stream).read(stream, since, meter=meter, limit=limit, full=full)

    def _reader(self, stream: StreamConfig) -> Source:
        """The reader for the format of a stream's files, which are listed anew."""
        files = self._listed[stream.name] = self.listing(stream)
        format = self.format or self._told(files)
        if format not in self._readers:
            self._readers[format] = _READERS[format](self.job, lambda _, stream: self._listed[stream.name])
        return self._readers[format]

    def _told(self, files: Sequence[StoreFile]) -> Format:
        """The format that all of the files have by their endings; SourceError when there is none, or more than one."""
        first: tuple[Format, StoreFile] | None = None
        for file in files:
            format = format_of(file.found.key)
            if format is None:
                raise self._refused(
                    f"the name of '{file.name}' does not tell its format",
                    f"set engine.options.format, or leave the file out; known endings: .{', .'.join(NAMES)}",
                )
            first = first or (format, file)
            if format != first[0]:
                raise self._refused(
                    f"'{first[1].name}' is {first[0]} and '{file.name}' is {format}: a stream has one format",
                    "name the files of one format, as `pattern: '**/*.csv'`, or set engine.options.format",
                )
        assert first is not None, "a listing without files is an error already"
        return first[0]

    def _refused(self, message: str, hint: str) -> SourceError:
        return SourceError(message, mark=self.job.mark(_FIELD), field=_FIELD, hint=hint)
