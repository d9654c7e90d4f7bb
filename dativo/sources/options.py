"""Options of the file sources, as `source.engine.options` gives them.

This module imports nothing heavy: `validate` reads it for every job.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.decode import Problems
from dativo.config.job import NotNegative
from dativo.config.resolve import ResolvedJob
from dativo.errors import ConfigError
from dativo.sources.engine_options import PATH, decoded, given, known_keys, raw_options, warn_misspelt
from dativo.sources.formats import FORMATS, NAMES, Format, format_of

DEFAULT_NULLS = ("", "NULL", "null", "None")


class CsvOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How CSV files are read."""

    unknown: ClassVar[str] = "free"
    aliases: ClassVar[dict[str, str]] = {"batch_size": "chunk_size", "quotechar": "quote_char", "sep": "delimiter"}
    encoding: Annotated[str, Meta(min_length=1, description="a byte order mark wins over the default")] = "utf-8"
    delimiter: Annotated[str, Meta(min_length=1, description="one or several characters; `\\t` is a tab")] = ","
    quote_char: Annotated[str | None, Meta(description="one character; null or empty: no quoting")] = '"'
    has_header: Annotated[bool, Meta(description="whether the first record names the columns")] = True
    compression: Annotated[
        Literal["auto", "none", "gzip", "zstd", "zip"], Meta(description="`auto` looks at the file's first bytes")
    ] = "auto"
    skip_rows: Annotated[NotNegative, Meta(description="lines to skip before the header")] = 0
    comment: Annotated[str | None, Meta(description="lines that start so are skipped")] = None
    null_values: Annotated[list[str] | None, Meta(description='texts that mean null; "", NULL, null, None')] = None
    date_formats: Annotated[list[str] | None, Meta(description="formats tried before ISO 8601")] = None
    timezone: Annotated[str, Meta(description="zone of times without an offset")] = "UTC"
    dst: Annotated[
        Literal["earlier", "later"] | None, Meta(description="which of two times a clock change makes is meant")
    ] = None
    thousands: Annotated[str | None, Meta(description="separator of thousands, removed from numbers")] = None
    decimal_separator: Annotated[str, Meta(min_length=1, description="decimal point")] = "."
    true_values: Annotated[list[str] | None, Meta(description="texts that mean true; true, 1, yes, on")] = None
    false_values: Annotated[list[str] | None, Meta(description="texts that mean false; false, 0, no, off")] = None
    chunk_size: Annotated[Any, Meta(description="rows a chunk in the reference implementation; does nothing here")] = (
        None
    )
    extra: dict[str, Any] = {}


class JsonlOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How JSON lines are read."""

    unknown: ClassVar[str] = "free"
    encoding: Annotated[str, Meta(min_length=1, description="a byte order mark wins over the default")] = "utf-8"
    compression: Annotated[
        Literal["auto", "none", "gzip", "zstd", "zip"], Meta(description="`auto` looks at the file's first bytes")
    ] = "auto"
    null_values: Annotated[list[str] | None, Meta(description="texts that mean null; none by default")] = None
    date_formats: Annotated[list[str] | None, Meta(description="formats tried before ISO 8601")] = None
    timezone: Annotated[str, Meta(description="zone of times without an offset")] = "UTC"
    dst: Annotated[
        Literal["earlier", "later"] | None, Meta(description="which of two times a clock change makes is meant")
    ] = None
    true_values: Annotated[list[str] | None, Meta(description="texts that mean true; true, 1, yes, on")] = None
    false_values: Annotated[list[str] | None, Meta(description="texts that mean false; false, 0, no, off")] = None
    extra: dict[str, Any] = {}


class ParquetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How Parquet files are read."""

    unknown: ClassVar[str] = "free"
    timezone: Annotated[str, Meta(description="zone of times without one")] = "UTC"
    dst: Annotated[
        Literal["earlier", "later"] | None, Meta(description="which of two times a clock change makes is meant")
    ] = None
    null_values: Annotated[list[str] | None, Meta(description="texts that mean null; none by default")] = None
    date_formats: Annotated[list[str] | None, Meta(description="formats of text columns that become dates")] = None
    extra: dict[str, Any] = {}


def csv_options(job: ResolvedJob) -> CsvOptions:
    """The CSV options of a job; ConfigError with every mistake among them."""
    problems = Problems()
    options = decoded(job, CsvOptions, problems)
    if options is not None:
        options = _checked(options, job, problems)
    return given(options, problems)


