"""Measures dativo and its rivals, and writes the figures, their page and their chart.

    python -m benchmarks.run --size small|1m|10m|50m [--repeat N] [--dlt] [--only SCENARIO…] [--json FILE]

Processes run in turn (A B C A B C …) on the same file, after one round that is not counted, and what each wrote is read
back every time. A whole run replaces `benchmarks/results/SIZE.json` and makes docs/benchmarks.md anew; with --only or
--json nothing but FILE is written. Exit code 1: an output was wrong, or a figure of the small size is badly off.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import environments, goals, measure, page
from benchmarks.environments import BENCH, ROOT
from benchmarks.measure import Failed, Measured
from benchmarks.scenarios import SCENARIOS, SECRETS, SIZES, Bench, Check, Scenario

REPEATS = {"small": 2, "1m": 5, "10m": 5, "50m": 3}


def main() -> int:
    """Runs what the arguments say."""
    given = _arguments()
    try:
        document = measured(given.size, given.repeat or REPEATS[given.size], given.dlt, given.only or list(SCENARIOS))
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = json.dumps(document, indent=1) + "\n"
    kept = given.json or (None if given.only else page.RESULTS / f"{given.size}.json")
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text)
    if kept and not given.json:
        page.write()
    results = page.results_of(document)
    print(page.plain_table(results))
    found = list(goals.unsound(results)) if given.size == "small" else []
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--repeat", type=int, help="counted rounds; 2 to 5 by default")
    parser.add_argument("--dlt", action=argparse.BooleanOptionalAction, help="measure dlt too; by default at 1m only")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="these scenarios; no page is written")
    parser.add_argument("--json", type=Path, help="write the figures to this file instead")
    return parser.parse_args()


def measured(size: str, repeat: int, dlt: bool | None, names: list[str]) -> dict[str, Any]:
    """The figures of a size as they are kept: see page.py for what is in them."""
    with_dlt = (size == "1m" if dlt is None else dlt) and size in ("1m", "10m") and "load" in names
    load_before = os.getloadavg()[0]
    chosen = {n: s for n, s in SCENARIOS.items() if n in names and size in s.sizes}
    bench = Bench(BENCH, environments.core(), environments.dlt() if with_dlt else None)
    _inputs(bench, SIZES[size], chosen)
    found = {name: in_turn(bench, size, name, scenario, repeat) for name, scenario in chosen.items()}
    return {
        "format": 1,
        "size": size,
        "rows": SIZES[size],
        "bytes": bench.facts["plain"]["bytes"],
        "repeat": repeat,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": environments.machine(),
        "load_average_before": round(load_before, 2),
        "environments": {
            "dativo": {"made_by": bench.core.made_by, "versions": bench.core.versions},
            **({"dlt": {"made_by": bench.dlt.made_by, "versions": bench.dlt.versions}} if bench.dlt else {}),
        },
        "scenarios": {n: {k: measure.as_plain(m) for k, m in found[n].items()} for n in found},
    }


def _inputs(bench: Bench, rows: int, chosen: dict[str, Scenario]) -> None:
    """Makes the input files that the scenarios need, where an equal one is not there."""
    recipes = {"plain": ["--known", "0"]}
    if "dedup" in chosen:
        recipes["repeats"] = ["--duplicates", "0.2"]
    if "rejects" in chosen:
        recipes["bad"] = ["--bad", "0.02"]
    if "append" in chosen:
        recipes["second"] = ["--duplicates", "0.2", "--start", str(rows * 6 // 10), "--known", str(rows)]
    for name, options in recipes.items():
        path = BENCH / f"{name}-{rows}.csv"
        _say(f"input {path.relative_to(ROOT)}")
        command = [
            str(bench.core.python),
            "-m",
            "benchmarks.generate",
            "--rows",
            str(rows),
            "--out",
            str(path),
            *options,
        ]
        bench.facts[name] = measure.run_json(command, cwd=ROOT)
        bench.files[name] = path
        _read_through(path)
    if "append" in chosen:
        folder = BENCH / f"loaded-{rows}"
        shutil.rmtree(folder, ignore_errors=True)
        measure.run(bench.script("rivals/duckdb_load.py", bench.files["plain"], folder, "load"), cwd=ROOT)
        bench.files["loaded"] = folder / "orders.parquet"


def _read_through(path: Path) -> None:
    """Reads a file once, so that every contender finds it in the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def in_turn(bench: Bench, size: str, name: str, scenario: Scenario, repeat: int) -> dict[str, Measured]:
    """The counted runs of a scenario's contenders, taken in turn."""
    contenders = {
        k: c for k, c in scenario.contenders.items() if size in c.sizes and (bench.dlt or not k.startswith("dlt"))
    }
    found = {k: Measured(c.label) for k, c in contenders.items()}
    work = bench.root / "work"
    for number in range(repeat + 1):
        shutil.rmtree(work, ignore_errors=True)
        checks: list[tuple[str, Check]] = []
        parts: list[str] = []
        for key, contender in contenders.items():
            folder = work / key
            folder.mkdir(parents=True)
            command = contender.ready(bench, folder)
            # What earlier runs wrote goes to the disk now, not while this one is measured.
            os.sync()
            run, text = measure.run(command, cwd=folder, more={**SECRETS, **bench.variables})
            if not contender.shows(text):
                raise Failed(f"{name}, {contender.label}: unexpected output\n{text[-2000:]}")
            checks += [(contender.label, c) for c in contender.checks(bench, folder)]
            parts.append(f"{key} {run.wall:.2f} s {run.memory >> 20} MiB")
            if number:
                found[key].runs.append(run)
        check_outputs(bench, name, checks)
        _say(f"{name} {number or 'warm-up'}: " + ", ".join(parts))
    shutil.rmtree(work, ignore_errors=True)
    return found


def check_outputs(bench: Bench, name: str, checks: list[tuple[str, Check]]) -> None:
    """Failed when an output does not hold what it must; `checks` are labelled with whose output it is."""
    if not checks:
        return
    requests = json.dumps([c.request for _, c in checks])
    answers = measure.run_json(bench.script("check.py"), cwd=ROOT, given=requests)
    for (label, check), answer in zip(checks, answers, strict=True):
        wrong = {k: (answer[k], v) for k, v in check.expected.items() if answer[k] != v}
        if wrong:
            raise Failed(f"{name}, {label}: (found, expected) differ: {wrong}")


def _commit() -> str:
    """The commit that is measured, with a plus sign where the package differs from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "dativo"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
