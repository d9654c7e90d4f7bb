"""How a job wants its files: format, compression, size. What cannot be done is said before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from dativo.config.resolve import ResolvedJob
from dativo.errors import ConfigError, Problem, UnsupportedError
from dativo.targets.objects.layout import Format
from dativo.targets.objects.manifest import STANDARD, CsvStyle

MEGABYTES = 150
_COMPRESSIONS: dict[Format, tuple[str, ...]] = {
    "parquet": ("zstd", "snappy", "gzip", "lz4", "brotli", "none"),
    "csv": ("none", "gzip", "zstd"),
    "json": ("none", "gzip", "zstd"),
}
_SPELLINGS = {"uncompressed": "none", "gz": "gzip", "zst": "zstd", "": "none"}


class FileOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a job writes. `target_bytes` is the size to aim for, `rows_a_group` of Parquet's row groups."""

    format: Format
    compression: str
    target_bytes: int
    rows_a_group: int | None
    style: CsvStyle = STANDARD


def file_options(job: ResolvedJob) -> FileOptions:
    """The job's options, or ConfigError for one that has no such value."""
    engine = job.target.engine
    options: dict[str, Any] = {} if engine is None or isinstance(engine, str) else dict(engine.options)
    own = options.get("native")
    options = {**(own if isinstance(own, dict) else {}), **options}
    format = cast(Format, job.target.file_format or ("csv" if job.target_type == "csv" else "parquet"))
    known = _COMPRESSIONS[format]
    given = options.get("compression")
    text = str(given).lower() if given is not None else known[0]
    compression = _SPELLINGS.get(text, text)
    if compression not in known:
        raise _wrong(job, "compression", f"'{given}' does not compress {format}", f"use {', '.join(known)}")
    megabytes = job.target.parquet_target_size_mb or _number(job, options, "max_file_size_mb") or MEGABYTES
    return FileOptions(
        format=format,
        compression=compression,
        target_bytes=int(megabytes) << 20,
        rows_a_group=_number(job, options, "row_group_size"),
        style=_style(job, options) if format == "csv" else STANDARD,
    )


def _style(job: ResolvedJob, options: dict[str, Any]) -> CsvStyle:
    found = {n: _character(job, options, n, d) for n, d in (("delimiter", ","), ("quote_char", '"'))}
    header = options.get("has_header", True)
    if not isinstance(header, bool):
        raise _wrong(job, "has_header", f"'{header}' is neither true nor false", "leave it out for a line of names")
    if found["delimiter"] == found["quote_char"]:
        raise _wrong(job, "delimiter", "delimiter and quote are the same character", "choose another one")
    return CsvStyle(delimiter=found["delimiter"], quote=found["quote_char"], header=header)


def _character(job: ResolvedJob, options: dict[str, Any], name: str, default: str) -> str:
    """A character that can stand between values or around them."""
    value = options.get(name, default)
    value = "\t" if value == "\\t" else value
    if not isinstance(value, str) or len(value.encode()) != 1 or value.isalnum() or value in "\r\n":
        raise _wrong(
            job, name, f"{value!r} is not one ASCII character that is no letter and no digit", "use , ; | or a tab"
        )
    return value


def _number(job: ResolvedJob, options: dict[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if not isinstance(value, int | str) or isinstance(value, bool) or not str(value).isdigit() or int(value) == 0:
        raise _wrong(job, name, f"'{value}' is not a whole number above 0", "leave it out for the default")
    return int(value)


def _wrong(job: ResolvedJob, name: str, message: str, hint: str) -> ConfigError:
    field = f"target.engine.options.{name}"
    return ConfigError([Problem(message, job.mark(field), field, hint)])


def unbuilt(job: ResolvedJob) -> Iterator[UnsupportedError]:
    """Why this version cannot write the job's files; nothing when it can, or when the run will tell a mistake."""
    if job.target.catalog is not None:
        yield UnsupportedError(
            f"the target {job.target_type} has no catalog",
            field="target.catalog",
            mark=job.mark("target.catalog"),
            hint="leave it out, or use the target iceberg",
        )
