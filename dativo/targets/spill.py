"""The first of two steps in which rows of very many partitions are written: into a few local files, by partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

ROWS_A_GROUP = 32 * 1024
# As many files as partitions may be open at once.
GROUPS = 64


def spilled(
    rows: pl.LazyFrame, keys: Mapping[str, pl.Expr], folder: Path
) -> tuple[pl.LazyFrame, Callable[[], list[str]]]:
    """The lazy writing of rows into files below `folder`, those of one partition (`keys`) into one of them.

    The function gives the files once the pass is done, in order.
    """
    hashed = pl.struct([key.alias(name) for name, key in keys.items()]).hash(seed=0) % GROUPS
    found: list[Any] = []
    sink = rows.sink_parquet(
        pl.PartitionBy(
            folder,
            key={"__dativo_group": hashed},
            include_key=False,
            file_path_provider=lambda args: f"{args.partition_keys.row(0)[0]}.parquet",
            approximate_bytes_per_file=None,
        ),
        compression="lz4",
        row_group_size=ROWS_A_GROUP,
        maintain_order=True,
        mkdir=True,
        lazy=True,
        sinked_paths_callback=found.append,
    )
    assert sink is not None
    return sink, lambda: sorted(path.path for given in found for path in given.paths)
