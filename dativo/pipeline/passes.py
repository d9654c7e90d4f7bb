"""The passes of a run over its source: one that compares keys where rows may be there already, one that loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
from pyarrow.lib import ArrowException

from dativo.config.asset import Field
from dativo.contract.enforce import BAD
from dativo.contract.rules import UNIQUE
from dativo.errors import DativoError, SourceError, TargetError
from dativo.pipeline.plan import DUPLICATE, StreamPlan, build
from dativo.pipeline.shield import withheld
from dativo.sources.protocol import FILE, ROW
from dativo.staging import dedup
from dativo.staging.identity import hashes, identity
from dativo.targets.protocol import Target, TooManyPartitions, Written


@dataclass(slots=True, frozen=True)
class Comparing:
    """How keys are compared: the write mode, the column that tells versions of a key apart, and DuckDB's budget."""

    write_mode: str
    cursor_field: str | None
    memory_limit: str | None
    threads: int | None


@dataclass(slots=True, frozen=True)
class Loaded:
    """What the loading pass found and wrote."""

    written: Written
    extracted: int
    bad: int
    duplicates: int
    violations: Path


def collect(frames: list[pl.LazyFrame]) -> list[pl.DataFrame]:
    """Runs the frames in one pass on the streaming engine; foreign errors are translated."""
    try:
        return pl.collect_all(frames, engine="streaming")
    except (DativoError, TooManyPartitions):
        raise
    except (pl.exceptions.PolarsError, OSError, ArrowException) as error:
        raise _translated(error) from error
    except duckdb.Error as error:
        raise TargetError(str(error).splitlines()[0]) from error


def _translated(error: BaseException) -> DativoError:
    """A pass's failure in dativo's words."""
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    if "No space left" in text or "os error 28" in text:
        return TargetError("no space left on the disk; nothing was committed", hint="free space, then run again")
    if any(mark in text for mark in ("Permission denied", "os error 13", "Read-only file system", "os error 30")):
        return TargetError(f"a file cannot be written: {first}", hint="check the permissions of the warehouse")
    if "Not a directory" in text or "os error 20" in text:
        return TargetError(f"a folder cannot be made: {first}", hint="check the warehouse's path")
    if isinstance(error, pl.exceptions.ComputeError) and "regex" in text:
        return SourceError(
            f"a pattern of the contract cannot be used: {first}", hint="patterns are RE2: no look-around"
        )
    return TargetError(f"the pass over the data failed: {first}", hint="run with --debug for the details")


def needs_keys(plan: StreamPlan, write_mode: str, *, has_rows: bool) -> bool:
    """Whether rows must be compared by key before they are loaded."""
    asset = plan.stream.asset
    if any(f.unique for f in asset.fields):
        return True
    return bool(asset.key) or (write_mode == "append" and has_rows)


def compare_keys(plan: StreamPlan, target: Target, folder: Path, key: str | None, how: Comparing) -> StreamPlan:
    """The plan with duplicates and repeated unique values marked.

    Reads the source once for its keys. Rows with the same identity count as one: key and cursor where there is a key
    and a cursor field, else the whole row.
    """
    asset = plan.stream.asset
    fields = _identity_fields(plan, how.cursor_field)
    unique = [f for f in asset.fields if f.unique]
    names = [(f.name, f"__dativo_u{i}a", f"__dativo_u{i}b") for i, f in enumerate(unique)]
    good = plan.enforced.frame.filter(plan.enforced.good() & ~pl.col(BAD))
    selected = good.select(FILE, ROW, *plan.expressions(key)).select(
        pl.col(FILE).alias("file"), pl.col(ROW).alias("row"), *identity(fields)
    )
    if unique:
        selected = good.select(FILE, ROW, *plan.expressions(key), *_unique_texts(plan, unique)).select(
            pl.col(FILE).alias("file"), pl.col(ROW).alias("row"), *identity(fields), *_unique_hashes(names)
        )
    keys = folder / "keys.parquet"
    sink = selected.sink_parquet(keys, compression="lz4", lazy=True, maintain_order=False)
    rows = plan.enforced.frame.group_by(FILE).agg(pl.col(ROW).max())
    assert sink is not None
    counted = collect([sink, rows])[1]
    per_file = dict(counted.iter_rows())
    existing = target.existing(fields) if how.write_mode == "append" else None
    masks = dedup.find(
        folder,
        keys,
        _existing_keys(existing, fields, folder),
        rows_per_file=[per_file.get(i, 0) for i in range(len(plan.extract.files))],
        identity=bool(asset.key) or existing is not None,
        counted=not asset.key,
        unique=names,
        memory_limit=how.memory_limit,
        threads=how.threads,
    )
    return _marked(plan, masks)


