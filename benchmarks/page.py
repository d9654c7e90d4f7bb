"""The page of the benchmarks: docs/benchmarks.md and its chart, made of the figures in benchmarks/results/.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import chart, goals
from benchmarks.chart import memory, seconds
from benchmarks.environments import ROOT
from benchmarks.measure import Measured, from_plain
from benchmarks.scenarios import HERE, SCENARIOS, SIZES

RESULTS = HERE / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "images" / "benchmarks.svg"
NAMES = {"small": "200,000 rows", "1m": "1 million rows", "10m": "10 million rows", "50m": "50 million rows"}
TITLES = {name: scenario.title for name, scenario in SCENARIOS.items()}

Results = dict[str, dict[str, Measured]]


def write() -> None:
    """Makes the page and the chart anew from every result that is kept."""
    found = kept()
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    CHART.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text(found))
    if found:
        size = next(s for s in ("10m", "1m", "50m", "small") if s in found)
        CHART.write_text(chart.draw(found[size], results_of(found[size]), TITLES))


def kept() -> dict[str, dict[str, Any]]:
    """The last figures of each size, smallest first."""
    paths = {size: RESULTS / f"{size}.json" for size in SIZES}
    return {size: json.loads(path.read_text()) for size, path in paths.items() if path.exists()}


def results_of(document: Mapping[str, Any]) -> Results:
    """Scenario to contender to its runs."""
    return {n: {k: from_plain(m) for k, m in s.items()} for n, s in document["scenarios"].items()}


def text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page; `found` has the figures of the sizes that were measured."""
    parts = [(HERE / "page.md").read_text().rstrip()]
    if found:
        parts.append("\n".join(["## Goals", "", *_goals(found)]))
    if sum(s != "small" for s in found) > 1:
        parts.append("\n".join(["## Growth", "", *_growth(found)]))
    parts += ["\n".join(_size(s, found[s])) for s in reversed(SIZES) if s in found]
    return "\n\n".join(parts) + "\n"


def _goals(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "Ratios are of seconds, round by round; a goal that was not measured at a size is not listed for it."
    yield ""
    yield "| size | what | goal | measured | |"
    yield "|---|---|---|---|---|"
    for size, document in found.items():
        results = results_of(document)
        for goal in goals.GOALS:
            value = goal.value(results) if size in goal.sizes else None
            if value is not None:
                what, limit, shown = _goal_words(goal, results, value)
                yield f"| {NAMES[size]} | {what} | {limit} | {shown} | {goal.verdict(value)} |"


def _goal_words(goal: goals.Goal, results: Results, value: float) -> tuple[str, str, str]:
    contenders = results[goal.scenario]
    label = contenders[goal.contender].label
    where = {"load": "load", "dedup": "load with a key", "append": "second file", "rejects": "load with 2% bad rows"}
    what = f"{label}, {where[goal.scenario]}" if goal.scenario in where else label
    if goal.kind == "memory":
        return f"{what}: peak memory", f"<= {memory(goal.limit)}", memory(value)
    if goal.kind == "seconds":
        return f"{what}: time", f"<= {seconds(goal.limit)}", seconds(value)
    other = contenders[goal.against].label
    if goal.kind == "times":
        return f"{other} against {what}", f">= {goal.limit:g} times the time", f"{value:.2f}x"
    least = f" (at least <= {goal.least:.2f}x)" if goal.least else ""
    return f"{what}, against {other}", f"<= {goal.limit:.2f}x{least}", f"{value:.2f}x"


def _growth(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "dativo's time for a million rows and its peak memory, by the number of rows. Starting up takes a fixed time."
    yield ""
    names = [n for n in chart.GROUPS if any(n in d["scenarios"] for d in found.values())]
    heads = {"load": "load", "dedup": "with a key", "append": "second file", "rejects": "with 2% bad rows"}
    yield "| rows | " + " | ".join(heads[n] for n in names) + " |"
    yield "|---|" + "---|" * len(names)
    for size, document in found.items():
        if size == "small":
            continue
        results = results_of(document)
        cells = []
        for name in names:
            own = results.get(name, {}).get("dativo")
            cells.append(f"{seconds(own.seconds / document['rows'] * 1e6)}, {memory(own.memory)}" if own else "")
        yield f"| {document['rows']:,} | " + " | ".join(cells) + " |"


def _size(size: str, document: Mapping[str, Any]) -> Iterator[str]:
    results = results_of(document)
    machine = document["machine"]
    yield f"## {NAMES[size]}"
    yield ""
    if document["load_average_before"] > int(machine["cores"]) / 4:
        yield (
            "**Other work ran on the machine at the time.** Seconds are longer than they need be; ratios and memory count."
        )
        yield ""
    if size == "small":
        yield (
            "**This size is for automated checks.** Starting Python and importing the libraries is most of every figure "
            "here, so it says little about speed."
        )
        yield ""
    yield (
        f"{document['bytes'] / 1e6:,.0f} MB of CSV; median of {document['repeat']} rounds; {document['date']}; commit "
        f"`{document['commit']}`; {machine['processor']}, {machine['cores']} cores, {machine['memory']}, "
        f"{machine['system']}; load average before: {document['load_average_before']:g}."
    )
    yield ""
    for name, environment in document["environments"].items():
        versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
        yield f"- Environment of {'dativo, DuckDB and Polars' if name == 'dativo' else name}: {versions}."
    for name, contenders in results.items():
        yield ""
        yield f"### {TITLES.get(name, name)}"
        yield ""
        yield from table(name, contenders)


def table(name: str, contenders: Mapping[str, Measured]) -> Iterator[str]:
    """Contenders with their figures and, where they do the same work, the ratio to dativo."""
    own = contenders.get("dativo")
    compared = own is not None and len(contenders) > 1
    ratio = " times the plain load |" if name == "features" else " dativo's time / this one's |"
    yield "| | median | fastest to slowest | processor time | peak memory |" + (ratio if compared else "")
    yield "|---|---|---|---|---|" + ("---|" if compared else "")
    for key, measured in contenders.items():
        low, high = measured.spread
        processor = sorted(r.user + r.system for r in measured.runs)[len(measured.runs) // 2]
        row = [
            f"**{measured.label}**" if key == "dativo" else measured.label,
            seconds(measured.seconds),
            f"{seconds(low)} to {seconds(high)}",
            seconds(processor),
            memory(measured.memory),
        ]
        if compared and own is not None:
            value = measured.ratio(own) if name == "features" else own.ratio(measured)
            row.append("" if key == "dativo" else f"{value:.2f}x")
        yield "| " + " | ".join(row) + " |"


def plain_table(results: Results, titles: Mapping[str, str] = TITLES) -> str:
    """The figures for a terminal."""
    lines = []
    for name, contenders in results.items():
        lines.append(titles.get(name, name))
        for measured in contenders.values():
            lines.append(f"  {measured.label:38}{seconds(measured.seconds):>9}{memory(measured.memory):>11}")
    return "\n".join(lines)


if __name__ == "__main__":
    write()
