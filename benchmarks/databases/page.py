"""The page of the databases' benchmarks, made of the figures in benchmarks/results/databases-SIZE.json.

python -m benchmarks.databases.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.chart import memory, seconds
from benchmarks.databases.scenarios import SCENARIOS, SIZES
from benchmarks.environments import ROOT
from benchmarks.goals import GIB, MIB, Goal
from benchmarks.page import Results, results_of, table

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks-databases.md"
TEXT = Path(__file__).with_name("page.md")
LARGEST = ("5m",)
EVERY = tuple(SIZES)
GOALS = (
    Goal("postgres", "dativo", "ratio", 1.4, LARGEST, "client"),
    Goal("postgres_lineitem", "dativo", "ratio", 1.4, LARGEST, "client"),
    Goal("postgres", "dativo", "times", 3.5, ("1m", "5m"), "dlt_connectorx_parquet"),
    Goal("mysql", "dativo", "ratio", 1.5, LARGEST, "client"),
    Goal("mysql_lineitem", "dativo", "ratio", 1.5, LARGEST, "client"),
    Goal("upsert", "dativo", "times", 15, ("1m",), "pyiceberg"),
    Goal("upsert", "dativo", "seconds", 4, LARGEST),
    Goal("upsert", "merge_on_read", "seconds", 1, LARGEST),
    Goal("keys", "dativo", "ratio", 0.5, LARGEST, "duckdb"),
    Goal("postgres", "dativo", "memory", 800 * MIB, EVERY),
    Goal("mysql", "dativo", "memory", 800 * MIB, EVERY),
    Goal("upsert", "dativo", "memory", 1.1 * GIB, EVERY),
    Goal("keys", "dativo", "memory", 1.1 * GIB, EVERY),
)


def kept_at(size: str) -> Path:
    """Where the figures of a size are kept."""
    return RESULTS / f"databases-{size}.json"


def write() -> None:
    """Makes the page anew from every result that is kept."""
    PAGE.write_text(text(kept()))


def kept() -> dict[str, dict[str, Any]]:
    """The last figures of each size, smallest first."""
    return {size: json.loads(kept_at(size).read_text()) for size in SIZES if kept_at(size).exists()}


def text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page; `found` has the figures of the sizes that were measured."""
    parts = [TEXT.read_text().rstrip()]
    if found:
        parts.append("\n".join(["## Goals", "", *_goals(found)]))
    parts += ["\n".join(_size(size, found[size])) for size in reversed(SIZES) if size in found]
    return "\n\n".join(parts) + "\n"


def _goals(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| size | what | goal | measured | |"
    yield "|---|---|---|---|---|"
    for size, document in found.items():
        results = results_of(document)
        for goal in GOALS:
            value = goal.value(results) if size in goal.sizes else None
            if value is not None:
                what, limit, shown = _words(goal, results, value)
                yield f"| {size} | {SCENARIOS[goal.scenario].title}: {what} | {limit} | {shown} | {goal.verdict(value)} |"


def _words(goal: Goal, results: Results, value: float) -> tuple[str, str, str]:
    contenders = results[goal.scenario]
    label = contenders[goal.contender].label
    if goal.kind == "memory":
        return f"{label}, peak memory", f"<= {memory(goal.limit)}", memory(value)
    if goal.kind == "seconds":
        return f"{label}, whole process", f"<= {seconds(goal.limit)}", seconds(value)
    other = contenders[goal.against].label
    if goal.kind == "times":
        return f"{other} against {label}", f">= {goal.limit:g} times the time", f"{value:.2f}x"
    return f"{label} against {other}", f"<= {goal.limit:.2f}x", f"{value:.2f}x"


def _size(size: str, document: Mapping[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    yield f"## {document['rows']:,} rows of orders"
    yield ""
    if document["load_average_before"] > int(machine["cores"]) / 4:
        yield "**Other work ran on the machine at the time.** Seconds are longer than they need be; ratios and memory count."
        yield ""
    yield (
        f"TPC-H at scale {document['scale']:g} ({document['lineitem']:,} rows of lineitem); a table of "
        f"{document['table']:,} rows for upserts and keys; median of {document['repeat']} rounds; {document['date']}; "
        f"commit `{document['commit']}`; {machine['processor']}, {machine['cores']} cores, {machine['memory']}, "
        f"{machine['system']}; load average before: {document['load_average_before']:g}."
    )
    yield ""
    for name, environment in document["environments"].items():
        versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
        yield f"- Environment of {'dativo and pyiceberg' if name == 'dativo' else name}: {versions}."
    yield f"- Servers: {', '.join(document['servers'])}."
    for name, contenders in results_of(document).items():
        yield ""
        yield f"### {SCENARIOS[name].title}"
        yield ""
        yield from table(name, contenders)


if __name__ == "__main__":
    write()
