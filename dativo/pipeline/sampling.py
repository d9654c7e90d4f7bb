"""The rows that two versions of a table do not share: hashed, counted, and a few of each kind fetched."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from dativo.config.asset import Field
from dativo.config.privacy import Treatment
from dativo.contract.dtypes import polars_type
from dativo.contract.written import written
from dativo.errors import TargetError
from dativo.pipeline.staging import staging_folder
from dativo.privacy.mask import shown, treated_field
from dativo.staging.difference import KEY, ROW, Hash, compare
from dativo.staging.identity import identity, value_text
from dativo.targets.reading import Version

_NESTED = ("list", "struct")
# Names that no column of a table has.
HASHES = ("__dativo_h1", "__dativo_h2")


@dataclass(slots=True, frozen=True)
class Seen:
    """Counts of rows added, removed and changed; a few rows of each kind; which columns of the changed ones differ."""

    counts: tuple[int, int, int]
    added: pl.DataFrame
    removed: pl.DataFrame
    before: pl.DataFrame
    after: pl.DataFrame
    differing: tuple[tuple[str, ...], ...]


@dataclass(slots=True, frozen=True)
class _Shared:
    """A column that both versions have: its names, and what of it can be compared."""

    before: str
    after: str
    field: Field


@dataclass(slots=True, frozen=True)
class _Row:
    """A row as it is shown, the texts of its shared columns, and where it stands among the fetched ones by its key."""

    row: dict[str, Any]
    texts: dict[str, str | None]
    place: int


class Pair:
    """Two versions of a table. Rows are compared by the columns that both have."""

    def __init__(self, before: Version, after: Version, key: Sequence[str], hidden: Mapping[str, Treatment]) -> None:
        self.before = before
        self.after = after
        self.hidden = hidden
        self.shared = _shared(before, after)
        names = {s.after for s in self.shared}
        self.key = tuple(key) if key and names.issuperset(key) else ()

    def not_compared(self) -> tuple[str, ...]:
        """The columns, by their newest names, that are not part of the comparison."""
        names = [c.name for c in self.after.columns] + [c.name for c in self.before.columns]
        both = {s.after for s in self.shared} | {s.before for s in self.shared}
        return tuple(dict.fromkeys(n for n in names if n not in both))

    def shown_fields(self, version: Version) -> tuple[Field, ...]:
        """The columns as they are shown: masked ones are text."""
        found = (treated_field(f, "partial" if f.name in self.hidden else "none") for f in version.fields)
        return tuple(f for f in found if f is not None)

    def compared(self, staging: Path, rows: int) -> Seen:
        """The difference, and no more than `rows` rows of each kind; hashes are kept below `staging` meanwhile.

        Raises TargetError when a file cannot be read.
        """
        old, new = self.before, self.after
        if old.rows is None and new.exact:
            return self._apart((new.own.rows, 0, 0), rows)
        if new.rows is None and old.exact:
            return self._apart((0, old.own.rows, 0), rows)
        if not self.shared:
            return self._apart((new.own.rows, old.own.rows, 0), rows)
        with staging_folder(staging, f"diff-{secrets.token_hex(6)}") as folder:
            hashes = [self._hashes(v, folder / f"{n}.parquet") for v, n in ((old, "before"), (new, "after"))]
            found = compare(folder, *hashes, examples=rows)
        was = self._rows(old, [*found.removed_rows, *(b for b, _ in found.changed_rows)])
        now = self._rows(new, [*found.added_rows, *(a for _, a in found.changed_rows)])
        changed = [(b, a) for b, a in found.changed_rows if b in was and a in now]
        changed.sort(key=lambda pair: now[pair[1]].place)
        return Seen(
            (found.added, found.removed, found.changed),
            self._frame(new, now, _sorted(found.added_rows, now)),
            self._frame(old, was, _sorted(found.removed_rows, was)),
            self._frame(old, was, [b for b, _ in changed]),
            self._frame(new, now, [a for _, a in changed]),
            tuple(_differing(was[b], now[a]) for b, a in changed),
        )

    def _apart(self, counts: tuple[int, int, int], rows: int) -> Seen:
        """No row of one version can be one of the other: the rows in the files are counted already."""
        frames = {}
        for version in (self.before, self.after):
            frame = self._empty(version)
            if version.rows is not None and rows:
                frame = _collected(version.rows.head(rows).select(self._shown(version)))
            frames[id(version)] = frame
        old, new = frames[id(self.before)], frames[id(self.after)]
        return Seen(counts, new, old, old.clear(), new.clear(), ())

    # -- hashing --------------------------------------------------------------------------------------------------------

    def _aligned(self, version: Version) -> pl.LazyFrame:
        """The version's own rows, with the shared columns under the newest names beside all of them."""
        assert version.rows is not None
        texts = []
        for i, each in enumerate(self.shared):
            value = pl.col(each.before if version is self.before else each.after)
            plain = value if each.field.kind in _NESTED else value.cast(polars_type(each.field))
            texts.append(plain.alias(f"__dativo_{i}"))
        return version.rows.with_columns(texts)

    def _compared_fields(self) -> list[tuple[Field, Field]]:
        """Each shared column as it is named while rows are compared, and as it is called."""
        return [(msgspec.structs.replace(s.field, name=f"__dativo_{i}"), s.field) for i, s in enumerate(self.shared)]

    def _row(self) -> list[pl.Expr]:
        return identity([f for f, _ in self._compared_fields()])

    def _keys(self) -> list[pl.Expr]:
        key = [f for f, called in self._compared_fields() if called.name in self.key]
        if not key:
            return [pl.lit(None, dtype=pl.UInt64)] * 2
        given = pl.all_horizontal(pl.col(f.name).is_not_null() for f in key)
        return [pl.when(given).then(e) for e in identity(key)]

    def _hashes(self, version: Version, path: Path) -> Path | None:
        if version.rows is None:
            return None
        hashes = zip((*self._row(), *self._keys()), (*ROW, *KEY), strict=True)
        frame = self._aligned(version).select(e.alias(n) for e, n in hashes)
        sink = frame.sink_parquet(path, compression="lz4", lazy=True, maintain_order=False)
        assert sink is not None
        _collected(sink)
        return path

    # -- examples -------------------------------------------------------------------------------------------------------

    def _rows(self, version: Version, wanted: Collection[Hash]) -> dict[Hash, _Row]:
        """Rows by their hash, as they are shown, with the texts of their shared columns."""
        if version.rows is None or not wanted:
            return {}
        pairs = list(dict.fromkeys(wanted))
        chosen = pl.LazyFrame(pairs, schema=dict.fromkeys(HASHES, pl.UInt64), orient="row")
        fields = self._compared_fields()
        texts = pl.struct(value_text(f, pl.col(f.name)).alias(called.name) for f, called in fields)
        keys = [pl.col(f.name) for f, called in fields if called.name in self.key and f.kind not in _NESTED]
        hashed = (e.alias(n) for e, n in zip(self._row(), HASHES, strict=True))
        frame = self._aligned(version).with_columns(hashed).join(chosen, on=HASHES, how="semi")
        picked = frame.select(
            *HASHES,
            pl.struct(self._shown(version)).alias("row"),
            texts.alias("texts"),
            (pl.struct(keys) if keys else pl.struct(*HASHES)).alias("sort"),
        )
        found = _collected(picked.unique(subset=HASHES, keep="any")).sort("sort").with_row_index("place")
        return {
            (r[HASHES[0]], r[HASHES[1]]): _Row(r["row"], r["texts"], r["place"]) for r in found.iter_rows(named=True)
        }

    def _shown(self, version: Version) -> list[pl.Expr]:
        return [
            shown(written(f, pl.col(f.name)), self.hidden[f.name]).alias(f.name)
            if f.name in self.hidden
            else pl.col(f.name)
            for f in version.fields
        ]

    def _empty(self, version: Version) -> pl.DataFrame:
        return pl.DataFrame(schema={f.name: polars_type(f) for f in self.shown_fields(version)})

    def _frame(self, version: Version, rows: Mapping[Hash, _Row], chosen: Sequence[Hash]) -> pl.DataFrame:
        picked = [rows[h].row for h in chosen if h in rows]
        return pl.DataFrame(picked, schema=self._empty(version).schema, orient="row")