def jsonl_options(job: ResolvedJob) -> JsonlOptions:
    """The JSON lines options of a job; ConfigError with every mistake among them."""
    problems = Problems()
    options = decoded(job, JsonlOptions, problems)
    if options is not None:
        _check_encoding(options.encoding, job, problems)
        _check_zone(options.timezone, job, problems)
    return given(options, problems)


def parquet_options(job: ResolvedJob) -> ParquetOptions:
    """The Parquet options of a job; ConfigError with every mistake among them."""
    problems = Problems()
    options = decoded(job, ParquetOptions, problems)
    if options is not None:
        _check_zone(options.timezone, job, problems)
    return given(options, problems)


def store_options(job: ResolvedJob) -> Format | None:
    """The format that the options of an object store's source name, None where each file's ending tells it.

    ConfigError with every mistake among the options of the formats that the job's paths end in.
    """
    problems = Problems()
    options = raw_options(job)
    named = str(options.get("format") or "").lower().lstrip(".")
    format = NAMES.get(named)
    if named and format is None:
        field = f"{PATH}.format"
        problems.add(f"unknown format '{named}'", job.mark(field), field, f"one of {', '.join(FORMATS)}")
    paths = [f.path or "" for f in job.source.files or []] or [job.source.pattern or ""]
    ended = {found for path in paths if (found := format_of(path)) is not None}
    checkers: dict[str, Callable[[ResolvedJob], object]]
    checkers = {"csv": csv_options, "jsonl": jsonl_options, "parquet": parquet_options}
    for one in [format] if format is not None else sorted(ended):
        try:
            checkers[one](job)
        except ConfigError as error:
            problems.found += error.problems()
    if problems.errors():
        raise ConfigError(problems.found)
    return format


def misspelt(job: ResolvedJob) -> Problems:
    """Warnings about options that are one slip away from a known one: they are free, and so do nothing."""
    kinds: dict[str, type[msgspec.Struct]] = {"csv": CsvOptions, "jsonl": JsonlOptions, "parquet": ParquetOptions}
    own = kinds.get(job.source_type)
    return warn_misspelt(job, known_keys(own) if own is not None else ["format", *known_keys(*kinds.values())])


def _checked(options: CsvOptions, job: ResolvedJob, problems: Problems) -> CsvOptions:
    delimiter = options.delimiter.replace("\\t", "\t")
    quote = options.quote_char or None

    def wrong(name: str, message: str, hint: str) -> None:
        problems.add(message, job.mark(f"{PATH}.{name}"), f"{PATH}.{name}", hint)

    if "\n" in delimiter or "\r" in delimiter or "\0" in delimiter:
        wrong("delimiter", "a delimiter cannot hold a line break or NUL", "as ',', ';', '|' or '\\t'")
    if quote is not None and (len(quote) != 1 or quote in delimiter or quote in "\r\n\0" or not quote.isascii()):
        wrong("quote_char", f"'{quote}' cannot be a quote character", "one ASCII character that is not the delimiter")
    if options.thousands is not None and options.thousands == options.decimal_separator:
        wrong(
            "thousands", "'thousands' and 'decimal_separator' are equal", "as thousands ',' and decimal_separator '.'"
        )
    if len(options.decimal_separator) != 1:
        wrong("decimal_separator", "a decimal separator is one character", "'.' or ','")
    _check_encoding(options.encoding, job, problems)
    _check_zone(options.timezone, job, problems)
    return msgspec.structs.replace(options, delimiter=delimiter, quote_char=quote, comment=options.comment or None)


def _check_encoding(name: str, job: ResolvedJob, problems: Problems) -> None:
    try:
        known = codecs.lookup(name)
        usable = getattr(known, "_is_text_encoding", True)
    except (LookupError, ValueError):
        usable = False
    if not usable:
        problems.add(
            f"unknown encoding '{name}'",
            job.mark(f"{PATH}.encoding"),
            f"{PATH}.encoding",
            "as utf-8, utf-16-le, latin-1, cp1252",
        )


def _check_zone(name: str, job: ResolvedJob, problems: Problems) -> None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        problems.add(
            f"'{name}' is not an IANA time zone",
            job.mark(f"{PATH}.timezone"),
            f"{PATH}.timezone",
            "as 'Europe/Berlin'",
        )
