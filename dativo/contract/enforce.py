"""A source's frame under its contract: every value of its type, every broken rule known, no row lost.

Bad rows are data. The frame that comes out has, for each contract column, the value that was read (null where it could
not be), and one flag that tells whether any rule is broken. From it follow, in one pass over the source:

- the accepted rows, with the contract's columns in the contract's order;
- the violations, one row each: file, row number, column, rule, original value, the whole row;
- the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import polars as pl

from dativo.config.asset import Asset, Field
from dativo.config.job import ValidationMode
from dativo.contract.cast import from_text, is_given, lanes
from dativo.contract.columns import match_columns, report_columns
from dativo.contract.dtypes import polars_type
from dativo.contract.rules import MISMATCH, MISSING, default_literal, value_rules
from dativo.contract.shown import as_text, plain
from dativo.contract.text import TextRules
from dativo.errors import SourceError

BAD = "__dativo_bad"
_VALUE = "__dativo_value_"

_VIOLATION = pl.Struct({"column": pl.String(), "rule": pl.String(), "value": pl.String()})

# The columns of violations, in order.
VIOLATIONS = {
    "file": pl.String(),
    "row": pl.Int64(),
    "column": pl.String(),
    "rule": pl.String(),
    "value": pl.String(),
    "record": pl.String(),
}


@dataclass(slots=True, frozen=True)
class Provenance:
    """The names of a frame's columns that say where a row came from."""

    file: str
    row: str
    fault: str
    text: str

    def names(self) -> tuple[str, ...]:
        return (self.file, self.row, self.fault, self.text)


@dataclass(slots=True)
class Enforced:
    """A frame under its contract.

    `frame` has the source's columns, a value column for each contract column, and BAD. `extra` are the source's columns
    that the contract does not know; in warn mode they are loaded as text. `absent` are the contract's columns that the
    source does not have.
    """

    frame: pl.LazyFrame
    asset: Asset
    mode: ValidationMode
    provenance: Provenance
    raw: tuple[str, ...]
    extra: tuple[str, ...]
    flags: list[tuple[str, str, pl.Expr, pl.Expr]]
    notes: list[str] = field(default_factory=list)
    dtypes: dict[str, pl.DataType] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def value(self, name: str) -> pl.Expr:
        """A contract column's value as it is loaded."""
        value = pl.col(_VALUE + name)
        broken = [flag for column, rule, flag, _ in self.flags if column == name and rule not in (MISSING, MISMATCH)]
        if self.mode == "warn" and broken:
            value = pl.when(~pl.any_horizontal(broken).fill_null(False)).then(value)
        return value.alias(name)

    def columns(self) -> dict[str, pl.Expr]:
        """The columns of an accepted row, in order."""
        found = {f.name: self.value(f.name) for f in self.asset.fields}
        if self.mode == "warn":
            found.update({n: as_text(pl.col(n), self.dtypes.get(n, pl.String())).alias(n) for n in self.extra})
        return found

    def good(self) -> pl.Expr:
        """Which rows are loaded."""
        return pl.lit(True) if self.mode == "warn" else ~pl.col(BAD)

    def violations(self, files: Sequence[str], frame: pl.LazyFrame | None = None) -> pl.LazyFrame:
        """One row for each broken rule, with the columns of VIOLATIONS; `files` names the files by their position."""
        found = (self.frame if frame is None else frame).filter(BAD)
        p = self.provenance
        fault = pl.col(p.fault)
        entries = [
            pl.when(fault.is_not_null()).then(
                pl.struct(
                    column=pl.lit(None, dtype=pl.String),
                    rule=fault.str.extract(r"^([a-z_]+)", 1),
                    value=fault.str.replace(r"^[a-z_]+:\s*", ""),
                )
            )
        ]
        for column, rule, flag, original in self.flags:
            entries.append(
                pl.when(fault.is_null() & flag.fill_null(False)).then(
                    pl.struct(column=pl.lit(column), rule=pl.lit(rule), value=original)
                )
            )
        names = pl.Series([*files, ""], dtype=pl.String)
        record = pl.coalesce(pl.col(p.text), _as_record(self.raw, self.dtypes))
        return (
            found.select(
                file=_file_name(pl.col(p.file), names),
                row=pl.col(p.row),
                violation=pl.concat_list([e.cast(_VIOLATION) for e in entries]).list.drop_nulls(),
                record=record,
            )
            .explode("violation")
            .select("file", "row", pl.col("violation").struct.unnest(), "record")
            .select(*VIOLATIONS)
        )


def _file_name(index: pl.Expr, names: pl.Series) -> pl.Expr:
    return index.map_batches(lambda s: names.gather(s), return_dtype=pl.String, is_elementwise=True)


def _as_record(raw: tuple[str, ...], dtypes: dict[str, pl.DataType]) -> pl.Expr:
    return pl.struct(plain(pl.col(n), dtypes.get(n, pl.String())).alias(n) for n in raw).struct.json_encode()