def _differing(before: _Row, after: _Row) -> tuple[str, ...]:
    return tuple(name for name, text in after.texts.items() if before.texts[name] != text)


def _sorted(hashes: Sequence[Hash], rows: Mapping[Hash, _Row]) -> list[Hash]:
    return sorted((h for h in hashes if h in rows), key=lambda h: rows[h].place)


def _shared(before: Version, after: Version) -> list[_Shared]:
    """The columns with one id in both versions and a type that a contract can have."""
    old = {c.id: c.name for c in before.columns}
    was = {f.name: f for f in before.fields}
    now = {f.name: f for f in after.fields}
    found = []
    for column in after.columns:
        name = old.get(column.id)
        if name is None or name not in was or column.name not in now:
            continue
        field = _common(was[name], now[column.name])
        if field is not None:
            found.append(_Shared(name, column.name, field))
    return found


def _common(before: Field, after: Field) -> Field | None:
    """The newer field with no more inside it than the older one has; None when nothing is left."""
    if after.kind == "struct" and before.kind == "struct":
        was = {f.name: f for f in before.fields}
        inner = [_common(was[f.name], f) for f in after.fields if f.name in was]
        fields = tuple(f for f in inner if f is not None)
        return msgspec.structs.replace(after, fields=fields) if fields else None
    if after.item is not None and before.item is not None:
        item = _common(before.item, after.item)
        return msgspec.structs.replace(after, item=item) if item is not None else None
    return after if after.kind not in _NESTED and before.kind not in _NESTED else None


def _collected(frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TargetError(
            f"the rows of a snapshot cannot be read: {str(error).splitlines()[0]}",
            hint="its files may have been removed; compare snapshots that are still there",
        ) from error
