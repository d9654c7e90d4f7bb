"""The pass of a run over its source that compares keys: which rows are loaded already, twice there, or repeat a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dativo.config.asset import Field
from dativo.contract.enforce import BAD
from dativo.contract.rules import UNIQUE
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import DUPLICATE, StreamPlan, build
from dativo.sources.protocol import FILE, ROW
from dativo.staging import dedup
from dativo.staging.identity import hashes, identity
from dativo.targets.protocol import Target


@dataclass(slots=True, frozen=True)
class Comparing:
    """How keys are compared: the write mode, the column that tells versions of a key apart, and DuckDB's budget."""

    write_mode: str
    cursor_field: str | None
    memory_limit: str | None
    threads: int | None


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
