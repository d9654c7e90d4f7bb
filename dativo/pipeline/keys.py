"""The pass of a run over its source that compares keys: which rows are loaded already, twice there, or repeat a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from dativo.config.asset import Field
from dativo.contract.rules import UNIQUE
from dativo.pipeline.comparing import Compared, Comparing
from dativo.pipeline.passes import collect
from dativo.pipeline.plan import DUPLICATE, FAITHFUL, StreamPlan, build
from dativo.sources.protocol import FILE, ROW
from dativo.staging import dedup, versions
from dativo.staging.duck import connected, parquet
from dativo.staging.identity import HIGH, LOW, hashes, identity, value_text
from dativo.staging.index import KeyIndex
from dativo.staging.places import Places
from dativo.targets.protocol import Target

# So many files of an index are read as they are; more are made one first.
MOST_FILES = 8


@dataclass(slots=True, frozen=True)
class _Rule:
    """What makes two rows one: equal values of `fields`, among the rows that `chosen` is true for (None: all of them)."""

    name: str
    fields: list[Field]
    counted: bool
    chosen: pl.Expr | None = None

    def of(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame if self.chosen is None else frame.filter(self.chosen)


@dataclass(slots=True, frozen=True)
class Unique:
    """The columns whose values may not come twice, each with the names of its two hash columns."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> list[tuple[str, str, str]]:
        return [(f.name, f"__dativo_u{i}a", f"__dativo_u{i}b") for i, f in enumerate(self.fields)]

    def texts(self, plan: StreamPlan) -> list[pl.Expr]:
        """The values as they are read, for a frame from which `hashes` takes them."""
        fields = enumerate(self.fields)
        return [value_text(f, plan.enforced.value(f.name)).alias(f"__dativo_unique_{i}") for i, f in fields]

    def hashes(self) -> list[pl.Expr]:
        found: list[pl.Expr] = []
        for i, (_, low, high) in enumerate(self.names):
            text = pl.col(f"__dativo_unique_{i}")
            for hashed, name in zip(hashes(text), (low, high), strict=True):
                found.append(pl.when(text.is_not_null()).then(hashed).alias(name))
        return found


def compare_keys(plan: StreamPlan, target: Target, how: Comparing) -> Compared:
    """The plan with duplicates and repeated unique values marked.

    Reads the source once for its keys. Rows with the same identity count as one: key and cursor where there is a key
    and a cursor field, else the whole row.
    """
    unique = Unique(tuple(f for f in plan.stream.asset.fields if f.unique))
    masks, remember = _masks(plan, target, how, unique)
    file, row = pl.col(FILE), pl.col(ROW)
    flagged = with_repeats(plan, masks.repeats(file, row))
    if flagged is not None:
        plan = flagged
        if plan.job.validation_mode == "warn":
            # A repeated value is loaded as null, and so it stands in the table: rows are compared as they are loaded.
            masks, remember = _masks(plan, target, how, Unique(()))
    return Compared(without_duplicates(plan, masks.duplicates(file, row)), remember=remember)


def with_repeats(plan: StreamPlan, repeats: dict[str, pl.Expr]) -> StreamPlan | None:
    """The plan in which repeated values of unique columns are violations; None where there are none."""
    flags = tuple((column, UNIQUE, flag) for column, flag in repeats.items())
    return build(plan.job, plan.stream, plan.extract, "warehouse", extra_flags=flags) if flags else None


def without_duplicates(plan: StreamPlan, duplicate: pl.Expr | None) -> StreamPlan:
    """The plan with the good rows that are not to be loaded marked."""
    if duplicate is None:
        return plan
    marked = plan.enforced.frame.with_columns((duplicate & plan.enforced.good()).alias(DUPLICATE))
    return replace(plan, enforced=replace(plan.enforced, frame=marked))


def _masks(
    plan: StreamPlan, target: Target, how: Comparing, unique: Unique
) -> tuple[dedup.Masks, Callable[[str | None], None]]:
    folder = how.folder
    good = plan.enforced.frame.filter(plan.enforced.good())
    loaded = good.select(FILE, ROW, *plan.expressions(how.key), *unique.texts(plan))
    usual, *others = _rules(plan, how.cursor)

    def keys(rule: _Rule, frame: pl.LazyFrame, name: str, also: Sequence[pl.Expr] = ()) -> pl.LazyFrame:
        selected = frame.select(*PLACE, *identity(rule.fields), *unique.hashes(), *also)
        return sunk(selected, folder / f"keys-{name}.parquet")

    marks = [rule.chosen.alias(rule.name) for rule in others if rule.chosen is not None]
    every = folder / "keys-all.parquet"
    _, rows = collect([keys(usual, loaded, "all", marks), last_rows(plan)])
    # Rows that have no key or cursor are few or none: they are read by themselves, and only where there are any.
    found = pl.scan_parquet(every).select(pl.col(r.name).any() for r in others).collect()
    others = [rule for rule in others if found[rule.name].any()]
    paths = [every]
    if others:
        plain = pl.scan_parquet(every).filter(~pl.any_horizontal(r.name for r in others))
        collect([sunk(plain, folder / "keys-usual.parquet"), *(keys(r, r.of(loaded), r.name) for r in others)])
        paths = [folder / "keys-usual.parquet", *(folder / f"keys-{rule.name}.parquet" for rule in others)]
    index = how.index(_held(usual))
    with connected(folder, memory_limit=how.memory_limit, threads=how.threads) as con:
        known = _known(con, usual, target, how, index)
        groups = [dedup.Group(paths[0], known, usual.counted)]
        for rule, path in zip(others, paths[1:], strict=True):
            groups.append(dedup.Group(path, _existing(rule, target, how), rule.counted))
        masks = dedup.find(con, groups, places(plan, rows), unique.names)
    return masks, _remember(every, masks, how, index, anew=not known)


