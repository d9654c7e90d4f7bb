"""CSV files of orders, made from a seed: the same arguments give the same bytes.

    python -m benchmarks.generate --rows 10_000_000 --out .local/bench/orders.csv

12 columns, about 167 bytes a row. Beside `X.csv` stands `X.json` with what a correct load of it must give, counted while
the rows are made and not by any of the programs that are measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import polars_hash as plh

COLUMNS = (
    "order_id", "customer_id", "email", "first_name", "last_name", "phone",
    "amount", "currency", "status", "created_at", "updated_at", "notes",
)  # fmt: skip
SEED = 20240101
CHUNK = 250_000

_FIRST_NAMES = ("Anna", "Boris", "Chloe", "Diego", "Eve", "Femi")
_CURRENCIES = ("USD", "EUR", "GBP")
_STATUSES = ("paid", "open", "void", "refunded")
_YEAR = 31_536_000
# Each breaks the contract in its own way: column and text, or a record that has too few or too many fields.
_FAULTS: tuple[tuple[str, str], ...] = (
    ("order_id", ""),
    ("order_id", "17b"),
    ("customer_id", "C-1044"),
    ("amount", "12.3o"),
    ("amount", "99999999999.99"),
    ("updated_at", "2024-13-45 00:00:00"),
)
_SHORT = len(_FAULTS)
_LONG = len(_FAULTS) + 1
_KINDS = len(_FAULTS) + 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file is made from.

    `bad` and `duplicates` are shares of the rows: those that break the contract, and those that repeat an earlier row
    of the file exactly. Order ids begin at `start`; ids below `known` count as loaded before (see `Facts.fresh`).
    """

    rows: int
    seed: int = SEED
    bad: float = 0.0
    duplicates: float = 0.0
    start: int = 0
    known: int = 0


@dataclass(slots=True)
class Facts:
    """What the file holds. Amounts are sums in cents.

    `good` rows keep the contract; `distinct` are the good ones without repetitions; `fresh` those of them that were not
    loaded before.
    """

    rows: int = 0
    good: int = 0
    good_cents: int = 0
    distinct: int = 0
    distinct_cents: int = 0
    fresh: int = 0
    fresh_cents: int = 0
    bytes: int = 0
    sha256: str = ""


def write(recipe: Recipe, path: Path, *, chunk: int = CHUNK) -> Facts:
    """Writes the file and its facts (`path` with the suffix .json), `chunk` rows at a time; the facts.

    The bytes do not depend on `chunk`, memory does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = Facts()
    digest = hashlib.sha256()
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as out:
        for text in _texts(recipe, facts, chunk):
            digest.update(text)
            facts.bytes += out.write(text)
    facts.sha256 = digest.hexdigest()
    unfinished.replace(path)
    path.with_suffix(".json").write_text(
        json.dumps({"recipe": asdict(recipe), "facts": asdict(facts)}, indent=1) + "\n"
    )
    return facts


def kept(recipe: Recipe, path: Path) -> Facts | None:
    """The facts of a file that was made from this recipe before, or None."""
    try:
        stored = json.loads(path.with_suffix(".json").read_text())
        size = path.stat().st_size
    except (OSError, ValueError):
        return None
    if stored.get("recipe") != asdict(recipe) or stored["facts"]["bytes"] != size:
        return None
    return Facts(**stored["facts"])


def _texts(recipe: Recipe, facts: Facts, size: int) -> Iterator[bytes]:
    """The file's text in chunks, header first; counts into `facts` on the way."""
    yield (",".join(COLUMNS) + "\n").encode()
    for first in range(0, recipe.rows, size):
        chunk = _rows(recipe, first, min(size, recipe.rows - first))
        _count(chunk, recipe, facts)
        lines = chunk.select(_line(recipe))
        yield lines.write_csv(include_header=False, quote_style="never").encode()


def _rows(recipe: Recipe, first: int, count: int) -> pl.DataFrame:
    """Rows at positions `first`…: the id (its number in the file), whether it repeats, its fault (null: none), cents.

    Everything else about a row follows from its id, so a repetition is a copy to the last byte.
    """
    position = pl.int_range(first, first + count, dtype=pl.UInt64, eager=True).alias("position")
    share = round(recipe.duplicates * 10_000)
    before = pl.col("position") * share // 10_000
    repeats = (pl.col("position") + 1) * share // 10_000 > before
    originals = pl.col("position") - before
    earlier = _mixed(pl.col("position"), recipe.seed, 1) % pl.max_horizontal(originals, pl.lit(1, dtype=pl.UInt64))
    number = pl.when(repeats & (originals > 0)).then(earlier).otherwise(originals)
    frame = position.to_frame().select(repeats=repeats & (originals > 0), id=(number + recipe.start).cast(pl.UInt64))
    is_bad = _mixed(pl.col("id"), recipe.seed, 2) % 10_000 < round(recipe.bad * 10_000)
    return frame.with_columns(
        fault=pl.when(is_bad).then(_mixed(pl.col("id"), recipe.seed, 3) % _KINDS),
        cents=(_mixed(pl.col("id"), recipe.seed, 4) % 1_000_000).cast(pl.Int64),
    )


