"""What files have: their columns, with types that the first records allow. Parquet files say theirs themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dativo.config.asset import Asset, Field
from dativo.config.job import File
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.config.types import Kind
from dativo.errors import Mark
from dativo.sources.discovery import FoundColumn, FoundStream
from dativo.sources.options import DEFAULT_NULLS
from dativo.sources.protocol import PROVENANCE, Meter, Source
from dativo.state.cursor import is_moment

if TYPE_CHECKING:
    import polars as pl

RECORDS = 10_000
# So many values have to fit a type for it to be worth a word, where not all do.
MOST = 0.9
# A number as a number is written: `007`, `+1` and `1e5` are texts, and so is what has more digits than a long holds.
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_FRACTION = re.compile(r"-?(0|[1-9]\d{0,17})(?:\.(\d{1,18}))?", re.ASCII)
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$", re.ASCII)
_TIME = re.compile(rf"{_DATE.pattern}[T ]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}})?)?(Z|[+-]\d{{2}}:?\d{{2}})?", re.ASCII)


class FileDiscovery:
    """Tells what the files of a job have, one stream for each entry of `source.files`."""

    def __init__(self, job: ResolvedJob, source: Source) -> None:
        self.job = job
        self.source = source

    def discover(self) -> Sequence[FoundStream]:
        return [self._stream(entry) for entry in self.job.source.files or []]

    def samples(self, streams: Sequence[FoundStream], rows: int) -> list[dict[str, list[str]] | None]:
        return [self._sampled(stream, rows) for stream in streams]

    def _sampled(self, stream: FoundStream, rows: int) -> dict[str, list[str]]:
        import polars as pl

        entry = next(e for e in self.job.source.files or [] if (e.path or "") == stream.name)
        columns = [c.name for c in stream.columns]
        frame, _ = self._read(entry, rows)
        texts = frame.select(pl.col(c).cast(pl.String, strict=False) for c in columns)
        return {c: texts[c].drop_nulls().to_list() for c in columns}

    def _stream(self, entry: File) -> FoundStream:
        frame, typed = self._read(entry, RECORDS)
        columns = [_typed(n, t) if typed else _guessed(n, frame[n]) for n, t in frame.schema.items()]
        path = entry.path or ""
        return FoundStream(
            object=entry.object or PurePosixPath(path).name.partition(".")[0] or path,
            name=path,
            kind="files" if re.search(r"[*?\[]", path) else "file",
            columns=tuple(columns),
        )

    def _read(self, entry: File, records: int) -> tuple[pl.DataFrame, bool]:
        """The first records of a file, and whether they have types already."""
        extract = self.source.read(_stream_of(entry), None, meter=Meter(), limit=records, full=True)
        try:
            frame = extract.frame.head(records).collect(engine="streaming")
        finally:
            extract.close()
        return frame.drop([c for c in PROVENANCE if c in frame.columns]), extract.encoding == "typed"


def _stream_of(entry: File) -> StreamConfig:
    """A stream of one file without a contract."""
    asset = Asset(
        name="discovered", version="0", id="", status="draft", domain=None, data_product=None, tenant=None, description="",
        tags=(), source_type=None, object=entry.object, fields=(), partitioning=None, mode=None, file_format=None,
        owner=None, classification=(), regulations=(), retention_days=None, finops=None, max_rejects=None, privacy=None,
        hash="", mark=Mark("the command line"),
    )  # fmt: skip
    return StreamConfig(
        name="discovered", asset=asset, objects=(), files=(entry,), namespace="default", table="discovered",
        partitioning=(), privacy=None, max_rejects=None,
    )  # fmt: skip


def _guessed(name: str, values: pl.Series) -> FoundColumn:
    """A column of texts with the narrowest type that all of its values have; what most of them have is only told."""
    import polars as pl

    texts = [t for t in values.cast(pl.String, strict=False).drop_nulls().to_list() if t not in DEFAULT_NULLS]
    told = f"text, {len(texts):,} value{'' if len(texts) == 1 else 's'} looked at" if texts else "text, no value"
    fitting = {kind: sum(1 for t in texts if fits(t)) for kind, fits in _KINDS.items()}
    kind = next((k for k, count in fitting.items() if texts and count == len(texts)), None)
    if kind is not None:
        return FoundColumn(name=name, native=told, field=_field(name, kind, texts))
    near = next((k for k, count in fitting.items() if len(texts) > 1 and count >= MOST * len(texts)), None)
    told += f": {fitting[near]:,} could be {near}" if near is not None else ""
    return FoundColumn(name=name, native=told, field=Field(name=name, kind="string"))


def _is_list(text: str) -> bool:
    """Whether a text is a JSON list of texts."""
    if not text.startswith("["):
        return False
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, list) and all(isinstance(v, str) for v in found)


def _is_object(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# The kinds that texts may be of, the narrower first, each with what tells a text of it.
_KINDS: dict[Kind, Callable[[str], object]] = {
    "boolean": lambda t: t.lower() in ("true", "false"),
    "long": _WHOLE.fullmatch,
    "decimal": _FRACTION.fullmatch,
    "date": lambda t: _DATE.fullmatch(t) and is_moment(t),
    "timestamptz": lambda t: _TIME.fullmatch(t) and _ZONE.search(t, 10) and is_moment(t),
    "timestamp": lambda t: _TIME.fullmatch(t) and is_moment(t),
    "list": _is_list,
    "json": _is_object,
}


def _field(name: str, kind: Kind, texts: Sequence[str]) -> Field:
    if kind == "list":
        return Field(name=name, kind="list", item=Field(name="element", kind="string"))
    if kind == "decimal":
        scale = max(len(t.partition(".")[2]) for t in texts)
        return Field(name=name, kind="decimal", precision=38, scale=scale)
    return Field(name=name, kind=kind)


def _typed(name: str, dtype: pl.DataType) -> FoundColumn:
    field = _of_dtype(name, dtype)
    return FoundColumn(
        name=name, native=str(dtype), field=field or Field(name=name, kind="string"), lossless=field is not None
    )


def _of_dtype(name: str, dtype: pl.DataType) -> Field | None:
    """The field that holds a dtype's values; None where it is text."""
    import polars as pl

    if isinstance(dtype, pl.Decimal):
        return Field(name=name, kind="decimal", precision=dtype.precision or 38, scale=dtype.scale)
    if isinstance(dtype, pl.Datetime):
        return Field(name=name, kind="timestamptz" if dtype.time_zone else "timestamp")
    if isinstance(dtype, pl.List | pl.Array):
        item = _of_dtype("element", dtype.inner)  # type: ignore[arg-type]
        return Field(name=name, kind="list", item=item) if item is not None else None
    if isinstance(dtype, pl.Struct):
        inner = [_of_dtype(f.name, f.dtype) for f in dtype.fields]  # type: ignore[arg-type]
        given = tuple(f for f in inner if f is not None)
        return Field(name=name, kind="struct", fields=given) if given and len(given) == len(inner) else None
    if dtype == pl.UInt64:
        return Field(name=name, kind="decimal", precision=20, scale=0)
    if dtype.is_integer():
        return Field(name=name, kind="long")
    if dtype.is_float():
        return Field(name=name, kind="double")
    kinds = {pl.Boolean: "boolean", pl.Date: "date", pl.Time: "time", pl.Binary: "binary", pl.String: "string"}
    kind = next((k for t, k in kinds.items() if dtype == t), None)
    return Field(name=name, kind=kind) if kind is not None else None  # type: ignore[arg-type]
