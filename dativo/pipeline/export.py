"""Rows out of dativo: a loaded table, or a job's source, as JSON lines, CSV, Parquet or Markdown-KV."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import msgspec

from dativo import connectors
from dativo.config import paths
from dativo.config.asset import Asset, Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import TargetError
from dativo.observe.listener import Silence
from dativo.pipeline.background import in_background
from dativo.pipeline.plan import build, privacy_key, stream_columns
from dativo.pipeline.purposes import one_stream, purpose_treatments
from dativo.pipeline.refuse import refuse_unbuilt
from dativo.privacy.classify import treatments
from dativo.sources.protocol import Meter

if TYPE_CHECKING:
    import polars as pl

Format = Literal["markdown-kv", "jsonl", "csv", "parquet"]
Origin = Literal["table", "source"]
TextFormat = Literal["jsonl", "csv", "markdown-kv"]
FORMATS: tuple[Format, ...] = ("markdown-kv", "jsonl", "csv", "parquet")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote. `treated` names the columns whose personal values it does not show."""

    stream: str
    origin: Origin
    format: Format
    path: str | None
    rows: int
    treated: tuple[str, ...]


def export(
    job: ResolvedJob,
    *,
    format: Format = "jsonl",
    out: str | Path | IO[bytes],
    stream: str | None = None,
    origin: Origin = "table",
    show_pii: bool = False,
    limit: int | None = None,
) -> Exported:
    """Writes a stream's rows to a file, whole or not at all, or into an open binary stream.

    Rows come from the loaded table, or with `origin="source"` from the source as a run would load them. Personal data is
    treated as the privacy purpose `llm` says (redacted by default) unless `show_pii`. Memory stays flat.
    Raises TargetError when the table does not exist or the file cannot be written.
    """
    refuse_unbuilt(job)
    chosen = one_stream(job, stream)
    purpose = "warehouse" if show_pii else "llm"
    meter = Meter()
    if origin == "table":
        frame, columns = _from_table(job, chosen, purpose)
    else:
        frame, columns = _from_source(job, chosen, purpose, meter)
    if limit is not None:
        frame = frame.head(limit)
    rows = _write(_shaped(frame, columns, chosen.asset, format), format, out, meter)
    return Exported(
        stream=chosen.name,
        origin=origin,
        format=format,
        path=str(out) if isinstance(out, str | Path) else None,
        rows=rows,
        treated=() if show_pii else tuple(treatments(chosen.asset, chosen.privacy, "llm", _overrides(job))),
    )


def _overrides(job: ResolvedJob) -> dict[str, str]:
    return job.file.classification_overrides


def _from_source(
    job: ResolvedJob, stream: StreamConfig, purpose: str, meter: Meter
) -> tuple[pl.LazyFrame, Sequence[Field]]:
    chosen = purpose_treatments(job, stream, purpose)
    extract = connectors.source(job).read(stream, None, meter=meter, full=True)
    plan = build(job, stream, extract, "warehouse", chosen=chosen)
    return plan.accepted(privacy_key(job, plan.treatments)), stream_columns(job, stream, chosen, plan.enforced.extra)


def _from_table(job: ResolvedJob, stream: StreamConfig, purpose: str) -> tuple[pl.LazyFrame, Sequence[Field]]:
    """The table's rows; what its columns hold was treated for the warehouse already and is treated for the purpose now."""
    import polars as pl

    from dativo.privacy.mask import treated, treated_field

    reader = connectors.reader(job, stream)
    rows, fields = reader.rows(), reader.fields()
    if rows is None or fields is None:
        raise TargetError(
            f"the table {stream.namespace}.{stream.table} does not exist yet",
            hint=f"load it with `dativo sync {job.name}`, or export the source itself with `--from source`",
        )
    stored = treatments(stream.asset, stream.privacy, "warehouse", _overrides(job))
    wanted = treatments(stream.asset, stream.privacy, "llm", _overrides(job)) if purpose == "llm" else {}
    # What the warehouse holds as a hash stays the hash it is.
    chosen = {n: t for n, t in wanted.items() if not t == stored.get(n) == "hash"}
    key = privacy_key(job, chosen)
    expressions: list[pl.Expr] = []
    columns: list[Field] = []
    for field in fields:
        treatment = chosen.get(field.name, "none")
        value = treated(field, pl.col(field.name), treatment, key)
        after = treated_field(field, treatment)
        if value is not None and after is not None:
            expressions.append(value.alias(field.name))
            columns.append(after)
    return rows.select(expressions), columns


def _shaped(frame: pl.LazyFrame, columns: Sequence[Field], asset: Asset, format: Format) -> pl.LazyFrame:
    """The frame as its format writes it."""
    import polars as pl

    from dativo.contract.written import json_object, written
    from dativo.render.markdown_kv import document

    if format == "parquet":
        return frame
    if format == "markdown-kv":
        return frame.select(document(columns, asset) + "\n")
    if format == "jsonl":
        return frame.select(json_object([(f, pl.col(f.name)) for f in columns]).alias("line"))
    return frame.select(written(f, pl.col(f.name)).alias(f.name) for f in columns)


def text_lines(rows: pl.DataFrame, columns: Sequence[Field], asset: Asset | None, format: TextFormat) -> list[str]:
    """Rows in memory as the lines (or documents) of a text format."""
    import io

    assert asset is not None
    shaped = _shaped(rows.lazy(), columns, asset, format).collect()
    if format != "csv":
        return shaped.to_series().to_list()
    out = io.StringIO()
    shaped.write_csv(out)
    return [out.getvalue().removesuffix("\n")]


def _write(frame: pl.LazyFrame, format: Format, out: str | Path | IO[bytes], meter: Meter) -> int:
    if not isinstance(out, str | Path):
        return _sink(frame, format, out, meter)
    path = Path(os.path.realpath(paths.expanded(str(out))))
    try:
        if path.is_dir():
            raise TargetError(f"'{path}' is a directory", hint="name a file in it")
        if path.exists() and not path.is_file():  # a pipe or a device takes what it is given, and stays what it is
            with path.open("wb") as stream:
                return _sink(frame, format, stream, meter)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        try:
            rows = _sink(frame, format, Path(temporary), meter)
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise TargetError(f"'{path}' cannot be written: {error.strerror or error}", hint="check the path") from None
    return rows


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sink(frame: pl.LazyFrame, format: Format, out: Path | IO[bytes], meter: Meter) -> int:
    """Writes the frame as a stream and counts its rows in the same pass.

    An interrupted pass is waited for, so that nobody writes any more to what is then removed.
    """
    import polars as pl

    from dativo.pipeline.passes import collect

    if format == "parquet":
        sink = frame.sink_parquet(out, compression="zstd", lazy=True)
    elif format == "csv":
        sink = frame.sink_csv(out, lazy=True)
    else:
        # Each row is one text already: quoting it would change it.
        sink = frame.sink_csv(out, include_header=False, quote_style="never", lazy=True)
    assert sink is not None
    frames = [sink, frame.select(pl.len())]
    return int(in_background(lambda: collect(frames), Silence(), meter)[1].item())
