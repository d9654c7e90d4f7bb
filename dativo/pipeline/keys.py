"""The pass of a run over its source that compares keys: which rows are loaded already, twice there, or repeat a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from dativo.config.asset import Field
from dativo.contract.rules import UNIQUE
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import DUPLICATE, StreamPlan, build
from dativo.sources.protocol import FILE, ROW
from dativo.staging import dedup
from dativo.staging.identity import hashes, identity, value_text
from dativo.targets.protocol import Target

# Treatments that leave different values different.
_FAITHFUL = ("none", "hash")


@dataclass(slots=True, frozen=True)
class Comparing:
    """How keys are compared: the write mode, the column that tells versions of a key apart, and DuckDB's budget."""

    write_mode: str
    cursor_field: str | None
    memory_limit: str | None
    threads: int | None


@dataclass(slots=True, frozen=True)
class _Rule:
    """What makes two rows one: equal values of `fields`, among the rows that `chosen` is true for (None: all of them)."""

    name: str
    fields: list[Field]
    counted: bool
    chosen: pl.Expr | None = None

    def of(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame if self.chosen is None else frame.filter(self.chosen)


def compare_keys(plan: StreamPlan, target: Target, folder: Path, key: str | None, how: Comparing) -> StreamPlan:
    """The plan with duplicates and repeated unique values marked.

    Reads the source once for its keys. Rows with the same identity count as one: key and cursor where there is a key
    and a cursor field, else the whole row.
    """
    unique = [f for f in plan.stream.asset.fields if f.unique]
    masks = _masks(plan, target, folder, key, how, unique)
    file, row = pl.col(FILE), pl.col(ROW)
    flags = tuple((column, UNIQUE, flag) for column, flag in masks.repeats(file, row).items())
    if flags:
        plan = build(plan.job, plan.stream, plan.extract, "warehouse", extra_flags=flags)
        if plan.job.validation_mode == "warn":
            # A repeated value is loaded as null, and so it stands in the table: rows are compared as they are loaded.
            masks = _masks(plan, target, folder, key, how, [])
    duplicate = masks.duplicates(file, row)
    if duplicate is not None:
        marked = plan.enforced.frame.with_columns((duplicate & plan.enforced.good()).alias(DUPLICATE))
        plan = replace(plan, enforced=replace(plan.enforced, frame=marked))
    return plan


def _masks(
    plan: StreamPlan, target: Target, folder: Path, key: str | None, how: Comparing, unique: list[Field]
) -> dedup.Masks:
    names = [(f.name, f"__dativo_u{i}a", f"__dativo_u{i}b") for i, f in enumerate(unique)]
    texts = [value_text(f, plan.enforced.value(f.name)).alias(f"__dativo_unique_{i}") for i, f in enumerate(unique)]
    good = plan.enforced.frame.filter(plan.enforced.good())
    loaded = good.select(FILE, ROW, *plan.expressions(key), *texts)

    usual, *others = _rules(plan, how.cursor_field)

    def keys(rule: _Rule, frame: pl.LazyFrame, also: Sequence[pl.Expr] = ()) -> pl.LazyFrame:
        places = (pl.col(FILE).alias("file"), pl.col(ROW).alias("row"))
        selected = frame.select(*places, *identity(rule.fields), *_unique_hashes(names), *also)
        return _sunk(selected, folder / f"keys-{rule.name}.parquet")

    marks = [rule.chosen.alias(rule.name) for rule in others if rule.chosen is not None]
    last = plan.enforced.frame.group_by(FILE).agg(pl.col(ROW).max())
    _, rows = collect([keys(usual, loaded, marks), last])
    # Rows that have no key or cursor are few or none: they are read by themselves, and only where there are any.
    found = (
        pl.scan_parquet(folder / f"keys-{usual.name}.parquet").select(pl.col(r.name).any() for r in others).collect()
    )
    others = [rule for rule in others if found[rule.name].any()]
    if others:
        collect([keys(rule, rule.of(loaded)) for rule in (usual, *others)])
    per_file = dict(rows.iter_rows())
    return dedup.find(
        folder,
        [_group(rule, target, folder, how.write_mode) for rule in (usual, *others)],
        rows_per_file=[per_file.get(i, 0) for i in range(len(plan.extract.files))],
        unique=names,
        memory_limit=how.memory_limit,
        threads=how.threads,
    )


def _rules(plan: StreamPlan, cursor_field: str | None) -> list[_Rule]:
    """How rows are compared: by key and cursor, by key as whole rows where there is no cursor, else as they are, counted.

    The usual way comes first. A key is one only with all of its columns, each with a value and as the source has it.
    """
    key = plan.stream.asset.key
    by_name = {c.name: c for c in plan.columns}
    whole = list(plan.columns)
    lost = any(n in plan.enforced.absent or plan.treatments.get(n, "none") not in _FAITHFUL for n in key)
    if not key or lost:
        return [_Rule("rows", whole, counted=True)]
    others = []
    complete: pl.Expr | None = None
    if not all(by_name[n].required for n in key):
        complete = pl.all_horizontal(pl.col(n).is_not_null() for n in key)
        others.append(_Rule("keyless", whole, counted=True, chosen=~complete))
    cursor = by_name.get(cursor_field or "")
    if cursor is None:
        return [_Rule("keys", whole, counted=False, chosen=complete), *others]
    named = [c for c in plan.columns if c.name in (*key, cursor.name)]
    if not cursor.required:
        known = pl.lit(True) if complete is None else complete
        given = pl.col(cursor.name).is_not_null()
        others.append(_Rule("cursorless", whole, counted=False, chosen=known & ~given))
        complete = known & given
    return [_Rule("keys", named, counted=False, chosen=complete), *others]


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


def _group(rule: _Rule, target: Target, folder: Path, write_mode: str) -> dedup.Group:
    """The files of a rule; the table is read only where the source has such rows."""
    keys = folder / f"keys-{rule.name}.parquet"
    rows = pl.scan_parquet(keys).select(pl.len()).collect().item()
    existing = target.existing(rule.fields) if write_mode == "append" and rows else None
    if existing is None:
        return dedup.Group(keys, None, rule.counted)
    path = folder / f"existing-{rule.name}.parquet"
    # Rows that the rule is not for have none of its identities: what they lack is missing there.
    collect([_sunk(existing.select(identity(rule.fields)), path)])
    return dedup.Group(keys, path, rule.counted)


def _sunk(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    sink = frame.sink_parquet(path, compression="lz4", lazy=True, maintain_order=False)
    assert sink is not None
    return sink
