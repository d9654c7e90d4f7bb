"""Which format a file has, by its name."""

from __future__ import annotations

from typing import Literal

Format = Literal["csv", "jsonl", "parquet"]

FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")
# The names of formats in options, which are the endings of files too.
NAMES: dict[str, Format] = {
    "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl", "parquet": "parquet",
}  # fmt: skip
_PACKED = (".gz", ".gzip", ".zst", ".zstd", ".zip")


def format_of(name: str) -> Format | None:
    """The format that a name's ending tells, that of a compression left aside; None when it tells none."""
    lower = name.lower()
    for ending in _PACKED:
        lower = lower.removesuffix(ending)
    return next((found for ending, found in NAMES.items() if lower.endswith(f".{ending}")), None)