def enforce(
    frame: pl.LazyFrame,
    asset: Asset,
    mode: ValidationMode,
    *,
    columns: Sequence[str],
    dtypes: dict[str, pl.DataType] | None,
    rules: TextRules,
    provenance: Provenance,
    extra_flags: Sequence[tuple[str, str, pl.Expr]] = (),
) -> Enforced:
    """The frame under its contract.

    `columns` are the source's data columns, `dtypes` their types (None: all text). `extra_flags` are rules that were
    found broken by other means: column, rule, and where. Raises SourceError when no column of the contract is in the
    source, ContractError when a required one is missing and the mode loads no such rows.
    """
    matched = match_columns(asset, columns)
    extra = tuple(c for c in columns if c not in {s for s in matched.values() if s})
    notes = report_columns(asset, matched, extra, columns, mode)
    values = _Values(rules, dtypes)
    flags: list[tuple[str, str, pl.Expr, pl.Expr]] = []
    for entry in asset.fields:
        source = matched[entry.name]
        dtype = (dtypes or {}).get(source or "", pl.String())
        values.add(entry, source, dtype)
        if source is not None:
            flags += _flags(entry, source, rules, dtype)
    for column, rule, flag in extra_flags:
        source = matched.get(column)
        dtype = (dtypes or {}).get(source or "", pl.String())
        flags.append((column, rule, flag, as_text(pl.col(source), dtype) if source else pl.lit(None, dtype=pl.String)))
    fault = pl.col(provenance.fault).is_not_null()
    bad = pl.any_horizontal(fault, *_merged_flags(asset, flags)).fill_null(False)
    out = values.laid_on(frame).with_columns(bad.alias(BAD))
    absent = tuple(name for name, source in matched.items() if source is None)
    return Enforced(out, asset, mode, provenance, tuple(columns), extra, flags, notes, dtypes or {}, absent)


class _Values:
    """The value columns, in stages: each stage's columns are computed once and used by the next.

    Written as one expression a cast would be computed again wherever its result is looked at.
    """

    def __init__(self, rules: TextRules, dtypes: dict[str, pl.DataType] | None) -> None:
        self.rules = rules
        self.dtypes = dtypes
        self.first: list[pl.Expr] = []
        self.second: list[pl.Expr] = []
        self.third: list[pl.Expr] = []

    def laid_on(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        out = frame.with_columns(self.first)
        for stage in (self.second, self.third):
            out = out.with_columns(stage) if stage else out
        return out

    def add(self, entry: Field, source: str | None, dtype: pl.DataType) -> None:
        name = _VALUE + entry.name
        if source is None:
            nothing = pl.lit(None, dtype=polars_type(entry))
            self.first.append((default_literal(entry) if entry.default is not None else nothing).alias(name))
            return
        raw = pl.col(source)
        if self.dtypes is not None and dtype != pl.String():
            self.first.append(self.typed(entry, raw, dtype, source).alias(name))
            given = raw.is_not_null()
        else:
            self.text(entry, raw, name)
            given = is_given(entry, raw, self.rules)
        if entry.default is not None:
            self.third.append(pl.when(given).then(pl.col(name)).otherwise(default_literal(entry)).alias(name))

    def text(self, entry: Field, raw: pl.Expr, name: str) -> None:
        nulls = entry.null_values if entry.null_values is not None else self.rules.nulls
        text = (
            pl.when(~raw.is_in(list(nulls))).then(raw) if nulls and _means_something(entry, nulls, self.rules) else raw
        )
        fast, careful = lanes(entry, text, self.rules)
        self.first.append(fast.alias(name))
        if careful is not None:
            value = pl.col(name)
            self.second.append(pl.coalesce(value, careful(pl.when(value.is_null()).then(text))).alias(name))

    def typed(self, entry: Field, raw: pl.Expr, dtype: pl.DataType, source: str) -> pl.Expr:
        from dativo.contract.typed import from_typed

        value = from_typed(entry, raw, dtype, self.rules)
        if value is None:
            raise SourceError(
                f"the source's column '{source}' is {dtype}, which cannot become {entry.type_text()}",
                hint=f"change the type of '{entry.name}' in the contract",
                mark=entry.mark,
            )
        return value


def _means_something(entry: Field, nulls: tuple[str, ...], rules: TextRules) -> bool:
    """Whether a text that means null would be a value of the column; if not, its cast gives null by itself."""
    # Columns of one type have one answer, and every run makes its plan twice.
    alike = msgspec.structs.replace(entry, name="", source_name="", description=None, mark=None)
    return _some_is_read(alike, nulls, rules)


@lru_cache(maxsize=1_000)
def _some_is_read(entry: Field, nulls: tuple[str, ...], rules: TextRules) -> bool:
    texts = pl.DataFrame({"text": list(nulls)}, schema={"text": pl.String})
    return bool(texts.select(from_text(entry, pl.col("text"), rules).is_not_null().any()).item())


def _flags(entry: Field, source: str, rules: TextRules, dtype: pl.DataType) -> list[tuple[str, str, pl.Expr, pl.Expr]]:
    """Column, rule, where it is broken, and the original value as text, for each rule of a column."""
    value, raw = pl.col(_VALUE + entry.name), pl.col(source)
    typed, shown = not isinstance(dtype, pl.String), as_text(raw, dtype)
    given = raw.is_not_null() if typed else is_given(entry, raw, rules)
    found: list[tuple[str, str, pl.Expr, pl.Expr]] = []
    if entry.required and entry.default is None:
        found.append((entry.name, MISSING, ~given, shown))
    if entry.kind != "string" or typed:
        found.append((entry.name, MISMATCH, given & value.is_null(), shown))
    found += [(entry.name, name, broken, shown) for name, broken in value_rules(entry, value)]
    return found


def _merged_flags(asset: Asset, flags: list[tuple[str, str, pl.Expr, pl.Expr]]) -> list[pl.Expr]:
    """The flags as few expressions: for a required column, "missing" and "cannot be read" are both "no value"."""
    merged: list[pl.Expr] = []
    by_column: dict[str, dict[str, pl.Expr]] = {}
    for column, rule, flag, _ in flags:
        by_column.setdefault(column, {})[rule] = flag
    for column, rules in by_column.items():
        entry = asset.field(column)
        if entry is not None and entry.required and entry.default is None and MISSING in rules:
            merged.append(pl.col(_VALUE + column).is_null())
            merged += [flag for rule, flag in rules.items() if rule not in (MISSING, MISMATCH)]
        else:
            merged += rules.values()
    return merged
