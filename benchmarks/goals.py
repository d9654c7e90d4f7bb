"""What the figures should be, and what they must be for a benchmark run to count as sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.measure import Measured

Results = Mapping[str, Mapping[str, Measured]]
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit on one contender's seconds, peak memory (bytes), or ratio to another's seconds.

    `least` is the second-best: what it must not exceed even where the goal is missed. `times` turns a ratio round: the
    other takes at least `limit` times as long.
    """

    scenario: str
    contender: str
    kind: Literal["ratio", "times", "seconds", "memory"]
    limit: float
    sizes: tuple[str, ...]
    against: str = ""
    least: float | None = None

    def value(self, results: Results) -> float | None:
        """The figure, or None when it was not measured."""
        found = results.get(self.scenario, {})
        own, other = found.get(self.contender), found.get(self.against)
        if own is None or (self.against and other is None):
            return None
        if self.kind == "memory":
            return own.memory
        if other is None:
            return own.seconds
        return other.ratio(own) if self.kind == "times" else own.ratio(other)

    def verdict(self, value: float) -> str:
        if value >= self.limit if self.kind == "times" else value <= self.limit:
            return "met"
        return "missed, within the least" if self.least is not None and value <= self.least else "missed"


LARGE = ("10m", "50m")
EVERY = ("small", "1m", "10m", "50m")
GOALS = (
    Goal("load", "dativo", "ratio", 0.95, LARGE, "duckdb", 1.15),
    Goal("load", "dativo", "ratio", 1.15, ("10m",), "polars", 1.35),
    Goal("load", "dativo", "ratio", 1.15, ("50m",), "polars"),
    Goal("load", "dativo", "times", 5, ("1m",), "dlt_iceberg"),
    Goal("load", "dativo", "times", 5, ("1m",), "dlt_parquet"),
    Goal("load", "dativo", "times", 5, ("1m",), "dlt_pyarrow"),
    Goal("load", "dativo", "times", 10, ("10m",), "dlt_iceberg"),
    Goal("load", "dativo", "times", 10, ("10m",), "dlt_parquet"),
    Goal("load", "dativo", "times", 10, ("10m",), "dlt_pyarrow"),
    Goal("append", "dativo", "ratio", 0.5, ("10m",), "duckdb"),
    Goal("features", "hash", "ratio", 1.45, ("10m",), "dativo"),
    Goal("features", "rules", "ratio", 1.8, ("10m",), "dativo"),
    Goal("load", "dativo", "memory", 800 * MIB, EVERY),
    Goal("dedup", "dativo", "memory", 1.1 * GIB, EVERY),
    Goal("rejects", "dativo", "memory", 1.3 * GIB, EVERY),
    Goal("commands", "help", "seconds", 0.1, EVERY),
    Goal("commands", "validate", "seconds", 0.2, EVERY),
    Goal("commands", "validate_many", "seconds", 3.0, EVERY),
    Goal("commands", "preview", "seconds", 0.9, ("10m",)),
)


def unsound(results: Results) -> Iterator[str]:
    """What is badly off in the figures of the small size: a bug or a broken installation rather than a slow machine.

    At that size most of a run is starting up. So the limit is set against DuckDB's time plus that of importing the
    libraries, both of which the machine's speed changes alike.
    """
    imports = results.get("commands", {}).get("imports")
    for name in ("load", "dedup", "rejects"):
        found = results.get(name, {})
        if "dativo" not in found:
            continue
        own = found["dativo"]
        if own.memory > GIB:
            yield f"{name}: {own.memory / MIB:.0f} MiB of memory, more than 1 GiB"
        if imports is not None and "duckdb" in found:
            limit = 3 * (imports.seconds + found["duckdb"].seconds)
            if own.seconds > limit:
                yield f"{name}: {own.seconds:.2f} s, more than {limit:.2f} s (3 x DuckDB and the imports)"