def _count(chunk: pl.DataFrame, recipe: Recipe, facts: Facts) -> None:
    good = pl.col("fault").is_null()
    distinct = good & ~pl.col("repeats")
    fresh = distinct & (pl.col("id") >= recipe.known)
    counts = chunk.select(
        rows=pl.len(),
        good=good.sum(), good_cents=pl.col("cents").filter(good).sum(),
        distinct=distinct.sum(), distinct_cents=pl.col("cents").filter(distinct).sum(),
        fresh=fresh.sum(), fresh_cents=pl.col("cents").filter(fresh).sum(),
    )  # fmt: skip
    for name, value in counts.row(0, named=True).items():
        setattr(facts, name, getattr(facts, name) + value)


def _line(recipe: Recipe) -> pl.Expr:
    """The row's text. No value holds a comma, a quote or a line break."""
    fields = {n: _faulty(n, e) for n, e in _fields(recipe).items()}
    whole = pl.concat_str([fields[n] for n in COLUMNS], separator=",")
    short = pl.concat_str([fields[n] for n in COLUMNS[:8]], separator=",")
    fault = pl.col("fault")
    return pl.when(fault == _SHORT).then(short).when(fault == _LONG).then(whole + ",surplus").otherwise(whole)


def _faulty(name: str, value: pl.Expr) -> pl.Expr:
    for kind, (column, text) in enumerate(_FAULTS):
        if column == name:
            value = pl.when(pl.col("fault") == kind).then(pl.lit(text)).otherwise(value)
    return value


def _fields(recipe: Recipe) -> dict[str, pl.Expr]:
    number, cents = pl.col("id"), pl.col("cents")
    customer = (_mixed(number, recipe.seed, 5) % 1_000_000).cast(pl.String)
    text = number.cast(pl.String)
    return {
        "order_id": text,
        "customer_id": customer,
        "email": "user" + customer + "@example.com",
        "first_name": _pick(_FIRST_NAMES, number),
        "last_name": "Surname" + (number % 9973).cast(pl.String),
        "phone": "+44 20 7" + (_mixed(number, recipe.seed, 6) % 10_000_000).cast(pl.String).str.zfill(7),
        "amount": (cents // 100).cast(pl.String) + "." + (cents % 100).cast(pl.String).str.zfill(2),
        "currency": _pick(_CURRENCIES, number),
        "status": _pick(_STATUSES, number),
        "created_at": _moment(number % _YEAR),
        "updated_at": _moment(number * 7 % _YEAR),
        "notes": "note " + plh.col("id").cast(pl.String).nchash.md5(),  # type: ignore[attr-defined]
    }


def _pick(values: tuple[str, ...], number: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(values)).gather((number % len(values)).cast(pl.UInt32))


def _moment(second: pl.Expr) -> pl.Expr:
    start = pl.datetime(2024, 1, 1, time_unit="us")
    return (start + pl.duration(seconds=second.cast(pl.Int64))).dt.to_string("%Y-%m-%d %H:%M:%S")


def _mixed(number: pl.Expr, seed: int, salt: int) -> pl.Expr:
    """A pseudo-random UInt64 of a number: the SplitMix64 finaliser, the same in every version of the libraries."""
    mixed = number + pl.lit((seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) % 2**64, dtype=pl.UInt64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed // 2**shift)) * pl.lit(factor, dtype=pl.UInt64)
    return mixed ^ (mixed // 2**31)


def main() -> None:
    """Makes a file as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--out", type=Path, default=Path(".local/bench/orders.csv"))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--bad", type=float, default=0.0, help="share of rows that break the contract, as 0.02")
    parser.add_argument(
        "--duplicates", type=float, default=0.0, help="share of rows that repeat an earlier one, as 0.2"
    )
    parser.add_argument("--start", type=int, default=0, help="first order id")
    parser.add_argument("--known", type=int, default=0, help="order ids below this one count as loaded before")
    given = vars(parser.parse_args())
    path = given.pop("out")
    recipe = Recipe(**given)
    print(json.dumps(asdict(kept(recipe, path) or write(recipe, path))))


if __name__ == "__main__":
    main()