def _identity_fields(plan: StreamPlan, cursor_field: str | None) -> list[Field]:
    key = plan.stream.asset.key
    columns = [c for c in plan.columns if c.name not in plan.enforced.extra]
    if key and cursor_field and any(c.name == cursor_field for c in columns):
        return [c for c in columns if c.name in (*key, cursor_field)]
    return columns


def _unique_texts(plan: StreamPlan, unique: list[Field]) -> list[pl.Expr]:
    """The untreated values of unique columns, as text."""
    return [
        plan.enforced.value(f.name).cast(pl.String, strict=False).alias(f"__dativo_unique_{i}")
        for i, f in enumerate(unique)
    ]


def _unique_hashes(names: list[tuple[str, str, str]]) -> list[pl.Expr]:
    found: list[pl.Expr] = []
    for i, (_, low, high) in enumerate(names):
        text = pl.col(f"__dativo_unique_{i}")
        first, second = hashes(text)
        found += [
            pl.when(text.is_not_null()).then(first).alias(low),
            pl.when(text.is_not_null()).then(second).alias(high),
        ]
    return found


def _existing_keys(existing: pl.LazyFrame | None, fields: list[Field], folder: Path) -> Path | None:
    if existing is None:
        return None
    path = folder / "existing.parquet"
    sink = existing.select(identity(fields)).sink_parquet(path, compression="lz4", lazy=True, maintain_order=False)
    assert sink is not None
    collect([sink])
    return path


def _marked(plan: StreamPlan, masks: dedup.Masks) -> StreamPlan:
    file, row = pl.col(FILE), pl.col(ROW)
    flags = tuple((column, UNIQUE, flag) for column, flag in masks.repeats(file, row).items())
    if flags:
        plan = build(plan.job, plan.stream, plan.extract, "warehouse", extra_flags=flags)
    duplicate = masks.duplicates(file, row)
    if duplicate is not None and masks.duplicate is not None and masks.duplicate.any():
        frame = plan.enforced.frame.with_columns((duplicate & ~pl.col(BAD)).alias(DUPLICATE))
        plan.enforced.frame = frame
    return plan


def load(plan: StreamPlan, target: Target, folder: Path, key: str | None) -> Loaded:
    """The one pass that writes accepted rows and violations and counts both.

    With more partitions than may be open at once it is done again in two steps.
    """
    try:
        return _load(plan, target, folder, key, spill=None)
    except TooManyPartitions:
        target.abort()
        return _load(plan, target, folder, key, spill=folder)


def _load(plan: StreamPlan, target: Target, folder: Path, key: str | None, *, spill: Path | None) -> Loaded:
    output = target.output(plan.accepted(key), spill=spill)
    path = folder / "violations.parquet"
    violations = withheld(plan).sink_parquet(path, compression="zstd", compression_level=1, lazy=True)
    assert violations is not None
    frame = plan.enforced.frame
    marked = DUPLICATE in frame.collect_schema().names()
    counts = frame.select(
        extracted=pl.len(),
        bad=pl.col(BAD).sum(),
        duplicates=pl.col(DUPLICATE).sum() if marked else pl.lit(0),
    )
    *_, found = collect([output.sink, violations, counts])
    extracted, bad, duplicates = found.row(0)
    return Loaded(output.finish(), extracted, bad, duplicates, path)
