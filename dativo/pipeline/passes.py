"""The pass of a run over its source that loads: accepted rows and violations, written and counted in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pyarrow.lib import ArrowException

from dativo.contract.columns import match_columns
from dativo.contract.dtypes import polars_type
from dativo.contract.enforce import BAD
from dativo.errors import DativoError, SourceError, TargetError
from dativo.pipeline.plan import DUPLICATE, FAITHFUL, StreamPlan
from dativo.pipeline.shield import withheld
from dativo.targets.protocol import Target, TooManyPartitions, Written


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


def _translated(error: BaseException) -> DativoError | BrokenPipeError:
    """A pass's failure in dativo's words; a reader of the output that has gone away is nobody's failure."""
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    if "Broken pipe" in text or "os error 32" in text:
        return BrokenPipeError(32, "Broken pipe")
    if "No space left" in text or "os error 28" in text:
        return TargetError("no space left on the disk; nothing became visible", hint="free space, then run again")
    if any(mark in text for mark in ("File too large", "os error 27", "Disk quota exceeded", "os error 122")):
        return TargetError(
            f"a file is larger than the system allows: {first}", hint="raise `ulimit -f` or the disk quota"
        )
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
    """Whether rows must be compared by key before they are loaded.

    Not where there is nothing to be found: nothing to compare with, and keys that the source itself keeps unique.
    """
    asset = plan.stream.asset
    if any(f.unique and not _kept_unique(plan, (f.name,)) for f in asset.fields):
        return True
    if has_rows and write_mode != "replace":
        return True
    return bool(asset.key) and not _kept_unique(plan, asset.key)


def _kept_unique(plan: StreamPlan, names: Sequence[str]) -> bool:
    """Whether the source guarantees that no two rows share the values which these columns get."""
    fields = {f.name: f for f in plan.stream.asset.fields}
    source = {
        v: k for k, v in match_columns(plan.stream.asset, plan.enforced.raw).items() if v is not None and k in names
    }

    def told_apart(column: str) -> bool:
        field, dtype = fields[source[column]], plan.enforced.dtypes.get(column)
        whole = field.kind == "long" and dtype is not None and dtype.is_integer()
        same = dtype == polars_type(field) and field.kind not in ("uuid", "json", "list", "struct", "double")
        return field.default is None and plan.treatments.get(field.name, "none") in FAITHFUL and (whole or same)

    return any(u <= source.keys() and all(told_apart(c) for c in u) for u in plan.extract.unique)


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
    try:
        *_, found = collect([output.sink, violations, counts])
    except TargetError:
        known = output.failure()
        if known is not None:
            raise known from None
        raise
    extracted, bad, duplicates = found.row(0)
    return Loaded(output.finish(), extracted, bad, duplicates, path)
