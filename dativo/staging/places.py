"""Rows of an extraction by their place: each has one number, by which masks and values are found for it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(slots=True, frozen=True)
class Places:
    """The numbers of an extraction's rows: `first` has for each file that of its first row, `total` is how many there are.

    Rows of a file are numbered from 1 there, without gaps.
    """

    first: pl.Series
    total: int

    @staticmethod
    def of(rows_per_file: Sequence[int]) -> Places:
        first = pl.Series("first", [0, *rows_per_file[:-1]] if rows_per_file else [0], dtype=pl.Int64).cum_sum()
        return Places(first, sum(rows_per_file))

    def numbers(self, file: pl.Series, row: pl.Series) -> pl.Series:
        return self.first.gather(file) + row.cast(pl.Int64) - 1

    def nowhere(self) -> pl.Series:
        """The mask of no row."""
        return pl.repeat(False, self.total, dtype=pl.Boolean, eager=True)

    def marked(self, mask: pl.Series, file: pl.Expr, row: pl.Expr) -> pl.Expr:
        """Whether a mask marks the row at a place.

        A file that has grown since has more rows than the mask; its change is told when the reading is over.
        """
        return self._found(file, row, lambda n: mask.gather(n, null_on_oob=True).fill_null(False), pl.Boolean())

    def valued(self, values: Values, file: pl.Expr, row: pl.Expr) -> pl.Expr:
        """The value of the row at a place, null where it has none."""
        return self._found(file, row, values.at, values.values.dtype)

    def _found(
        self, file: pl.Expr, row: pl.Expr, find: Callable[[pl.Series], pl.Series], dtype: pl.DataType
    ) -> pl.Expr:
        def lookup(place: pl.Series) -> pl.Series:
            return find(self.numbers(place.struct.field("file"), place.struct.field("row")))

        place = pl.struct(file=file, row=row)
        return place.map_batches(lookup, return_dtype=dtype, is_elementwise=True)


@dataclass(slots=True, frozen=True)
class Values:
    """Values of a few rows: `numbers` are those of the rows, in order."""

    numbers: pl.Series
    values: pl.Series

    @staticmethod
    def of(numbers: pl.Series, values: pl.Series) -> Values:
        order = numbers.arg_sort()
        return Values(numbers.gather(order), values.gather(order))

    def at(self, numbers: pl.Series) -> pl.Series:
        index = self.numbers.search_sorted(numbers)
        there = self.numbers.gather(index, null_on_oob=True) == numbers
        found = pl.DataFrame({"there": there, "value": self.values.gather(index, null_on_oob=True)})
        return found.select(pl.when("there").then("value")).to_series()