PLACE = (pl.col(FILE).alias("file"), pl.col(ROW).alias("row"))


def last_rows(plan: StreamPlan) -> pl.LazyFrame:
    """The number of the last row of each file."""
    return plan.enforced.frame.group_by(FILE).agg(pl.col(ROW).max())


def places(plan: StreamPlan, last: pl.DataFrame) -> Places:
    per_file = dict(last.iter_rows())
    return Places.of([per_file.get(i, 0) for i in range(len(plan.extract.files))])


def _rules(plan: StreamPlan, cursor: Field | None) -> list[_Rule]:
    """How rows are compared: by key and cursor, by key as whole rows where there is no cursor, else as they are, counted.

    The usual way comes first. A key is one only with all of its columns, each with a value and as the source has it.
    """
    key = plan.stream.asset.key
    by_name = {c.name: c for c in plan.columns}
    whole = list(plan.columns)
    lost = any(n in plan.enforced.absent or plan.treatments.get(n, "none") not in FAITHFUL for n in key)
    if not key or lost:
        return [_Rule("rows", whole, counted=True)]
    others = []
    complete: pl.Expr | None = None
    if not all(by_name[n].required for n in key):
        complete = pl.all_horizontal(pl.col(n).is_not_null() for n in key)
        others.append(_Rule("keyless", whole, counted=True, chosen=~complete))
    if cursor is None or plan.treatments.get(cursor.name, "none") not in FAITHFUL:
        return [_Rule("keys", whole, counted=False, chosen=complete), *others]
    named = [c for c in plan.columns if c.name in (*key, cursor.name)]
    if not by_name[cursor.name].required:
        known = pl.lit(True) if complete is None else complete
        given = pl.col(cursor.name).is_not_null()
        others.append(_Rule("cursorless", whole, counted=False, chosen=known & ~given))
        complete = known & given
    return [_Rule("keys", named, counted=False, chosen=complete), *others]


def _held(rule: _Rule) -> str:
    """What an index of a rule's identities holds."""
    return "append " + rule.name + "".join(f", {f.name} {f.type_text()}" for f in rule.fields)


def _known(con: Any, rule: _Rule, target: Target, how: Comparing, index: KeyIndex) -> tuple[Path, ...]:
    """The identities of the table's rows: from the index where it is of this version, else read anew and kept."""
    if not how.table:
        return ()
    files = index.files(how.version, how.folder)
    if not files:
        read = _existing(rule, target, how)
        index.begin(how.version, next(iter(read), None))
        return read
    if len(files) > MOST_FILES:
        one = how.folder / "known.parquet"
        versions.copied(con, f"SELECT * FROM {parquet(*files)}", one)  # noqa: S608 - paths of our own
        index.begin(how.version, one)
        return (one,)
    return tuple(files)


def _existing(rule: _Rule, target: Target, how: Comparing) -> tuple[Path, ...]:
    """The identities of the table's rows, read from it; none where it is not compared with, or has no row."""
    existing = target.existing(rule.fields) if how.table else None
    if existing is None:
        return ()
    path = how.folder / f"existing-{rule.name}.parquet"
    # Rows that the rule is not for have none of its identities: what they lack is missing there.
    collect([sunk(existing.select(identity(rule.fields)), path)])
    return (path,)


def _remember(
    rows: Path, masks: dedup.Masks, how: Comparing, index: KeyIndex, *, anew: bool
) -> Callable[[str | None], None]:
    def remember(version: str | None) -> None:
        if version is None or how.mode != "append":
            index.forget()
            return
        left_out = masks.left_out(pl.col("file"), pl.col("row"))
        loaded = pl.scan_parquet(rows)
        for mark in left_out:
            loaded = loaded.filter(~mark)
        path = how.folder / "loaded.parquet"
        collect([sunk(loaded.select(LOW, HIGH), path)])
        if anew:
            index.begin(version, path)
        else:
            index.add(how.version, version, path)

    return remember


def sunk(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """The lazy writing of a frame to a Parquet file of the working folder."""
    sink = frame.sink_parquet(path, compression="lz4", lazy=True, maintain_order=False)
    assert sink is not None
    return sink


def count(path: Path) -> int:
    """How many rows a Parquet file has."""
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())
