"""Which keys a source has now, where what was read of it is not all: listed by themselves, as the contract reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import polars as pl

from dativo.config.asset import Field
from dativo.contract.columns import match_columns
from dativo.contract.enforce import BAD, enforce
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import StreamPlan
from dativo.sources.protocol import PROVENANCE
from dativo.staging.identity import identity


@dataclass(slots=True, frozen=True)
class Listing:
    """A Parquet file with LOW and HIGH of keys that the source has, and how many of its rows have one nobody can read."""

    keys: Path
    unreadable: int


def list_keys(
    plan: StreamPlan,
    key: tuple[Field, ...],
    lister: Callable[[Sequence[str]], pl.LazyFrame],
    secret: str | None,
    path: Path,
) -> Listing:
    """The keys that a source lists, read and treated as those of rows are, written to `path`."""
    stream, enforced = plan.stream, plan.enforced
    matched = match_columns(stream.asset, enforced.raw)
    names = [f.name for f in key]
    listed = lister([source for n in names for source in [matched[n]] if source is not None])
    schema = listed.collect_schema()
    fields = tuple(msgspec.structs.replace(f, unique=False) for f in stream.asset.fields if f.name in names)
    asset = msgspec.structs.replace(stream.asset, fields=fields)
    p = enforced.provenance
    kinds = dict(zip(PROVENANCE, (pl.UInt32, pl.Int64, pl.String, pl.String), strict=True))
    read = enforce(
        listed.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in kinds.items()),
        asset,
        plan.job.validation_mode,
        columns=schema.names(),
        dtypes=dict(schema) if plan.extract.encoding == "typed" else None,
        rules=plan.extract.rules,
        provenance=p,
    )
    treatments = {n: t for n, t in plan.treatments.items() if n in names}
    keys = replace(
        plan, stream=msgspec.structs.replace(stream, asset=asset), enforced=read, treatments=treatments, added=()
    )
    complete = pl.all_horizontal(pl.col(n).is_not_null() for n in names)
    values = read.frame.select(*keys.expressions(secret), BAD)
    unreadable = (pl.col(BAD) & ~complete).sum()
    sink = values.filter(complete).select(identity(key)).sink_parquet(path, compression="lz4", lazy=True)
    assert sink is not None
    _, found = collect([sink, values.select(unreadable)])
    return Listing(path, int(found.item()))
